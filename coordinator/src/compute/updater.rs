//! One update: theta_{s+1} from theta_s and the workers' vectors.

mod combine;
mod descent;
mod robust;
mod state;

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
    random::{Purpose, Stream},
    tree::{self, Node},
    weighting::{Failure, Moment, Need, Observed, Outcome, Statistics},
};
use datasets::{Labels, Plan};
use experiment::{OnNonfinite, Shapes, SplitName};
use model::Layout;
use objectives::{LossSum, sums::add_losses};

use self::descent::is_finite;
use super::{
    Answers, Gradient, Losses, Recipient,
    ahead::Ahead,
    answers,
    jacobian::{self, ByTask},
    report::{Factors, NotFinite, SkipReport, StepReport, Weighed},
    weigher::Weigher,
};
use crate::{parameters::Parameters, run::Unusable, setup::Setup};

/// Everything that an update reads and changes.
pub struct Updater {
    parameters: Arc<Parameters>,
    plan: Arc<Plan>,
    labels: Labels,
    layout: Layout,
    optimizer: Optimizer,
    state: OptimizerState,
    schedule: Schedule,
    weigher: Weigher,
    /// What the step in progress was weighed with, in combined mode.
    weighed: Option<Outcome>,
    clip_norm: Option<f64>,
    robust: Option<Robust>,
    seed: u64,
    steps: u64,
    step: u64,
    gradient: Vec<f32>,
    /// Labelled rows of steps to come, by step, task and microbatch.
    counts: BTreeMap<u64, Vec<Vec<u64>>>,
    /// The optimizer's state before the update, where the step may be left out after it.
    before: Option<OptimizerState>,
    may_skip: bool,
    /// Losses of the step in progress with the parameters before the update.
    losses: Vec<Option<f64>>,
    /// Inner products of the gradients of the step in progress, where they were asked for beside
    /// the update.
    measured: Option<Gramian>,
    /// Time that the step in progress has taken so far to weigh the tasks and combine their
    /// gradients.
    aggregation: Duration,
    /// How many steps there are between two whose weighting is written down.
    record_every: u64,
    /// And between two that are written down with the inner products of the gradients.
    gramian_every: Option<u64>,
}

