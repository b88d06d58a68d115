//! The sizes that the data gives to the model. `datasets` computes them from its plan, `model`
//! reads them.
//!
//! The plan has its own type for a feed and for a task, because it says something else. It is what
//! is stored and sent: how columns of files become rows and labels. A shape is what computing with
//! rows and labels needs: sizes, units and names. It knows no file and no column's encoding, so the
//! model and its tests need no data. Nothing stores a shape.

use std::collections::BTreeMap;
use std::fmt;

use objectives::{Kind, Measures, MetricRef, Objective, Units};
use serde::{Deserialize, Serialize};
use settings::Invalid;

use crate::loss::LossRef;
use crate::network::Head;

/// A part of a table's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitName {
    /// What the model is fitted to.
    Train,
    /// What chooses between parameters.
    Validation,
    /// What is read once, at the end.
    Test,
}

impl SplitName {
    /// All parts, in order.
    pub const ALL: [SplitName; 3] = [SplitName::Train, SplitName::Validation, SplitName::Test];

    /// The part with this name.
    pub fn named(name: &str) -> Option<Self> {
        SplitName::ALL.into_iter().find(|split| split.name() == name)
    }

    /// What the rows of the part are called in sentences: `training` rows.
    pub fn called(self) -> &'static str {
        match self {
            SplitName::Train => "training",
            other => other.name(),
        }
    }

    /// The name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            SplitName::Train => "train",
            SplitName::Validation => "validation",
            SplitName::Test => "test",
        }
    }
}

impl fmt::Display for SplitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The feeds and tasks, in the file's order. Templates are expanded.
#[derive(Debug, Clone, PartialEq)]
pub struct Shapes {
    /// The feeds: what batches are drawn from.
    pub feeds: Vec<FeedShape>,
    /// Every task, with the feed that it is on.
    pub tasks: Vec<TaskShape>,
}

impl Shapes {
    /// Whether the rows of all feeds have one shape and no embeddings. Then they need no encoder.
    pub fn are_alike(&self) -> bool {
        let shape = |feed: &FeedShape| (feed.input, feed.width);
        self.feeds.iter().all(|feed| feed.embeddings.is_empty() && shape(feed) == shape(&self.feeds[0]))
    }
}

/// A dataset with a selection of feature columns.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedShape {
    /// The feed's name. It is unique, and can be a part of parameters' names.
    pub name: String,
    /// The key in `[dataset.*]`.
    pub dataset: String,
    /// The number of dense columns after preprocessing.
    pub width: usize,
    /// The columns that are looked up in a table of parameters. They come after the dense ones.
    pub embeddings: Vec<EmbeddingShape>,
    /// What the dense columns of a row are together.
    pub input: InputShape,
}

/// What the dense columns of a row are together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputShape {
    /// Columns of a table. Their order does not matter.
    #[default]
    Table,
    /// The pixels of an image, channel by channel and row by row. The feed's width is the product
    /// of the three sizes, and the feed has no embeddings.
    Image {
        /// Numbers for each pixel.
        channels: usize,
        /// Rows of pixels.
        height: usize,
        /// Pixels in each row.
        width: usize,
    },
}

/// A column with a row of parameters for each of its values.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingShape {
    /// The column.
    pub column: String,
    /// The number of values, with one for unseen values and one for null.
    pub rows: usize,
    /// Parameters for each value.
    pub width: usize,
}

/// A task as the model, the metrics and the tables of results see it: outputs, classes and units.
///
/// `datasets::TaskPlan` says how the task's columns become labels. This follows from it.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskShape {
    /// The task's name, which is unique.
    pub name: String,
    /// The key in `[task.*]`. Only tasks of a template have another `name`.
    pub template: String,
    /// Index of its feed in [`Shapes::feeds`].
    pub feed: usize,
    /// What the target is.
    pub kind: Kind,
    /// The number of logits or values that the head gives for each row.
    pub outputs: usize,
    /// The labels of the classes, in order. A multilabel task has its columns here. Empty for a
    /// regression.
    pub classes: Vec<String>,
    /// How the head's values become values in the target's units.
    pub units: Units,
    /// The mean loss of the best constant prediction, by split. The constant is fitted on the
    /// training labels.
    pub baseline_loss: BTreeMap<SplitName, f64>,
    /// The metrics.
    pub metrics: Vec<MetricRef>,
    /// The loss, with the parameters that follow from the labels.
    pub loss: LossRef,
    /// The loss is multiplied by this under every weighting.
    pub weight: f64,
    /// The task's own layers.
    pub head: Head,
}

impl TaskShape {
    /// What is measured of the task.
    pub fn measures(&self) -> Measures<'_> {
        Measures { kind: self.kind, outputs: self.outputs, metrics: &self.metrics }
    }

    /// The task's loss and metrics, ready to be computed. `task` is its index in [`Shapes::tasks`].
    ///
    /// # Errors
    /// [`Invalid`] if the loss can't be built. The loss of a loaded experiment can.
    pub fn objective(&self, task: usize) -> Result<Objective, Invalid> {
        Ok(Objective {
            task,
            kind: self.kind,
            outputs: self.outputs,
            units: self.units.clone(),
            loss: self.loss.build(self.kind)?.into(),
            metrics: self.metrics.clone(),
        })
    }
}
