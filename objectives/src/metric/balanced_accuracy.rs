//! `balanced_accuracy`: the mean over the classes of the share of their rows that are right.
//! Classes without rows are left out.

use settings::Entry;

use super::{Measured, Metric, mean, ratio};
use crate::Kind;

pub(super) const ENTRY: Entry<&'static dyn Metric> = Entry::built_in(
    "balanced_accuracy",
    "mean over the classes of the share of their rows that are right",
    &BalancedAccuracy,
);

#[derive(Debug)]
struct BalancedAccuracy;

impl Metric for BalancedAccuracy {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Binary, Kind::Multiclass]
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn value(&self, measured: &Measured<'_>) -> Option<f64> {
        mean(measured.macro_classes().into_iter().map(|class| ratio(class.right as f64, class.labels as f64)))
    }
}
