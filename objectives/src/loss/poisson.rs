//! `poisson`: negative log likelihood of counts. The head's output `x` is the logarithm of the rate
//! of a Poisson distribution, and the label `y` is a count, in the target's own units.
//!
//! A row's loss is the mean over the outputs of `e^x - y - y (x - ln y)`, or `e^x` if `y = 0`. This
//! is `-ln P(y | rate = e^x)` less its least value, that at rate `y`: half the deviance (McCullagh
//! and Nelder, Generalized Linear Models, 1989, section 2.3). It differs from PyTorch's
//! `PoissonNLLLoss` by `y - y ln y` alone, which no output changes. So the derivative is the same,
//! `e^x - y`, and the loss is 0 for a perfect prediction and never negative.
//!
//! Predictions are rates, `e^x`. The best constant rate is the mean of the training labels.

use settings::Entry;

use super::{AllLabels, Loss, LossPart, mean_over_outputs};
use crate::Kind;
use crate::exponential::exp;
use crate::tree::sum;

pub(super) const ENTRY: Entry<LossPart> = Entry::built_in(
    "poisson",
    "negative log likelihood of a count `y` of at least 0: the output `x` is the logarithm of the rate, and a row's \
     loss is `e^x - y - y (x - ln y)` (0 for a perfect rate; half the deviance); predictions are rates, `e^x`; \
     `target_scale` is `none`",
    LossPart { kinds: &[Kind::Regression], unscaled: true, read: |_, _| Ok(Box::new(Poisson)) },
);

#[derive(Debug)]
struct Poisson;

impl Loss for Poisson {
    fn row(&self, outputs: &[f32], labels: &[f32], scale: f32, derivative: &mut [f32]) -> f64 {
        mean_over_outputs(outputs, labels, scale, derivative, |x, y| {
            let rate = libm::exp(f64::from(x));
            (half_deviance(rate, f64::from(x), f64::from(y)), (rate - f64::from(y)) as f32)
        })
    }

    /// Labels that are all 0 have the best rate 0, at which any other label has an infinite loss.
    /// The rate is then that of one row more with a count of 1.
    fn baseline(&self, labels: &AllLabels<'_>) -> Vec<f64> {
        let log_rate = |labels: Vec<f64>| {
            let rows = labels.len() as f64;
            let total = sum(labels);
            libm::log(if total > 0.0 { total / rows } else { 1.0 / (rows + 1.0) })
        };
        labels.by_output(log_rate, |x, y| half_deviance(libm::exp(x), x, y))
    }

    fn predict(&self, outputs: &[f32], prediction: &mut [f32]) {
        for (rate, x) in prediction.iter_mut().zip(outputs) {
            *rate = exp(*x);
        }
    }

    fn check_label(&self, label: f64) -> Result<(), String> {
        match label.is_finite() && label >= 0.0 {
            true => Ok(()),
            false => Err(format!("{label} is not a count: labels of loss `poisson` are finite and at least 0")),
        }
    }
}

/// `rate = e^x`. Rounding alone would make a perfect prediction's loss negative.
fn half_deviance(rate: f64, x: f64, y: f64) -> f64 {
    let loss = if y > 0.0 { rate - y - y * (x - libm::log(y)) } else { rate };
    if loss < 0.0 { 0.0 } else { loss }
}
