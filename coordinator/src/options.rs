//! How a run is carried out, beyond what the experiment says.

use std::{sync::Arc, time::Instant};

use indexmap::IndexMap;

use crate::disk::Disk;

/// How a run is carried out, beyond what the experiment says.
#[derive(Debug, Clone)]
pub struct Options {
    /// The tracking server to use if the experiment names none.
    pub mlflow: Option<String>,
    /// The command line with which the coordinator was started.
    pub command: String,
    /// The name of the user who started it, if it is known.
    pub user: Option<String>,
    /// Tags to add to those that every run has.
    pub tags: IndexMap<String, String>,
    /// When the program started.
    pub started: Instant,
    /// The disk that the run folder is on.
    pub disk: Arc<dyn Disk>,
}
