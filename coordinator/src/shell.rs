//! The shell around the state machine: one loop that takes what comes, asks the machine, and does
//! what it says. Everything slow is done elsewhere: by workers, by the computing thread, by the
//! tracker.

mod answer;
mod answers;
mod assembly;
mod conclusion;
mod connection;
mod connections;
mod cool_down;
mod display;
mod done;
mod effects;
mod ending;
mod inbound;
mod joining;
mod lateness;
mod leaving;
mod measurements;
mod metrics;
mod record;
mod recorder;
mod results;
mod saves;
mod training;
mod weighting;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use proto::message::Envelope;
use tokio::{
    sync::{mpsc, watch},
    time::{self, MissedTickBehavior},
};

use answers::Answers;
use connections::Connections;
use display::Display;
use ending::Ending;
use lateness::Lateness;
use measurements::Measurements;
use recorder::Recorder;
use results::Results;
use saves::Saves;
use training::Training;

use crate::{
    compute::{Done, Executor, Factors},
    door::TurnedAway,
    error::CoordinatorError,
    folder::RunFolder,
    journal::{Observation, Reason},
    parameters::Parameters,
    progress::{Progress, WorkerProgress},
    report::Report,
    request::RunRequest,
    run::{Departure, Event, Run, RunOutcome, WorkerId},
    server::Inbound,
    setup::Setup,
    start::{OpenRun, RunState},
    states::{FINGERPRINT, TRAINING},
    tracking::TrackerHandle,
};

/// How often the machine is told that time passes.
const TICK: Duration = Duration::from_millis(50);
/// Turns that other tasks get after the loop was held up. A message takes a few of them from its
/// socket to the inbox.
const TURNS: usize = 16;

/// The loop and what it works with.
pub(crate) struct Shell {
    setup: Setup,
    run: Run,
    folder: RunFolder,
    resumed_from: Option<u64>,
    parameters: Arc<Parameters>,
    /// The data plan as it is sent and saved.
    plan_json: Bytes,
    executor: Executor,
    /// When the program started.
    started: Instant,
    connections: Connections,
    answers: Answers,
    /// What the present step's gradients are computed with.
    factors: Factors,
    recorder: Recorder,
    measurements: Measurements,
    display: Display,
    results: Results,
    saves: Saves,
    training: Training,
    /// How the run has ended.
    outcome: Option<RunOutcome>,
}

impl Shell {
    /// A loop before its first event.
    pub(crate) fn new(
        setup: Setup,
        open: OpenRun,
        state: RunState,
        executor: Executor,
        progress: watch::Sender<Progress>,
        turned_away: TurnedAway,
        started: Instant,
    ) -> Shell {
        let saved = open.checkpoint().map(|checkpoint| checkpoint.step);
        let fingerprint = open.checkpoint().and_then(|checkpoint| checkpoint.states.get(FINGERPRINT).cloned());
        let training = open.checkpoint().and_then(|checkpoint| checkpoint.states.get(TRAINING));
        let training = Training::of_state(training.map(String::as_str));
        let fingerprint = fingerprint.filter(|fingerprint| !fingerprint.is_empty());
        Shell {
            plan_json: setup.plan_json().into(),
            setup,
            run: state.run,
            connections: Connections::new(open.run_id(), open.fence.epoch(), fingerprint, turned_away),
            folder: open.folder,
            resumed_from: open.resumed_from,
            parameters: state.parameters,
            executor,
            started,
            answers: Answers::default(),
            factors: state.factors,
            recorder: Recorder::new(open.fence, open.journal),
            measurements: Measurements::default(),
            display: Display::new(progress),
            results: Results::new(state.selection, open.found.and_then(|found| found.best)),
            saves: Saves::new(saved),
            training,
            outcome: None,
        }
    }

    /// Bytes of the plan and of one version of the parameters, which may wait for one worker at a
    /// time.
    pub(crate) fn bytes_at_once(&self) -> usize {
        self.parameters.elements() * size_of::<f32>() + self.plan_json.len()
    }

