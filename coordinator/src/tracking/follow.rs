//! The tracker's task: read what was added to the journal, send it, store how far it got.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, watch};

use super::batch::MlflowBatch;
use super::client::{CallError, Client};
use super::config::{Config, without_login};
use super::state::{StateFile, TrackingState};
use crate::journal::{Record, Status, Tail};

/// How much of the journal is read at a time, in bytes: about two full batches.
const TEXT_MAX: usize = 1 << 18;
/// How often the server may lose the MLflow run before the tracker gives up.
const RUNS_MAX: u32 = 3;

/// What a tracker delivered to its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Whether the server has the whole journal, except what it refused, and the run's final
    /// status.
    pub complete: bool,
    /// How many points, params and tags the server refused.
    pub refused: u64,
    /// The id of the MLflow run.
    pub run_id: Option<String>,
    /// Why it is not complete.
    pub error: Option<String>,
    /// How many bytes of the journal the server has accepted.
    pub bytes: u64,
}

/// How far a tracker has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// How many bytes of the journal the server has accepted.
    pub bytes: u64,
    /// Whether the server has answered anything, be it an error.
    pub answers: bool,
}

/// Follows one journal.
#[derive(Debug)]
pub(super) struct Follower {
    config: Config,
    client: Client,
    run_dir: PathBuf,
    file: StateFile,
    state: Option<TrackingState>,
    part: Option<JournalPart>,
    /// Whether this process has set the MLflow run to running.
    run_is_open: bool,
    /// How many runs may still be created.
    runs_left: u32,
    /// The backoff after the next failure.
    retry: Duration,
    /// The time of the newest record that was sent, in milliseconds since the Unix epoch. 0 if none
    /// was sent.
    last_ms: u64,
    refused: u64,
    warned_unavailable: bool,
    warn: mpsc::Sender<String>,
    sent: watch::Sender<Sent>,
}

/// A part of the journal that is being sent.
#[derive(Debug)]
struct JournalPart {
    /// Batches that the server has not accepted yet.
    waiting: VecDeque<MlflowBatch>,
    /// The time of its first record, in milliseconds since the Unix epoch.
    start_ms: u64,
    /// The time of its newest record.
    end_ms: u64,
    /// The position in the journal after it, in bytes.
    end: u64,
}

/// The result of a round.
enum Round {
    /// There may be more to send.
    More,
    /// The server has the whole journal so far.
    Idle,
    /// The server has the whole journal and the run's final status.
    Done,
}

impl Follower {
    pub fn new(
        config: Config,
        client: Client,
        run_dir: &Path,
        warn: mpsc::Sender<String>,
        sent: watch::Sender<Sent>,
    ) -> Follower {
        let file = StateFile::of(run_dir);
        let (state, retry) = (file.load(&without_login(&config.uri)), config.retry_first);
        let bytes = state.as_ref().map_or(0, |state| state.position);
        sent.send_modify(|sent| sent.bytes = bytes);
        Follower {
            config,
            client,
            run_dir: run_dir.to_owned(),
            file,
            state,
            part: None,
            retry,
            run_is_open: false,
            runs_left: RUNS_MAX,
            last_ms: 0,
            refused: 0,
            warned_unavailable: false,
            warn,
            sent,
        }
    }

