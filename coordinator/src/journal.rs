//! The journal: what a run found and what was seen on the way, one JSON object a line, only ever
//! appended.
//!
//! `journal.jsonl` is the complete record of a run. Everything that follows a run (MLflow, `sync`,
//! `report`, `compare`) reads it and nothing else, so a tracking server may be slow or gone without
//! anything being lost.
//!
//! # Two kinds of record
//!
//! A `result` is a function of the experiment: for one experiment and build, two runs write the
//! same results, whatever the number of workers and whatever happened to them; only `time_ms`
//! differs. Everything else is `observed`: speeds, workers that came and went, warnings. [`Record`]
//! documents the schema.
//!
//! # What holds
//!
//! - A record is one whole line, written with one call. A write that fails half-way is taken back,
//!   and its records wait for the next try; a line torn by a crash is cut off when the journal is
//!   next opened ([`Journal::open`]), so that every line of a journal in use parses.
//! - A time stamp is milliseconds since the Unix epoch, fixed by the caller when the point is made.
//!   Sending a record twice to a tracking server is therefore sending the same point twice.
//! - A number that JSON can't hold is the string `"NaN"`, `"Infinity"` or `"-Infinity"`; every
//!   other number reads back with the same bits. A floating-point number is written with a fraction
//!   or an exponent, whole numbers are not.
//! - A run that resumes computes some results again. Those already in the journal are not written a
//!   second time, and must be equal to what is there: otherwise the promise of same bits is broken,
//!   and [`JournalError::Differs`] says where.
//!
//! # What it leaves out
//!
//! The journal knows no clock, no network and no thread. Several processes never write one journal:
//! the run folder's lock ([`crate::folder`]) sees to that.

mod known;
mod number;
mod reader;
mod record;
mod writer;

use std::path::PathBuf;

pub use number::Number;
pub use reader::{Reader, Tail, read};
pub use record::{Certificate, Observation, Outcome, Reason, Record, SCHEMA, Status, Weighting, flatten};
pub use writer::{Appended, Journal};

/// Why a journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file could not be created, read, written or synced.
    #[error("journal {}: {action}: {source}", path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line before the end of the file is not a record.
    #[error("journal {}, line {line} is no record: {message}. It was damaged or changed since it was written", path.display())]
    Malformed {
        /// The journal.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        message: String,
    },
    /// The disk takes no records, and no more of them can wait.
    #[error("journal {}: {bytes} bytes of records wait for a disk that does not take them, and no more can be held", path.display())]
    Behind {
        /// The journal.
        path: PathBuf,
        /// Bytes that wait.
        bytes: usize,
    },
    /// A result was computed again and is not what the journal has.
    #[error(
        "journal {}: {what} is {found} now, but the run recorded {recorded} before: this build, machine or data is not the one that wrote it",
        path.display()
    )]
    Differs {
        /// The journal.
        path: PathBuf,
        /// Which result.
        what: String,
        /// The value in the journal.
        recorded: String,
        /// The value computed now.
        found: String,
    },
}
