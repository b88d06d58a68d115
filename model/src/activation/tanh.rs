//! `tanh`: the hyperbolic tangent.

use burn::tensor::{Tensor, activation};
use objectives::exponential::exp;
use settings::Entry;

use super::{Activation, ActivationFn, Pointwise};

pub(super) const ENTRY: Entry<ActivationFn> =
    Entry::built_in("tanh", "the hyperbolic tangent", |_| Ok(Activation::new(Tanh)));

#[derive(Debug, Clone)]
pub(super) struct Tanh;

impl Pointwise for Tanh {
    const KEEPS_INPUT: bool = false;

    #[inline(always)]
    fn value(&self, x: f32) -> f32 {
        tanh(x)
    }

    #[inline(always)]
    fn backward(&self, y: f32, gradient: f32) -> f32 {
        gradient * (1.0 - y * y)
    }

    fn tensor(&self, x: Tensor<2>) -> Tensor<2> {
        activation::tanh(x)
    }
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    let size = x.abs();
    let far = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
    // Taylor's series near zero, where the difference above would lose digits.
    let s = x * x;
    let series = 1.0
        + s * (-1.0 / 3.0
            + s * (2.0 / 15.0
                + s * (-17.0 / 315.0
                    + s * (62.0 / 2835.0 + s * (-1382.0 / 155_925.0 + s * (21_844.0 / 6_081_075.0))))));
    if size < 0.35 { x * series } else { far.copysign(x) }
}
