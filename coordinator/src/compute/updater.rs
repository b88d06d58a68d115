//! One update: theta_{s+1} from theta_s and the workers' vectors.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use aggregation::{
    Optimizer, Schedule, clip,
    optimizer::{OptimizerState, StatePart, Update},
    random::{Purpose, Stream},
    tree::{self, Node},
    weighting::{Method, Moment, Observed, State, Statistics},
};
use datasets::{Labels, Plan};
use experiment::{Experiment, Shapes, SplitName};
use model::Layout;
use proto::message::LossSum;
use rayon::prelude::*;

use super::{Gradient, reduce::sum_into};
use crate::{
    checkpoint::{Block, Checkpoint, Tensor},
    parameters::Parameters,
};

/// Elements that are added and updated at a time: with the optimizer's state they fit a core's cache.
const PART: usize = 1 << 15;

/// What an update did.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// The step.
    pub step: u64,
    /// Mean training loss by task; `None` for a task without labelled rows in this step.
    pub losses: Vec<Option<f64>>,
    /// Global norm of the combined gradient before clipping, where it was computed.
    pub gradient_norm: Option<f64>,
    /// The learning rate.
    pub learning_rate: f64,
    /// By task, for the next step: alpha * weight / labelled rows; zero for a task without rows.
    pub next_scales: Vec<f32>,
}

/// Something in a step is not a finite number.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NotFinite {
    /// A task's loss.
    #[error("step {step}: the training loss of task `{task}` is {loss}; the parameters before this step are kept")]
    Loss {
        /// The step.
        step: u64,
        /// The task's name.
        task: String,
        /// The loss.
        loss: f64,
    },
    /// The combined gradient, or the parameters that come from it.
    #[error("step {step}: the update is not finite though all losses are; the parameters before this step are kept")]
    Update {
        /// The step.
        step: u64,
    },
    /// What the workers sent does not add up, or the weighting has no answer.
    #[error("step {step}: {reason}")]
    Impossible {
        /// The step.
        step: u64,
        /// Why.
        reason: String,
    },
}

impl NotFinite {
    /// The step.
    pub fn step(&self) -> u64 {
        match self {
            NotFinite::Loss { step, .. } | NotFinite::Update { step } | NotFinite::Impossible { step, .. } => *step,
        }
    }
}

/// Everything that an update reads and changes.
pub struct Updater {
    parameters: Arc<Parameters>,
    plan: Arc<Plan>,
    labels: Labels,
    layout: Layout,
    optimizer: Optimizer,
    state: OptimizerState,
    schedule: Schedule,
    method: Box<dyn Method>,
    weighting: State,
    clip_norm: Option<f64>,
    seed: u64,
    steps: u64,
    step: u64,
    gradient: Vec<f32>,
    counts: BTreeMap<u64, Vec<u64>>,
}

impl Updater {
    /// For a run that begins with `parameters` at step 0.
    pub fn new(
        experiment: &Experiment,
        plan: Arc<Plan>,
        labels: Labels,
        layout: Layout,
        method: Box<dyn Method>,
        parameters: Arc<Parameters>,
        steps: u64,
    ) -> Updater {
        let shared: usize = layout.shared().iter().map(Range::len).sum();
        let weighting = method.state(plan.shapes().tasks.len(), shared);
        let elements = parameters.elements();
        let mut updater = Updater {
            state: experiment.train.optimizer.state(elements),
            optimizer: experiment.train.optimizer.clone(),
            schedule: experiment.train.schedule.clone(),
            clip_norm: experiment.train.clip_norm,
            seed: experiment.seed,
            gradient: vec![0.0; elements],
            counts: BTreeMap::new(),
            step: 0,
            parameters,
            plan,
            labels,
            layout,
            method,
            weighting,
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
            self.counts.entry(step).or_insert_with(|| (0..tasks).map(|task| labels.labelled(task, step)).collect());
        }
    }

    fn counts(&mut self, step: u64) -> Vec<u64> {
        self.look_ahead();
        self.counts[&step].clone()
    }

    /// By task: alpha * weight / labelled rows of the whole batch; zero for a task without rows.
    ///
    /// # Errors
    /// When the weighting has no answer.
    pub fn scales(&mut self) -> Result<Vec<f32>, NotFinite> {
        let step = self.step;
        let counts = self.counts(step);
        let present = present(&counts);
        let mut state = self.weighting.clone();
        let outcome = self.method.weigh(&self.moment(&present), &Statistics::default(), &mut state);
        self.weighting = state;
        let impossible = |reason: String| NotFinite::Impossible { step, reason };
        let outcome = outcome.map_err(|failure| impossible(failure.to_string()))?;
        let alpha = outcome.combination.alpha().ok_or_else(|| impossible("the weighting gave no alpha".into()))?;
        let mut scales = vec![0.0; counts.len()];
        for (alpha, task) in alpha.iter().zip(present) {
            scales[task] = (alpha * self.plan.shapes().tasks[task].weight / counts[task] as f64) as f32;
        }
        Ok(scales)
    }

