//! What was found in the tables, for a person to read and for `check --json`.

use std::collections::BTreeMap;

use experiment::SplitName;
use serde::Serialize;

/// The first names in quotes, and that there are more.
pub(crate) fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 8;
    let names: Vec<&str> = names.into_iter().collect();
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    format!("`{}`{more}", names[..names.len().min(SHOWN)].join("`, `"))
}

/// What was found in the tables.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The datasets in the file's order.
    pub tables: Vec<TableSummary>,
    /// The feeds in the file's order.
    pub feeds: Vec<FeedSummary>,
    /// The tasks in the file's order.
    pub tasks: Vec<TaskSummary>,
    /// The columns at each input of the trunk, if several feeds reach it without encoders.
    pub trunk_inputs: Vec<TrunkInput>,
    /// What a user should know, each a sentence that names dataset, column or task.
    pub warnings: Vec<String>,
}

/// One dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableSummary {
    /// The dataset's name.
    pub name: String,
    /// `csv`, `parquet`, `ipc` or `ndjson`.
    pub format: String,
    /// The files in the order of their rows, as the plan names them.
    pub files: Vec<String>,
    /// Bytes of the files.
    pub bytes: u64,
    /// Rows of data.
    pub rows: u64,
    /// Rows by split.
    pub splits: BTreeMap<SplitName, u64>,
    /// Of a split by a column: where the parts begin and end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<BySummary>,
    /// `shuffled` or `file`.
    pub order: String,
    /// Every column of the table, in order.
    pub columns: Vec<ColumnSummary>,
}

/// The parts of a table that is split by the order of a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BySummary {
    /// The column.
    pub column: String,
    /// By part that has rows: the first and the last value, as the file has them.
    pub parts: BTreeMap<SplitName, [String; 2]>,
}

/// Neighbouring inputs of the trunk that feeds without encoders have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrunkInput {
    /// The first of the inputs, from 1.
    pub first: usize,
    /// The last of the inputs.
    pub last: usize,
    /// By feed: its name, and its column at these inputs.
    pub columns: Vec<(String, String)>,
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnSummary {
    /// The column's name.
    pub name: String,
    /// `number`, `boolean`, `text`, `list[64]`, or the file's own name of a type that can't be
    /// used.
    #[serde(rename = "type")]
    pub kind: String,
    /// `feature`, `target`, `split` or `unused`; several are joined by `+`.
    pub role: String,
    /// Null values in all rows; `None` for a column that is not read.
    pub nulls: Option<u64>,
    /// Whether all training rows have the same value.
    pub constant: bool,
}

/// One feed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeedSummary {
    /// The feed's name.
    pub name: String,
    /// Its dataset.
    pub dataset: String,
    /// Its tasks.
    pub tasks: Vec<String>,
    /// Rows a step.
    pub batch_size: u32,
    /// What a row is: `table`, or `image 1 x 28 x 28` (channels, height, width).
    pub input: String,
    /// Dense columns after preprocessing.
    pub width: usize,
    /// Each feature column, and what becomes of it: `standard`, `constant`, `one_hot(3)`,
    /// `embedding(120 x 11)`, `pixels(784)`.
    pub features: Vec<(String, String)>,
    /// Rows of the largest partition.
    pub partition_rows: u64,
    /// Bytes of one encoded row, with labels.
    pub row_bytes: u64,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskSummary {
    /// The task's name.
    pub name: String,
    /// Its feed.
    pub feed: String,
    /// `regression`, `binary`, `multiclass` or `multilabel`.
    pub kind: String,
    /// The target columns.
    pub targets: Vec<String>,
    /// Rows with a label, by split.
    pub labelled: BTreeMap<SplitName, u64>,
    /// Class labels with their rows by split, for classifications; multilabel: target columns with
    /// their positive rows.
    pub classes: Vec<(String, BTreeMap<SplitName, u64>)>,
    /// Mean and standard deviation of each target over the training rows in original units, for
    /// regressions.
    pub targets_scale: Vec<(f64, f64)>,
    /// Loss of the best constant prediction, by split.
    pub baseline_loss: BTreeMap<SplitName, f64>,
}
