//! The answers that a worker owes, and how long they are waited for.
//!
//! Late work is done by others long before ([`super::WorkQueue`] hands it out once more). This is about
//! the worker itself: its signs of life travel on a connection of their own, so the stream of work
//! may be cut in silence, or a computation hang, while they go on.

use std::{collections::BTreeMap, time::Duration};

use super::Settings;

/// An answer is overdue beyond so many leases and this multiple of the usual time...
const LEASES: u32 = 4;
const MULTIPLE: f64 = 20.0;
/// ...or beyond this where nothing of the kind was measured yet: a first computation may have to
/// load and to compile a lot.
const FIRST: Duration = Duration::from_secs(600);
/// Each worker that is sent away doubles the patience with all: one that is only slow is not sent
/// away for ever.
const DOUBLED_MAX: u32 = 10;

/// What one worker was asked for and has not answered.
#[derive(Debug, Clone, Default)]
pub(super) struct PendingReplies {
    /// By work: what it usually takes, where that is known.
    works: BTreeMap<u64, Option<Duration>>,
    /// Since when nothing was answered.
    since: Duration,
}

impl PendingReplies {
    /// Something more is asked for.
    pub(super) fn asked(&mut self, now: Duration, work: u64, usual: Option<Duration>) {
        if self.works.is_empty() {
            self.since = now;
        }
        self.works.insert(work, usual);
    }

    /// Something was answered, well or not.
    pub(super) fn answered(&mut self, now: Duration, work: u64) {
        if self.works.remove(&work).is_some() {
            self.since = now;
        }
    }

    /// For how long the next answer was waited for, where that is too long; `before`: how many
    /// workers were sent away for this.
    pub(super) fn overdue(&self, now: Duration, settings: &Settings, before: u32) -> Option<Duration> {
        if self.works.is_empty() {
            return None;
        }
        let usual: Option<Duration> = self.works.values().copied().sum();
        let patience = usual.map_or(FIRST, |usual| LEASES * settings.lease + usual.mul_f64(MULTIPLE));
        let waited = now.saturating_sub(self.since);
        (waited > patience * 2_u32.pow(before.min(DOUBLED_MAX))).then_some(waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_answer_is_waited_for_as_long_as_its_kind_takes_and_longer_each_time() {
        let settings = Settings { lease: SECOND, ..super::super::tests::settings(4, 1) };
        let mut pending_replies = PendingReplies::default();
        assert_eq!(pending_replies.overdue(1000 * SECOND, &settings, 0), None);
        pending_replies.asked(10 * SECOND, 1, Some(SECOND));
        pending_replies.asked(11 * SECOND, 2, Some(SECOND));
        // Four leases, and twenty times what both take.
        assert_eq!(pending_replies.overdue(54 * SECOND, &settings, 0), None);
        assert_eq!(pending_replies.overdue(55 * SECOND, &settings, 0), Some(45 * SECOND));
        assert_eq!(pending_replies.overdue(55 * SECOND, &settings, 1), None);
        pending_replies.answered(50 * SECOND, 1);
        assert_eq!(pending_replies.overdue(55 * SECOND, &settings, 0), None);
        assert_eq!(pending_replies.overdue(75 * SECOND, &settings, 0), Some(25 * SECOND));
        pending_replies.answered(75 * SECOND, 2);
        assert_eq!(pending_replies.overdue(1000 * SECOND, &settings, 0), None);
    }

    #[test]
    fn what_was_never_measured_has_time() {
        let settings = super::super::tests::settings(4, 1);
        let mut pending_replies = PendingReplies::default();
        pending_replies.asked(SECOND, 1, None);
        assert_eq!(pending_replies.overdue(FIRST, &settings, 0), None);
        assert_eq!(pending_replies.overdue(FIRST + 2 * SECOND, &settings, 0), Some(FIRST + SECOND));
    }
}
