//! `recall` and `recall_macro`: `r / l`, where `l` rows have the class as their label, and `r` of
//! them as their prediction.
//!
//! `recall` is that of label 1. `recall_macro` is the mean over the classes, or over the outputs of
//! a multilabel task (label 1 of each). A class that is predicted and that no row has has recall 0,
//! as in scikit-learn. Classes that no row has, and no prediction, are left out.

use settings::Entry;

use super::{ClassCounts, Measured, Metric, mean, ratio};
use crate::Kind;

pub(super) const ENTRY: Entry<&'static dyn Metric> =
    Entry::built_in("recall", "share of the positive rows that are predicted as such", &Recall);

pub(super) const MACRO_ENTRY: Entry<&'static dyn Metric> =
    Entry::built_in("recall_macro", "mean over the classes (multilabel: over the labels) of recall", &RecallMacro);

#[derive(Debug)]
struct Recall;

impl Metric for Recall {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Binary]
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn value(&self, measured: &Measured<'_>) -> Option<f64> {
        mean(measured.decisions().map(|of| recall(of.class_1())))
    }
}

#[derive(Debug)]
struct RecallMacro;

impl Metric for RecallMacro {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Binary, Kind::Multiclass, Kind::Multilabel]
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn value(&self, measured: &Measured<'_>) -> Option<f64> {
        mean(measured.macro_classes().into_iter().map(recall))
    }
}

fn recall(of: ClassCounts) -> Option<f64> {
    let is_there = of.labels + of.predicted > 0;
    is_there.then(|| ratio(of.right as f64, of.labels as f64).unwrap_or(0.0))
}
