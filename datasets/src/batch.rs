//! Rows ready for the model.

/// Encoded rows of one feed with the labels of its tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The number of rows; 0 is possible (a microbatch whose share of a small batch is empty).
    pub rows: usize,
    /// Dense features, `[rows, width]`, row after row.
    pub dense: Vec<f32>,
    /// Rows of the embedding tables, `[rows, embeddings]`, row after row.
    pub ids: Vec<u32>,
    /// One a task of the feed, in the order of tasks. Empty for a table without targets.
    pub targets: Vec<Targets>,
}

/// The labels of one task for the rows of a [`Batch`].
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// The task's index in the plan.
    pub task: usize,
    /// Regression: scaled values, binary and multilabel: 0 or 1, `[rows, outputs]`; multiclass: the
    /// class index, `[rows]`. Zero where there is no label.
    pub values: Vec<f32>,
    /// Whether the row has a label, `[rows]`.
    pub labelled: Vec<bool>,
}

impl Batch {
    /// Bytes of the rows.
    pub fn bytes(&self) -> u64 {
        let targets = |t: &Targets| 4 * t.values.len() + t.labelled.len();
        (4 * (self.dense.len() + self.ids.len()) + self.targets.iter().map(targets).sum::<usize>()) as u64
    }
}
