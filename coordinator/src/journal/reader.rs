//! Reading a journal: all of it, or what has been added since.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::number::quote_fractions;
use super::{JournalError, Record};

/// Reads a journal from its start.
///
/// A last line without its line end is one that is being written or was torn by a crash: it is not
/// part of the journal.
///
/// # Errors
/// The file can't be opened. Each item may be an error too: one that can't be read, or a line that
/// is no record.
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
    /// Bytes up to the end of the line that was read last.
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

/// Parses one line, without its line end.
pub(super) fn parse(line: &[u8]) -> Result<Record, String> {
    let text = std::str::from_utf8(line).map_err(|e| e.to_string())?;
    serde_json::from_str(&quote_fractions(text)).map_err(|error| {
        // The parser counts lines of what it was given, and columns with the quotes in them.
        let place = format!(" at line {} column {}", error.line(), error.column());
        error.to_string().replace(&place, "")
    })
}

/// Follows a journal that another part of the program is writing.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    position: u64,
}

impl Tail {
    /// Follows the journal at `path` from a byte position, which is 0 or one that
    /// [`Tail::position`] gave.
    ///
    /// A position beyond the file's end (a file whose last bytes were lost with the machine) means
    /// the start.
    pub fn new(path: &Path, position: u64) -> Tail {
        Tail { path: path.to_owned(), position }
    }

    /// Bytes up to the end of the last record returned.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next records, at most about `bytes_max` of text; empty where nothing was added. Lines
    /// that are no record are left out.
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
            // One line longer than the limit: it is read whole.
            BufReader::new(file).read_until(b'\n', &mut text).map_err(failed("reading"))?;
        }
        let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        self.position += whole as u64;
        Ok(text[..whole].split(|&b| b == b'\n').filter_map(|line| parse(line).ok()).collect())
    }
}
