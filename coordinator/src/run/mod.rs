//! The run as a state machine without IO.
//!
//! [`Run::step`] takes the time and an [`Event`] and answers with [`Effect`]s. It handles ids,
//! ranges and coverage only: which worker computes which node of the canonical tree, what is still
//! missing, what has to happen next. Vectors, losses, files and sockets are the shell's. Given the
//! same events in the same order it gives the same effects; there is no clock, no randomness and no
//! IO inside.
//!
//! # The protocol
//!
//! A step runs through the phases *gradient* (nodes of the tree over microbatches are handed out
//! until all of it is covered), *updating* (the shell adds, weighs, clips and applies the optimizer
//! beside the current parameters) and *commit*. Where the weighting needs losses of this step
//! beforehand, *losses before* and *weighing* come first; where it needs those after the update,
//! *losses after* and *learning* come before the commit. At steps whose record is to have inner
//! products of gradients that the weighting does without, *task gradients* and *measuring* precede
//! all of these; no update depends on them. A step that is not finite by the model's own doing is
//! *skipping* where the experiment says so. At the steps that the experiment names follow
//! *evaluating* (chunks of the validation split, handed out in the same way), *deciding* (the shell
//! makes metrics of the sums) and *saving* (a checkpoint). After the last step the selected
//! parameters are evaluated on the validation and on the test split, and the run is over.
//!
//! A worker that is lost takes its open work back to the queue, from where others get it within the
//! same phase; what a worker fails at goes to others too. What is late is computed by another as
//! well, and the late one gets nothing more before it has answered. A worker may join in any phase:
//! it gets work that lies on the queue at once and its share from the next step on. One that gives
//! signs of life and no answers is sent away, and may come back.
//!
//! # What must hold
//!
//! - A node is counted exactly once: a result that is not the one waited for is dropped, with its
//!   reason.
//! - A step commits only when every node of the root is covered and the update was finite.
//! - Whatever the workers do, the sequence of updates, evaluations and checkpoints is the same.
//!
//! # What is left out
//!
//! - Whether an answer is right: the shell looks at its shape, and nothing is computed twice to
//!   compare it.
//! - Who may take part, and who is kept out for a while: that is decided at the door and in the
//!   shell.
//! - Partial steps: a step counts with all its microbatches or not at all, however late the last
//!   one comes.

mod blame;
mod division;
mod event;
mod pace;
mod pending_replies;
mod phase;
mod request;
mod schedule;
#[cfg(test)]
mod tests;
mod work_queue;

use std::{collections::BTreeMap, time::Duration};

pub use blame::{Fault, Skipped, Unusable};
pub use division::{Share, divide};
pub use event::{Departure, Effect, Event, Notice, Outcome, WorkerId};
use experiment::SplitName;
pub use phase::{Evaluation, Phase};
pub use schedule::{Chunks, FeedWork, Mode, Settings, TaskGradients};
pub use work_queue::{Assignment, Job, JobKind, gradient_jobs, task_gradient_jobs};

use pending_replies::PendingReplies;
use work_queue::{Requeued, WorkQueue};

#[derive(Debug, Clone)]
struct Worker {
    ready: bool,
    seen: Duration,
    pending_replies: PendingReplies,
}

/// The state of a run.
#[derive(Debug, Clone)]
pub struct Run {
    settings: Settings,
    phase: Phase,
    step: u64,
    stop_early: bool,
    interrupted: bool,
    /// The parameters are those of a step after which they are evaluated, and have not been yet.
    evaluation_due: bool,
    save_asked: bool,
    workers: BTreeMap<WorkerId, Worker>,
    queue: WorkQueue,
    /// The phase has begun and its microbatches are not divided yet: there were too few workers.
    undivided: bool,
    waiting_said: bool,
    /// Since when work is needed to end as was asked for, and nobody is there to do it.
    abandoned: Option<Duration>,
    idle_said: usize,
    /// How many workers were sent away that did not answer.
    unanswered: u32,
    /// Whose answer was not finite and is asked of another now.
    suspects: BTreeMap<Job, WorkerId>,
    skipped: Skipped,
}

impl Run {
    /// A run that has `step` updates behind it.
    pub fn new(settings: Settings, step: u64) -> Run {
        Run {
            settings,
            phase: Phase::Start,
            step,
            stop_early: false,
            interrupted: false,
            evaluation_due: false,
            save_asked: false,
            workers: BTreeMap::new(),
            queue: WorkQueue::default(),
            undivided: false,
            waiting_said: false,
            abandoned: None,
            idle_said: 0,
            unanswered: 0,
            suspects: BTreeMap::new(),
            skipped: Skipped::default(),
        }
    }

