//! Where in a step the run is.

use experiment::SplitName;

/// Where in a step the run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// No worker has been ready yet.
    Start,
    /// Workers compute the tasks' gradients one by one, for the record.
    TaskGradients,
    /// The shell takes their inner products.
    ComputingGramian,
    /// Workers compute the losses that the weighting needs before the gradient.
    LossesBefore,
    /// The shell weighs the tasks.
    ComputingWeights,
    /// Workers compute gradients.
    Gradient,
    /// The shell builds the next parameters.
    Updating,
    /// Workers compute the losses after the update, on the same rows.
    LossesAfter,
    /// The weighting learns of them.
    UpdatingWeighting,
    /// The shell undoes what the step has changed, and takes the next one.
    Skipping,
    /// Workers compute the sums of an evaluation.
    Evaluating(Evaluation),
    /// The shell makes metrics of the sums.
    ComputingMetrics(Evaluation),
    /// The shell writes a checkpoint.
    Saving,
    /// The run has ended.
    Over,
}

impl Phase {
    /// A word for people.
    pub fn name(&self) -> &'static str {
        match self {
            Phase::Start => "waiting for workers",
            Phase::TaskGradients
            | Phase::ComputingGramian
            | Phase::LossesBefore
            | Phase::ComputingWeights
            | Phase::Gradient
            | Phase::Updating
            | Phase::LossesAfter
            | Phase::UpdatingWeighting
            | Phase::Skipping => "training",
            Phase::Evaluating(_) | Phase::ComputingMetrics(_) => "evaluating",
            Phase::Saving => "saving",
            Phase::Over => "over",
        }
    }

    /// The number that messages carry, so that a result of another phase of the step is recognised.
    pub fn number(&self) -> u32 {
        match self {
            Phase::Start | Phase::Gradient | Phase::Updating | Phase::Skipping => 0,
            Phase::Evaluating(evaluation) | Phase::ComputingMetrics(evaluation) => match evaluation {
                Evaluation::Progress => 1,
                Evaluation::Final(SplitName::Validation) => 2,
                Evaluation::Final(_) => 3,
            },
            Phase::Saving | Phase::Over => 4,
            Phase::LossesBefore | Phase::ComputingWeights => 5,
            Phase::LossesAfter | Phase::UpdatingWeighting => 6,
            Phase::TaskGradients | Phase::ComputingGramian => 7,
        }
    }
}

/// What is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evaluation {
    /// The current parameters on the validation split, in the midst of training.
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
