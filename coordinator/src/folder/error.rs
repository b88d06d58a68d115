//! Why a run folder could not be used.

use std::io;
use std::path::{Path, PathBuf};

use super::names::EXPERIMENT;

/// Why a run folder could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The file system refused an operation.
    #[error("run folder {}: {action} failed: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done, for example `reading`.
        action: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The folder for a new run is not empty.
    #[error("run folder {} is not empty: give another --run-dir, or go on with that run with --resume", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The folder is not empty, and has no run that could go on.
    #[error("run folder {} has {found}, and no {EXPERIMENT} to go on with: put that back, or give another --run-dir", path.display())]
    NoExperiment {
        /// The folder.
        path: PathBuf,
        /// The name of something in it.
        found: String,
    },
    /// The folder is not a run folder.
    #[error("{} is not a run folder: it has no {missing}: give the folder of a run", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// The file that it lacks.
        missing: &'static str,
    },
    /// Another coordinator works in the folder.
    #[error("run folder {} is in use by {holder}: wait until that coordinator has ended, or stop it", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The process that holds the lock.
        holder: String,
    },
    /// Other users can change what is in the folder.
    #[error("run folder {}: {why}: give another --run-dir", path.display())]
    Exposed {
        /// The folder.
        path: PathBuf,
        /// Who can change it.
        why: String,
    },
    /// The epoch can't be parsed.
    #[error("run folder {}: its epoch file holds {found:?}, not a number: it was changed since it was written", path.display())]
    Epoch {
        /// The folder.
        path: PathBuf,
        /// The file's text.
        found: String,
    },
}

/// Turns an error of the file system at `path` into a folder error.
pub(super) fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io { path, action, source }
}
