//! Plans and vectors in chunks. A sender cuts them without copying. A receiver puts the chunks
//! together in order, and takes no more memory than was agreed on before.

use aggregation::lanes::{self, Level};
use bytes::Bytes;

use crate::{
    CHUNK_BYTES,
    message::{Chunk, ChunkOf},
};

/// What is reserved for an announced length at once, bytes.
const RESERVED_BYTES_MAX: usize = 64 << 20;

/// Cuts `bytes` into chunks of at most [`CHUNK_BYTES`], which share the memory. No bytes give no
/// chunks.
pub fn chunks(of: ChunkOf, bytes: Bytes) -> impl Iterator<Item = Chunk> {
    let total = bytes.len() as u64;
    (0..bytes.len()).step_by(CHUNK_BYTES).map(move |offset| {
        let end = bytes.len().min(offset + CHUNK_BYTES);
        Chunk { of, offset: offset as u64, total, data: bytes.slice(offset..end) }
    })
}

/// The little-endian bytes of a vector, without copying it.
pub fn vector_bytes(vector: Vec<f32>) -> Bytes {
    struct Owner(Vec<f32>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            bytemuck::cast_slice(&self.0)
        }
    }
    const { assert!(cfg!(target_endian = "little"), "vectors travel as little-endian f32") };
    Bytes::from_owner(Owner(vector))
}

/// Why a chunk does not continue the chunks before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The chunk announces another length than was agreed on.
    #[error("{of:?} is announced with {total} bytes and has to have {expected}")]
    Length {
        /// What it is.
        of: ChunkOf,
        /// The chunk's total.
        total: u64,
        /// The length that was agreed on.
        expected: u64,
    },
    /// A chunk is missing, or came twice.
    #[error("{of:?}: a chunk at byte {offset} where byte {expected} was next")]
    Order {
        /// What it is.
        of: ChunkOf,
        /// Where the chunk starts.
        offset: u64,
        /// Where the next chunk has to start.
        expected: u64,
    },
    /// The chunk is empty, too long, or goes beyond the end.
    #[error("{of:?}: a chunk of {bytes} bytes at byte {offset} of {total}")]
    Size {
        /// What it is.
        of: ChunkOf,
        /// Bytes of the chunk.
        bytes: u64,
        /// Where it starts.
        offset: u64,
        /// Length of the whole.
        total: u64,
    },
}

/// Puts chunks of bytes together.
#[derive(Debug)]
pub struct Assembler {
    of: ChunkOf,
    expected: u64,
    bytes: Vec<u8>,
}

impl Assembler {
    /// Starts with nothing, for `expected` bytes. It never takes more memory than that.
    pub fn new(of: ChunkOf, expected: u64) -> Assembler {
        Assembler { of, expected, bytes: Vec::new() }
    }

    /// Takes the next chunk. Returns true once all chunks are there.
    ///
    /// # Errors
    /// [`Broken`] if the chunk is not the next one.
    pub fn push(&mut self, chunk: &Chunk) -> Result<bool, Broken> {
        check(self.of, self.expected, self.bytes.len() as u64, chunk)?;
        if self.bytes.capacity() == 0 {
            // Whoever announces much and sends little costs little.
            self.bytes.reserve_exact(RESERVED_BYTES_MAX.min(self.expected as usize));
        }
        self.bytes.extend_from_slice(&chunk.data);
        Ok(self.bytes.len() as u64 == self.expected)
    }

    /// The bytes of all chunks.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Puts chunks of a vector of f32 together.
#[derive(Debug)]
pub struct VectorAssembler {
    of: ChunkOf,
    vector: Vec<f32>,
    filled: u64,
    is_finite: bool,
}

impl VectorAssembler {
    /// Starts with nothing, for a vector of `elements` f32.
    pub fn new(of: ChunkOf, elements: usize) -> VectorAssembler {
        VectorAssembler { of, vector: vec![0.0; elements], filled: 0, is_finite: true }
    }

