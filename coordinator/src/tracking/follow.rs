//! The tracker's task: read what was added, send it, remember how far it got.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, watch};

use super::batch::Batch;
use super::client::{CallError, Client};
use super::state::{State, StateFile};
use super::{Config, Delivered};
use crate::journal::{Record, Status, Tail};

/// Journal text that is read at a time; about two full batches.
const TEXT_MAX: usize = 1 << 18;
/// How often a run may vanish from its server before the tracker gives up.
const RUNS_MAX: u32 = 3;

/// Follows one journal.
#[derive(Debug)]
pub(super) struct Follower {
    config: Config,
    client: Client,
    run_dir: PathBuf,
    file: StateFile,
    state: Option<State>,
    part: Option<Part>,
    /// This process has seen that the stored run is there, and set it running.
    taken_up: bool,
    runs_left: u32,
    /// The next pause after a failure.
    retry: Duration,
    last_ms: u64,
    refused: u64,
    warned_unavailable: bool,
    warn: mpsc::Sender<String>,
}

/// A part of the journal on its way to the server.
#[derive(Debug)]
struct Part {
    waiting: VecDeque<Batch>,
    start_ms: u64,
    end_ms: u64,
    /// Where the journal goes on after it.
    end: u64,
}

/// What a round came to.
enum Round {
    /// There may be more to send.
    More,
    /// The server has everything that the journal has by now.
    Idle,
    /// The run is over on the server too.
    Done,
}

impl Follower {
    pub fn new(config: Config, client: Client, run_dir: &Path, warn: mpsc::Sender<String>) -> Follower {
        let file = StateFile::of(run_dir);
        let (state, retry) = (file.load(&without_login(&config.uri)), config.retry_first);
        Follower {
            config,
            client,
            run_dir: run_dir.to_owned(),
            file,
            state,
            part: None,
            retry,
            taken_up: false,
            runs_left: RUNS_MAX,
            last_ms: 0,
            refused: 0,
            warned_unavailable: false,
            warn,
        }
    }

