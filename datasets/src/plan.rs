//! The plan: everything about the data that a worker needs but the rows.
//!
//! The coordinator makes it once ([`crate::prepare`]), sends it to every worker, and saves it with
//! the run. It names files, columns and their encodings with the fitted numbers, classes, the
//! split, and the digests that a worker's rows must have. Rows are listed one by one
//! only if there is no shorter description (see [`crate::split`]).

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use experiment::{CsvOptions, EmbeddingShape, FeedShape, Format, InputShape, Order, Shapes, SplitName};
use serde::{Deserialize, Serialize};

use crate::column::ColumnKind;
use crate::encoding::{Feature, Pixels};
use crate::split::{Assignment, Index};
use crate::target::TaskPlan;
use crate::{DataError, partition, shapes};

/// Rows of one evaluation chunk.
pub const CHUNK_ROWS: u64 = 1024;

/// Everything about the data but the rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Plan {
    pub(crate) written: Written,
    shapes: Shapes,
}

/// The plan as it is sent and saved; [`Shapes`] follow from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Written {
    /// The training seed, for the sampling order.
    pub seed: u64,
    /// V.
    pub microbatches: u32,
    pub tables: Vec<TablePlan>,
    pub feeds: Vec<FeedPlan>,
    pub tasks: Vec<TaskPlan>,
}

/// One dataset of the experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TablePlan {
    /// The dataset's name in the experiment.
    pub name: String,
    /// What the files are.
    pub format: Format,
    /// How CSV files are written.
    pub csv: CsvOptions,
    /// The files in the order of their rows, relative to the experiment file.
    pub files: Vec<FilePlan>,
    /// The columns that are read, in the table's order.
    pub columns: Vec<ColumnPlan>,
    /// The rows that train, validate and test.
    pub split: Assignment,
    /// The split's seed, which shuffles partitions too.
    pub split_seed: u64,
}

/// One file of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePlan {
    /// The path, relative to the experiment file unless it is absolute.
    pub path: String,
    /// Rows of data.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Where the blocks of a text file start, each with its first byte and its first row, then the
    /// end. Empty for columnar files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<(u64, u64)>,
}

/// One column that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnPlan {
    /// The column's name.
    pub name: String,
    /// What its values are read as.
    pub kind: ColumnKind,
}

/// What a batch is drawn from: a table with a selection of its columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeedPlan {
    /// The dataset's name, or `DATASET.TASK` for a task with features of its own.
    pub name: String,
    /// Index into the plan's tables.
    pub table: usize,
    /// What a row is to the model.
    #[serde(default, skip_serializing_if = "is_table")]
    pub input: InputShape,
    /// The feature columns with their fitted encodings, in the table's order, or in that of an
    /// earlier feed that has the same columns and shares the trunk's inputs with this one.
    pub features: Vec<Feature>,
    /// Indices of the tasks on this feed.
    pub tasks: Vec<usize>,
    /// Rows a step, over all workers.
    pub batch_size: u32,
    /// How training rows are cut into partitions.
    pub order: Order,
    /// sha256 of each partition, in hexadecimal.
    pub partitions: Vec<String>,
    /// The first half of the sha256 of each chunk of the validation and the test rows, in
    /// hexadecimal.
    pub chunks: BTreeMap<SplitName, Vec<String>>,
}

fn is_table(input: &InputShape) -> bool {
    *input == InputShape::Table
}

impl FeedPlan {
    /// Dense columns after preprocessing.
    pub fn dense_width(&self) -> usize {
        self.features.iter().map(|feature| feature.encoding.dense_width()).sum()
    }

    /// Embedded columns.
    pub fn embeddings(&self) -> usize {
        self.features.iter().filter(|feature| feature.encoding.embedding().is_some()).count()
    }

    /// How held bytes become dense columns, if rows are held as bytes.
    pub(crate) fn held_pixels(&self) -> Option<&Pixels> {
        match self.features.as_slice() {
            [feature] if matches!(feature.kind, ColumnKind::Pixels { bytes: true, .. }) => feature.encoding.pixels(),
            _ => None,
        }
    }

    pub(crate) fn shape(&self, dataset: &str) -> FeedShape {
        let embeddings = self.features.iter().filter_map(|feature| {
            let (rows, width) = feature.encoding.embedding()?;
            Some(EmbeddingShape { column: feature.column.clone(), rows, width })
        });
        FeedShape {
            name: self.name.clone(),
            dataset: dataset.to_owned(),
            input: self.input,
            width: self.dense_width(),
            embeddings: embeddings.collect(),
        }
    }
}

impl Written {
    fn shapes(&self) -> Shapes {
        Shapes {
            feeds: self.feeds.iter().map(|feed| feed.shape(&self.tables[feed.table].name)).collect(),
            tasks: self.tasks.iter().map(shapes::task).collect(),
        }
    }
}

impl From<Written> for Plan {
    fn from(written: Written) -> Self {
        let shapes = written.shapes();
        Plan { written, shapes }
    }
}

impl From<Plan> for Written {
    fn from(plan: Plan) -> Self {
        plan.written
    }
}

impl Plan {
    /// The sizes that the data give to the model.
    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// The feeds, in the file's order.
    pub fn feeds(&self) -> &[FeedPlan] {
        &self.written.feeds
    }

    /// The tasks, in the file's order.
    pub fn tasks(&self) -> &[TaskPlan] {
        &self.written.tasks
    }

