//! One task's loss and metrics, ready to be computed from the head's outputs.

use std::sync::Arc;

use crate::loss::{Loss, class_index};
use crate::metric::measures::NO_CLASS;
use crate::metric::{Measures, MetricRef, Row};
use crate::{Kind, LossSum, TaskSums, Units};

/// The loss and the metrics of one task.
#[derive(Debug, Clone)]
pub struct Objective {
    /// The task's index.
    pub task: usize,
    /// What the target is.
    pub kind: Kind,
    /// Outputs of the task's head.
    pub outputs: usize,
    /// How the target was scaled.
    pub units: Units,
    /// What is minimised.
    pub loss: Arc<dyn Loss>,
    /// What is measured.
    pub metrics: Vec<MetricRef>,
}

/// The labels of one task for the rows of a pass.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    /// [`Kind::label_width`] values a row. Values of rows without a label are not read.
    pub values: &'a [f32],
    /// Whether each row has a label, `[rows]`.
    pub labelled: &'a [bool],
}

impl Objective {
    /// The metrics.
    pub fn measures(&self) -> Measures<'_> {
        Measures { kind: self.kind, outputs: self.outputs, metrics: &self.metrics }
    }

    /// Adds the losses of the labelled rows. `outputs` is `[rows, self.outputs]`.
    ///
    /// `derivative` has the shape of `outputs`, if it is given. `scale` times each row's derivative
    /// is written into it, and 0 for rows without a label.
    pub fn losses(&self, outputs: &[f32], labels: Labels<'_>, scale: f32, derivative: Option<&mut [f32]>) -> LossSum {
        let width = self.outputs;
        let label_width = self.kind.label_width(width);
        let mut sum = LossSum { task: self.task, loss: 0.0, rows: 0 };
        let mut unused = vec![0.0; if derivative.is_some() { 0 } else { width }];
        let mut derivative = derivative;
        for (row, (&labelled, outputs)) in labels.labelled.iter().zip(outputs.chunks_exact(width)).enumerate() {
            let derivative = match &mut derivative {
                Some(derivative) => &mut derivative[row * width..(row + 1) * width],
                None => &mut unused[..],
            };
            if !labelled {
                derivative.fill(0.0);
                continue;
            }
            let labels = &labels.values[row * label_width..(row + 1) * label_width];
            sum.rows += 1;
            sum.loss += self.loss.row(outputs, labels, scale, derivative);
        }
        sum
    }

    /// The sums of an evaluation over the labelled rows. `outputs` is `[rows, self.outputs]`.
    pub fn sums(&self, outputs: &[f32], labels: Labels<'_>) -> TaskSums {
        let losses = self.losses(outputs, labels, 0.0, None);
        let measures = self.measures();
        let mut sums = TaskSums { rows: losses.rows, loss: losses.loss, ..measures.zero() };
        let (keeps_scores, sees_rows) = (measures.keeps_scores(), measures.sees_rows());
        let mut seen = SeenRow::new(self);
        let label_width = self.kind.label_width(self.outputs);
        let rows = outputs.chunks_exact(self.outputs).zip(labels.values.chunks_exact(label_width)).zip(labels.labelled);
        for ((outputs, labels), _) in rows.filter(|(_, labelled)| **labelled) {
            match self.kind {
                Kind::Regression => {
                    seen.set(self, outputs, labels);
                    add_errors(&seen, &mut sums.sums);
                    if keeps_scores {
                        sums.scores.extend_from_slice(&seen.scaled);
                        sums.labels.extend(labels.iter().map(|label| label.to_bits()));
                    }
                }
                Kind::Binary | Kind::Multilabel => add_decisions(outputs, labels, keeps_scores, &mut sums),
                Kind::Multiclass => {
                    let class = add_class(outputs, labels[0], &mut sums.counts);
                    if keeps_scores {
                        let start = sums.scores.len();
                        sums.scores.resize(start + outputs.len(), 0.0);
                        self.loss.predict(outputs, &mut sums.scores[start..]);
                        sums.labels.push(class);
                    }
                }
            }
            if sees_rows {
                if self.kind != Kind::Regression {
                    seen.set(self, outputs, labels);
                }
                measures.add(&seen.row(outputs), &mut sums.own);
            }
        }
        sums
    }

    /// What the head's outputs, `[rows, self.outputs]`, mean to a reader: values in the target's
    /// units for a regression, probabilities for all other kinds.
    pub fn predictions(&self, outputs: &[f32]) -> Vec<f32> {
        let mut predictions = vec![0.0; outputs.len()];
        let rows = outputs.chunks_exact(self.outputs).zip(predictions.chunks_exact_mut(self.outputs));
        for (outputs, predictions) in rows {
            self.loss.predict(outputs, predictions);
            if self.kind == Kind::Regression {
                for (output, prediction) in predictions.iter_mut().enumerate() {
                    *prediction = self.units.original(output, *prediction) as f32;
                }
            }
        }
        predictions
    }
}

