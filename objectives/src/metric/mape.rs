//! `mape`: the mean of `|e| / |y|` for the error `e` at the label `y`, both in the target's units.
//! Of several outputs, the mean over the outputs.
//!
//! As in scikit-learn, it is a share and not a percentage, and a label nearer to 0 than 2^-52
//! counts as 2^-52: a single label of 0 makes the mean huge. Labels are those that the model
//! learns, in f32: a label of 0 of a scaled target can come back as a tiny number. Then the mean is
//! huge too, but another one than scikit-learn's.

use settings::Entry;

use super::{Measured, Metric, Row, mean, ratio};
use crate::Kind;

pub(super) const ENTRY: Entry<&'static dyn Metric> = Entry::built_in(
    "mape",
    "mean absolute error as a share of the label (0.1 is 10 %); labels at or near 0 make it huge",
    &Mape,
);

#[derive(Debug)]
struct Mape;

impl Metric for Mape {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Regression]
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    /// By output, the sum of the shares.
    fn own_sums(&self, outputs: usize) -> usize {
        outputs
    }

    fn add(&self, row: &Row<'_>, own: &mut [f64]) {
        for ((sum, prediction), label) in own.iter_mut().zip(row.predictions).zip(row.labels) {
            *sum += (prediction - label).abs() / label.abs().max(f64::EPSILON);
        }
    }

    fn value(&self, measured: &Measured<'_>) -> Option<f64> {
        mean(measured.own.iter().map(|sum| ratio(*sum, measured.rows())))
    }
}
