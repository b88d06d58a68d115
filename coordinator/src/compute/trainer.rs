//! Carries out jobs with the run's parameters, optimizer, weighting and checkpoints.

use super::{
    answers::{self, StepAnswers},
    job::{Done, TrainerJob},
    report::NotFinite,
    updater::Updater,
};
use crate::{
    checkpoint::{Checkpoint, Keeper, Kept},
    evaluation,
};

/// The state that jobs work on.
pub struct Trainer {
    /// Parameters, optimizer, weighting.
    pub updater: Updater,
    /// The run's checkpoints.
    pub keeper: Keeper,
}

impl Trainer {
    /// Carries out one job.
    pub(super) fn run(&mut self, job: TrainerJob) -> Done {
        match job {
            TrainerJob::ComputeGramian { step, gradients } => match self.updater.compute_gramian(step, &gradients) {
                Ok(()) => Done::GramianComputed { step },
                Err(error) => self.failed(error, StepAnswers::TaskGradients(gradients)),
            },
            TrainerJob::ComputeWeights { step, losses } => match self.updater.compute_weights(step, &losses) {
                Ok(factors) => Done::WeightsComputed { step, factors },
                Err(error) => self.failed(error, StepAnswers::Losses(losses)),
            },
            TrainerJob::UpdateWeighting { step, losses } => match self.updater.update_weighting(step, &losses) {
                Ok(next) => Done::WeightingUpdated { step, next },
                Err(error) => self.failed(error, StepAnswers::Losses(losses)),
            },
            TrainerJob::Update { step, gradients, recipients } => {
                match self.updater.update(step, &gradients, recipients) {
                    Ok(report) => Done::Updated(report),
                    Err(error) => self.failed(error, StepAnswers::Gradients(gradients)),
                }
            }
            TrainerJob::Skip { step } => match self.updater.skip(step) {
                Ok(report) => Done::Skipped(report),
                Err(error) => Done::NotFinite(error),
            },
            TrainerJob::LowerLearningRate { plateaus } => {
                self.updater.plateaus = plateaus;
                Done::LearningRateLowered
            }
            TrainerJob::ComputeMetrics { evaluation, sums, agreed } => {
                let split = evaluation.split();
                let unusable = if agreed { Vec::new() } else { answers::not_finite(split, &sums) };
                if !unusable.is_empty() {
                    return Done::SumsNotFinite { evaluation, unusable, sums };
                }
                let parts = sums.into_iter().map(|sums| sums.part).collect();
                let chunks = self.updater.chunks(split);
                Done::MetricsComputed(evaluation, evaluation::metrics(self.updater.shapes(), split, &chunks, parts))
            }
            TrainerJob::Save { checkpoint, best, journal } => {
                let step = checkpoint.step;
                #[expect(clippy::disallowed_methods, reason = "a duration that is observed, never used")]
                let began = std::time::Instant::now();
                let fill = |checkpoint: &mut Checkpoint| self.updater.fill(checkpoint);
                let Kept { written, tidied } = self.keeper.save(checkpoint, best, journal, fill);
                Done::Saved { step, best, written, tidied, took: began.elapsed() }
            }
        }
    }

    /// Blames the workers' answers for an error, if any of them is unusable.
    fn failed(&self, error: NotFinite, answers: StepAnswers) -> Done {
        let unusable = self.updater.unusable(&answers);
        if unusable.is_empty() { Done::NotFinite(error) } else { Done::Unusable { error, unusable, answers } }
    }
}