    /// The same, taken up where another coordinator has left it: `evaluation_due` as
    /// [`Run::evaluation_due`] was, `stop_early` where early stopping had run out of patience.
    #[must_use]
    pub fn taken_up(self, evaluation_due: bool, stop_early: bool) -> Run {
        Run { evaluation_due, stop_early, ..self }
    }

    /// Number of updates done.
    pub fn done(&self) -> u64 {
        self.step
    }

    /// What the run does at which step.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the parameters have to be evaluated before the next step and have not been yet.
    pub fn evaluation_due(&self) -> bool {
        self.evaluation_due
    }

    /// Where in the step the run is.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Workers that take part, in order.
    pub fn ready(&self) -> impl Iterator<Item = WorkerId> {
        self.workers.iter().filter(|(_, worker)| worker.ready).map(|(id, _)| *id)
    }

    /// The rank of a worker among those that take part.
    pub fn rank(&self, worker: WorkerId) -> usize {
        self.ready().take_while(|id| *id < worker).count()
    }

    /// Takes an event and answers with what has to be done, in order. `now` is the time since any
    /// fixed moment.
    pub fn step(&mut self, now: Duration, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.phase == Phase::Over {
            return effects;
        }
        match event {
            Event::Joined(worker) => {
                self.workers
                    .insert(worker, Worker { ready: false, seen: now, pending_replies: PendingReplies::default() });
            }
            Event::Ready(worker) => self.on_ready(now, worker, &mut effects),
            Event::Beat(worker) => self.on_sign_of_life(now, worker),
            Event::Lost(worker, departure) => self.on_lost(worker, departure, &mut effects),
            Event::Result { worker, work } => {
                self.on_answer(now, worker, work);
                self.on_result(now, worker, work, &mut effects);
            }
            Event::Failed { worker, work, reason } => {
                self.on_answer(now, worker, work);
                self.on_failed(worker, work, &reason, &mut effects);
            }
            Event::Updated { step } => self.on_updated(step, &mut effects),
            Event::GramianComputed { step } if self.phase == Phase::ComputingGramian && step == self.step => {
                self.settle(&[], &mut effects);
                self.ask(self.first_of_update(), &mut effects);
            }
            Event::WeightsComputed { step } if self.phase == Phase::ComputingWeights && step == self.step => {
                self.settle(&[], &mut effects);
                self.ask(Phase::Gradient, &mut effects);
            }
            Event::WeightingUpdated { step } if self.phase == Phase::UpdatingWeighting && step == self.step => {
                self.settle(&[], &mut effects);
                self.commit(&mut effects);
            }
            Event::GramianComputed { .. } | Event::WeightsComputed { .. } | Event::WeightingUpdated { .. } => {}
            Event::Unusable { step, reason, answers } => self.on_unusable(step, &reason, answers, &mut effects),
            Event::NotFinite { step, reason } => self.on_not_finite(step, &reason, &mut effects),
            Event::Skipped { step } => self.on_skipped(step, &mut effects),
            Event::Impossible(reason) => self.finish(Outcome::Failed(reason), &mut effects),
            Event::MetricsComputed { stop } => self.on_evaluated(stop, &mut effects),
            Event::Saved => self.on_saved(&mut effects),
            Event::Tick => self.on_tick(now, &mut effects),
            Event::Interrupt => self.on_interrupt(&mut effects),
            Event::Save => self.on_save(&mut effects),
        }
        self.hand_out(now, &mut effects);
        effects
    }

    fn on_ready(&mut self, now: Duration, id: WorkerId, effects: &mut Vec<Effect>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.ready = true;
        worker.seen = now;
        let workers = self.ready().count();
        effects.push(Effect::Notice(Notice::WorkerReady { worker: id, workers }));
        if self.phase == Phase::Start {
            if self.evaluation_due {
                self.evaluate(Evaluation::Progress, effects);
            } else {
                self.begin(effects);
            }
        }
    }

