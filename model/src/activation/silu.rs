//! `silu`: `x sigmoid(x)`, also called Swish (Ramachandran, Zoph and Le, "Searching for activation
//! functions", 2017).

use burn::tensor::{Tensor, activation};
use objectives::exponential::sigmoid;
use settings::Entry;

use super::{Activation, ActivationFn, Pointwise};

pub(super) const ENTRY: Entry<ActivationFn> =
    Entry::built_in("silu", "`x sigmoid(x)`, also called Swish (Ramachandran, Zoph and Le, 2017)", |_| {
        Ok(Activation::new(Silu))
    });

#[derive(Debug, Clone)]
pub(super) struct Silu;

impl Pointwise for Silu {
    const KEEPS_INPUT: bool = true;

    #[inline(always)]
    fn value(&self, x: f32) -> f32 {
        x * sigmoid(x)
    }

    #[inline(always)]
    fn backward(&self, x: f32, gradient: f32) -> f32 {
        let s = sigmoid(x);
        gradient * (s * (1.0 + x * (1.0 - s)))
    }

    fn tensor(&self, x: Tensor<2>) -> Tensor<2> {
        activation::silu(x)
    }
}
