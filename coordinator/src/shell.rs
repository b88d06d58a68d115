//! The shell around the state machine: one loop that takes what comes, asks the machine, and does
//! what it says. Everything slow is done elsewhere: by workers, by the computing thread, by the
//! tracker.

mod answer;
mod connection;
mod cool_down;
mod effects;
mod inbound;
mod lateness;
mod record;
mod weighting;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use indexmap::IndexMap;
use tokio::{
    sync::{mpsc, watch},
    time::{self, MissedTickBehavior},
};

use connection::Connection;
use cool_down::CoolDown;
use lateness::Lateness;
use proto::message::WorkResult;

use crate::{
    clock::now_ms,
    compute::{Contribution, Done, Executor, Factors, Gradient, Losses, StepReport, Sums},
    door::TurnedAway,
    error::CoordinatorError,
    folder::{Fence, RunFolder},
    journal::{Journal, Observation, Reason, Record},
    parameters::Parameters,
    progress::{Progress, WorkerProgress},
    report::{Report, Speed},
    request::Request,
    run::{Event, Outcome, Run, WorkerId},
    selection::{Evaluated, Selection},
    server::Inbound,
    setup::Setup,
    start::{OpenRun, RunState},
    states::FINGERPRINT,
    tracking::TrackerHandle,
};

/// How often the machine is told that time passes.
const TICK: Duration = Duration::from_millis(50);
/// How often people are told how far it is.
const SHOW: Duration = Duration::from_millis(100);

/// Turns that others have after the loop was held up: from a socket to the inbox it takes a few.
const TURNS: usize = 16;

/// How often a journal that is behind is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Everything that the loop holds.
pub(crate) struct Shell {
    pub setup: Setup,
    pub run: Run,
    pub run_id: String,
    pub epoch: u64,
    pub fence: Fence,
    pub resumed_from: Option<u64>,
    pub folder: RunFolder,
    pub journal: Journal,
    pub parameters: Arc<Parameters>,
    pub plan_json: bytes::Bytes,
    pub executor: Executor,
    pub progress: watch::Sender<Progress>,
    pub started: Instant,
    pub connections: BTreeMap<WorkerId, Connection>,
    /// Who was turned away at the door.
    pub turned_away: TurnedAway,
    /// Workers that were sent away for a fault of their own.
    pub cool_down: CoolDown,
    pub fingerprint: Option<String>,
    /// The ranks with which workers have joined.
    pub ranks: BTreeMap<WorkerId, u32>,
    /// Results that the machine has not judged yet.
    pub arrived: BTreeMap<(WorkerId, u64), (WorkResult, Vec<Contribution>)>,
    pub gradients: Vec<Gradient>,
    pub losses: Vec<Losses>,
    pub sums: Vec<Sums>,
    pub factors: Factors,
    pub selection: Selection,
    /// The best parameters so far, with their step.
    pub best: Option<(u64, Vec<f32>)>,
    /// Checkpoints that the machine has asked for and that are not written yet.
    pub asked_saves: u32,
    /// The step of the parameters that the final evaluations are of.
    pub selected: u64,
    /// Workers that could not be written to; they are dropped once the present effects are done.
    pub unreachable: Vec<WorkerId>,
    /// Why the last worker was refused: said when none is left.
    pub last_refusal: Option<String>,
    pub last_hash: String,
    pub finals: IndexMap<&'static str, Evaluated>,
    pub speed: Speed,
    pub timing: Timing,
    pub counts: Counts,
    pub peaks: BTreeMap<WorkerId, u64>,
    /// A step that is committed and not in the journal yet: workers are set to work first.
    pub unrecorded: Option<StepReport>,
    /// The step of the newest checkpoint that is on the disk.
    pub saved: Option<u64>,
    /// Why the last checkpoint could not be written.
    pub save_failed: Option<String>,
    pub outcome: Option<Outcome>,
    pub failed: Option<CoordinatorError>,
}

/// What is measured of the present step.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    pub step_began: Option<Instant>,
    pub compute: BTreeMap<WorkerId, u64>,
    /// Time that weighing took, over all steps.
    pub aggregation: Duration,
    pub first_update: Option<Duration>,
    pub window: Option<(Instant, u64)>,
    pub shown: Option<Instant>,
    /// When a journal that is behind was tried last.
    pub journal_tried: Option<Instant>,
    /// When those that were turned away were written down last.
    pub turned_away_recorded: Option<Instant>,
}

/// How often something happened that should not.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Results that came too late, or twice.
    pub dropped: u64,
    /// Pieces of work that were given to a second worker.
    pub stragglers: u64,
}

