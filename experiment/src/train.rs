//! `[train]`: how long, with how many rows, which optimizer, and what is kept.

use std::fmt;
use std::str::FromStr;

use aggregation::{Optimizer, Robust, Schedule};
use objectives::MetricRef;
use serde::{Deserialize, Deserializer, Serialize};

/// How the model is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default = "Train::without_length", deny_unknown_fields)]
pub struct Train {
    /// Number of updates. A loaded experiment has this or `epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// How often the longest feed is seen. May be a fraction. Default: 20, if `steps` is not given
    /// either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<f64>,
    /// Rows of a feed in each step, over all workers.
    pub batch_size: u32,
    /// V, the number of microbatches of a step and of partitions of a feed. It determines which
    /// rows are drawn; the number of workers does not.
    pub microbatches: u32,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// How the learning rate changes over the steps.
    pub schedule: Schedule,
    /// Largest global norm of the combined gradient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Steps between evaluations on the validation split; see [`Train::evaluation_interval`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluate_every: Option<u64>,
    /// What is saved.
    pub checkpoint: CheckpointSettings,
    /// When to stop before the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// What happens in a step whose losses or gradients are not finite.
    pub on_nonfinite: OnNonfinite,
    /// How the microbatches' gradients are combined. Default: they are added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub robust: Option<Robust>,
}

/// What happens in a step whose losses or gradients are not finite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNonfinite {
    /// The run ends.
    #[default]
    Stop,
    /// The step counts as done and changes nothing.
    SkipStep,
}

impl Default for Train {
    fn default() -> Self {
        Self { epochs: Some(20.0), ..Self::without_length() }
    }
}

impl Train {
    /// The most steps in a row that are skipped. A run that does nothing ends.
    pub const SKIPS_MAX: u64 = 100;

    /// The number of evaluations and checkpoints of a training if the file does not say how often
    /// they come.
    const INTERVALS: u64 = 10;

    /// The number of updates of this training, at least one: `steps`, or `epochs` times the steps
    /// that show the longest feed once.
    ///
    /// `feeds` are the feeds' training rows and batch sizes.
    pub fn total_steps(&self, feeds: impl IntoIterator<Item = (u64, u32)>) -> u64 {
        if let Some(steps) = self.steps {
            return steps;
        }
        let epoch = feeds.into_iter().map(|(rows, batch_size)| rows as f64 / f64::from(batch_size)).fold(0.0, f64::max);
        ((self.epochs.unwrap_or(1.0) * epoch).ceil() as u64).max(1)
    }

    /// Steps between evaluations: `evaluate_every`. Default: a tenth of all steps.
    pub fn evaluation_interval(&self, total_steps: u64) -> u64 {
        self.evaluate_every.unwrap_or(total_steps / Self::INTERVALS).max(1)
    }

    /// Steps between checkpoints: `checkpoint.every`. Default: with each evaluation.
    pub fn checkpoint_interval(&self, total_steps: u64) -> u64 {
        self.checkpoint.every.unwrap_or_else(|| self.evaluation_interval(total_steps)).max(1)
    }

    fn without_length() -> Self {
        Self {
            steps: None,
            epochs: None,
            batch_size: 64,
            microbatches: 4,
            optimizer: Optimizer::default(),
            schedule: Schedule::default(),
            clip_norm: None,
            evaluate_every: None,
            checkpoint: CheckpointSettings::default(),
            early_stopping: None,
            on_nonfinite: OnNonfinite::Stop,
            robust: None,
        }
    }
}

/// The checkpoints that a run writes and keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointSettings {
    /// Steps between checkpoints; see [`Train::checkpoint_interval`]. The last step always has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// The number of the newest checkpoints to keep, beside the best. At least 1.
    pub keep: u32,
    /// The criterion for the best parameters. They are kept, and used for the final table,
    /// evaluation and prediction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<Criterion>,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self { every: None, keep: 3, best: None }
    }
}

/// When to stop before the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStopping {
    /// The criterion that must improve.
    pub metric: Criterion,
    /// The number of evaluations in a row without improvement after which training stops.
    pub patience: u32,
    /// The smallest change that counts as an improvement.
    pub min_delta: f64,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self { metric: Criterion::Skill, patience: 5, min_delta: 0.0 }
    }
}

/// The criterion that decides which parameters are better: `validation.loss`, `validation.skill` or
/// `validation.TASK.METRIC`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Criterion {
    /// The sum of weight times loss over the tasks.
    Loss,
    /// The mean over tasks of 1 - loss / loss of the best constant prediction.
    Skill,
    /// A value of one task.
    Task {
        /// The task's name.
        task: String,
        /// The task's value.
        observed: TaskCriterion,
    },
}

/// The value of one task that a [`Criterion`] compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskCriterion {
    /// Its loss, without the task's weight.
    Loss,
    /// One of its metrics.
    Metric(MetricRef),
}

impl TaskCriterion {
    /// The name after the task's.
    pub fn name(self) -> &'static str {
        match self {
            TaskCriterion::Loss => "loss",
            TaskCriterion::Metric(metric) => metric.name(),
        }
    }
}

impl Criterion {
    /// Whether a larger value is a better one.
    pub fn higher_is_better(&self) -> bool {
        match self {
            Criterion::Loss | Criterion::Task { observed: TaskCriterion::Loss, .. } => false,
            Criterion::Skill => true,
            Criterion::Task { observed: TaskCriterion::Metric(metric), .. } => metric.higher_is_better(),
        }
    }
}

impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Criterion::Loss => f.write_str("validation.loss"),
            Criterion::Skill => f.write_str("validation.skill"),
            Criterion::Task { task, observed } => write!(f, "validation.{task}.{}", observed.name()),
        }
    }
}

impl From<Criterion> for String {
    fn from(criterion: Criterion) -> Self {
        criterion.to_string()
    }
}

impl TryFrom<String> for Criterion {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Criterion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}` is not `validation.loss`, `validation.skill` or `validation.TASK.METRIC`");
        match text.strip_prefix("validation.").ok_or_else(form)? {
            "loss" => Ok(Criterion::Loss),
            "skill" => Ok(Criterion::Skill),
            rest => {
                let (task, name) = rest.rsplit_once('.').filter(|(task, _)| !task.is_empty()).ok_or_else(form)?;
                let observed = match MetricRef::named(name) {
                    _ if name == "loss" => TaskCriterion::Loss,
                    Ok(metric) => TaskCriterion::Metric(metric),
                    Err(_) => return Err(format!("`{name}` is not a metric")),
                };
                Ok(Criterion::Task { task: task.to_owned(), observed })
            }
        }
    }
}

/// Reads `[train]`, with the default length if it gives none.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Train, D::Error> {
    let mut train = Train::deserialize(deserializer)?;
    if train.steps.is_none() && train.epochs.is_none() {
        train.epochs = Train::default().epochs;
    }
    Ok(train)
}
