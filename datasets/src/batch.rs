//! Rows ready for the model.

use objectives::Labels;

use crate::encoding::Pixels;

/// Encoded rows of one feed with the labels of its tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The number of rows; 0 is possible (a small batch may leave a microbatch without rows).
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
    /// class index, `[rows]`. Rows without a label have zeros.
    pub values: Vec<f32>,
    /// Whether the row has a label, `[rows]`.
    pub labelled: Vec<bool>,
}

impl Targets {
    /// The labels, as a loss and a metric take them.
    pub fn labels(&self) -> Labels<'_> {
        Labels { values: &self.values, labelled: &self.labelled }
    }
}

/// Encoded rows of one feed as a worker holds them: images of bytes stay bytes until a batch is
/// drawn.
#[derive(Debug)]
pub(crate) struct HeldRows {
    /// The rows; without dense features if `bytes` has them.
    pub batch: Batch,
    /// The images, row after row.
    pub bytes: Vec<u8>,
}

impl HeldRows {
    /// Bytes of the rows.
    pub fn bytes(&self) -> u64 {
        self.batch.bytes() + self.bytes.len() as u64
    }

    /// Copies rows; `pixels` says how held bytes become dense features.
    pub fn gather(&self, pixels: Option<&Pixels>, rows: &[usize]) -> Batch {
        let all = self.batch.rows;
        let dense = match pixels {
            Some(pixels) => pixels.decode(&pick(&self.bytes, all, rows)),
            None => pick(&self.batch.dense, all, rows),
        };
        let targets = self.batch.targets.iter().map(|targets| Targets {
            task: targets.task,
            values: pick(&targets.values, all, rows),
            labelled: pick(&targets.labelled, all, rows),
        });
        Batch { rows: rows.len(), dense, ids: pick(&self.batch.ids, all, rows), targets: targets.collect() }
    }
}

fn pick<T: Copy>(values: &[T], all: usize, rows: &[usize]) -> Vec<T> {
    let width = values.len() / all.max(1);
    let mut picked = Vec::with_capacity(rows.len() * width);
    for row in rows {
        picked.extend_from_slice(&values[row * width..(row + 1) * width]);
    }
    picked
}

impl Batch {
    /// Bytes of the rows.
    pub fn bytes(&self) -> u64 {
        let targets = |t: &Targets| 4 * t.values.len() + t.labelled.len();
        (4 * (self.dense.len() + self.ids.len()) + self.targets.iter().map(targets).sum::<usize>()) as u64
    }
}