    /// Works until the run's end is announced and everything is sent, or the handle is dropped.
    pub async fn run(mut self, mut ending: watch::Receiver<Option<Status>>) -> Delivered {
        loop {
            // Read before the journal, so that all records from before the announcement are sent
            // before the final status.
            let end = *ending.borrow_and_update();
            let pause = match self.round(end).await {
                Ok(Round::Done) => return self.delivered(None),
                Ok(Round::More) => Duration::ZERO,
                Ok(Round::Idle) => self.config.poll,
                Err(error @ (CallError::Unavailable(_) | CallError::Unreachable(_))) => {
                    if let CallError::Unavailable(_) = error {
                        self.sent.send_if_modified(|sent| !std::mem::replace(&mut sent.answers, true));
                    }
                    let why = error.to_string();
                    self.warn_unavailable(&why);
                    let longest = if end.is_some() { self.config.retry_at_end_max } else { self.config.retry_max };
                    let pause = self.retry.min(longest);
                    self.retry = pause * 2;
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

    /// Sends the next part of the journal, or the final status.
    async fn round(&mut self, end: Option<Status>) -> Result<Round, CallError> {
        let read = self.read()?;
        if !read && (end.is_none() || self.state.is_none()) {
            return Ok(if end.is_some() { Round::Done } else { Round::Idle });
        }
        let sent = match self.open_run().await {
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

    /// Reads the next part of the journal, unless a part is still being sent. Returns whether there
    /// is a part to send.
    fn read(&mut self) -> Result<bool, CallError> {
        if self.part.is_some() {
            return Ok(true);
        }
        let position = self.state.as_ref().map_or(0, |state| state.position);
        let mut tail = Tail::new(&self.run_dir.join("journal.jsonl"), position);
        // This process wrote the file just now, so it is in the page cache: no other thread needed.
        let records = tail.next(TEXT_MAX).map_err(|error| CallError::Unavailable(error.to_string()))?;
        if tail.position() != position {
            let times = || records.iter().map(Record::time_ms);
            let (start_ms, end_ms) = (times().next().unwrap_or(0), times().max().unwrap_or(0));
            self.part =
                Some(JournalPart { waiting: MlflowBatch::of(&records).into(), start_ms, end_ms, end: tail.position() });
        }
        Ok(self.part.is_some())
    }

    /// The id of the MLflow run: the stored one, set to running again, or a new one.
    async fn open_run(&mut self) -> Result<String, CallError> {
        let start_ms = self.part.as_ref().map_or(0, |part| part.start_ms);
        if self.state.is_none() {
            let state = TrackingState {
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
            if !self.run_is_open {
                self.client.set_status(&run_id, "RUNNING", None).await?;
                self.note_answer();
                self.run_is_open = true;
            }
            return Ok(run_id);
        }
        let experiment_id = self.client.experiment(&self.config.experiment).await?;
        self.note_answer();
        let run_id = match self.client.find_run(&experiment_id, &state.run_key).await? {
            Some(run_id) => run_id,
            None => self.client.create_run(&experiment_id, &self.config.run_name, &state.run_key, start_ms).await?,
        };
        self.run_is_open = true;
        self.remember(|state| (state.experiment_id, state.run_id) = (Some(experiment_id), Some(run_id.clone())));
        Ok(run_id)
    }

    /// Sends the waiting batches of the part. An accepted batch is not sent again, so even a bad
    /// connection makes progress.
    ///
    /// A batch that the server refuses is halved again and again. An item that is refused alone is
    /// left out.
    async fn send(&mut self, run_id: &str) -> Result<(), CallError> {
        while let Some(batch) = self.part.as_mut().and_then(|part| part.waiting.pop_front()) {
            let sent = self.client.log(run_id, &batch).await;
            if !matches!(sent, Err(CallError::Unreachable(_))) {
                self.note_answer();
            }
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

    /// The server has answered, so it is not silent, and the end of the run waits longer for it.
    fn note_answer(&self) {
        self.sent.send_modify(|sent| sent.answers = true);
    }

    fn leave_out(&mut self, error: &CallError) {
        self.refused += 1;
        if self.refused == 1 {
            self.warn(format!("MLflow at {} refuses a value: {error}; the journal has it", self.shown_uri()));
        }
    }

    /// Creates another MLflow run from the journal's start: the server has lost the old one, or is
    /// another server.
    fn start_over(&mut self, missing: CallError) -> Result<Round, CallError> {
        self.runs_left -= 1;
        if self.runs_left == 0 {
            return Err(missing);
        }
        self.state = None;
        self.part = None;
        self.run_is_open = false;
        Ok(Round::More)
    }

    fn remember(&mut self, change: impl FnOnce(&mut TrackingState)) {
        if let Some(state) = &mut self.state {
            change(state);
            self.sent.send_modify(|sent| {
                sent.bytes = state.position;
                sent.answers |= state.run_id.is_some();
            });
            // If it can't be stored, a resumed run sends the same points again, which is harmless.
            let _ = self.file.store(state);
        }
    }

    /// A key that is unique among the runs of all machines, and the same each time it is made for
    /// this run. So the MLflow run is found again if `tracking.json` is lost.
    fn run_key(&self, start_ms: u64) -> String {
        let place = std::path::absolute(&self.run_dir).unwrap_or_else(|_| self.run_dir.clone());
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let text = format!("{}\0{host}\0{start_ms}", place.display());
        Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    fn warn_unavailable(&mut self, why: &str) {
        if !self.warned_unavailable {
            self.warned_unavailable = true;
            self.warn(format!(
                "MLflow at {} can't be had: {why}; training goes on, the journal is complete, and sending is retried",
                self.shown_uri()
            ));
        }
    }

    fn warn(&self, warning: String) {
        // The channel holds four warnings, and at most three are ever sent.
        let _ = self.warn.try_send(warning);
    }

    /// The server's address without the login.
    fn shown_uri(&self) -> String {
        without_login(&self.config.uri)
    }

    fn delivered(&self, error: Option<String>) -> Delivered {
        let run_id = self.state.as_ref().and_then(|state| state.run_id.clone());
        let bytes = self.state.as_ref().map_or(0, |state| state.position);
        Delivered { complete: error.is_none(), refused: self.refused, run_id, error, bytes }
    }
}

fn name_of(status: Status) -> &'static str {
    match status {
        Status::Finished => "FINISHED",
        Status::Failed => "FAILED",
        Status::Interrupted => "KILLED",
    }
}
