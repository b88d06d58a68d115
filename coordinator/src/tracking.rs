//! Tracking: follows the run's journal and sends its contents to an MLflow server.
//!
//! The tracker is a task of its own. Training appends records to the journal and goes on. The
//! tracker reads the journal's file and sends what was added. A server that is slow or down does
//! not slow training: what it has not accepted stays in the journal. The tracker retries with a
//! growing backoff, until [`TrackerHandle::finish`] runs out of time.
//!
//! `tracking.json` in the run folder has the ids of experiment and run, and how much of the journal
//! the server has accepted. So a resumed run goes on in the same MLflow run.
//!
//! # Each point once
//!
//! A point has the time stamp of its record. MLflow stores a point once for its (metric, step, time
//! stamp, value). If the answer to a batch is lost, the batch is sent again, which changes nothing.
//! Only the creation of a run can't be repeated. So each run has a unique key in a tag, and the
//! tracker searches for it before it creates a run.
//!
//! # Names
//!
//! | journal | MLflow |
//! |---|---|
//! | metric of a task | metric `validation/digit/accuracy` |
//! | metric over all tasks | metric `validation/skill` |
//! | speed, and the numbers of the end | metric `observed/rows_per_second`, `observed/worker-1/rows_per_second` |
//! | parameters | params, cut at MLflow's 6,000 characters |
//! | settings, which no result depends on | tags `cluster.workers`... |
//! | tags | tags; `git_commit` as `mlflow.source.git.commit` too |
//! | summary | tags `trunkline.step`, `trunkline.parameters_sha256`... |
//!
//! # What it leaves out
//!
//! Artifacts, and events of the journal that are neither numbers nor tags.

mod batch;
mod client;
mod config;
mod follow;
mod state;

use std::path::Path;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use client::Client;
pub use config::{Config, Credentials, TrackingError};
pub use follow::Delivered;
use follow::Follower;

use crate::journal::Status;

/// Starts the tracking of runs.
#[derive(Debug)]
pub struct Tracker;

impl Tracker {
    /// Starts to follow the journal of a run folder, as a task of the current tokio runtime.
    ///
    /// # Errors
    /// The address is not that of an HTTP server, or the HTTP client can't be built. A server that
    /// does not answer is no error here.
    pub fn spawn(config: Config, run_dir: &Path) -> Result<TrackerHandle, TrackingError> {
        let client = Client::new(&config)?;
        let (warn, warnings) = mpsc::channel(4);
        let (end, ending) = watch::channel(None);
        let follower = Follower::new(config, client, run_dir, warn);
        Ok(TrackerHandle { end, warnings, warned: false, task: tokio::spawn(follower.run(ending)) })
    }
}

/// A running tracker. If it is dropped without [`TrackerHandle::finish`], it stops and leaves the
/// MLflow run as it is.
#[derive(Debug)]
pub struct TrackerHandle {
    end: watch::Sender<Option<Status>>,
    warnings: mpsc::Receiver<String>,
    warned: bool,
    task: JoinHandle<Delivered>,
}

impl TrackerHandle {
    /// Waits for the next warning, for a person and for the journal. It never returns if there is
    /// none, so it fits a branch of a select loop.
    ///
    /// There are at most three warnings: the server is unavailable, it refused a value, it refused
    /// the run.
    pub async fn warning(&mut self) -> String {
        match self.warnings.recv().await {
            Some(warning) => {
                self.warned = true;
                warning
            }
            None => std::future::pending().await,
        }
    }

    /// A warning that has come already. Never waits.
    pub fn try_warning(&mut self) -> Option<String> {
        let warning = self.warnings.try_recv().ok();
        self.warned |= warning.is_some();
        warning
    }

    /// Whether there was a warning.
    pub fn has_warned(&self) -> bool {
        self.warned
    }

    /// Sends the rest of the journal, ends the MLflow run with `status`, and gives up after
    /// `timeout`. The journal's last record must be appended before.
    pub async fn finish(mut self, status: Status, timeout: Duration) -> Delivered {
        self.end.send_replace(Some(status));
        match tokio::time::timeout(timeout, &mut self.task).await {
            Ok(Ok(delivered)) => delivered,
            Ok(Err(panic)) => Delivered { complete: false, refused: 0, run_id: None, error: Some(panic.to_string()) },
            Err(_) => {
                self.task.abort();
                let mut error = format!("the server did not accept everything within {timeout:?}");
                while let Some(warning) = self.try_warning() {
                    error = warning;
                }
                Delivered { complete: false, refused: 0, run_id: None, error: Some(error) }
            }
        }
    }
}
