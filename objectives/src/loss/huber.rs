//! `huber`: mean over the outputs of `e^2 / 2` up to `|e| = delta` and of `delta (|e| - delta / 2)`
//! beyond, where `e = x - y` for output `x` and scaled label `y` (Huber, "Robust estimation of a
//! location parameter", Annals of Mathematical Statistics 1964), as PyTorch's `HuberLoss`.

use settings::{Entry, Range};

use super::{AllLabels, Loss, LossPart, mean_over_outputs};
use crate::Kind;

pub(super) const ENTRY: Entry<LossPart> = Entry::built_in(
    "huber",
    "squared error of the scaled target up to `delta`, absolute error beyond, as PyTorch's `HuberLoss`; the mean over \
     the outputs",
    LossPart {
        kinds: &[Kind::Regression],
        unscaled: false,
        read: |reader, _| Ok(Box::new(Huber { delta: reader.number("delta", 1.0, Range::Positive, DELTA)? })),
    },
);

const DELTA: &str = "error beyond which the loss grows linearly";

#[derive(Debug)]
struct Huber {
    delta: f64,
}

impl Loss for Huber {
    fn row(&self, outputs: &[f32], labels: &[f32], scale: f32, derivative: &mut [f32]) -> f64 {
        let slope_max = self.delta as f32;
        mean_over_outputs(outputs, labels, scale, derivative, |x, y| {
            (self.of_error(f64::from(x) - f64::from(y)), (x - y).clamp(-slope_max, slope_max))
        })
    }

    /// The best constant is between the mean and the median.
    fn baseline(&self, labels: &AllLabels<'_>) -> Vec<f64> {
        labels.by_output(|labels| self.best_constant(&labels), |x, y| self.of_error(y - x))
    }

    fn predict(&self, outputs: &[f32], prediction: &mut [f32]) {
        prediction.copy_from_slice(outputs);
    }
}

impl Huber {
    fn of_error(&self, error: f64) -> f64 {
        let delta = self.delta;
        if error.abs() <= delta { 0.5 * error * error } else { delta * (error.abs() - 0.5 * delta) }
    }

    fn best_constant(&self, labels: &[f64]) -> f64 {
        if labels.is_empty() {
            return 0.0;
        }
        let mut low = labels.iter().copied().fold(f64::INFINITY, f64::min);
        let mut high = labels.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // The slope in the constant grows from negative to positive: 64 halvings find its zero to
        // the last bits.
        for _ in 0..64 {
            let middle = 0.5 * (low + high);
            let slope: f64 = labels.iter().map(|label| (middle - label).clamp(-self.delta, self.delta)).sum();
            if slope < 0.0 { low = middle } else { high = middle }
        }
        0.5 * (low + high)
    }
}
