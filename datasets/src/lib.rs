//! Tables read through polars: schema, splits, preprocessing, sampling order, batches.

mod batch;
mod build;
mod column;
mod decode;
mod digest;
mod encode;
mod encoding;
mod error;
mod exact;
mod labels;
mod location;
mod partition;
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
pub use build::{Prepared, prepare};
pub use encoding::{EMBEDDING_LIMIT, Encoding, Feature, NULL_ROW, ONE_HOT_LIMIT, UNSEEN_ROW};
pub use error::{DataError, Part};
pub use experiment::SplitName;
pub use labels::Labels;
pub use plan::{CHUNK_ROWS, ColumnKind, ColumnPlan, FeedPlan, FilePlan, Plan, TablePlan};
pub use predict::{Rows, encode_table};
pub use split::Assignment;
pub use store::Store;
pub use summary::{ColumnSummary, FeedSummary, Summary, TableSummary, TaskSummary};
pub use target::{Classes, TargetEncoding, TaskPlan};
