//! `f1` and `f1_macro`: `2 r / (2 r + w)`, where `r` rows of a class are right, and `w` rows have
//! the class as their label or as their prediction but not as both.
//!
//! `f1` is that of label 1. `f1_macro` is the mean over the classes, or over the outputs of a
//! multilabel task (label 1 of each). Classes that no row has, and no prediction, are left out.

use settings::Entry;

use super::{DecisionCounts, Measured, Metric, mean, ratio};
use crate::{Kind, ORIGIN};

pub(super) const ENTRY: Entry<&'static dyn Metric> =
    Entry { name: "f1", summary: "F1 of the positive class", origin: ORIGIN, part: &F1 };

pub(super) const MACRO_ENTRY: Entry<&'static dyn Metric> = Entry {
    name: "f1_macro",
    summary: "mean over the classes (multilabel: over the labels) of F1",
    origin: ORIGIN,
    part: &F1Macro,
};

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
        mean(measured.decisions().map(of_one))
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
        match measured.kind {
            Kind::Multiclass => mean(
                measured
                    .classes()
                    .map(|class| ratio(2.0 * class.right as f64, (class.labels + class.predicted) as f64)),
            ),
            Kind::Multilabel => mean(measured.decisions().map(of_one)),
            _ => mean(measured.decisions().map(|of| mean([f1(of.true_0, of.false_0 + of.false_1), of_one(of)]))),
        }
    }
}

fn of_one(of: DecisionCounts) -> Option<f64> {
    f1(of.true_1, of.false_0 + of.false_1)
}

fn f1(right: u64, wrong: u64) -> Option<f64> {
    ratio(2.0 * right as f64, (2 * right + wrong) as f64)
}
