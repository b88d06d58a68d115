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
    Measuring,
    /// Workers compute the losses that the weighting needs before the gradient.
    LossesBefore,
    /// The shell weighs the tasks.
    Weighing,
    /// Workers compute gradients.
    Gradient,
    /// The shell builds the next parameters.
    Updating,
    /// Workers compute the losses after the update, on the same rows.
    LossesAfter,
    /// The weighting learns of them.
    Learning,
    /// The shell undoes what the step has changed, and takes the next one.
    Skipping,
    /// Workers compute the sums of an evaluation.
    Evaluating(Evaluation),
    /// The shell makes metrics of the sums.
    Deciding(Evaluation),
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
            | Phase::Measuring
            | Phase::LossesBefore
            | Phase::Weighing
            | Phase::Gradient
            | Phase::Updating
            | Phase::LossesAfter
            | Phase::Learning
            | Phase::Skipping => "training",
            Phase::Evaluating(_) | Phase::Deciding(_) => "evaluating",
            Phase::Saving => "saving",
            Phase::Over => "over",
        }
    }

    /// The number that messages carry, so that a result of another phase of the step is recognised.
    pub fn number(&self) -> u32 {
        match self {
            Phase::Start | Phase::Gradient | Phase::Updating | Phase::Skipping => 0,
            Phase::Evaluating(evaluation) | Phase::Deciding(evaluation) => match evaluation {
                Evaluation::Progress => 1,
                Evaluation::Final(SplitName::Validation) => 2,
                Evaluation::Final(_) => 3,
            },
            Phase::Saving | Phase::Over => 4,
            Phase::LossesBefore | Phase::Weighing => 5,
            Phase::LossesAfter | Phase::Learning => 6,
            Phase::TaskGradients | Phase::Measuring => 7,
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
