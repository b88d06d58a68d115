//! The rows that train, validate and test.
//!
//! | `split` has | rows |
//! |---|---|
//! | shares only | a permutation of all rows by the split's seed: exact numbers of rows |
//! | `stratify` | the same for the rows of each value of the column, with shares rounded so that the totals are exact |
//! | `group` | by a hash of the column's value, so that equal values meet, in every dataset; the shares hold on average |
//! | `by` | the column's order ([`order`]): the smallest (oldest) train, then validation, the greatest test; ties in the file's order |
//! | `column` | as the column says: `train`, `validation`, `test` |
//! | `file` | as another table says |
//! | `folds` | one of so many equal parts tests ([`folds`]) |
//! | files by part | as the files say; a part without files is cut from the training files as above |
//!
//! A plan carries what says it shortest ([`Assignment`]); [`Index`] is the same made fast to ask.

mod assign;
mod dates;
mod folds;
mod order;

use std::ops::Range;

use aggregation::random::{Permutation, Purpose, Stream};
use experiment::SplitName;
use serde::{Deserialize, Serialize};

pub(crate) use assign::{Key, assign};
pub(crate) use folds::GroupFolds;
pub(crate) use order::{Ends, Keys, Unordered};

/// The part of every row of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assignment {
    /// By a row's place in a permutation of all rows: first those that train, then validation, then
    /// test.
    Permuted {
        /// The split's seed.
        seed: u64,
        /// Rows of training, validation and test.
        counts: [u64; 3],
    },
    /// In the order of the rows: first those that train, then validation, then test.
    Ranges {
        /// Rows of training, validation and test.
        counts: [u64; 3],
    },
    /// Listed, two bits a row.
    Listed {
        /// Rows of training, validation and test.
        counts: [u64; 3],
        /// The part of each row, 16 rows a word of eight hexadecimal digits, the first row in the
        /// lowest bits.
        codes: String,
    },
}

impl Assignment {
    fn counts(&self) -> [u64; 3] {
        let (Assignment::Permuted { counts, .. } | Assignment::Ranges { counts } | Assignment::Listed { counts, .. }) =
            self;
        *counts
    }

    /// Rows of a part.
    pub fn rows(&self, split: SplitName) -> u64 {
        self.counts()[split as usize]
    }

    /// Rows of the table.
    pub fn all_rows(&self) -> u64 {
        self.counts().iter().sum()
    }

    /// Lists parts of rows.
    pub(crate) fn listed(parts: &[SplitName]) -> Self {
        let mut counts = [0; 3];
        let mut codes = String::with_capacity(parts.len() / 2 + 8);
        for sixteen in parts.chunks(ROWS_A_WORD as usize) {
            let mut word = 0u32;
            for (i, part) in sixteen.iter().enumerate() {
                word |= (*part as u32) << (2 * i);
                counts[*part as usize] += 1;
            }
            codes.push_str(&format!("{word:08x}"));
        }
        Assignment::Listed { counts, codes }
    }
}

/// The order of the rows in [`Assignment::Permuted`]: the first ones train.
fn permutation(seed: u64, rows: u64) -> Permutation {
    Permutation::new(rows, Stream::new(seed, Purpose::Split, &[]))
}

const ROWS_A_WORD: u64 = 16;
/// Rows between two entries of [`Index::before`].
const STRIDE: u64 = 4096;

/// The part of every row, two bits a row, with counts on the way, so that rows can be found by
/// their number within a part.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    words: Vec<u32>,
    rows: u64,
    /// Rows of each part before each multiple of [`STRIDE`].
    before: Vec<[u64; 3]>,
}