impl Shell {
    /// A loop before its first event.
    pub(crate) fn new(
        setup: Setup,
        opened: OpenRun,
        position: RunState,
        executor: Executor,
        progress: watch::Sender<Progress>,
        turned_away: TurnedAway,
        started: Instant,
    ) -> Shell {
        let saved = opened.checkpoint().map(|checkpoint| checkpoint.step);
        let fingerprint = opened.checkpoint().and_then(|checkpoint| checkpoint.states.get(FINGERPRINT).cloned());
        Shell {
            plan_json: setup.plan_json().into(),
            setup,
            run: position.run,
            run_id: opened.run_id(),
            epoch: opened.fence.epoch(),
            fence: opened.fence,
            resumed_from: opened.resumed_from,
            folder: opened.folder,
            journal: opened.journal,
            parameters: position.parameters,
            executor,
            progress,
            started,
            connections: BTreeMap::new(),
            turned_away,
            cool_down: CoolDown::default(),
            fingerprint: fingerprint.filter(|fingerprint| !fingerprint.is_empty()),
            ranks: BTreeMap::new(),
            arrived: BTreeMap::new(),
            gradients: Vec::new(),
            losses: Vec::new(),
            sums: Vec::new(),
            factors: position.factors,
            selection: position.selection,
            best: opened.found.and_then(|found| found.best),
            asked_saves: 0,
            selected: 0,
            unreachable: Vec::new(),
            last_refusal: None,
            last_hash: String::new(),
            finals: IndexMap::new(),
            speed: Speed::default(),
            timing: Timing::default(),
            counts: Counts::default(),
            peaks: BTreeMap::new(),
            unrecorded: None,
            saved,
            save_failed: None,
            outcome: None,
            failed: None,
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
        mut requests: mpsc::Receiver<Request>,
        mut tracker: Option<&mut TrackerHandle>,
    ) -> Result<Report, CoordinatorError> {
        let mut ticks = time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lateness = Lateness::new(self.started.elapsed(), TICK, self.run.settings().lease);
        while self.outcome.is_none() && self.failed.is_none() {
            tokio::select! {
                biased;
                Some(done) = done.recv() => self.on_done(done),
                Some(inbound) = inbox.recv() => self.on_inbound(inbound),
                Some(request) = requests.recv() => match request {
                    Request::Save => self.tell(Event::Save),
                    Request::Interrupt => self.tell(Event::Interrupt),
                    // What is left may need no worker: a checkpoint.
                    Request::GiveUp(_) if self.run.ends_without_workers() => {}
                    Request::GiveUp(reason) => self.give_up(&reason),
                },
                warning = next_warning(&mut tracker) => self.on_tracking(warning),
                _ = ticks.tick() => {
                    self.catch_up();
                    self.record_turned_away(false);
                    if lateness.lets_pass(self.started.elapsed()) {
                        self.hear_out(&mut inbox).await;
                    } else {
                        self.dismiss_cut_off();
                        self.tell(Event::Tick);
                    }
                }
                else => break,
            }
            if self.unrecorded.is_some() {
                // First the next step's work leaves, then comes what no worker waits for.
                tokio::task::yield_now().await;
                self.executor.look_ahead();
                self.record_step();
            }
            self.show(false);
        }
        self.record_turned_away(true);
        self.show(true);
        self.end().await
    }

    /// Takes what was said while the loop was held up: sockets are read by other tasks of this
    /// thread, which have their turns first.
    async fn hear_out(&mut self, inbox: &mut mpsc::Receiver<Inbound>) {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
            while let Ok(inbound) = inbox.try_recv() {
                self.on_inbound(inbound);
            }
        }
    }

    /// Tells the machine and does what it says; what that leads to at once is told in turn.
    pub(crate) fn tell(&mut self, event: Event) {
        let now = self.started.elapsed();
        for effect in self.run.step(now, event) {
            if let Err(error) = self.perform(effect) {
                self.failed.get_or_insert(error);
            }
        }
        while let Some(worker) = self.unreachable.pop() {
            self.drop_worker(worker, crate::run::Departure::Disconnected);
        }
    }

    /// Trouble with the tracking server: told once, and no reason to do anything else.
    fn on_tracking(&mut self, warning: String) {
        tracing::warn!(reason = warning, "the tracking server has trouble");
        let reason = Reason::new("tracking", warning);
        self.append(&[Record::observed(now_ms(), Observation::Warning { reason })]);
    }

    /// Ends the run where it stands; the reason for which the last worker was refused says most.
    fn give_up(&mut self, reason: &str) {
        let refused = self.last_refusal.take().map(|refusal| format!("; the last one was refused: {refusal}"));
        self.outcome = Some(Outcome::Failed(format!("{reason}{}", refused.unwrap_or_default())));
    }

    /// Refreshes what people see, not more often than they can read.
    fn show(&mut self, last: bool) {
        let due = self.timing.shown.is_none_or(|shown| shown.elapsed() >= SHOW);
        if !due && !last {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "the shell is where time is read")]
        let now = Instant::now();
        self.timing.shown = Some(now);
        let workers = self.connections.iter().map(|(id, connection)| WorkerProgress {
            lease: id.0,
            host: connection.hello.host.clone(),
            pid: connection.hello.pid,
            state: if connection.accepted { "working" } else { "loading" },
            works_done: connection.works_done,
            peak_bytes: self.peaks.get(id).copied().unwrap_or_default(),
        });
        let workers = workers.collect();
        let step = self.run.done();
        let rate = match self.timing.window {
            Some((since, from)) if step > from => {
                (step - from) as f64 * self.setup.rows_per_step() as f64 / now.duration_since(since).as_secs_f64()
            }
            _ => 0.0,
        };
        let state = self.run.phase().name();
        let refusals = self.turned_away.totals();
        self.progress.send_modify(|progress| {
            progress.state = state;
            progress.step = step;
            progress.workers = workers;
            progress.refusals = refusals;
            if rate > 0.0 {
                progress.rows_per_second = rate;
            }
        });
        if self.timing.window.is_none_or(|(since, _)| since.elapsed() > Duration::from_secs(2)) {
            self.timing.window = Some((now, step));
        }
    }
}

/// The tracker's next warning; without one, or without a tracker, it is waited for in vain.
async fn next_warning(tracker: &mut Option<&mut TrackerHandle>) -> String {
    match tracker {
        Some(tracker) => tracker.warning().await,
        None => std::future::pending().await,
    }
}
