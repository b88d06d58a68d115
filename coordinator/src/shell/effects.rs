//! What the machine says, done.

use std::time::{Duration, Instant};

use experiment::SplitName;
use proto::message::{CoordinatorMessage, Refusal, RefusalKind, Work, WorkKind};

use super::{
    Shell,
    connection::{Asked, Connection},
};
use crate::{
    checkpoint::{self, Checkpoint, CheckpointError},
    compute::{Answers, Done, Factors, Gradient, Job, Losses, NotFinite, SkipReport, StepReport, Sums},
    error::CoordinatorError,
    evaluation::Part,
    journal::{JournalError, Observation, Reason},
    run::{Assignment, Departure, Effect, Evaluation, Event, JobKind, Notice, Outcome, Skipped, WorkerId},
    selection::Evaluated,
    states::{EVALUATION_DUE, FINGERPRINT, SKIPPED, SKIPPED_IN_A_ROW},
};

impl Shell {
    pub(crate) fn perform(&mut self, effect: Effect) -> Result<(), CoordinatorError> {
        match effect {
            Effect::Assign(worker, assignment) => self.assign(worker, assignment),
            Effect::Keep { worker, work, job } => self.keep(worker, work, job),
            Effect::Drop { worker, work } => {
                self.counts.dropped += 1;
                self.arrived.remove(&(worker, work));
                if let Some(connection) = self.connections.get_mut(&worker) {
                    connection.forget(work);
                }
            }
            Effect::Clear => {
                self.gradients.clear();
                self.losses.clear();
                self.sums.clear();
            }
            Effect::ComputeGramian { step } => {
                let gradients = std::mem::take(&mut self.gradients);
                self.order(Job::Measure { step, gradients })?;
            }
            Effect::ComputeWeights { step } => {
                let losses = std::mem::take(&mut self.losses);
                self.order(Job::Weigh { step, losses })?;
            }
            Effect::UpdateWeighting { step } => {
                let losses = std::mem::take(&mut self.losses);
                self.order(Job::Learn { step, losses })?;
            }
            Effect::Update { step } => {
                let gradients = std::mem::take(&mut self.gradients);
                let ready = |connection: &Connection| connection.is_remote() && connection.has_taken_all();
                let remote = self.connections.iter().filter(|(_, connection)| ready(connection));
                let recipients = remote.map(|(id, connection)| connection.recipient(*id, self.envelope(*id)));
                let recipients = recipients.collect();
                self.order(Job::Update { step, gradients, recipients })?;
            }
            Effect::Retract { jobs } => {
                let counts = |feed, node| !jobs.iter().any(|job| job.kind.feed() == feed && job.node == node);
                self.gradients.retain(|part| counts(part.feed, part.node));
                self.losses.retain(|part| counts(None, part.node));
                self.sums.retain(|sums| counts(Some(sums.part.feed as u32), sums.part.node));
            }
            Effect::Skip { step } => self.order(Job::Skip { step })?,
            Effect::ComputeMetrics { evaluation, agreed } => {
                let sums = std::mem::take(&mut self.sums);
                self.order(Job::Decide { evaluation, sums, agreed })?;
            }
            Effect::Select => {
                let step = self.run.done();
                self.last_hash = self.parameters.read(step, checkpoint::parameters_sha256);
                self.selected = step;
                if let Some((best, parameters)) = &self.best {
                    self.parameters.set(*best, parameters);
                    self.selected = *best;
                }
            }
            Effect::Save { step } => self.save(step, false)?,
            Effect::Dismiss(worker, departure) => self.dismiss(worker, &departure),
            Effect::Ban { worker, fault } => self.put_faulty_aside(worker, &fault),
            Effect::Finish(outcome) => self.outcome = Some(outcome),
            Effect::Notice(notice) => self.notice(notice),
        }
        Ok(())
    }

    fn order(&self, job: Job) -> Result<(), CoordinatorError> {
        self.executor.order(job).map_err(|_| CoordinatorError::Crashed)
    }

