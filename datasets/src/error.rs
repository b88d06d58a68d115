//! What can be wrong with data, and in which file, column and row.

use std::path::PathBuf;

use experiment::{ExperimentError, SplitName};

/// An error of a table, an experiment's use of it, or a worker's copy of it.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The experiment asks for what the table does not have; points at the key in the experiment
    /// file.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// A file can't be found or read.
    #[error("{}: {reason}", file.display())]
    File {
        /// The file, as the experiment names it.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A column of a file is not what it should be.
    #[error("{}: column `{column}`: {reason}", file.display())]
    Column {
        /// The file, as the experiment names it.
        file: PathBuf,
        /// The column's name.
        column: String,
        /// What is wrong with it.
        reason: String,
    },
    /// One value of a file is not what it should be.
    #[error("{}: column `{column}`, row {row}{}: {reason}", file.display(), line.map(|l| format!(" (line {l})")).unwrap_or_default())]
    Cell {
        /// The file, as the experiment names it.
        file: PathBuf,
        /// The column's name.
        column: String,
        /// The row of the file's data, from 1.
        row: u64,
        /// The line of a text file, from 1, if it is known.
        line: Option<u64>,
        /// What is wrong with the value.
        reason: String,
    },
    /// A worker reads other values than the coordinator did.
    #[error(
        "the data are not those that the run was planned with: feed `{feed}`, {part} has digest {found}, expected {expected}; give this worker the files that the run was planned with"
    )]
    Different {
        /// The feed's name.
        feed: String,
        /// The rows that differ.
        part: Part,
        /// The digest of what was read here.
        found: String,
        /// The digest in the plan.
        expected: String,
    },
    /// A caller asked for a feed, partition, chunk or row that the plan does not have: a bug of
    /// the caller.
    #[error("the plan has no {what}")]
    NotPlanned {
        /// What was asked for.
        what: String,
    },
}

/// Rows of a feed that are read and verified together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// A partition of the training rows.
    Partition(u32),
    /// A chunk of a split's rows, for evaluation.
    Chunk(SplitName, u32),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Part::Partition(v) => write!(f, "partition {v}"),
            Part::Chunk(split, chunk) => write!(f, "{split} chunk {chunk}"),
        }
    }
}
