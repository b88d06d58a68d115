//! Metrics as sums that merge exactly, and the numbers that come out of them.
//!
//! [`sums`](crate::Network::evaluate) are made row by row on the host; counts and f64 sums are
//! added, and scores are kept in order where a metric needs their order, so that any division of
//! the rows gives the same result once the sums are added in the canonical tree. What the places of
//! [`TaskSums`] mean:
//!
//! | kind | `counts` | `sums` | `scores`, `labels` (for AUROC and average precision only) |
//! |---|---|---|---|
//! | binary | label 0 taken for 0, 0 for 1, 1 for 0, 1 for 1 | | the logit; 0 or 1 |
//! | multilabel | the same four, by output | | the logits, `[rows, outputs]` |
//! | multiclass | by class: labels, predictions, labels predicted right | | the probabilities, `[rows, classes]`; the class, `[rows]` |
//! | regression | | by output: `|e|`, `e^2`, `d`, `d^2` in the target's units; `d` is the label less a constant | |
//!
//! A metric that is undefined on the rows (one class only, constant labels, no row) is absent.
//!
//! [`Network::evaluate`]: crate::Network::evaluate

mod ranking;

use aggregation::sums::TaskSums;
use datasets::Targets;
use experiment::{Kind, Metric, TaskShape};

use crate::activation::{exp, sigmoid};
use crate::loss::{self, class_index};

/// Label of a class that no output stands for.
const NO_CLASS: u32 = u32::MAX;

/// The sums of the labelled rows; `outputs` is `[rows, task.outputs]`.
pub(crate) fn sums(task: &TaskShape, outputs: &[f32], target: &Targets) -> TaskSums {
    let losses = loss::sum(task, outputs, target, 0.0, None);
    let (counts, values) = match task.kind {
        Kind::Regression => (0, 4 * task.outputs),
        Kind::Binary | Kind::Multilabel => (4 * task.outputs, 0),
        Kind::Multiclass => (3 * task.outputs, 0),
    };
    let mut sums = TaskSums {
        rows: losses.rows,
        loss: losses.loss,
        counts: vec![0; counts],
        sums: vec![0.0; values],
        ..TaskSums::default()
    };
    let width = if task.kind == Kind::Multiclass { 1 } else { task.outputs };
    let rows = outputs.chunks_exact(task.outputs).zip(target.values.chunks_exact(width)).zip(&target.labelled);
    for ((outputs, labels), _) in rows.filter(|(_, labelled)| **labelled) {
        match task.kind {
            Kind::Regression => add_values(task, outputs, labels, &mut sums.sums),
            Kind::Binary | Kind::Multilabel => add_decisions(task, outputs, labels, &mut sums),
            Kind::Multiclass => add_class(task, outputs, labels[0], &mut sums),
        }
    }
    sums
}

fn add_values(task: &TaskShape, outputs: &[f32], labels: &[f32], sums: &mut [f64]) {
    for (output, sums) in sums.chunks_exact_mut(4).enumerate() {
        let label = original(task, output, labels[output]);
        let error = original(task, output, outputs[output]) - label;
        let from_constant = label - original(task, output, 0.0);
        for (sum, value) in
            sums.iter_mut().zip([error.abs(), error * error, from_constant, from_constant * from_constant])
        {
            *sum += value;
        }
    }
}

fn add_decisions(task: &TaskShape, outputs: &[f32], labels: &[f32], sums: &mut TaskSums) {
    for (counts, (x, y)) in sums.counts.chunks_exact_mut(4).zip(outputs.iter().zip(labels)) {
        counts[2 * usize::from(*y > 0.5) + usize::from(*x > 0.0)] += 1;
    }
    if ranked(task) {
        sums.scores.extend_from_slice(outputs);
        sums.labels.extend(labels.iter().map(|y| u32::from(*y > 0.5)));
    }
}

fn add_class(task: &TaskShape, logits: &[f32], label: f32, sums: &mut TaskSums) {
    let predicted = (0..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best });
    let class = class_index(label, logits.len());
    sums.counts[3 * predicted + 1] += 1;
    if let Some(class) = class {
        sums.counts[3 * class] += 1;
        sums.counts[3 * class + 2] += u64::from(class == predicted);
    }
    if ranked(task) {
        softmax(logits, &mut sums.scores);
        sums.labels.push(class.map_or(NO_CLASS, |class| class as u32));
    }
}

