//! What a step came to, and why one could not.

use std::time::Duration;

use aggregation::{Gramian, weighting::Certificate};
use indexmap::IndexMap;

use crate::run::WorkerId;

/// What an update did.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// The step.
    pub step: u64,
    /// Mean training loss by task; `None` for a task without labelled rows in this step.
    pub losses: Vec<Option<f64>>,
    /// Global norm of the combined gradient before clipping, where it was computed.
    pub gradient_norm: Option<f64>,
    /// The learning rate.
    pub learning_rate: f64,
    /// How the tasks were weighed.
    pub weighed: Weighed,
    /// Time that statistics, weighting and combination took.
    pub aggregation: Duration,
    /// What the next step's gradients are computed with, where that is known already.
    pub next: Option<Factors>,
    /// Workers to whom the new parameters are on their way already.
    pub served: Vec<WorkerId>,
}

/// A step that changed nothing, because something in it was not finite.
#[derive(Debug, Clone, PartialEq)]
pub struct SkipReport {
    /// The step.
    pub step: u64,
    /// Mean training loss by task, not finite ones included; none where the step was over but for
    /// what its weighting learns.
    pub losses: Option<Vec<Option<f64>>>,
    /// The learning rate.
    pub learning_rate: f64,
    /// What the next step's gradients are computed with, where that is known already.
    pub next: Option<Factors>,
}

/// Something in a step is not a finite number.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NotFinite {
    /// A task's loss.
    #[error("step {step}: the training loss of task `{task}` is {loss}")]
    Loss {
        /// The step.
        step: u64,
        /// The task's name.
        task: String,
        /// The loss.
        loss: f64,
    },
    /// A gradient.
    #[error("step {step}: the gradient of {} is not finite though every loss is", of_tasks(.tasks))]
    Gradient {
        /// The step.
        step: u64,
        /// The tasks' names; in combined mode, in which gradients travel together, all of them.
        tasks: Vec<String>,
    },
    /// The parameters that come from a gradient which is finite.
    #[error("step {step}: the parameters after the update are not finite though the gradient is")]
    Update {
        /// The step.
        step: u64,
    },
    /// What the workers sent does not add up, or the weighting has no answer.
    #[error("step {step}: {reason}")]
    Impossible {
        /// The step.
        step: u64,
        /// Why.
        reason: String,
    },
}

impl NotFinite {
    /// The step.
    pub fn step(&self) -> u64 {
        match self {
            NotFinite::Loss { step, .. }
            | NotFinite::Gradient { step, .. }
            | NotFinite::Update { step }
            | NotFinite::Impossible { step, .. } => *step,
        }
    }

    /// Whether nothing has changed yet, so that the step can be left out.
    pub fn can_be_skipped(&self) -> bool {
        matches!(self, NotFinite::Loss { .. } | NotFinite::Gradient { .. })
    }
}

fn of_tasks(tasks: &[String]) -> String {
    match tasks {
        [task] => format!("task `{task}`"),
        several => format!("the tasks {}", several.join(", ")),
    }
}

/// What workers multiply a step's gradients with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Factors {
    /// Of gradients by task: weight / labelled rows of the whole batch; zero for a task without
    /// rows.
    pub by_task: Vec<f32>,
    /// Of the tasks in one gradient: the same times alpha; empty as long as alpha is not known, and
    /// in per-task mode.
    pub combined: Vec<f32>,
    /// The tasks that have labelled rows, ascending.
    pub present: Vec<u32>,
}

/// How a step's tasks were weighed.
#[derive(Debug, Clone, PartialEq)]
pub struct Weighed {
    /// The tasks that have labelled rows, ascending; the other lists are in this order.
    pub present: Vec<usize>,
    /// Weight times mean loss.
    pub losses: Vec<f64>,
    /// One alpha for the whole of each task's gradient, where the method gives that.
    pub alpha: Option<Vec<f64>>,
    /// Where it gives one for each shared block: those by the block's name, in a step that is
    /// written down.
    pub alpha_by_block: Option<IndexMap<String, Vec<f64>>>,
    /// How good the solver's answer is.
    pub certificate: Option<Certificate>,
    /// Of the gradients over the shared blocks, in a step that is written down and computed them
    /// one by one.
    pub gramian: Option<Gramian>,
    /// Inner products of the gradients with the direction; known where the Gramian is.
    pub products: Option<Vec<f64>>,
    /// The direction's norm over the shared blocks, where the products are known and no alpha is
    /// that it would follow from.
    pub direction_norm: Option<f64>,
    /// Whether the step is one of those that are written down.
    pub recorded: bool,
}
