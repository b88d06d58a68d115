//! The rows that a microbatch of a step takes.
//!
//! The training rows of a feed, numbered in the file's order from 0, are cut into V partitions of
//! equal size (to one row). In file order, partition v is the contiguous range [`range`]; shuffled,
//! it is the rows whose place in a permutation by the split's seed lies in that range. Either way
//! the rows *within* a partition are in the file's order.
//!
//! With batch size B, microbatch v of step s takes [`share`] rows. They follow each other in an
//! endless sequence of the partition's rows: row `p` of the sequence is
//! `perm(seed, f, v, epoch = p / n)[p % n]`, where n is the partition's number of rows. So there
//! are no short batches, every epoch has each row once, and the step alone says what is drawn.

use std::ops::Range;

use aggregation::random::{Permutation, Purpose, Stream};

/// The training rows, or places in their permutation, of partition `v` of `partitions`.
pub fn range(rows: u64, partitions: u32, v: u32) -> Range<u64> {
    let cut =
        |v: u64| u64::try_from(u128::from(rows) * u128::from(v) / u128::from(partitions)).expect("at most `rows`");
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

/// The partition of the training row that stands at `place` in the order that is cut: the inverse
/// of [`range`].
pub fn of_place(rows: u64, partitions: u32, place: u64) -> u32 {
    let v = ((u128::from(place) + 1) * u128::from(partitions) - 1) / u128::from(rows);
    u32::try_from(v).expect("below the number of partitions")
}

/// The order that is cut into shuffled partitions.
pub fn order(split_seed: u64, rows: u64) -> Permutation {
    Permutation::new(rows, Stream::new(split_seed, Purpose::Partition, &[]))
}

/// The rows of a partition that a microbatch takes.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// The training seed.
    pub seed: u64,
    /// The feed's index.
    pub feed: usize,
    /// The microbatch.
    pub v: u32,
    /// Rows of the partition.
    pub rows: u64,
    /// Place in the endless sequence of rows where the microbatch begins.
    pub start: u64,
    /// Rows of the microbatch.
    pub count: u64,
}

impl Draw {
    /// Calls `visit` with each row of the partition that is drawn, in order.
    pub fn each(&self, mut visit: impl FnMut(u64)) {
        let mut epoch = None;
        for place in self.start..self.start + self.count {
            let (now, within) = (place / self.rows, place % self.rows);
            let permutation = match epoch {
                Some((at, permutation)) if at == now => permutation,
                _ => {
                    let indices = [self.feed as u64, u64::from(self.v), now];
                    Permutation::new(self.rows, Stream::new(self.seed, Purpose::Shuffle, &indices))
                }
            };
            epoch = Some((now, permutation));
            visit(permutation.at(within));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_shares_of_a_step_add_up_to_the_batch(b in 0u64..500, v in 1u32..40, step in 0u64..1_000_000) {
            prop_assert_eq!((0..v).map(|m| share(b, v, step, m)).sum::<u64>(), b);
        }

        #[test]
        fn no_partition_is_starved(b in 1u64..200, v in 1u32..40) {
            // After V steps, every microbatch has taken exactly B rows.
            for m in 0..v {
                prop_assert_eq!(position(b, v, u64::from(v), m), b);
            }
        }

        #[test]
        fn partitions_are_disjoint_cover_the_rows_and_differ_by_one(n in 1u64..5_000, v in 1u32..40) {
            prop_assume!(n >= u64::from(v));
            let sizes: Vec<u64> = (0..v).map(|p| { let r = range(n, v, p); r.end - r.start }).collect();
            prop_assert_eq!(sizes.iter().sum::<u64>(), n);
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
            for place in 0..n {
                prop_assert!(range(n, v, of_place(n, v, place)).contains(&place));
            }
        }

        #[test]
        fn each_epoch_visits_each_row_once(n in 1u64..300, b in 1u64..64, v in 1u32..6, seed: u64) {
            let m = v - 1;
            let mut drawn = Vec::new();
            let mut step = 0;
            while (drawn.len() as u64) < 3 * n {
                let start = position(b, v, step, m);
                Draw { seed, feed: 1, v: m, rows: n, start, count: share(b, v, step, m) }.each(|row| drawn.push(row));
                step += 1;
            }
            for epoch in drawn.chunks_exact(n as usize) {
                let mut rows = epoch.to_vec();
                rows.sort_unstable();
                prop_assert_eq!(rows, (0..n).collect::<Vec<_>>());
            }
        }
    }
}
