//! `f1` and `f1_macro`: `2 r / (l + p)`, where `l` rows have the class as their label, `p` as their
//! prediction, and `r` as both.
//!
//! `f1` is that of label 1. `f1_macro` is the mean over the classes, or over the outputs of a
//! multilabel task (label 1 of each). Classes that no row has, and no prediction, are left out.

use settings::Entry;

use super::of_class::{MeanOverClasses, OfLabel1};
use super::{ClassCounts, Metric, ratio};
use crate::Kind;

pub(super) const ENTRY: Entry<&'static dyn Metric> = Entry::built_in("f1", "F1 of the positive class", &OfLabel1(f1));

pub(super) const MACRO_ENTRY: Entry<&'static dyn Metric> = Entry::built_in(
    "f1_macro",
    "mean over the classes (multilabel: over the labels) of F1",
    &MeanOverClasses { of: f1, default_of: &[Kind::Multiclass, Kind::Multilabel] },
);

fn f1(of: ClassCounts) -> Option<f64> {
    ratio(2.0 * of.right as f64, (of.labels + of.predicted) as f64)
}
