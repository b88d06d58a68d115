//! `mish`: `x tanh(ln(1 + e^x))` (Misra, "Mish: A self regularized non-monotonic activation
//! function", BMVC 2020).
//!
//! With `e = e^x` and `n = e (e + 2)`, the hyperbolic tangent is `n / (n + 2)`, and its derivative
//! by `x` is `4 e (1 + e) / (n + 2)^2`.

use burn::tensor::{Tensor, activation};
use objectives::exponential::exp;
use settings::Entry;

use super::{Activation, ActivationFn, Pointwise};

pub(super) const ENTRY: Entry<ActivationFn> =
    Entry::built_in("mish", "`x tanh(ln(1 + e^x))` (Misra, BMVC 2020)", |_| Ok(Activation::new(Mish)));

#[derive(Debug, Clone)]
pub(super) struct Mish;

impl Pointwise for Mish {
    const KEEPS_INPUT: bool = true;

    #[inline(always)]
    fn value(&self, x: f32) -> f32 {
        let (tanh, _) = tanh_of_softplus(x);
        x * tanh
    }

    #[inline(always)]
    fn backward(&self, x: f32, gradient: f32) -> f32 {
        let (tanh, slope) = tanh_of_softplus(x);
        // The slope is that at 20 for all larger numbers.
        gradient * (tanh + x.min(20.0) * slope)
    }

    fn tensor(&self, x: Tensor<2>) -> Tensor<2> {
        activation::mish(x)
    }
}

/// `tanh(ln(1 + e^x))` and its derivative.
#[inline(always)]
fn tanh_of_softplus(x: f32) -> (f32, f32) {
    // Beyond 20 the value is 1 in f32, and the squares below would overflow.
    let e = exp(x.min(20.0));
    let n = e * (e + 2.0);
    let inverse = 1.0 / (n + 2.0);
    (n * inverse, 4.0 * e * (1.0 + e) * inverse * inverse)
}
