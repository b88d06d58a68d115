//! The sums of an evaluation, as a metric reads them.

use crate::{Kind, TaskSums};

/// The sums of one task over some rows.
#[derive(Debug, Clone, Copy)]
pub struct Measured<'a> {
    /// What the target is.
    pub kind: Kind,
    /// Outputs of the task's head.
    pub outputs: usize,
    /// The sums.
    pub sums: &'a TaskSums,
    /// The sums that the metric brings itself, by place.
    pub own: &'a [f64],
}

/// Rows of a binary or multilabel task by label and prediction, for one output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecisionCounts {
    /// Label 0, prediction 0.
    pub true_0: u64,
    /// Label 0, prediction 1.
    pub false_1: u64,
    /// Label 1, prediction 0.
    pub false_0: u64,
    /// Label 1, prediction 1.
    pub true_1: u64,
}

/// Rows of a multiclass task, for one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassCounts {
    /// Rows that have the class as their label.
    pub labels: u64,
    /// Rows that the class is predicted for.
    pub predicted: u64,
    /// Rows of which both are true.
    pub right: u64,
}

/// Sums of a regression, for one output, in the target's units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErrorSums {
    /// Of the absolute error.
    pub absolute: f64,
    /// Of the squared error.
    pub squared: f64,
    /// Of the label less a constant near the labels' mean.
    pub centred: f64,
    /// Of the square of that.
    pub centred_squared: f64,
}

impl DecisionCounts {
    /// The label 0 as a class.
    pub fn class_0(self) -> ClassCounts {
        let Self { true_0, false_1, false_0, .. } = self;
        ClassCounts { labels: true_0 + false_1, predicted: true_0 + false_0, right: true_0 }
    }

    /// The label 1 as a class.
    pub fn class_1(self) -> ClassCounts {
        let Self { true_1, false_1, false_0, .. } = self;
        ClassCounts { labels: true_1 + false_0, predicted: true_1 + false_1, right: true_1 }
    }
}

impl<'a> Measured<'a> {
    /// Rows with a label.
    pub fn rows(&self) -> f64 {
        self.sums.rows as f64
    }

    /// Binary and multilabel: the counts by output. Empty for other kinds.
    pub fn decisions(&self) -> impl Iterator<Item = DecisionCounts> + use<'a> {
        let counts: &'a [u64] = match self.kind {
            Kind::Binary | Kind::Multilabel => &self.sums.counts,
            Kind::Regression | Kind::Multiclass => &[],
        };
        counts.chunks_exact(4).map(|of| DecisionCounts { true_0: of[0], false_1: of[1], false_0: of[2], true_1: of[3] })
    }

    /// Multiclass: the counts by class. Empty for other kinds.
    pub fn classes(&self) -> impl Iterator<Item = ClassCounts> + use<'a> {
        let counts: &'a [u64] = if self.kind == Kind::Multiclass { &self.sums.counts } else { &[] };
        counts.chunks_exact(3).map(|of| ClassCounts { labels: of[0], predicted: of[1], right: of[2] })
    }

    /// What a mean over classes is over: the classes of a multiclass task, both labels of a binary
    /// one, and label 1 of each output of a multilabel one. Empty for a regression.
    pub fn macro_classes(&self) -> Vec<ClassCounts> {
        match self.kind {
            Kind::Binary => self.decisions().flat_map(|of| [of.class_0(), of.class_1()]).collect(),
            Kind::Multilabel => self.decisions().map(DecisionCounts::class_1).collect(),
            Kind::Regression | Kind::Multiclass => self.classes().collect(),
        }
    }

    /// Regression: the sums by output. Empty for other kinds.
    pub fn errors(&self) -> impl Iterator<Item = ErrorSums> + use<'a> {
        let sums: &'a [f64] = if self.kind == Kind::Regression { &self.sums.sums } else { &[] };
        sums.chunks_exact(4).map(|of| ErrorSums {
            absolute: of[0],
            squared: of[1],
            centred: of[2],
            centred_squared: of[3],
        })
    }

    /// The rows' scores at an output, with whether the label is 1 (multiclass: is this class), for
    /// a metric that [needs them](crate::Metric::needs_scores). Empty for a regression.
    pub fn scored(&self, output: usize) -> impl Iterator<Item = (f32, bool)> + use<'a> {
        let (outputs, sums) = (self.outputs, self.sums);
        let (first, step, positive) = match self.kind {
            Kind::Multiclass => (0, 1, output as u32),
            _ => (output, outputs, 1),
        };
        let scores: &'a [f32] = if self.kind == Kind::Regression { &[] } else { &sums.scores };
        let scores = scores.iter().skip(output).step_by(outputs).copied();
        let labels = sums.labels.iter().skip(first).step_by(step);
        scores.zip(labels.map(move |label| *label == positive))
    }

    /// The rows' predictions and labels at an output of a regression, both as the model sees them
    /// (a larger one is larger in the target's units too), for a metric that
    /// [needs them](crate::Metric::needs_scores). Empty for other kinds.
    pub fn predicted(&self, output: usize) -> impl Iterator<Item = (f32, f32)> + use<'a> {
        let (outputs, sums) = (self.outputs, self.sums);
        let scores: &'a [f32] = if self.kind == Kind::Regression { &sums.scores } else { &[] };
        let of_output = scores.iter().zip(&sums.labels).skip(output).step_by(outputs);
        of_output.map(|(prediction, label)| (*prediction, f32::from_bits(*label)))
    }
}
