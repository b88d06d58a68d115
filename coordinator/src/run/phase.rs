//! Where in a step the run is, and what comes after the step.

use std::time::Duration;

use experiment::SplitName;

/// Where in a step the run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No worker has been ready yet.
    Start {
        /// Whether the parameters have to be evaluated before the first step.
        evaluation_due: bool,
    },
    /// Workers compute per-task gradients for the journal.
    TaskGradients(PhaseWork),
    /// The shell computes the inner products of those gradients.
    ComputingGramian,
    /// Workers compute the losses that the weighting needs before the gradient.
    LossesBefore(PhaseWork),
    /// The shell computes the tasks' weights.
    ComputingWeights,
    /// Workers compute gradients.
    Gradient(PhaseWork),
    /// The shell builds the next parameters.
    Updating,
    /// Workers compute the losses after the update, on the same rows.
    LossesAfter {
        /// Whether the work is divided.
        work: PhaseWork,
        /// Since when the run waits for a worker that lets it end. `None` unless the run was asked
        /// to end and no worker is there.
        abandoned: Option<Duration>,
    },
    /// The weighting learns from those losses.
    UpdatingWeighting,
    /// The shell undoes the step.
    Skipping,
    /// Workers compute the metric sums of an evaluation.
    Evaluating(Evaluation),
    /// The shell computes metrics from those sums.
    ComputingMetrics(Evaluation),
    /// The shell writes a checkpoint, after which the run goes on or ends.
    Saving {
        /// Whether the parameters still have to be evaluated.
        evaluation_due: bool,
    },
    /// The run has ended.
    Over {
        /// Whether the parameters still had to be evaluated.
        evaluation_due: bool,
    },
}

/// Whether the microbatches of a phase are divided over the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhaseWork {
    /// They are not: too few workers take part.
    Undivided,
    /// They are; some may be computed already.
    Divided,
}

/// What comes after the present step and its evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterStep {
    /// The next step, or the end after the last one.
    Continue,
    /// A checkpoint that somebody asked for, then the next step.
    Save,
    /// The end, because early stopping has run out of patience.
    FinishEarly,
    /// A checkpoint and the end, because somebody asked for it.
    Interrupt,
}

impl Phase {
    /// The phase in a word, for people.
    pub fn name(&self) -> &'static str {
        match self {
            Phase::Start { .. } => "waiting for workers",
            Phase::TaskGradients(_)
            | Phase::ComputingGramian
            | Phase::LossesBefore(_)
            | Phase::ComputingWeights
            | Phase::Gradient(_)
            | Phase::Updating
            | Phase::LossesAfter { .. }
            | Phase::UpdatingWeighting
            | Phase::Skipping => "training",
            Phase::Evaluating(_) | Phase::ComputingMetrics(_) => "evaluating",
            Phase::Saving { .. } => "saving",
            Phase::Over { .. } => "over",
        }
    }

    /// The number by which a message tells the phase of its step that it belongs to.
    pub fn number(&self) -> u32 {
        match self {
            Phase::Start { .. } | Phase::Gradient(_) | Phase::Updating | Phase::Skipping => 0,
            Phase::Evaluating(evaluation) | Phase::ComputingMetrics(evaluation) => match evaluation {
                Evaluation::Progress => 1,
                Evaluation::Final(SplitName::Validation) => 2,
                Evaluation::Final(_) => 3,
            },
            Phase::Saving { .. } | Phase::Over { .. } => 4,
            Phase::LossesBefore(_) | Phase::ComputingWeights => 5,
            Phase::LossesAfter { .. } | Phase::UpdatingWeighting => 6,
            Phase::TaskGradients(_) | Phase::ComputingGramian => 7,
        }
    }

    /// Whether the run is over.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Phase::Over { .. })
    }

    /// Whether the parameters have to be evaluated before the next step.
    pub(super) fn evaluation_due(&self) -> bool {
        match self {
            Phase::Start { evaluation_due } | Phase::Saving { evaluation_due } | Phase::Over { evaluation_due } => {
                *evaluation_due
            }
            Phase::Evaluating(evaluation) | Phase::ComputingMetrics(evaluation) => *evaluation == Evaluation::Progress,
            _ => false,
        }
    }

    /// Marks the phase's work as divided. Returns whether it was not before.
    pub(super) fn mark_divided(&mut self) -> bool {
        match self {
            Phase::TaskGradients(work)
            | Phase::LossesBefore(work)
            | Phase::Gradient(work)
            | Phase::LossesAfter { work, .. } => std::mem::replace(work, PhaseWork::Divided) == PhaseWork::Undivided,
            _ => false,
        }
    }
}

/// What is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evaluation {
    /// The current parameters on the validation split, during training.
    Progress,
    /// The selected parameters on a split, at the end.
    Final(SplitName),
}

impl Evaluation {
    /// The split that is read.
    pub fn split(self) -> SplitName {
        match self {
            Evaluation::Progress => SplitName::Validation,
            Evaluation::Final(split) => split,
        }
    }
}
