//! Does what the state machine says.

use std::sync::Arc;

use experiment::SplitName;
use proto::message::{RefusalKind, Work, WorkKind};

use super::{Shell, connection::Asked, ending::Ending};
use crate::{
    checkpoint::Checkpoint,
    compute::TrainerJob,
    error::CoordinatorError,
    journal::{Observation, Reason},
    run::{
        Assignment, Departure, Effect, Evaluation, Fault, JobKind, Notice, PUT_ASIDE, Phase, Skipped, WorkerId,
        WorkerJob,
    },
    states::{EVALUATION_DUE, FINGERPRINT, SKIPPED, SKIPPED_IN_A_ROW, TRAINING},
};

impl Shell {
    pub(super) fn perform(&mut self, effect: Effect) -> Result<(), CoordinatorError> {
        match effect {
            Effect::Assign(worker, assignment) => self.assign(worker, assignment),
            Effect::Keep { worker, work, job } => self.keep(worker, work, job),
            Effect::Drop { worker, work } => {
                self.measurements.count_dropped();
                self.answers.discard(worker, work);
                if let Some(connection) = self.connections.get_mut(worker) {
                    connection.forget(work);
                }
            }
            Effect::Clear => self.answers.clear(),
            Effect::ComputeGramian { step } => {
                let gradients = self.answers.take_gradients();
                self.order(TrainerJob::ComputeGramian { step, gradients })?;
            }
            Effect::ComputeWeights { step } => {
                let losses = self.answers.take_losses();
                self.order(TrainerJob::ComputeWeights { step, losses })?;
            }
            Effect::UpdateWeighting { step } => {
                let losses = self.answers.take_losses();
                self.order(TrainerJob::UpdateWeighting { step, losses })?;
            }
            Effect::Update { step } => {
                let gradients = self.answers.take_gradients();
                let recipients = self.connections.recipients(self.run.done(), self.run.phase().number());
                self.order(TrainerJob::Update { step, gradients, recipients })?;
            }
            Effect::Retract { jobs } => self.answers.retract(&jobs),
            Effect::Skip { step } => self.order(TrainerJob::Skip { step })?,
            Effect::ComputeMetrics { evaluation, agreed } => {
                let sums = self.answers.take_sums();
                self.order(TrainerJob::ComputeMetrics { evaluation, sums, agreed })?;
            }
            Effect::Select => self.results.select(self.run.done(), &self.parameters),
            Effect::Save { step } => {
                self.order_checkpoint(step, false)?;
                self.saves.ask();
            }
            Effect::Dismiss(worker, departure) => {
                self.end(worker, Ending::lease_over(departure).decided_by_run());
            }
            Effect::Ban { worker, fault } => self.ban(worker, &fault),
            Effect::Finish(outcome) => self.outcome = Some(outcome),
            Effect::Notice(notice) => self.notice(notice),
        }
        Ok(())
    }

    pub(super) fn order(&self, job: TrainerJob) -> Result<(), CoordinatorError> {
        self.executor.order(job).map_err(|_| CoordinatorError::Crashed)
    }

    fn assign(&mut self, worker: WorkerId, assignment: Assignment) {
        let kind = assignment.job.kind;
        if !matches!(kind, JobKind::Evaluate { .. }) {
            self.measurements.begin_step();
        }
        let envelope = self.envelope(worker);
        let (step, phase) = (envelope.step, envelope.phase);
        let all = || (0..self.setup.prepared.plan.feeds().len() as u32).collect();
        let (work_kind, feeds, split, scales) = match kind {
            JobKind::Gradient { feed: None } => {
                (WorkKind::Gradient, all(), SplitName::Train, self.factors.combined.clone())
            }
            JobKind::Gradient { feed: Some(feed) } | JobKind::TaskGradients { feed } => {
                (WorkKind::Gradient, vec![feed], SplitName::Train, self.factors.by_task.clone())
            }
            JobKind::Losses => (WorkKind::Losses, all(), SplitName::Train, Vec::new()),
            JobKind::Evaluate { feed, split } => (WorkKind::Evaluate, vec![feed], split, Vec::new()),
        };
        let by_task = match kind {
            JobKind::Gradient { feed: Some(feed) } | JobKind::TaskGradients { feed } => Some(self.present_on(feed)),
            _ => None,
        };
        let layout = self.setup.network.layout();
        let vectors = match (kind, &by_task) {
            (_, Some(tasks)) => tasks.iter().map(|task| (Some(*task), layout.span(*task as usize))).collect(),
            (JobKind::Gradient { .. }, None) => vec![(None, 0..layout.len())],
            _ => Vec::new(),
        };
        // The final evaluations are of the selected parameters, which may not be the last ones.
        let is_final = matches!(self.run.phase(), Phase::Evaluating(Evaluation::Final(_)));
        let of_step = if is_final { self.results.selected_step() } else { assignment.version };
        let version = self.parameters.version(of_step);
        let parameters = Arc::clone(&self.parameters);
        let Some(connection) = self.connections.get_mut(worker) else { return };
        let slots = connection.slots(&assignment, vectors.len());
        let (id, node) = (assignment.work, assignment.job.node);
        let asked =
            Asked { step, phase, node, kind: work_kind, split, feeds: feeds.clone(), vectors, slots: slots.clone() };
        connection.ask(self.started.elapsed(), id, asked);
        let work = Work { id, kind: work_kind, version, step, feeds, node, scales, by_task, split, slots };
        if connection.assign(envelope, work, || parameters.bytes(of_step)).is_err() {
            self.connections.mark_unreachable(worker);
        }
    }

