//! `brier`: the mean of `(p - y)^2` over the rows, for the probability `p` of the label `y`.

use trunkline::objectives::{
    Kind, Metric,
    metric::{Measured, Row, ratio},
};

/// The metric in the catalogue.
#[derive(Debug)]
pub struct Brier;

impl Metric for Brier {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Binary]
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    /// One sum: of the squared errors.
    fn own_sums(&self, _outputs: usize) -> usize {
        1
    }

    fn add(&self, row: &Row<'_>, own: &mut [f64]) {
        let error = row.predictions[0] - row.labels[0];
        own[0] += error * error;
    }

    fn value(&self, measured: &Measured<'_>) -> Option<f64> {
        ratio(measured.own[0], measured.rows())
    }
}
