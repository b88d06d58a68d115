//! The loss of the best constant prediction, which `skill` is measured against.
//!
//! The constant minimises the task's own loss (with its smoothing and class weights) over the
//! labelled training rows; its loss is then taken over the labelled rows of each split. Where a
//! class or an outcome has no training row, every count is raised by one, so that the loss is
//! finite.

use std::collections::BTreeMap;

use experiment::{Loss, SplitName};

use crate::statistics::sum;

/// Mean loss over some rows, by split; splits without labelled rows are left out.
type BySplit = BTreeMap<SplitName, f64>;

fn by_split(parts: &[Option<SplitName>], loss: impl Fn(usize) -> f64) -> BySplit {
    let mean = |split: SplitName| {
        let rows = || (0..parts.len()).filter(move |row| parts[*row] == Some(split));
        let count = rows().count();
        (count > 0).then(|| (split, sum(rows().map(&loss)) / count as f64))
    };
    SplitName::ALL.into_iter().filter_map(mean).collect()
}

/// Multiclass cross-entropy. `classes` has the class of each row, `parts` the split of each
/// labelled row.
pub(crate) fn multiclass(
    parts: &[Option<SplitName>],
    classes: &[usize],
    training: &[u64],
    smoothing: f64,
    weights: Option<&[f32]>,
) -> BySplit {
    let raise = u64::from(training.contains(&0));
    let weight = |class: usize| weights.map_or(1.0, |w| f64::from(w[class]));
    let mass: Vec<f64> = training.iter().enumerate().map(|(c, n)| (n + raise) as f64 * weight(c)).collect();
    let total = sum(mass.iter().copied());
    let spread = smoothing / training.len() as f64;
    // The minimiser of sum over rows of w_y (-(1 - s) ln p_y - s/K sum over c of ln p_c).
    let logarithms: Vec<f64> = mass.iter().map(|m| libm::log((1.0 - smoothing) * m / total + spread)).collect();
    let even = spread * sum(logarithms.iter().copied());
    let losses: Vec<f64> =
        (0..training.len()).map(|c| -weight(c) * ((1.0 - smoothing) * logarithms[c] + even)).collect();
    by_split(parts, |row| losses[classes[row]])
}

/// Cross-entropy of yes or no, averaged over outputs. `values` is `[rows, outputs]`, 0 or 1.
pub(crate) fn binary(parts: &[Option<SplitName>], values: &[f64], outputs: usize) -> BySplit {
    let losses: Vec<[f64; 2]> = (0..outputs)
        .map(|output| {
            let mut counts = [0u64; 2];
            for row in (0..parts.len()).filter(|row| parts[*row] == Some(SplitName::Train)) {
                counts[usize::from(values[row * outputs + output] != 0.0)] += 1;
            }
            let raise = u64::from(counts.contains(&0));
            let total = (counts[0] + counts[1] + 2 * raise) as f64;
            counts.map(|count| -libm::log((count + raise) as f64 / total))
        })
        .collect();
    by_split(parts, |row| {
        let loss = |output: usize| losses[output][usize::from(values[row * outputs + output] != 0.0)];
        (0..outputs).map(loss).sum::<f64>() / outputs as f64
    })
}

/// A regression's loss, averaged over outputs. `values` is `[rows, outputs]`, scaled.
pub(crate) fn regression(parts: &[Option<SplitName>], values: &[f64], outputs: usize, loss: &Loss) -> BySplit {
    let constants: Vec<f64> = (0..outputs)
        .map(|output| {
            let training = (0..parts.len()).filter(|row| parts[*row] == Some(SplitName::Train));
            best_constant(training.map(|row| values[row * outputs + output]).collect(), loss)
        })
        .collect();
    by_split(parts, |row| {
        let one = |output: usize| row_loss(values[row * outputs + output] - constants[output], loss);
        (0..outputs).map(one).sum::<f64>() / outputs as f64
    })
}

fn row_loss(error: f64, loss: &Loss) -> f64 {
    match loss {
        Loss::Mae => error.abs(),
        Loss::Huber { delta } if error.abs() > *delta => delta * (error.abs() - 0.5 * delta),
        Loss::Huber { .. } => 0.5 * error * error,
        _ => error * error,
    }
}