    /// Takes the next chunk. Returns true once all chunks are there.
    ///
    /// # Errors
    /// [`Broken`] if the chunk is not the next one.
    pub fn push(&mut self, chunk: &Chunk) -> Result<bool, Broken> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.vector);
        check(self.of, bytes.len() as u64, self.filled, chunk)?;
        let start = self.filled as usize;
        bytes[start..start + chunk.data.len()].copy_from_slice(&chunk.data);
        self.filled += chunk.data.len() as u64;
        let complete = self.filled == bytes.len() as u64;
        // Checked now, while the elements are in the cache.
        let elements = start / size_of::<f32>()..self.filled as usize / size_of::<f32>();
        self.is_finite &= lanes::finite(Level::widest(), &self.vector[elements]);
        Ok(complete)
    }

    /// Whether all elements so far are finite.
    pub fn is_finite(&self) -> bool {
        self.is_finite
    }

    /// The vector of all chunks.
    pub fn into_vector(self) -> Vec<f32> {
        self.vector
    }
}

fn check(of: ChunkOf, expected: u64, filled: u64, chunk: &Chunk) -> Result<(), Broken> {
    if chunk.total != expected {
        return Err(Broken::Length { of, total: chunk.total, expected });
    }
    if chunk.offset != filled || chunk.of != of {
        return Err(Broken::Order { of: chunk.of, offset: chunk.offset, expected: filled });
    }
    let bytes = chunk.data.len() as u64;
    if bytes == 0 || bytes > CHUNK_BYTES as u64 || filled + bytes > expected {
        return Err(Broken::Size { of, bytes, offset: filled, total: expected });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_vector_of_any_length_survives_the_way_in_chunks(length in 1usize..700_000) {
            let vector: Vec<f32> = (0..length).map(|i| i as f32 * 0.5 - 3.0).collect();
            let of = ChunkOf::Result { work: 1, index: 0 };
            let mut assembler = VectorAssembler::new(of, length);
            let mut complete = false;
            for chunk in chunks(of, vector_bytes(vector.clone())) {
                prop_assert!(!complete);
                complete = assembler.push(&chunk).unwrap();
            }
            prop_assert!(complete);
            prop_assert_eq!(assembler.into_vector(), vector);
        }
    }

    #[test]
    fn an_element_that_is_not_finite_is_found_however_the_chunks_are_cut() {
        let of = ChunkOf::Result { work: 1, index: 0 };
        let bytes = vector_bytes(vec![1.0, f32::NAN, 2.0]);
        for cut in 1..bytes.len() {
            let mut assembler = VectorAssembler::new(of, 3);
            for (offset, data) in [(0, bytes.slice(..cut)), (cut, bytes.slice(cut..))] {
                assembler.push(&Chunk { of, offset: offset as u64, total: 12, data }).unwrap();
            }
            assert!(!assembler.is_finite(), "cut at {cut}");
        }
        let mut finite = VectorAssembler::new(of, 3);
        let whole = vector_bytes(vec![1.0, f32::MAX, 2.0]);
        assert_eq!(finite.push(&Chunk { of, offset: 0, total: 12, data: whole }), Ok(true));
        assert!(finite.is_finite());
    }

    #[test]
    fn a_chunk_out_of_order_too_long_or_of_another_length_is_refused() {
        let of = ChunkOf::Plan;
        let piece = |offset, total, bytes| Chunk { of, offset, total, data: Bytes::from(vec![0; bytes]) };
        let mut assembler = Assembler::new(of, 8);
        assert!(matches!(assembler.push(&piece(0, 9, 4)), Err(Broken::Length { .. })));
        assert!(matches!(assembler.push(&piece(4, 8, 4)), Err(Broken::Order { .. })));
        assert!(matches!(assembler.push(&piece(0, 8, 9)), Err(Broken::Size { .. })));
        assert_eq!(assembler.push(&piece(0, 8, 4)), Ok(false));
        assert!(matches!(assembler.push(&piece(0, 8, 4)), Err(Broken::Order { .. })));
        assert_eq!(assembler.push(&piece(4, 8, 4)), Ok(true));
    }
}
