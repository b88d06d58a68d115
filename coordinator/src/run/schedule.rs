//! What a run does at which step: fixed before it starts.

use std::time::Duration;

use experiment::SplitName;

use super::{JobKind, WorkerJob};

/// What the experiment and its data say about the course of a run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Microbatches of a step, V.
    pub microbatches: u32,
    /// Updates after which training ends.
    pub steps: u64,
    /// Chunks of the evaluated splits, by feed.
    pub chunks: Vec<Chunks>,
    /// Updates between two evaluations on the validation split. The last update is always
    /// evaluated.
    pub evaluate_every: Option<u64>,
    /// Updates between two checkpoints. The last update is always saved.
    pub save_every: Option<u64>,
    /// The least number of workers with which work is handed out.
    pub min_workers: usize,
    /// A worker counts as lost after this silence.
    pub lease: Duration,
    /// A worker is a straggler once its work has taken this many times the usual duration. An idle
    /// worker then computes the same.
    pub straggler_multiple: f64,
    /// No worker counts as a straggler before its work has taken this long.
    pub patience_min: Duration,
    /// Slots for vectors in each worker's shared memory.
    pub result_slots: u32,
    /// What a gradient phase hands out.
    pub mode: Mode,
    /// Per-task gradients for the journal; `None`: none.
    pub task_gradients: Option<TaskGradients>,
    /// Whether each microbatch is a piece of work of its own with its own vector. Each worker then
    /// gets equally many microbatches, so that a fast worker has no more influence than others.
    pub one_vector_per_microbatch: bool,
    /// Whether workers compute losses before the gradient, for the tasks' weights.
    pub losses_before: bool,
    /// Whether workers compute losses after the update, on the same rows.
    pub losses_after: bool,
    /// How often one piece of work fails at least before the run ends for it. The run goes on as
    /// long as a worker is left that has not failed at it, of those that had joined by its first
    /// failure.
    pub tries_max: u32,
    /// How many steps in a row may be skipped because they are not finite. `None`: the first such
    /// step ends the run.
    pub skips_max: Option<u64>,
}

/// What a gradient phase hands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Nodes of all feeds, one vector each.
    Combined,
    /// Nodes of one feed, with one vector for each task. They are handed out feed by feed, so that
    /// a worker sends few vectors.
    PerTask {
        /// The feeds, in order.
        feeds: Vec<FeedWork>,
        /// Whether the root is handed out as its two halves, each with a sum of its own.
        halves: bool,
    },
}

/// Per-task gradients in combined mode, for the journal. They never affect the update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskGradients {
    /// Steps from one such computation to the next.
    pub every: u64,
    /// The feeds, in order.
    pub feeds: Vec<FeedWork>,
}

/// The work of computing a feed's gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedWork {
    /// Tasks on the feed, which is the number of vectors of a node.
    pub tasks: u32,
    /// The relative cost of one of its microbatches.
    pub cost: u64,
}

/// How many chunks of rows the splits of a feed have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chunks {
    /// Chunks of the validation split.
    pub validation: u32,
    /// Chunks of the test split.
    pub test: u32,
}

impl Chunks {
    /// Chunks of a split. Training rows are not evaluated, so they have none.
    pub fn of(self, split: SplitName) -> u32 {
        match split {
            SplitName::Train => 0,
            SplitName::Validation => self.validation,
            SplitName::Test => self.test,
        }
    }
}

impl Settings {
    /// How much work a job is, relative to others of its kind.
    pub(super) fn work_items(&self, job: &WorkerJob) -> u64 {
        let microbatches = u64::from(job.node.len());
        match (job.kind, &self.mode) {
            (JobKind::Gradient { feed: Some(feed) }, Mode::PerTask { feeds, .. }) => {
                microbatches * feeds[feed as usize].cost
            }
            (JobKind::TaskGradients { feed }, _) => {
                microbatches * self.task_gradients.as_ref().map_or(1, |asked| asked.feeds[feed as usize].cost)
            }
            _ => microbatches,
        }
    }

    /// Whether per-task gradients are computed for the journal in the step after `step` updates.
    pub fn wants_task_gradients_after(&self, step: u64) -> bool {
        self.task_gradients.as_ref().is_some_and(|asked| step.is_multiple_of(asked.every))
    }

    /// How many vectors the result of a job has.
    pub(super) fn vectors(&self, job: &WorkerJob) -> u32 {
        match (job.kind, &self.mode) {
            (JobKind::Gradient { feed: Some(feed) }, Mode::PerTask { feeds, .. }) => feeds[feed as usize].tasks,
            (JobKind::Gradient { .. }, _) => 1,
            (JobKind::TaskGradients { feed }, _) => {
                self.task_gradients.as_ref().map_or(0, |asked| asked.feeds[feed as usize].tasks)
            }
            _ => 0,
        }
    }

    /// Whether the validation split is evaluated after `step` updates.
    pub fn evaluates_after(&self, step: u64) -> bool {
        step == self.steps || self.evaluate_every.is_some_and(|every| step.is_multiple_of(every))
    }

    /// Whether a checkpoint is written after `step` updates.
    pub fn saves_after(&self, step: u64) -> bool {
        self.save_every.is_some_and(|every| step.is_multiple_of(every))
    }
}
