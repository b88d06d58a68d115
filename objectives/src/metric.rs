//! Metrics: one file for each family, and one line each in [`METRICS`].
//!
//! A metric's value comes from [`TaskSums`](crate::TaskSums). Counts, sums of errors, and scores
//! in row order are made for every task; a metric can bring sums of its own
//! ([`Metric::own_sums`]). All of them are added in the canonical tree, so that the value does
//! not depend on how the rows were spread over workers. A metric that is undefined on the rows
//! (one class only, constant labels, no row) has no value.

mod accuracy;
mod balanced_accuracy;
mod error;
mod f1;
mod mape;
mod measured;
pub(crate) mod measures;
mod of_class;
mod precision;
mod r2;
mod ranking;
mod recall;
mod reference;
mod spearman;
#[cfg(test)]
mod tests;

use std::fmt;

use settings::Registry;

use crate::Kind;
pub use measured::{ClassCounts, DecisionCounts, ErrorSums, Measured};
pub use measures::Measures;
pub use reference::MetricRef;

/// All metrics, in the order of the reference.
pub static METRICS: Registry<&'static dyn Metric> = Registry::new(
    "metric",
    &[
        accuracy::ENTRY,
        balanced_accuracy::ENTRY,
        precision::ENTRY,
        precision::MACRO_ENTRY,
        recall::ENTRY,
        recall::MACRO_ENTRY,
        f1::ENTRY,
        f1::MACRO_ENTRY,
        ranking::AUROC_ENTRY,
        ranking::AVERAGE_PRECISION_ENTRY,
        error::RMSE_ENTRY,
        error::MAE_ENTRY,
        mape::ENTRY,
        r2::ENTRY,
        spearman::ENTRY,
    ],
);

/// A measure of how well a task is solved. The task's loss is always there and is none of these.
pub trait Metric: fmt::Debug + Send + Sync {
    /// The kinds of tasks that can have it.
    fn kinds(&self) -> &'static [Kind];

    /// The kinds that have it if the task names no metrics.
    fn default_of(&self) -> &'static [Kind] {
        &[]
    }

    /// Whether a larger value is a better one.
    fn higher_is_better(&self) -> bool;

    /// The value on the rows that the sums are of; `None` if it is undefined there.
    fn value(&self, measured: &Measured<'_>) -> Option<f64>;

    /// Whether the value needs the scores (of a regression: the predictions) and the labels of all
    /// rows. They are kept in [`TaskSums::scores`](crate::TaskSums::scores) and
    /// [`TaskSums::labels`](crate::TaskSums::labels), 4 bytes each.
    fn needs_scores(&self) -> bool {
        false
    }

    /// How many sums of its own the metric has for a task with that many outputs. They begin at 0
    /// and are [`Measured::own`].
    fn own_sums(&self, outputs: usize) -> usize {
        let _ = outputs;
        0
    }

    /// Adds a row with a label to the metric's own sums. Rows come in order, and sums over
    /// different rows are added by place.
    fn add(&self, row: &Row<'_>, own: &mut [f64]) {
        let _ = (row, own);
    }
}

/// A row with a label, as a metric with sums of its own sees it.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The head's outputs, `[outputs]`. An output above 0 of a binary or multilabel task says 1;
    /// the largest output of a multiclass task says the class.
    pub outputs: &'a [f32],
    /// What they predict, `[outputs]`: values in the target's units for a regression, probabilities
    /// for all other kinds.
    pub predictions: &'a [f64],
    /// The labels: in the target's units for a regression, 0 or 1 by output for a binary or
    /// multilabel task, and the class's index alone for a multiclass task. An index that no output
    /// stands for is a class that the training rows lack.
    pub labels: &'a [f64],
    /// Regression: by output, a constant near the mean of the labels, in the target's units. A sum
    /// of squares keeps its digits if this is subtracted first. Empty for all other kinds.
    pub centre: &'a [f64],
}

/// How much of the loss of the best constant prediction is gone, in the mean over tasks of (loss,
/// baseline loss): 1 is perfect, 0 is a constant. Tasks whose baseline is 0 are left out; `None` if
/// no task is left.
pub fn skill(losses: impl IntoIterator<Item = (f64, f64)>) -> Option<f64> {
    mean(losses.into_iter().map(|(loss, baseline)| (baseline > 0.0).then(|| 1.0 - loss / baseline)))
}

/// `part / whole`; `None` if the whole is 0.
pub fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// The mean of those values that are defined; `None` if none is.
pub fn mean(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let (sum, count) = values.into_iter().flatten().fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    ratio(sum, count as f64)
}
