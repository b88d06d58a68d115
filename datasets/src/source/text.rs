//! Text files (CSV, NDJSON) as blocks of whole rows.
//!
//! One pass over a file finds where blocks of at most [`BLOCK_ROWS`] rows or about [`BLOCK_BYTES`]
//! begin. With that index, any rows can be read without what is before them, in the memory of a
//! block. A row ends at a line feed; in CSV one between quotes belongs to the row. Lines without
//! any character are not rows; in a CSV file of one column they are nulls.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// The most rows of a block.
pub(crate) const BLOCK_ROWS: u64 = 1 << 16;
/// A block ends with the row that reaches this size.
pub(crate) const BLOCK_BYTES: u64 = 16 << 20;

/// How rows are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Whether a line feed between quotes belongs to the row.
    pub quotes: bool,
    /// Whether an empty line is a row.
    pub blank_rows: bool,
}

/// Where a block begins: its first byte and its first row.
pub(crate) type Start = (u64, u64);

/// Finds ends of rows in bytes that are fed to it piece by piece.
struct Rows {
    rules: Rules,
    quoted: bool,
    /// Whether the present row has a character other than a carriage return.
    filled: bool,
}

impl Rows {
    fn new(rules: Rules) -> Self {
        Self { rules, quoted: false, filled: false }
    }

    /// The bytes up to and with the next line feed that ends a line outside quotes, and whether the
    /// line is a row; `None` if the piece ends first.
    fn next(&mut self, bytes: &[u8]) -> Option<(usize, bool)> {
        for (i, &byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' if !self.quoted => {
                    let row = self.filled || self.rules.blank_rows;
                    self.filled = false;
                    return Some((i + 1, row));
                }
                b'"' if self.rules.quotes => {
                    self.quoted = !self.quoted;
                    self.filled = true;
                }
                b'\r' => {}
                _ => self.filled = true,
            }
        }
        None
    }
}

/// The starts of the blocks from byte `start` on, and then the end of the file. `watch` is told how
/// many bytes have been looked at.
pub(crate) fn index(path: &Path, start: u64, rules: Rules, watch: &dyn Fn(u64)) -> io::Result<Vec<Start>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut rows = Rows::new(rules);
    let (mut byte, mut row) = (start, 0);
    let mut starts = vec![(start, 0)];
    loop {
        let piece = io::BufRead::fill_buf(&mut reader)?;
        if piece.is_empty() {
            break;
        }
        let mut at = 0;
        while let Some((length, is_row)) = rows.next(&piece[at..]) {
            at += length;
            row += u64::from(is_row);
            let (first_byte, first_row) = *starts.last().expect("there is a first block");
            let here = byte + at as u64;
            if row - first_row >= BLOCK_ROWS || here - first_byte >= BLOCK_BYTES {
                starts.push((here, row));
            }
        }
        byte += piece.len() as u64;
        watch(byte);
        let length = piece.len();
        io::BufRead::consume(&mut reader, length);
    }
    row += u64::from(rows.filled);
    if *starts.last().expect("there is a first block") != (byte, row) || starts.len() == 1 {
        starts.push((byte, row));
    }
    Ok(starts)
}

/// The rows of a block, without empty lines, each ended by a line feed.
pub(crate) fn block(path: &Path, start: Start, end: Start, rules: Rules) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start.0))?;
    let mut bytes = Vec::with_capacity((end.0 - start.0) as usize + 1);
    file.take(end.0 - start.0).read_to_end(&mut bytes)?;
    if bytes.last().is_some_and(|b| *b != b'\n') {
        bytes.push(b'\n');
    }
    let mut rows = Rows::new(rules);
    let (mut read, mut kept) = (0, 0);
    while let Some((length, is_row)) = rows.next(&bytes[read..]) {
        if is_row {
            bytes.copy_within(read..read + length, kept);
            kept += length;
        }
        read += length;
    }
    // What is left is an unfinished quotation: kept, so that the reader complains about it.
    bytes.copy_within(read.., kept);
    bytes.truncate(kept + bytes.len() - read);
    Ok(bytes)
}

/// The line, from 1, where row `row` (from 0) after byte `start` begins.
pub(crate) fn line_of(path: &Path, start: u64, row: u64, rules: Rules) -> io::Result<u64> {
    let bytes = std::fs::read(path)?;
    let start = start as usize;
    let mut rows = Rows::new(rules);
    let (mut at, mut seen) = (start, 0);
    while let Some((length, is_row)) = rows.next(&bytes[at..]) {
        if is_row && seen == row {
            break;
        }
        seen += u64::from(is_row);
        at += length;
    }
    Ok(1 + bytes[..at].iter().filter(|b| **b == b'\n').count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: Rules = Rules { quotes: true, blank_rows: false };

    fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.csv");
        std::fs::write(&path, text).expect("written");
        (folder, path)
    }

    #[test]
    fn quoted_line_feeds_and_blank_lines_do_not_end_rows() {
        let (_folder, path) = file("a,b\n1,\"x\ny\"\n\n\r\n2,z");
        let starts = index(&path, 4, CSV, &|_| {}).expect("indexed");
        assert_eq!(starts, [(4, 0), (18, 2)]);
        let bytes = block(&path, starts[0], starts[1], CSV).expect("read");
        assert_eq!(String::from_utf8(bytes).expect("text"), "1,\"x\ny\"\n2,z\n");
        assert_eq!(line_of(&path, 4, 1, CSV).expect("read"), 6);
    }

    #[test]
    fn many_rows_become_blocks_that_cover_the_file() {
        let text: String = (0..150_000).map(|i| format!("{i}\n")).collect();
        let (_folder, path) = file(&text);
        let starts = index(&path, 0, CSV, &|_| {}).expect("indexed");
        assert_eq!(starts.iter().map(|s| s.1).collect::<Vec<_>>(), [0, BLOCK_ROWS, 2 * BLOCK_ROWS, 150_000]);
        let second = block(&path, starts[1], starts[2], CSV).expect("read");
        assert!(second.starts_with(b"65536\n") && second.ends_with(b"\n131071\n"));
    }

    #[test]
    fn a_file_without_rows_has_one_empty_block() {
        let (_folder, path) = file("a,b\n");
        assert_eq!(index(&path, 4, CSV, &|_| {}).expect("indexed"), [(4, 0), (4, 0)]);
    }
}