    fn moment<'a>(&'a self, present: &'a [usize]) -> Moment<'a> {
        Moment {
            step: self.step,
            epoch: self.step / self.steps_per_epoch(),
            tasks: self.plan.shapes().tasks.len(),
            present,
            optimizer: &self.optimizer,
            learning_rate: self.learning_rate(),
            stream: Stream::new(self.seed, Purpose::Weighting, &[self.step]),
        }
    }

    /// Steps in which the longest feed is seen once, at least 1.
    fn steps_per_epoch(&self) -> u64 {
        let feeds = 0..self.plan.feeds().len();
        let steps = |feed| self.plan.rows(feed, SplitName::Train).div_ceil(u64::from(self.plan.batch_size(feed)));
        feeds.map(steps).max().unwrap_or(1).max(1)
    }

    fn learning_rate(&self) -> f64 {
        self.schedule.learning_rate(self.optimizer.learning_rate(), self.step, self.steps)
    }

    /// Adds the gradients in the canonical tree and builds the next parameters beside the current ones.
    ///
    /// # Errors
    /// [`NotFinite`] when the step can't count; the current parameters are as they were.
    pub fn update(&mut self, step: u64, gradients: Vec<Gradient>) -> Result<StepReport, NotFinite> {
        debug_assert_eq!(step, self.step, "updates come in order");
        let counts = self.counts(step);
        let losses = self.losses(step, &counts, &gradients)?;
        let learning_rate = self.learning_rate();
        let gradient_norm = self.apply(step, learning_rate, &gradients)?;
        self.learn(step, &counts, &losses)?;
        self.step += 1;
        self.counts.remove(&step);
        let next_scales = if self.step < self.steps { self.scales()? } else { Vec::new() };
        Ok(StepReport { step, losses, gradient_norm, learning_rate, next_scales })
    }

    fn losses(&self, step: u64, counts: &[u64], gradients: &[Gradient]) -> Result<Vec<Option<f64>>, NotFinite> {
        let nodes: BTreeMap<Node, Vec<LossSum>> = gradients.iter().map(|g| (g.node, g.losses.clone())).collect();
        let root = Node::root(self.plan.microbatches());
        let sums = tree::fold(root, nodes, &mut add_losses)
            .map_err(|uncovered| NotFinite::Impossible { step, reason: uncovered.to_string() })?;
        let mut losses = vec![None; counts.len()];
        for sum in sums {
            let task = sum.task as usize;
            if counts[task] != sum.rows {
                let name = &self.plan.shapes().tasks[task].name;
                let reason = format!("workers counted {} labels of task `{name}`, the plan {}", sum.rows, counts[task]);
                return Err(NotFinite::Impossible { step, reason });
            }
            if sum.rows == 0 {
                continue;
            }
            let loss = sum.loss / sum.rows as f64;
            if !loss.is_finite() {
                let task = self.plan.shapes().tasks[task].name.clone();
                return Err(NotFinite::Loss { step, task, loss });
            }
            losses[task] = Some(loss);
        }
        Ok(losses)
    }

    fn apply(&mut self, step: u64, learning_rate: f64, gradients: &[Gradient]) -> Result<Option<f64>, NotFinite> {
        let impossible = |reason: String| NotFinite::Impossible { step, reason };
        let mut vectors: BTreeMap<Node, &[f32]> = BTreeMap::new();
        for gradient in gradients {
            let vector = gradient.vector.vector().map_err(|other| impossible(other.to_string()))?;
            vectors.insert(gradient.node, vector);
        }
        let root = Node::root(self.plan.microbatches());
        let elements = self.parameters.elements();
        let blocks = self.layout.ranges();
        let cuts = if self.optimizer.is_elementwise() { cuts(elements) } else { vec![0, elements] };
        let norm = match self.clip_norm {
            Some(_) => {
                let parts = self.gradient.par_chunks_mut(PART).enumerate();
                parts
                    .try_for_each(|(i, sum)| sum_into(root, &vectors, i * PART..i * PART + sum.len(), sum))
                    .map_err(|missing| impossible(missing.to_string()))?;
                Some(clip::norm(&self.gradient))
            }
            None => None,
        };
        let scale = match (norm, self.clip_norm) {
            (Some(norm), Some(clip_norm)) => clip::scale_for(norm, clip_norm),
            _ => 1.0,
        };
        let update = self.optimizer.begin(&mut self.state, learning_rate, scale);
        let parts = self.state.parts(&cuts);
        let added = norm.is_some();
        let (gradient, parameters) = (&mut self.gradient, &self.parameters);
        let finite = parameters.build_next(step, |current, next| {
            let work: Vec<Piece<'_>> = pieces(parts, current, gradient, next);
            work.into_par_iter().map(|piece| piece.run(&update, &blocks, root, &vectors, added)).collect()
        });
        let finite: Result<Vec<bool>, super::Missing> = finite;
        match finite {
            Err(missing) => Err(impossible(missing.to_string())),
            Ok(parts) if parts.iter().all(|finite| *finite) => Ok(norm),
            Ok(_) => Err(NotFinite::Update { step }),
        }
    }

