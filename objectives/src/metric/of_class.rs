//! Metrics that come from the counts of a class: of label 1, or the mean over the classes.

use super::{ClassCounts, Measured, Metric, mean};
use crate::Kind;

/// A metric of label 1 of a binary task.
#[derive(Debug)]
pub(super) struct OfLabel1(pub(super) fn(ClassCounts) -> Option<f64>);

impl Metric for OfLabel1 {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Binary]
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn value(&self, measured: &Measured<'_>) -> Option<f64> {
        mean(measured.decisions().map(|of| self.0(of.class_1())))
    }
}

/// The mean of a metric over the classes, or over the outputs of a multilabel task (label 1 of
/// each).
#[derive(Debug)]
pub(super) struct MeanOverClasses {
    /// The metric of a class.
    pub(super) of: fn(ClassCounts) -> Option<f64>,
    /// See [`Metric::default_of`].
    pub(super) default_of: &'static [Kind],
}

impl Metric for MeanOverClasses {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Binary, Kind::Multiclass, Kind::Multilabel]
    }

    fn default_of(&self) -> &'static [Kind] {
        self.default_of
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn value(&self, measured: &Measured<'_>) -> Option<f64> {
        mean(measured.macro_classes().into_iter().map(self.of))
    }
}
