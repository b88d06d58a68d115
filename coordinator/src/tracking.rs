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
//! | speed | metric `system/rows_per_second`, `system/worker-1/rows_per_second` |
//! | numbers of the end | tags `trunkline.seconds`... |
//! | command line, user, host | tags `mlflow.source.name`, `mlflow.user`, `trunkline.host` |
//! | parameters | params, cut at MLflow's 6,000 characters |
//! | settings, which no result depends on | tags `cluster.workers`... |
//! | tags | tags; `git.commit` as `mlflow.source.git.commit` too |
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

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use client::Client;
pub use config::{Config, Credentials, Patience, TrackingError, without_login};
pub use follow::Delivered;
use follow::{Follower, Sent};

use crate::journal::Status;

/// Starts the tracking of runs.
#[derive(Debug)]
pub struct Tracker;

impl Tracker {
    /// Starts to follow the journal of a run folder, as a task of the current tokio runtime.
    ///
    /// # Errors
    /// The address is not that of an HTTP server, or the HTTP client can't be built. A server that
    /// does not answer is not an error here.
    pub fn spawn(config: Config, run_dir: &Path) -> Result<TrackerHandle, TrackingError> {
        let client = Client::new(&config)?;
        let (warn, warnings) = mpsc::channel(4);
        let (end, ending) = watch::channel(None);
        let (sending, sent) = watch::channel(Sent::default());
        let journal = run_dir.join("journal.jsonl");
        let follower = Follower::new(config, client, run_dir, warn, sending);
        let task = tokio::spawn(follower.run(ending));
        Ok(TrackerHandle { end, warnings, warned: false, sent, journal, task })
    }
}

/// A running tracker. If it is dropped without [`TrackerHandle::finish`], it stops and leaves the
/// MLflow run as it is.
#[derive(Debug)]
pub struct TrackerHandle {
    end: watch::Sender<Option<Status>>,
    warnings: mpsc::Receiver<String>,
    warned: bool,
    sent: watch::Receiver<Sent>,
    journal: PathBuf,
    task: JoinHandle<Delivered>,
}

/// Why an address can't be that of a tracking server.
///
/// # Errors
/// [`TrackingError::Uri`] if it is not the address of an HTTP server.
pub fn check_address(uri: &str) -> Result<(), TrackingError> {
    client::check_address(uri)
}

/// The time until the end of a run says that it waits.
const FIRST_NOTICE: Duration = Duration::from_secs(2);
/// The time between two further notices.
const NOTICE_EVERY: Duration = Duration::from_secs(10);

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

    /// Sends the rest of the journal, ends the MLflow run with `status`, and gives up when
    /// `patience` does. The journal's last record must be appended before.
    ///
    /// `notice` gets a line for people if this takes more than two seconds, and again now and then.
    pub async fn finish(mut self, status: Status, patience: &Patience, mut notice: impl FnMut(String)) -> Delivered {
        self.end.send_replace(Some(status));
        let mut sent = self.sent.clone();
        let reached = |sent: &Sent| if sent.answers { patience.idle } else { patience.silent };
        let mut idle = pin!(sleep(reached(&sent.borrow_and_update())));
        let mut total = pin!(sleep(patience.total));
        let mut until_notice = pin!(sleep(FIRST_NOTICE));
        let why = loop {
            tokio::select! {
                ended = &mut self.task => return ended.unwrap_or_else(|panic| self.incomplete(panic.to_string())),
                () = &mut total => break format!("the server did not accept everything within {:?}", patience.total),
                () = &mut idle => break format!("the server answered nothing for {:?}", reached(&sent.borrow())),
                Ok(()) = sent.changed() => idle.set(sleep(reached(&sent.borrow_and_update()))),
                () = &mut until_notice => {
                    notice(self.left());
                    until_notice.set(sleep(NOTICE_EVERY));
                }
            }
        };
        self.task.abort();
        let mut why = why;
        while let Some(warning) = self.try_warning() {
            why = warning;
        }
        self.incomplete(why)
    }

    /// How much of the journal the server does not have yet, for people.
    pub fn left(&self) -> String {
        let all = std::fs::metadata(&self.journal).map_or(0, |file| file.len());
        let left = all.saturating_sub(self.sent.borrow().bytes);
        format!("{} of the journal's {} are not there yet", kilobytes(left), kilobytes(all))
    }

    fn incomplete(&self, error: String) -> Delivered {
        let bytes = self.sent.borrow().bytes;
        Delivered { complete: false, refused: 0, run_id: None, error: Some(error), bytes }
    }
}

fn kilobytes(bytes: u64) -> String {
    format!("{} kB", bytes.div_ceil(1000))
}