    /// The feed's tasks that have labelled rows in the present step.
    fn present_on(&self, feed: u32) -> Vec<u32> {
        let tasks = &self.setup.prepared.plan.shapes().tasks;
        let present = self.factors.present.iter().copied();
        present.filter(|task| tasks[*task as usize].feed == feed as usize).collect()
    }

    fn keep(&mut self, worker: WorkerId, work: u64, job: WorkerJob) {
        let is_of_step = !matches!(job.kind, JobKind::Evaluate { .. });
        let Some(compute_us) = self.answers.keep(worker, work, job) else { return };
        if let Some(connection) = self.connections.get_mut(worker) {
            connection.answered(work);
        }
        if is_of_step {
            self.measurements.add_compute(worker, compute_us);
        }
    }

    /// Orders a checkpoint. Everything that leads to it is in the journal before.
    pub(super) fn order_checkpoint(&mut self, step: u64, best: bool) -> Result<(), CoordinatorError> {
        self.record_step();
        let journal = self.recorder.sync_for_checkpoint()?;
        let checkpoint = self.checkpoint(step, best);
        self.order(TrainerJob::Save { checkpoint, best, journal })
    }

    /// The state after `step`. `evaluated` says that the evaluation of the step is in the
    /// selection's state, though the state machine has not heard of it yet.
    fn checkpoint(&self, step: u64, evaluated: bool) -> Box<Checkpoint> {
        let mut states = self.results.states();
        states.insert(EVALUATION_DUE.into(), (self.run.evaluation_due() && !evaluated).to_string());
        states.insert("base".into(), self.setup.base().to_string_lossy().into_owned());
        states.insert("device".into(), self.setup.device.to_string());
        states.insert(FINGERPRINT.into(), self.connections.fingerprint().unwrap_or_default().to_owned());
        let Skipped { all, in_a_row } = self.run.skipped();
        states.insert(TRAINING.into(), self.training.to_state());
        states.insert(SKIPPED.into(), all.to_string());
        states.insert(SKIPPED_IN_A_ROW.into(), in_a_row.to_string());
        let preprocessing = String::from_utf8_lossy(&self.plan_json).into_owned();
        let (journal_bytes, journal_sha256) = self.recorder.position();
        Box::new(Checkpoint {
            step,
            epoch: self.connections.epoch(),
            best: self.results.best_step(),
            journal_bytes,
            journal_sha256,
            preprocessing,
            states,
            ..Checkpoint::default()
        })
    }

    /// Ends the session of a worker that the state machine has found to be at fault.
    fn ban(&mut self, worker: WorkerId, fault: &Fault) {
        let kind = match fault {
            Fault::NotFinite(_) => RefusalKind::NotFinite,
            Fault::Wrong(_) => RefusalKind::Protocol,
        };
        let reason = format!("step {}: {fault}", self.run.done());
        if self.connections.get(worker).is_none() {
            tracing::warn!(worker = worker.0, kind = kind.name(), reason, "a worker that is gone was at fault");
        }
        self.end(worker, Ending::fault(kind, reason).decided_by_run());
    }

    fn notice(&mut self, notice: Notice) {
        let step = self.run.done();
        let event = |name: &str, message| Observation::Event { name: name.into(), step: Some(step), message };
        let observation = match notice {
            Notice::WorkerReady { worker, workers } => {
                tracing::info!(worker = worker.0, workers, "worker takes part");
                return;
            }
            Notice::WorkerLost { worker, departure, reissued, workers } => {
                tracing::warn!(
                    worker = worker.0, %departure, reissued, workers,
                    "worker lost; its work goes to others"
                );
                let code = match departure {
                    Departure::Disconnected => "disconnected",
                    Departure::Silent(_) => "silent",
                    Departure::Unanswered(_) => "unanswered",
                    Departure::Left(_) => "left",
                };
                let reason = Reason::new(code, departure.to_string());
                let rank = self.connections.take_rank(worker);
                Observation::WorkerLost { rank, step, reason }
            }
            Notice::Straggler { worker, job, other } => {
                self.measurements.count_straggler();
                tracing::debug!(worker = worker.0, %job, other = other.0, "late; another worker computes it too");
                let message = format!("worker {} is late with {job}; worker {} computes it too", worker.0, other.0);
                event("straggler", message)
            }
            Notice::Suspected { worker, job } => {
                tracing::warn!(worker = worker.0, %job, "not finite; it is asked for again");
                event("doubted", format!("{job} by worker {} is not finite; it is asked for again", worker.0))
            }
            Notice::PutAside { worker, failures, reason } => {
                tracing::warn!(worker = worker.0, failures, reason, "put aside: it fails at everything");
                let message = format!(
                    "worker {} failed at {failures} pieces of work in a row, the last time with: {reason}; others get \
                     its work for {} s",
                    worker.0,
                    PUT_ASIDE.as_secs()
                );
                event("put_aside", message)
            }
            Notice::Waiting { workers, needed } => {
                tracing::warn!(workers, needed, "waiting for workers");
                event("waiting", format!("{workers} workers take part, at least {needed} have to"))
            }
            Notice::Idle { idle } => {
                let message = format!("{idle} workers are idle: there are more workers than microbatches");
                tracing::warn!("{message}");
                Observation::Warning { reason: Reason::new("idle_workers", message) }
            }
        };
        self.recorder.observe(observation);
    }
}