    /// Runs until the run is over.
    pub(crate) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Inbound>,
        mut done: mpsc::UnboundedReceiver<Done>,
        requests: &mut mpsc::Receiver<RunRequest>,
        mut tracker: Option<&mut TrackerHandle>,
    ) -> Result<Report, CoordinatorError> {
        let mut ticks = time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lateness = Lateness::new(self.started.elapsed(), TICK, self.run.settings().lease);
        while self.outcome.is_none() && !self.recorder.has_failed() {
            tokio::select! {
                biased;
                Some(done) = done.recv() => self.on_done(done),
                Some(inbound) = inbox.recv() => self.on_inbound(inbound),
                Some(request) = requests.recv() => self.on_request(request),
                warning = next_warning(&mut tracker) => self.on_tracking(warning),
                _ = ticks.tick() => {
                    self.recorder.check_place();
                    self.recorder.catch_up();
                    self.recorder.record_turned_away(self.connections.turned_away(), false);
                    if lateness.lets_pass(self.started.elapsed()) {
                        self.hear_out(&mut inbox).await;
                    } else {
                        self.dismiss_stuck();
                        self.tell(Event::Tick);
                    }
                }
                else => break,
            }
            if self.recorder.has_unrecorded() {
                // The next step's work leaves first. No worker waits for what follows.
                tokio::task::yield_now().await;
                self.executor.look_ahead();
                self.record_step();
            }
            if self.display.is_due() {
                self.show();
            }
        }
        self.recorder.record_turned_away(self.connections.turned_away(), true);
        self.show();
        self.conclude().await
    }

    /// Takes what workers have said while the loop was held up. Other tasks of this thread read the
    /// sockets, so they get their turns first.
    async fn hear_out(&mut self, inbox: &mut mpsc::Receiver<Inbound>) {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
            while let Ok(inbound) = inbox.try_recv() {
                self.on_inbound(inbound);
            }
        }
    }

    /// Tells the machine and does what it says. Then drops the workers that could not be written
    /// to.
    fn tell(&mut self, event: Event) {
        let now = self.started.elapsed();
        for effect in self.run.step(now, event) {
            if let Err(error) = self.perform(effect) {
                self.recorder.fail(error);
            }
        }
        while let Some(worker) = self.connections.take_unreachable() {
            self.end(worker, Ending::gone(Departure::Disconnected));
        }
    }

    fn on_request(&mut self, request: RunRequest) {
        match request {
            RunRequest::Save => self.tell(Event::Save),
            RunRequest::Interrupt => self.tell(Event::Interrupt),
            // The run is about to end anyway, after a checkpoint perhaps.
            RunRequest::GiveUp(_) if self.run.ends_without_workers() => {}
            RunRequest::GiveUp(reason) => self.give_up(&reason),
        }
    }

    /// Reports trouble with the tracking server, which changes nothing else.
    fn on_tracking(&mut self, warning: String) {
        tracing::warn!(reason = warning, "the tracking server has trouble");
        self.recorder.observe(Observation::Warning { reason: Reason::new("tracking", warning) });
    }

    /// Ends the run as failed. The reason for which the last worker was refused is added, because
    /// it usually explains why no worker is left.
    fn give_up(&mut self, reason: &str) {
        let refused = self.connections.take_last_refusal();
        let refused = refused.map(|refusal| format!("; the last one was refused: {refusal}"));
        self.outcome = Some(RunOutcome::Failed(format!("{reason}{}", refused.unwrap_or_default())));
    }

    /// The envelope of a message to a worker.
    fn envelope(&self, worker: WorkerId) -> Envelope {
        self.connections.envelope(worker, self.run.done(), self.run.phase().number())
    }

    /// Refreshes what people see.
    fn show(&mut self) {
        let workers = self.connections.iter().map(|(id, connection)| WorkerProgress {
            lease: id.0,
            host: connection.hello().host.clone(),
            pid: connection.hello().pid,
            state: if connection.is_accepted() { "working" } else { "loading" },
            works_done: connection.works_done(),
            peak_bytes: self.connections.peak(id),
        });
        let workers = workers.collect();
        let state = self.run.phase().name();
        let refusals = self.connections.turned_away().totals();
        self.display.show(self.run.done(), self.setup.rows_per_step(), |progress| {
            progress.state = state;
            progress.workers = workers;
            progress.refusals = refusals;
        });
    }
}

/// The tracker's next warning. Never returns without a tracker.
async fn next_warning(tracker: &mut Option<&mut TrackerHandle>) -> String {
    match tracker {
        Some(tracker) => tracker.warning().await,
        None => std::future::pending().await,
    }
}
