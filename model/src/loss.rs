//! Losses: of each row in f64, and their derivative by the head's outputs.
//!
//! They are computed on the host for every device, from the head's outputs: the sums that are
//! reported are in f64 and in the order of the rows whatever the device, and a row without a label
//! contributes exactly nothing.
//!
//! | kind | loss of a row with outputs `x` and label `y` |
//! |---|---|
//! | regression | mean over outputs of `e^2`, `|e|`, or Huber: `e^2 / 2` up to `delta`, `delta (|e| - delta / 2)` beyond; `e = x - y` |
//! | binary, multilabel | mean over outputs of `max(x, 0) - x y + ln(1 + e^-|x|)` |
//! | multiclass | `w_y (ln sum_j e^x_j - (1 - s) x_y - s mean_j x_j)`, `s` the label smoothing, `w` the class weights |

use datasets::Targets;
use experiment::{Kind, Loss, TaskShape};

use crate::activation::{exp, sigmoid};
use crate::pass::LossSum;

/// Sums the losses of the labelled rows; `outputs` is `[rows, task.outputs]`.
///
/// With `delta`, writes `scale` times each row's derivative into it, zero for rows without a label.
pub(crate) fn sum(
    task: &TaskShape,
    outputs: &[f32],
    target: &Targets,
    scale: f32,
    delta: Option<&mut [f32]>,
) -> LossSum {
    let width = task.outputs;
    let mut sum = LossSum { task: target.task, loss: 0.0, rows: 0 };
    let mut unused = vec![0.0; if delta.is_some() { 0 } else { width }];
    let mut delta = delta;
    for (row, (&labelled, outputs)) in target.labelled.iter().zip(outputs.chunks_exact(width)).enumerate() {
        let derivative = match &mut delta {
            Some(delta) => &mut delta[row * width..(row + 1) * width],
            None => &mut unused[..],
        };
        if !labelled {
            derivative.fill(0.0);
            continue;
        }
        sum.rows += 1;
        sum.loss += match task.kind {
            Kind::Multiclass => multiclass(task, outputs, target.values[row], scale, derivative),
            kind => {
                let values = &target.values[row * width..(row + 1) * width];
                let scale = scale / width as f32;
                let mut loss = 0.0;
                for ((x, y), d) in outputs.iter().zip(values).zip(derivative) {
                    let (value, slope) =
                        if kind == Kind::Regression { regression(&task.loss, *x, *y) } else { logistic(*x, *y) };
                    loss += value;
                    *d = scale * slope;
                }
                loss / width as f64
            }
        };
    }
    sum
}

/// Loss and derivative of one value.
fn regression(loss: &Loss, x: f32, y: f32) -> (f64, f32) {
    let error = x - y;
    let exact = f64::from(x) - f64::from(y);
    match loss {
        Loss::Mae => (exact.abs(), if error == 0.0 { 0.0 } else { error.signum() }),
        Loss::Huber { delta } => {
            let value = if exact.abs() <= *delta { 0.5 * exact * exact } else { delta * (exact.abs() - 0.5 * delta) };
            let delta = *delta as f32;
            (value, error.clamp(-delta, delta))
        }
        Loss::Mse | Loss::CrossEntropy { .. } => (exact * exact, 2.0 * error),
    }
}

/// Binary cross-entropy of a logit.
fn logistic(x: f32, y: f32) -> (f64, f32) {
    let (logit, label) = (f64::from(x), f64::from(y));
    let value = logit.max(0.0) - logit * label + libm::log1p(f64::from(exp(-x.abs())));
    (value, sigmoid(x) - y)
}

fn multiclass(task: &TaskShape, logits: &[f32], label: f32, scale: f32, derivative: &mut [f32]) -> f64 {
    let smoothing = match task.loss {
        Loss::CrossEntropy { label_smoothing, .. } => label_smoothing,
        _ => 0.0,
    };
    let class = class_index(label, logits.len()).unwrap_or_else(|| least_likely(logits));
    let weight = task.class_weights.as_ref().and_then(|weights| weights.get(class)).copied().unwrap_or(1.0);

    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0_f32;
    for (d, x) in derivative.iter_mut().zip(logits) {
        *d = exp(x - highest);
        total += *d;
    }
    let log_total = f64::from(highest) + libm::log(f64::from(total));
    let classes = logits.len() as f64;
    let mut loss = log_total - (1.0 - smoothing) * f64::from(logits[class]);
    if smoothing > 0.0 {
        loss -= smoothing * logits.iter().map(|x| f64::from(*x)).sum::<f64>() / classes;
    }

    let factor = scale * weight;
    let (share, spread) = (factor / total, factor * (smoothing / classes) as f32);
    derivative.iter_mut().for_each(|d| *d = *d * share - spread);
    derivative[class] -= factor * (1.0 - smoothing) as f32;
    f64::from(weight) * loss
}

/// The class that a label names; none for a label that no output stands for.
pub(crate) fn class_index(label: f32, classes: usize) -> Option<usize> {
    (label >= 0.0 && label < classes as f32).then_some(label as usize)
}

/// A label without an output costs as much as the class that the model believes in least.
fn least_likely(logits: &[f32]) -> usize {
    (0..logits.len()).fold(0, |least, class| if logits[class] < logits[least] { class } else { least })
}

#[cfg(test)]
mod tests {
    use experiment::{Head, Metric};

    use super::*;

    fn task(kind: Kind, outputs: usize, loss: Loss) -> TaskShape {
        TaskShape {
            name: "t".to_owned(),
            template: "t".to_owned(),
            feed: 0,
            kind,
            outputs,
            classes: Vec::new(),
            class_weights: None,
            offset: Vec::new(),
            scale: Vec::new(),
            log1p: false,
            baseline_loss: Default::default(),
            metrics: Vec::<Metric>::new(),
            loss,
            weight: 1.0,
            head: Head::default(),
        }
    }

