//! From decoded columns to encoded rows.

use crate::batch::{Batch, HeldRows, Targets};
use crate::column::Column;
use crate::plan::{FeedPlan, Plan};
use crate::target::{TargetEncoding, TaskPlan, unscaled};

/// Collects encoded rows of a feed.
pub(crate) struct RowEncoder<'a> {
    feed: &'a FeedPlan,
    tasks: Vec<&'a TaskPlan>,
    width: usize,
    embeddings: bool,
    /// Whether images of bytes stay bytes.
    keep_bytes: bool,
    held: HeldRows,
}

/// Rows that are encoded together.
const TILE_ROWS: usize = 64;

impl<'a> RowEncoder<'a> {
    /// For a batch of about `rows` rows without targets.
    pub fn without_targets(plan: &'a Plan, feed: &'a FeedPlan, rows: usize) -> Self {
        Self::with(plan, feed, rows, false, false)
    }

    /// For a batch of about `rows` rows with targets.
    pub fn for_batch(plan: &'a Plan, feed: &'a FeedPlan, rows: usize) -> Self {
        Self::with(plan, feed, rows, true, false)
    }

    /// For about `rows` rows with targets that are held for later batches: images of bytes stay
    /// bytes.
    pub fn to_hold(plan: &'a Plan, feed: &'a FeedPlan, rows: usize) -> Self {
        Self::with(plan, feed, rows, true, feed.held_pixels().is_some())
    }

    fn with(plan: &'a Plan, feed: &'a FeedPlan, rows: usize, labels: bool, keep_bytes: bool) -> Self {
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
            dense: Vec::with_capacity(if keep_bytes { 0 } else { rows * width }),
            ids: Vec::with_capacity(rows * feed.embeddings()),
            targets: targets.collect(),
        };
        let bytes = Vec::with_capacity(if keep_bytes { rows * width } else { 0 });
        Self { feed, tasks, width, embeddings: feed.embeddings() > 0, keep_bytes, held: HeldRows { batch, bytes } }
    }

    /// Adds rows of a block, in this order. The block's columns are the feed's features and then
    /// the columns of its tasks in order.
    pub fn push(&mut self, columns: &[&Column], rows: &[usize]) {
        let (features, mut targets) = columns.split_at(self.feed.features.len());
        // A tile of few rows at a time, column by column: the rows of a column are read together,
        // and those of the batch stay in the cache.
        match features {
            [Column::Bytes { width, values }] if self.keep_bytes => {
                rows.iter().for_each(|row| self.held.bytes.extend_from_slice(&values[row * width..][..*width]));
            }
            _ => rows.chunks(TILE_ROWS).for_each(|tile| self.push_features(features, tile)),
        }
        for (task, labels) in self.tasks.iter().zip(&mut self.held.batch.targets) {
            let (own, others) = targets.split_at(task.columns.len());
            for row in rows {
                labels.labelled.push(task.encode(own, *row, &mut labels.values));
            }
            targets = others;
        }
        self.held.batch.rows += rows.len();
    }

    fn push_features(&mut self, columns: &[&Column], rows: &[usize]) {
        let batch = &mut self.held.batch;
        let start = batch.dense.len();
        batch.dense.resize(start + rows.len() * self.width, 0.0);
        let dense = &mut batch.dense[start..];
        let mut place = 0;
        for (feature, column) in self.feed.features.iter().zip(columns) {
            feature.encoding.encode(column, rows, &mut dense[place..], self.width);
            place += feature.encoding.dense_width();
        }
        if self.embeddings {
            for row in rows {
                let features = self.feed.features.iter().zip(columns);
                batch.ids.extend(features.filter_map(|(feature, column)| feature.encoding.id(column, *row)));
            }
        }
    }

    /// The rows of a batch.
    pub fn finish(self) -> Batch {
        self.held.batch
    }

    /// The rows that are held.
    pub fn finish_held(self) -> HeldRows {
        self.held
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
