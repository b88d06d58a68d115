//! `[task.NAME]`: a target of a dataset, its loss and its metrics.

use std::fmt;
use std::ops::Deref;

use objectives::{Kind, MetricRef};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::loss::LossRef;
use crate::network::Head;
use crate::strings;

/// One task, or a template of tasks if it has [`Task::each_target`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "TaskTable")]
pub struct Task {
    /// The key in `[dataset.*]`.
    pub dataset: String,
    /// The target's columns: one for each output. Every task has this or `each_target`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Names and globs of columns, with `!` before columns to leave out. Each column gets a task
    /// like this one, named by the column.
    #[serde(skip_serializing_if = "Option::is_none", with = "strings::optional")]
    pub each_target: Option<Vec<String>>,
    /// What the target is.
    pub kind: Kind,
    /// The task's loss is multiplied by this under every weighting. It is 0 or more, and above 0
    /// for at least one task.
    pub weight: f64,
    /// The loss; the default depends on the kind.
    pub loss: LossRef,
    /// The task's own layers.
    pub head: Head,
    /// The metrics, beside the loss; the default depends on the kind.
    pub metrics: Vec<MetricRef>,
    /// Binary tasks only: the value that counts as 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positive: Option<Scalar>,
    /// Regressions only: how the target is scaled for the model. Metrics and predictions are in the
    /// target's own units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_scale: Option<TargetScale>,
    /// The task's own selection of features, which gives the task a feed of its own. The default is
    /// the dataset's selection.
    #[serde(skip_serializing_if = "Option::is_none", with = "strings::optional")]
    pub features: Option<Vec<String>>,
}

/// The task as the file has it: loss and metrics may be missing.
#[derive(Deserialize)]
#[serde(rename = "task", deny_unknown_fields)]
struct TaskTable {
    dataset: String,
    target: Option<Target>,
    #[serde(default, with = "strings::optional")]
    each_target: Option<Vec<String>>,
    kind: Kind,
    #[serde(default = "one")]
    weight: f64,
    loss: Option<LossRef>,
    #[serde(default)]
    head: Head,
    metrics: Option<Vec<MetricRef>>,
    positive: Option<Scalar>,
    target_scale: Option<TargetScale>,
    #[serde(default, with = "strings::optional")]
    features: Option<Vec<String>>,
}

fn one() -> f64 {
    1.0
}

impl From<TaskTable> for Task {
    fn from(table: TaskTable) -> Self {
        let TaskTable {
            dataset,
            target,
            each_target,
            kind,
            weight,
            loss,
            head,
            metrics,
            positive,
            target_scale,
            features,
        } = table;
        Task {
            dataset,
            target,
            each_target,
            kind,
            weight,
            loss: loss.unwrap_or_else(|| LossRef::default_for(kind)).completed(kind),
            head,
            metrics: metrics.unwrap_or_else(|| MetricRef::default_of(kind)),
            positive,
            target_scale,
            features,
        }
    }
}

impl Task {
    /// How the target is scaled, as the file says. By default a regression is standardised, unless
    /// its loss needs labels in the target's own units. Other kinds are not scaled.
    pub fn target_scale(&self) -> TargetScale {
        self.target_scale.unwrap_or(match self.kind {
            Kind::Regression if !self.loss.is_unscaled() => TargetScale::Standard,
            _ => TargetScale::None,
        })
    }
}

/// The columns of a target: a text or a list of texts in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Target(#[serde(with = "strings")] pub Vec<String>);

impl Deref for Target {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

/// How a regression's target is scaled for the model, fitted on the training labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetScale {
    /// Mean 0 and standard deviation 1.
    Standard,
    /// The target's own units.
    None,
    /// `ln(1 + x)`, then mean 0 and standard deviation 1.
    Log1p,
}

/// One value of a column, as TOML writes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Text(text) => f.write_str(text),
            Scalar::Integer(number) => number.fmt(f),
            Scalar::Float(number) => number.fmt(f),
            Scalar::Boolean(value) => value.fmt(f),
        }
    }
}

impl Serialize for Scalar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Scalar::Text(text) => serializer.serialize_str(text),
            Scalar::Integer(number) => serializer.serialize_i64(*number),
            Scalar::Float(number) => serializer.serialize_f64(*number),
            Scalar::Boolean(value) => serializer.serialize_bool(*value),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true or false")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar::Integer(number))
            }

            // JSON writes whole numbers of 0 and more without a sign.
            fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
                i64::try_from(number).map(Scalar::Integer).map_err(|_| E::custom(format!("{number} is too large")))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Scalar, E> {
                Ok(Scalar::Float(number))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar::Boolean(value))
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}
