//! What the state machine hears, and what it has done.

use std::time::Duration;

use super::{Assignment, Evaluation, Fault, Unusable, WorkerId, WorkerJob};

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A worker was welcomed and loads its data.
    Joined(WorkerId),
    /// A worker can compute.
    Ready(WorkerId),
    /// A worker sent a heartbeat.
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
    /// The inner products of the per-task gradients are computed.
    GramianComputed {
        /// The step.
        step: u64,
    },
    /// The tasks' weights are computed.
    WeightsComputed {
        /// The step.
        step: u64,
    },
    /// The weighting has learned from the losses after the update.
    WeightingUpdated {
        /// The step.
        step: u64,
    },
    /// The new parameters stand beside the current ones.
    Updated {
        /// The step that they are computed in.
        step: u64,
    },
    /// Some of the answers that were kept can't be used.
    Unusable {
        /// The step.
        step: u64,
        /// What is wrong with the step if the model is to blame, for people.
        reason: String,
        /// The answers that can't be used.
        answers: Vec<Unusable>,
    },
    /// The step can't be completed: something in it is not finite though every answer is.
    NotFinite {
        /// The step.
        step: u64,
        /// What is not finite, for people.
        reason: String,
    },
    /// The step is skipped: only the number of steps done has changed.
    Skipped {
        /// The step.
        step: u64,
    },
    /// The run can't go on, for the reason given.
    Impossible(String),
    /// The metrics of an evaluation are known.
    MetricsComputed {
        /// Whether early stopping has run out of patience.
        stop: bool,
    },
    /// The checkpoint is on disk, or the shell has reported why it is not.
    Saved,
    /// Time has passed. All events before it were told.
    Tick,
    /// Somebody asks the run to end, after a checkpoint.
    Interrupt,
    /// Somebody asks for a checkpoint.
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
    /// It sent heartbeats but did not answer: its stream is cut without notice, or its computation
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
        /// What it is the result of.
        job: WorkerJob,
    },
    /// The result does not count: forget it.
    Drop {
        /// Who sent it.
        worker: WorkerId,
        /// The work's id.
        work: u64,
    },
    /// The results of some jobs do not count any more. They are asked for again.
    Retract {
        /// The jobs.
        jobs: Vec<WorkerJob>,
    },
    /// Forget all results that were kept and not used. Their phase is over or given up.
    Clear,
    /// Compute the inner products of the per-task gradients that were kept, for the journal.
    ComputeGramian {
        /// The step.
        step: u64,
    },
    /// Compute the tasks' weights from the losses that were kept.
    ComputeWeights {
        /// The step.
        step: u64,
    },
    /// Let the weighting learn from the losses that were kept: those after the update.
    UpdateWeighting {
        /// The step.
        step: u64,
    },
    /// Add the gradients that were kept, weigh them, and build the parameters of the next step
    /// beside the current ones.
    Update {
        /// The step.
        step: u64,
    },
    /// Undo the step, which then counts as done.
    Skip {
        /// The step.
        step: u64,
    },
    /// Compute metrics from the sums that were kept.
    ComputeMetrics {
        /// What is evaluated.
        evaluation: Evaluation,
        /// Whether two answers agree on what is not finite, so that the model is the reason.
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
    /// End the stream of a worker that is at fault, and keep the worker out for a while.
    Ban {
        /// Who.
        worker: WorkerId,
        /// What it did.
        fault: Fault,
    },
    /// Tell the workers that the run is over, and end.
    Finish(RunOutcome),
    /// Report something to the journal and to people.
    Notice(Notice),
}

/// How a run ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunOutcome {
    /// All steps are done, or early stopping ended them.
    Finished {
        /// Whether early stopping did.
        early: bool,
    },
    /// Somebody asked for it.
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
    /// A worker is gone. Its work goes to others.
    WorkerLost {
        /// Who.
        worker: WorkerId,
        /// Why.
        departure: Departure,
        /// Pieces of work that return to the queue.
        reissued: usize,
        /// How many take part now.
        workers: usize,
    },
    /// A worker is a straggler. Another worker computes the same, and the first answer counts.
    Straggler {
        /// The straggler.
        worker: WorkerId,
        /// Its job.
        job: WorkerJob,
        /// The worker that computes the job too.
        other: WorkerId,
    },
    /// A worker's answer is not finite. The same is asked for again, from another worker if there
    /// is one.
    Suspected {
        /// Who sent it.
        worker: WorkerId,
        /// What it answers.
        job: WorkerJob,
    },
    /// A worker fails at one piece of work after the other. Others get its work for
    /// [`super::PUT_ASIDE`], if there are any.
    PutAside {
        /// Who.
        worker: WorkerId,
        /// At how many it failed in a row.
        failures: u32,
        /// What it said last.
        reason: String,
    },
    /// Too few workers take part.
    Waiting {
        /// How many take part.
        workers: usize,
        /// How many have to take part.
        needed: usize,
    },
    /// There are more workers than microbatches.
    Idle {
        /// How many have nothing to do in a step.
        idle: usize,
    },
}
