//! One update: theta_{s+1} from theta_s and the workers' vectors.

mod combine;
mod descent;
mod losses;
mod robust;
mod state;
mod vectors;
mod weights;

use std::{
    collections::BTreeMap,
    mem,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use aggregation::{
    Gramian, Optimizer, Robust, Schedule,
    optimizer::OptimizerState,
    tree::Node,
    weighting::{Need, Observed, Outcome},
};
use datasets::{Labels, Plan};
use experiment::{OnNonfinite, Shapes, SplitName};
use model::Layout;

use super::{
    ahead::{Ahead, Recipient},
    answers::{self, Gradient, Losses, StepAnswers},
    piece::is_finite,
    report::{Factors, NotFinite, SkipReport, StepReport},
    weigher::Weigher,
};
use crate::{parameters::Parameters, run::Unusable, selection::Plateaus, setup::Setup};

/// All that an update reads and changes.
pub struct Updater {
    parameters: Arc<Parameters>,
    plan: Arc<Plan>,
    labels: Labels,
    layout: Layout,
    optimizer: Optimizer,
    state: OptimizerState,
    schedule: Schedule,
    /// The plateaus of the validation loss so far.
    pub(super) plateaus: Plateaus,
    weigher: Weigher,
    /// The weighting's answer for the step in progress, in combined mode.
    weighed: Option<Outcome>,
    clip_norm: Option<f64>,
    robust: Option<Robust>,
    seed: u64,
    /// The run's number of steps.
    steps: u64,
    /// The step in progress: the number of steps done.
    step: u64,
    combined_gradient: Vec<f32>,
    /// Labelled rows of the step in progress and the next ones, by step, task and microbatch.
    counts: BTreeMap<u64, Vec<Vec<u64>>>,
    /// The optimizer's state before the update, if the step may still be skipped after it.
    before: Option<OptimizerState>,
    may_skip: bool,
    /// Mean losses by task of the step in progress, with the parameters before the update.
    losses: Vec<Option<f64>>,
    /// The Gramian of the step in progress, if it is computed only for the journal.
    recorded_gramian: Option<Gramian>,
    /// How long the step in progress has taken so far to weight the tasks and to combine their
    /// gradients.
    aggregation: Duration,
    /// Every how many steps the weighting is recorded.
    record_every: u64,
    /// Every how many steps it is recorded with the inner products of the per-task gradients.
    gramian_every: Option<u64>,
}

impl Updater {
    /// The state of a run that begins with `parameters` at step 0.
    pub fn new(setup: &Setup, parameters: Arc<Parameters>) -> Updater {
        let (experiment, plan, steps) = (&setup.loaded.experiment, setup.plan(), setup.steps);
        let layout = setup.network.layout().clone();
        let shared: usize = layout.shared().iter().map(Range::len).sum();
        let elements = parameters.elements();
        let mut updater = Updater {
            state: experiment.train.optimizer.state(elements),
            optimizer: experiment.train.optimizer.clone(),
            schedule: experiment.train.schedule.clone(),
            plateaus: Plateaus::default(),
            clip_norm: experiment.train.clip_norm,
            robust: experiment.train.robust.clone(),
            seed: experiment.seed,
            combined_gradient: vec![0.0; elements],
            counts: BTreeMap::new(),
            before: None,
            may_skip: experiment.train.on_nonfinite == OnNonfinite::SkipStep,
            step: 0,
            weigher: Weigher::new(setup.build_method(), plan.shapes().tasks.len(), shared),
            weighed: None,
            recorded_gramian: None,
            aggregation: Duration::ZERO,
            losses: Vec::new(),
            record_every: experiment.tracking.weighting_interval(steps),
            gramian_every: setup.gramian_interval(),
            parameters,
            plan,
            labels: setup.prepared.labels.clone(),
            layout,
            steps,
        };
        updater.look_ahead();
        updater
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The shapes of feeds and tasks.
    pub fn shapes(&self) -> &Shapes {
        self.plan.shapes()
    }

    /// The number of chunks of a split, by feed.
    pub fn chunks(&self, split: SplitName) -> Vec<u32> {
        (0..self.plan.feeds().len()).map(|feed| self.plan.chunks(feed, split)).collect()
    }

    /// Counts the labelled rows of the next steps, while nothing waits for it.
    pub fn look_ahead(&mut self) {
        for step in self.step..self.step + 3 {
            let (labels, tasks) = (&self.labels, self.plan.shapes().tasks.len());
            let by_microbatch = |task| (0..self.plan.microbatches()).map(move |v| labels.labelled_in(task, step, v));
            self.counts.entry(step).or_insert_with(|| (0..tasks).map(|task| by_microbatch(task).collect()).collect());
        }
    }

    /// Labelled rows of a step, by task.
    fn counts(&mut self, step: u64) -> Vec<u64> {
        self.look_ahead();
        self.counts[&step].iter().map(|of_task| of_task.iter().sum()).collect()
    }

    /// The unusable ones among the answers of the step in progress, with what is wrong.
    pub fn unusable(&self, answers: &StepAnswers) -> Vec<Unusable> {
        let counts = self.counts.get(&self.step);
        counts.map_or_else(Vec::new, |counts| answers::unusable(answers, self.plan.shapes(), counts))
    }

    /// Does some work, and adds its duration to `aggregation`.
    fn timed<R>(&mut self, work: impl FnOnce(&mut Updater) -> R) -> R {
        #[expect(clippy::disallowed_methods, reason = "a duration that is observed, never used")]
        let began = Instant::now();
        let done = work(self);
        self.aggregation += began.elapsed();
        done
    }

    fn impossible(&self, reason: impl Into<String>) -> NotFinite {
        NotFinite::Impossible { step: self.step, reason: reason.into() }
    }

    /// Adds the gradients in the canonical tree, and computes the next parameters beside the
    /// current ones.
    ///
    /// # Errors
    /// Losses, gradients or parameters are not finite, or the answers do not fit together. If the
    /// step [can be skipped](NotFinite::can_be_skipped), nothing has changed.
    pub fn update(
        &mut self,
        step: u64,
        gradients: &[Gradient],
        recipients: Vec<Recipient>,
    ) -> Result<StepReport, NotFinite> {
        debug_assert_eq!(step, self.step, "updates come in order");
        let counts = self.counts(step);
        self.losses = self.mean_losses(gradients.iter().map(|part| (part.feed, part.node, &part.losses)))?;
        self.check_finite(&self.losses)?;
        let learning_rate = self.learning_rate();
        let root = Node::root(self.plan.microbatches());
        let (weighed, mut vectors) = if self.weigher.is_per_task() {
            let weighed = self.timed(|updater| updater.combine(&counts, gradients))?;
            (Some(weighed), BTreeMap::new())
        } else {
            (None, self.vectors(gradients)?)
        };
        let sum = match self.robust.clone().filter(|_| weighed.is_none()) {
            Some(robust) => Some(self.timed(|updater| updater.robust_sum(&robust, &vectors))?),
            None => None,
        };
        if let Some(sum) = &sum {
            vectors = BTreeMap::from([(root, sum.as_slice())]);
        }
        let finite = match weighed {
            Some(_) => is_finite(&self.combined_gradient),
            None => self.timed(|updater| updater.add_up(root, &vectors))?,
        };
        if !finite {
            return Err(self.gradient_of(&self.present(&counts)));
        }
        if self.may_skip && self.needs_losses_after() {
            self.before = Some(self.state.clone());
        }
        let mut ahead = Ahead::new(recipients, self.parameters.version(step + 1), self.parameters.elements());
        let gradient_norm = self.descend(learning_rate, vectors.get(&root).copied(), &mut ahead)?;
        let weighed = weighed.unwrap_or_else(|| self.weighed_before(&counts));
        let served = ahead.into_served();
        let (losses, aggregation) = (self.losses.clone(), mem::take(&mut self.aggregation));
        let next = if self.needs_losses_after() { None } else { self.learn_and_begin(&counts, None)? };
        Ok(StepReport { step, losses, gradient_norm, learning_rate, weighed, aggregation, next, served })
    }

    /// Skips the step in progress: parameters, optimizer and weighting become what they were before
    /// it.
    ///
    /// # Errors
    /// The weighting has no answer for the next step.
    pub fn skip(&mut self, step: u64) -> Result<SkipReport, NotFinite> {
        debug_assert_eq!(step, self.step, "steps come in order");
        let learning_rate = self.learning_rate();
        // After the update the step is recorded already.
        let losses = self.before.is_none().then(|| self.losses.clone());
        if let Some(before) = self.before.take() {
            self.state = before;
        }
        self.parameters.skip(step);
        self.weigher.forget();
        (self.weighed, self.recorded_gramian, self.aggregation) = (None, None, Duration::ZERO);
        let next = self.begin_next()?;
        Ok(SkipReport { step, losses, learning_rate, next })
    }

    /// Whether the weighting needs the losses after the update.
    fn needs_losses_after(&self) -> bool {
        self.weigher.needs(Need::LossesAfter)
    }

    /// Updates the weighting with the losses after the update, ends the step and begins the next.
    /// Returns the next step's factors. `None` after the last step.
    ///
    /// # Errors
    /// A loss is not finite, or the weighting has no answer.
    pub fn update_weighting(&mut self, step: u64, losses: &[Losses]) -> Result<Option<Factors>, NotFinite> {
        let counts = self.counts(step);
        let after = self.mean_losses(losses.iter().map(|part| (None, part.node, &part.sums)))?;
        self.check_finite(&after)?;
        self.before = None;
        let after = self.weighted(&self.present(&counts), &after);
        self.learn_and_begin(&counts, Some(&after))
    }

    /// Ends the step and begins the next. `after` are the losses after the update, if they are
    /// known.
    fn learn_and_begin(&mut self, counts: &[u64], after: Option<&[f64]>) -> Result<Option<Factors>, NotFinite> {
        let present = self.present(counts);
        let before = self.weighted(&present, &self.losses);
        let observed = Observed { losses: &before, losses_after: after };
        self.ask_weighting(&present, |weigher, moment| weigher.learn(moment, &observed))?;
        self.begin_next()
    }

    /// Begins the next step. Returns its factors. `None` after the last step.
    fn begin_next(&mut self) -> Result<Option<Factors>, NotFinite> {
        self.counts.remove(&self.step);
        self.step += 1;
        if self.step < self.steps { self.begin().map(Some) } else { Ok(None) }
    }
}
