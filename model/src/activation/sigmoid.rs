//! `sigmoid`: `1 / (1 + e^-x)`.

use burn::tensor::{Tensor, activation};
use objectives::exponential::sigmoid;
use settings::Entry;

use super::{Activation, ActivationFn, Pointwise};

pub(super) const ENTRY: Entry<ActivationFn> =
    Entry::built_in("sigmoid", "`1 / (1 + e^-x)`", |_| Ok(Activation::new(Sigmoid)));

#[derive(Debug, Clone)]
pub(super) struct Sigmoid;

impl Pointwise for Sigmoid {
    const KEEPS_INPUT: bool = false;

    #[inline(always)]
    fn value(&self, x: f32) -> f32 {
        sigmoid(x)
    }

    #[inline(always)]
    fn backward(&self, y: f32, gradient: f32) -> f32 {
        gradient * (y * (1.0 - y))
    }

    fn tensor(&self, x: Tensor<2>) -> Tensor<2> {
        activation::sigmoid(x)
    }
}
