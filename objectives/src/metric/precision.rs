//! `precision` and `precision_macro`: `r / p`, where `p` rows have the class as their prediction,
//! and `r` of them as their label.
//!
//! `precision` is that of label 1. `precision_macro` is the mean over the classes, or over the
//! outputs of a multilabel task (label 1 of each). A class that rows have and that is never
//! predicted has precision 0, as in scikit-learn. Classes that no row has, and no prediction, are
//! left out.

use settings::Entry;

use super::of_class::{MeanOverClasses, OfLabel1};
use super::{ClassCounts, Metric, ratio};

pub(super) const ENTRY: Entry<&'static dyn Metric> =
    Entry::built_in("precision", "share of the rows predicted as positive that are", &OfLabel1(precision));

pub(super) const MACRO_ENTRY: Entry<&'static dyn Metric> = Entry::built_in(
    "precision_macro",
    "mean over the classes (multilabel: over the labels) of precision",
    &MeanOverClasses { of: precision, default_of: &[] },
);

fn precision(of: ClassCounts) -> Option<f64> {
    let is_there = of.labels + of.predicted > 0;
    is_there.then(|| ratio(of.right as f64, of.predicted as f64).unwrap_or(0.0))
}