/// What a metric sees of a row.
struct SeenRow {
    /// What the outputs predict, before a regression's predictions are scaled back.
    scaled: Vec<f32>,
    predictions: Vec<f64>,
    labels: Vec<f64>,
    centre: Vec<f64>,
}

impl SeenRow {
    fn new(objective: &Objective) -> Self {
        let outputs = objective.outputs;
        let centre = match objective.kind {
            Kind::Regression => (0..outputs).map(|output| objective.units.original(output, 0.0)).collect(),
            _ => Vec::new(),
        };
        let labels = vec![0.0; objective.kind.label_width(outputs)];
        Self { scaled: vec![0.0; outputs], predictions: vec![0.0; outputs], labels, centre }
    }

    fn set(&mut self, objective: &Objective, outputs: &[f32], labels: &[f32]) {
        objective.loss.predict(outputs, &mut self.scaled);
        let is_regression = objective.kind == Kind::Regression;
        let original = |output: usize, value: f32| match is_regression {
            true => objective.units.original(output, value),
            false => f64::from(value),
        };
        for (output, (prediction, scaled)) in self.predictions.iter_mut().zip(&self.scaled).enumerate() {
            *prediction = original(output, *scaled);
        }
        for (output, (label, scaled)) in self.labels.iter_mut().zip(labels).enumerate() {
            *label = original(output, *scaled);
        }
    }

    fn row<'a>(&'a self, outputs: &'a [f32]) -> Row<'a> {
        Row { outputs, predictions: &self.predictions, labels: &self.labels, centre: &self.centre }
    }
}

fn add_errors(row: &SeenRow, sums: &mut [f64]) {
    for (output, sums) in sums.chunks_exact_mut(4).enumerate() {
        let label = row.labels[output];
        let error = row.predictions[output] - label;
        let centred = label - row.centre[output];
        for (sum, value) in sums.iter_mut().zip([error.abs(), error * error, centred, centred * centred]) {
            *sum += value;
        }
    }
}

fn add_decisions(outputs: &[f32], labels: &[f32], keeps_scores: bool, sums: &mut TaskSums) {
    for (counts, (x, y)) in sums.counts.chunks_exact_mut(4).zip(outputs.iter().zip(labels)) {
        counts[2 * usize::from(*y > 0.5) + usize::from(*x > 0.0)] += 1;
    }
    if keeps_scores {
        sums.scores.extend_from_slice(outputs);
        sums.labels.extend(labels.iter().map(|y| u32::from(*y > 0.5)));
    }
}

/// Counts the row; gives its class.
fn add_class(outputs: &[f32], label: f32, counts: &mut [u64]) -> u32 {
    let predicted = (0..outputs.len()).fold(0, |best, class| if outputs[class] > outputs[best] { class } else { best });
    counts[3 * predicted + 1] += 1;
    match class_index(label, outputs.len()) {
        None => NO_CLASS,
        Some(class) => {
            counts[3 * class] += 1;
            counts[3 * class + 2] += u64::from(class == predicted);
            class as u32
        }
    }
}
