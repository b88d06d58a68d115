//! Text files (CSV, JSON) as blocks of whole rows.
//!
//! One pass over a file finds where blocks of at most [`BLOCK_ROWS`] rows or about [`BLOCK_BYTES`]
//! begin. With that index, any rows can be read without what is before them, in the memory of a
//! block. A file that gzip or Zstandard compressed is read like the text in it: places are those of
//! the text, and what is before them is decompressed on the way.
//!
//! A row of CSV or NDJSON ends at a line feed; in CSV one between quotes belongs to the row. Lines
//! without any character are not rows; in a CSV file of one column they are nulls. A row of a JSON
//! array is an object of it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use polars::io::utils::compression::{ByteSourceReader, SupportedCompression};

use super::Fault;

/// The most rows of a block.
pub(crate) const BLOCK_ROWS: u64 = 1 << 16;
/// A block ends with the row that reaches this size.
pub(crate) const BLOCK_BYTES: u64 = 16 << 20;
/// The most bytes of a row.
const ROW_BYTES_MAX: u64 = 1 << 30;

/// How rows are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// CSV: lines; a line feed between quotes belongs to the row. With `blank_rows`, an empty line
    /// is a row.
    Csv { blank_rows: bool },
    /// NDJSON: lines.
    Lines,
    /// A JSON array, from behind its bracket: objects, with commas and blanks between them.
    Objects,
}

/// Where a block begins: its first byte and its first row.
pub(crate) type Start = (u64, u64);

/// Finds ends of rows in bytes that are fed to it piece by piece.
pub(crate) struct Rows {
    rules: Rules,
    quoted: bool,
    /// Whether the present row has a character other than a carriage return.
    filled: bool,
    /// Open brackets of the present object.
    depth: u64,
    /// Whether the last character of a JSON text was a backslash.
    escaped: bool,
}

impl Rows {
    pub fn new(rules: Rules) -> Self {
        Self { rules, quoted: false, filled: false, depth: 0, escaped: false }
    }

    /// The bytes up to and with the end of a line or object, and whether it is a row; `None` if the
    /// piece ends first.
    pub fn next(&mut self, bytes: &[u8]) -> Option<(usize, bool)> {
        match self.rules {
            Rules::Objects => self.next_object(bytes),
            Rules::Csv { blank_rows } => self.next_line(bytes, true, blank_rows),
            Rules::Lines => self.next_line(bytes, false, false),
        }
    }

    fn next_line(&mut self, bytes: &[u8], quotes: bool, blank_rows: bool) -> Option<(usize, bool)> {
        for (i, &byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' if !self.quoted => {
                    let row = self.filled || blank_rows;
                    self.filled = false;
                    return Some((i + 1, row));
                }
                b'"' if quotes => {
                    self.quoted = !self.quoted;
                    self.filled = true;
                }
                b'\r' => {}
                _ => self.filled = true,
            }
        }
        None
    }

    fn next_object(&mut self, bytes: &[u8]) -> Option<(usize, bool)> {
        for (i, &byte) in bytes.iter().enumerate() {
            if self.quoted {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.quoted = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.quoted = true,
                b'{' | b'[' => self.depth += 1,
                b']' if self.depth == 0 => continue,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        self.filled = false;
                        return Some((i + 1, true));
                    }
                }
                b',' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => continue,
                _ => {}
            }
            self.filled = true;
        }
        None
    }
}

/// The text of a file from any byte on, which it reads from front to back.
pub(crate) struct Text {
    reader: Reader,
    position: u64,
}

enum Reader {
    Plain(BufReader<File>),
    Compressed(BufReader<Box<dyn Read + Send>>),
}

impl Text {
    /// At the first byte.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut first = Vec::new();
        file.by_ref().take(4).read_to_end(&mut first)?;
        file.rewind()?;
        let file = BufReader::with_capacity(1 << 20, file);
        let reader = match SupportedCompression::check(&first) {
            // A zlib stream has no sure mark: two of its bytes may be the text `x^`.
            None | Some(SupportedCompression::ZLIB) => Reader::Plain(file),
            compression => {
                let wrong = |error: polars::prelude::PolarsError| io::Error::other(error.to_string());
                let decompressed: Box<dyn Read + Send> =
                    match ByteSourceReader::try_new(file, compression).map_err(wrong)? {
                        ByteSourceReader::Gzip(reader) => Box::new(reader),
                        ByteSourceReader::Zlib(reader) => Box::new(reader),
                        ByteSourceReader::Zstd(reader) => Box::new(reader),
                        ByteSourceReader::UncompressedStream(reader) => Box::new(reader),
                        ByteSourceReader::UncompressedMemory { .. } => unreachable!("the file is not in memory"),
                    };
                Reader::Compressed(BufReader::with_capacity(1 << 20, decompressed))
            }
        };
        Ok(Self { reader, position: 0 })
    }

    /// The bytes of a block, ended by a line feed.
    pub fn block(&mut self, path: &Path, start: Start, end: Start) -> io::Result<Vec<u8>> {
        self.seek(path, start.0)?;
        let length = end.0 - start.0;
        let mut bytes = Vec::with_capacity(length as usize + 1);
        self.by_ref().take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != length {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than it was before"));
        }
        if bytes.last().is_some_and(|b| *b != b'\n') {
            bytes.push(b'\n');
        }
        Ok(bytes)
    }

    fn seek(&mut self, path: &Path, to: u64) -> io::Result<()> {
        if to == self.position {
            return Ok(());
        }
        if let Reader::Plain(reader) = &mut self.reader {
            reader.seek(SeekFrom::Start(to))?;
            self.position = to;
            return Ok(());
        }
        if to < self.position {
            *self = Self::open(path)?;
        }
        let before = to - self.position;
        io::copy(&mut self.by_ref().take(before), &mut io::sink())?;
        Ok(())
    }
}

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = match &mut self.reader {
            Reader::Plain(reader) => reader.read(buffer),
            Reader::Compressed(reader) => reader.read(buffer),
        }?;
        self.position += length as u64;
        Ok(length)
    }
}