/// Whether sums that come from elsewhere can be those of as many rows of the task as they say.
/// Numbers that are not finite can be ([`is_finite`]).
pub fn fits(task: &TaskShape, sums: &TaskSums) -> bool {
    let TaskSums { rows, loss: _, counts, sums, scores, labels } = sums;
    let (places, values) = match task.kind {
        Kind::Regression => (0, 4 * task.outputs),
        Kind::Binary | Kind::Multilabel => (4 * task.outputs, 0),
        Kind::Multiclass => (3 * task.outputs, 0),
    };
    let ranked_rows = if ranked(task) { *rows as usize } else { 0 };
    let (width, classes) = if task.kind == Kind::Multiclass { (1, task.outputs as u32) } else { (task.outputs, 2) };
    let is_total = |counts: &mut dyn Iterator<Item = &u64>| {
        counts.map(|count| u128::from(*count)).sum::<u128>() == u128::from(*rows)
    };
    let counted = || match task.kind {
        Kind::Regression => true,
        Kind::Binary | Kind::Multilabel => counts.chunks_exact(4).all(|output| is_total(&mut output.iter())),
        Kind::Multiclass => {
            let right_max = |class: &[u64]| class[0].min(class[1]);
            is_total(&mut counts.iter().skip(1).step_by(3))
                && counts.chunks_exact(3).all(|class| class[0] <= *rows && class[2] <= right_max(class))
        }
    };
    counts.len() == places
        && counted()
        && sums.len() == values
        && sums
            .chunks_exact(4)
            .all(|output| [output[0], output[1], output[3]].iter().all(|sum| sum.is_nan() || *sum >= 0.0))
        && scores.len() == ranked_rows.saturating_mul(task.outputs)
        && labels.len() == ranked_rows.saturating_mul(width)
        && labels.iter().all(|label| *label < classes || *label == NO_CLASS && task.kind == Kind::Multiclass)
}

/// Whether every number in the sums is finite.
pub fn is_finite(sums: &TaskSums) -> bool {
    sums.loss.is_finite()
        && sums.sums.iter().all(|sum| sum.is_finite())
        && sums.scores.iter().all(|score| score.is_finite())
}

fn ranked(task: &TaskShape) -> bool {
    task.kind != Kind::Regression
        && task.metrics.iter().any(|metric| matches!(metric, Metric::Auroc | Metric::AveragePrecision))
}

/// The head's value of an output, in the target's units.
pub fn original(task: &TaskShape, output: usize, value: f32) -> f64 {
    let scale = task.scale.get(output).copied().unwrap_or(1.0);
    let offset = task.offset.get(output).copied().unwrap_or(0.0);
    let value = f64::from(value) * scale + offset;
    if task.log1p { libm::expm1(value) } else { value }
}

/// What the head's outputs, `[rows, task.outputs]`, mean to a reader.
pub(crate) fn predictions(task: &TaskShape, outputs: &[f32]) -> Vec<f32> {
    match task.kind {
        Kind::Regression => {
            let value = |(at, x): (usize, &f32)| original(task, at % task.outputs, *x) as f32;
            outputs.iter().enumerate().map(value).collect()
        }
        Kind::Binary | Kind::Multilabel => outputs.iter().map(|x| sigmoid(*x)).collect(),
        Kind::Multiclass => {
            let mut values = Vec::with_capacity(outputs.len());
            outputs.chunks_exact(task.outputs).for_each(|logits| softmax(logits, &mut values));
            values
        }
    }
}

/// Appends the probabilities of the classes.
fn softmax(logits: &[f32], into: &mut Vec<f32>) {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let start = into.len();
    into.extend(logits.iter().map(|x| exp(x - highest)));
    let total: f32 = into[start..].iter().sum();
    into[start..].iter_mut().for_each(|p| *p /= total);
}

/// The loss (mean over the rows) and the task's metrics, by name, in the task's order; what is
/// undefined is absent.
pub fn metrics(task: &TaskShape, sums: &TaskSums) -> Vec<(String, f64)> {
    let loss = (sums.rows > 0).then(|| ("loss".to_owned(), sums.loss / sums.rows as f64));
    let others = task.metrics.iter().filter_map(|&metric| Some((metric.name().to_owned(), value(task, sums, metric)?)));
    loss.into_iter().chain(others).filter(|(_, value)| value.is_finite()).collect()
}

