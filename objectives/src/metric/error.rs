//! `rmse` and `mae`: the root of the mean squared error, and the mean absolute error, in the
//! target's units. Of several outputs, the mean over the outputs.

use settings::Entry;

use super::{Measured, Metric, mean, ratio};
use crate::Kind;

pub(super) const RMSE_ENTRY: Entry<&'static dyn Metric> =
    Entry::built_in("rmse", "root of the mean squared error, in the target's units", &Rmse);

pub(super) const MAE_ENTRY: Entry<&'static dyn Metric> =
    Entry::built_in("mae", "mean absolute error, in the target's units", &Mae);

#[derive(Debug)]
struct Rmse;

impl Metric for Rmse {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Regression]
    }

    fn default_of(&self) -> &'static [Kind] {
        &[Kind::Regression]
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn value(&self, measured: &Measured<'_>) -> Option<f64> {
        mean(measured.errors().map(|sums| ratio(sums.squared, measured.rows()).map(f64::sqrt)))
    }
}

#[derive(Debug)]
struct Mae;

impl Metric for Mae {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Regression]
    }

    fn default_of(&self) -> &'static [Kind] {
        &[Kind::Regression]
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn value(&self, measured: &Measured<'_>) -> Option<f64> {
        mean(measured.errors().map(|sums| ratio(sums.absolute, measured.rows())))
    }
}
