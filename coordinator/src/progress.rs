//! What a run is doing, as a snapshot: for the progress bar, the status command and whoever else
//! looks.

use std::collections::BTreeMap;

use indexmap::IndexMap;

/// A snapshot of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// The run's identity.
    pub run: String,
    /// The experiment's name.
    pub name: String,
    /// A word for what it is doing.
    pub state: &'static str,
    /// Updates done.
    pub step: u64,
    /// Updates to be done.
    pub steps: u64,
    /// Rows of all feeds a second, over the last updates.
    pub rows_per_second: f64,
    /// Mean training loss by task, of the last update that had rows of it.
    pub losses: IndexMap<String, f64>,
    /// `validation.skill` of the last evaluation.
    pub skill: Option<f64>,
    /// How often peers and workers were refused, by reason.
    pub refusals: BTreeMap<&'static str, u64>,
    /// Workers that are there.
    pub workers: Vec<WorkerProgress>,
}

/// A snapshot of a worker.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WorkerProgress {
    /// Its place in the run.
    pub lease: u64,
    /// Its host.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// A word for what it is doing.
    pub state: &'static str,
    /// Pieces of work that counted.
    pub works_done: u64,
    /// The most memory that it had, bytes.
    pub peak_bytes: u64,
}
