//! Workers that were at fault are banned for a while.

use std::{collections::BTreeMap, time::Duration};

use proto::{COOL_DOWN, message::Hello};

/// The most workers that are remembered. Those that may come back soonest are forgotten first.
const WORKERS_MAX: usize = 1024;

/// By what a worker is recognised when it comes back: the address that it calls from, and the host
/// and process that it names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WorkerIdentity {
    address: String,
    host: String,
    pid: u32,
}

impl WorkerIdentity {
    pub(super) fn new(address: &str, hello: &Hello) -> WorkerIdentity {
        WorkerIdentity { address: address.to_owned(), host: hello.host.clone(), pid: hello.pid }
    }
}

/// The banned workers, and until when.
#[derive(Debug, Default)]
pub(super) struct CoolDown {
    until: BTreeMap<WorkerIdentity, Duration>,
}

impl CoolDown {
    /// Bans a worker from `now` on, the time since any fixed moment.
    pub(super) fn begin(&mut self, now: Duration, worker: WorkerIdentity) {
        self.until.retain(|_, until| *until > now);
        if self.until.len() >= WORKERS_MAX
            && let Some(first) = self.until.iter().min_by_key(|(_, until)| **until).map(|(worker, _)| worker.clone())
        {
            self.until.remove(&first);
        }
        self.until.insert(worker, now + COOL_DOWN);
    }

    /// For how much longer a worker is banned.
    pub(super) fn remaining(&self, now: Duration, worker: &WorkerIdentity) -> Option<Duration> {
        self.until.get(worker).and_then(|until| until.checked_sub(now)).filter(|remaining| !remaining.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(pid: u32) -> WorkerIdentity {
        WorkerIdentity::new("10.0.0.1", &Hello { host: "node-1".into(), pid, ..Hello::default() })
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_worker_is_kept_out_until_its_time_is_over() {
        let mut out = CoolDown::default();
        out.begin(SECOND, worker(1));
        assert_eq!(out.remaining(SECOND, &worker(1)), Some(COOL_DOWN));
        assert_eq!(out.remaining(SECOND, &worker(2)), None);
        assert_eq!(out.remaining(SECOND + COOL_DOWN - SECOND / 2, &worker(1)), Some(SECOND / 2));
        assert_eq!(out.remaining(SECOND + COOL_DOWN, &worker(1)), None);
    }

    #[test]
    fn the_first_bans_to_end_are_forgotten_if_there_are_too_many() {
        let mut out = CoolDown::default();
        for pid in 0..=WORKERS_MAX as u32 {
            out.begin(SECOND * (1 + pid / 1000), worker(pid));
        }
        assert_eq!(out.until.len(), WORKERS_MAX);
        assert_eq!(out.remaining(SECOND, &worker(0)), None);
        assert!(out.remaining(SECOND, &worker(WORKERS_MAX as u32)).is_some());
    }
}