    fn assign(&mut self, worker: WorkerId, assignment: Assignment) {
        if self.timing.step_began.is_none() && !matches!(assignment.job.kind, JobKind::Evaluate { .. }) {
            #[expect(clippy::disallowed_methods, reason = "the shell is where time is read")]
            let now = Instant::now();
            self.timing.step_began = Some(now);
        }
        let envelope = self.envelope(worker);
        let (step, phase) = (envelope.step, envelope.phase);
        let all = || (0..self.setup.prepared.plan.feeds().len() as u32).collect();
        let (kind, feeds, split, scales) = match assignment.job.kind {
            JobKind::Gradient { feed: None } => {
                (WorkKind::Gradient, all(), SplitName::Train, self.factors.combined.clone())
            }
            JobKind::Gradient { feed: Some(feed) } | JobKind::TaskGradients { feed } => {
                (WorkKind::Gradient, vec![feed], SplitName::Train, self.factors.by_task.clone())
            }
            JobKind::Losses => (WorkKind::Losses, all(), SplitName::Train, Vec::new()),
            JobKind::Evaluate { feed, split } => (WorkKind::Evaluate, vec![feed], split, Vec::new()),
        };
        let by_task = match assignment.job.kind {
            JobKind::Gradient { feed: Some(feed) } | JobKind::TaskGradients { feed } => Some(self.present_on(feed)),
            _ => None,
        };
        let layout = self.setup.network.layout();
        let vectors = match (assignment.job.kind, &by_task) {
            (_, Some(tasks)) => tasks.iter().map(|task| (Some(*task), layout.span(*task as usize))).collect(),
            (JobKind::Gradient { .. }, None) => vec![(None, 0..layout.len())],
            _ => Vec::new(),
        };
        // At the end the parameters are the selected ones, which need not be the last.
        let of_step = if self.finals_begun() { self.selected } else { assignment.version };
        let version = self.parameters.version(of_step);
        let parameters = std::sync::Arc::clone(&self.parameters);
        let Some(connection) = self.connections.get_mut(&worker) else { return };
        let slots = connection.slots(&assignment, vectors.len());
        let (id, node) = (assignment.work, assignment.job.node);
        let asked = Asked { step, phase, node, kind, split, feeds: feeds.clone(), vectors, slots: slots.clone() };
        if connection.asked.is_empty() {
            connection.got_through(self.started.elapsed());
        }
        connection.asked.insert(id, asked);
        let work = Work { id, kind, version, step, feeds, node, scales, by_task, split, slots };
        if connection.assign(envelope, work, || parameters.bytes(of_step)).is_err() {
            self.unreachable.push(worker);
        }
    }

    /// The feed's tasks that have labelled rows in the present step.
    pub(crate) fn present_on(&self, feed: u32) -> Vec<u32> {
        let tasks = &self.setup.prepared.plan.shapes().tasks;
        let present = self.factors.present.iter().copied();
        present.filter(|task| tasks[*task as usize].feed == feed as usize).collect()
    }

    fn finals_begun(&self) -> bool {
        use crate::run::Phase;
        matches!(self.run.phase(), Phase::Evaluating(Evaluation::Final(_)))
    }

    fn keep(&mut self, worker: WorkerId, work: u64, job: crate::run::Job) {
        let Some((result, vectors)) = self.arrived.remove(&(worker, work)) else { return };
        if let Some(connection) = self.connections.get_mut(&worker) {
            connection.asked.remove(&work);
            connection.works_done += 1;
        }
        let node = job.node;
        match job.kind {
            JobKind::Gradient { .. } | JobKind::TaskGradients { .. } => {
                let feed = job.kind.feed();
                *self.timing.compute.entry(worker).or_default() += result.compute_us;
                self.gradients.push(Gradient { worker, feed, node, losses: result.losses, vectors });
            }
            JobKind::Losses => {
                *self.timing.compute.entry(worker).or_default() += result.compute_us;
                self.losses.push(Losses { worker, node, sums: result.losses });
            }
            JobKind::Evaluate { feed, .. } => {
                let part = Part { feed: feed as usize, node, sums: result.sums };
                self.sums.push(Sums { worker, part });
            }
        }
    }

    /// Has a checkpoint written. Everything that led to it is in the journal before.
    fn save(&mut self, step: u64, best: bool) -> Result<(), CoordinatorError> {
        self.record_step();
        self.fence.check()?;
        let journal = match self.journal.sync() {
            Err(error) if !matches!(error, JournalError::Io { .. }) => return Err(error.into()),
            synced => synced,
        };
        let checkpoint = self.checkpoint(step, best);
        self.asked_saves += u32::from(!best);
        self.order(Job::Save { checkpoint, best, journal })
    }

