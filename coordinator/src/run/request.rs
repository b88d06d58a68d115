//! What people ask of a run: to end, or to write a checkpoint.

use std::time::Duration;

use super::{Effect, Evaluation, Outcome, Phase, Run};

impl Run {
    /// Ends after a checkpoint, which is of the present step where nothing has changed yet.
    pub(super) fn on_interrupt(&mut self, effects: &mut Vec<Effect>) {
        self.interrupted = true;
        match self.phase {
            // What can't be waited for: workers may never come back. The step in progress is given
            // up.
            Phase::Start
            | Phase::TaskGradients
            | Phase::ComputingGramian
            | Phase::LossesBefore
            | Phase::ComputingWeights
            | Phase::Gradient
            | Phase::Evaluating(Evaluation::Progress) => {
                self.queue.clear();
                effects.push(Effect::Clear);
                self.phase = Phase::Saving;
                effects.push(Effect::Save { step: self.step });
            }
            Phase::Evaluating(Evaluation::Final(_)) | Phase::ComputingMetrics(Evaluation::Final(_)) => {
                self.finish(Outcome::Interrupted, effects);
            }
            // What has changed the optimizer's state is carried through.
            Phase::Updating | Phase::LossesAfter | Phase::UpdatingWeighting | Phase::Skipping => {}
            Phase::ComputingMetrics(Evaluation::Progress) | Phase::Saving | Phase::Over => {}
        }
    }

    /// Whether the run is to end and needs no worker for that.
    pub fn ends_without_workers(&self) -> bool {
        self.interrupted && !(self.settings.losses_after && matches!(self.phase, Phase::Updating | Phase::LossesAfter))
    }

    /// Ends a run that can't end as was asked for: the optimizer has gone on to the next step, of
    /// which the weighting can't learn.
    pub(super) fn give_up_ending(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if !self.interrupted || self.phase != Phase::LossesAfter || self.ready().next().is_some() {
            self.abandoned = None;
            return;
        }
        let since = *self.abandoned.get_or_insert(now);
        if now.saturating_sub(since) > self.settings.lease {
            let step = self.step;
            let reason = format!(
                "asked to stop in step {step}, which can't be ended: no worker is there to compute the losses after the update"
            );
            self.finish(Outcome::Failed(reason), effects);
        }
    }

    /// Writes a checkpoint and goes on.
    pub(super) fn on_save(&mut self, effects: &mut Vec<Effect>) {
        match self.phase {
            // The parameters stand: the checkpoint is written beside what goes on.
            Phase::Start
            | Phase::TaskGradients
            | Phase::ComputingGramian
            | Phase::LossesBefore
            | Phase::ComputingWeights
            | Phase::Gradient
            | Phase::Evaluating(Evaluation::Progress) => {
                effects.push(Effect::Save { step: self.step });
            }
            // After the present step, or with what comes of its evaluation.
            Phase::Updating
            | Phase::LossesAfter
            | Phase::UpdatingWeighting
            | Phase::Skipping
            | Phase::ComputingMetrics(Evaluation::Progress) => self.save_asked = true,
            // One is being written, or the last is there.
            Phase::Saving | Phase::Evaluating(_) | Phase::ComputingMetrics(_) | Phase::Over => {}
        }
    }
}
