//! The course of a run: which phase follows which.

use std::time::Duration;

use experiment::SplitName;

use super::{AfterStep, Effect, Evaluation, Phase, PhaseWork, Run, RunOutcome, WorkerId};

impl Run {
    /// Begins the next step, or saves the last checkpoint if no step is left.
    pub(super) fn begin(&mut self, effects: &mut Vec<Effect>) {
        if self.is_last() {
            return self.save(false, effects);
        }
        let first = if self.settings.wants_task_gradients_after(self.step) {
            Phase::TaskGradients(PhaseWork::Undivided)
        } else {
            self.first_of_update()
        };
        self.ask(first, effects);
    }

    /// The phase with which the computation of an update begins.
    pub(super) fn first_of_update(&self) -> Phase {
        if self.settings.losses_before {
            Phase::LossesBefore(PhaseWork::Undivided)
        } else {
            Phase::Gradient(PhaseWork::Undivided)
        }
    }

    /// Begins a phase in which workers compute something of all the step's microbatches.
    pub(super) fn ask(&mut self, phase: Phase, effects: &mut Vec<Effect>) {
        effects.push(Effect::Clear);
        self.phase = phase;
        self.queue.clear();
        self.suspects.clear();
    }

    /// Takes a result. If it is the last one of its phase, the shell goes on with the results.
    pub(super) fn on_result(&mut self, now: Duration, worker: WorkerId, work: u64, effects: &mut Vec<Effect>) {
        let Some(job) = self.queue.complete(now, worker, work, &self.settings) else {
            effects.push(Effect::Drop { worker, work });
            return;
        };
        effects.push(Effect::Keep { worker, work, job });
        if !self.queue.is_done() {
            return;
        }
        let step = self.step;
        let (phase, effect) = match self.phase {
            Phase::TaskGradients(_) => (Phase::ComputingGramian, Effect::ComputeGramian { step }),
            Phase::LossesBefore(_) => (Phase::ComputingWeights, Effect::ComputeWeights { step }),
            Phase::Gradient(_) => (Phase::Updating, Effect::Update { step }),
            Phase::LossesAfter { .. } => (Phase::UpdatingWeighting, Effect::UpdateWeighting { step }),
            Phase::Evaluating(evaluation) => {
                (Phase::ComputingMetrics(evaluation), Effect::ComputeMetrics { evaluation, agreed: false })
            }
            _ => return,
        };
        self.phase = phase;
        effects.push(effect);
    }

    /// Whether the shell computes something for the present step.
    pub(super) fn waits_for_shell(&self) -> bool {
        matches!(
            self.phase,
            Phase::ComputingGramian | Phase::ComputingWeights | Phase::Updating | Phase::UpdatingWeighting
        )
    }

    pub(super) fn on_gramian_computed(&mut self, step: u64, effects: &mut Vec<Effect>) {
        if self.phase == Phase::ComputingGramian && step == self.step {
            self.settle(&[], effects);
            self.ask(self.first_of_update(), effects);
        }
    }

    pub(super) fn on_weights_computed(&mut self, step: u64, effects: &mut Vec<Effect>) {
        if self.phase == Phase::ComputingWeights && step == self.step {
            self.settle(&[], effects);
            self.ask(Phase::Gradient(PhaseWork::Undivided), effects);
        }
    }

    pub(super) fn on_updated(&mut self, step: u64, effects: &mut Vec<Effect>) {
        if self.phase != Phase::Updating || step != self.step {
            return;
        }
        self.settle(&[], effects);
        if self.settings.losses_after {
            self.ask(Phase::LossesAfter { work: PhaseWork::Undivided, abandoned: None }, effects);
        } else {
            self.commit(effects);
        }
    }

    pub(super) fn on_weighting_updated(&mut self, step: u64, effects: &mut Vec<Effect>) {
        if self.phase == Phase::UpdatingWeighting && step == self.step {
            self.settle(&[], effects);
            self.commit(effects);
        }
    }

    fn commit(&mut self, effects: &mut Vec<Effect>) {
        self.skipped.in_a_row = 0;
        self.end_step(effects);
    }

    /// Counts the step as done: the parameters beside are the current ones from now on.
    pub(super) fn end_step(&mut self, effects: &mut Vec<Effect>) {
        self.step += 1;
        effects.push(Effect::Clear);
        let evaluation_due = self.settings.evaluates_after(self.step);
        if evaluation_due && !self.is_interrupted() {
            self.evaluate(Evaluation::Progress, effects);
        } else {
            self.after_evaluation(evaluation_due, effects);
        }
    }

    pub(super) fn evaluate(&mut self, evaluation: Evaluation, effects: &mut Vec<Effect>) {
        let workers = self.ready().count();
        self.phase = Phase::Evaluating(evaluation);
        self.suspects.clear();
        self.queue.evaluation(&self.settings, evaluation.split(), workers);
        if self.queue.is_done() {
            self.phase = Phase::ComputingMetrics(evaluation);
            effects.push(Effect::ComputeMetrics { evaluation, agreed: false });
        }
    }

    pub(super) fn on_metrics_computed(&mut self, stop: bool, effects: &mut Vec<Effect>) {
        let Phase::ComputingMetrics(evaluation) = self.phase else { return };
        self.settle(&[], effects);
        effects.push(Effect::Clear);
        match evaluation {
            Evaluation::Progress => {
                self.after_step = match self.after_step {
                    AfterStep::Interrupt => AfterStep::Interrupt,
                    _ if stop => AfterStep::FinishEarly,
                    AfterStep::Save => AfterStep::Save,
                    AfterStep::Continue | AfterStep::FinishEarly => AfterStep::Continue,
                };
                self.after_evaluation(false, effects);
            }
            Evaluation::Final(SplitName::Validation) => self.evaluate(Evaluation::Final(SplitName::Test), effects),
            Evaluation::Final(_) => {
                let early = self.after_step == AfterStep::FinishEarly;
                self.finish(RunOutcome::Finished { early }, effects);
            }
        }
    }

    fn is_last(&self) -> bool {
        self.step >= self.settings.steps || self.after_step == AfterStep::FinishEarly
    }

    fn after_evaluation(&mut self, evaluation_due: bool, effects: &mut Vec<Effect>) {
        let asked = self.after_step == AfterStep::Save;
        if asked {
            self.after_step = AfterStep::Continue;
        }
        if self.is_last() || self.is_interrupted() || asked || self.settings.saves_after(self.step) {
            self.save(evaluation_due, effects);
        } else {
            self.begin(effects);
        }
    }

    pub(super) fn save(&mut self, evaluation_due: bool, effects: &mut Vec<Effect>) {
        self.phase = Phase::Saving { evaluation_due };
        effects.push(Effect::Save { step: self.step });
    }

    pub(super) fn on_saved(&mut self, effects: &mut Vec<Effect>) {
        if !matches!(self.phase, Phase::Saving { .. }) {
            return;
        }
        if self.is_interrupted() {
            self.finish(RunOutcome::Interrupted, effects);
        } else if self.is_last() {
            effects.push(Effect::Select);
            self.evaluate(Evaluation::Final(SplitName::Validation), effects);
        } else {
            self.begin(effects);
        }
    }

    pub(super) fn finish(&mut self, outcome: RunOutcome, effects: &mut Vec<Effect>) {
        self.phase = Phase::Over { evaluation_due: self.phase.evaluation_due() };
        self.queue.clear();
        effects.push(Effect::Finish(outcome));
    }
}
