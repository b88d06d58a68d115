//! The tasks' weights: what the weighting is asked, and what follows from its answer.

use aggregation::{
    Gramian,
    random::{Purpose, Stream},
    tree::Node,
    weighting::{Failure, Moment, Statistics},
};

use super::Updater;
use crate::compute::{
    answers::{Gradient, Losses},
    jacobian,
    report::{Factors, NotFinite, Weighed},
    weigher::Weigher,
};

impl Updater {
    /// The factors for the gradients of the step in progress, as far as they are known before the
    /// workers compute anything.
    ///
    /// # Errors
    /// The weighting has no answer.
    pub fn begin(&mut self) -> Result<Factors, NotFinite> {
        let counts = self.counts(self.step);
        if self.weigher.is_per_task() || self.weigher.needs_losses_first() {
            return Ok(self.factors(&counts, None));
        }
        self.weigh_combined(&counts, None)
    }

    /// Computes the inner products of the per-task gradients for the journal. The update of the
    /// step does not use them.
    ///
    /// # Errors
    /// The workers' vectors do not cover all microbatches, or are not finite. Then the step has no
    /// Gramian.
    pub fn compute_gramian(&mut self, step: u64, gradients: &[Gradient]) -> Result<(), NotFinite> {
        self.recorded_gramian = None;
        self.recorded_gramian = Some(self.timed(|updater| updater.gramian_of(step, gradients))?);
        Ok(())
    }

    fn gramian_of(&mut self, step: u64, gradients: &[Gradient]) -> Result<Gramian, NotFinite> {
        let counts = self.counts(step);
        let present = self.present(&counts);
        self.mean_losses(gradients.iter().map(|part| (part.feed, part.node, &part.losses)))?;
        let vectors = self.vectors_by_task(gradients)?;
        let rows = jacobian::rows(&self.layout, &present, &vectors, Node::root(self.plan.microbatches()));
        let rows = rows.map_err(|missing| self.impossible(missing.to_string()))?;
        let rows: Vec<&[f32]> = rows.iter().map(|row| &**row).collect();
        let gramian = Gramian::of_rows(&rows);
        if !jacobian::are_finite(&rows, Some(&gramian)) {
            return Err(self.gradient_of(&present));
        }
        Ok(gramian)
    }

    /// Computes the tasks' weights from the losses before the gradient.
    ///
    /// # Errors
    /// A loss is not finite, or the weighting has no answer.
    pub fn compute_weights(&mut self, step: u64, losses: &[Losses]) -> Result<Factors, NotFinite> {
        let counts = self.counts(step);
        self.losses = self.mean_losses(losses.iter().map(|part| (None, part.node, &part.sums)))?;
        self.check_finite(&self.losses)?;
        let losses = self.weighted(&self.present(&counts), &self.losses);
        self.weigh_combined(&counts, Some(&losses))
    }

    /// Computes the tasks' weights in combined mode, from `losses` if the weighting needs them.
    fn weigh_combined(&mut self, counts: &[u64], losses: Option<&[f64]>) -> Result<Factors, NotFinite> {
        let present = self.present(counts);
        let statistics = Statistics { losses, ..Statistics::default() };
        let weigh = |weigher: &mut Weigher, moment: &Moment<'_>| weigher.weigh(moment, &statistics);
        let outcome = self.timed(|updater| updater.ask_weighting(&present, weigh))?;
        let alpha = outcome
            .combination
            .alpha()
            .ok_or_else(|| self.impossible("the weighting gave no factors by task"))?
            .to_vec();
        self.weighed = Some(outcome);
        Ok(self.factors(counts, Some(&alpha)))
    }

    /// The factors for the workers' gradient sums. `counts` are labelled rows by task.
    fn factors(&self, counts: &[u64], alpha: Option<&[f64]>) -> Factors {
        let present = self.present(counts);
        let scales = |alpha: &[f64]| {
            let mut scales = vec![0.0; counts.len()];
            for (alpha, &task) in alpha.iter().zip(&present) {
                scales[task] = (alpha * self.plan.shapes().tasks[task].weight / counts[task] as f64) as f32;
            }
            scales
        };
        let by_task = scales(&vec![1.0; present.len()]);
        let combined = alpha.map(scales).unwrap_or_default();
        Factors { by_task, combined, present: present.into_iter().map(|task| task as u32).collect() }
    }

    /// Asks the weighting something about the step in progress.
    pub(super) fn ask_weighting<R>(
        &mut self,
        present: &[usize],
        ask: impl FnOnce(&mut Weigher, &Moment<'_>) -> Result<R, Failure>,
    ) -> Result<R, NotFinite> {
        let moment = Moment {
            step: self.step,
            epoch: self.step / self.plan.steps_per_epoch(),
            tasks: self.plan.shapes().tasks.len(),
            present,
            optimizer: &self.optimizer,
            learning_rate: self.learning_rate(),
            stream: Stream::new(self.seed, Purpose::Weighting, &[self.step]),
        };
        let answer = ask(&mut self.weigher, &moment);
        answer.map_err(|failure| NotFinite::Impossible { step: self.step, reason: failure.to_string() })
    }

    /// The learning rate of the step in progress.
    pub(super) fn learning_rate(&self) -> f64 {
        let rate = self.schedule.learning_rate(self.optimizer.learning_rate(), self.step, self.steps);
        self.schedule.plateau().map_or(rate, |plateau| plateau.lowered(rate, self.plateaus.before(self.step)))
    }

    /// How the step's tasks were weighted, in combined mode.
    pub(super) fn weighed_before(&mut self, counts: &[u64]) -> Weighed {
        let present = self.present(counts);
        let outcome = self.weighed.take();
        let alpha = outcome.as_ref().and_then(|outcome| outcome.combination.alpha()).map(<[f64]>::to_vec);
        let gramian = self.recorded_gramian.take();
        Weighed {
            losses: self.weighted(&present, &self.losses),
            certificate: outcome.and_then(|outcome| outcome.certificate),
            products: gramian.as_ref().zip(alpha.as_ref()).map(|(gramian, alpha)| gramian.times(alpha)),
            direction_norm: None,
            recorded: self.is_recorded(),
            alpha,
            alpha_by_block: None,
            gramian,
            present,
        }
    }

    /// Whether the weighting of the step in progress is recorded.
    pub(super) fn is_recorded(&self) -> bool {
        let with_gramian = self.gramian_every.is_some_and(|every| self.step.is_multiple_of(every));
        with_gramian || self.step.is_multiple_of(self.record_every)
    }
}
