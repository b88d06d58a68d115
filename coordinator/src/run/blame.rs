//! Answers that can't be used, and steps that are not finite.
//!
//! If a number is not finite, the model may be the reason or a bad worker. One answer does not tell
//! which, so the same work is asked for once more, from another worker if there is one. If that
//! answer is finite, the first worker is at fault and is banned. If both are not finite, the model
//! is the reason. One piece of work is enough to blame the model. Bad workers are found one after
//! the other.
//!
//! An evaluation needs all of its work, finite or not, so each piece that is not finite is asked
//! for once more. If two answers agree, they count, and the metrics that depend on them are absent.
//!
//! If a step is not finite because of the model, the run ends, or the experiment says to skip the
//! step: it counts as done and changes nothing. Too many skipped steps in a row end the run.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Departure, Effect, Fault, Notice, Phase, PhaseWork, Run, RunOutcome, Skipped, Unusable, WorkerId, WorkerJob,
};

impl Run {
    /// How many steps were skipped.
    pub fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// This run with the skipped steps of the coordinator before it.
    #[must_use]
    pub fn having_skipped(self, skipped: Skipped) -> Run {
        Run { skipped, ..self }
    }

    /// Takes the answers with which the shell can't go on. `reason` says what is wrong with the
    /// step if the model is to blame.
    pub(super) fn on_unusable(&mut self, step: u64, reason: &str, answers: Vec<Unusable>, effects: &mut Vec<Effect>) {
        let asking = match self.phase {
            Phase::ComputingGramian => Phase::TaskGradients(PhaseWork::Divided),
            Phase::ComputingWeights => Phase::LossesBefore(PhaseWork::Divided),
            Phase::Updating => Phase::Gradient(PhaseWork::Divided),
            Phase::UpdatingWeighting => Phase::LossesAfter { work: PhaseWork::Divided, abandoned: None },
            Phase::ComputingMetrics(evaluation) => Phase::Evaluating(evaluation),
            _ => return,
        };
        if step != self.step {
            return;
        }
        let mut at_fault = self.settle(&answers, effects);
        let mut again = Vec::new();
        let mut doubtful = Vec::new();
        for Unusable { worker, job, fault } in answers {
            match fault {
                Fault::Wrong(_) if at_fault.insert(worker) => self.ban(worker, fault, effects),
                // No answer of a worker at fault counts.
                _ if at_fault.contains(&worker) => {}
                _ => {
                    doubtful.push((job, worker));
                    continue;
                }
            }
            again.push((job, worker));
        }
        if again.is_empty() {
            let (agreed, mut fresh): (Vec<_>, Vec<_>) =
                doubtful.into_iter().partition(|(job, _)| self.suspects.contains_key(job));
            match self.phase {
                Phase::ComputingMetrics(evaluation) if fresh.is_empty() => {
                    self.suspects.clear();
                    return effects.push(Effect::ComputeMetrics { evaluation, agreed: true });
                }
                Phase::ComputingMetrics(_) => {}
                _ if fresh.is_empty() || !agreed.is_empty() => {
                    self.suspects.clear();
                    return self.on_not_finite(step, reason, effects);
                }
                _ => fresh.truncate(1),
            }
            for (job, worker) in &fresh {
                self.suspects.insert(job.clone(), *worker);
                effects.push(Effect::Notice(Notice::Suspected { worker: *worker, job: job.clone() }));
            }
            again = fresh;
        }
        if self.phase.is_over() {
            return;
        }
        self.phase = asking;
        effects.push(Effect::Retract { jobs: again.iter().map(|(job, _)| job.clone()).collect() });
        for (job, worker) in again {
            self.queue.ask_again(job, worker, &self.settings);
        }
        if self.is_interrupted() {
            self.on_interrupt(effects);
        }
    }

    /// Bans the suspects that are refuted: the same work is not among the unusable answers now.
    /// Returns them.
    pub(super) fn settle(&mut self, unusable: &[Unusable], effects: &mut Vec<Effect>) -> BTreeSet<WorkerId> {
        let still = |job: &WorkerJob| unusable.iter().any(|answer| answer.job == *job);
        let (suspects, refuted): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.suspects).into_iter().partition(|(job, _)| still(job));
        self.suspects = suspects;
        let mut at_fault = BTreeSet::new();
        for (job, worker) in refuted {
            if at_fault.insert(worker) {
                self.ban(worker, Fault::NotFinite(job), effects);
            }
        }
        at_fault
    }

    fn ban(&mut self, worker: WorkerId, fault: Fault, effects: &mut Vec<Effect>) {
        let departure = Departure::Left(fault.to_string());
        effects.push(Effect::Ban { worker, fault });
        self.on_lost(worker, departure, effects);
    }

    /// The step is not finite, and no worker is at fault.
    pub(super) fn on_not_finite(&mut self, step: u64, reason: &str, effects: &mut Vec<Effect>) {
        if !self.waits_for_shell() || step != self.step {
            return;
        }
        self.settle(&[], effects);
        if self.phase == Phase::ComputingGramian {
            // These gradients are for the journal alone. The update shows what to do about the
            // step.
            return self.ask(self.first_of_update(), effects);
        }
        match self.settings.skips_max {
            None => self.finish(RunOutcome::Failed(reason.to_owned()), effects),
            Some(most) if self.skipped.in_a_row >= most => {
                let reason = format!("{reason}; {most} steps in a row were skipped before it");
                self.finish(RunOutcome::Failed(reason), effects);
            }
            Some(_) => {
                self.phase = Phase::Skipping;
                self.queue.clear();
                effects.push(Effect::Skip { step });
            }
        }
    }

    pub(super) fn on_skipped(&mut self, step: u64, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Skipping && step == self.step {
            self.skipped.all += 1;
            self.skipped.in_a_row += 1;
            self.end_step(effects);
        }
    }
}
