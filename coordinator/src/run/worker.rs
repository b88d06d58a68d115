//! One worker of a run.

use std::time::Duration;

use super::pending_replies::PendingReplies;

/// A worker's lease: its identity in this run, numbered in the order of joining and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u64);

/// A worker as the run knows it.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    /// Whether it has loaded its data and can compute.
    pub ready: bool,
    /// When it last sent a heartbeat.
    pub seen: Duration,
    /// The work that it was given and has not answered yet.
    pub pending_replies: PendingReplies,
}
