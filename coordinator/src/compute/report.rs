//! The result of a step, and why a step failed.

use std::time::Duration;

use aggregation::{Gramian, weighting::Certificate};
use indexmap::IndexMap;

use crate::run::WorkerId;

/// The result of an update.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepReport {
    /// The step.
    pub step: u64,
    /// Mean training loss by task. `None` for a task without labelled rows in this step.
    pub losses: Vec<Option<f64>>,
    /// L2 norm of the combined gradient before clipping. `None` if clipping is off.
    pub gradient_norm: Option<f64>,
    /// The learning rate.
    pub learning_rate: f64,
    /// How the tasks were weighted.
    pub weighed: Weighed,
    /// How long statistics, weighting and combination took.
    pub aggregation: Duration,
    /// The factors for the next step's gradients, if they are known already.
    pub next: Option<Factors>,
    /// Workers that the new parameters were sent to already.
    pub served: Vec<WorkerId>,
}

/// A step that was skipped because something in it was not finite.
#[derive(Debug, Clone, PartialEq)]
pub struct SkipReport {
    /// The step.
    pub step: u64,
    /// Mean training loss by task, finite or not. `None` if the step was recorded already: only the
    /// update of the weighting was missing.
    pub losses: Option<Vec<Option<f64>>>,
    /// The learning rate.
    pub learning_rate: f64,
    /// The factors for the next step's gradients, if they are known already.
    pub next: Option<Factors>,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NotFinite {
    /// A task's loss is not finite.
    #[error("step {step}: the training loss of task `{task}` is {loss}")]
    Loss {
        /// The step.
        step: u64,
        /// The task's name.
        task: String,
        /// The loss.
        loss: f64,
    },
    /// A gradient is not finite.
    #[error("step {step}: the gradient of {} is not finite though every loss is", of_tasks(.tasks))]
    Gradient {
        /// The step.
        step: u64,
        /// The names of the tasks. In combined mode the gradients travel as one sum, so these are
        /// all tasks.
        tasks: Vec<String>,
    },
    /// The new parameters are not finite.
    #[error("step {step}: the parameters after the update are not finite though the gradient is")]
    Update {
        /// The step.
        step: u64,
    },
    /// The workers' answers do not fit together, or the weighting has no answer.
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

    /// Whether the step can be skipped: nothing has changed yet.
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

/// What workers multiply the gradient sums of a step with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Factors {
    /// For per-task gradients: task weight / labelled rows of the whole batch. Zero for a task
    /// without labelled rows.
    pub by_task: Vec<f32>,
    /// For the combined gradient: `by_task` times alpha. Empty in per-task mode, and as long as
    /// alpha is not known.
    pub combined: Vec<f32>,
    /// The tasks that have labelled rows, ascending.
    pub present: Vec<u32>,
}

/// How the tasks of a step were weighted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weighed {
    /// The tasks that have labelled rows, ascending. The other lists are in this order.
    pub present: Vec<usize>,
    /// Task weight times mean loss.
    pub losses: Vec<f64>,
    /// The factor of each task's gradient. `None` if the method gives no single factor.
    pub alpha: Option<Vec<f64>>,
    /// The factors of each shared block by the block's name, if the method gives factors by block
    /// and the step is recorded.
    pub alpha_by_block: Option<IndexMap<String, Vec<f64>>>,
    /// How far the solver's answer may be from the best one.
    pub certificate: Option<Certificate>,
    /// The Gramian of the per-task gradients over the shared blocks, if they were computed and the
    /// step is recorded.
    pub gramian: Option<Gramian>,
    /// Inner products of the per-task gradients with the direction. Known if the Gramian is.
    pub products: Option<Vec<f64>>,
    /// The direction's L2 norm over the shared blocks, if `products` are known and `alpha` is not.
    /// With `alpha` it follows from the Gramian.
    pub direction_norm: Option<f64>,
    /// Whether the step's weighting is recorded.
    pub recorded: bool,
}
