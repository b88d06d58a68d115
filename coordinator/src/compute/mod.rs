//! The coordinator's computing thread: everything that takes time and is not IO with workers.
//!
//! Jobs are done one after the other in the order in which they come, so that a job sees the state that
//! the one before it has left. The shell learns of the end of each by a message.

mod jacobian;
mod reduce;
mod updater;
mod weigher;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc as blocking,
    },
    thread,
};

use aggregation::tree::Node;
use proto::message::LossSum;
use tokio::sync::mpsc;

pub use reduce::{Contribution, Missing, Place};
pub use updater::{Factors, NotFinite, StepReport, Updater, Weighed};

use crate::{
    checkpoint::{self, Checkpoint, CheckpointError},
    evaluation::{self, Part},
    run::Evaluation,
    selection::Evaluated,
};

/// What a worker computed for a node of a step's microbatches.
#[derive(Debug)]
pub struct Gradient {
    /// The feed; `None`: all.
    pub feed: Option<u32>,
    /// The node.
    pub node: Node,
    /// Loss sums by task.
    pub losses: Vec<LossSum>,
    /// The vectors of gradient sums: one for all tasks, or one each.
    pub vectors: Vec<Contribution>,
}

/// The losses of a node of a step's microbatches.
#[derive(Debug)]
pub struct Losses {
    /// The feed; `None`: all.
    pub feed: Option<u32>,
    /// The node.
    pub node: Node,
    /// Sums by task.
    pub sums: Vec<LossSum>,
}

/// Something for the thread to do.
#[derive(Debug)]
pub enum Job {
    /// Weigh the tasks with the losses before the gradient.
    Weigh {
        /// The step.
        step: u64,
        /// Nodes that cover all its microbatches.
        losses: Vec<Losses>,
    },
    /// Let the weighting learn of the losses after the update.
    Learn {
        /// The step.
        step: u64,
        /// Nodes that cover all its microbatches.
        losses: Vec<Losses>,
    },
    /// Build the parameters of the next step.
    Update {
        /// The step.
        step: u64,
        /// Nodes that cover all its microbatches.
        gradients: Vec<Gradient>,
    },
    /// Make metrics of sums.
    Decide {
        /// What was evaluated.
        evaluation: Evaluation,
        /// Sums that cover all chunks.
        parts: Vec<Part>,
    },
    /// Write a checkpoint; `best` where it holds the best parameters so far.
    Save {
        /// What the shell knows; parameters and states are filled in.
        checkpoint: Box<Checkpoint>,
        /// Whether it holds the best parameters so far.
        best: bool,
    },
}

/// What the thread has done.
#[derive(Debug)]
pub enum Done {
    /// What a step's gradients are to be computed with.
    Weighed {
        /// The step.
        step: u64,
        /// The factors.
        factors: Factors,
    },
    /// The weighting has learned of a step.
    Learned {
        /// The step.
        step: u64,
        /// What the next step's gradients are computed with, where that is known already.
        next: Option<Factors>,
    },
    /// The parameters of the next step stand beside the current ones.
    Updated(StepReport),
    /// They can't be.
    NotFinite(NotFinite),
    /// Metrics are known.
    Decided(Evaluation, Evaluated),
    /// A checkpoint is on disk, or not; `best` where it holds the best parameters so far.
    Saved {
        /// Updates done.
        step: u64,
        /// Whether it holds the best parameters so far.
        best: bool,
        /// What came of it.
        outcome: Result<(), CheckpointError>,
        /// How long it took.
        took: std::time::Duration,
    },
}

/// What the thread works with.
pub struct Desk {
    /// Parameters, optimizer, weighting.
    pub updater: Updater,
    /// The run's folder.
    pub run_dir: std::path::PathBuf,
    /// How many checkpoints stay, the best one aside.
    pub keep: usize,
    /// The step of the best parameters so far.
    pub best: Option<u64>,
}

/// An update of so few parameters takes less time than waking a thread for it: it is done at once.
const AT_ONCE_ELEMENTS: usize = 1 << 16;

