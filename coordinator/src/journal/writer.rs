//! Writing a journal: whole lines only, each result once.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::known::Known;
use super::{JournalError, Record, reader};
use crate::digest;
use crate::disk::{Disk, LocalDisk, Operation};

/// Records that may wait for a disk that does not take them, in bytes of their text.
const WAITING_MAX: usize = 64 << 20;

/// A journal open for appending.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    disk: Arc<dyn Disk>,
    /// Bytes of whole records in the file, and their hash.
    length: u64,
    hash: Sha256,
    /// The file may have more than that: a write failed, and could not be taken back yet.
    torn: bool,
    cut_off: u64,
    known: Known,
    /// Records that are not in the file yet.
    waiting: Vec<u8>,
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
        Journal::create_on(Arc::new(LocalDisk), path)
    }

    /// Creates an empty journal that is written by way of `disk`.
    ///
    /// # Errors
    /// As [`Journal::create`].
    pub fn create_on(disk: Arc<dyn Disk>, path: &Path) -> Result<Journal, JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), action: "creating", source };
        if path.try_exists().map_err(failed)? {
            return Err(failed(std::io::ErrorKind::AlreadyExists.into()));
        }
        disk.perform(Operation::Write(path, &[])).map_err(failed)?;
        let file = OpenOptions::new().append(true).open(path).map_err(failed)?;
        Ok(Journal::of(path, file, 0, Sha256::new(), Known::default()).with_disk(disk))
    }

    /// Opens a journal to go on with it from its start: see [`Journal::open_at`].
    ///
    /// # Errors
    /// As [`Journal::open_at`].
    pub fn open(path: &Path) -> Result<Journal, JournalError> {
        Journal::open_at(path, 0)
    }

    /// Opens a journal to go on with it after `step` updates: cuts off what a crash left torn at
    /// its end, and learns which of the results that will be computed again are there.
    ///
    /// # Errors
    /// The file can't be read or cut, or a line before its last good one is not a record.
    pub fn open_at(path: &Path, step: u64) -> Result<Journal, JournalError> {
        let failed = |action| move |source| JournalError::Io { path: path.to_owned(), action, source };
        let mut known = Known::from(step);
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
        let hash = digest::hash_start_of(path, good).map_err(failed("reading"))?;
        let mut journal = Journal::of(path, file, good, hash, known);
        journal.cut_off = length - good;
        if journal.cut_off > 0 {
            journal.torn = true;
            journal.sync()?;
        }
        Ok(journal)
    }

    fn of(path: &Path, file: File, length: u64, hash: Sha256, known: Known) -> Journal {
        let disk = Arc::new(LocalDisk);
        Journal { path: path.to_owned(), file, disk, length, hash, torn: false, cut_off: 0, known, waiting: Vec::new() }
    }

    /// The same journal, written by way of `disk`.
    #[must_use]
    pub fn with_disk(self, disk: Arc<dyn Disk>) -> Journal {
        Journal { disk, ..self }
    }

    /// Appends one record. It is in the file (not yet on the disk: [`Journal::sync`]) when this
    /// returns.
    ///
    /// # Errors
    /// As [`Journal::append_all`].
    pub fn append(&mut self, record: &Record) -> Result<Appended, JournalError> {
        let written = self.append_all(std::slice::from_ref(record))?;
        Ok(if written == 0 { Appended::Known } else { Appended::Written })
    }

    /// Appends records with one write, leaving out results that the journal has already; returns
    /// how many were new.
    ///
    /// Once a write has failed, records wait, in order, until [`Journal::flush`] or
    /// [`Journal::sync`] gets them into the file.
    ///
    /// # Errors
    /// The write fails: then none of these records is in the file, and all wait. Or more wait than
    /// can be held, or a result is not equal to the one in the journal.
    pub fn append_all(&mut self, records: &[Record]) -> Result<usize, JournalError> {
        let behind = self.is_behind();
        let start = self.waiting.len();
        let mut count = 0;
        for record in records {
            let rest = match record {
                Record::Result { time_ms, outcome } if !self.known.is_empty() => match self.missing(outcome) {
                    Ok(None) => continue,
                    Ok(Some(outcome)) => Some(Record::result(*time_ms, outcome)),
                    Err(differs) => {
                        self.waiting.truncate(start);
                        return Err(differs);
                    }
                },
                _ => None,
            };
            serde_json::to_writer(&mut self.waiting, rest.as_ref().unwrap_or(record))
                .expect("a record has text keys and serialises");
            self.waiting.push(b'\n');
            count += 1;
        }
        if self.waiting.len() > WAITING_MAX {
            return Err(JournalError::Behind { path: self.path.clone(), bytes: self.waiting.len() });
        }
        if !behind {
            self.flush()?;
        }
        Ok(count)
    }

    /// Whether records wait because a write has failed.
    pub fn is_behind(&self) -> bool {
        self.torn || !self.waiting.is_empty()
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// The write fails: nothing of it stays in the file, and all of it waits.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        self.cut()?;
        if self.waiting.is_empty() {
            return Ok(());
        }
        if let Err(source) = self.disk.perform(Operation::Append(&self.path, &self.file, &self.waiting)) {
            self.torn = true;
            // Where even that fails, it is tried again before anything else is written, or by the
            // next one who opens.
            let _ = self.cut();
            return Err(JournalError::Io { path: self.path.clone(), action: "writing", source });
        }
        self.length += self.waiting.len() as u64;
        self.hash.update(&self.waiting);
        self.waiting.clear();
        Ok(())
    }

    /// Makes sure that everything appended so far survives a loss of power.
    ///
    /// # Errors
    /// The system can't promise that.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.flush()?;
        let synced = self.disk.perform(Operation::Sync(&self.path));
        synced.map_err(|source| JournalError::Io { path: self.path.clone(), action: "syncing", source })
    }

    /// Bytes of the records in the file.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Their sha256, as lowercase hexadecimal digits; none where somebody else has written to the
    /// file: a coordinator that was taken over may finish the operation that it was in.
    pub fn sha256(&self) -> Option<String> {
        let is_ours = self.file.metadata().is_ok_and(|metadata| metadata.len() == self.length);
        is_ours.then(|| digest::to_hex(self.hash.clone()))
    }

    /// Bytes of a torn last line that [`Journal::open_at`] cut off.
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

    /// Cuts off what is not a whole record.
    fn cut(&mut self) -> Result<(), JournalError> {
        if self.torn {
            let cut = self.disk.perform(Operation::Cut(&self.file, self.length));
            cut.map_err(|source| JournalError::Io {
                path: self.path.clone(),
                action: "cutting off a torn line",
                source,
            })?;
            self.torn = false;
        }
        Ok(())
    }
}
