//! Which rows a microbatch of a step takes.
//!
//! The training rows of a feed, numbered in the file's order from 0, are cut into V partitions of equal size (to one row).
//! In file order, partition v is the contiguous range [`range`]; shuffled, it is the rows whose place in a permutation by the
//! split's seed lies in that range. Either way the rows *within* a partition are in the file's order.
//!
//! With batch size B, microbatch v of step s takes [`share`] rows. They follow each other in an endless sequence of the
//! partition's rows: row `p` of the sequence is `perm(seed, f, v, epoch = p / n)[p % n]`, where n is the partition's number of
//! rows. So there are no short batches, every epoch has each row once, and the step alone says what is drawn.

use std::ops::Range;



/// The training rows, or places in their permutation, of partition `v` of `partitions`.
pub fn range(rows: u64, partitions: u32, v: u32) -> Range<u64> {
    let cut = |v: u64| u64::try_from(u128::from(rows) * u128::from(v) / u128::from(partitions)).expect("at most `rows`");
    cut(u64::from(v))..cut(u64::from(v) + 1)
}

/// Rows that microbatch `v` takes before step `step`: `floor((step * B + v) / V)`.
pub fn position(batch_size: u64, microbatches: u32, step: u64, v: u32) -> u64 {
    let position = (u128::from(step) * u128::from(batch_size) + u128::from(v)) / u128::from(microbatches);
    u64::try_from(position).expect("steps times rows a step fit into 64 bits")
}

/// Rows that microbatch `v` takes in step `step`.
pub fn share(batch_size: u64, microbatches: u32, step: u64, v: u32) -> u64 {
    position(batch_size, microbatches, step + 1, v) - position(batch_size, microbatches, step, v)
}
