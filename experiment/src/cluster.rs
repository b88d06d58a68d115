//! `[cluster]` and `[tracking]`: the workers, and where a run is recorded in addition to its
//! journal.

use serde::{Deserialize, Serialize};

/// The workers, and how long they may be silent. Only `mixed` can change a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Worker processes that `train` starts on this machine.
    pub workers: u32,
    /// Milliseconds between two heartbeats of a worker.
    pub heartbeat_ms: u64,
    /// Milliseconds of silence after which a worker counts as lost.
    pub lease_ms: u64,
    /// The smallest number of workers with which training goes on.
    pub min_workers: u32,
    /// Accept workers with another kind of processor or build. The run is then marked as not
    /// bitwise reproducible.
    pub mixed: bool,
    /// Compute threads of one worker.
    pub threads: u32,
}

impl Default for Cluster {
    fn default() -> Self {
        Self { workers: 1, heartbeat_ms: 500, lease_ms: 5000, min_workers: 1, mixed: false, threads: 1 }
    }
}

/// Where the run is recorded in addition to its journal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tracking {
    /// The address of an MLflow server. Default: the environment's `MLFLOW_TRACKING_URI`, or no
    /// server if it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlflow: Option<String>,
    /// The MLflow experiment; default: the experiment's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment: Option<String>,
    /// Steps between two records of the training losses. Each record has the means since the one
    /// before. Default: at most 2,000 records a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// Steps between two records of the weighting (losses, alpha, Gramian). Default: at most 1,000
    /// records a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weighting_every: Option<u64>,
    /// Steps between two records of the per-task gradients' inner products, under weightings that
    /// need no per-task gradients. Workers then compute these gradients for the journal alone. 0:
    /// never. Default: so rarely that the cost is small.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gramian_every: Option<u64>,
}

impl Tracking {
    /// Steps between two records of the training losses, in a run of this many steps.
    pub fn interval(&self, steps: u64) -> u64 {
        self.every.unwrap_or_else(|| steps.div_ceil(2000)).max(1)
    }

    /// Steps between two records of the weighting, in a run of this many steps.
    pub fn weighting_interval(&self, steps: u64) -> u64 {
        self.weighting_every.unwrap_or_else(|| steps.div_ceil(1000)).max(1)
    }
}
