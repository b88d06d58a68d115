//! Loss functions: one file each, and one line each in [`LOSSES`].
//!
//! A file reads the loss's parameters, computes a row's loss with its derivative, fits the best
//! constant prediction, and says what the outputs predict. Nothing outside the file names the loss.

mod class_weights;
mod cross_entropy;
mod huber;
mod mae;
mod mse;
mod poisson;
mod positive_weight;
mod regression;
#[cfg(test)]
mod tests;

use std::fmt;

use settings::{Description, Entry, Invalid, Reader, Registry, Table};

use crate::Kind;
pub use regression::mean_over_outputs;

/// All losses. The first that fits a kind of task is the default of that kind.
pub static LOSSES: Registry<LossPart> =
    Registry::new("loss", &[cross_entropy::ENTRY, mse::ENTRY, huber::ENTRY, mae::ENTRY, poisson::ENTRY]);

/// Makes a loss of its parameters, for a task of this kind.
pub type ReadLoss = fn(&mut Reader<'_>, Kind) -> Result<Box<dyn Loss>, Invalid>;

/// What the registry holds of a loss.
#[derive(Debug, Clone, Copy)]
pub struct LossPart {
    /// The kinds of tasks that can have it.
    pub kinds: &'static [Kind],
    /// Whether the labels have to stay in the target's own units: `target_scale` is `none` then.
    pub unscaled: bool,
    /// Reads the parameters for a task of one of the kinds. It asks for the same keys whatever the
    /// kind of task is, and refuses what the kind can't have. The caller has read `kind`, and
    /// refuses keys that are left over.
    pub read: ReadLoss,
}

/// A loss function with its parameters.
///
/// A row is one row's outputs and labels. Labels of a multiclass task are one number, the index of
/// the class; an index that no output stands for is a class that the training rows lack. Binary and
/// multilabel tasks have 0 or 1 for each output. Regressions have the scaled target.
pub trait Loss: fmt::Debug + Send + Sync {
    /// The loss of a row with a label. Writes `scale` times its derivative by each output into
    /// `derivative`, `[outputs]`.
    ///
    /// Two calls with equal arguments give the same bits: nothing but the arguments may be read.
    fn row(&self, outputs: &[f32], labels: &[f32], scale: f32, derivative: &mut [f32]) -> f64;

    /// The loss of every row, `[rows]`, if the model gave the same outputs for all rows: those with
    /// the least loss over the training rows. All of them are finite; those of rows without a label
    /// are not read. `skill` is measured against their mean.
    fn baseline(&self, labels: &AllLabels<'_>) -> Vec<f64>;

    /// What a row's outputs predict, `[outputs]`: the scaled target of a regression, probabilities
    /// for all other kinds.
    fn predict(&self, outputs: &[f32], prediction: &mut [f32]);

    /// Refuses a label of a regression, in the target's own units, that the loss has no value for.
    ///
    /// # Errors
    /// The reason, beginning with the label.
    fn check_label(&self, label: f64) -> Result<(), String> {
        let _ = label;
        Ok(())
    }

    /// Parameters that follow from the labels of the training rows, by key. They take the place of
    /// what the file says, and the loss is read again with them. A regression has none.
    ///
    /// # Errors
    /// [`Invalid`] if a parameter does not fit the classes.
    fn fitted(&self, classes: &Classes<'_>) -> Result<Table, Invalid> {
        let _ = classes;
        Ok(Table::new())
    }
}

/// What each output of a classification stands for: a class of a multiclass task, the value that
/// counts as 1 of a binary one, a column of a multilabel one.
#[derive(Debug, Clone, Copy)]
pub struct Classes<'a> {
    /// The name by output: the class's label, or the column.
    pub names: &'a [String],
    /// Training rows by output: those of the class, or those with label 1.
    pub rows: &'a [u64],
    /// Training rows with a label.
    pub labelled: u64,
}

/// The labels of all rows of a task.
#[derive(Debug, Clone, Copy)]
pub struct AllLabels<'a> {
    /// Outputs of the task's head: classes of a multiclass task.
    pub outputs: usize,
    /// Label values in f64, `[rows, outputs]`, or `[rows]` for a multiclass task. Any finite number
    /// stands for a label that is missing.
    pub values: &'a [f64],
    /// Whether each row is a training row with a label, `[rows]`.
    pub is_training: &'a [bool],
}

impl AllLabels<'_> {
    /// The labels of the training rows at one place of the row's label values, in the order of the
    /// rows.
    pub fn training(&self, place: usize) -> impl Iterator<Item = f64> {
        let width = self.values.len().checked_div(self.is_training.len()).unwrap_or(0);
        let rows = self.is_training.iter().enumerate().filter(|(_, is_training)| **is_training);
        rows.map(move |(row, _)| self.values[row * width + place])
    }

    /// The baseline of a loss that is the mean over the outputs of a function of one output and its
    /// label. `constant` gives the best output for the training labels of an output, `loss` its
    /// loss at a label.
    pub fn by_output(&self, constant: impl Fn(Vec<f64>) -> f64, loss: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let constants: Vec<f64> = (0..self.outputs).map(|output| constant(self.training(output).collect())).collect();
        let row = |labels: &[f64]| {
            let losses = constants.iter().zip(labels).map(|(constant, label)| loss(*constant, *label));
            losses.sum::<f64>() / self.outputs as f64
        };
        self.values.chunks_exact(self.outputs).map(row).collect()
    }
}

/// All losses with their parameters, for the reference.
pub fn reference() -> Vec<Description> {
    // A loss asks for the same parameters whatever the kind of task is.
    LOSSES.describe(|part, reader| (part.read)(reader, part.kinds.first().copied().unwrap_or(Kind::Regression)))
}

/// The losses that a kind of task can have, the default first.
pub fn of_kind(kind: Kind) -> impl Iterator<Item = &'static Entry<LossPart>> {
    LOSSES.entries().filter(move |entry| entry.part.kinds.contains(&kind))
}

/// The class that a label names; `None` for a label that no output stands for.
pub fn class_index(label: f32, classes: usize) -> Option<usize> {
    (label >= 0.0 && label < classes as f32).then_some(label as usize)
}
