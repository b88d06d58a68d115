//! The state machine's settings, from an experiment and its data.

use std::time::Duration;

use aggregation::weighting::Need;
use experiment::{OnNonfinite, Train};
use proto::shared_memory::SLOTS_MAX;

use super::Setup;
use crate::run::{Mode, Settings, TaskGradients};

/// A worker is a straggler once its work has taken this many times the usual duration.
const STRAGGLER_MULTIPLE: f64 = 4.0;
/// No worker counts as a straggler before its work has taken this long.
const STRAGGLER_AFTER_MIN: Duration = Duration::from_millis(250);
/// The number of tree nodes of one step that have slots for their vectors in a worker's shared
/// memory. The vectors of further nodes travel in chunks.
const NODES_IN_SLOTS: usize = 4;
/// How often one piece of work may fail before the run ends.
const TRIES_MAX: u32 = 3;

impl Setup {
    /// The settings of the state machine that carries out this run.
    pub fn run_settings(&self) -> Settings {
        let experiment = &self.loaded.experiment;
        let train = &experiment.train;
        let needs = experiment.weighting.needs();
        let is_per_task = self.is_per_task();
        let microbatches = self.prepared.plan.microbatches();
        let (mode, task_gradients) = if is_per_task {
            (Mode::PerTask { feeds: self.feed_work(), halves: needs.contains(&Need::GramianCross) }, None)
        } else {
            let task_gradients = self.gramian_interval().map(|every| TaskGradients { every, feeds: self.feed_work() });
            (Mode::Combined, task_gradients)
        };
        let tasks = self.prepared.plan.shapes().tasks.len();
        let vectors_per_node = if is_per_task || task_gradients.is_some() { tasks } else { 1 };
        let nodes = if train.robust.is_some() { microbatches as usize } else { NODES_IN_SLOTS };
        Settings {
            microbatches,
            steps: self.steps,
            chunks: self.chunks(),
            evaluate_every: Some(train.evaluation_interval(self.steps)),
            save_every: Some(train.checkpoint_interval(self.steps)),
            min_workers: experiment.cluster.min_workers as usize,
            lease: Duration::from_millis(experiment.cluster.lease_ms),
            result_slots: (nodes * vectors_per_node).min(SLOTS_MAX) as u32,
            one_vector_per_microbatch: train.robust.is_some(),
            straggler_multiple: STRAGGLER_MULTIPLE,
            patience_min: STRAGGLER_AFTER_MIN,
            losses_before: !is_per_task && needs.contains(&Need::LossesBefore),
            losses_after: needs.contains(&Need::LossesAfter),
            mode,
            task_gradients,
            tries_max: TRIES_MAX,
            skips_max: (train.on_nonfinite == OnNonfinite::SkipStep).then_some(Train::SKIPS_MAX),
        }
    }
}
