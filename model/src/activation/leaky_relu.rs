//! `leaky_relu`: `x` above 0, `negative_slope x` below (Maas, Hannun and Ng, "Rectifier
//! nonlinearities improve neural network acoustic models", ICML 2013).

use burn::tensor::Tensor;
use settings::{Entry, Invalid, Range, Reader};

use super::{Activation, ActivationFn, Pointwise};

pub(super) const ENTRY: Entry<ActivationFn> =
    Entry::built_in("leaky_relu", "`x` above 0, `negative_slope x` below (Maas, Hannun and Ng, ICML 2013)", read);

#[derive(Debug, Clone)]
pub(super) struct LeakyRelu {
    pub(super) negative_slope: f32,
}

fn read(reader: &mut Reader<'_>) -> Result<Activation, Invalid> {
    let slope = reader.number("negative_slope", 0.01, Range::NotNegative, "factor of the numbers below 0")?;
    Ok(Activation::new(LeakyRelu { negative_slope: slope as f32 }))
}

impl Pointwise for LeakyRelu {
    const KEEPS_INPUT: bool = false;

    #[inline(always)]
    fn value(&self, x: f32) -> f32 {
        if x > 0.0 { x } else { self.negative_slope * x }
    }

    #[inline(always)]
    fn backward(&self, y: f32, gradient: f32) -> f32 {
        if y > 0.0 { gradient } else { self.negative_slope * gradient }
    }

    fn tensor(&self, x: Tensor<2>) -> Tensor<2> {
        // The derivative of burn's own leaky ReLU at 0 is 1. Ours is the slope, as PyTorch's.
        let above = x.clone().greater_elem(0.0);
        (x.clone() * self.negative_slope).mask_where(above, x)
    }
}
