//! `cross_entropy`: of the classes' logits for a multiclass task, of each output's own logit for a
//! binary or multilabel one.
//!
//! | kind | loss of a row with outputs `x` and label `y` |
//! |---|---|
//! | binary, multilabel | mean over the outputs of `v (max(x, 0) - x y + ln(1 + e^-abs(x)))` |
//! | multiclass | `w_y (ln sum_j e^x_j - (1 - s) x_y - s mean_j x_j)` |
//!
//! `v` is the output's `positive_weight` if `y` is 1, and 1 if `y` is 0. `s` is `label_smoothing`:
//! the share of the target that is spread over all classes (Szegedy et al., "Rethinking the
//! Inception architecture", CVPR 2016). `w` are the `class_weights`. The loss is multiplied by the
//! weight and not divided by the weights' sum. A label that no output stands for costs as much as
//! the class that the model believes in least.

use settings::{Entry, Invalid, Range, Reader, Table};

use super::class_weights::ClassWeights;
use super::positive_weight::PositiveWeight;
use super::{AllLabels, Classes, Loss, LossPart, class_index, mean_over_outputs};
use crate::Kind;
use crate::exponential::{exp, sigmoid, softmax};
use crate::tree::sum;

pub(super) const ENTRY: Entry<LossPart> = Entry::built_in(
    "cross_entropy",
    "cross-entropy of the classes, or of each output's yes or no (the mean over the outputs)",
    LossPart { kinds: &[Kind::Binary, Kind::Multiclass, Kind::Multilabel], unscaled: false, read },
);

const SMOOTHING: &str = "label_smoothing";
const CLASSES: &str = "class_weights";
const POSITIVE: &str = "positive_weight";

fn read(reader: &mut Reader<'_>, kind: Kind) -> Result<Box<dyn Loss>, Invalid> {
    let documentation = "multiclass: share of the target that is spread over all classes";
    let smoothing = reader.optional_number(SMOOTHING, Range::HalfOpen(0.0, 1.0), "0", documentation)?;
    let documentation = "multiclass: factor of the losses of a class's rows, in a list in the order of the classes or \
                         in a table by class (1 for a class that it leaves out); `\"balanced\"`: rows / (classes * \
                         rows of the class)";
    let classes = reader.optional_value(CLASSES, ClassWeights::ALLOWED, "none", documentation);
    let documentation = "binary and multilabel: factor of the loss where the label is 1, in a list one for each \
                         output; `\"balanced\"`: rows with label 0 / rows with label 1";
    let positive = reader.optional_value(POSITIVE, PositiveWeight::ALLOWED, "1", documentation);
    let refused = match kind {
        Kind::Multiclass => positive.is_some().then_some((POSITIVE, "binary and multilabel")),
        _ if smoothing.is_some() => Some((SMOOTHING, "multiclass")),
        _ => classes.is_some().then_some((CLASSES, "multiclass")),
    };
    if let Some((key, kinds)) = refused {
        let message = format!("is for tasks of kind {kinds} only, and this one is {kind}; leave it out");
        return Err(Invalid::new(key, message));
    }
    if kind == Kind::Multiclass {
        let weights = classes.map(|value| ClassWeights::read(CLASSES, value)).transpose()?;
        return Ok(Box::new(Softmax { smoothing: smoothing.unwrap_or(0.0), weights }));
    }
    let weight = positive.map(|value| PositiveWeight::read(POSITIVE, value)).transpose()?;
    Ok(Box::new(Logistic { weight }))
}

/// Yes or no by output.
#[derive(Debug)]
struct Logistic {
    weight: Option<PositiveWeight>,
}

impl Logistic {
    /// What the loss of label 1 at an output is multiplied by.
    fn weight(&self, output: usize) -> f32 {
        self.weight.as_ref().map_or(1.0, |weight| weight.of_output(output))
    }
}

impl Loss for Logistic {
    fn row(&self, outputs: &[f32], labels: &[f32], scale: f32, derivative: &mut [f32]) -> f64 {
        let mut output = 0;
        mean_over_outputs(outputs, labels, scale, derivative, |x, y| {
            let weight = if y > 0.5 { self.weight(output) } else { 1.0 };
            output += 1;
            let (logit, label) = (f64::from(x), f64::from(y));
            let value = logit.max(0.0) - logit * label + libm::log1p(f64::from(exp(-x.abs())));
            (f64::from(weight) * value, weight * (sigmoid(x) - y))
        })
    }

