//! What the machine hears and what it answers.

use std::time::Duration;

use super::{Assignment, Evaluation, Fault, Job, Unusable};

/// A worker's lease: its identity in this run, given once, in the order of joining.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u64);

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A worker was welcomed and loads its data.
    Joined(WorkerId),
    /// A worker can compute.
    Ready(WorkerId),
    /// A worker gave a sign of life.
    Beat(WorkerId),
    /// A worker is gone.
    Lost(WorkerId, Departure),
    /// A worker's result is complete in the shell.
    Result {
        /// Who computed it.
        worker: WorkerId,
        /// The work's id.
        work: u64,
    },
    /// A worker could not do its work.
    Failed {
        /// Who tried.
        worker: WorkerId,
        /// The work's id.
        work: u64,
        /// Why, for people.
        reason: String,
    },
    /// The inner products of the tasks' gradients are taken.
    GramianComputed {
        /// The step.
        step: u64,
    },
    /// The tasks are weighed.
    WeightsComputed {
        /// The step.
        step: u64,
    },
    /// The weighting has learned of the losses after the update.
    WeightingUpdated {
        /// The step.
        step: u64,
    },
    /// The new parameters stand beside the current ones.
    Updated {
        /// The step that they come from.
        step: u64,
    },
    /// Some of the answers that were kept can't be used.
    Unusable {
        /// The step.
        step: u64,
        /// What the step would come to with them, for people.
        reason: String,
        /// These.
        answers: Vec<Unusable>,
    },
    /// The step can't be: something in it is not finite though every answer is.
    NotFinite {
        /// The step.
        step: u64,
        /// What it is, for people.
        reason: String,
    },
    /// Nothing has changed but the number of steps done.
    Skipped {
        /// The step.
        step: u64,
    },
    /// The run can't go on, for this reason.
    Impossible(String),
    /// The metrics of an evaluation are known.
    MetricsComputed {
        /// Whether early stopping has run out of patience.
        stop: bool,
    },
    /// The checkpoint is on disk, or could not be written (which the shell has said).
    Saved,
    /// Time has passed, and all that came in it was told.
    Tick,
    /// Someone asks the run to end, after a checkpoint.
    Interrupt,
    /// Someone asks for a checkpoint.
    Save,
}

/// Why a worker is gone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Departure {
    /// Its stream broke.
    #[error("its connection broke")]
    Disconnected,
    /// It was silent for longer than the lease.
    #[error("it was silent for {0:?}")]
    Silent(Duration),
    /// It gave signs of life and did not answer: its stream is cut in silence, or its computation
    /// hangs.
    #[error("it did not answer for {0:?}")]
    Unanswered(Duration),
    /// It went by itself, or was told to go.
    #[error("{0}")]
    Left(String),
}

/// What the shell has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Give a worker something to compute.
    Assign(WorkerId, Assignment),
    /// The result counts: keep it until the phase is over.
    Keep {
        /// Who computed it.
        worker: WorkerId,
        /// The work's id.
        work: u64,
        /// What it was about.
        job: Job,
    },
    /// The result counts for nothing.
    Drop {
        /// Who sent it.
        worker: WorkerId,
        /// The work's id.
        work: u64,
    },
    /// The answers about these jobs do not count any more: they are asked for again.
    Retract {
        /// These.
        jobs: Vec<Job>,
    },
    /// Forget what was kept and not used: the phase it was for is over or given up.
    Clear,
    /// Take the inner products of the tasks' gradients that were kept, for the record.
    ComputeGramian {
        /// The step.
        step: u64,
    },
    /// Weigh the tasks with the losses that were kept.
    ComputeWeights {
        /// The step.
        step: u64,
    },
    /// Let the weighting learn of the losses that were kept, which are those after the update.
    UpdateWeighting {
        /// The step.
        step: u64,
    },
    /// Add what was kept, weigh it, and build the parameters of the next step beside the current
    /// ones.
    Update {
        /// The step.
        step: u64,
    },
    /// Leave everything as it was before the step, and take the next one.
    Skip {
        /// The step.
        step: u64,
    },
    /// The parameters beside are the current ones from now on.
    Commit {
        /// Number of updates done.
        step: u64,
    },
    /// Make metrics of what was kept.
    ComputeMetrics {
        /// Of what.
        evaluation: Evaluation,
        /// Whether two answers agree about what is not finite in it, so that it is the model's
        /// doing.
        agreed: bool,
    },
    /// Make the parameters that the run selects the current ones.
    Select,
    /// Write a checkpoint of the current state.
    Save {
        /// Number of updates done.
        step: u64,
    },
    /// End the worker's stream.
    Dismiss(WorkerId, Departure),
    /// End the stream of a worker that is at fault, and keep it out for a while.
    Ban {
        /// Who.
        worker: WorkerId,
        /// What it did.
        fault: Fault,
    },
    /// Tell the workers that all is over, and end.
    Finish(Outcome),
    /// Something for the journal and for people.
    Notice(Notice),
}

/// How a run ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done, or early stopping ended them.
    Finished {
        /// Whether early stopping did.
        early: bool,
    },
    /// Someone asked for it.
    Interrupted,
    /// It can't go on.
    Failed(String),
}

/// What people may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A worker takes part.
    WorkerReady {
        /// Who.
        worker: WorkerId,
        /// How many take part now.
        workers: usize,
    },
    /// A worker is gone; its work goes to others.
    WorkerLost {
        /// Who.
        worker: WorkerId,
        /// Why.
        departure: Departure,
        /// Pieces of work that go back to the queue.
        reissued: usize,
        /// How many take part now.
        workers: usize,
    },
    /// A worker is late; another that has nothing to do computes the same. Whoever answers first
    /// counts.
    Straggler {
        /// Who is late.
        worker: WorkerId,
        /// With what.
        job: Job,
        /// Who has it too.
        other: WorkerId,
    },
    /// A worker's answer is not finite: it is asked for again, of another worker where there is
    /// one.
    Suspected {
        /// Whose.
        worker: WorkerId,
        /// About what.
        job: Job,
    },
    /// Too few workers take part.
    Waiting {
        /// How many take part.
        workers: usize,
        /// How many have to.
        needed: usize,
    },
    /// There are more workers than microbatches.
    Idle {
        /// How many have nothing to do in a step.
        idle: usize,
    },
}
