//! `[cluster]` and `[tracking]`: the workers, and where the run is recorded beside its journal.

use serde::{Deserialize, Serialize};

/// The workers and how long they may be silent. None of this changes a result, but for `mixed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Worker processes that `train` starts on this machine.
    pub workers: u32,
    /// Milliseconds between two signs of life of a worker.
    pub heartbeat_ms: u64,
    /// Milliseconds of silence after which a worker is taken for lost.
    pub lease_ms: u64,
    /// Workers that must be there for training to go on.
    pub min_workers: u32,
    /// Let workers with another kind of processor or build in, and mark the run as not bitwise
    /// reproducible.
    pub mixed: bool,
    /// Compute threads of one worker.
    pub threads: u32,
}

impl Default for Cluster {
    fn default() -> Self {
        Self { workers: 1, heartbeat_ms: 500, lease_ms: 5000, min_workers: 1, mixed: false, threads: 1 }
    }
}

/// Where the run is recorded beside its journal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tracking {
    /// The address of an MLflow server; default: the environment's `MLFLOW_TRACKING_URI`, and
    /// without that none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlflow: Option<String>,
    /// The MLflow experiment; default: the experiment's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment: Option<String>,
    /// Steps between two records of the training losses, each of which has the means since the one
    /// before; default: as many as make at most 2,000 records a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// Steps between two whose weighting is recorded (losses, alpha, Gramian); default: as many as
    /// make at most 1,000 records a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weighting_every: Option<u64>,
    /// Steps between two whose record has the inner products of the tasks' gradients, for which
    /// workers are asked beside the update where the weighting does without them; 0: never.
    /// Default: so rarely that it is hardly felt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gramian_every: Option<u64>,
}

impl Tracking {
    /// Steps between two records of the training losses, in a run of so many.
    pub fn interval(&self, steps: u64) -> u64 {
        self.every.unwrap_or_else(|| steps.div_ceil(2000)).max(1)
    }

    /// Steps between two whose weighting is recorded, in a run of so many.
    pub fn weighting_interval(&self, steps: u64) -> u64 {
        self.weighting_every.unwrap_or_else(|| steps.div_ceil(1000)).max(1)
    }
}
