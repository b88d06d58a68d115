//! What the computing thread is told to do, and what it has done.

use std::time::Duration;

use super::{
    ahead::Recipient,
    answers::{Gradient, Losses, StepAnswers, Sums},
    report::{Factors, NotFinite, SkipReport, StepReport},
};
use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    journal::JournalError,
    run::{Evaluation, Unusable},
    selection::{Evaluated, Plateaus},
};

/// A job for the computing thread.
#[derive(Debug)]
pub enum TrainerJob {
    /// Compute the inner products of the per-task gradients, for the journal.
    ComputeGramian {
        /// The step.
        step: u64,
        /// Nodes of every feed that cover all its microbatches.
        gradients: Vec<Gradient>,
    },
    /// Compute the tasks' weights from the losses before the gradient.
    ComputeWeights {
        /// The step.
        step: u64,
        /// Nodes that cover all microbatches of the step.
        losses: Vec<Losses>,
    },
    /// Update the weighting with the losses after the parameters' update.
    UpdateWeighting {
        /// The step.
        step: u64,
        /// Nodes that cover all microbatches of the step.
        losses: Vec<Losses>,
    },
    /// Compute the parameters of the next step.
    Update {
        /// The step.
        step: u64,
        /// Nodes that cover all microbatches of the step.
        gradients: Vec<Gradient>,
        /// Workers that get the next parameters over the network.
        recipients: Vec<Recipient>,
    },
    /// Skip a step: only the number of steps done changes.
    Skip {
        /// The step.
        step: u64,
    },
    /// Lower the learning rate.
    LowerLearningRate {
        /// The plateaus of the validation loss so far.
        plateaus: Plateaus,
    },
    /// Compute metrics from the workers' sums.
    ComputeMetrics {
        /// The evaluation.
        evaluation: Evaluation,
        /// Sums that cover all chunks.
        sums: Vec<Sums>,
        /// Whether two workers agree on the sums. Then the model itself causes any sum that is not
        /// finite.
        agreed: bool,
    },
    /// Write a checkpoint.
    Save {
        /// What the shell knows of it. The thread fills in parameters and states.
        checkpoint: Box<Checkpoint>,
        /// Whether it holds the best parameters so far.
        best: bool,
        /// Whether all records that led to it are in the journal and synced.
        journal: Result<(), JournalError>,
    },
}

impl TrainerJob {
    /// Whether it is a part of a training step.
    pub(super) fn is_of_step(&self) -> bool {
        match self {
            TrainerJob::ComputeGramian { .. }
            | TrainerJob::ComputeWeights { .. }
            | TrainerJob::UpdateWeighting { .. }
            | TrainerJob::Update { .. }
            | TrainerJob::Skip { .. }
            | TrainerJob::LowerLearningRate { .. } => true,
            TrainerJob::ComputeMetrics { .. } | TrainerJob::Save { .. } => false,
        }
    }
}

/// What the computing thread has done.
#[derive(Debug)]
pub enum Done {
    /// The thread panicked during a job, which is a defect of this program.
    Crashed,
    /// The inner products of the per-task gradients are computed.
    GramianComputed {
        /// The step.
        step: u64,
    },
    /// The tasks' weights are computed.
    WeightsComputed {
        /// The step.
        step: u64,
        /// The factors for the step's gradients.
        factors: Factors,
    },
    /// The weighting is updated.
    WeightingUpdated {
        /// The step.
        step: u64,
        /// The factors for the next step's gradients, if they are known already.
        next: Option<Factors>,
    },
    /// The parameters of the next step are ready beside the current ones.
    Updated(StepReport),
    /// A step failed, and no worker's answer is to blame.
    NotFinite(NotFinite),
    /// A step failed because of some workers' answers.
    Unusable {
        /// Why the step failed.
        error: NotFinite,
        /// The answers to blame.
        unusable: Vec<Unusable>,
        /// All answers of the step.
        answers: StepAnswers,
    },
    /// The learning rate is lowered.
    LearningRateLowered,
    /// A step was skipped.
    Skipped(SkipReport),
    /// Metrics are computed.
    MetricsComputed(Evaluation, Evaluated),
    /// Some sums are not finite, and a worker may be to blame. No metrics were computed.
    SumsNotFinite {
        /// The evaluation.
        evaluation: Evaluation,
        /// The answers to blame.
        unusable: Vec<Unusable>,
        /// All sums.
        sums: Vec<Sums>,
    },
    /// A checkpoint was written, or could not be.
    Saved {
        /// Updates done.
        step: u64,
        /// Whether it holds the best parameters so far.
        best: bool,
        /// `true` if it was written now, `false` if it was on the disk already.
        written: Result<bool, CheckpointError>,
        /// Whether the best checkpoint is marked and old ones are removed.
        tidied: Result<(), CheckpointError>,
        /// How long it took.
        took: Duration,
    },
}
