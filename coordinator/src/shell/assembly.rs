//! A result whose vectors come in chunks.

use std::ops::Range;

use proto::{
    message::{Chunk, ChunkOf, WorkResult},
    payload::{Broken, VectorAssembler},
};

use crate::compute::{Contribution, Place};

/// The task of a vector and its range in the layout. No task: the sum over all tasks.
pub(super) type VectorSpan = (Option<u32>, Range<usize>);

/// A result whose vectors come in chunks, one vector after the other.
pub(super) struct Assembly {
    result: WorkResult,
    /// All vectors of the result, in their order.
    spans: Vec<VectorSpan>,
    done: Vec<Contribution>,
    next: VectorAssembler,
}

impl Assembly {
    /// The assembly of a result before its first chunk. The result has at least one vector.
    pub(super) fn new(result: WorkResult, spans: Vec<VectorSpan>) -> Assembly {
        let next = assembler(result.work, 0, &spans);
        Assembly { result, spans, done: Vec::new(), next }
    }

    /// Takes a chunk and returns whether all vectors are complete.
    ///
    /// # Errors
    /// [`Broken`] if the chunk is not the next one.
    pub(super) fn push(&mut self, chunk: &Chunk) -> Result<bool, Broken> {
        if !self.next.push(chunk)? {
            return Ok(false);
        }
        let next = assembler(self.result.work, self.done.len() + 1, &self.spans);
        let complete = std::mem::replace(&mut self.next, next);
        let (task, span) = self.spans[self.done.len()].clone();
        self.done.push(Contribution { task, span, place: Place::Owned(complete.into_vector()) });
        Ok(self.done.len() == self.spans.len())
    }

    /// The result and its vectors, once all of them are complete.
    pub(super) fn finish(self) -> (WorkResult, Vec<Contribution>) {
        (self.result, self.done)
    }
}

/// An empty vector at a place among the result's vectors. It has no elements after the last one.
fn assembler(work: u64, index: usize, spans: &[VectorSpan]) -> VectorAssembler {
    let elements = spans.get(index).map_or(0, |(_, span)| span.len());
    VectorAssembler::new(ChunkOf::Result { work, index: index as u32 }, elements)
}
