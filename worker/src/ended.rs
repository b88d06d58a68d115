//! How a worker ends.

/// How a worker ended without an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The run is over, with the coordinator's reason.
    Finished(String),
    /// The worker was told to stop.
    Stopped,
}
