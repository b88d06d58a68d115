//! Activations: functions of each number, one file each.
//!
//! An activation is one file in this folder: an `ENTRY` with its name, a function that reads its
//! parameters, and a [`Pointwise`] function. It has one line in [`ACTIVATIONS`]. A pointwise
//! function is written twice: over numbers, for the engine that is written by hand, and over burn
//! tensors, for all other engines and devices.
//!
//! The functions over numbers are made of [`objectives::exponential`], which has the same bits
//! wherever the arithmetic is the same, and whose loops vectorise. Errors are a few units in the
//! last place, and at most 2e-7 absolute for the normal distribution of GELU.

mod elu;
mod gelu;
mod leaky_relu;
mod mish;
mod relu;
mod sigmoid;
mod silu;
mod tanh;
#[cfg(test)]
mod tests;
mod wide;

use std::fmt;
use std::sync::Arc;

use burn::tensor::Tensor;
use settings::{Component, Description, Invalid, Reader, Registry};

use self::wide::Loops;

/// Reads an activation's parameters.
pub type ActivationFn = fn(&mut Reader<'_>) -> Result<Activation, Invalid>;

/// All activations, in the order of the reference.
pub static ACTIVATIONS: Registry<ActivationFn> = Registry::new(
    "activation",
    &[relu::ENTRY, gelu::ENTRY, tanh::ENTRY, silu::ENTRY, sigmoid::ENTRY, leaky_relu::ENTRY, elu::ENTRY, mish::ENTRY],
);

/// The activation of a trunk that names none.
const DEFAULT: &str = "relu";

/// A function of one number with its derivative. It is a pure function of its arguments and
/// parameters.
pub trait Pointwise: fmt::Debug + Send + Sync + 'static {
    /// Whether the derivative is computed from the number before the function. If not, it is
    /// computed from the function's value, and one vector less is kept for the backward pass.
    const KEEPS_INPUT: bool;

    /// The function's value. Mark it `#[inline(always)]`, so that loops over it vectorise.
    fn value(&self, x: f32) -> f32;

    /// `gradient` times the derivative. `kept` is the number before the function or the function's
    /// value, as [`Pointwise::KEEPS_INPUT`] says. Mark it `#[inline(always)]`.
    fn backward(&self, kept: f32, gradient: f32) -> f32;

    /// The function's value for each element, of a shape that means nothing.
    fn tensor(&self, x: Tensor<2>) -> Tensor<2>;
}

/// An activation with its parameters.
#[derive(Debug, Clone)]
pub struct Activation(Arc<dyn Loops>);

impl Activation {
    /// The activation of a function.
    pub fn new(function: impl Pointwise) -> Self {
        Self(Arc::new(function))
    }

    /// Reads the activation of a trunk from `key`. If it is not given, it is `relu`.
    ///
    /// # Errors
    /// [`Invalid`] for a name that is unknown, and for what the activation refuses.
    pub fn read(reader: &mut Reader<'_>, key: &'static str, documentation: &'static str) -> Result<Self, Invalid> {
        reader.part(key, DEFAULT, &ACTIVATIONS, |part, reader| part(reader), documentation)
    }

    /// Reads an activation from `key`, if it is given; `otherwise` says in words what happens
    /// without it.
    ///
    /// # Errors
    /// As for [`Activation::read`].
    pub fn read_optional(
        reader: &mut Reader<'_>,
        key: &'static str,
        otherwise: &'static str,
        documentation: &'static str,
    ) -> Result<Option<Self>, Invalid> {
        reader.optional_part(key, &ACTIVATIONS, otherwise, |part, reader| part(reader), documentation)
    }

    /// The activation that a component names, and the component with its defaults filled in.
    ///
    /// # Errors
    /// As for [`Activation::read`].
    pub(crate) fn of(component: &Component) -> Result<(Self, Component), Invalid> {
        ACTIVATIONS.read(component, |part, reader| part(reader))
    }

    /// `values = activation(values)`.
    pub(crate) fn apply(&self, values: &mut [f32]) {
        self.0.apply(values);
    }

    /// `gradient *= activation'`, from what the forward pass kept: the numbers before the
    /// activation if [`Activation::keeps_input`], else those after it.
    pub(crate) fn backward(&self, kept: &[f32], gradient: &mut [f32]) {
        self.0.backward(kept, gradient);
    }

    /// Whether the derivative is computed from the numbers before the activation.
    pub(crate) fn keeps_input(&self) -> bool {
        self.0.keeps_input()
    }

    /// The activation of each element.
    pub(crate) fn tensor(&self, x: Tensor<2>) -> Tensor<2> {
        self.0.tensor(x)
    }
}

/// The activation of a trunk that names none.
impl Default for Activation {
    fn default() -> Self {
        Self::of(&Component::named(DEFAULT)).expect("the default activation has no parameters").0
    }
}

/// All activations with their parameters, for the reference.
pub fn reference() -> Vec<Description> {
    ACTIVATIONS.describe(|part, reader| part(reader))
}
