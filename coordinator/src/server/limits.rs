//! How large a worker's message may be.

use datasets::CHUNK_ROWS;
use experiment::{Shapes, TaskShape};
use proto::{CHUNK_BYTES, ENVELOPE_BYTES_MAX, MESSAGE_BYTES_MAX};

use crate::run::EVALUATION_CHUNKS_MAX;

/// A loss sum, a vector's name or another short message of a task, bytes.
const TASK_BYTES: usize = 128;
/// The most bytes of a count or a label on the wire.
const COUNT_BYTES: usize = 10;
/// Bytes of a sum on the wire.
const SUM_BYTES: usize = 8;
/// Bytes of a score on the wire.
const SCORE_BYTES: usize = 4;

/// The largest message that a worker of an experiment with these tasks sends, bytes: a chunk, or
/// the sums of an evaluation of one feed.
pub(crate) fn message_bytes_max(shapes: &Shapes) -> usize {
    let sums = (0..shapes.feeds.len()).map(|feed| {
        let tasks = shapes.tasks.iter().filter(|task| task.feed == feed);
        tasks.map(sums_bytes).fold(0, usize::saturating_add)
    });
    let largest = sums.max().unwrap_or(0).max(CHUNK_BYTES);
    let around = ENVELOPE_BYTES_MAX + TASK_BYTES * shapes.tasks.len();
    largest.saturating_add(around).min(MESSAGE_BYTES_MAX)
}

/// The most bytes of a task's sums over one piece of work.
fn sums_bytes(task: &TaskShape) -> usize {
    let measures = task.measures();
    let zero = measures.zero();
    let own: usize = zero.own.iter().map(|(name, sums)| name.len() + SUM_BYTES * sums.len() + TASK_BYTES).sum();
    let rows = if measures.keeps_scores() { EVALUATION_CHUNKS_MAX as usize * CHUNK_ROWS as usize } else { 0 };
    let row = SCORE_BYTES * task.outputs + COUNT_BYTES * task.kind.label_width(task.outputs);
    TASK_BYTES + COUNT_BYTES * zero.counts.len() + SUM_BYTES * zero.sums.len() + own + rows.saturating_mul(row)
}
