//! The tracker's task: read what was added, send it, remember how far it got.

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
    /// This process has seen that the stored run is there, and set it running.
    taken_up: bool,
    runs_left: u32,
    last_ms: u64,
    refused: u64,
    warned_unavailable: bool,
    warn: mpsc::Sender<String>,
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
        let state = file.load(&config.uri);
        Follower {
            config,
            client,
            run_dir: run_dir.to_owned(),
            file,
            state,
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
        let mut retry = self.config.retry_first;
        loop {
            // Taken before the journal is read, so that what was appended before the end was announced is sent before it.
            let end = *ending.borrow_and_update();
            let pause = match self.round(end).await {
                Ok(Round::Done) => return self.delivered(None),
                Ok(Round::More) => Duration::ZERO,
                Ok(Round::Idle) => self.config.poll,
                Err(CallError::Unavailable(why)) => {
                    self.warn_unavailable(&why);
                    let pause = retry;
                    retry = (retry * 2).min(self.config.retry_max);
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
            retry = self.config.retry_first;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = ending.changed() => if changed.is_err() { return self.delivered(Some("it was stopped".into())) },
            }
        }
    }

    /// Sends the next part of the journal, or the end.
    async fn round(&mut self, end: Option<Status>) -> Result<Round, CallError> {
        let position = self.state.as_ref().map_or(0, |state| state.position);
        let mut tail = Tail::new(&self.run_dir.join("journal.jsonl"), position);
        // A file of ours in the page cache: read here rather than on another thread.
        let records = match tail.next(TEXT_MAX) {
            Ok(records) => records,
            Err(error) => return Err(CallError::Unavailable(error.to_string())),
        };
        if records.is_empty() && tail.position() == position && (end.is_none() || self.state.is_none()) {
            return Ok(if end.is_some() { Round::Done } else { Round::Idle });
        }
        let run_id = match self.take_up(&records).await {
            Err(error) if error.is_missing() => return self.start_over(error),
            run_id => run_id?,
        };
        for batch in Batch::of(&records) {
            match self.send(&run_id, batch).await {
                Err(error) if error.is_missing() => return self.start_over(error),
                sent => sent?,
            }
        }
        self.last_ms = records.last().map_or(self.last_ms, Record::time_ms);
        self.remember(|state| state.position = tail.position());
        if tail.position() != position {
            return Ok(Round::More);
        }
        let Some(status) = end else { return Ok(Round::Idle) };
        let end_ms = (self.last_ms > 0).then_some(self.last_ms);
        self.client.set_status(&run_id, name_of(status), end_ms).await?;
        Ok(Round::Done)
    }

    /// The MLflow run: the stored one, set running again, or a new one.
    async fn take_up(&mut self, records: &[Record]) -> Result<String, CallError> {
        let start_ms = records.first().map_or(0, Record::time_ms);
        if self.state.is_none() {
            let state = State {
                uri: self.config.uri.clone(),
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

    /// Sends a batch; where the server refuses it, its halves, until the items that it refuses stand alone and are left out.
    async fn send(&mut self, run_id: &str, batch: Batch) -> Result<(), CallError> {
        let mut waiting = vec![batch];
        while let Some(batch) = waiting.pop() {
            match self.client.log(run_id, &batch).await {
                Err(error @ CallError::Refused { .. }) if !error.is_missing() => match batch.halves() {
                    Some([left, right]) => waiting.extend([left, right]),
                    None => {
                        self.refused += 1;
                        if self.refused == 1 {
                            self.warn(format!(
                                "MLflow at {} refuses a value: {error}; the journal has it",
                                self.shown_uri()
                            ));
                        }
                    }
                },
                sent => sent?,
            }
        }
        Ok(())
    }

    /// The run is not on the server any more (another server, or one that lost its store): makes another from the journal's start.
    fn start_over(&mut self, missing: CallError) -> Result<Round, CallError> {
        self.runs_left -= 1;
        if self.runs_left == 0 {
            return Err(missing);
        }
        self.state = None;
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
        let Ok(mut url) = reqwest::Url::parse(&self.config.uri) else { return self.config.uri.clone() };
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        url.as_str().trim_end_matches('/').to_owned()
    }

    fn delivered(&self, error: Option<String>) -> Delivered {
        let run_id = self.state.as_ref().and_then(|state| state.run_id.clone());
        Delivered { complete: error.is_none(), refused: self.refused, run_id, error }
    }
}

fn name_of(status: Status) -> &'static str {
    match status {
        Status::Finished => "FINISHED",
        Status::Failed => "FAILED",
        Status::Interrupted => "KILLED",
    }
}
