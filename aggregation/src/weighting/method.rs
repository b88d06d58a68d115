//! The interface of every weighting: its needs, its state, its statistics and its outcome.
//!
//! [`Method::weigh`] returns the combination of the tasks' gradients, from what the method needs
//! before or with the gradients. After the update, [`Method::learn`] gets the losses (and those
//! after the update, if the method needs them) and changes the state. Both change only the state
//! that they are given. The caller keeps the old one until the step commits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::gramian::Gramian;
use crate::optimizer::Optimizer;
use crate::random::Stream;

/// One thing that a method needs of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// This step's losses before the backward pass. Alpha depends on them.
    LossesBefore,
    /// This step's losses, which come with the gradients. [`Method::learn`] gets them in combined
    /// mode; in per-task mode alpha may depend on them too.
    LossesWith,
    /// The losses after the update, on the same rows.
    LossesAfter,
    /// The Gramian of the tasks' gradients over the shared blocks.
    Gramian,
    /// The Gramian of each shared block.
    GramianByBlock,
    /// The inner products between the tasks' gradients of the root's left subtree and those of its
    /// right subtree.
    GramianCross,
    /// The tasks' gradients themselves.
    Jacobian,
}

/// The set of things that a method needs.
pub type Needs = BTreeSet<Need>;

impl Need {
    /// Whether workers have to send one vector for each task.
    pub fn is_per_task(self) -> bool {
        self.is_gramian() || self == Need::Jacobian
    }

    /// Whether it consists of inner products of gradients.
    pub fn is_gramian(self) -> bool {
        matches!(self, Need::Gramian | Need::GramianByBlock | Need::GramianCross)
    }
}

/// The step in which a method is asked, and the tasks that take part.
#[derive(Debug, Clone)]
pub struct Moment<'a> {
    /// The step, from 0.
    pub step: u64,
    /// The number of whole passes over the longest feed before this step.
    pub epoch: u64,
    /// The number of tasks in the experiment.
    pub tasks: usize,
    /// The tasks that have labelled rows in this step, ascending. Statistics and weights are for
    /// these, in this order.
    pub present: &'a [usize],
    /// The model's optimizer, for learned scalars.
    pub optimizer: &'a Optimizer,
    /// The model's learning rate at this step, for learned scalars.
    pub learning_rate: f64,
    /// This step's randomness.
    pub stream: Stream,
}

/// What is known of a step. A statistic that the method does not need may be absent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Statistics<'a> {
    /// The weighted mean loss of each present task.
    pub losses: Option<&'a [f64]>,
    /// G over the shared blocks: [present, present].
    pub gramian: Option<&'a Gramian>,
    /// G of each shared block, with the block's name, in layout order.
    pub gramian_by_block: Option<&'a [(&'a str, Gramian)]>,
    /// Inner products of left gradients (rows) with right gradients (columns): [present, present].
    pub gramian_cross: Option<&'a Gramian>,
    /// The gradients over the shared blocks: one slice of equal length for each present task.
    pub jacobian: Option<&'a [&'a [f32]]>,
}

impl<'a> Statistics<'a> {
    /// The losses of the present tasks, for a method that needs them before or with the gradients.
    ///
    /// # Errors
    /// [`Failure::Missing`] if the step was computed without it.
    pub fn losses(&self, method: &'static str) -> Result<&'a [f64], Failure> {
        self.losses.ok_or(Failure::Missing { method, need: Need::LossesBefore })
    }

    /// The Gramian of the present tasks' gradients.
    ///
    /// # Errors
    /// [`Failure::Missing`] if the step was computed without it.
    pub fn gramian(&self, method: &'static str) -> Result<&'a Gramian, Failure> {
        self.gramian.ok_or(Failure::Missing { method, need: Need::Gramian })
    }

    /// The gradients of the present tasks.
    ///
    /// # Errors
    /// [`Failure::Missing`] if the step was computed without it.
    pub fn jacobian(&self, method: &'static str) -> Result<&'a [&'a [f32]], Failure> {
        self.jacobian.ok_or(Failure::Missing { method, need: Need::Jacobian })
    }
}

/// What is known after the update.
#[derive(Debug, Clone, Copy, Default)]
pub struct Observed<'a> {
    /// The weighted mean loss of each present task, with the parameters before the update.
    pub losses: &'a [f64],
    /// The losses with the parameters after the update, on the same rows, if the method needs them.
    pub losses_after: Option<&'a [f64]>,
}

/// How the present tasks' gradients become one direction.
#[derive(Debug, Clone, PartialEq)]
pub enum Combination {
    /// d = sum over tasks of alpha_t g_t.
    Alpha(Vec<f64>),
    /// Alpha for each shared block: [blocks, present].
    AlphaByBlock(Vec<Vec<f64>>),
    /// The direction itself, over the shared blocks.
    Direction(Vec<f32>),
}

impl Combination {
    /// Alpha, if the combination has one alpha for each task.
    pub fn alpha(&self) -> Option<&[f64]> {
        match self {
            Combination::Alpha(alpha) => Some(alpha),
            _ => None,
        }
    }
}

/// How good a solver's answer is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "value")]
pub enum Certificate {
    /// The answer's value is at most this far from the best value.
    DualityGap(f64),
    /// How far the answer misses the conditions that the best answer meets, relative to their
    /// terms.
    KktResidual(f64),
}

/// What a method decides for a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// How gradients are combined.
    pub combination: Combination,
    /// The solver's certificate, if the method has a solver.
    pub certificate: Option<Certificate>,
}

impl Outcome {
    /// A combination by these weights, without a certificate.
    pub fn alpha(alpha: Vec<f64>) -> Self {
        Self { combination: Combination::Alpha(alpha), certificate: None }
    }

