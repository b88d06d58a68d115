//! `softsign`: `x / (1 + |x|)` (Bergstra et al. 2009).

use burn::tensor::Tensor;
use trunkline::{
    model::{Activation, Pointwise},
    settings::{Invalid, Reader},
};

#[derive(Debug)]
struct Softsign;

/// There are no parameters.
pub fn read(_: &mut Reader<'_>) -> Result<Activation, Invalid> {
    Ok(Activation::new(Softsign))
}

impl Pointwise for Softsign {
    /// The derivative is `(1 - |y|)^2` for the value `y`.
    const KEEPS_INPUT: bool = false;

    #[inline(always)]
    fn value(&self, x: f32) -> f32 {
        x / (1.0 + x.abs())
    }

    #[inline(always)]
    fn backward(&self, y: f32, gradient: f32) -> f32 {
        let rest = 1.0 - y.abs();
        gradient * (rest * rest)
    }

    fn tensor(&self, x: Tensor<2>) -> Tensor<2> {
        x.clone() / (x.abs() + 1.0)
    }
}
