//! `relu`: `max(x, 0)`.

use burn::tensor::{Tensor, activation};
use settings::Entry;

use super::{Activation, ActivationFn, Pointwise};

pub(super) const ENTRY: Entry<ActivationFn> = Entry::built_in("relu", "`max(x, 0)`", |_| Ok(Activation::new(Relu)));

#[derive(Debug, Clone)]
pub(super) struct Relu;

impl Pointwise for Relu {
    const KEEPS_INPUT: bool = false;

    #[inline(always)]
    fn value(&self, x: f32) -> f32 {
        x.max(0.0)
    }

    #[inline(always)]
    fn backward(&self, y: f32, gradient: f32) -> f32 {
        if y > 0.0 { gradient } else { 0.0 }
    }

    fn tensor(&self, x: Tensor<2>) -> Tensor<2> {
        activation::relu(x)
    }
}