    /// A combination with this direction over the shared blocks, without a certificate.
    pub fn direction(direction: Vec<f32>) -> Self {
        Self { combination: Combination::Direction(direction), certificate: None }
    }

    /// This outcome with a solver's certificate.
    #[must_use]
    pub fn certified(self, certificate: Certificate) -> Self {
        Self { certificate: Some(certificate), ..self }
    }
}

/// A method's state: named vectors. It is part of every checkpoint.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    /// Short vectors: by task, by pair of tasks, or counters.
    pub numbers: BTreeMap<String, Vec<f64>>,
    /// Vectors as long as the shared parameters, or a multiple of that.
    pub vectors: BTreeMap<String, Vec<f32>>,
}

impl State {
    /// The named numbers. `first` makes them if the state does not have them yet.
    pub fn numbers_or(&mut self, name: &str, first: impl FnOnce() -> Vec<f64>) -> &mut Vec<f64> {
        self.numbers.entry(name.to_owned()).or_insert_with(first)
    }
}

/// The smallest argument of a logarithm, for losses that reach 0.
pub(super) const TINY: f64 = 1e-12;

/// Fails if any loss is negative or NaN, for methods that take logarithms.
pub(super) fn not_negative(method: &'static str, present: &[usize], losses: &[f64]) -> Result<(), Failure> {
    match losses.iter().position(|loss| loss.is_nan() || *loss < 0.0) {
        None => Ok(()),
        Some(at) => Err(Failure::LossNegative { method, task: present[at], loss: losses[at] }),
    }
}

/// The exponentials of values, divided by their sum.
pub(super) fn softmax(values: &[f64]) -> Vec<f64> {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = values.iter().map(|value| libm::exp(value - largest)).collect();
    let total: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / total).collect()
}

/// The losses that a method can work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossDomain {
    /// Losses of any sign.
    Any,
    /// Losses of at least 0: the method takes logarithms or ratios.
    NotNegative,
}

/// Why a method has no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The step was computed without something that the method needs.
    #[error("the weighting {method} needs {need:?}, which the step did not compute")]
    Missing {
        /// The method.
        method: &'static str,
        /// What is missing.
        need: Need,
    },
    /// The method can't take the logarithm of a loss.
    #[error("the weighting {method} takes logarithms of losses, and the loss of task {task} is {loss}")]
    LossNegative {
        /// The method.
        method: &'static str,
        /// The task's number.
        task: usize,
        /// Its loss.
        loss: f64,
    },
    /// A number of the method is not finite.
    #[error("the weighting {method} computed a number that is not finite")]
    NotFinite {
        /// The method.
        method: &'static str,
    },
}

/// A weighting with its parameters. A method never changes; only its [`State`] does.
pub trait Method: fmt::Debug + Send + Sync {
    /// What the method needs of a step. Default: nothing.
    fn needs(&self) -> Needs {
        Needs::new()
    }

    /// The losses that the method accepts. Tasks' losses are never negative. Those of the toy
    /// problems can be, and are shifted up if the method needs it.
    fn accepts(&self) -> LossDomain {
        LossDomain::Any
    }

    /// The state before the first step, for this many tasks and shared parameters.
    fn state(&self, tasks: usize, shared: usize) -> State {
        let _ = (tasks, shared);
        State::default()
    }

    /// The combination of this step.
    ///
    /// # Errors
    /// [`Failure`] if a statistic is missing or out of the method's domain.
    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, state: &mut State) -> Result<Outcome, Failure>;

    /// Updates the state with this step's losses. Default: nothing.
    ///
    /// # Errors
    /// [`Failure`] if a statistic is missing or out of the method's domain.
    fn learn(&self, moment: &Moment<'_>, observed: &Observed<'_>, state: &mut State) -> Result<(), Failure> {
        let _ = (moment, observed, state);
        Ok(())
    }
}
