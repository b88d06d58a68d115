//! The experiment file: types, defaults, validation.
//!
//! An experiment is one TOML file: datasets, tasks, model, training, weighting, cluster, tracking.
//! [`load`] reads it, applies the `--set` overrides, and gives back an [`Experiment`] in which
//! every default is filled in that does not depend on the data. What is refused is refused with
//! file, line and column ([`ExperimentError`]); [`Source`] lets the crates that read the data point
//! at the same places.
//!
//! Nothing here opens a table: the only file that is read is the experiment file itself. [`Shapes`]
//! are the sizes which the data gives to the model; `datasets` makes them and `model` reads them,
//! and as neither knows the other, the types live here.

mod added;
pub mod arguments;
mod cluster;
mod dataset;
mod decode;
mod error;
mod experiment;
mod fault;
mod habits;
mod load;
mod loss;
mod methods;
mod network;
mod overrides;
mod shape;
mod source;
mod strings;
mod task;
mod train;
mod validate;

pub use aggregation::{Optimizer, Schedule, Weighting};
pub use cluster::{Cluster, Tracking};
pub use dataset::{ColumnType, CsvOptions, Dataset, Format, Order, Paths, Split};
pub use error::{ExperimentError, Origin, Refusal};
pub use experiment::{Experiment, Preprocessing};
pub use habits::setting;
pub use load::{Loaded, load, parse};
pub use loss::Loss;
pub use network::{Encoder, Head, Misfit, Model, ModelParts, UncheckedModel};
pub use objectives::{Kind, MetricRef as Metric};
pub use settings::Component;
pub use shape::{EmbeddingShape, FeedShape, InputShape, Shapes, SplitName, TaskShape};
pub use source::Source;
pub use task::{Scalar, Target, TargetScale, Task};
pub use train::{Checkpoint, Criterion, EarlyStopping, Observed, OnNonfinite, Train};