    fn smoothed(classes: usize) -> TaskShape {
        let loss = Loss::CrossEntropy { label_smoothing: 0.1, class_weights: None };
        TaskShape {
            class_weights: Some((0..classes).map(|class| 0.5 + class as f32).collect()),
            ..task(Kind::Multiclass, classes, loss)
        }
    }

    fn of(task: &TaskShape, outputs: &[f32], values: &[f32], scale: f32) -> (LossSum, Vec<f32>) {
        let labelled = vec![true; outputs.len() / task.outputs];
        let mut delta = vec![f32::NAN; outputs.len()];
        (sum(task, outputs, &Targets { task: 0, values: values.to_vec(), labelled }, scale, Some(&mut delta)), delta)
    }

    #[test]
    fn values_are_those_of_the_formulas() {
        let close = |given: f64, expected: f64| assert!((given - expected).abs() < 1e-6, "{given}, not {expected}");
        let value = |task: &TaskShape, outputs: &[f32], values: &[f32]| of(task, outputs, values, 1.0).0.loss;
        close(value(&task(Kind::Regression, 2, Loss::Mse), &[1.0, 3.0], &[0.0, 1.0]), 2.5);
        close(value(&task(Kind::Regression, 2, Loss::Mae), &[1.0, 3.0], &[0.0, 1.0]), 1.5);
        close(
            value(&task(Kind::Regression, 2, Loss::Huber { delta: 1.5 }), &[1.0, 3.0], &[0.0, 1.0]),
            (0.5 + 1.5 * 1.25) / 2.0,
        );
        close(value(&task(Kind::Binary, 1, Loss::cross_entropy()), &[0.7], &[1.0]), (1.0 + (-0.7_f64).exp()).ln());
        let total = (1.0_f64.exp() + 2.0_f64.exp() + 0.5_f64.exp()).ln();
        close(value(&task(Kind::Multiclass, 3, Loss::cross_entropy()), &[1.0, 2.0, 0.5], &[1.0]), total - 2.0);
        let smooth = 0.9 * (total - 2.0) + 0.1 * (total - 3.5 / 3.0);
        close(value(&smoothed(3), &[1.0, 2.0, 0.5], &[1.0]), 1.5 * smooth);
    }

    #[test]
    fn derivatives_are_differences_of_values() {
        let regression = [-0.8, 0.4, 1.9, 0.1, -2.0, 0.3];
        let labels = [0.3, 0.2, -1.0, 1.0, 0.0, 1.0];
        let cases: Vec<(TaskShape, &[f32])> = vec![
            (task(Kind::Regression, 2, Loss::Mse), &labels),
            (task(Kind::Regression, 2, Loss::Mae), &labels),
            (task(Kind::Regression, 2, Loss::Huber { delta: 1.0 }), &labels),
            (task(Kind::Binary, 1, Loss::cross_entropy()), &[0.0, 1.0, 1.0, 0.0, 1.0, 0.0]),
            (task(Kind::Multilabel, 3, Loss::cross_entropy()), &[0.0, 1.0, 1.0, 0.0, 1.0, 0.0]),
            (task(Kind::Multiclass, 3, Loss::cross_entropy()), &[2.0, 0.0]),
            (smoothed(3), &[2.0, 1.0]),
        ];
        for (task, values) in cases {
            let (_, delta) = of(&task, &regression, values, 0.7);
            for (i, &derivative) in delta.iter().enumerate() {
                let moved = |step: f32| {
                    let mut outputs = regression;
                    outputs[i] += step;
                    (f64::from(outputs[i]), of(&task, &outputs, values, 0.7).0.loss)
                };
                let ((right, above), (left, below)) = (moved(1e-3), moved(-1e-3));
                let difference = 0.7 * (above - below) / (right - left);
                assert!(
                    (difference - f64::from(derivative)).abs() < 2e-4,
                    "{:?} {i}: {difference}, {derivative}",
                    task.loss
                );
            }
        }
    }

    #[test]
    fn extreme_outputs_have_finite_losses_and_derivatives() {
        for outputs in [[1e4, -1e4, 0.0], [-3e38, 3e38, 1.0], [88.0, 87.0, -88.0]] {
            for task in [task(Kind::Multiclass, 3, Loss::cross_entropy()), smoothed(3)] {
                let (sum, delta) = of(&task, &outputs, &[1.0], 1.0);
                assert!(sum.loss.is_finite() && delta.iter().all(|d| d.is_finite()), "{outputs:?}: {sum:?} {delta:?}");
            }
            let (sum, delta) = of(&task(Kind::Multilabel, 3, Loss::cross_entropy()), &outputs, &[1.0, 0.0, 1.0], 1.0);
            assert!(sum.loss.is_finite() && delta.iter().all(|d| d.is_finite()), "{outputs:?}: {sum:?} {delta:?}");
        }
    }

    #[test]
    fn rows_without_a_label_contribute_exactly_zero() {
        let task = task(Kind::Multiclass, 3, Loss::cross_entropy());
        let mut delta = [f32::NAN; 6];
        let target = Targets { task: 0, values: vec![1.0, f32::NAN], labelled: vec![true, false] };
        let sum = sum(&task, &[1.0, 2.0, 0.5, f32::INFINITY, 0.0, 0.0], &target, 1.0, Some(&mut delta));
        assert_eq!(sum.rows, 1);
        assert_eq!(delta[3..], [0.0; 3]);
        assert!(sum.loss.is_finite());
    }
}
