//! What is measured of a run: the times of its steps, and how often something went wrong.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{report::Speed, run::WorkerId};

/// What is measured of a run.
#[derive(Debug, Default)]
pub(super) struct Measurements {
    step_began: Option<Instant>,
    /// Microseconds that each worker computed in the present step.
    compute_us: BTreeMap<WorkerId, u64>,
    speed: Speed,
    /// Time that statistics, weighting and combination took, over all steps.
    aggregation: Duration,
    /// From the start of the program to the first update.
    first_update: Option<Duration>,
    dropped: u64,
    stragglers: u64,
}

impl Measurements {
    /// The present step's first work is handed out. Further calls in the same step do nothing.
    pub(super) fn begin_step(&mut self) {
        if self.step_began.is_none() {
            #[expect(clippy::disallowed_methods, reason = "the shell is where time is read")]
            let now = Instant::now();
            self.step_began = Some(now);
        }
    }

    /// A worker computed for so long in the present step.
    pub(super) fn add_compute(&mut self, worker: WorkerId, microseconds: u64) {
        *self.compute_us.entry(worker).or_default() += microseconds;
    }

    /// An update is done, `since_start` after the program's start.
    pub(super) fn add_update(&mut self, since_start: Duration, aggregation: Duration) {
        self.first_update.get_or_insert(since_start);
        self.aggregation += aggregation;
    }

    /// The present step, which had so many rows, is over.
    pub(super) fn end_step(&mut self, rows: u64) {
        let elapsed = self.step_began.take().map(|began| began.elapsed().as_secs_f64());
        let slowest = std::mem::take(&mut self.compute_us).into_values().max().unwrap_or_default();
        if let Some(seconds) = elapsed {
            self.speed.add(seconds, slowest as f64 / 1e6, rows);
        }
    }

    /// A result came too late, or twice.
    pub(super) fn count_dropped(&mut self) {
        self.dropped += 1;
    }

    /// A straggler's work was given to another worker too.
    pub(super) fn count_straggler(&mut self) {
        self.stragglers += 1;
    }

    pub(super) fn speed(&self) -> &Speed {
        &self.speed
    }

    /// Time that statistics, weighting and combination took, over all steps.
    pub(super) fn aggregation(&self) -> Duration {
        self.aggregation
    }

    /// From the start of the program to the first update; zero without an update.
    pub(super) fn first_update(&self) -> Duration {
        self.first_update.unwrap_or_default()
    }

    /// Results that came too late, or twice.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Pieces of work that were given to a second worker.
    pub(super) fn stragglers(&self) -> u64 {
        self.stragglers
    }
}
