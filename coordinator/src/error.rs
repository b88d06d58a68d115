//! Why the coordinator itself can't carry out a run.

use std::io;

use crate::{
    checkpoint::CheckpointError,
    compute,
    folder::{Fenced, FolderError},
    journal::JournalError,
    tracking,
};

/// Why the coordinator can't carry out a run. Nothing that a worker does is such an error.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// The run folder can't be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Another coordinator has taken over the run.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// The checkpoints can't be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The journal can't be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The checkpoint is intact but does not fit the experiment: it was edited, or it belongs to
    /// another run.
    #[error("the checkpoint of step {step} does not fit this run: {reason}")]
    Misfit {
        /// The checkpoint's step.
        step: u64,
        /// What does not fit.
        reason: String,
    },
    /// The tracker could not be started.
    #[error(transparent)]
    Tracking(#[from] tracking::TrackingError),
    /// The system refused memory, a thread or a socket.
    #[error("{what}: {error}")]
    System {
        /// What the coordinator asked for.
        what: &'static str,
        /// What the system answered.
        error: io::Error,
    },
    /// A thread of the coordinator ended. This is a bug.
    #[error("the coordinator's computing thread ended")]
    Crashed,
    /// The first step can't begin.
    #[error(transparent)]
    NotFinite(#[from] compute::NotFinite),
}
