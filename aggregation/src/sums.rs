//! What one task's training step or evaluation adds up to, over any rows, merged exactly.

use serde::{Deserialize, Serialize};

/// Sums over rows of one task. Two of them that are added in the canonical tree give the same bits
/// however the rows were spread.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TaskSums {
    /// Rows that have a label.
    pub rows: u64,
    /// Sum of the rows' losses.
    pub loss: f64,
    /// Counts by place; `model::metric` says what each place means for a task's kind.
    pub counts: Vec<u64>,
    /// Sums by place; `model::metric` says what each place means for a task's kind.
    pub sums: Vec<f64>,
    /// Scores in row order, where a metric needs the order of scores.
    pub scores: Vec<f32>,
    /// Labels of `scores`.
    pub labels: Vec<u32>,
}

impl TaskSums {
    /// Left plus right: counts and sums are added by place (a place that one side has not is 0
    /// there), scores and labels are those of the left and then those of the right.
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
        let places = self.sums.len().max(right.sums.len());
        self.sums.resize(places, 0.0);
        for (sum, right) in self.sums.iter_mut().zip(&right.sums) {
            *sum += right;
        }
        self.scores.append(&mut right.scores);
        self.labels.append(&mut right.labels);
        self
    }
}
