//! A training run of four numbers, in which every sum shows the order of its addition.

use std::collections::BTreeMap;

use aggregation::{
    random::{Purpose, Stream},
    tree::{self, Node},
};
use coordinator::{
    run::{Mode, Settings},
    selection::{Evaluated, Selection},
};

pub const PARAMETERS: usize = 4;

/// A gradient, or a part of one.
pub type Sum = [f32; PARAMETERS];

/// The state that a checkpoint has to hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Model {
    pub theta: Sum,
    /// The weighting's state.
    pub weight: f64,
    /// The seed of the steps that are not finite. 0: there are none.
    pub odd: u64,
}

/// The course of a run.
#[derive(Debug, Clone)]
pub struct Course {
    pub settings: Settings,
    /// The selection before the first evaluation.
    pub selection: Selection,
    /// The seed of the steps that are not finite. 0: there are none.
    pub odd: u64,
}

/// What is summed over a node: the gradient of a feed or of all feeds, or the losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Gradient(Option<u32>),
    TaskGradients(u32),
    Losses,
    Validation(u32),
}

impl Model {
    pub fn first(odd: u64) -> Model {
        Model { theta: [0.5, -0.25, 1.0, 0.125], weight: 1.0, odd }
    }

    /// Whether the true losses, gradients or sums of an evaluation of a step are not finite.
    fn is_odd(&self, what: What, step: u64) -> bool {
        let draw = Stream::new(self.odd, Purpose::Synthetic, &[4, step]).u32_at(0) % 8;
        self.odd > 0
            && matches!(
                (draw, what),
                (0, What::Losses) | (1, What::Gradient(_)) | (2, What::TaskGradients(_)) | (3, What::Validation(_))
            )
    }

    /// The sum over a node, as a worker computes it.
    pub fn sum(&self, what: What, step: u64, node: Node) -> Sum {
        tree::fold_leaves(node, &mut |leaf| self.leaf(what, step, leaf), &mut add)
    }

    /// The numbers of a microbatch. Their sizes differ a lot, so that f32 sums depend on the order.
    fn leaf(&self, what: What, step: u64, leaf: u32) -> Sum {
        let place = match what {
            What::Gradient(feed) => [1, feed.map_or(0, |feed| 1 + u64::from(feed))],
            What::Losses => [2, 0],
            What::Validation(feed) => [3, u64::from(feed)],
            What::TaskGradients(feed) => [4, u64::from(feed)],
        };
        if leaf == 0 && self.is_odd(what, step) {
            return [f32::NAN; PARAMETERS];
        }
        let stream = Stream::new(7, Purpose::Synthetic, &[place[0], place[1], step, u64::from(leaf)]);
        std::array::from_fn(|i| {
            let scale = [1.0, 1e-3, 1e3, 3e-6][(stream.u32_at(i as u64) % 4) as usize];
            scale * stream.normal_at(10 + i as u64) + self.theta[i]
        })
    }

    /// The weight that follows from the losses before the gradient.
    pub fn alpha(&self, losses: &Sum) -> f32 {
        self.weight as f32 / (1.0 + losses[0].abs())
    }

    /// The model after an update with the sums by feed.
    pub fn updated(&self, alpha: f32, sums: &[Sum]) -> Model {
        let mut next = *self;
        for sum in sums {
            for (theta, sum) in next.theta.iter_mut().zip(sum) {
                *theta = 0.99 * *theta - 1e-4 * alpha * sum;
            }
        }
        next
    }

    /// The model after the weighting has learned from the losses after the update.
    pub fn learned(mut self, losses: &Sum) -> Model {
        self.weight = 0.9 * self.weight + 0.1 / (1.0 + f64::from(losses[1].abs()));
        self
    }

    /// A number that tells models apart.
    pub fn loss(&self) -> f64 {
        self.theta.iter().map(|theta| f64::from(*theta)).sum::<f64>() + self.weight
    }
}

pub fn is_finite(sum: &Sum) -> bool {
    sum.iter().all(|value| value.is_finite())
}