    /// The state after `step`; `evaluated` where its evaluation is in the selection's state though
    /// the machine has not heard of it.
    fn checkpoint(&self, step: u64, evaluated: bool) -> Box<Checkpoint> {
        let mut states = self.selection.states();
        states.insert(EVALUATION_DUE.into(), (self.run.evaluation_due() && !evaluated).to_string());
        states.insert("base".into(), self.setup.base().to_string_lossy().into_owned());
        states.insert("device".into(), self.setup.device.to_string());
        states.insert(FINGERPRINT.into(), self.fingerprint.clone().unwrap_or_default());
        let Skipped { all, in_a_row } = self.run.skipped();
        states.insert(SKIPPED.into(), all.to_string());
        states.insert(SKIPPED_IN_A_ROW.into(), in_a_row.to_string());
        let preprocessing = String::from_utf8_lossy(&self.plan_json).into_owned();
        let best = self.best.as_ref().map(|(step, _)| *step);
        let (journal_bytes, journal_sha256) = (self.journal.length(), self.journal.sha256().unwrap_or_default());
        Box::new(Checkpoint {
            step,
            epoch: self.epoch,
            best,
            journal_bytes,
            journal_sha256,
            preprocessing,
            states,
            ..Checkpoint::default()
        })
    }

    pub(crate) fn dismiss(&mut self, worker: WorkerId, departure: &Departure) {
        if let Some(connection) = self.connections.remove(&worker) {
            // Should it still be there, it may come again, under another lease.
            let refusal = Refusal { kind: RefusalKind::Stale, reason: format!("dismissed: {departure}") };
            let _ = connection.send(self.envelope(worker), CoordinatorMessage::Refused(refusal));
        }
    }

    fn notice(&mut self, notice: Notice) {
        let step = self.run.done();
        match notice {
            Notice::WorkerReady { worker, workers } => {
                tracing::info!(worker = worker.0, workers, "worker takes part");
            }
            Notice::WorkerLost { worker, departure, reissued, workers } => {
                tracing::warn!(worker = worker.0, %departure, reissued, workers, "worker lost; its work goes to others");
                let code = match departure {
                    Departure::Disconnected => "disconnected",
                    Departure::Silent(_) => "silent",
                    Departure::Unanswered(_) => "unanswered",
                    Departure::Left(_) => "left",
                };
                let reason = Reason::new(code, departure.to_string());
                let rank = self.ranks.remove(&worker);
                self.observe(Observation::WorkerLost { rank, step, reason });
            }
            Notice::Straggler { worker, job, other } => {
                self.counts.stragglers += 1;
                tracing::debug!(worker = worker.0, %job, other = other.0, "late; another worker computes it too");
                let message = format!("worker {} is late with {job}; worker {} computes it too", worker.0, other.0);
                self.observe(Observation::Event { name: "straggler".into(), step: Some(step), message });
            }
            Notice::Suspected { worker, job } => {
                tracing::warn!(worker = worker.0, %job, "not finite; it is asked for again");
                let message = format!("{job} by worker {} is not finite; it is asked for again", worker.0);
                self.observe(Observation::Event { name: "doubted".into(), step: Some(step), message });
            }
            Notice::Waiting { workers, needed } => {
                tracing::warn!(workers, needed, "waiting for workers");
                let message = format!("{workers} workers take part, at least {needed} have to");
                self.observe(Observation::Event { name: "waiting".into(), step: Some(step), message });
            }
            Notice::Idle { idle } => {
                let message = format!("{idle} workers are idle: there are more workers than microbatches");
                tracing::warn!("{message}");
                self.observe(Observation::Warning { reason: Reason::new("idle_workers", message) });
            }
        }
    }

    pub(crate) fn on_done(&mut self, done: Done) {
        match done {
            Done::Crashed => drop(self.failed.get_or_insert(CoordinatorError::Crashed)),
            Done::Measured { step } => self.tell(Event::GramianComputed { step }),
            Done::Weighed { step, factors } => {
                self.factors = factors;
                self.tell(Event::WeightsComputed { step });
            }
            Done::Learned { step, next } => {
                self.end_step(next);
                self.tell(Event::WeightingUpdated { step });
                self.executor.look_ahead();
            }
            Done::Updated(report) => self.on_updated(report),
            Done::NotFinite(error) if error.can_be_skipped() => {
                let reason = self.with_checkpoint(&error);
                self.tell(Event::NotFinite { step: error.step(), reason });
            }
            Done::NotFinite(error) => self.tell(Event::Impossible(self.with_checkpoint(&error))),
            Done::Unusable { error, unusable, answers } => {
                match answers {
                    Answers::Gradients(gradients) | Answers::TaskGradients(gradients) => self.gradients = gradients,
                    Answers::Losses(losses) => self.losses = losses,
                }
                let reason = self.with_checkpoint(&error);
                self.tell(Event::Unusable { step: error.step(), reason, answers: unusable });
            }
            Done::Skipped(report) => self.on_skipped(report),
            Done::Decided(evaluation, evaluated) => self.on_decided(evaluation, evaluated),
            Done::Undecided { evaluation, unusable: answers, sums } => {
                self.sums = sums;
                let (step, split) = (self.run.done(), evaluation.split().name());
                let reason = format!("step {step}: the evaluation on the {split} split is not finite");
                self.tell(Event::Unusable { step, reason, answers });
            }
            Done::Saved { step, best, written, tidied, took } => {
                self.on_saved(step, written, tidied, took);
                self.asked_saves -= u32::from(!best);
                // Where two of a step were asked for, the machine waits for the second.
                if !best && self.asked_saves == 0 && step == self.run.done() {
                    self.tell(Event::Saved);
                }
            }
        }
    }

