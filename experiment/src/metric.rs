//! What is measured of a task, beside its loss.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::task::Kind;

/// A measure of how well a task is solved. The loss is always there and is none of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of the rows (multilabel: of the labels) that are right.
    Accuracy,
    /// Mean over the classes of the share of their rows that are right.
    BalancedAccuracy,
    /// F1 of the positive class.
    F1,
    /// Mean over the classes (multilabel: over the labels) of F1.
    F1Macro,
    /// Area under the receiver operating characteristic (multiclass: the mean over the classes,
    /// each against the rest; multilabel: the mean over the labels).
    Auroc,
    /// Average precision, with the same means.
    AveragePrecision,
    /// Mean absolute error, in the target's units.
    Mae,
    /// Root of the mean squared error, in the target's units.
    Rmse,
    /// Share of the variance that is explained.
    R2,
}

impl Metric {
    /// Every metric, in the order of the reference.
    pub const ALL: [Metric; 9] = [
        Metric::Accuracy,
        Metric::BalancedAccuracy,
        Metric::F1,
        Metric::F1Macro,
        Metric::Auroc,
        Metric::AveragePrecision,
        Metric::Mae,
        Metric::Rmse,
        Metric::R2,
    ];

    /// The name in the experiment file, the journal and the tables.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::BalancedAccuracy => "balanced_accuracy",
            Metric::F1 => "f1",
            Metric::F1Macro => "f1_macro",
            Metric::Auroc => "auroc",
            Metric::AveragePrecision => "average_precision",
            Metric::Mae => "mae",
            Metric::Rmse => "rmse",
            Metric::R2 => "r2",
        }
    }

    /// Whether a larger value is a better one.
    pub fn higher_is_better(self) -> bool {
        !matches!(self, Metric::Mae | Metric::Rmse)
    }

    /// The metrics that a kind of task can have.
    pub fn of_kind(kind: Kind) -> &'static [Metric] {
        match kind {
            Kind::Regression => &[Metric::Rmse, Metric::Mae, Metric::R2],
            Kind::Binary => &[
                Metric::Accuracy,
                Metric::BalancedAccuracy,
                Metric::F1,
                Metric::F1Macro,
                Metric::Auroc,
                Metric::AveragePrecision,
            ],
            Kind::Multiclass => {
                &[Metric::Accuracy, Metric::BalancedAccuracy, Metric::F1Macro, Metric::Auroc, Metric::AveragePrecision]
            }
            Kind::Multilabel => &[Metric::Accuracy, Metric::F1Macro, Metric::Auroc, Metric::AveragePrecision],
        }
    }

    /// The metrics of a task that names none.
    pub fn default_for(kind: Kind) -> Vec<Metric> {
        match kind {
            Kind::Regression => vec![Metric::Rmse, Metric::Mae, Metric::R2],
            Kind::Binary => vec![Metric::Accuracy, Metric::Auroc],
            Kind::Multiclass => vec![Metric::Accuracy, Metric::F1Macro],
            Kind::Multilabel => vec![Metric::F1Macro, Metric::Auroc],
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
