//! Answers that can't be used, and steps that are not finite.
//!
//! A number that is not finite is the model's doing or a bad worker's, and one answer does not tell
//! which. The unit is asked for once more, of another worker where there is one, and of that
//! worker's answer it depends: where that is finite, the first worker is at fault and put aside;
//! where two answers agree, it is the model. One unit is enough to know of the model; units that
//! are not finite by bad workers are found out one after the other, as long as there are any.
//!
//! An evaluation is made of all of its units, finite or not: each that is not is asked for once
//! more. What two answers agree about goes into the result, whose metrics are absent where they are
//! not finite.
//!
//! A step that is not finite by the model's own doing ends the run, or is skipped where the
//! experiment says so: it counts as done and changes nothing. So many in a row end the run all the
//! same.

use std::collections::{BTreeMap, BTreeSet};

use super::{Departure, Effect, Job, Notice, Outcome, Phase, Run, WorkerId};

/// An answer that was counted and turns out to be of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Whose it is.
    pub worker: WorkerId,
    /// What it is about.
    pub job: Job,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A number in it is not finite: the worker's fault, or the model's.
    #[error("{0} is not finite, and another worker's is")]
    NotFinite(Job),
    /// Something that no model can be the reason of.
    #[error("{0}")]
    Wrong(String),
}

/// How many steps were skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Since the run began.
    pub all: u64,
    /// Since the last step that was not.
    pub in_a_row: u64,
}

impl Run {
    /// Steps that were skipped.
    pub fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// The same run where so many steps were skipped by the coordinator before.
    #[must_use]
    pub fn having_skipped(self, skipped: Skipped) -> Run {
        Run { skipped, ..self }
    }

    /// The shell can't go on with these answers; `reason` is what they would be as the model's
    /// doing.
    pub(super) fn on_unusable(&mut self, step: u64, reason: &str, answers: Vec<Unusable>, effects: &mut Vec<Effect>) {
        let asking = match self.phase {
            Phase::ComputingGramian => Phase::TaskGradients,
            Phase::ComputingWeights => Phase::LossesBefore,
            Phase::Updating => Phase::Gradient,
            Phase::UpdatingWeighting => Phase::LossesAfter,
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
                Fault::Wrong(_) if at_fault.insert(worker) => self.put_aside(worker, fault, effects),
                // Of a worker that is at fault nothing is believed.
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
        if self.phase == Phase::Over {
            return;
        }
        self.phase = asking;
        effects.push(Effect::Retract { jobs: again.iter().map(|(job, _)| job.clone()).collect() });
        for (job, worker) in again {
            self.queue.ask_again(job, worker, &self.settings);
        }
        if self.interrupted {
            self.on_interrupt(effects);
        }
    }

    /// Puts aside those who were in doubt and are refuted: what they answered is not among the
    /// answers that are of no use now.
    pub(super) fn settle(&mut self, unusable: &[Unusable], effects: &mut Vec<Effect>) -> BTreeSet<WorkerId> {
        let still = |job: &Job| unusable.iter().any(|answer| answer.job == *job);
        let (suspects, refuted): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.suspects).into_iter().partition(|(job, _)| still(job));
        self.suspects = suspects;
        let mut at_fault = BTreeSet::new();
        for (job, worker) in refuted {
            if at_fault.insert(worker) {
                self.put_aside(worker, Fault::NotFinite(job), effects);
            }
        }
        at_fault
    }

    fn put_aside(&mut self, worker: WorkerId, fault: Fault, effects: &mut Vec<Effect>) {
        let departure = Departure::Left(fault.to_string());
        effects.push(Effect::Ban { worker, fault });
        self.on_lost(worker, departure, effects);
    }

    /// The step is not finite, and nobody is at fault.
    pub(super) fn on_not_finite(&mut self, step: u64, reason: &str, effects: &mut Vec<Effect>) {
        if !self.waits_for_shell() || step != self.step {
            return;
        }
        self.settle(&[], effects);
        if self.phase == Phase::ComputingGramian {
            // What is for the record alone ends in no record; the update tells what it means.
            return self.ask(self.first_of_update(), effects);
        }
        match self.settings.skips_max {
            None => self.finish(Outcome::Failed(reason.to_owned()), effects),
            Some(most) if self.skipped.in_a_row >= most => {
                let reason = format!("{reason}; {most} steps in a row were skipped before it");
                self.finish(Outcome::Failed(reason), effects);
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