    /// The best constants are the shares of both labels, after the weights. If the training rows
    /// have one label alone, both counts are raised by one.
    fn baseline(&self, labels: &AllLabels<'_>) -> Vec<f64> {
        let losses: Vec<[f64; 2]> = (0..labels.outputs)
            .map(|output| {
                let mut counts = [0_u64; 2];
                labels.training(output).for_each(|label| counts[usize::from(label != 0.0)] += 1);
                let raise = u64::from(counts.contains(&0));
                let weight = f64::from(self.weight(output));
                let mass = [(counts[0] + raise) as f64, weight * (counts[1] + raise) as f64];
                let total = mass[0] + mass[1];
                [-libm::log(mass[0] / total), weight * -libm::log(mass[1] / total)]
            })
            .collect();
        let row = |labels: &[f64]| {
            let by_output = losses.iter().zip(labels).map(|(losses, label)| losses[usize::from(*label != 0.0)]);
            by_output.sum::<f64>() / losses.len() as f64
        };
        labels.values.chunks_exact(labels.outputs).map(row).collect()
    }

    fn predict(&self, outputs: &[f32], prediction: &mut [f32]) {
        for (probability, x) in prediction.iter_mut().zip(outputs) {
            *probability = sigmoid(*x);
        }
    }

    fn fitted(&self, classes: &Classes<'_>) -> Result<Table, Invalid> {
        let Some(weight) = &self.weight else { return Ok(Table::new()) };
        Ok(Table::from([(POSITIVE.to_owned(), weight.fitted(POSITIVE, classes)?.to_value())]))
    }
}

/// One of several classes.
#[derive(Debug)]
struct Softmax {
    smoothing: f64,
    weights: Option<ClassWeights>,
}

impl Loss for Softmax {
    fn row(&self, logits: &[f32], labels: &[f32], scale: f32, derivative: &mut [f32]) -> f64 {
        let smoothing = self.smoothing;
        let class = class_index(labels[0], logits.len()).unwrap_or_else(|| least_likely(logits));
        let weight = self.weight(class);

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

    /// The best constants are the shares of the classes, under the loss's smoothing and weights. If
    /// the training rows lack a class, every count is raised by one.
    fn baseline(&self, labels: &AllLabels<'_>) -> Vec<f64> {
        let mut counts = vec![0_u64; labels.outputs];
        labels.training(0).for_each(|class| counts[class as usize] += 1);
        let raise = u64::from(counts.contains(&0));
        let weight = |class: usize| f64::from(self.weight(class));
        let mass: Vec<f64> =
            counts.iter().enumerate().map(|(class, rows)| (rows + raise) as f64 * weight(class)).collect();
        let total = sum(mass.iter().copied());
        let spread = self.smoothing / labels.outputs as f64;
        // The minimiser of sum over rows of w_y (-(1 - s) ln p_y - s/K sum over c of ln p_c).
        let logarithms: Vec<f64> =
            mass.iter().map(|mass| libm::log((1.0 - self.smoothing) * mass / total + spread)).collect();
        let even = spread * sum(logarithms.iter().copied());
        let losses: Vec<f64> = (0..labels.outputs)
            .map(|class| -weight(class) * ((1.0 - self.smoothing) * logarithms[class] + even))
            .collect();
        labels.values.iter().map(|class| losses[*class as usize]).collect()
    }

    fn predict(&self, outputs: &[f32], prediction: &mut [f32]) {
        softmax(outputs, prediction);
    }

    fn fitted(&self, classes: &Classes<'_>) -> Result<Table, Invalid> {
        let Some(weights) = &self.weights else { return Ok(Table::new()) };
        Ok(Table::from([(CLASSES.to_owned(), weights.fitted(CLASSES, classes)?.to_value())]))
    }
}

impl Softmax {
    fn weight(&self, class: usize) -> f32 {
        self.weights.as_ref().map_or(1.0, |weights| weights.of_class(class))
    }
}

fn least_likely(logits: &[f32]) -> usize {
    (0..logits.len()).fold(0, |least, class| if logits[class] < logits[least] { class } else { least })
}
