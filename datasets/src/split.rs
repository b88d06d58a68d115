//! Which rows train, validate and test.

use experiment::SplitName;
use serde::{Deserialize, Serialize};

/// The part of every row of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assignment {
    /// By a row's place in a permutation of all rows: first those that train, then validation, then test.
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
        /// 0, 1 or 2 for each row, four rows a byte, the first in the lowest bits; in base 64.
        codes: String,
    },
}

impl Assignment {
    /// Rows of a part.
    pub fn rows(&self, split: SplitName) -> u64 {
        let (Assignment::Permuted { counts, .. } | Assignment::Ranges { counts } | Assignment::Listed { counts, .. }) = self;
        counts[split as usize]
    }

    /// Rows of the table.
    pub fn all_rows(&self) -> u64 {
        SplitName::ALL.iter().map(|split| self.rows(*split)).sum()
    }
}
