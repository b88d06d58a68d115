//! Rows of different parts that are equal in all features and targets: what was trained on is then
//! evaluated again.
//!
//! Rows are compared by a hash of 62 bits. Up to [`KEPT_MAX`] different rows are counted exactly.
//! If there are more, only rows whose hash has a zero as its lowest bit stay, then two zeros, and
//! so on: equal rows stay or go together, so what is counted of the rest, times two for each zero,
//! estimates the number of all.

use std::hash::{DefaultHasher, Hasher};

use experiment::SplitName;

use crate::column::Column;
use crate::split::Index;

/// The most different rows that are kept: 64 MiB.
const KEPT_MAX: usize = 1 << 22;
/// Rows that are collected before they are counted.
const FRESH_MAX: usize = 1 << 20;
/// Bits of a key that are the part of its row; the others are the row's hash.
const PART_BITS: u32 = 2;

/// Counts equal rows of different parts. Takes the blocks of a table in order.
pub(super) struct EqualRows {
    /// The columns that count, as places in a block.
    columns: Vec<usize>,
    /// Keys that are not counted yet.
    fresh: Vec<u64>,
    /// Keys in ascending order, each with its number of rows.
    kept: Vec<(u64, u64)>,
    /// Lowest bits of a kept row's hash that are zero.
    zeros: u32,
    kept_max: usize,
}

/// Rows of a part that are equal to rows of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Equal {
    pub part: SplitName,
    /// What the part must not know.
    pub other: SplitName,
    pub rows: u64,
    /// Whether `rows` is an estimate.
    pub estimated: bool,
}

impl EqualRows {
    pub fn new(columns: Vec<usize>) -> Self {
        EqualRows { columns, fresh: Vec::new(), kept: Vec::new(), zeros: 0, kept_max: KEPT_MAX }
    }

    /// Takes the next block, which begins with row `first`.
    pub fn push(&mut self, first: u64, block: &[Column], index: &Index) {
        let columns: Vec<&Column> = self.columns.iter().map(|column| &block[*column]).collect();
        for row in 0..columns.first().map_or(0, |column| column.len()) {
            let hash = hash(&columns, row);
            if is_kept(hash, self.zeros) {
                self.fresh.push(hash << PART_BITS | index.part(first + row as u64) as u64);
            }
            if self.fresh.len() == FRESH_MAX {
                self.count();
            }
        }
    }

    fn count(&mut self) {
        self.fresh.sort_unstable();
        self.kept.extend(self.fresh.drain(..).map(|key| (key, 1)));
        // Two ascending runs, which a stable sort merges.
        self.kept.sort_by_key(|(key, _)| *key);
        self.kept.dedup_by(|(key, rows), (before, all)| {
            let is_equal = key == before;
            *all += if is_equal { *rows } else { 0 };
            is_equal
        });
        while self.kept.len() > self.kept_max {
            self.zeros += 1;
            let zeros = self.zeros;
            self.kept.retain(|(key, _)| is_kept(key >> PART_BITS, zeros));
        }
    }

    /// All rows have come: the rows that evaluate what an earlier part has too.
    pub fn finish(mut self) -> Vec<Equal> {
        self.count();
        let mut rows = [[0u64; 3]; 3];
        for equal in self.kept.chunk_by(|(a, _), (b, _)| a >> PART_BITS == b >> PART_BITS) {
            let mut counts = [0u64; 3];
            equal.iter().for_each(|(key, rows)| counts[(key & ((1 << PART_BITS) - 1)) as usize] += rows);
            for part in 1..3 {
                // A row that trains counts as that, not also as one that validates.
                if let Some(other) = (0..part).find(|other| counts[*other] > 0) {
                    rows[part][other] += counts[part];
                }
            }
        }
        let pairs = [
            (SplitName::Validation, SplitName::Train),
            (SplitName::Test, SplitName::Train),
            (SplitName::Test, SplitName::Validation),
        ];
        let equal = |(part, other): (SplitName, SplitName)| Equal {
            part,
            other,
            rows: rows[part as usize][other as usize] << self.zeros,
            estimated: self.zeros > 0,
        };
        pairs.into_iter().map(equal).filter(|equal| equal.rows > 0).collect()
    }
}

fn is_kept(hash: u64, zeros: u32) -> bool {
    hash.trailing_zeros() >= zeros
}

/// The hash of a row in its lowest 62 bits.
fn hash(columns: &[&Column], row: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    for column in columns {
        match column {
            Column::Text(texts) => match texts.get(row) {
                Some(text) => {
                    hasher.write_u64(text.len() as u64);
                    hasher.write(text.as_bytes());
                }
                None => hasher.write_u64(u64::MAX),
            },
            Column::Bytes { width, values } => hasher.write(&values[row * width..][..*width]),
            Column::List { width, .. } => {
                column.numbers(row, *width).iter().for_each(|value| number(*value, &mut hasher))
            }
            Column::Number(values) | Column::Boolean(values) => number(values[row], &mut hasher),
            Column::Exact { values, digits } => {
                number(values[row], &mut hasher);
                hasher.write(digits.get(row).unwrap_or_default().as_bytes());
            }
        }
    }
    hasher.finish() >> PART_BITS
}

/// Nulls are equal to each other, and so are the two zeros.
fn number(value: f64, hasher: &mut DefaultHasher) {
    let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
    hasher.write_u64(value.to_bits());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::Assignment;

    /// Rows 0 to 59,999 in three equal parts; every row of `again` has the value of the row 20,000
    /// before it.
    fn equal(kept_max: usize, again: impl Fn(usize) -> bool) -> Vec<Equal> {
        let value = |row: usize| if row >= 20_000 && again(row) { (row - 20_000) as f64 } else { row as f64 };
        let index = Index::new(&Assignment::Ranges { counts: [20_000; 3] });
        let mut rows = EqualRows { kept_max, ..EqualRows::new(vec![0]) };
        for first in (0..60_000).step_by(5_000) {
            let block = Column::Number((first..first + 5_000).map(value).collect());
            rows.push(first as u64, &[block], &index);
        }
        rows.finish()
    }

    #[test]
    fn equal_rows_of_different_parts_are_counted() {
        let of = |part, other, rows| Equal { part, other, rows, estimated: false };
        use SplitName::{Test, Train, Validation};
        assert!(equal(KEPT_MAX, |_| false).is_empty());
        assert_eq!(equal(KEPT_MAX, |row| row == 20_007), [of(Validation, Train, 1)]);
        assert_eq!(equal(KEPT_MAX, |row| (40_000..40_010).contains(&row)), [of(Test, Validation, 10)]);
    }

    #[test]
    fn more_rows_than_are_kept_give_an_estimate() {
        let found = equal(4_000, |row| row < 40_000 && row % 2 == 0);
        assert_eq!(found.len(), 1);
        assert!(found[0].estimated && (8_000..12_000).contains(&found[0].rows), "{found:?}");
    }

    #[test]
    fn nulls_and_texts_count_by_their_value() {
        let mut texts = crate::column::Texts::default();
        [Some("a"), None, Some(""), Some("a"), None].into_iter().for_each(|text| texts.push(text));
        let columns = [Column::Text(texts), Column::Number(vec![f64::NAN, 0.0, 0.0, f64::NAN, -0.0])];
        let index = Index::new(&Assignment::Ranges { counts: [3, 0, 2] });
        let mut rows = EqualRows::new(vec![0, 1]);
        rows.push(0, &columns, &index);
        assert_eq!(rows.finish().iter().map(|equal| equal.rows).collect::<Vec<_>>(), [2]);
    }
}
