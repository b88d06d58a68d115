//! `mse`: mean over the outputs of `(x - y)^2`, for output `x` and scaled label `y`.

use settings::Entry;

use super::{AllLabels, Loss, LossPart, mean_over_outputs};
use crate::Kind;
use crate::tree::sum;

pub(super) const ENTRY: Entry<LossPart> = Entry::built_in(
    "mse",
    "squared error of the scaled target, the mean over the outputs",
    LossPart { kinds: &[Kind::Regression], unscaled: false, read: |_, _| Ok(Box::new(Mse)) },
);

#[derive(Debug)]
struct Mse;

impl Loss for Mse {
    fn row(&self, outputs: &[f32], labels: &[f32], scale: f32, derivative: &mut [f32]) -> f64 {
        mean_over_outputs(outputs, labels, scale, derivative, |x, y| {
            let exact = f64::from(x) - f64::from(y);
            (exact * exact, 2.0 * (x - y))
        })
    }

    /// The best constant is the mean.
    fn baseline(&self, labels: &AllLabels<'_>) -> Vec<f64> {
        let mean = |labels: Vec<f64>| match labels.len() {
            0 => 0.0,
            count => sum(labels) / count as f64,
        };
        labels.by_output(mean, |x, y| (y - x) * (y - x))
    }

    fn predict(&self, outputs: &[f32], prediction: &mut [f32]) {
        prediction.copy_from_slice(outputs);
    }
}