/// How much of the loss of the best constant prediction is gone, in the mean over tasks of (loss,
/// baseline loss): 1 is perfect, 0 is a constant. Tasks whose baseline is zero are left out; none
/// is left: no skill.
pub fn skill(losses: impl IntoIterator<Item = (f64, f64)>) -> Option<f64> {
    mean(losses.into_iter().map(|(loss, baseline)| (baseline > 0.0).then(|| 1.0 - loss / baseline)))
}

fn value(task: &TaskShape, sums: &TaskSums, metric: Metric) -> Option<f64> {
    match task.kind {
        Kind::Regression => regression(sums, metric),
        Kind::Multiclass => multiclass(task, sums, metric),
        Kind::Binary | Kind::Multilabel => decisions(task, sums, metric),
    }
}

fn regression(sums: &TaskSums, metric: Metric) -> Option<f64> {
    let rows = sums.rows as f64;
    let outputs = sums.sums.chunks_exact(4);
    match metric {
        Metric::Mae => mean(outputs.map(|sums| ratio(sums[0], rows))),
        Metric::Rmse => mean(outputs.map(|sums| ratio(sums[1], rows).map(f64::sqrt))),
        Metric::R2 => mean(outputs.map(|output| {
            let total = output[3] - output[2] * output[2] / rows;
            // Less than the rounding of the two sums is no variance.
            (sums.rows > 1 && total > 1e-12 * output[3]).then(|| 1.0 - output[1] / total)
        })),
        _ => None,
    }
}

fn multiclass(task: &TaskShape, sums: &TaskSums, metric: Metric) -> Option<f64> {
    let classes = || sums.counts.chunks_exact(3).map(|counts| (counts[0], counts[1], counts[2]));
    match metric {
        Metric::Accuracy => ratio(classes().map(|(_, _, right)| right as f64).sum(), sums.rows as f64),
        Metric::BalancedAccuracy => mean(classes().map(|(labels, _, right)| ratio(right as f64, labels as f64))),
        Metric::F1Macro => {
            mean(classes().map(|(labels, predicted, right)| ratio(2.0 * right as f64, (labels + predicted) as f64)))
        }
        Metric::Auroc | Metric::AveragePrecision => mean((0..task.outputs).map(|class| {
            let scores = sums.scores.iter().skip(class).step_by(task.outputs).copied();
            ranked_value(metric, scores.zip(sums.labels.iter().map(|label| *label == class as u32)))
        })),
        _ => None,
    }
}

fn decisions(task: &TaskShape, sums: &TaskSums, metric: Metric) -> Option<f64> {
    let f1 = |right: u64, wrong: u64| ratio(2.0 * right as f64, (2 * right + wrong) as f64);
    mean(sums.counts.chunks_exact(4).enumerate().map(|(output, counts)| {
        let (true_0, false_1, false_0, true_1) = (counts[0], counts[1], counts[2], counts[3]);
        match metric {
            Metric::Accuracy => ratio((true_0 + true_1) as f64, sums.rows as f64),
            Metric::BalancedAccuracy => {
                mean([ratio(true_0 as f64, (true_0 + false_1) as f64), ratio(true_1 as f64, (true_1 + false_0) as f64)])
            }
            Metric::F1 => f1(true_1, false_0 + false_1),
            Metric::F1Macro if task.kind == Kind::Multilabel => f1(true_1, false_0 + false_1),
            Metric::F1Macro => mean([f1(true_0, false_0 + false_1), f1(true_1, false_0 + false_1)]),
            Metric::Auroc | Metric::AveragePrecision => {
                let scores = sums.scores.iter().skip(output).step_by(task.outputs).copied();
                let labels = sums.labels.iter().skip(output).step_by(task.outputs);
                ranked_value(metric, scores.zip(labels.map(|label| *label == 1)))
            }
            Metric::Mae | Metric::Rmse | Metric::R2 => None,
        }
    }))
}

fn ranked_value(metric: Metric, rows: impl Iterator<Item = (f32, bool)>) -> Option<f64> {
    let rows = ranking::Ranking::new(rows);
    if metric == Metric::Auroc { rows.auroc() } else { rows.average_precision() }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// The mean of those that are defined.
fn mean(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let (sum, count) = values.into_iter().flatten().fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    ratio(sum, count as f64)
}
