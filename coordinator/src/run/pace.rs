//! How fast workers are: what a unit of work usually takes, and who does how many in a second.
//!
//! Nothing here changes a result: it decides who computes what, and every worker computes the same bits.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{JobKind, WorkerId};

/// How many durations the median is taken of.
const KEPT: usize = 33;
/// The weight of the newest measurement in a worker's speed.
const NEWEST: f64 = 0.2;

/// What was measured.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    /// Seconds a unit took, the newest last, by kind of work.
    durations: [VecDeque<f64>; 4],
    /// Units of gradient a second.
    speeds: BTreeMap<WorkerId, f64>,
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
        let durations = &mut self.durations[place(kind)];
        durations.push_back(unit);
        if durations.len() > KEPT {
            durations.pop_front();
        }
        if matches!(kind, JobKind::Gradient { .. }) && unit > 0.0 {
            let speed = self.speeds.entry(worker).or_insert(1.0 / unit);
            *speed += NEWEST * (1.0 / unit - *speed);
        }
    }

    /// A worker is gone.
    pub(super) fn forget(&mut self, worker: WorkerId) {
        self.speeds.remove(&worker);
    }

    /// What a unit usually takes, the median; none before anything was measured.
    pub(super) fn usual(&self, kind: JobKind) -> Option<Duration> {
        let mut sorted: Vec<f64> = self.durations[place(kind)].iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).map(|seconds| Duration::from_secs_f64(*seconds))
    }

    /// The workers' speeds beside each other; one that is not known yet counts as the mean of the others.
    pub(super) fn speeds(&self, workers: &[WorkerId]) -> Vec<f64> {
        let known: Vec<f64> = workers.iter().filter_map(|worker| self.speeds.get(worker).copied()).collect();
        let mean = if known.is_empty() { 1.0 } else { known.iter().sum::<f64>() / known.len() as f64 };
        workers.iter().map(|worker| self.speeds.get(worker).copied().unwrap_or(mean)).collect()
    }
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

    #[test]
    fn a_worker_whose_speed_is_not_known_counts_as_the_others() {
        let mut pace = Pace::default();
        let kind = JobKind::Gradient { feed: None };
        pace.note(WorkerId(1), kind, 2, Duration::from_secs(1));
        pace.note(WorkerId(2), kind, 4, Duration::from_secs(1));
        let speeds = pace.speeds(&[WorkerId(1), WorkerId(2), WorkerId(3)]);
        assert_eq!(speeds, [2.0, 4.0, 3.0]);
        pace.forget(WorkerId(1));
        assert_eq!(pace.speeds(&[WorkerId(1), WorkerId(2)]), [4.0, 4.0]);
    }
}
