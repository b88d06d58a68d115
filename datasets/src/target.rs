//! Targets: how a task's columns become labels.

pub(crate) mod baseline;
pub(crate) mod fit;

use std::collections::BTreeMap;

use experiment::{Head, Kind, LossRef, MetricRef, SplitName};
use serde::{Deserialize, Serialize};

use crate::column::Column;
use crate::exact::{self, Exact};
use crate::number;

/// A task in the plan: how its columns become labels, and what is minimised and measured of them.
///
/// This is what is stored and sent. [`experiment::TaskShape`] follows from it: what is left of a
/// task for those who read no columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskPlan {
    /// The task's name.
    pub name: String,
    /// The key in `[task.*]`.
    pub template: String,
    /// Index of its feed.
    pub feed: usize,
    /// What the target is.
    pub kind: Kind,
    /// The target's columns.
    pub columns: Vec<String>,
    /// How their values become labels.
    pub encoding: TargetEncoding,
    /// Classes that no training row has.
    pub untrained_classes: Vec<usize>,
    /// Loss of the best constant prediction, fitted on the training labels, by split.
    pub(crate) baseline_loss: BTreeMap<SplitName, Exact>,
    /// What is minimised, with the parameters that follow from the labels.
    #[serde(with = "exact::tree")]
    pub loss: LossRef,
    /// What is measured.
    pub metrics: Vec<MetricRef>,
    /// What the loss is multiplied by, under every weighting.
    #[serde(with = "exact::one")]
    pub weight: f64,
    /// The task's own layers.
    pub head: Head,
}

/// How target values become labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetEncoding {
    /// Regression: `(f(x) - offset) / scale` by output, where f is `ln(1 + x)` under `log1p`.
    Scaled {
        /// What is subtracted.
        #[serde(with = "exact::list")]
        offset: Vec<f64>,
        /// What it is divided by; never 0.
        #[serde(with = "exact::list")]
        scale: Vec<f64>,
        /// Whether logarithms are scaled.
        log1p: bool,
    },
    /// Multiclass: the index of the value.
    Classes(Classes),
    /// Binary: two values; the second is 1.
    Binary(Classes),
    /// Multilabel: 0 or 1 in every column.
    Indicators,
}

/// Class labels in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Classes {
    /// Numbers, in numerical order (binary: the positive one last).
    Numbers(#[serde(with = "exact::list")] Vec<f64>),
    /// The digits of numbers, some of which an f64 does not hold, in numerical order (binary: the
    /// positive one last).
    Digits(Vec<String>),
    /// Texts or truth values, in bytewise order (binary: the positive one last).
    Texts(Vec<String>),
}

impl Classes {
    /// The number of classes.
    pub fn len(&self) -> usize {
        match self {
            Classes::Numbers(values) => values.len(),
            Classes::Texts(values) | Classes::Digits(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The labels as text.
    pub fn names(&self) -> Vec<String> {
        match self {
            Classes::Numbers(values) => values.iter().map(|v| number::shown(*v)).collect(),
            Classes::Texts(values) | Classes::Digits(values) => values.clone(),
        }
    }

    /// The class of a row; `None` if it has no value, or one that the plan does not know.
    pub(crate) fn index(&self, column: &Column, row: usize) -> Option<usize> {
        match self {
            // Two values may stand in any order; more of them are sorted.
            Classes::Numbers(values) => {
                // Adding 0 makes one zero of both.
                let value = column.numbers(row, 1)[0] + 0.0;
                match values.len() {
                    ..=2 => values.iter().position(|v| *v == value),
                    _ => values.binary_search_by(|v| v.total_cmp(&value)).ok(),
                }
            }
            Classes::Digits(values) => {
                let digits = column.text(row)?;
                match values.len() {
                    ..=2 => values.iter().position(|v| *v == digits),
                    _ => values.binary_search_by(|v| number::compare(v, &digits)).ok(),
                }
            }
            Classes::Texts(values) => {
                let label = column.label(row)?;
                match values.len() {
                    ..=2 => values.iter().position(|v| v == label),
                    _ => values.binary_search_by(|v| v.as_str().cmp(label)).ok(),
                }
            }
        }
    }
}

impl TaskPlan {
    /// Logits or values that the head gives a row.
    pub fn outputs(&self) -> usize {
        match &self.encoding {
            TargetEncoding::Scaled { offset, .. } => offset.len(),
            TargetEncoding::Classes(classes) => classes.len(),
            TargetEncoding::Binary(_) => 1,
            TargetEncoding::Indicators => self.columns.len(),
        }
    }

    /// Values of [`crate::Targets`] a row.
    pub fn values(&self) -> usize {
        match &self.encoding {
            TargetEncoding::Classes(_) => 1,
            _ => self.outputs(),
        }
    }
}

/// A target value, or its `ln(1 + x)`, computed in software so that it is the same on every
/// machine.
pub(crate) fn unscaled(value: f64, log1p: bool) -> f64 {
    if log1p { libm::log1p(value) } else { value }
}