/// Has jobs done: by the thread, or at once where that is quicker. Either way the end of a job is a message.
pub struct Executor {
    desk: Arc<Mutex<Desk>>,
    jobs: blocking::Sender<Job>,
    done: mpsc::UnboundedSender<Done>,
    queued: Arc<AtomicUsize>,
    at_once: bool,
}

/// The thread has ended.
#[derive(Debug)]
pub struct Ended;

impl Executor {
    /// Starts the thread; it ends when the executor is dropped.
    pub fn start(desk: Desk, done: mpsc::UnboundedSender<Done>) -> (Executor, thread::JoinHandle<()>) {
        let (jobs, asked) = blocking::channel();
        let at_once = desk.updater.parameters().elements() <= AT_ONCE_ELEMENTS;
        let desk = Arc::new(Mutex::new(desk));
        let queued = Arc::new(AtomicUsize::new(0));
        let executor =
            Executor { desk: Arc::clone(&desk), jobs, done: done.clone(), queued: Arc::clone(&queued), at_once };
        let thread = thread::spawn(move || {
            for job in asked {
                let mut desk = lock(&desk);
                let said = desk.take(job);
                queued.fetch_sub(1, Ordering::Release);
                if done.send(said).is_err() {
                    return;
                }
                desk.updater.look_ahead();
            }
        });
        (executor, thread)
    }

    /// Has a job done, after those that were ordered before.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn order(&self, job: Job) -> Result<(), Ended> {
        let idle = self.queued.load(Ordering::Acquire) == 0;
        let of_step = matches!(job, Job::Update { .. } | Job::Weigh { .. } | Job::Learn { .. });
        if self.at_once && idle && of_step {
            let said = lock(&self.desk).take(job);
            return self.done.send(said).map_err(|_| Ended);
        }
        self.queued.fetch_add(1, Ordering::Release);
        self.jobs.send(job).map_err(|_| Ended)
    }

    /// Prepares the steps to come, after an update that was done at once; the thread does so by itself.
    pub fn look_ahead(&self) {
        if self.at_once && self.queued.load(Ordering::Acquire) == 0 {
            lock(&self.desk).updater.look_ahead();
        }
    }
}

/// A job that panicked ends the run: nothing reads what it has left half done.
fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    fn take(&mut self, job: Job) -> Done {
        match job {
            Job::Weigh { step, losses } => match self.updater.weigh(step, losses) {
                Ok(factors) => Done::Weighed { step, factors },
                Err(error) => Done::NotFinite(error),
            },
            Job::Learn { step, losses } => match self.updater.learn(step, losses) {
                Ok(next) => Done::Learned { step, next },
                Err(error) => Done::NotFinite(error),
            },
            Job::Update { step, gradients } => match self.updater.update(step, gradients) {
                Ok(report) => Done::Updated(report),
                Err(error) => Done::NotFinite(error),
            },
            Job::Decide { evaluation, parts } => {
                let split = evaluation.split();
                let chunks = self.updater.chunks(split);
                Done::Decided(evaluation, evaluation::metrics(self.updater.shapes(), split, &chunks, parts))
            }
            Job::Save { checkpoint, best } => {
                let step = checkpoint.step;
                if best {
                    self.best = Some(step);
                }
                #[expect(clippy::disallowed_methods, reason = "a duration that is observed, never used")]
                let began = std::time::Instant::now();
                let mut outcome = self.save(*checkpoint);
                if best {
                    outcome = outcome.and_then(|()| checkpoint::mark_best(&self.run_dir, step));
                }
                Done::Saved { step, best, outcome, took: began.elapsed() }
            }
        }
    }

    fn save(&self, mut checkpoint: Checkpoint) -> Result<(), CheckpointError> {
        if checkpoint::path_of(&self.run_dir, checkpoint.step).exists() {
            return Ok(());
        }
        self.updater.fill(&mut checkpoint);
        checkpoint::write(&self.run_dir, &checkpoint)?;
        let protected: Vec<u64> = self.best.into_iter().collect();
        checkpoint::keep(&self.run_dir, self.keep, &protected).map(drop)
    }
}