impl Updater {
    /// For a run that begins with `parameters` at step 0.
    pub fn new(setup: &Setup, parameters: Arc<Parameters>) -> Updater {
        let (experiment, plan, steps) = (&setup.loaded.experiment, setup.plan(), setup.steps);
        let layout = setup.network.layout().clone();
        let shared: usize = layout.shared().iter().map(Range::len).sum();
        let elements = parameters.elements();
        let mut updater = Updater {
            state: experiment.train.optimizer.state(elements),
            optimizer: experiment.train.optimizer.clone(),
            schedule: experiment.train.schedule.clone(),
            clip_norm: experiment.train.clip_norm,
            robust: experiment.train.robust,
            seed: experiment.seed,
            gradient: vec![0.0; elements],
            counts: BTreeMap::new(),
            before: None,
            may_skip: experiment.train.on_nonfinite == OnNonfinite::SkipStep,
            step: 0,
            weigher: Weigher::new(setup.build_method(), plan.shapes().tasks.len(), shared),
            weighed: None,
            measured: None,
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

    /// Feeds and tasks.
    pub fn shapes(&self) -> &Shapes {
        self.plan.shapes()
    }

    /// Updates done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Chunks of a split, by feed.
    pub fn chunks(&self, split: SplitName) -> Vec<u32> {
        (0..self.plan.feeds().len()).map(|feed| self.plan.chunks(feed, split)).collect()
    }

    /// Counts the labelled rows of steps to come, while nothing waits for it.
    pub fn look_ahead(&mut self) {
        for step in self.step..self.step + 3 {
            let (labels, tasks) = (&self.labels, self.plan.shapes().tasks.len());
            let by_microbatch = |task| (0..self.plan.microbatches()).map(move |v| labels.labelled_in(task, step, v));
            self.counts.entry(step).or_insert_with(|| (0..tasks).map(|task| by_microbatch(task).collect()).collect());
        }
    }

    fn counts(&mut self, step: u64) -> Vec<u64> {
        self.look_ahead();
        self.counts[&step].iter().map(|of_task| of_task.iter().sum()).collect()
    }

    /// Which answers of the present step are of no use, with what is wrong.
    pub fn unusable(&self, answers: &Answers) -> Vec<Unusable> {
        let counts = self.counts.get(&self.step);
        counts.map_or_else(Vec::new, |counts| answers::unusable(answers, self.plan.shapes(), counts))
    }

    /// What the workers compute the next step's gradients with, as far as that is known before the
    /// step.
    ///
    /// # Errors
    /// When the weighting has no answer.
    pub fn begin(&mut self) -> Result<Factors, NotFinite> {
        let counts = self.counts(self.step);
        if self.weigher.is_per_task() || self.weigher.weighs_losses_first() {
            return Ok(self.factors(&counts, None));
        }
        self.weigh_combined(&counts, None)
    }

    /// Takes the inner products of the tasks' gradients for the record of a step whose update does
    /// without them. Where a gradient is not finite there are none: what that means for the run,
    /// the update tells.
    ///
    /// # Errors
    /// When the workers' vectors do not add up, or are not finite.
    pub fn measure(&mut self, step: u64, gradients: &[Gradient]) -> Result<(), NotFinite> {
        self.measured = None;
        self.measured = Some(self.timed(|updater| updater.gramian(step, gradients))?);
        Ok(())
    }

    /// Counts the time of weighing tasks or combining gradients.
    fn timed<R>(&mut self, work: impl FnOnce(&mut Updater) -> R) -> R {
        #[expect(clippy::disallowed_methods, reason = "a duration that is observed, never used")]
        let began = Instant::now();
        let done = work(self);
        self.aggregation += began.elapsed();
        done
    }

    fn gramian(&mut self, step: u64, gradients: &[Gradient]) -> Result<Gramian, NotFinite> {
        let present = present(&self.counts(step));
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

    /// Weighs the tasks with the losses of the step's rows before the gradient.
    ///
    /// # Errors
    /// When a loss is not finite, or the weighting has no answer.
    pub fn weigh(&mut self, step: u64, losses: &[Losses]) -> Result<Factors, NotFinite> {
        let counts = self.counts(step);
        self.losses = self.mean_losses(losses.iter().map(|part| (None, part.node, &part.sums)))?;
        self.finite(&self.losses)?;
        let losses = self.weighted(&present(&counts), &self.losses);
        self.weigh_combined(&counts, Some(&losses))
    }

    fn weigh_combined(&mut self, counts: &[u64], losses: Option<&[f64]>) -> Result<Factors, NotFinite> {
        let present = present(counts);
        let statistics = Statistics { losses, ..Statistics::default() };
        let weigh = |weigher: &mut Weigher, moment: &Moment<'_>| weigher.weigh(moment, &statistics);
        let outcome = self.timed(|updater| updater.ask_weighting(&present, weigh))?;
        let alpha = outcome.combination.alpha().ok_or_else(|| self.impossible("the weighting gave no alpha"))?.to_vec();
        self.weighed = Some(outcome);
        Ok(self.factors(counts, Some(&alpha)))
    }

    fn factors(&self, counts: &[u64], alpha: Option<&[f64]>) -> Factors {
        let present = present(counts);
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

    fn ask_weighting<R>(
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

    fn learning_rate(&self) -> f64 {
        self.schedule.learning_rate(self.optimizer.learning_rate(), self.step, self.steps)
    }

    fn impossible(&self, reason: impl Into<String>) -> NotFinite {
        NotFinite::Impossible { step: self.step, reason: reason.into() }
    }

    /// Adds the gradients in the canonical tree and builds the next parameters beside the current
    /// ones.
    ///
    /// # Errors
    /// [`NotFinite`] when the step can't count; where it
    /// [can be skipped](NotFinite::can_be_skipped), nothing has changed.
    pub fn update(
        &mut self,
        step: u64,
        gradients: &[Gradient],
        recipients: Vec<Recipient>,
    ) -> Result<StepReport, NotFinite> {
        debug_assert_eq!(step, self.step, "updates come in order");
        let counts = self.counts(step);
        self.losses = self.mean_losses(gradients.iter().map(|part| (part.feed, part.node, &part.losses)))?;
        self.finite(&self.losses)?;
        let learning_rate = self.learning_rate();
        let root = Node::root(self.plan.microbatches());
        let (weighed, mut vectors) = if self.weigher.is_per_task() {
            let weighed = self.timed(|updater| updater.combine(&counts, gradients))?;
            (Some(weighed), BTreeMap::new())
        } else {
            (None, self.vectors(gradients)?)
        };
        let sum = match self.robust.filter(|_| weighed.is_none()) {
            Some(robust) => Some(self.timed(|updater| updater.robust_sum(robust, &vectors))?),
            None => None,
        };
        if let Some(sum) = &sum {
            vectors = BTreeMap::from([(root, sum.as_slice())]);
        }
        let finite = match weighed {
            Some(_) => is_finite(&self.gradient),
            None => self.timed(|updater| updater.add_up(root, &vectors))?,
        };
        if !finite {
            return Err(self.gradient_of(&present(&counts)));
        }
        if self.may_skip && self.learns_later() {
            self.before = Some(self.state.clone());
        }
        let mut ahead = Ahead::new(recipients, self.parameters.version(step + 1), self.parameters.elements());
        let gradient_norm = self.descend(learning_rate, vectors.get(&root).copied(), &mut ahead)?;
        let weighed = weighed.unwrap_or_else(|| self.weighed_before(&counts));
        let served = ahead.into_served();
        let (losses, aggregation) = (self.losses.clone(), mem::take(&mut self.aggregation));
        let next = if self.learns_later() { None } else { self.learn_and_begin(&counts, None)? };
        Ok(StepReport { step, losses, gradient_norm, learning_rate, weighed, aggregation, next, served })
    }

    /// Leaves the present step out: parameters, optimizer and weighting are as they were before it.
    ///
    /// # Errors
    /// When the weighting has no answer for the next step.
    pub fn skip(&mut self, step: u64) -> Result<SkipReport, NotFinite> {
        debug_assert_eq!(step, self.step, "steps come in order");
        let learning_rate = self.learning_rate();
        // After the update the step is written down already.
        let losses = self.before.is_none().then(|| self.losses.clone());
        if let Some(before) = self.before.take() {
            self.state = before;
        }
        self.parameters.skip(step);
        self.weigher.forget();
        (self.weighed, self.measured, self.aggregation) = (None, None, Duration::ZERO);
        let next = self.begin_next()?;
        Ok(SkipReport { step, losses, learning_rate, next })
    }

    /// Whether the weighting learns of losses after the update before the step is over.
    pub fn learns_later(&self) -> bool {
        self.weigher.needs(Need::LossesAfter)
    }

    /// Ends the step, whose losses after the update these are, and begins the next.
    ///
    /// # Errors
    /// When a loss is not finite, or the weighting has no answer.
    pub fn learn(&mut self, step: u64, losses: &[Losses]) -> Result<Option<Factors>, NotFinite> {
        let counts = self.counts(step);
        let after = self.mean_losses(losses.iter().map(|part| (None, part.node, &part.sums)))?;
        self.finite(&after)?;
        self.before = None;
        let after = self.weighted(&present(&counts), &after);
        self.learn_and_begin(&counts, Some(&after))
    }

    fn learn_and_begin(&mut self, counts: &[u64], after: Option<&[f64]>) -> Result<Option<Factors>, NotFinite> {
        let present = present(counts);
        let before = self.weighted(&present, &self.losses);
        let observed = Observed { losses: &before, losses_after: after };
        self.ask_weighting(&present, |weigher, moment| weigher.learn(moment, &observed))?;
        self.begin_next()
    }

    fn begin_next(&mut self) -> Result<Option<Factors>, NotFinite> {
        self.counts.remove(&self.step);
        self.step += 1;
        if self.step < self.steps { self.begin().map(Some) } else { Ok(None) }
    }

    /// Mean losses by task from sums over nodes, of all feeds at once or of one each.
    fn mean_losses<'a>(
        &self,
        parts: impl Iterator<Item = (Option<u32>, Node, &'a Vec<LossSum>)>,
    ) -> Result<Vec<Option<f64>>, NotFinite> {
        let tasks = &self.plan.shapes().tasks;
        let counts = &self.counts[&self.step];
        let mut by_feed: BTreeMap<Option<u32>, BTreeMap<Node, Vec<LossSum>>> = BTreeMap::new();
        for (feed, node, sums) in parts {
            if let Some(reason) = answers::miscounted(tasks, counts, feed, node, sums) {
                return Err(self.impossible(reason));
            }
            by_feed.entry(feed).or_default().insert(node, sums.clone());
        }
        let root = Node::root(self.plan.microbatches());
        let mut losses = vec![None; tasks.len()];
        for (feed, nodes) in by_feed {
            let sums = tree::fold(root, nodes, &mut add_losses).map_err(|u| self.impossible(u.to_string()))?;
            let of_feed = |sum: &LossSum| feed.is_none_or(|feed| tasks[sum.task].feed == feed as usize);
            for sum in sums.into_iter().filter(|sum| of_feed(sum) && sum.rows > 0) {
                losses[sum.task] = Some(sum.loss / sum.rows as f64);
            }
        }
        Ok(losses)
    }

    /// Refuses losses of which one is not finite.
    fn finite(&self, losses: &[Option<f64>]) -> Result<(), NotFinite> {
        let tasks = self.plan.shapes().tasks.iter();
        let wrong = tasks.zip(losses).find_map(|(task, loss)| Some((task, loss.filter(|loss| !loss.is_finite())?)));
        match wrong {
            None => Ok(()),
            Some((task, loss)) => Err(NotFinite::Loss { step: self.step, task: task.name.clone(), loss }),
        }
    }

    /// The gradient of these tasks, or one of them, is not finite.
    fn gradient_of(&self, tasks: &[usize]) -> NotFinite {
        let name = |task: &usize| self.plan.shapes().tasks[*task].name.clone();
        NotFinite::Gradient { step: self.step, tasks: tasks.iter().map(name).collect() }
    }

    /// Weight times loss of the present tasks.
    fn weighted(&self, present: &[usize], losses: &[Option<f64>]) -> Vec<f64> {
        let tasks = &self.plan.shapes().tasks;
        present.iter().map(|task| tasks[*task].weight * losses[*task].unwrap_or_default()).collect()
    }

    /// The vectors of combined mode, by node.
    fn vectors<'a>(&self, gradients: &'a [Gradient]) -> Result<BTreeMap<Node, &'a [f32]>, NotFinite> {
        let mut vectors = BTreeMap::new();
        for gradient in gradients {
            for contribution in &gradient.vectors {
                let vector = contribution.vector().map_err(|other| self.impossible(other.to_string()))?;
                vectors.insert(gradient.node, vector);
            }
        }
        Ok(vectors)
    }

    /// How the step's tasks were weighed before their gradients were computed.
    fn weighed_before(&mut self, counts: &[u64]) -> Weighed {
        let present = present(counts);
        let outcome = self.weighed.take();
        let alpha = outcome.as_ref().and_then(|outcome| outcome.combination.alpha()).map(<[f64]>::to_vec);
        let gramian = self.measured.take();
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

    /// Whether the weighting of the step in progress is written down.
    fn is_recorded(&self) -> bool {
        let with_gramian = self.gramian_every.is_some_and(|every| self.step.is_multiple_of(every));
        with_gramian || self.step.is_multiple_of(self.record_every)
    }

    fn vectors_by_task<'a>(&self, gradients: &'a [Gradient]) -> Result<ByTask<'a>, NotFinite> {
        let mut by_task = ByTask::new();
        for gradient in gradients {
            for contribution in &gradient.vectors {
                let Some(task) = contribution.task else { continue };
                let vector = contribution.vector().map_err(|other| self.impossible(other.to_string()))?;
                let of_task = by_task.entry(task as usize).or_default();
                of_task.span = contribution.span.clone();
                of_task.nodes.insert(gradient.node, vector);
            }
        }
        Ok(by_task)
    }
}

fn present(counts: &[u64]) -> Vec<usize> {
    counts.iter().enumerate().filter(|(_, rows)| **rows > 0).map(|(task, _)| task).collect()
}
