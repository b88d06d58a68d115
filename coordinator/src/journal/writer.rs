//! Writes a journal: whole lines only, each result once.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::known::Known;
use super::{JournalError, Record, reader};
use crate::digest;
use crate::disk::{Disk, LocalDisk, Operation};

/// How many bytes of records may wait while the disk accepts none: 64 MiB.
const WAITING_MAX: usize = 64 << 20;

/// A journal open for appending.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    disk: Arc<dyn Disk>,
    /// The length in bytes of the whole records in the file.
    length: u64,
    /// A hasher over those records.
    hash: Sha256,
    /// Whether the file may have more bytes: a write failed, and its bytes are not cut off yet.
    torn: bool,
    /// The length in bytes of the torn end that was cut off when the journal was opened.
    cut_off: u64,
    known: Known,
    /// Records that are not in the file yet.
    waiting: Vec<u8>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is a line of the journal now, or the part of it that was missing.
    Written,
    /// It is a result that the journal had already, with the same values.
    Known,
}

impl Journal {
    /// Creates an empty journal.
    ///
    /// # Errors
    /// The file exists already, or can't be created.
    pub fn create(path: &Path) -> Result<Journal, JournalError> {
        Journal::create_on(Arc::new(LocalDisk), path)
    }

    /// Creates an empty journal that is written through `disk`.
    ///
    /// # Errors
    /// As [`Journal::create`].
    pub fn create_on(disk: Arc<dyn Disk>, path: &Path) -> Result<Journal, JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), action: "creating", source };
        if path.try_exists().map_err(failed)? {
            return Err(failed(ErrorKind::AlreadyExists.into()));
        }
        disk.perform(Operation::Write(path, &[])).map_err(failed)?;
        let file = OpenOptions::new().append(true).open(path).map_err(failed)?;
        Ok(Journal::of(path, file, 0, Sha256::new(), Known::default()).with_disk(disk))
    }

    /// Opens a journal for a run that goes on from its first step: see [`Journal::open_at`].
    ///
    /// # Errors
    /// As [`Journal::open_at`].
    pub fn open(path: &Path) -> Result<Journal, JournalError> {
        Journal::open_at(path, 0)
    }

    /// Opens a journal for a run that goes on after `step` updates. It cuts off a torn end that a
    /// crash left, and indexes the results that will be computed again.
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
                // A good line after a bad one means damage in the middle, not a torn end.
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

    /// The journal, written through `disk` from now on.
    #[must_use]
    pub fn with_disk(self, disk: Arc<dyn Disk>) -> Journal {
        Journal { disk, ..self }
    }

    /// Appends one record. It is in the file when this returns, and on the disk after
    /// [`Journal::sync`].
    ///
    /// # Errors
    /// As [`Journal::append_all`].
    pub fn append(&mut self, record: &Record) -> Result<Appended, JournalError> {
        let written = self.append_all(std::slice::from_ref(record))?;
        Ok(if written == 0 { Appended::Known } else { Appended::Written })
    }

    /// Appends records with one write, and returns how many were new. Results that the journal has
    /// already are left out.
    ///
    /// After a failed write, records wait in order until [`Journal::flush`] or [`Journal::sync`]
    /// writes them.
    ///
    /// # Errors
    /// The write fails: then none of these records is in the file, and all of them wait. Or too
    /// many records wait. Or a result is not equal to the recorded one.
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

    /// Whether a write has failed and was not repeated yet.
    pub fn is_behind(&self) -> bool {
        self.torn || !self.waiting.is_empty()
    }

    /// Writes the records that wait.
    ///
    /// # Errors
    /// The write fails: none of them is in the file, and all of them wait.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        self.cut()?;
        if self.waiting.is_empty() {
            return Ok(());
        }
        if let Err(source) = self.disk.perform(Operation::Append(&self.path, &self.file, &self.waiting)) {
            self.torn = true;
            // If cutting fails too, it is retried before the next write, or when the journal is
            // opened again.
            let _ = self.cut();
            return Err(JournalError::Io { path: self.path.clone(), action: "writing", source });
        }
        self.length += self.waiting.len() as u64;
        self.hash.update(&self.waiting);
        self.waiting.clear();
        Ok(())
    }

    /// Makes sure that all records appended so far survive a loss of power.
    ///
    /// # Errors
    /// Writing or syncing fails.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.flush()?;
        let synced = self.disk.perform(Operation::Sync(&self.path));
        synced.map_err(|source| JournalError::Io { path: self.path.clone(), action: "syncing", source })
    }

    /// Checks that the file is still at its path. It costs two system calls.
    ///
    /// # Errors
    /// [`JournalError::Gone`] if nothing is at the path, or another file.
    pub fn check_place(&self) -> Result<(), JournalError> {
        // A file system that can't answer counts as unchanged: the next write will fail.
        let is_elsewhere = match (self.file.metadata(), fs::metadata(&self.path)) {
            (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) != (there.dev(), there.ino()),
            (_, Err(error)) => error.kind() == ErrorKind::NotFound,
            (Err(_), Ok(_)) => false,
        };
        if is_elsewhere { Err(JournalError::Gone { path: self.path.clone() }) } else { Ok(()) }
    }

    /// The length in bytes of the records in the file.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The sha256 of the records in the file, as 64 lowercase hexadecimal digits.
    ///
    /// `None` if somebody else has written to the file: a fenced coordinator may still finish the
    /// operation that it was in.
    pub fn sha256(&self) -> Option<String> {
        let is_ours = self.file.metadata().is_ok_and(|metadata| metadata.len() == self.length);
        is_ours.then(|| digest::to_hex(self.hash.clone()))
    }

    /// The length in bytes of the torn end that [`Journal::open_at`] cut off. 0 if there was none.
    pub fn cut_off(&self) -> u64 {
        self.cut_off
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The part of a result that is not in the journal yet.
    fn missing(&self, outcome: &super::Outcome) -> Result<Option<super::Outcome>, JournalError> {
        self.known.missing(outcome).map_err(|d| JournalError::Differs {
            path: self.path.clone(),
            what: d.what,
            recorded: d.recorded,
            found: d.found,
        })
    }

    /// Cuts off the bytes of a write that failed.
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
