//! How fast workers are: the usual duration of a unit of work, and each worker's speed.
//!
//! Nothing here changes a result: it decides who computes what, and every worker computes the same
//! bits.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use super::{JobKind, WorkerId};

/// The number of durations of which a median is taken.
const KEPT: usize = 33;
/// The number of durations of which the median of one worker is taken.
const KEPT_OF_WORKER: usize = 9;
/// A worker's speed is known after so many phases. In the first one it may have waited for its
/// rows.
const KNOWN_AFTER: usize = 3;
/// After so many phases without work a worker's speed is forgotten, so that it is tried again. Each
/// time the number doubles.
const FORGOTTEN_AFTER: u64 = 32;

/// The measured durations.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    /// Seconds per unit by kind of work, the newest last.
    durations: [VecDeque<f64>; 4],
    workers: BTreeMap<WorkerId, WorkerPace>,
}

/// The measured gradients of a worker.
#[derive(Debug, Clone)]
struct WorkerPace {
    /// Units computed in the present phase.
    units: u64,
    /// Seconds that those units took.
    seconds: f64,
    /// Seconds per unit by phase, the newest last.
    durations: VecDeque<f64>,
    /// Phases without work in a row.
    idle: u64,
    /// Phases without work after which the speed is forgotten.
    idle_max: u64,
}

fn place(kind: JobKind) -> usize {
    match kind {
        JobKind::Gradient { .. } => 0,
        JobKind::Losses => 1,
        JobKind::Evaluate { .. } => 2,
        JobKind::TaskGradients { .. } => 3,
    }
}

impl Pace {
    /// A worker took so long for so many units.
    pub(super) fn note(&mut self, worker: WorkerId, kind: JobKind, units: u64, took: Duration) {
        let unit = took.as_secs_f64() / units.max(1) as f64;
        push(&mut self.durations[place(kind)], unit, KEPT);
        if matches!(kind, JobKind::Gradient { .. }) && unit > 0.0 {
            let of_worker = self.workers.entry(worker).or_default();
            of_worker.units += units;
            of_worker.seconds += took.as_secs_f64();
        }
    }

    /// A gradient phase is over for all workers that are not still busy with it.
    pub(super) fn close(&mut self, busy: &BTreeSet<WorkerId>) {
        let done = self.workers.iter_mut().filter(|(worker, _)| !busy.contains(worker));
        done.for_each(|(_, of_worker)| of_worker.close());
    }

    /// A worker is gone.
    pub(super) fn forget(&mut self, worker: WorkerId) {
        self.workers.remove(&worker);
    }

    /// The usual duration of a unit: the median. `None` before anything was measured.
    pub(super) fn usual(&self, kind: JobKind) -> Option<Duration> {
        median(&self.durations[place(kind)]).map(Duration::from_secs_f64)
    }

    /// The workers' speeds in units a second. A speed that is not known yet counts as the mean of
    /// the others.
    pub(super) fn speeds(&self, workers: &[WorkerId]) -> Vec<f64> {
        let speeds: Vec<Option<f64>> =
            workers.iter().map(|worker| self.workers.get(worker).and_then(WorkerPace::speed)).collect();
        let known: Vec<f64> = speeds.iter().flatten().copied().collect();
        let mean = if known.is_empty() { 1.0 } else { known.iter().sum::<f64>() / known.len() as f64 };
        speeds.into_iter().map(|speed| speed.unwrap_or(mean)).collect()
    }
}

impl Default for WorkerPace {
    fn default() -> WorkerPace {
        WorkerPace { units: 0, seconds: 0.0, durations: VecDeque::new(), idle: 0, idle_max: FORGOTTEN_AFTER }
    }
}

impl WorkerPace {
    fn close(&mut self) {
        if self.units > 0 {
            push(&mut self.durations, self.seconds / self.units as f64, KEPT_OF_WORKER);
            (self.units, self.seconds, self.idle) = (0, 0.0, 0);
            return;
        }
        self.idle += 1;
        if self.idle == self.idle_max {
            self.durations.clear();
            (self.idle, self.idle_max) = (0, self.idle_max.saturating_mul(2));
        }
    }

    fn speed(&self) -> Option<f64> {
        if self.durations.len() < KNOWN_AFTER { None } else { median(&self.durations).map(|seconds| 1.0 / seconds) }
    }
}

fn push(durations: &mut VecDeque<f64>, duration: f64, kept: usize) {
    durations.push_back(duration);
    if durations.len() > kept {
        durations.pop_front();
    }
}

fn median(durations: &VecDeque<f64>) -> Option<f64> {
    let mut durations: Vec<f64> = durations.iter().copied().collect();
    let middle = durations.len() / 2;
    (!durations.is_empty()).then(|| *durations.select_nth_unstable_by(middle, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_duration_is_the_median_of_the_last() {
        let mut pace = Pace::default();
        let kind = JobKind::Losses;
        assert_eq!(pace.usual(kind), None);
        for took in [10, 10, 10, 900, 10] {
            pace.note(WorkerId(1), kind, 2, Duration::from_millis(took));
        }
        assert_eq!(pace.usual(kind), Some(Duration::from_millis(5)));
        (0..KEPT).for_each(|_| pace.note(WorkerId(1), kind, 1, Duration::from_millis(40)));
        assert_eq!(pace.usual(kind), Some(Duration::from_millis(40)));
    }

    const KIND: JobKind = JobKind::Gradient { feed: None };

    /// A phase in which each worker took so many seconds for two units.
    fn phase(pace: &mut Pace, took: &[(u64, u64)]) {
        for (worker, seconds) in took {
            pace.note(WorkerId(*worker), KIND, 1, Duration::from_secs(*seconds));
            pace.note(WorkerId(*worker), KIND, 1, Duration::from_secs(*seconds));
        }
        pace.close(&BTreeSet::new());
    }

    #[test]
    fn a_worker_whose_speed_is_not_known_counts_as_the_others() {
        let mut pace = Pace::default();
        (0..KNOWN_AFTER).for_each(|_| phase(&mut pace, &[(1, 4), (2, 2)]));
        let speeds = pace.speeds(&[WorkerId(1), WorkerId(2), WorkerId(3)]);
        assert_eq!(speeds, [0.25, 0.5, 0.375]);
        pace.forget(WorkerId(1));
        assert_eq!(pace.speeds(&[WorkerId(1), WorkerId(2)]), [0.5, 0.5]);
    }

    #[test]
    fn the_phase_in_which_a_worker_waited_for_its_rows_does_not_count() {
        let mut pace = Pace::default();
        for took in [100, 1, 1] {
            assert_eq!(pace.speeds(&[WorkerId(1), WorkerId(2)]), [1.0, 1.0]);
            phase(&mut pace, &[(1, took), (2, 1)]);
        }
        assert_eq!(pace.speeds(&[WorkerId(1), WorkerId(2)]), [1.0, 1.0]);
    }

    #[test]
    fn a_worker_that_was_too_slow_for_a_share_is_tried_again_and_later_each_time() {
        let mut pace = Pace::default();
        let workers = [WorkerId(1), WorkerId(2)];
        for idle_max in [FORGOTTEN_AFTER, 2 * FORGOTTEN_AFTER] {
            (0..KNOWN_AFTER).for_each(|_| phase(&mut pace, &[(1, 10), (2, 1)]));
            for _ in 0..idle_max {
                assert_eq!(pace.speeds(&workers), [0.1, 1.0]);
                phase(&mut pace, &[(2, 1)]);
            }
            assert_eq!(pace.speeds(&workers), [1.0, 1.0]);
        }
    }
}
