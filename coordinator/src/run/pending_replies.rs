//! The replies that a worker still has to send, and how long they are waited for.
//!
//! A straggler's work is given to others long before these limits ([`super::WorkQueue`]). This
//! module is about the worker itself: its heartbeats travel on a connection of their own, so they
//! may go on while the stream of work is cut or a computation hangs.

use std::{collections::BTreeMap, time::Duration};

use super::Settings;

/// Leases in the limit for a reply.
const LEASES: u32 = 4;
/// Multiples of the usual duration that are added to the limit for a reply.
const MULTIPLE: f64 = 20.0;
/// The limit for a reply if the usual duration is not known yet. A first computation may have to
/// load and compile a lot.
const FIRST: Duration = Duration::from_secs(600);
/// How often the limit is doubled at most. Each dismissed worker doubles it for all, so that a slow
/// worker is not dismissed again and again.
const DOUBLED_MAX: u32 = 10;

/// What a worker was asked for and has not answered.
#[derive(Debug, Clone, Default)]
pub(super) struct PendingReplies {
    /// By piece of work: the usual duration, if that is known.
    works: BTreeMap<u64, Option<Duration>>,
    /// Since when there was no reply.
    since: Duration,
}

impl PendingReplies {
    /// The worker is asked for one more piece of work.
    pub(super) fn asked(&mut self, now: Duration, work: u64, usual: Option<Duration>) {
        if self.works.is_empty() {
            self.since = now;
        }
        self.works.insert(work, usual);
    }

    /// The worker has replied, with a result or a failure.
    pub(super) fn answered(&mut self, now: Duration, work: u64) {
        if self.works.remove(&work).is_some() {
            self.since = now;
        }
    }

    /// For how long there was no reply, if that is over the limit. `before` is the number of
    /// workers that were dismissed for this before.
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
        let mut replies = PendingReplies::default();
        assert_eq!(replies.overdue(1000 * SECOND, &settings, 0), None);
        replies.asked(10 * SECOND, 1, Some(SECOND));
        replies.asked(11 * SECOND, 2, Some(SECOND));
        // Four leases, and twenty times what both take.
        assert_eq!(replies.overdue(54 * SECOND, &settings, 0), None);
        assert_eq!(replies.overdue(55 * SECOND, &settings, 0), Some(45 * SECOND));
        assert_eq!(replies.overdue(55 * SECOND, &settings, 1), None);
        replies.answered(50 * SECOND, 1);
        assert_eq!(replies.overdue(55 * SECOND, &settings, 0), None);
        assert_eq!(replies.overdue(75 * SECOND, &settings, 0), Some(25 * SECOND));
        replies.answered(75 * SECOND, 2);
        assert_eq!(replies.overdue(1000 * SECOND, &settings, 0), None);
    }

    #[test]
    fn work_that_was_never_measured_is_not_late() {
        let settings = super::super::tests::settings(4, 1);
        let mut replies = PendingReplies::default();
        replies.asked(SECOND, 1, None);
        assert_eq!(replies.overdue(FIRST, &settings, 0), None);
        assert_eq!(replies.overdue(FIRST + 2 * SECOND, &settings, 0), Some(FIRST + SECOND));
    }
}
