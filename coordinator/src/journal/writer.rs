//! Writing a journal: whole lines only, each result once.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::known::Known;
use super::{JournalError, Record, reader};

/// A journal open for appending.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
    cut_off: u64,
    known: Known,
    text: Vec<u8>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is a line of the journal now (or the part of it that was missing is).
    Written,
    /// It is a result that the journal has already, with the same values.
    Known,
}

impl Journal {
    /// Creates an empty journal.
    ///
    /// # Errors
    /// There is a file already, or it can't be created.
    pub fn create(path: &Path) -> Result<Journal, JournalError> {
        let file = OpenOptions::new().append(true).create_new(true).open(path);
        let file = file.map_err(|source| JournalError::Io { path: path.to_owned(), action: "creating", source })?;
        Ok(Journal { path: path.to_owned(), file, length: 0, cut_off: 0, known: Known::default(), text: Vec::new() })
    }

    /// Opens a journal to go on with it: cuts off what a crash left torn at its end, and learns which results are there.
    ///
    /// # Errors
    /// The file can't be read or cut, or a line before its last good one is not a record.
    pub fn open(path: &Path) -> Result<Journal, JournalError> {
        let failed = |action| move |source| JournalError::Io { path: path.to_owned(), action, source };
        let mut known = Known::default();
        let mut records = reader::read(path)?;
        let (mut good, mut torn) = (0, None);
        while let Some(record) = records.next() {
            match record {
                Err(error @ JournalError::Malformed { .. }) => drop(torn.get_or_insert(error)),
                Err(error) => return Err(error),
                // A good line after a bad one: that is damage in the middle, not a torn end.
                Ok(_) if torn.is_some() => return Err(torn.take().expect("just seen")),
                Ok(record) => {
                    good = records.offset();
                    if let Record::Result { outcome, .. } = record {
                        known.insert(outcome);
                    }
                }
            }
        }
        let file = OpenOptions::new().append(true).open(path).map_err(failed("opening"))?;
        let length = file.metadata().map_err(failed("reading"))?.len();
        if length > good {
            file.set_len(good).map_err(failed("cutting off a torn line"))?;
            file.sync_all().map_err(failed("syncing"))?;
        }
        Ok(Journal { path: path.to_owned(), file, length: good, cut_off: length - good, known, text: Vec::new() })
    }

    /// Appends one record. It is in the file (not yet on the disk: [`Journal::sync`]) when this returns.
    ///
    /// # Errors
    /// As [`Journal::append_all`].
    pub fn append(&mut self, record: &Record) -> Result<Appended, JournalError> {
        let written = self.append_all(std::slice::from_ref(record))?;
        Ok(if written == 0 { Appended::Known } else { Appended::Written })
    }

    /// Appends records with one write, leaving out results that the journal has already; returns how many it wrote.
    ///
    /// # Errors
    /// The write fails (then none of them is in the file), or a result is not equal to the one in the journal.
    pub fn append_all(&mut self, records: &[Record]) -> Result<usize, JournalError> {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let mut count = 0;
        for record in records {
            let rest = match record {
                Record::Result { time_ms, outcome } if !self.known.is_empty() => match self.missing(outcome)? {
                    None => continue,
                    Some(outcome) => Some(Record::result(*time_ms, outcome)),
                },
                _ => None,
            };
            serde_json::to_writer(&mut text, rest.as_ref().unwrap_or(record))
                .expect("a record has text keys and serialises");
            text.push(b'\n');
            count += 1;
        }
        if count > 0 {
            self.write(&text)?;
        }
        self.text = text;
        Ok(count)
    }

    /// Makes sure that everything appended so far survives a loss of power.
    ///
    /// # Errors
    /// The system can't promise that.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.file.sync_data().map_err(|source| JournalError::Io { path: self.path.clone(), action: "syncing", source })
    }

    /// Bytes of a torn last line that [`Journal::open`] cut off.
    pub fn cut_off(&self) -> u64 {
        self.cut_off
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn missing(&self, outcome: &super::Outcome) -> Result<Option<super::Outcome>, JournalError> {
        self.known.missing(outcome).map_err(|d| JournalError::Differs {
            path: self.path.clone(),
            what: d.what,
            recorded: d.recorded,
            found: d.found,
        })
    }

    fn write(&mut self, text: &[u8]) -> Result<(), JournalError> {
        if let Err(source) = self.file.write_all(text) {
            // Nothing of it stays. Where even that fails, the next open cuts it off.
            let _ = self.file.set_len(self.length);
            return Err(JournalError::Io { path: self.path.clone(), action: "writing", source });
        }
        self.length += text.len() as u64;
        Ok(())
    }
}
