//! The coordinator's computing thread: everything that takes time and is not IO with workers.
//!
//! Jobs are done one after the other in the order in which they come, so that a job sees the state
//! that the one before it has left. The shell learns of the end of each by a message.

mod ahead;
mod answers;
mod jacobian;
mod piece;
mod reduce;
mod report;
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
use objectives::LossSum;
use tokio::sync::mpsc;

pub use ahead::Recipient;
pub use reduce::{Contribution, Missing, Place};
pub use report::{Factors, NotFinite, SkipReport, StepReport, Weighed};
pub use updater::Updater;

use crate::{
    checkpoint::{Checkpoint, CheckpointError, Keeper, Kept},
    evaluation::{self, Part},
    journal::JournalError,
    run::{Evaluation, Unusable, WorkerId},
    selection::Evaluated,
};

/// What a worker computed for a node of a step's microbatches.
#[derive(Debug)]
pub struct Gradient {
    /// Who computed it.
    pub worker: WorkerId,
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
    /// Who computed them.
    pub worker: WorkerId,
    /// The node.
    pub node: Node,
    /// Sums by task.
    pub sums: Vec<LossSum>,
}

/// What a worker computed for a node of a split's chunks.
#[derive(Debug)]
pub struct Sums {
    /// Who computed them.
    pub worker: WorkerId,
    /// Where they belong, and what they are.
    pub part: Part,
}

/// Answers that a step could not be made of, for the shell to keep what is good of them.
#[derive(Debug)]
pub enum Answers {
    /// Gradients.
    Gradients(Vec<Gradient>),
    /// Gradients by task for the record.
    TaskGradients(Vec<Gradient>),
    /// Losses.
    Losses(Vec<Losses>),
}

/// Something for the thread to do.
#[derive(Debug)]
pub enum Job {
    /// Take the inner products of the tasks' gradients, for the record.
    Measure {
        /// The step.
        step: u64,
        /// Nodes of every feed that cover all its microbatches.
        gradients: Vec<Gradient>,
    },
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
        /// Workers to whom the next parameters go over the network.
        recipients: Vec<Recipient>,
    },
    /// Leave a step out: nothing changes but the number of steps done.
    Skip {
        /// The step.
        step: u64,
    },
    /// Make metrics of sums.
    Decide {
        /// What was evaluated.
        evaluation: Evaluation,
        /// Sums that cover all chunks.
        sums: Vec<Sums>,
        /// Whether what is not finite in them is the model's doing, as two answers agree.
        agreed: bool,
    },
    /// Write a checkpoint; `best` where it holds the best parameters so far.
    Save {
        /// What the shell knows; parameters and states are filled in.
        checkpoint: Box<Checkpoint>,
        /// Whether it holds the best parameters so far.
        best: bool,
        /// Whether everything that led to it is in the journal and synced.
        journal: Result<(), JournalError>,
    },
}

/// What the thread has done.
#[derive(Debug)]
pub enum Done {
    /// The thread has ended in the middle of a job: our own mistake.
    Crashed,
    /// The inner products of the tasks' gradients are taken.
    Measured {
        /// The step.
        step: u64,
    },
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
    /// A step has no end, though nothing is wrong with any answer.
    NotFinite(NotFinite),
    /// A step has no end, because of some answers.
    Unusable {
        /// What it came to.
        error: NotFinite,
        /// These.
        unusable: Vec<Unusable>,
        /// All answers.
        answers: Answers,
    },
    /// A step is left out.
    Skipped(SkipReport),
    /// Metrics are known.
    Decided(Evaluation, Evaluated),
    /// Metrics are not made of sums that are not finite, as long as it may be a worker's doing.
    Undecided {
        /// What was evaluated.
        evaluation: Evaluation,
        /// These.
        unusable: Vec<Unusable>,
        /// All sums.
        sums: Vec<Sums>,
    },
    /// A checkpoint is on disk, or not; `best` where it holds the best parameters so far.
    Saved {
        /// Updates done.
        step: u64,
        /// Whether it holds the best parameters so far.
        best: bool,
        /// Whether it is on disk: written now (true), or there already.
        written: Result<bool, CheckpointError>,
        /// Whether the best one is named and those that are not needed any more are gone.
        tidied: Result<(), CheckpointError>,
        /// How long it took.
        took: std::time::Duration,
    },
}

/// What the thread works with.
pub struct Trainer {
    /// Parameters, optimizer, weighting.
    pub updater: Updater,
    /// The run's checkpoints.
    pub keeper: Keeper,
}

