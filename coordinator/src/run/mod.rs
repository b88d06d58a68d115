//! The run as a state machine without IO.
//!
//! [`Run::step`] takes the time and an [`Event`] and returns [`Effect`]s. It handles ids, ranges
//! and coverage only: which worker computes which node of the canonical tree, what is still
//! missing, what happens next. The shell handles vectors, losses, files and sockets. The same
//! events in the same order give the same effects: there is no clock, no randomness and no IO
//! inside.
//!
//! # The protocol
//!
//! A step has these phases. Workers compute in some of them, the shell in the others.
//!
//! 1. *Task gradients*, *computing Gramian*: some weightings need no per-task gradients. Every so
//!    many steps we compute them anyway, for the journal. They never affect the update.
//! 2. *Losses before*, *computing weights*: if the weighting needs this step's losses first.
//! 3. *Gradient*: workers compute the nodes of the tree over microbatches until all of it is
//!    covered.
//! 4. *Updating*: the shell adds the gradients, weighs and clips them, and applies the optimizer
//!    beside the current parameters.
//! 5. *Losses after*, *updating weighting*: if the weighting needs the losses after the update.
//!
//! The step is then done. If it is not finite because of the model, the experiment decides whether
//! the run ends or the step is skipped (*skipping*). At some steps follow *evaluating* (workers
//! compute chunks of the validation split), *computing metrics* and *saving* (a checkpoint). After
//! the last step the selected parameters are evaluated on the validation and the test split, and
//! the run is over.
//!
//! If a worker is lost or fails, its work returns to the queue and others get it within the same
//! phase. Work that failed twice goes to the worker that has computed most. A worker that fails at
//! several pieces of work in a row is put aside: others get its work for a while. So the run ends
//! for a piece of work only if nobody can do it. If a worker is a straggler, another worker
//! computes the same, and the straggler gets nothing more until it has answered. A worker may join
//! in any phase: it gets waiting work at once, and a share of the microbatches from the next step
//! on. A worker that sends heartbeats but does not answer is dismissed, and may come back.
//!
//! # What must hold
//!
//! - A node is counted exactly once: any other result for it is dropped.
//! - A step counts as done only if every node of the root is covered and the update is finite.
//! - Whatever the workers do, the sequence of updates, evaluations and checkpoints is the same.
//!
//! # What is left out
//!
//! - Whether an answer is right: the shell checks its shape, and nothing is computed twice to
//!   compare it.
//! - Who may take part, and who is kept out for a while: the door and the shell decide that.
//! - Partial steps: a step counts with all its microbatches or not at all.

mod blame;
mod course;
mod crowd;
mod division;
mod event;
mod fault;
mod job;
mod notices;
mod pace;
mod pending_replies;
mod phase;
mod request;
mod schedule;
mod skipped;
#[cfg(test)]
mod tests;
mod work_queue;
mod worker;

use std::{collections::BTreeMap, time::Duration};

pub use division::{WorkerShare, divide};
pub use event::{Departure, Effect, Event, Notice, RunOutcome};
pub use fault::{Fault, Unusable};
pub use job::{Assignment, JobKind, WorkerJob};
pub use phase::{Evaluation, Phase, PhaseWork};
pub use schedule::{Chunks, FeedWork, Mode, Settings, TaskGradients};
pub use skipped::Skipped;
pub use work_queue::{EVALUATION_CHUNKS_MAX, PUT_ASIDE, gradient_jobs, task_gradient_jobs};
pub use worker::WorkerId;

use notices::Notices;
use phase::AfterStep;
use work_queue::WorkQueue;
use worker::Worker;

/// The state of a run.
#[derive(Debug, Clone)]
pub struct Run {
    settings: Settings,
    phase: Phase,
    /// Updates done.
    step: u64,
    after_step: AfterStep,
    workers: BTreeMap<WorkerId, Worker>,
    queue: WorkQueue,
    notices: Notices,
    /// How many workers were dismissed because they did not answer.
    unanswered: u32,
    /// Jobs whose first answer was not finite, with the worker that sent it. Another worker is
    /// asked for the same.
    suspects: BTreeMap<WorkerJob, WorkerId>,
    skipped: Skipped,
}

impl Run {
    /// A run that has `step` updates behind it.
    pub fn new(settings: Settings, step: u64) -> Run {
        Run {
            settings,
            phase: Phase::Start { evaluation_due: false },
            step,
            after_step: AfterStep::Continue,
            workers: BTreeMap::new(),
            queue: WorkQueue::default(),
            notices: Notices::default(),
            unanswered: 0,
            suspects: BTreeMap::new(),
            skipped: Skipped::default(),
        }
    }

    /// This run as another coordinator has left it. `evaluation_due` is what
    /// [`Run::evaluation_due`] was; `stop_early` says whether early stopping had run out of
    /// patience.
    #[must_use]
    pub fn resumed(self, evaluation_due: bool, stop_early: bool) -> Run {
        let after_step = if stop_early { AfterStep::FinishEarly } else { AfterStep::Continue };
        Run { phase: Phase::Start { evaluation_due }, after_step, ..self }
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
        self.phase.evaluation_due()
    }

    /// Where in the step the run is.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Takes an event and returns what has to be done, in order. `now` is the time since any fixed
    /// moment.
    pub fn step(&mut self, now: Duration, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.phase.is_over() {
            return effects;
        }
        match event {
            Event::Joined(worker) => self.on_joined(now, worker),
            Event::Ready(worker) => self.on_ready(now, worker, &mut effects),
            Event::Beat(worker) => self.on_sign_of_life(now, worker),
            Event::Lost(worker, departure) => self.on_lost(worker, departure, &mut effects),
            Event::Result { worker, work } => {
                self.on_answer(now, worker, work);
                self.on_result(now, worker, work, &mut effects);
            }
            Event::Failed { worker, work, reason } => {
                self.on_answer(now, worker, work);
                self.on_failed(now, worker, work, &reason, &mut effects);
            }
            Event::Updated { step } => self.on_updated(step, &mut effects),
            Event::GramianComputed { step } => self.on_gramian_computed(step, &mut effects),
            Event::WeightsComputed { step } => self.on_weights_computed(step, &mut effects),
            Event::WeightingUpdated { step } => self.on_weighting_updated(step, &mut effects),
            Event::Unusable { step, reason, answers } => self.on_unusable(step, &reason, answers, &mut effects),
            Event::NotFinite { step, reason } => self.on_not_finite(step, &reason, &mut effects),
            Event::Skipped { step } => self.on_skipped(step, &mut effects),
            Event::Impossible(reason) => self.finish(RunOutcome::Failed(reason), &mut effects),
            Event::MetricsComputed { stop } => self.on_metrics_computed(stop, &mut effects),
            Event::Saved => self.on_saved(&mut effects),
            Event::Tick => self.on_tick(now, &mut effects),
            Event::Interrupt => self.on_interrupt(&mut effects),
            Event::Save => self.on_save(&mut effects),
        }
        self.hand_out(now, &mut effects);
        effects
    }
}
