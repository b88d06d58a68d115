//! `elu`: `x` above 0, `alpha (e^x - 1)` below (Clevert, Unterthiner and Hochreiter, "Fast and
//! accurate deep network learning by exponential linear units", ICLR 2016).

use burn::tensor::Tensor;
use objectives::exponential::exp;
use settings::{Entry, Invalid, Range, Reader};

use super::{Activation, ActivationFn, Pointwise};

pub(super) const ENTRY: Entry<ActivationFn> = Entry::built_in(
    "elu",
    "`x` above 0, `alpha (e^x - 1)` below (Clevert, Unterthiner and Hochreiter, ICLR 2016)",
    read,
);

#[derive(Debug, Clone)]
pub(super) struct Elu {
    pub(super) alpha: f32,
}

fn read(reader: &mut Reader<'_>) -> Result<Activation, Invalid> {
    let alpha = reader.number("alpha", 1.0, Range::Positive, "the negative of the limit far below 0")?;
    Ok(Activation::new(Elu { alpha: alpha as f32 }))
}

impl Pointwise for Elu {
    const KEEPS_INPUT: bool = false;

    #[inline(always)]
    fn value(&self, x: f32) -> f32 {
        if x > 0.0 { x } else { self.alpha * exp_minus_1(x) }
    }

    #[inline(always)]
    fn backward(&self, y: f32, gradient: f32) -> f32 {
        if y > 0.0 { gradient } else { gradient * (y + self.alpha) }
    }

    fn tensor(&self, x: Tensor<2>) -> Tensor<2> {
        // burn's own ELU takes e^x of every number. If that overflows, its derivative is NaN.
        let above = x.clone().greater_elem(0.0);
        let below = (x.clone().mask_fill(above.clone(), 0.0).exp() - 1.0) * self.alpha;
        below.mask_where(above, x)
    }
}

/// `e^x - 1` for `x` of at most 0.
#[inline(always)]
fn exp_minus_1(x: f32) -> f32 {
    // Taylor's series near zero, where the difference would lose digits.
    let series = 1.0
        + x * (1.0 / 2.0
            + x * (1.0 / 6.0 + x * (1.0 / 24.0 + x * (1.0 / 120.0 + x * (1.0 / 720.0 + x * (1.0 / 5040.0))))));
    if x > -0.35 { x * series } else { exp(x) - 1.0 }
}