    /// The tables, in the file's order.
    pub fn tables(&self) -> &[TablePlan] {
        &self.written.tables
    }

    /// The part of each row of a table, in the order of the rows.
    ///
    /// # Panics
    /// There is no table with this number.
    pub fn parts(&self, table: usize) -> impl Iterator<Item = SplitName> {
        let index = Index::new(&self.written.tables[table].split);
        (0..index.rows()).map(move |row| index.part(row))
    }

    /// V: the number of partitions of each feed, and of microbatches of a step.
    pub fn microbatches(&self) -> u32 {
        self.written.microbatches
    }

    /// Rows a step of a feed, over all workers.
    pub fn batch_size(&self, feed: usize) -> u32 {
        self.written.feeds[feed].batch_size
    }

    /// Rows of a feed in a split.
    pub fn rows(&self, feed: usize, split: SplitName) -> u64 {
        self.written.tables[self.written.feeds[feed].table].split.rows(split)
    }

    /// Steps in which the longest feed is seen once, at least 1.
    pub fn steps_per_epoch(&self) -> u64 {
        let feeds = 0..self.feeds().len();
        let steps = |feed| self.rows(feed, SplitName::Train).div_ceil(u64::from(self.batch_size(feed)));
        feeds.map(steps).max().unwrap_or(1).max(1)
    }

    /// Rows of a feed's partition `v` of the training rows.
    pub fn partition_rows(&self, feed: usize, v: u32) -> u64 {
        let range = partition::range(self.rows(feed, SplitName::Train), self.microbatches(), v);
        range.end - range.start
    }

    /// By range of partitions: the rows of the table, of whatever split, that a worker reads to get
    /// those partitions of a feed.
    pub fn rows_read(&self, feed: usize, ranges: &[Range<u32>]) -> Vec<u64> {
        let index = Index::new(&self.written.tables[self.written.feeds[feed].table].split);
        let rows = |range: &Range<u32>| index.span(SplitName::Train, self.ranks(feed, range.clone()));
        ranges.iter().map(rows).map(|rows| rows.end - rows.start).collect()
    }

    /// The training rows, by their number among these, among which a feed's partitions are.
    pub(crate) fn ranks(&self, feed: usize, partitions: Range<u32>) -> Range<u64> {
        let train = self.rows(feed, SplitName::Train);
        let cut = |v: u32| partition::range(train, self.microbatches(), v);
        match self.written.feeds[feed].order {
            _ if partitions.is_empty() => 0..0,
            Order::File => cut(partitions.start).start..cut(partitions.end - 1).end,
            Order::Shuffled => 0..train,
        }
    }

    /// Rows that a feed gives to a microbatch of a step.
    pub fn microbatch_rows(&self, feed: usize, step: u64, v: u32) -> u64 {
        partition::share(u64::from(self.batch_size(feed)), self.microbatches(), step, v)
    }

    /// Evaluation chunks of [`CHUNK_ROWS`] rows of a feed's split; the last one may be shorter.
    pub fn chunks(&self, feed: usize, split: SplitName) -> u32 {
        u32::try_from(self.rows(feed, split).div_ceil(CHUNK_ROWS)).expect("fewer than four trillion rows")
    }

    /// Rows of one evaluation chunk.
    pub fn chunk_rows(&self, feed: usize, split: SplitName, chunk: u32) -> u64 {
        (self.rows(feed, split).saturating_sub(u64::from(chunk) * CHUNK_ROWS)).min(CHUNK_ROWS)
    }

    /// Bytes of one row of a feed as a worker holds it, with its labels.
    pub fn row_bytes(&self, feed: usize) -> u64 {
        let value = if self.written.feeds[feed].held_pixels().is_some() { 1 } else { size_of::<f32>() };
        self.bytes_with(feed, value)
    }

    /// Bytes of one row of a feed in a batch, with its labels.
    pub(crate) fn batch_row_bytes(&self, feed: usize) -> u64 {
        self.bytes_with(feed, size_of::<f32>())
    }

    /// Bytes of a row whose dense columns take `value` bytes each.
    fn bytes_with(&self, feed: usize, value: usize) -> u64 {
        let plan = &self.written.feeds[feed];
        let labels: usize = plan.tasks.iter().map(|task| 4 * self.written.tasks[*task].values() + 1).sum();
        (value * plan.dense_width() + 4 * plan.embeddings() + labels) as u64
    }

    pub(crate) fn split_seed(&self, table: usize) -> u64 {
        self.written.tables[table].split_seed
    }

    /// The columns of a feed's table that its rows are made from: features, then the targets of its
    /// tasks.
    pub(crate) fn columns_of(&self, feed: &FeedPlan) -> Result<Vec<usize>, DataError> {
        let table = &self.written.tables[feed.table];
        let targets = feed.tasks.iter().flat_map(|task| self.written.tasks[*task].columns.iter());
        let names = feed.features.iter().map(|feature| &feature.column).chain(targets);
        let places: HashMap<&str, usize> =
            table.columns.iter().enumerate().map(|(place, column)| (column.name.as_str(), place)).collect();
        let find = |name: &String| {
            let found = places.get(name.as_str()).copied();
            found.ok_or_else(|| DataError::NotPlanned { what: format!("column `{name}`") })
        };
        names.map(find).collect()
    }

    pub(crate) fn feed(&self, feed: usize) -> Result<&FeedPlan, DataError> {
        self.written.feeds.get(feed).ok_or_else(|| DataError::NotPlanned { what: format!("feed {feed}") })
    }
}
