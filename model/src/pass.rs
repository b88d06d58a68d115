//! The inputs of a pass through the network, and their checks.

use datasets::{Batch, Targets};
use experiment::Shapes;

use crate::ModelError;

/// The key of the random numbers of one microbatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MicrobatchKey {
    /// Seed of the experiment.
    pub seed: u64,
    /// Step, from 0.
    pub step: u64,
    /// Microbatch, in `[0, V)`.
    pub microbatch: u32,
}

/// Rows of one feed, with the tasks that are to be computed.
#[derive(Debug, Clone)]
pub struct FeedInput<'a> {
    /// Index of the feed.
    pub feed: usize,
    /// The rows; there may be none.
    pub batch: &'a Batch,
    /// The labels of the tasks to compute, in ascending order of the tasks. The pass leaves out the
    /// other tasks on the feed. A multiclass label that is not the index of an output counts as
    /// wrong.
    pub targets: Vec<&'a Targets>,
}

impl<'a> FeedInput<'a> {
    /// The rows of a feed, with all tasks for which the batch has labels.
    pub fn new(feed: usize, batch: &'a Batch) -> Self {
        Self { feed, batch, targets: batch.targets.iter().collect() }
    }
}

/// A training pass, which drops, or an evaluation pass, which does not.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pass {
    Training(MicrobatchKey),
    Evaluation,
}

/// Checks that the rows fit the network: sizes, ids, and feeds and tasks in ascending order (the
/// order of rows in the trunk's matrix is part of the result).
pub(crate) fn check(shapes: &Shapes, inputs: &[FeedInput<'_>]) -> Result<(), ModelError> {
    for (i, input) in inputs.iter().enumerate() {
        let Some(shape) = shapes.feeds.get(input.feed) else {
            return Err(ModelError::Input { feed: input.feed.to_string(), reason: "there is no such feed".to_owned() });
        };
        let refuse = |reason: String| Err(ModelError::Input { feed: shape.name.clone(), reason });
        if i > 0 && inputs[i - 1].feed >= input.feed {
            return refuse("feeds of a pass are in rising order".to_owned());
        }
        let (dense, ids) = (input.batch.rows * shape.width, input.batch.rows * shape.embeddings.len());
        if input.batch.dense.len() != dense || input.batch.ids.len() != ids {
            let (given_dense, given_ids) = (input.batch.dense.len(), input.batch.ids.len());
            return refuse(format!("{given_dense} dense values and {given_ids} ids where {dense} and {ids} belong"));
        }
        let tables = &shape.embeddings;
        for (at, &id) in input.batch.ids.iter().enumerate() {
            let column = at % tables.len();
            if id as usize >= tables[column].rows {
                let (name, rows) = (&tables[column].column, tables[column].rows);
                return refuse(format!("column `{name}` has id {id}, and its table {rows} rows"));
            }
        }
        for (j, target) in input.targets.iter().enumerate() {
            let Some(task) = shapes.tasks.get(target.task).filter(|task| task.feed == input.feed) else {
                return refuse(format!("task {} is not on this feed", target.task));
            };
            if j > 0 && input.targets[j - 1].task >= target.task {
                return refuse("tasks of a feed are in rising order".to_owned());
            }
            let width = task.kind.label_width(task.outputs);
            if target.values.len() != input.batch.rows * width || target.labelled.len() != input.batch.rows {
                return refuse(format!("task `{}` has labels for other than {} rows", task.name, input.batch.rows));
            }
        }
    }
    Ok(())
}