/// The model after a step. `None` if something in the step is not finite.
fn stepped(now: &Model, settings: &Settings, step: u64) -> Option<Model> {
    let root = Node::root(settings.microbatches);
    let losses = |model: &Model| Some(model.sum(What::Losses, step, root)).filter(is_finite);
    let alpha = if settings.losses_before { now.alpha(&losses(now)?) } else { now.weight as f32 };
    let sums: Vec<Sum> = feeds(settings).iter().map(|feed| now.sum(What::Gradient(*feed), step, root)).collect();
    let next = sums.iter().all(is_finite).then(|| now.updated(alpha, &sums))?;
    if settings.losses_after { losses(&next).map(|losses| next.learned(&losses)) } else { Some(next) }
}

pub fn add(mut left: Sum, right: Sum) -> Sum {
    left.iter_mut().zip(right).for_each(|(left, right)| *left += right);
    left
}

/// The feeds of a step's gradient jobs.
pub fn feeds(settings: &Settings) -> Vec<Option<u32>> {
    match &settings.mode {
        Mode::Combined => vec![None],
        Mode::PerTask { feeds, .. } => (0..feeds.len() as u32).map(Some).collect(),
    }
}

/// The run in which nothing goes wrong.
#[derive(Debug)]
pub struct Quiet {
    /// The model by number of updates.
    pub models: Vec<Model>,
    /// The number of skipped steps by number of steps.
    pub skipped: Vec<u64>,
    /// The step of the best parameters by number of evaluated steps.
    pub best: Vec<Option<u64>>,
    /// The results in the journal by step and split.
    pub results: BTreeMap<(u64, &'static str), f64>,
}

impl Quiet {
    /// The step of the best parameters after `step`. `evaluation_due`: its evaluation is still to
    /// come.
    pub fn best(&self, step: u64, evaluation_due: bool) -> Option<u64> {
        self.best[step as usize - usize::from(evaluation_due)]
    }
}

/// An evaluation as the selection sees it.
pub fn evaluated(value: f64) -> Evaluated {
    Evaluated { loss: Some(value), ..Evaluated::default() }
}

pub fn quiet(Course { settings, selection, odd }: &Course) -> Quiet {
    let root = Node::root(settings.microbatches);
    let (mut models, mut skipped) = (vec![Model::first(*odd)], vec![0]);
    let (mut best, mut selection, mut stop) = (vec![None], selection.clone(), false);
    let mut results = BTreeMap::new();
    for step in 0..settings.steps {
        let now = models[step as usize];
        let stepped = stepped(&now, settings, step);
        let asked =
            settings.task_gradients.as_ref().filter(|_| settings.wants_task_gradients_after(step) && stepped.is_some());
        if let Some(asked) = asked {
            let sums = (0..asked.feeds.len() as u32).map(|feed| now.sum(What::TaskGradients(feed), step, root));
            let sums: Vec<Sum> = sums.collect();
            if sums.iter().all(is_finite) {
                results.insert((step + 1, "measured"), measured(&sums));
            }
        }
        skipped.push(skipped[step as usize] + u64::from(stepped.is_none()));
        let next = stepped.unwrap_or(now);
        results.insert((step + 1, "train"), next.loss());
        best.push(best[step as usize]);
        if settings.evaluates_after(step + 1) {
            let value = validation(&next, settings, step + 1);
            results.insert((step + 1, "validation"), value);
            let verdict = selection.observe(step + 1, &evaluated(value));
            if verdict.improved {
                best[step as usize + 1] = Some(step + 1);
            }
            stop = verdict.stop;
        }
        models.push(next);
        if stop {
            break;
        }
    }
    Quiet { models, skipped, best, results }
}

/// A number in place of the inner products of the sums by feed.
pub fn measured(sums: &[Sum]) -> f64 {
    sums.iter().flatten().map(|sum| f64::from(*sum) * f64::from(*sum)).sum()
}

fn validation(model: &Model, settings: &Settings, step: u64) -> f64 {
    let feeds = settings.chunks.iter().zip(0..).filter(|(chunks, _)| chunks.validation > 0);
    let sum = |(chunks, feed): (&coordinator::run::Chunks, u32)| {
        f64::from(model.sum(What::Validation(feed), step, Node::root(chunks.validation))[0])
    };
    feeds.map(sum).sum()
}