    fn on_sign_of_life(&mut self, now: Duration, worker: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.seen = now;
        }
    }

    fn on_answer(&mut self, now: Duration, id: WorkerId, work: u64) {
        self.on_sign_of_life(now, id);
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.pending_replies.answered(now, work);
        }
    }

    fn on_lost(&mut self, id: WorkerId, departure: Departure, effects: &mut Vec<Effect>) {
        if self.workers.remove(&id).is_none() {
            return;
        }
        let requeued = self.queue.take_back(id, departure == Departure::Disconnected);
        let (workers, reissued) = (self.ready().count(), requeued.len());
        effects.push(Effect::Notice(Notice::WorkerLost { worker: id, departure, reissued, workers }));
        let fatal = requeued.into_iter().find(|requeued| requeued.tries >= self.settings.tries_max);
        if let Some(Requeued { job, tries }) = fatal {
            let reason = format!("{tries} workers in a row failed or were lost while they computed {job}");
            self.finish(Outcome::Failed(reason), effects);
        }
    }

    fn on_result(&mut self, now: Duration, worker: WorkerId, work: u64, effects: &mut Vec<Effect>) {
        let Some(job) = self.queue.complete(now, worker, work, &self.settings) else {
            effects.push(Effect::Drop { worker, work });
            return;
        };
        effects.push(Effect::Keep { worker, work, job });
        if !self.queue.is_done() {
            return;
        }
        let step = self.step;
        match self.phase.clone() {
            Phase::TaskGradients => {
                self.phase = Phase::ComputingGramian;
                effects.push(Effect::ComputeGramian { step });
            }
            Phase::LossesBefore => {
                self.phase = Phase::ComputingWeights;
                effects.push(Effect::ComputeWeights { step });
            }
            Phase::Gradient => {
                self.phase = Phase::Updating;
                effects.push(Effect::Update { step });
            }
            Phase::LossesAfter => {
                self.phase = Phase::UpdatingWeighting;
                effects.push(Effect::UpdateWeighting { step });
            }
            Phase::Evaluating(evaluation) => {
                self.phase = Phase::ComputingMetrics(evaluation);
                effects.push(Effect::ComputeMetrics { evaluation, agreed: false });
            }
            _ => {}
        }
    }

    fn on_failed(&mut self, worker: WorkerId, work: u64, reason: &str, effects: &mut Vec<Effect>) {
        if let Some(Requeued { job, tries }) = self.queue.give_up(worker, work)
            && tries >= self.settings.tries_max
        {
            let outcome = Outcome::Failed(format!("{job} failed {tries} times, the last time with: {reason}"));
            self.finish(outcome, effects);
        }
    }

    fn on_updated(&mut self, step: u64, effects: &mut Vec<Effect>) {
        if self.phase != Phase::Updating || step != self.step {
            return;
        }
        self.settle(&[], effects);
        if self.settings.losses_after {
            self.ask(Phase::LossesAfter, effects);
        } else {
            self.commit(effects);
        }
    }

    /// Whether the shell works on the step.
    fn waits_for_shell(&self) -> bool {
        matches!(
            self.phase,
            Phase::ComputingGramian | Phase::ComputingWeights | Phase::Updating | Phase::UpdatingWeighting
        )
    }

    /// Begins a phase in which workers go over the step's microbatches.
    fn ask(&mut self, phase: Phase, effects: &mut Vec<Effect>) {
        effects.push(Effect::Clear);
        self.phase = phase;
        self.queue.clear();
        self.suspects.clear();
        self.undivided = true;
    }

    fn commit(&mut self, effects: &mut Vec<Effect>) {
        self.skipped.in_a_row = 0;
        self.end_step(effects);
    }

    fn end_step(&mut self, effects: &mut Vec<Effect>) {
        self.step += 1;
        effects.push(Effect::Commit { step: self.step });
        effects.push(Effect::Clear);
        self.evaluation_due = self.settings.evaluates_after(self.step);
        if self.evaluation_due && !self.interrupted {
            self.evaluate(Evaluation::Progress, effects);
        } else {
            self.after_evaluation(effects);
        }
    }

    fn on_evaluated(&mut self, stop: bool, effects: &mut Vec<Effect>) {
        let Phase::ComputingMetrics(evaluation) = self.phase else { return };
        self.settle(&[], effects);
        effects.push(Effect::Clear);
        match evaluation {
            Evaluation::Progress => {
                self.evaluation_due = false;
                self.stop_early = stop;
                self.after_evaluation(effects);
            }
            Evaluation::Final(SplitName::Validation) => self.evaluate(Evaluation::Final(SplitName::Test), effects),
            Evaluation::Final(_) => self.finish(Outcome::Finished { early: self.stop_early }, effects),
        }
    }

    fn is_last(&self) -> bool {
        self.step >= self.settings.steps || self.stop_early
    }

    fn after_evaluation(&mut self, effects: &mut Vec<Effect>) {
        let asked = std::mem::take(&mut self.save_asked);
        if self.is_last() || self.interrupted || asked || self.settings.saves_after(self.step) {
            self.phase = Phase::Saving;
            effects.push(Effect::Save { step: self.step });
        } else {
            self.begin(effects);
        }
    }

    fn on_saved(&mut self, effects: &mut Vec<Effect>) {
        if self.phase != Phase::Saving {
            return;
        }
        if self.interrupted {
            self.finish(Outcome::Interrupted, effects);
        } else if self.is_last() {
            effects.push(Effect::Select);
            self.evaluate(Evaluation::Final(SplitName::Validation), effects);
        } else {
            self.begin(effects);
        }
    }

    fn on_tick(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let silent: Vec<(WorkerId, Duration)> = self
            .workers
            .iter()
            .map(|(id, worker)| (*id, now.saturating_sub(worker.seen)))
            .filter(|(_, silence)| *silence > self.settings.lease)
            .collect();
        for (worker, silence) in silent {
            effects.push(Effect::Dismiss(worker, Departure::Silent(silence)));
            self.on_lost(worker, Departure::Silent(silence), effects);
        }
        let overdue: Vec<(WorkerId, Duration)> = self
            .workers
            .iter()
            .filter_map(|(id, worker)| {
                Some((*id, worker.pending_replies.overdue(now, &self.settings, self.unanswered)?))
            })
            .collect();
        for (worker, waited) in overdue {
            self.unanswered += 1;
            effects.push(Effect::Dismiss(worker, Departure::Unanswered(waited)));
            self.on_lost(worker, Departure::Unanswered(waited), effects);
        }
        self.hand_out(now, effects);
        self.help_stragglers(now, effects);
        self.give_up_ending(now, effects);
    }

    /// Begins the next step, or the end where no step is left.
    fn begin(&mut self, effects: &mut Vec<Effect>) {
        if self.is_last() {
            self.phase = Phase::Saving;
            effects.push(Effect::Save { step: self.step });
            return;
        }
        let measures = self.settings.wants_task_gradients_after(self.step);
        self.ask(if measures { Phase::TaskGradients } else { self.first_of_update() }, effects);
    }

    /// The phase in which workers begin with what the update is made of.
    fn first_of_update(&self) -> Phase {
        if self.settings.losses_before { Phase::LossesBefore } else { Phase::Gradient }
    }

    /// Divides the step's microbatches over the workers that take part now.
    fn divide(&mut self, ready: &[WorkerId], effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Gradient => {}
            Phase::TaskGradients => return self.queue.task_gradients(&self.settings, ready),
            _ => return self.queue.losses(&self.settings, ready),
        }
        let units = match &self.settings.mode {
            Mode::Combined => self.settings.microbatches as usize,
            Mode::PerTask { feeds, .. } => self.settings.microbatches as usize * feeds.len(),
        };
        let idle = ready.len().saturating_sub(units);
        if idle != self.idle_said && idle > 0 {
            effects.push(Effect::Notice(Notice::Idle { idle }));
        }
        self.idle_said = idle;
        self.queue.gradient(&self.settings, ready);
    }

    fn evaluate(&mut self, evaluation: Evaluation, effects: &mut Vec<Effect>) {
        let workers = self.ready().count();
        self.phase = Phase::Evaluating(evaluation);
        self.suspects.clear();
        self.queue.evaluation(&self.settings, evaluation.split(), workers);
        if self.queue.is_done() {
            self.phase = Phase::ComputingMetrics(evaluation);
            effects.push(Effect::ComputeMetrics { evaluation, agreed: false });
        }
    }

    /// Gives what lies on the queue to those who can take it.
    fn hand_out(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let Some(version) = self.version() else { return };
        let ready: Vec<WorkerId> = self.ready().collect();
        // What is left of a run that ends is done by whoever is there.
        let needed = if self.interrupted { 1 } else { self.settings.min_workers };
        if ready.len() < needed {
            if !self.waiting_said {
                effects.push(Effect::Notice(Notice::Waiting { workers: ready.len(), needed }));
            }
            self.waiting_said = true;
            return;
        }
        self.waiting_said = false;
        if std::mem::take(&mut self.undivided) {
            self.divide(&self.queue.free(&ready), effects);
        }
        for (worker, assignment) in self.queue.hand_out(now, &ready, version, &self.settings) {
            self.assign(now, worker, assignment, effects);
        }
    }

    /// Gives what is late to those who have nothing to do.
    fn help_stragglers(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let Some(version) = self.version() else { return };
        let ready: Vec<WorkerId> = self.ready().collect();
        for (other, assignment, late) in self.queue.hand_out_late(now, &ready, version, &self.settings) {
            effects.push(Effect::Notice(Notice::Straggler { worker: late.holder, job: late.job, other }));
            self.assign(now, other, assignment, effects);
        }
    }

    fn assign(&mut self, now: Duration, worker: WorkerId, assignment: Assignment, effects: &mut Vec<Effect>) {
        let usual = self.queue.usual(&assignment.job, &self.settings);
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.pending_replies.asked(now, assignment.work, usual);
        }
        effects.push(Effect::Assign(worker, assignment));
    }

    /// The version of the parameters that the phase's work is done with; none where there is no
    /// work.
    fn version(&self) -> Option<u64> {
        match self.phase {
            Phase::TaskGradients | Phase::LossesBefore | Phase::Gradient | Phase::Evaluating(_) => Some(self.step),
            Phase::LossesAfter => Some(self.step + 1),
            _ => None,
        }
    }

    fn finish(&mut self, outcome: Outcome, effects: &mut Vec<Effect>) {
        self.phase = Phase::Over;
        self.queue.clear();
        effects.push(Effect::Finish(outcome));
    }
}
