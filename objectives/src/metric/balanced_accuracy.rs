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
        match measured.kind {
            Kind::Multiclass => mean(measured.classes().map(|class| ratio(class.right as f64, class.labels as f64))),
            _ => mean(measured.decisions().map(|of| {
                mean([
                    ratio(of.true_0 as f64, (of.true_0 + of.false_1) as f64),
                    ratio(of.true_1 as f64, (of.true_1 + of.false_0) as f64),
                ])
            })),
        }
    }
}
