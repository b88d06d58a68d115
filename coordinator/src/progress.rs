//! A snapshot of what a run is doing, for the progress bar and the status command.

use std::collections::BTreeMap;

use indexmap::IndexMap;

/// A snapshot of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// The run's identity.
    pub run: String,
    /// The experiment's name.
    pub name: String,
    /// What the run is doing, in a word.
    pub state: &'static str,
    /// Updates done.
    pub step: u64,
    /// Updates after which training ends.
    pub steps: u64,
    /// Rows of all feeds a second, over the last updates.
    pub rows_per_second: f64,
    /// Mean training loss by task, from the last update that had labelled rows of the task.
    pub losses: IndexMap<String, f64>,
    /// `validation.skill` of the last evaluation.
    pub skill: Option<f64>,
    /// How often peers and workers were refused, by reason.
    pub refusals: BTreeMap<&'static str, u64>,
    /// Workers that are connected.
    pub workers: Vec<WorkerProgress>,
}

/// A snapshot of a worker.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WorkerProgress {
    /// Its lease.
    pub lease: u64,
    /// Its host.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// What the worker is doing, in a word.
    pub state: &'static str,
    /// Pieces of work of which the result counted.
    pub works_done: u64,
    /// Peak memory, bytes.
    pub peak_bytes: u64,
}
