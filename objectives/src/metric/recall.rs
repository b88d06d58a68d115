//! `recall` and `recall_macro`: `r / l`, where `l` rows have the class as their label, and `r` of
//! them as their prediction.
//!
//! `recall` is that of label 1. `recall_macro` is the mean over the classes, or over the outputs of
//! a multilabel task (label 1 of each). A class that is predicted and that no row has has recall 0,
//! as in scikit-learn. Classes that no row has, and no prediction, are left out.

use settings::Entry;

use super::of_class::{MeanOverClasses, OfLabel1};
use super::{ClassCounts, Metric, ratio};

pub(super) const ENTRY: Entry<&'static dyn Metric> =
    Entry::built_in("recall", "share of the positive rows that are predicted as such", &OfLabel1(recall));

pub(super) const MACRO_ENTRY: Entry<&'static dyn Metric> = Entry::built_in(
    "recall_macro",
    "mean over the classes (multilabel: over the labels) of recall",
    &MeanOverClasses { of: recall, default_of: &[] },
);

fn recall(of: ClassCounts) -> Option<f64> {
    let is_there = of.labels + of.predicted > 0;
    is_there.then(|| ratio(of.right as f64, of.labels as f64).unwrap_or(0.0))
}
