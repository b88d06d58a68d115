//! What the loss and the evaluation of one task add up to, over any rows, merged exactly.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The loss of one task over labelled rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossSum {
    /// The task's index.
    pub task: usize,
    /// Sum of the row losses in f64, in the order of the rows, without the task's weight.
    pub loss: f64,
    /// Rows with a label.
    pub rows: u64,
}

/// Adds the loss sums of the same tasks in the same order, left plus right. A count of rows that
/// is too large for a `u64` stays at its maximum.
pub fn add_losses(mut left: Vec<LossSum>, right: Vec<LossSum>) -> Vec<LossSum> {
    for (left, right) in left.iter_mut().zip(right) {
        left.loss += right.loss;
        left.rows = left.rows.saturating_add(right.rows);
    }
    left
}

/// Sums over the labelled rows of one task. Two of them that are added in the canonical tree give
/// the same bits however the rows were spread over workers.
///
/// What the places of `counts`, `sums`, `scores` and `labels` mean follows from the task's kind:
///
/// | kind | `counts` | `sums` | `scores`, `labels` (only if a metric [needs them](crate::Metric::needs_scores)) |
/// |---|---|---|---|
/// | binary | label 0 and prediction 0; 0 and 1; 1 and 0; 1 and 1 | | the output; 0 or 1 |
/// | multilabel | the same four, by output | | the outputs, `[rows, outputs]`; 0 or 1 |
/// | multiclass | by class: its labels, its predictions, its labels that were predicted right | | the probabilities, `[rows, classes]`; the class, `[rows]` |
/// | regression | | by output: `abs(e)`, `e^2`, `d`, `d^2` in the target's units | the predictions, `[rows, outputs]`; the labels as the bits of `f32`; both as the model sees them |
///
/// `e` is the prediction less the label. `d` is the label less a constant near the mean of the
/// labels ([`Row::centre`](crate::metric::Row::centre)), so that `d^2` keeps its digits.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TaskSums {
    /// Rows that have a label.
    pub rows: u64,
    /// Sum of the rows' losses.
    pub loss: f64,
    /// Counts by place.
    pub counts: Vec<u64>,
    /// Sums by place.
    pub sums: Vec<f64>,
    /// Scores in row order.
    pub scores: Vec<f32>,
    /// Labels of `scores`, in row order.
    pub labels: Vec<u32>,
    /// By metric, the sums that it brings itself, by place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub own: BTreeMap<String, Vec<f64>>,
}

impl TaskSums {
    /// Left plus right. Counts and sums are added by place, and a place that one side lacks counts
    /// as 0. Scores and labels are those of the left and then those of the right.
    #[must_use]
    #[allow(clippy::should_implement_trait)] // it is handed to folds as a function; `+` would hide that order matters
    pub fn add(mut self, mut right: TaskSums) -> TaskSums {
        self.rows += right.rows;
        self.loss += right.loss;
        let places = self.counts.len().max(right.counts.len());
        self.counts.resize(places, 0);
        for (count, right) in self.counts.iter_mut().zip(&right.counts) {
            *count += right;
        }
        add_by_place(&mut self.sums, &right.sums);
        self.scores.append(&mut right.scores);
        self.labels.append(&mut right.labels);
        for (metric, sums) in &right.own {
            add_by_place(self.own.entry(metric.clone()).or_default(), sums);
        }
        self
    }

    /// Whether every number in the sums is finite.
    pub fn is_finite(&self) -> bool {
        self.loss.is_finite()
            && self.sums.iter().chain(self.own.values().flatten()).all(|sum| sum.is_finite())
            && self.scores.iter().all(|score| score.is_finite())
    }
}

fn add_by_place(left: &mut Vec<f64>, right: &[f64]) {
    let places = left.len().max(right.len());
    left.resize(places, 0.0);
    for (sum, right) in left.iter_mut().zip(right) {
        *sum += right;
    }
}