impl Index {
    pub fn new(assignment: &Assignment) -> Self {
        let rows = assignment.all_rows();
        let [train, validation, _] = assignment.counts();
        let mut words = vec![0u32; rows.div_ceil(ROWS_A_WORD) as usize];
        let mut set = |row: u64, part: SplitName| {
            words[(row / ROWS_A_WORD) as usize] |= (part as u32) << (2 * (row % ROWS_A_WORD))
        };
        let place_part = |place: u64| if place < train + validation { SplitName::Validation } else { SplitName::Test };
        match assignment {
            Assignment::Permuted { seed, .. } if train < rows => {
                let order = permutation(*seed, rows);
                (train..rows).for_each(|place| set(order.at(place), place_part(place)));
            }
            Assignment::Permuted { .. } => {}
            Assignment::Ranges { .. } => (train..rows).for_each(|row| set(row, place_part(row))),
            Assignment::Listed { codes, .. } => {
                for (word, digits) in words.iter_mut().zip(codes.as_bytes().chunks(8)) {
                    *word = std::str::from_utf8(digits).ok().and_then(|d| u32::from_str_radix(d, 16).ok()).unwrap_or(0);
                }
            }
        }
        let mut index = Index { words, rows, before: Vec::new() };
        let mut counts = [0; 3];
        for row in 0..rows {
            if row % STRIDE == 0 {
                index.before.push(counts);
            }
            counts[index.part(row) as usize] += 1;
        }
        index.before.push(counts);
        index
    }

    /// The part of a row.
    pub fn part(&self, row: u64) -> SplitName {
        match self.words[(row / ROWS_A_WORD) as usize] >> (2 * (row % ROWS_A_WORD)) & 3 {
            0 => SplitName::Train,
            1 => SplitName::Validation,
            _ => SplitName::Test,
        }
    }

    /// Rows of a part before `row`.
    #[cfg(test)]
    fn rank(&self, split: SplitName, row: u64) -> u64 {
        let mark = row / STRIDE;
        let since = (mark * STRIDE..row).filter(|r| self.part(*r) == split).count() as u64;
        self.before[mark as usize][split as usize] + since
    }

    /// The row that is number `rank` of a part, from 0.
    fn select(&self, split: SplitName, rank: u64) -> u64 {
        let mark = self.before.partition_point(|counts| counts[split as usize] <= rank) - 1;
        let mut left = rank - self.before[mark][split as usize];
        let mut row = mark as u64 * STRIDE;
        loop {
            if self.part(row) == split {
                if left == 0 {
                    return row;
                }
                left -= 1;
            }
            row += 1;
        }
    }

    /// The shortest range of rows with the rows of a part that have these numbers.
    pub fn span(&self, split: SplitName, ranks: Range<u64>) -> Range<u64> {
        if ranks.is_empty() {
            return 0..0;
        }
        self.select(split, ranks.start)..self.select(split, ranks.end - 1) + 1
    }

    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn brute(index: &Index, split: SplitName) -> Vec<u64> {
        (0..index.rows()).filter(|row| index.part(*row) == split).collect()
    }

    proptest! {
        #[test]
        fn rows_are_found_by_their_number(parts in proptest::collection::vec(0usize..3, 1..9_000)) {
            let parts: Vec<SplitName> = parts.into_iter().map(|p| SplitName::ALL[p]).collect();
            let index = Index::new(&Assignment::listed(&parts));
            for split in SplitName::ALL {
                let rows = brute(&index, split);
                for (rank, row) in rows.iter().enumerate().step_by(37) {
                    prop_assert_eq!(index.rank(split, *row), rank as u64);
                    prop_assert_eq!(index.span(split, rank as u64..rank as u64 + 1), *row..*row + 1);
                }
                prop_assert_eq!(index.rank(split, index.rows()), rows.len() as u64);
            }
        }

        #[test]
        fn a_permuted_split_has_exact_counts(train in 1u64..3_000, validation in 0u64..500, test in 0u64..500, seed: u64) {
            let counts = [train, validation, test];
            let index = Index::new(&Assignment::Permuted { seed, counts });
            for split in SplitName::ALL {
                prop_assert_eq!(brute(&index, split).len() as u64, counts[split as usize]);
            }
        }
    }
}
