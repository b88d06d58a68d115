//! What a signal or another program may ask of a run.

/// What may be asked of a run while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunRequest {
    /// Write a checkpoint and go on.
    Save,
    /// Write a checkpoint and end.
    Interrupt,
    /// End the run as failed, for this reason.
    GiveUp(String),
}
