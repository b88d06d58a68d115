//! What a task's target is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One or several numbers.
    Regression,
    /// Yes or no.
    Binary,
    /// One of several classes.
    Multiclass,
    /// Several independent yes or no.
    Multilabel,
}

impl Kind {
    /// All kinds, in the order of the reference.
    pub const ALL: [Kind; 4] = [Kind::Regression, Kind::Binary, Kind::Multiclass, Kind::Multilabel];

    /// The name in the experiment file.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Regression => "regression",
            Kind::Binary => "binary",
            Kind::Multiclass => "multiclass",
            Kind::Multilabel => "multilabel",
        }
    }

    /// Label values of a row whose head has that many outputs: the class's index for a multiclass
    /// task, one value for each output for all others.
    pub fn label_width(self, outputs: usize) -> usize {
        if self == Kind::Multiclass { 1 } else { outputs }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
