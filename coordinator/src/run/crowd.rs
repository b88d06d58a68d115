//! The workers of a run: who takes part, who is lost, who gets which work.

use std::time::Duration;

use super::{
    Assignment, Departure, Effect, Evaluation, Mode, Notice, Phase, Run, RunOutcome, WorkerId,
    pending_replies::PendingReplies, work_queue::Failed, worker::Worker,
};

impl Run {
    /// Workers that take part, in order.
    pub fn ready(&self) -> impl Iterator<Item = WorkerId> {
        self.workers.iter().filter(|(_, worker)| worker.ready).map(|(id, _)| *id)
    }

    /// The rank of a worker among those that take part.
    pub fn rank(&self, worker: WorkerId) -> usize {
        self.ready().take_while(|id| *id < worker).count()
    }

    pub(super) fn on_joined(&mut self, now: Duration, worker: WorkerId) {
        self.workers.insert(worker, Worker { ready: false, seen: now, pending_replies: PendingReplies::default() });
    }

    pub(super) fn on_ready(&mut self, now: Duration, id: WorkerId, effects: &mut Vec<Effect>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.ready = true;
        worker.seen = now;
        let workers = self.ready().count();
        effects.push(Effect::Notice(Notice::WorkerReady { worker: id, workers }));
        match self.phase {
            Phase::Start { evaluation_due: true } => self.evaluate(Evaluation::Progress, effects),
            Phase::Start { evaluation_due: false } => self.begin(effects),
            _ => {}
        }
    }

    pub(super) fn on_sign_of_life(&mut self, now: Duration, worker: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.seen = now;
        }
    }

    pub(super) fn on_answer(&mut self, now: Duration, id: WorkerId, work: u64) {
        self.on_sign_of_life(now, id);
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.pending_replies.answered(now, work);
        }
    }

    pub(super) fn on_lost(&mut self, id: WorkerId, departure: Departure, effects: &mut Vec<Effect>) {
        let last = self.last_joined(id);
        if self.workers.remove(&id).is_none() {
            return;
        }
        let (reissued, failed) = self.queue.take_back(id, departure == Departure::Disconnected, last);
        let workers = self.ready().count();
        effects.push(Effect::Notice(Notice::WorkerLost { worker: id, departure, reissued, workers }));
        if let Some(Failed { job, tries, .. }) = failed.filter(|failed| self.is_hopeless(failed)) {
            let reason = format!("{tries} workers in a row failed or were lost while they computed {job}");
            self.finish(RunOutcome::Failed(reason), effects);
        }
    }

    pub(super) fn on_failed(
        &mut self,
        now: Duration,
        worker: WorkerId,
        work: u64,
        reason: &str,
        effects: &mut Vec<Effect>,
    ) {
        let last = self.last_joined(worker);
        let Some(failed) = self.queue.give_up(now, worker, work, last) else { return };
        if self.is_hopeless(&failed) {
            let Failed { job, tries, .. } = failed;
            let outcome = RunOutcome::Failed(format!("{job} failed {tries} times, the last time with: {reason}"));
            return self.finish(outcome, effects);
        }
        if self.queue.is_aside(now, worker) && self.ready().any(|other| !self.queue.is_aside(now, other)) {
            let failures = self.queue.failures(worker);
            effects.push(Effect::Notice(Notice::PutAside { worker, failures, reason: reason.to_owned() }));
        }
    }

    /// Whether a job has failed often enough, and nobody is left that may do it.
    fn is_hopeless(&self, failed: &Failed) -> bool {
        failed.tries >= self.settings.tries_max && !failed.may_be_done_by(self.workers.keys().copied())
    }

    /// The worker that joined last, as far as it is known when `worker` is heard.
    fn last_joined(&self, worker: WorkerId) -> WorkerId {
        self.workers.keys().next_back().copied().unwrap_or(worker)
    }

    /// Dismisses workers that are silent or do not answer, and has stragglers helped.
    pub(super) fn on_tick(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let silent: Vec<(WorkerId, Duration)> = self
            .workers
            .iter()
            .map(|(id, worker)| (*id, now.saturating_sub(worker.seen)))
            .filter(|(_, silence)| *silence > self.settings.lease)
            .collect();
        for (worker, silence) in silent {
            self.dismiss(worker, Departure::Silent(silence), effects);
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
            self.dismiss(worker, Departure::Unanswered(waited), effects);
        }
        self.hand_out(now, effects);
        self.help_stragglers(now, effects);
        self.give_up_ending(now, effects);
    }

    fn dismiss(&mut self, worker: WorkerId, departure: Departure, effects: &mut Vec<Effect>) {
        effects.push(Effect::Dismiss(worker, departure.clone()));
        self.on_lost(worker, departure, effects);
    }

    /// Gives waiting work to those who can take it.
    pub(super) fn hand_out(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let Some(version) = self.version() else { return };
        let ready: Vec<WorkerId> = self.ready().collect();
        // A run that ends goes on with any number of workers.
        let needed = if self.is_interrupted() { 1 } else { self.settings.min_workers };
        let notice = self.notices.waiting(ready.len(), needed);
        effects.extend(notice.map(Effect::Notice));
        if ready.len() < needed {
            return;
        }
        if self.phase.mark_divided() {
            self.divide(&self.queue.free(now, &ready), effects);
        }
        for (worker, assignment) in self.queue.hand_out(now, &ready, version, &self.settings) {
            self.assign(now, worker, assignment, effects);
        }
    }

    /// Divides the step's microbatches over the workers that take part now.
    fn divide(&mut self, ready: &[WorkerId], effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Gradient(_) => {}
            Phase::TaskGradients(_) => return self.queue.task_gradients(&self.settings, ready),
            _ => return self.queue.losses(&self.settings, ready),
        }
        let items = match &self.settings.mode {
            Mode::Combined => self.settings.microbatches as usize,
            Mode::PerTask { feeds, .. } => self.settings.microbatches as usize * feeds.len(),
        };
        let notice = self.notices.idle(ready.len().saturating_sub(items));
        effects.extend(notice.map(Effect::Notice));
        self.queue.gradient(&self.settings, ready);
    }

    /// Gives stragglers' work to those who have nothing to do.
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

    /// The version of the parameters with which the phase's work is done. `None` if workers have
    /// nothing to do in it.
    fn version(&self) -> Option<u64> {
        match self.phase {
            Phase::TaskGradients(_) | Phase::LossesBefore(_) | Phase::Gradient(_) | Phase::Evaluating(_) => {
                Some(self.step)
            }
            Phase::LossesAfter { .. } => Some(self.step + 1),
            _ => None,
        }
    }
}
