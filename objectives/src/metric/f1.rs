//! `f1` and `f1_macro`: `2 r / (l + p)`, where `l` rows have the class as their label, `p` as their
//! prediction, and `r` as both.
//!
//! `f1` is that of label 1. `f1_macro` is the mean over the classes, or over the outputs of a
//! multilabel task (label 1 of each). Classes that no row has, and no prediction, are left out.

use settings::Entry;

use super::{ClassCounts, Measured, Metric, mean, ratio};
use crate::Kind;

pub(super) const ENTRY: Entry<&'static dyn Metric> = Entry::built_in("f1", "F1 of the positive class", &F1);

pub(super) const MACRO_ENTRY: Entry<&'static dyn Metric> =
    Entry::built_in("f1_macro", "mean over the classes (multilabel: over the labels) of F1", &F1Macro);

#[derive(Debug)]
struct F1;

impl Metric for F1 {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Binary]
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn value(&self, measured: &Measured<'_>) -> Option<f64> {
        mean(measured.decisions().map(|of| f1(of.class_1())))
    }
}

#[derive(Debug)]
struct F1Macro;

impl Metric for F1Macro {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Binary, Kind::Multiclass, Kind::Multilabel]
    }

    fn default_of(&self) -> &'static [Kind] {
        &[Kind::Multiclass, Kind::Multilabel]
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn value(&self, measured: &Measured<'_>) -> Option<f64> {
        mean(measured.macro_classes().into_iter().map(f1))
    }
}

fn f1(of: ClassCounts) -> Option<f64> {
    ratio(2.0 * of.right as f64, (of.labels + of.predicted) as f64)
}
