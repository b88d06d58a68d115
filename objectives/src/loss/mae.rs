//! `mae`: mean over the outputs of `|x - y|`, for output `x` and scaled label `y`. The derivative
//! at `x = y` is 0.

use settings::Entry;

use super::{AllLabels, Loss, LossPart, mean_over_outputs};
use crate::Kind;

pub(super) const ENTRY: Entry<LossPart> = Entry::built_in(
    "mae",
    "absolute error of the scaled target, the mean over the outputs",
    LossPart { kinds: &[Kind::Regression], unscaled: false, read: |_, _| Ok(Box::new(Mae)) },
);

#[derive(Debug)]
struct Mae;

impl Loss for Mae {
    fn row(&self, outputs: &[f32], labels: &[f32], scale: f32, derivative: &mut [f32]) -> f64 {
        mean_over_outputs(outputs, labels, scale, derivative, |x, y| {
            let error = x - y;
            let exact = f64::from(x) - f64::from(y);
            (exact.abs(), if error == 0.0 { 0.0 } else { error.signum() })
        })
    }

    /// The best constant is the median.
    fn baseline(&self, labels: &AllLabels<'_>) -> Vec<f64> {
        labels.by_output(median, |x, y| (y - x).abs())
    }

    fn predict(&self, outputs: &[f32], prediction: &mut [f32]) {
        prediction.copy_from_slice(outputs);
    }
}

/// The middle of the values, or the mean of the two in the middle; 0 without values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => 0.5 * (values[middle - 1] + values[middle]),
    }
}