/// The constant with the least loss: the mean, the median, or between them for Huber's loss.
fn best_constant(mut values: Vec<f64>, loss: &Loss) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    match loss {
        Loss::Mae => {
            values.sort_by(f64::total_cmp);
            let middle = values.len() / 2;
            if values.len() % 2 == 1 { values[middle] } else { 0.5 * (values[middle - 1] + values[middle]) }
        }
        Loss::Huber { delta } => {
            let mut low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let mut high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            // The slope in the constant grows from negative to positive: bisect it, to the last bit
            // but a few.
            for _ in 0..64 {
                let middle = 0.5 * (low + high);
                let slope: f64 = values.iter().map(|v| (middle - v).clamp(-delta, *delta)).sum();
                if slope < 0.0 { low = middle } else { high = middle }
            }
            0.5 * (low + high)
        }
        _ => sum(values.iter().copied()) / values.len() as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAIN: Option<SplitName> = Some(SplitName::Train);
    const TEST: Option<SplitName> = Some(SplitName::Test);

    #[test]
    fn cross_entropy_of_frequencies_is_their_entropy_on_the_training_rows() {
        let losses = multiclass(&[TRAIN, TRAIN, TRAIN, TRAIN, TEST, None], &[0, 0, 0, 1, 1, 0], &[3, 1], 0.0, None);
        let entropy = -(0.75f64 * 0.75f64.ln() + 0.25 * 0.25f64.ln());
        assert!((losses[&SplitName::Train] - entropy).abs() < 1e-12);
        assert!((losses[&SplitName::Test] - 4f64.ln()).abs() < 1e-12);
        assert!(!losses.contains_key(&SplitName::Validation));
    }

    #[test]
    fn no_constant_is_better_under_smoothing_and_weights() {
        let weights = [1.0f32, 3.0, 0.5];
        let classes = [0, 0, 0, 1, 1, 2];
        let best = multiclass(&[TRAIN; 6], &classes, &[3, 2, 1], 0.2, Some(&weights))[&SplitName::Train];
        for shift in [[0.01, 0.0, -0.01], [-0.02, 0.01, 0.01], [0.0, -0.03, 0.03]] {
            let mass = [3.0, 6.0, 0.5].map(|m: f64| m / 9.5 * 0.8 + 0.2 / 3.0);
            let p: Vec<f64> = mass.iter().zip(shift).map(|(m, s)| m + s).collect();
            let row = |y: usize| {
                -f64::from(weights[y]) * (0.8 * p[y].ln() + 0.2 / 3.0 * p.iter().map(|p| p.ln()).sum::<f64>())
            };
            let other = classes.iter().map(|y| row(*y)).sum::<f64>() / 6.0;
            assert!(other > best, "{other} {best}");
        }
    }

    #[test]
    fn a_class_without_training_rows_leaves_the_loss_finite() {
        let losses = multiclass(&[TRAIN, TEST], &[0, 1], &[1, 0], 0.0, None);
        assert!((losses[&SplitName::Test] - 3f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn constants_of_regressions_are_mean_median_and_between() {
        let values = [0.0, 1.0, 2.0, 3.0, 100.0];
        let parts = [TRAIN; 5];
        let loss = |loss: Loss| regression(&parts, &values, 1, &loss)[&SplitName::Train];
        let variance = values.iter().map(|v| (v - 21.2f64).powi(2)).sum::<f64>() / 5.0;
        assert!((loss(Loss::Mse) - variance).abs() < 1e-9);
        assert!((loss(Loss::Mae) - (2.0 + 1.0 + 0.0 + 1.0 + 98.0) / 5.0).abs() < 1e-12);
        // With delta 1 the outlier pulls with 1: 4c - 6 = 1 within reach of the others has no
        // better neighbour.
        let huber = Loss::Huber { delta: 1.0 };
        let best = best_constant(values.to_vec(), &huber);
        let at = |c: f64| values.iter().map(|v| row_loss(v - c, &huber)).sum::<f64>();
        assert!(at(best) <= at(best + 1e-3) && at(best) <= at(best - 1e-3));
        assert!((loss(huber.clone()) - at(best) / 5.0).abs() < 1e-12);
    }
}