/// Has jobs done: by the thread, or at once where that is quicker. Either way the end of a job is a
/// message.
pub struct Executor {
    trainer: Arc<Mutex<Trainer>>,
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
    pub fn start(trainer: Trainer, done: mpsc::UnboundedSender<Done>) -> (Executor, thread::JoinHandle<()>) {
        let (jobs, asked) = blocking::channel();
        let at_once = trainer.updater.parameters().elements() <= piece::ALONE_ELEMENTS;
        let trainer = Arc::new(Mutex::new(trainer));
        let queued = Arc::new(AtomicUsize::new(0));
        let executor =
            Executor { trainer: Arc::clone(&trainer), jobs, done: done.clone(), queued: Arc::clone(&queued), at_once };
        let thread = thread::spawn(move || {
            let _last_word = LastWord(done.clone());
            for job in asked {
                let mut trainer = lock(&trainer);
                let said = trainer.take(job);
                queued.fetch_sub(1, Ordering::Release);
                if done.send(said).is_err() {
                    return;
                }
                trainer.updater.look_ahead();
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
        let of_step = matches!(
            job,
            Job::Measure { .. } | Job::Update { .. } | Job::Weigh { .. } | Job::Learn { .. } | Job::Skip { .. }
        );
        if self.at_once && idle && of_step {
            let said = lock(&self.trainer).take(job);
            return self.done.send(said).map_err(|_| Ended);
        }
        self.queued.fetch_add(1, Ordering::Release);
        self.jobs.send(job).map_err(|_| Ended)
    }

    /// Says that something is done, or can't be, without the thread.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn say(&self, done: Done) -> Result<(), Ended> {
        self.done.send(done).map_err(|_| Ended)
    }

    /// Prepares the steps to come, after an update that was done at once; the thread does so by
    /// itself.
    pub fn look_ahead(&self) {
        if self.at_once && self.queued.load(Ordering::Acquire) == 0 {
            lock(&self.trainer).updater.look_ahead();
        }
    }
}

/// Says so where the thread panics: whoever waits for its answer would wait for ever.
struct LastWord(mpsc::UnboundedSender<Done>);

impl Drop for LastWord {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = self.0.send(Done::Crashed);
        }
    }
}

/// A job that panicked ends the run ([`LastWord`]): nothing reads what it has left half done.
fn lock(trainer: &Mutex<Trainer>) -> MutexGuard<'_, Trainer> {
    trainer.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Trainer {
    fn take(&mut self, job: Job) -> Done {
        match job {
            Job::Measure { step, gradients } => match self.updater.measure(step, &gradients) {
                Ok(()) => Done::Measured { step },
                Err(error) => self.failed(error, Answers::TaskGradients(gradients)),
            },
            Job::Weigh { step, losses } => match self.updater.weigh(step, &losses) {
                Ok(factors) => Done::Weighed { step, factors },
                Err(error) => self.failed(error, Answers::Losses(losses)),
            },
            Job::Learn { step, losses } => match self.updater.learn(step, &losses) {
                Ok(next) => Done::Learned { step, next },
                Err(error) => self.failed(error, Answers::Losses(losses)),
            },
            Job::Update { step, gradients, recipients } => match self.updater.update(step, &gradients, recipients) {
                Ok(report) => Done::Updated(report),
                Err(error) => self.failed(error, Answers::Gradients(gradients)),
            },
            Job::Skip { step } => match self.updater.skip(step) {
                Ok(report) => Done::Skipped(report),
                Err(error) => Done::NotFinite(error),
            },
            Job::Decide { evaluation, sums, agreed } => {
                let split = evaluation.split();
                let unusable = if agreed { Vec::new() } else { answers::not_finite(split, &sums) };
                if !unusable.is_empty() {
                    return Done::Undecided { evaluation, unusable, sums };
                }
                let parts = sums.into_iter().map(|sums| sums.part).collect();
                let chunks = self.updater.chunks(split);
                Done::Decided(evaluation, evaluation::metrics(self.updater.shapes(), split, &chunks, parts))
            }
            Job::Save { checkpoint, best, journal } => {
                let step = checkpoint.step;
                #[expect(clippy::disallowed_methods, reason = "a duration that is observed, never used")]
                let began = std::time::Instant::now();
                let fill = |checkpoint: &mut Checkpoint| self.updater.fill(checkpoint);
                let Kept { written, tidied } = self.keeper.save(checkpoint, best, journal, fill);
                Done::Saved { step, best, written, tidied, took: began.elapsed() }
            }
        }
    }

    /// Why a step has no end: because of an answer, if any is to blame.
    fn failed(&self, error: NotFinite, answers: Answers) -> Done {
        let unusable = self.updater.unusable(&answers);
        if unusable.is_empty() { Done::NotFinite(error) } else { Done::Unusable { error, unusable, answers } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_says_so_and_one_that_ends_does_not() {
        let ends_with = |panics: bool| {
            let (done, mut heard) = mpsc::unbounded_channel();
            let thread = thread::spawn(move || {
                let _last_word = LastWord(done);
                assert!(!panics, "a mistake of our own");
            });
            assert_eq!(thread.join().is_err(), panics);
            heard.try_recv()
        };
        assert!(matches!(ends_with(true), Ok(Done::Crashed)));
        assert!(ends_with(false).is_err());
    }
}
