//! What a run does at which step: fixed before it starts.

use std::time::Duration;

use experiment::SplitName;

use super::{Job, JobKind};

/// What the experiment and its data say about the course of a run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Microbatches of a step, V.
    pub microbatches: u32,
    /// Updates to be done.
    pub steps: u64,
    /// Chunks of the splits that are evaluated, by feed.
    pub chunks: Vec<Chunks>,
    /// Evaluation on the validation split after every so many updates; the last is always
    /// evaluated.
    pub evaluate_every: Option<u64>,
    /// A checkpoint after every so many updates; the last is always saved.
    pub save_every: Option<u64>,
    /// Workers below which nothing is handed out.
    pub min_workers: usize,
    /// Silence after which a worker counts as lost.
    pub lease: Duration,
    /// A piece of work is late, and given to an idle worker too, beyond this multiple of the time
    /// that its kind usually takes.
    pub straggler_multiple: f64,
    /// Nothing is late before.
    pub patience_min: Duration,
    /// Slots for vectors that each worker has.
    pub result_slots: u32,
    /// What a step's gradient phase hands out.
    pub mode: Mode,
    /// Gradients by task that are asked for beside the update.
    pub task_gradients: Option<TaskGradients>,
    /// Whether each microbatch is a piece of work of its own, whose gradient is wanted apart.
    /// Workers then get equally many, however quick they are: nobody gets more of a say by
    /// answering soon.
    pub one_vector_per_microbatch: bool,
    /// Whether losses are asked for before the gradient, to weigh the tasks with.
    pub losses_before: bool,
    /// Whether losses are asked for after the update, on the same rows.
    pub losses_after: bool,
    /// How often one piece of work may fail before the run ends.
    pub tries_max: u32,
    /// How many steps in a row may be skipped because they are not finite; `None`: none, such a
    /// step ends the run.
    pub skips_max: Option<u64>,
}

/// What a gradient phase hands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Nodes of all feeds, one vector each.
    Combined,
    /// Nodes of one feed, one vector a task, handed out feed by feed so that a worker sends few.
    PerTask {
        /// The feeds, in order.
        feeds: Vec<FeedWork>,
        /// The root is handed out as its two halves, whose sums are wanted apart.
        halves: bool,
    },
}

/// Gradients by task in combined mode, for the record: nothing in the update depends on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskGradients {
    /// Steps from one at which they are asked for to the next.
    pub every: u64,
    /// The feeds, in order.
    pub feeds: Vec<FeedWork>,
}

/// What a feed means for those who compute its gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedWork {
    /// Tasks on the feed: vectors of one node.
    pub tasks: u32,
    /// What a microbatch of it costs, beside those of other feeds.
    pub cost: u64,
}

/// How many chunks of rows a feed's splits have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chunks {
    /// Of the validation split.
    pub validation: u32,
    /// Of the test split.
    pub test: u32,
}

impl Chunks {
    /// Of a split; training rows are not evaluated.
    pub fn of(self, split: SplitName) -> u32 {
        match split {
            SplitName::Train => 0,
            SplitName::Validation => self.validation,
            SplitName::Test => self.test,
        }
    }
}

impl Settings {
    /// How much work a job is, beside others of its kind.
    pub(super) fn work_items(&self, job: &Job) -> u64 {
        let leaves = u64::from(job.node.len());
        match (job.kind, &self.mode) {
            (JobKind::Gradient { feed: Some(feed) }, Mode::PerTask { feeds, .. }) => leaves * feeds[feed as usize].cost,
            (JobKind::TaskGradients { feed }, _) => {
                leaves * self.task_gradients.as_ref().map_or(1, |asked| asked.feeds[feed as usize].cost)
            }
            _ => leaves,
        }
    }

    /// Whether the tasks' gradients are asked for beside the update after so many.
    pub fn wants_task_gradients_after(&self, step: u64) -> bool {
        self.task_gradients.as_ref().is_some_and(|asked| step.is_multiple_of(asked.every))
    }

    /// How many vectors a job gives.
    pub(super) fn vectors(&self, job: &Job) -> u32 {
        match (job.kind, &self.mode) {
            (JobKind::Gradient { feed: Some(feed) }, Mode::PerTask { feeds, .. }) => feeds[feed as usize].tasks,
            (JobKind::Gradient { .. }, _) => 1,
            (JobKind::TaskGradients { feed }, _) => {
                self.task_gradients.as_ref().map_or(0, |asked| asked.feeds[feed as usize].tasks)
            }
            _ => 0,
        }
    }

    /// Whether the validation split is evaluated after so many updates.
    pub fn evaluates_after(&self, step: u64) -> bool {
        step == self.steps || self.evaluate_every.is_some_and(|every| step.is_multiple_of(every))
    }

    /// Whether a checkpoint is written after so many updates.
    pub fn saves_after(&self, step: u64) -> bool {
        self.save_every.is_some_and(|every| step.is_multiple_of(every))
    }
}