    /// Works until the end is announced and everything is sent, or the handle is gone.
    pub async fn run(mut self, mut ending: watch::Receiver<Option<Status>>) -> Delivered {
        loop {
            // Taken before the journal is read, so that what was appended before the end was
            // announced is sent before it.
            let end = *ending.borrow_and_update();
            let pause = match self.round(end).await {
                Ok(Round::Done) => return self.delivered(None),
                Ok(Round::More) => Duration::ZERO,
                Ok(Round::Idle) => self.config.poll,
                Err(CallError::Unavailable(why)) => {
                    self.warn_unavailable(&why);
                    let pause = self.retry;
                    self.retry = (pause * 2).min(self.config.retry_max);
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        changed = ending.changed() => if changed.is_err() { return self.delivered(Some(why)) },
                    }
                    continue;
                }
                Err(refused @ CallError::Refused { .. }) => {
                    let why =
                        format!("MLflow at {} refuses this run: {refused}; the journal is complete", self.shown_uri());
                    self.warn(why.clone());
                    return self.delivered(Some(why));
                }
            };
            self.retry = self.config.retry_first;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = ending.changed() => if changed.is_err() { return self.delivered(Some("it was stopped".into())) },
            }
        }
    }

    /// Sends the next part of the journal, or the end.
    async fn round(&mut self, end: Option<Status>) -> Result<Round, CallError> {
        let read = self.read()?;
        if !read && (end.is_none() || self.state.is_none()) {
            return Ok(if end.is_some() { Round::Done } else { Round::Idle });
        }
        let sent = match self.take_up().await {
            Ok(run_id) => self.send(&run_id).await.map(|()| run_id),
            Err(error) => Err(error),
        };
        let run_id = match sent {
            Err(error) if error.is_missing() => return self.start_over(error),
            sent => sent?,
        };
        if let Some(part) = self.part.take() {
            self.last_ms = self.last_ms.max(part.end_ms);
            self.remember(|state| state.position = part.end);
            return Ok(Round::More);
        }
        let Some(status) = end else { return Ok(Round::Idle) };
        let end_ms = (self.last_ms > 0).then_some(self.last_ms);
        self.client.set_status(&run_id, name_of(status), end_ms).await?;
        Ok(Round::Done)
    }

    /// Reads the next part of the journal, unless one is still being sent. Returns whether there is
    /// a part to send.
    fn read(&mut self) -> Result<bool, CallError> {
        if self.part.is_some() {
            return Ok(true);
        }
        let position = self.state.as_ref().map_or(0, |state| state.position);
        let mut tail = Tail::new(&self.run_dir.join("journal.jsonl"), position);
        // A file of ours in the page cache: read here rather than on another thread.
        let records = tail.next(TEXT_MAX).map_err(|error| CallError::Unavailable(error.to_string()))?;
        if tail.position() != position {
            let times = || records.iter().map(Record::time_ms);
            let (start_ms, end_ms) = (times().next().unwrap_or(0), times().max().unwrap_or(0));
            self.part = Some(Part { waiting: Batch::of(&records).into(), start_ms, end_ms, end: tail.position() });
        }
        Ok(self.part.is_some())
    }

    /// The MLflow run: the stored one, set running again, or a new one.
    async fn take_up(&mut self) -> Result<String, CallError> {
        let start_ms = self.part.as_ref().map_or(0, |part| part.start_ms);
        if self.state.is_none() {
            let state = State {
                uri: self.shown_uri(),
                run_key: self.run_key(start_ms),
                experiment_id: None,
                run_id: None,
                position: 0,
            };
            self.state = Some(state);
            self.remember(|_| ());
        }
        let state = self.state.clone().expect("set above");
        if let Some(run_id) = state.run_id {
            if !self.taken_up {
                self.client.set_status(&run_id, "RUNNING", None).await?;
                self.taken_up = true;
            }
            return Ok(run_id);
        }
        let experiment_id = self.client.experiment(&self.config.experiment).await?;
        let run_id = match self.client.find_run(&experiment_id, &state.run_key).await? {
            Some(run_id) => run_id,
            None => self.client.create_run(&experiment_id, &self.config.run_name, &state.run_key, start_ms).await?,
        };
        self.taken_up = true;
        self.remember(|state| (state.experiment_id, state.run_id) = (Some(experiment_id), Some(run_id.clone())));
        Ok(run_id)
    }

    /// Sends what waits of the part; what the server has taken does not wait any more, so that a
    /// bad connection makes progress.
    ///
    /// A batch that the server refuses is halved, until the items that it refuses stand alone and
    /// are left out.
    async fn send(&mut self, run_id: &str) -> Result<(), CallError> {
        while let Some(batch) = self.part.as_mut().and_then(|part| part.waiting.pop_front()) {
            let sent = self.client.log(run_id, &batch).await;
            let Some(part) = &mut self.part else { return Ok(()) };
            match sent {
                Ok(()) => self.retry = self.config.retry_first,
                Err(error @ CallError::Refused { .. }) if !error.is_missing() => match batch.halves() {
                    Some(halves) => halves.into_iter().for_each(|half| part.waiting.push_front(half)),
                    None => self.leave_out(&error),
                },
                Err(error) => {
                    part.waiting.push_front(batch);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, error: &CallError) {
        self.refused += 1;
        if self.refused == 1 {
            self.warn(format!("MLflow at {} refuses a value: {error}; the journal has it", self.shown_uri()));
        }
    }

    /// The run is not on the server any more (another server, or one that lost its store): makes
    /// another from the journal's start.
    fn start_over(&mut self, missing: CallError) -> Result<Round, CallError> {
        self.runs_left -= 1;
        if self.runs_left == 0 {
            return Err(missing);
        }
        self.state = None;
        self.part = None;
        self.taken_up = false;
        Ok(Round::More)
    }

    fn remember(&mut self, change: impl FnOnce(&mut State)) {
        if let Some(state) = &mut self.state {
            change(state);
            // What can't be stored is sent again by the run that resumes.
            let _ = self.file.store(state);
        }
    }

    /// Differs for every run, on every machine.
    fn run_key(&self, start_ms: u64) -> String {
        let place = std::path::absolute(&self.run_dir).unwrap_or_else(|_| self.run_dir.clone());
        let text = format!("{}\0{start_ms}\0{}\0{}", place.display(), std::process::id(), self.runs_left);
        Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    fn warn_unavailable(&mut self, why: &str) {
        if !self.warned_unavailable {
            self.warned_unavailable = true;
            self.warn(format!(
                "MLflow at {} can't be had: {why}; training goes on, the journal is complete, and it is tried again",
                self.shown_uri()
            ));
        }
    }

    fn warn(&self, warning: String) {
        // At most two are ever sent, and four fit.
        let _ = self.warn.try_send(warning);
    }

    /// The server's address without what logs in.
    fn shown_uri(&self) -> String {
        without_login(&self.config.uri)
    }

    fn delivered(&self, error: Option<String>) -> Delivered {
        let run_id = self.state.as_ref().and_then(|state| state.run_id.clone());
        Delivered { complete: error.is_none(), refused: self.refused, run_id, error }
    }
}

/// An address without user name and password: those are nobody else's business, and may change
/// while the server stays.
pub(super) fn without_login(uri: &str) -> String {
    match reqwest::Url::parse(uri) {
        Ok(mut url) if !url.username().is_empty() || url.password().is_some() => {
            let _ = url.set_username("").and_then(|()| url.set_password(None));
            url.as_str().trim_end_matches('/').to_owned()
        }
        _ => uri.to_owned(),
    }
}

fn name_of(status: Status) -> &'static str {
    match status {
        Status::Finished => "FINISHED",
        Status::Failed => "FAILED",
        Status::Interrupted => "KILLED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_and_kept_without_what_logs_in() {
        assert_eq!(without_login("https://me:secret@host:5000/mlflow/"), "https://host:5000/mlflow");
        assert_eq!(without_login("http://token@host"), "http://host");
        assert_eq!(without_login("http://127.0.0.1:5000/"), "http://127.0.0.1:5000/");
        assert_eq!(without_login("no address"), "no address");
    }
}
