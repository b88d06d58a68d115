//! Digests of rows, by which a worker knows that it reads the same data as the coordinator.
//!
//! A digest is the sha256 of the rows of a partition or chunk in the file's order: first the names and kinds of the columns, then for
//! each row and column the value as it was decoded, whatever the format: numbers as the eight bytes of an f64 (null as one
//! fixed NaN), text as its length and bytes (null as a length that no text has).

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

    /// Adds a row of a block.
    pub fn push(&mut self, columns: &[&Column], row: usize) {
        for column in columns {
            match column {
                Column::Text(texts) => match texts.get(row) {
                    Some(text) => {
                        self.buffer.extend_from_slice(&(text.len() as u64).to_le_bytes());
                        self.buffer.extend_from_slice(text.as_bytes());
                    }
                    None => self.buffer.extend_from_slice(&u64::MAX.to_le_bytes()),
                },
                Column::List { width, .. } => self.numbers(column.numbers(row, *width)),
                Column::Number(_) | Column::Boolean(_) => self.numbers(column.numbers(row, 1)),
            }
        }
        if self.buffer.len() >= BUFFER {
            self.flush();
        }
    }

    fn numbers(&mut self, values: &[f64]) {
        for value in values {
            let bits = if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
            self.buffer.extend_from_slice(&bits.to_le_bytes());
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

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
