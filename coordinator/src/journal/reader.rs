//! Reads a journal: all of it, or what was added since the last read.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::number::quote_fractions;
use super::{JournalError, Record};

/// Reads a journal from its start.
///
/// A last line without a line end is being written, or was torn by a crash. It is not part of the
/// journal.
///
/// # Errors
/// The file can't be opened. Each item may be an error too: the file can't be read, or a line is
/// not a record.
pub fn read(path: &Path) -> Result<Reader, JournalError> {
    let file =
        File::open(path).map_err(|source| JournalError::Io { path: path.to_owned(), action: "opening", source })?;
    Ok(Reader {
        path: path.to_owned(),
        file: BufReader::with_capacity(1 << 16, file),
        buffer: Vec::new(),
        line: 0,
        offset: 0,
        done: false,
    })
}

/// The records of a journal, in order. Made by [`read`].
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    buffer: Vec<u8>,
    line: u64,
    offset: u64,
    done: bool,
}

impl Reader {
    /// The position after the line that was read last, in bytes.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }
}

impl Iterator for Reader {
    type Item = Result<Record, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        self.buffer.clear();
        if let Err(source) = self.file.read_until(b'\n', &mut self.buffer) {
            self.done = true;
            return Some(Err(JournalError::Io { path: self.path.clone(), action: "reading", source }));
        }
        if self.buffer.pop() != Some(b'\n') {
            self.done = true;
            return None;
        }
        self.line += 1;
        self.offset += self.buffer.len() as u64 + 1;
        Some(parse(&self.buffer).map_err(|message| JournalError::Malformed {
            path: self.path.clone(),
            line: self.line,
            message,
        }))
    }
}

/// Parses one line, given without its line end.
pub(super) fn parse(line: &[u8]) -> Result<Record, String> {
    let text = std::str::from_utf8(line).map_err(|e| e.to_string())?;
    serde_json::from_str(&quote_fractions(text)).map_err(|error| {
        // The parser's place is removed: it counts from this line, and it counts the added quotes.
        let place = format!(" at line {} column {}", error.line(), error.column());
        error.to_string().replace(&place, "")
    })
}

/// Follows a journal that another part of the program writes.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    position: u64,
}

impl Tail {
    /// Follows the journal at `path` from a position in bytes: 0, or one that [`Tail::position`]
    /// returned.
    ///
    /// A position after the file's end means the start: the machine lost the file's last bytes.
    pub fn new(path: &Path, position: u64) -> Tail {
        Tail { path: path.to_owned(), position }
    }

    /// The position after the last record returned, in bytes.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next records, from at most about `bytes_max` bytes of text. Empty if nothing was added.
    /// Lines that are not records are left out.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn next(&mut self, bytes_max: usize) -> Result<Vec<Record>, JournalError> {
        let path = &self.path;
        let failed = |action| move |source| JournalError::Io { path: path.clone(), action, source };
        let mut file = File::open(path).map_err(failed("opening"))?;
        let length = file.metadata().map_err(failed("reading"))?.len();
        if self.position > length {
            self.position = 0;
        }
        file.seek(SeekFrom::Start(self.position)).map_err(failed("seeking"))?;
        let mut text = Vec::new();
        file.by_ref().take(bytes_max as u64).read_to_end(&mut text).map_err(failed("reading"))?;
        if !text.contains(&b'\n') && text.len() == bytes_max {
            // A line longer than the limit is read whole.
            BufReader::new(file).read_until(b'\n', &mut text).map_err(failed("reading"))?;
        }
        let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        self.position += whole as u64;
        Ok(text[..whole].split(|&b| b == b'\n').filter_map(|line| parse(line).ok()).collect())
    }
}
