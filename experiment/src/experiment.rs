//! The whole file.

use aggregation::Weighting;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::cluster::{Cluster, Tracking};
use crate::dataset::Dataset;
use crate::network::{Encoder, Model};
use crate::task::Task;
use crate::train::{self, Train};

/// One experiment: the contents of the file, with every default filled in that does not depend on
/// the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// The experiment's name, which is part of the name of its runs.
    pub name: String,
    /// The seed of initial parameters, dropout and the order of rows.
    #[serde(default)]
    pub seed: u64,
    /// The rows that the preprocessing of a column is fitted on.
    #[serde(default, skip_serializing_if = "Preprocessing::is_own")]
    pub preprocessing: Preprocessing,
    /// The tables by name, in the file's order.
    #[serde(default, rename = "dataset")]
    pub datasets: IndexMap<String, Dataset>,
    /// The tasks and templates by name, in the file's order.
    #[serde(default, rename = "task")]
    pub tasks: IndexMap<String, Task>,
    /// What all tasks share.
    #[serde(default)]
    pub model: Model,
    /// How it is trained.
    #[serde(default, deserialize_with = "train::deserialize")]
    pub train: Train,
    /// How the tasks' losses or gradients become one update.
    #[serde(default)]
    pub weighting: Weighting,
    /// The workers.
    #[serde(default)]
    pub cluster: Cluster,
    /// Where the run is recorded in addition to its journal.
    #[serde(default)]
    pub tracking: Tracking,
}

/// The rows that the preprocessing of a column (means, standard deviations, categories) is fitted
/// on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preprocessing {
    /// The training rows of the column's own table.
    #[default]
    Own,
    /// The training rows of all tables that have a feature of this name.
    Shared,
}

impl Preprocessing {
    fn is_own(&self) -> bool {
        *self == Preprocessing::Own
    }
}

impl Experiment {
    /// The experiment as a file with every default written out. It loads back to an equal value.
    ///
    /// # Panics
    /// TOML has no whole number above 2^63 - 1. A loaded experiment has none.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("what an experiment file can say, TOML can write")
    }

    /// What the file says of the encoder of a dataset: its own one, else the model's.
    pub fn encoder(&self, dataset: &str) -> Encoder<'_> {
        let own = self.datasets.get(dataset).and_then(|dataset| dataset.encoder.as_ref());
        match own.or(self.model.encoder.as_ref()) {
            None => Encoder::ByFeeds,
            Some(given) if given.kind() == Encoder::NONE && given.parameters().is_empty() => Encoder::None,
            Some(given) => Encoder::Layers(given),
        }
    }

    /// Whether some tasks are named by the columns that a template selects, so that their names are
    /// known with the data only.
    pub fn has_templates(&self) -> bool {
        self.tasks.values().any(|task| task.each_target.is_some())
    }
}
