//! The checkpoints that are asked for, written or failed.

/// The checkpoints of a run, as far as the loop follows them.
#[derive(Debug)]
pub(super) struct Saves {
    /// Checkpoints that the state machine has asked for and that are not done yet.
    asked: u32,
    /// The step of the newest checkpoint on the disk.
    newest: Option<u64>,
    /// Why the last checkpoint could not be written.
    failure: Option<String>,
}

impl Saves {
    /// The run begins, or goes on from the checkpoint of step `newest`.
    pub(super) fn new(newest: Option<u64>) -> Saves {
        Saves { asked: 0, newest, failure: None }
    }

    /// The state machine has asked for a checkpoint.
    pub(super) fn ask(&mut self) {
        self.asked += 1;
    }

    /// A checkpoint that the state machine has asked for is done. Returns whether it was the last.
    pub(super) fn answer(&mut self) -> bool {
        self.asked -= 1;
        self.asked == 0
    }

    /// The checkpoint of a step is on the disk.
    pub(super) fn succeeded(&mut self, step: u64) {
        self.newest = Some(step);
        self.failure = None;
    }

    /// A checkpoint could not be written.
    pub(super) fn failed(&mut self, reason: String) {
        self.failure = Some(reason);
    }

    /// The step of the newest checkpoint on the disk.
    pub(super) fn newest(&self) -> Option<u64> {
        self.newest
    }

    /// Why the last checkpoint could not be written, if it could not.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}
