//! Tables read through polars: schema, splits, preprocessing, sampling order, batches.
//!
//! The coordinator calls [`prepare`]: it looks at the experiment's tables, divides their rows, fits
//! the preprocessing on the training rows, and gives a [`Plan`], which says everything about the
//! data but the rows, [`Labels`], which counts labelled rows by step, and a [`Summary`] for people.
//! A worker opens a [`Store`] on the plan, loads the partitions that it works on, and asks for
//! batches and evaluation chunks. Rows that differ from the coordinator's are refused by their
//! digests. [`encode_table`] encodes new rows for a trained model.
//!
//! | column | read as |
//! |---|---|
//! | numbers of any kind | number; NaN and infinities are refused, nulls are not |
//! | dates, times, durations | number, in seconds |
//! | booleans; CSV fields that are all `true` or `false` | boolean |
//! | text, categoricals, enums | text |
//! | lists and arrays of numbers | as many numbers in every row as in the first |
//! | CSV fields | number if at least half of the first 10,000 rows (of those with a value that does not look like `NA`) are numbers, else text |
//!
//! `types` overrides this. Whole numbers that an f64 does not hold keep their digits where they are
//! labels, groups or categories. A column of another type is not read. A value that is not what its
//! column is read as is refused with file, column, row and line. No random number, clock or thread
//! decides anything here: plan, batches and digests depend on the files and the experiment only.

mod batch;
mod build;
mod column;
mod decode;
mod difference;
mod digest;
mod encode;
mod encoding;
mod error;
mod exact;
mod input;
mod labels;
mod location;
mod number;
mod partition;
mod passage;
mod plan;
mod predict;
mod selection;
mod shapes;
mod source;
mod split;
mod statistics;
mod store;
mod summary;
mod target;

pub use batch::{Batch, Targets};
pub use build::{Prepared, prepare, prepare_watched};
pub use column::ColumnKind;
pub use encoding::{EMBEDDING_LIMIT, Encoding, Feature, NULL_ROW, ONE_HOT_LIMIT, Pixels, UNSEEN_ROW};
pub use error::{DataError, Part};
pub use experiment::SplitName;
pub use input::{INPUTS, complete_inputs};
pub use labels::Labels;
pub use passage::{Pass, Passage, Watch};
pub use plan::{CHUNK_ROWS, ColumnPlan, FeedPlan, FilePlan, Plan, TablePlan};
pub use predict::{Rows, encode_table};
pub use split::Assignment;
pub use store::{KEPT_STEPS, Store};
pub use summary::{BySummary, ColumnSummary, FeedSummary, Summary, TableSummary, TaskSummary, TrunkInput};
pub use target::{Classes, TargetEncoding, TaskPlan};
