//! Notices that are given once, and not again while nothing changes.

use super::Notice;

/// The notices that were given last.
#[derive(Debug, Clone, Default)]
pub(super) struct Notices {
    /// Whether the run waits for workers, and said so.
    waiting: bool,
    /// How many idle workers were found last.
    idle: usize,
}

impl Notices {
    /// The notice that too few workers take part, when that begins.
    pub(super) fn waiting(&mut self, workers: usize, needed: usize) -> Option<Notice> {
        let waits = workers < needed;
        let begins = waits && !self.waiting;
        self.waiting = waits;
        begins.then_some(Notice::Waiting { workers, needed })
    }

    /// The notice that `idle` workers have nothing to do in a step, when their number changes.
    pub(super) fn idle(&mut self, idle: usize) -> Option<Notice> {
        let changes = idle != self.idle && idle > 0;
        self.idle = idle;
        changes.then_some(Notice::Idle { idle })
    }
}