    fn learn(&mut self, step: u64, counts: &[u64], losses: &[Option<f64>]) -> Result<(), NotFinite> {
        let present = present(counts);
        let tasks = &self.plan.shapes().tasks;
        let losses: Vec<f64> =
            present.iter().map(|task| tasks[*task].weight * losses[*task].unwrap_or_default()).collect();
        let mut state = std::mem::take(&mut self.weighting);
        let observed = Observed { losses: &losses, losses_after: None };
        let learned = self.method.learn(&self.moment(&present), &observed, &mut state);
        self.weighting = state;
        learned.map_err(|failure| NotFinite::Impossible { step, reason: failure.to_string() })
    }

    /// Puts parameters and states into a checkpoint of the current step.
    pub fn fill(&self, checkpoint: &mut Checkpoint) {
        checkpoint.parameters = self.parameters.read(checkpoint.step, <[f32]>::to_vec);
        let block = |b: &model::Block| Block { name: b.name.clone(), shape: b.shape.clone(), offset: b.offset };
        checkpoint.blocks = self.layout.blocks().iter().map(block).collect();
        let slots = self.state.slots.iter();
        checkpoint.optimizer = slots.map(|(name, values)| Tensor::new(name.clone(), values.clone())).collect();
        let numbers = self.weighting.numbers.iter().map(|(name, v)| Tensor::new(name.clone(), v.clone()));
        let vectors = self.weighting.vectors.iter().map(|(name, v)| Tensor::new(name.clone(), v.clone()));
        checkpoint.weighting = numbers.chain(vectors).collect();
        checkpoint.states.insert("optimizer.step".into(), self.state.step.to_string());
    }
}

fn present(counts: &[u64]) -> Vec<usize> {
    counts.iter().enumerate().filter(|(_, rows)| **rows > 0).map(|(task, _)| task).collect()
}

fn cuts(elements: usize) -> Vec<usize> {
    (0..elements).step_by(PART).chain([elements]).collect()
}

fn add_losses(mut left: Vec<LossSum>, right: Vec<LossSum>) -> Vec<LossSum> {
    for (left, right) in left.iter_mut().zip(right) {
        left.loss += right.loss;
        left.rows += right.rows;
    }
    left
}

/// A part of the layout with everything that an update of it touches.
struct Piece<'a> {
    state: StatePart<'a>,
    current: &'a [f32],
    gradient: &'a mut [f32],
    next: &'a mut [f32],
}

fn pieces<'a>(
    states: Vec<StatePart<'a>>,
    current: &'a [f32],
    mut gradient: &'a mut [f32],
    mut next: &'a mut [f32],
) -> Vec<Piece<'a>> {
    let mut pieces = Vec::with_capacity(states.len());
    for state in states {
        let range = state.range.clone();
        let (own_gradient, rest) = std::mem::take(&mut gradient).split_at_mut(range.len());
        gradient = rest;
        let (own_next, rest) = std::mem::take(&mut next).split_at_mut(range.len());
        next = rest;
        pieces.push(Piece { current: &current[range], gradient: own_gradient, next: own_next, state });
    }
    pieces
}

impl Piece<'_> {
    /// Adds (unless that is done) and updates; says whether all new parameters are finite.
    fn run(
        mut self,
        update: &Update,
        blocks: &[Range<usize>],
        root: Node,
        vectors: &BTreeMap<Node, &[f32]>,
        added: bool,
    ) -> Result<bool, super::Missing> {
        let range = self.state.range.clone();
        let gradient: &[f32] = match vectors.get(&root) {
            Some(vector) if !added => &vector[range],
            _ => {
                if !added {
                    sum_into(root, vectors, range, self.gradient)?;
                }
                self.gradient
            }
        };
        update.apply(&mut self.state, blocks, self.current, gradient, self.next);
        Ok(is_finite(gradient) && is_finite(self.next))
    }
}

/// Whether every element is finite, without a branch for each.
fn is_finite(vector: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7f80_0000;
    vector.iter().fold(0, |all, value| all | u32::from(value.to_bits() & EXPONENT == EXPONENT)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_element_that_is_not_finite_is_seen() {
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut vector = vec![f32::MAX; 100];
            assert!(is_finite(&vector));
            vector[77] = wrong;
            assert!(!is_finite(&vector));
        }
    }

    #[test]
    fn the_parts_cover_every_element_once() {
        for elements in [1, PART - 1, PART, PART + 1, 3 * PART] {
            let cuts = cuts(elements);
            assert!(cuts.windows(2).all(|cut| cut[0] < cut[1]), "{elements}: {cuts:?}");
            assert_eq!((cuts[0], *cuts.last().unwrap()), (0, elements));
        }
    }
}
