//! `accuracy`: the share of the rows that are right. Multilabel: the mean over the outputs of the
//! share of their labels that are right.

use settings::Entry;

use super::{Measured, Metric, mean, ratio};
use crate::Kind;

pub(super) const ENTRY: Entry<&'static dyn Metric> =
    Entry::built_in("accuracy", "share of the rows (multilabel: of the labels) that are right", &Accuracy);

#[derive(Debug)]
struct Accuracy;

impl Metric for Accuracy {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Binary, Kind::Multiclass, Kind::Multilabel]
    }

    fn default_of(&self) -> &'static [Kind] {
        &[Kind::Binary, Kind::Multiclass]
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn value(&self, measured: &Measured<'_>) -> Option<f64> {
        let rows = measured.rows();
        match measured.kind {
            Kind::Multiclass => ratio(measured.classes().map(|class| class.right as f64).sum(), rows),
            _ => mean(measured.decisions().map(|of| ratio((of.true_0 + of.true_1) as f64, rows))),
        }
    }
}
