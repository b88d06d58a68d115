//! What people ask of a run: to end, or to write a checkpoint.

use std::time::Duration;

use super::{AfterStep, Effect, Evaluation, Phase, Run, RunOutcome};

impl Run {
    /// Ends the run after a checkpoint. The checkpoint is of the present step if nothing has
    /// changed yet.
    pub(super) fn on_interrupt(&mut self, effects: &mut Vec<Effect>) {
        self.after_step = AfterStep::Interrupt;
        match self.phase {
            // The workers may never answer, so the run gives up the step in progress.
            Phase::Start { .. }
            | Phase::TaskGradients(_)
            | Phase::ComputingGramian
            | Phase::LossesBefore(_)
            | Phase::ComputingWeights
            | Phase::Gradient(_)
            | Phase::Evaluating(Evaluation::Progress) => {
                let evaluation_due = self.phase.evaluation_due();
                self.queue.clear();
                effects.push(Effect::Clear);
                self.save(evaluation_due, effects);
            }
            Phase::Evaluating(Evaluation::Final(_)) | Phase::ComputingMetrics(Evaluation::Final(_)) => {
                self.finish(RunOutcome::Interrupted, effects);
            }
            // The optimizer's state has changed, so the run completes the step.
            Phase::Updating | Phase::LossesAfter { .. } | Phase::UpdatingWeighting | Phase::Skipping => {}
            Phase::ComputingMetrics(Evaluation::Progress) | Phase::Saving { .. } | Phase::Over { .. } => {}
        }
    }

    /// Whether the run was asked to end and can do so without any worker.
    pub fn ends_without_workers(&self) -> bool {
        let needs_losses = self.settings.losses_after;
        let waits_for_workers = needs_losses && matches!(self.phase, Phase::Updating | Phase::LossesAfter { .. });
        self.is_interrupted() && !waits_for_workers
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.after_step == AfterStep::Interrupt
    }

    /// Fails a run that was asked to end and can't: the optimizer has updated the parameters, and
    /// no worker has been there for a lease to compute the losses after the update.
    pub(super) fn give_up_ending(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let waits = self.is_interrupted() && self.ready().next().is_none();
        let Phase::LossesAfter { abandoned, .. } = &mut self.phase else { return };
        if !waits {
            *abandoned = None;
            return;
        }
        let since = *abandoned.get_or_insert(now);
        if now.saturating_sub(since) > self.settings.lease {
            let step = self.step;
            let reason = format!(
                "asked to stop in step {step}, which can't be ended: no worker is there to compute the losses after the update"
            );
            self.finish(RunOutcome::Failed(reason), effects);
        }
    }

    /// Writes a checkpoint and goes on.
    pub(super) fn on_save(&mut self, effects: &mut Vec<Effect>) {
        match self.phase {
            // The parameters do not change now: the shell writes them while the run goes on.
            Phase::Start { .. }
            | Phase::TaskGradients(_)
            | Phase::ComputingGramian
            | Phase::LossesBefore(_)
            | Phase::ComputingWeights
            | Phase::Gradient(_)
            | Phase::Evaluating(Evaluation::Progress) => {
                effects.push(Effect::Save { step: self.step });
            }
            // The checkpoint is written after the present step, with its evaluation.
            Phase::Updating
            | Phase::LossesAfter { .. }
            | Phase::UpdatingWeighting
            | Phase::Skipping
            | Phase::ComputingMetrics(Evaluation::Progress) => {
                if !self.is_interrupted() {
                    self.after_step = AfterStep::Save;
                }
            }
            // A checkpoint is being written, or the last one is on the disk.
            Phase::Saving { .. } | Phase::Evaluating(_) | Phase::ComputingMetrics(_) | Phase::Over { .. } => {}
        }
    }
}
