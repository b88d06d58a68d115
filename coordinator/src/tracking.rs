//! Tracking: follows the run's journal and tells an MLflow server what is in it.
//!
//! The tracker reads the journal's file, not the training loop's mind: training appends a line and
//! goes on, and the tracker, a task of its own, sends what has been added since. A server that is
//! slow, away or gone costs training nothing; what it has not taken stays in the journal, and the
//! tracker tries again with growing pauses, until [`TrackerHandle::finish`] runs out of time. The
//! position up to which the server has taken the journal is in the run folder (`tracking.json`),
//! with the ids of experiment and run, so that a resumed run goes on in the same MLflow run.
//!
//! # Each point once
//!
//! A point's time stamp is the journal's, and MLflow holds a point once for its (metric, step, time
//! stamp, value). A batch whose answer was lost is sent again and changes nothing. Creating a run
//! is the one call that can't be repeated: each run bears a key of its own in a tag, which is
//! looked for before a run is created.
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
//! What it leaves out: artifacts, and the events of the journal that are neither numbers nor tags.

mod batch;
mod client;
mod follow;
mod state;

use std::path::Path;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::journal::Status;
use client::Client;
use follow::Follower;

/// Where and how to track.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server, `http://` or `https://`, as `MLFLOW_TRACKING_URI` has it.
    pub uri: String,
    /// The MLflow experiment's name.
    pub experiment: String,
    /// The MLflow run's name; by custom the run folder's.
    pub run_name: String,
    /// How to log in, where the server wants that.
    pub credentials: Option<Credentials>,
    /// How often the journal is looked at.
    pub poll: Duration,
    /// The pause after a first failure; it doubles from there.
    pub retry_first: Duration,
    /// The longest pause.
    pub retry_max: Duration,
    /// How long one request may take.
    pub request_timeout: Duration,
}

impl Config {
    /// Tracking on a server with the usual pauses, and with the credentials of the environment.
    pub fn new(uri: impl Into<String>, experiment: impl Into<String>, run_name: impl Into<String>) -> Config {
        Config {
            uri: uri.into(),
            experiment: experiment.into(),
            run_name: run_name.into(),
            credentials: Credentials::from_environment(|name| std::env::var(name).ok()),
            poll: Duration::from_secs(1),
            retry_first: Duration::from_millis(500),
            retry_max: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
        }
    }
}

/// How to log in.
#[derive(Clone)]
pub enum Credentials {
    /// `MLFLOW_TRACKING_TOKEN`.
    Token(String),
    /// `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
}

impl Credentials {
    /// The credentials in MLflow's variables; user and password come first where both are there, as
    /// in MLflow's own client.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Option<Credentials> {
        let set = |name| variable(name).filter(|value: &String| !value.is_empty());
        match (set("MLFLOW_TRACKING_USERNAME"), set("MLFLOW_TRACKING_PASSWORD"), set("MLFLOW_TRACKING_TOKEN")) {
            (Some(user), Some(password), _) => Some(Credentials::Password { user, password }),
            (_, _, token) => token.map(Credentials::Token),
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credentials::Token(_) => "Token(..)",
            Credentials::Password { .. } => "Password { .. }",
        })
    }
}

/// Why tracking could not start. What goes wrong later is a warning: [`TrackerHandle::warning`].
#[derive(Debug, thiserror::Error)]
pub enum TrackingError {
    /// The address is no server's.
    #[error(
        "tracking.mlflow = {uri:?}: {message}; give the address of an MLflow server, for example \"http://127.0.0.1:5000\""
    )]
    Uri {
        /// The address.
        uri: String,
        /// What is wrong.
        message: String,
    },
    /// The HTTP client can't be built.
    #[error("tracking: {message}")]
    Client {
        /// Why.
        message: String,
    },
}

/// Tracks runs. See the module's page.
#[derive(Debug)]
pub struct Tracker;

impl Tracker {
    /// Starts following the journal of a run folder, as a task of the tokio runtime that this is
    /// called in.
    ///
    /// # Errors
    /// The address is no server's. That the server is not there is no error.
    pub fn spawn(config: Config, run_dir: &Path) -> Result<TrackerHandle, TrackingError> {
        let client = Client::new(&config)?;
        let (warn, warnings) = mpsc::channel(4);
        let (end, ending) = watch::channel(None);
        let follower = Follower::new(config, client, run_dir, warn);
        Ok(TrackerHandle { end, warnings, warned: false, task: tokio::spawn(follower.run(ending)) })
    }
}

/// A tracker at work. Dropped without [`TrackerHandle::finish`], it stops, and the MLflow run stays
/// as it is.
#[derive(Debug)]
pub struct TrackerHandle {
    end: watch::Sender<Option<Status>>,
    warnings: mpsc::Receiver<String>,
    warned: bool,
    task: JoinHandle<Delivered>,
}

impl TrackerHandle {
    /// Waits for the next warning, for a person and the journal: at most one that the server can't
    /// be had, and at most one that it refused something. Never returns where there is none, so it
    /// fits a branch of a select loop.
    pub async fn warning(&mut self) -> String {
        match self.warnings.recv().await {
            Some(warning) => {
                self.warned = true;
                warning
            }
            None => std::future::pending().await,
        }
    }

    /// A warning that is there already.
    pub fn try_warning(&mut self) -> Option<String> {
        let warning = self.warnings.try_recv().ok();
        self.warned |= warning.is_some();
        warning
    }

    /// Whether there was a warning.
    pub fn has_warned(&self) -> bool {
        self.warned
    }

    /// Sends what the journal has by now (its last record must be appended before), ends the MLflow
    /// run with `status`, and gives up after `timeout`.
    pub async fn finish(mut self, status: Status, timeout: Duration) -> Delivered {
        self.end.send_replace(Some(status));
        match tokio::time::timeout(timeout, &mut self.task).await {
            Ok(Ok(delivered)) => delivered,
            Ok(Err(panic)) => Delivered { complete: false, refused: 0, run_id: None, error: Some(panic.to_string()) },
            Err(_) => {
                self.task.abort();
                let mut error = format!("the server did not take everything within {timeout:?}");
                while let Some(warning) = self.try_warning() {
                    error = warning;
                }
                Delivered { complete: false, refused: 0, run_id: None, error: Some(error) }
            }
        }
    }
}

/// What a tracker got through to its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The server has all of the journal (but for what it refused), and the run's final status.
    pub complete: bool,
    /// Points, params and tags that the server refused.
    pub refused: u64,
    /// The MLflow run.
    pub run_id: Option<String>,
    /// Why it is not complete.
    pub error: Option<String>,
}