impl BufRead for Text {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &mut self.reader {
            Reader::Plain(reader) => reader.fill_buf(),
            Reader::Compressed(reader) => reader.fill_buf(),
        }
    }

    fn consume(&mut self, length: usize) {
        self.position += length as u64;
        match &mut self.reader {
            Reader::Plain(reader) => reader.consume(length),
            Reader::Compressed(reader) => reader.consume(length),
        }
    }
}

/// The text of a block.
pub(crate) fn checked(bytes: &[u8], rules: Rules) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|error| {
        let byte = error.valid_up_to();
        let (mut rows, mut at, mut row) = (Rows::new(rules), 0, 0);
        while let Some((length, is_row)) = rows.next(&bytes[at..byte]) {
            at += length;
            row += u64::from(is_row);
        }
        Fault::of_row(row, byte, format!("byte {:#04x} is not UTF-8 text", bytes[byte]))
    })
}

/// The starts of the blocks from byte `start` on, and then the end of the file. `watch` is told how
/// many bytes have been looked at.
pub(crate) fn index(path: &Path, start: u64, rules: Rules, watch: &dyn Fn(u64)) -> io::Result<Vec<Start>> {
    let mut text = Text::open(path)?;
    text.seek(path, start)?;
    let mut rows = Rows::new(rules);
    let (mut byte, mut row) = (start, 0);
    let mut starts = vec![(start, 0)];
    loop {
        let piece = text.fill_buf()?;
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
        text.consume(length);
        if byte - starts.last().expect("there is a first block").0 > ROW_BYTES_MAX {
            let reason = format!("row {} has more than 1 GiB: does a quotation in it have no end?", row + 1);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
    }
    row += u64::from(rows.filled);
    if *starts.last().expect("there is a first block") != (byte, row) || starts.len() == 1 {
        starts.push((byte, row));
    }
    Ok(starts)
}

/// The line, from 1, where the row `row` (from 0, counted in the file) of a block begins.
pub(crate) fn line_of(path: &Path, block: (Start, Start), row: u64, rules: Rules) -> io::Result<u64> {
    let bytes = Text::open(path)?.block(path, block.0, block.1)?;
    let mut rows = Rows::new(rules);
    let (mut at, mut seen) = (0, block.0.1);
    while let Some((length, is_row)) = rows.next(&bytes[at..]) {
        if is_row && seen == row {
            break;
        }
        seen += u64::from(is_row);
        at += length;
    }
    if rules == Rules::Objects {
        at += bytes[at..].iter().take_while(|byte| matches!(byte, b',' | b' ' | b'\t' | b'\r' | b'\n')).count();
    }
    line_at(path, block.0.0 + at as u64)
}

/// The line, from 1, with the byte `at`.
pub(crate) fn line_at(path: &Path, at: u64) -> io::Result<u64> {
    let mut before = Text::open(path)?.take(at);
    let mut line = 1;
    loop {
        let piece = before.fill_buf()?;
        if piece.is_empty() {
            return Ok(line);
        }
        line += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        let length = piece.len();
        before.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: Rules = Rules::Csv { blank_rows: false };

    fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.csv");
        std::fs::write(&path, text).expect("written");
        (folder, path)
    }

    fn block(path: &Path, start: Start, end: Start) -> Vec<u8> {
        Text::open(path).and_then(|mut text| text.block(path, start, end)).expect("read")
    }

    #[test]
    fn quoted_line_feeds_and_blank_lines_do_not_end_rows() {
        let (_folder, path) = file("a,b\n1,\"x\ny\"\n\n\r\n2,z");
        let starts = index(&path, 4, CSV, &|_| {}).expect("indexed");
        assert_eq!(starts, [(4, 0), (18, 2)]);
        assert_eq!(line_of(&path, (starts[0], starts[1]), 1, CSV).expect("read"), 6);
    }

    #[test]
    fn many_rows_become_blocks_that_cover_the_file() {
        let text: String = (0..150_000).map(|i| format!("{i}\n")).collect();
        let (_folder, path) = file(&text);
        let starts = index(&path, 0, CSV, &|_| {}).expect("indexed");
        assert_eq!(starts.iter().map(|s| s.1).collect::<Vec<_>>(), [0, BLOCK_ROWS, 2 * BLOCK_ROWS, 150_000]);
        let second = block(&path, starts[1], starts[2]);
        assert!(second.starts_with(b"65536\n") && second.ends_with(b"\n131071\n"));
        assert_eq!(line_of(&path, (starts[1], starts[2]), 70_000, CSV).expect("read"), 70_001);
    }

    #[test]
    fn objects_of_an_array_are_rows_wherever_their_lines_end() {
        let text = "[{\"a\": 1}, {\n  \"b\": \"]}\\\"\"\n},\n\n  {\"c\": [{}]} ]\n";
        let (_folder, path) = file(text);
        let starts = index(&path, 1, Rules::Objects, &|_| {}).expect("indexed");
        assert_eq!(starts, [(1, 0), (text.len() as u64, 3)]);
        let lines = [0, 1, 2].map(|row| line_of(&path, (starts[0], starts[1]), row, Rules::Objects).expect("read"));
        assert_eq!(lines, [1, 1, 5]);
    }

    #[test]
    fn a_file_without_rows_has_one_empty_block() {
        let (_folder, path) = file("a,b\n");
        assert_eq!(index(&path, 4, CSV, &|_| {}).expect("indexed"), [(4, 0), (4, 0)]);
    }
}
