//! From decoded columns to encoded rows.

use crate::batch::{Batch, Targets};
use crate::column::Column;
use crate::plan::{FeedPlan, Plan};
use crate::target::{TargetEncoding, TaskPlan};

/// Collects encoded rows of a feed.
pub(crate) struct RowEncoder<'a> {
    feed: &'a FeedPlan,
    tasks: Vec<&'a TaskPlan>,
    width: usize,
    batch: Batch,
}

impl<'a> RowEncoder<'a> {
    /// For about `rows` rows; `labels` says whether targets are encoded.
    pub fn new(plan: &'a Plan, feed: &'a FeedPlan, rows: usize, labels: bool) -> Self {
        let width = feed.dense_width();
        let tasks: Vec<&TaskPlan> =
            if labels { feed.tasks.iter().map(|t| &plan.tasks()[*t]).collect() } else { Vec::new() };
        let targets = feed.tasks.iter().zip(&tasks).map(|(&task, plan)| Targets {
            task,
            values: Vec::with_capacity(rows * plan.values()),
            labelled: Vec::with_capacity(rows),
        });
        let batch = Batch {
            rows: 0,
            dense: Vec::with_capacity(rows * width),
            ids: Vec::with_capacity(rows * feed.embeddings()),
            targets: targets.collect(),
        };
        Self { feed, tasks, width, batch }
    }

    /// Adds a row of a block whose columns are the feed's features and then the columns of its tasks in order.
    pub fn push(&mut self, columns: &[&Column], row: usize) {
        let start = self.batch.dense.len();
        self.batch.dense.resize(start + self.width, 0.0);
        let mut place = start;
        for (feature, column) in self.feed.features.iter().zip(columns) {
            let end = place + feature.encoding.dense_width();
            feature.encoding.encode(column, row, &mut self.batch.dense[place..end], &mut self.batch.ids);
            place = end;
        }
        let mut rest = &columns[self.feed.features.len()..];
        for (task, targets) in self.tasks.iter().zip(&mut self.batch.targets) {
            let (own, others) = rest.split_at(task.columns.len());
            targets.labelled.push(task.encode(own, row, &mut targets.values));
            rest = others;
        }
        self.batch.rows += 1;
    }

    pub fn finish(self) -> Batch {
        self.batch
    }
}

impl TaskPlan {
    /// Pushes the label of a row; gives whether there is one. Without a label, zeros are pushed.
    pub(crate) fn encode(&self, columns: &[&Column], row: usize, values: &mut Vec<f32>) -> bool {
        let start = values.len();
        let labelled = columns.iter().all(|column| !column.is_null(row)) && self.push_values(columns, row, values);
        if !labelled {
            values.truncate(start);
            values.resize(start + self.values(), 0.0);
        }
        labelled
    }

    /// Whether a row has a label.
    pub(crate) fn is_labelled(&self, columns: &[&Column], row: usize) -> bool {
        self.encode(columns, row, &mut Vec::with_capacity(self.values()))
    }

    fn push_values(&self, columns: &[&Column], row: usize, values: &mut Vec<f32>) -> bool {
        match &self.encoding {
            TargetEncoding::Scaled { offset, scale, log1p } => {
                for (output, column) in columns.iter().enumerate() {
                    let value = unscaled(column.numbers(row, 1)[0], *log1p);
                    values.push(((value - offset[output]) / scale[output]) as f32);
                }
                true
            }
            TargetEncoding::Classes(classes) | TargetEncoding::Binary(classes) => {
                match classes.index(columns[0], row) {
                    Some(class) => {
                        values.push(class as f32);
                        true
                    }
                    None => false,
                }
            }
            TargetEncoding::Indicators => {
                values.extend(columns.iter().map(|column| column.numbers(row, 1)[0] as f32));
                true
            }
        }
    }
}

/// A target value, or its `ln(1 + x)`, computed in software so that it is the same on every machine.
pub(crate) fn unscaled(value: f64, log1p: bool) -> f64 {
    if log1p { libm::log1p(value) } else { value }
}
