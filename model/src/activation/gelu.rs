//! `gelu`: `x Phi(x)`, where `Phi` is the standard normal distribution function (Hendrycks and
//! Gimpel, "Gaussian error linear units", 2016).

use burn::tensor::{Tensor, activation};
use objectives::exponential::exp;
use settings::Entry;

use super::{Activation, ActivationFn, Pointwise};

pub(super) const ENTRY: Entry<ActivationFn> = Entry::built_in(
    "gelu",
    "`x Phi(x)`, `Phi` the standard normal distribution function (Hendrycks and Gimpel, 2016)",
    |_| Ok(Activation::new(Gelu)),
);

#[derive(Debug, Clone)]
pub(super) struct Gelu;

impl Pointwise for Gelu {
    const KEEPS_INPUT: bool = true;

    #[inline(always)]
    fn value(&self, x: f32) -> f32 {
        x * gaussian_cdf_pdf(x).0
    }

    #[inline(always)]
    fn backward(&self, x: f32, gradient: f32) -> f32 {
        let (cdf, pdf) = gaussian_cdf_pdf(x);
        gradient * (cdf + x * pdf)
    }

    fn tensor(&self, x: Tensor<2>) -> Tensor<2> {
        activation::gelu(x)
    }
}

/// The standard normal distribution's cumulative distribution function and density at `x`.
///
/// The former is 7.1.26 of Abramowitz and Stegun, Handbook of Mathematical Functions.
#[allow(clippy::excessive_precision)] // the digits that the book prints
#[inline(always)]
fn gaussian_cdf_pdf(x: f32) -> (f32, f32) {
    const INVERSE_SQRT_TAU: f32 = 0.398_942_3;
    let bell = exp(-0.5 * x * x);
    let size = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * size);
    let series =
        t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let tail = 0.5 * series * bell;
    (if x > 0.0 { 1.0 - tail } else { tail }, bell * INVERSE_SQRT_TAU)
}
