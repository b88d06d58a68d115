//! Why a checkpoint could not be written or read.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::SCHEMA;
use crate::folder::Fenced;
use crate::journal::JournalError;

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system refused an operation.
    #[error("checkpoint {}: {action} failed: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done, for example `reading`.
        action: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The manifest can't be understood.
    #[error("checkpoint {}: manifest.json: {message}", path.display())]
    Manifest {
        /// The checkpoint's folder.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// Another version of the program wrote the manifest.
    #[error("checkpoint {}: it has schema {found}, and this build reads schema {SCHEMA}: use the build that wrote it", path.display())]
    Schema {
        /// The checkpoint's folder.
        path: PathBuf,
        /// The schema in its manifest.
        found: u32,
    },
    /// The file `best` does not hold a step.
    #[error("{}: it holds {found:?}, which is not a step: remove the file", path.display())]
    BestMark {
        /// The file.
        path: PathBuf,
        /// Its text.
        found: String,
    },
    /// A file has other bytes than those that were written.
    #[error("checkpoint {}: {file} is damaged: its sha256 is {found}, the manifest has {recorded}", path.display())]
    Hash {
        /// The checkpoint's folder.
        path: PathBuf,
        /// The file's name.
        file: String,
        /// The sha256 in the manifest.
        recorded: String,
        /// The sha256 of the file.
        found: String,
    },
    /// The journal has lost records that led to the checkpoint.
    #[error("checkpoint {}: it needs the journal's first {needed} bytes, and the journal has {found}: records at its end were lost", path.display())]
    Journal {
        /// The checkpoint's folder.
        path: PathBuf,
        /// The journal's length in bytes when the checkpoint was written.
        needed: u64,
        /// The journal's length in bytes now.
        found: u64,
    },
    /// Records that led to the checkpoint were changed.
    #[error("checkpoint {}: it needs the journal's first {bytes} bytes as they were, and they were changed since", path.display())]
    JournalChanged {
        /// The checkpoint's folder.
        path: PathBuf,
        /// Length in bytes of the part of the journal that led to the checkpoint.
        bytes: u64,
    },
    /// The journal could not be written, so no checkpoint was written either.
    #[error("the journal comes first, and it could not be written: {0}")]
    JournalFirst(#[source] JournalError),
    /// Another coordinator has taken over the run.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// A tensor file does not fit the manifest or the layout.
    #[error("checkpoint {}: {file}: {message}", path.display())]
    Tensors {
        /// The checkpoint's folder.
        path: PathBuf,
        /// The file's name.
        file: String,
        /// What is wrong.
        message: String,
    },
}

impl CheckpointError {
    /// Whether the checkpoint itself may be intact. The cause is then the journal, the disk or the
    /// build, and a person may be able to repair it.
    pub fn may_be_put_right(&self) -> bool {
        let of_journal = matches!(self, CheckpointError::Journal { .. } | CheckpointError::JournalChanged { .. });
        of_journal || self.is_not_understood()
    }

    /// Whether this build can't tell if the checkpoint is damaged: another version wrote it, or it
    /// could not be read.
    pub(crate) fn is_not_understood(&self) -> bool {
        match self {
            CheckpointError::Schema { .. } => true,
            CheckpointError::Io { source, .. } => {
                !matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
            }
            _ => false,
        }
    }

    /// The kind of error in snake case, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            CheckpointError::Io { .. } => "unreadable",
            CheckpointError::Manifest { .. } | CheckpointError::BestMark { .. } => "manifest",
            CheckpointError::Schema { .. } => "schema",
            CheckpointError::Hash { .. } => "damaged",
            CheckpointError::Tensors { .. } => "tensors",
            CheckpointError::Journal { .. } => "journal_lost",
            CheckpointError::JournalChanged { .. } => "journal_changed",
            CheckpointError::JournalFirst(_) => "journal",
            CheckpointError::Fenced(_) => "fenced",
        }
    }
}

/// Turns an error of the file system at `path` into a checkpoint error.
pub(super) fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| match source.downcast::<Fenced>() {
        Ok(fenced) => CheckpointError::Fenced(fenced),
        Err(source) => CheckpointError::Io { path, action, source },
    }
}

/// Turns a message about `file` into an error that says that its contents don't fit.
pub(super) fn misfit(path: &Path, file: &str) -> impl FnOnce(String) -> CheckpointError {
    let (path, file) = (path.to_owned(), file.to_owned());
    move |message| CheckpointError::Tensors { path, file, message }
}