    fn on_saved(
        &mut self,
        step: u64,
        written: Result<bool, CheckpointError>,
        tidied: Result<(), CheckpointError>,
        took: Duration,
    ) {
        match written {
            Ok(new) => {
                self.save_failed = None;
                self.saved = Some(step);
                if new {
                    self.observe(Observation::CheckpointWritten { step, took_ms: took.as_millis() as u64 });
                }
            }
            Err(error) => {
                tracing::warn!(step, %error, "no checkpoint; the run goes on and tries again with the next one");
                self.observe(Observation::Warning { reason: Reason::new("checkpoint", error.to_string()) });
                self.save_failed = Some(error.to_string());
            }
        }
        if let Err(error) = tidied {
            tracing::warn!(step, %error, "old checkpoints could not be removed; the run goes on");
            self.observe(Observation::Warning { reason: Reason::new("checkpoints_kept", error.to_string()) });
        }
    }

    fn on_updated(&mut self, report: StepReport) {
        self.timing.first_update.get_or_insert_with(|| self.started.elapsed());
        self.timing.aggregation += report.aggregation;
        if !self.run.settings().losses_after {
            self.end_step(report.next.clone());
        }
        let step = report.step;
        for worker in &report.served {
            if let Some(connection) = self.connections.get_mut(worker) {
                connection.sent_version = Some(self.parameters.version(step + 1));
            }
        }
        self.unrecorded = Some(report);
        self.tell(Event::Updated { step });
    }

    fn on_skipped(&mut self, report: SkipReport) {
        let step = report.step;
        self.end_step(report.next.clone());
        self.record_skipped(&report);
        self.tell(Event::Skipped { step });
        self.executor.look_ahead();
    }

    /// Why the run can't go on, and where it can be taken up.
    fn with_checkpoint(&self, error: &NotFinite) -> String {
        match self.saved {
            Some(saved) => {
                let path = checkpoint::path_of(self.folder.path(), saved);
                format!("{error}; the newest checkpoint is that of step {saved}, {}", path.display())
            }
            None => format!("{error}; there is no checkpoint yet"),
        }
    }

    /// Measures the step that is over, and takes what the next is computed with.
    fn end_step(&mut self, next: Option<Factors>) {
        let elapsed = self.timing.step_began.take().map(|began| began.elapsed().as_secs_f64());
        let slowest = std::mem::take(&mut self.timing.compute).into_values().max().unwrap_or_default();
        if let Some(seconds) = elapsed {
            self.speed.add(seconds, slowest as f64 / 1e6, self.setup.rows_per_step());
        }
        self.factors = next.unwrap_or_default();
    }

    fn on_decided(&mut self, evaluation: Evaluation, evaluated: Evaluated) {
        let step = self.run.done();
        self.record_evaluation(evaluation, step, &evaluated);
        let mut stop = false;
        match evaluation {
            Evaluation::Progress => {
                let verdict = self.selection.observe(&evaluated);
                stop = verdict.stop;
                if verdict.improved {
                    self.best = Some((step, self.parameters.read(step, <[f32]>::to_vec)));
                    if let Err(error) = self.save(step, true) {
                        self.failed.get_or_insert(error);
                    }
                }
                self.progress.send_modify(|progress| progress.skill = evaluated.skill);
            }
            Evaluation::Final(split) => drop(self.finals.insert(split.name(), evaluated)),
        }
        self.tell(Event::MetricsComputed { stop });
    }

    /// The outcome in words, with the journal's status.
    pub(crate) fn ending(outcome: &Outcome) -> (&'static str, crate::journal::Status, Option<String>) {
        use crate::journal::Status;
        match outcome {
            Outcome::Finished { .. } => ("finished", Status::Finished, None),
            Outcome::Interrupted => ("interrupted", Status::Interrupted, Some("asked to stop".into())),
            Outcome::Failed(reason) => ("failed", Status::Failed, Some(reason.clone())),
        }
    }
}
