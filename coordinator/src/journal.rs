//! The journal: the append-only record of a run, one JSON object a line.
//!
//! `journal.jsonl` is the complete record of a run. Everything that shows a run (MLflow, the
//! commands that print tables) reads the journal and nothing else. So nothing is lost if a tracking
//! server is slow or down.
//!
//! # Two kinds of record
//!
//! A `result` depends on the experiment and the build alone. Two runs write the same results, for
//! any number of workers and any failures; only `time_ms` differs. Everything else is `observed`:
//! speeds, workers that join and leave, warnings. [`Record`] documents the schema.
//!
//! # What holds
//!
//! - A record is one whole line, written with one call. If a write fails in the middle, the bytes
//!   that were written are cut off, and the records wait for a retry. A line torn by a crash is cut
//!   off when the journal is next opened ([`Journal::open_at`]). So every line of a journal in use
//!   parses.
//! - A time stamp is in milliseconds since the Unix epoch. The caller sets it when the record is
//!   made. So a record that is sent twice to a tracking server is the same point twice.
//! - A number that JSON can't hold is the string `"NaN"`, `"Infinity"` or `"-Infinity"`. Every
//!   other number reads back with the same bits. A floating-point number has a fraction or an
//!   exponent in the text; a whole number does not.
//! - A run that resumes computes some results again. A result that is in the journal is not written
//!   a second time, and must be equal to the recorded one. If it is not, the bits have changed, and
//!   [`JournalError::Differs`] says which result.
//!
//! # What it leaves out
//!
//! The journal knows no clock, no network and no thread. The run folder's lock ([`crate::folder`])
//! makes sure that one process at a time writes it.

mod known;
mod number;
mod reader;
mod record;
mod writer;

use std::path::PathBuf;

pub use number::Number;
pub use reader::{Reader, Tail, read};
pub use record::{CertificateRecord, Observation, Outcome, Reason, Record, SCHEMA, Status, WeightingRecord, flatten};
pub use writer::{Appended, Journal};

/// Why a journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file could not be created, read, written or synced.
    #[error("journal {}: {action} failed: {source}", path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// What was being done, for example `writing`.
        action: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
    /// A line before the end of the file is not a record.
    #[error("journal {}, line {line} is not a record: {message}. It was damaged or changed since it was written: restore the file from a copy", path.display())]
    Malformed {
        /// The journal.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        message: String,
    },
    /// The disk accepts no records, and too many of them wait.
    #[error("journal {}: the disk accepts no records, and {bytes} bytes of them wait, which is too many: make room on the disk and resume the run", path.display())]
    Behind {
        /// The journal.
        path: PathBuf,
        /// Length in bytes of the records that wait.
        bytes: usize,
    },
    /// The file is not at its path any more.
    #[error(
        "journal {}: it was removed or moved while the run went on, and nothing can be recorded any more: put it back \
         and resume the run from its last checkpoint, or begin the run again",
        path.display()
    )]
    Gone {
        /// The journal.
        path: PathBuf,
    },
    /// A result that was computed again is not equal to the recorded one.
    #[error(
        "journal {}: {what} is {found} now, but the run recorded {recorded} before: this build, machine or data is not the one that wrote it",
        path.display()
    )]
    Differs {
        /// The journal.
        path: PathBuf,
        /// The result's name.
        what: String,
        /// The value in the journal.
        recorded: String,
        /// The value computed now.
        found: String,
    },
}
