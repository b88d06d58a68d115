//! Digests of rows, by which a worker knows that it reads the same data as the coordinator.
//!
//! A digest is the sha256 of the rows of a partition or chunk in the file's order: first the names
//! and kinds of the columns, then for each row and column the value as it was decoded, whatever the
//! format: numbers as the eight bytes of an f64 (null as one fixed NaN) and, if the f64 does not
//! hold the number, its digits as text; text as its length and bytes (null as a length that no text
//! has); an image of bytes as its bytes.

use sha2::{Digest, Sha256};

use crate::column::Column;
use crate::plan::ColumnPlan;

/// A digest in the making.
#[derive(Clone)]
pub(crate) struct RowDigest {
    hash: Sha256,
    buffer: Vec<u8>,
}

/// Bytes that are hashed together.
const BUFFER: usize = 1 << 13;
/// Rows that are taken together: so few that the bytes of a wide row's tile stay in the cache.
const TILE_ROWS: usize = 64;

impl RowDigest {
    /// The digest of no rows of these columns.
    pub fn new<'a>(columns: impl Iterator<Item = &'a ColumnPlan>) -> Self {
        let mut hash = Sha256::new();
        for column in columns {
            hash.update((column.name.len() as u64).to_le_bytes());
            hash.update(column.name.as_bytes());
            hash.update(format!("{:?};", column.kind).as_bytes());
        }
        Self { hash, buffer: Vec::new() }
    }

    /// Adds rows of a block, in this order.
    pub fn push(&mut self, columns: &[&Column], rows: &[usize]) {
        let matrices: Option<Vec<(usize, &[f64])>> = columns
            .iter()
            .map(|column| match column {
                Column::Exact { .. } => None,
                column => column.matrix(),
            })
            .collect();
        match matrices {
            Some(matrices) => rows.chunks(TILE_ROWS).for_each(|tile| self.push_tile(&matrices, tile)),
            None => rows.iter().for_each(|row| self.push_row(columns, *row)),
        }
    }

    /// Adds a few rows of numbers, column by column, so that each column's rows are read together.
    fn push_tile(&mut self, matrices: &[(usize, &[f64])], rows: &[usize]) {
        let row_bytes: usize = matrices.iter().map(|(width, _)| size_of::<f64>() * width).sum();
        let start = self.buffer.len();
        self.buffer.resize(start + row_bytes * rows.len(), 0);
        let tile = &mut self.buffer[start..];
        let mut column_start = 0;
        for (width, values) in matrices {
            let places = rows.iter().zip(tile[column_start..].chunks_mut(row_bytes));
            if *width == 1 {
                places.for_each(|(row, bytes)| bytes[..size_of::<f64>()].copy_from_slice(&number(values[*row])));
            } else {
                for (row, bytes) in places {
                    let values = &values[row * width..][..*width];
                    bytes.as_chunks_mut().0.iter_mut().zip(values).for_each(|(bytes, value)| *bytes = number(*value));
                }
            }
            column_start += size_of::<f64>() * width;
        }
        self.flush_if_full();
    }

    fn push_row(&mut self, columns: &[&Column], row: usize) {
        for column in columns {
            match column {
                Column::Text(texts) => match texts.get(row) {
                    Some(text) => self.push_text(text),
                    None => self.buffer.extend_from_slice(&u64::MAX.to_le_bytes()),
                },
                Column::List { width, .. } => {
                    self.buffer.extend(column.numbers(row, *width).iter().copied().flat_map(number))
                }
                Column::Bytes { width, values } => self.buffer.extend_from_slice(&values[row * width..][..*width]),
                Column::Number(values) | Column::Boolean(values) => self.buffer.extend_from_slice(&number(values[row])),
                Column::Exact { values, digits } => {
                    self.buffer.extend_from_slice(&number(values[row]));
                    if let Some(digits) = digits.get(row) {
                        self.push_text(digits);
                    }
                }
            }
        }
        self.flush_if_full();
    }

    fn push_text(&mut self, text: &str) {
        self.buffer.extend_from_slice(&(text.len() as u64).to_le_bytes());
        self.buffer.extend_from_slice(text.as_bytes());
    }

    fn flush_if_full(&mut self) {
        if self.buffer.len() >= BUFFER {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.hash.update(&self.buffer);
        self.buffer.clear();
    }

    /// All bytes of the digest, in hexadecimal.
    pub fn whole(mut self) -> String {
        self.flush();
        hexadecimal(&self.hash.finalize())
    }

    /// The first half of the digest, in hexadecimal.
    pub fn half(self) -> String {
        let mut whole = self.whole();
        whole.truncate(32);
        whole
    }
}

/// A number's bytes; null has one pattern only.
fn number(value: f64) -> [u8; 8] {
    if value.is_nan() { f64::NAN.to_le_bytes() } else { value.to_le_bytes() }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::{ColumnKind, Numbers, Texts};

    fn digest(columns: &[&Column], groups: &[&[usize]]) -> String {
        let plan = ColumnPlan { name: "c".to_owned(), kind: ColumnKind::Number };
        let mut digest = RowDigest::new([&plan].into_iter());
        groups.iter().for_each(|rows| digest.push(columns, rows));
        digest.whole()
    }

    #[test]
    fn how_rows_are_grouped_changes_nothing_and_their_order_does() {
        let numbers = Column::Number((0..100).map(|i| if i % 7 == 0 { f64::NAN } else { f64::from(i) }).collect());
        let lists = Column::List { width: 3, values: (0..300).map(|i| f64::from(i) / 3.0).collect() };
        let rows: Vec<usize> = (0..100).collect();
        let whole = digest(&[&numbers, &lists], &[&rows]);
        assert_eq!(digest(&[&numbers, &lists], &[&rows[..1], &rows[1..40], &rows[40..]]), whole);
        let swapped: Vec<usize> = [1, 0].into_iter().chain(2..100).collect();
        assert_ne!(digest(&[&numbers, &lists], &[&swapped]), whole);
    }

    #[test]
    fn numbers_have_the_same_bytes_beside_text_and_without_it() {
        let columns =
            [Column::Number(vec![1.5, f64::NAN]), Column::List { width: 2, values: vec![0.0, -1.0, 2.0, 3.0] }];
        let columns: Vec<&Column> = columns.iter().collect();
        let (mut tiled, mut by_row) = (RowDigest::new([].into_iter()), RowDigest::new([].into_iter()));
        tiled.push(&columns, &[0, 1]);
        (0..2).for_each(|row| by_row.push_row(&columns, row));
        assert_eq!(tiled.whole(), by_row.whole());
    }

    #[test]
    fn numbers_that_differ_in_digits_alone_have_other_digests() {
        let exact = |digits: &str| {
            let mut numbers = Numbers::default();
            numbers.push(1.0);
            numbers.push_exact(9_007_199_254_740_992.0, digits);
            numbers.finish()
        };
        let (one, other) = (exact("9007199254740993"), exact("9007199254740991.5"));
        assert_ne!(digest(&[&one], &[&[0, 1]]), digest(&[&other], &[&[0, 1]]));
        assert_eq!(digest(&[&one], &[&[0]]), digest(&[&Column::Number(vec![1.0])], &[&[0]]));
    }

    #[test]
    fn a_null_text_is_no_empty_text() {
        let text = |value| {
            let mut texts = Texts::default();
            texts.push(value);
            Column::Text(texts)
        };
        assert_ne!(digest(&[&text(None)], &[&[0]]), digest(&[&text(Some(""))], &[&[0]]));
    }
}
