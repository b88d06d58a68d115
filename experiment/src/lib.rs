//! The experiment file: types, defaults, validation.
//!
//! An experiment is one TOML file: datasets, tasks, model, training, weighting, cluster, tracking.
//! [`load`] reads it, applies the `--set` overrides, and returns an [`Experiment`] in which every
//! default is filled in that does not depend on the data. A refusal names file, line and column
//! ([`ExperimentError`]). With [`Source`], crates that read the data can point at the same places.
//!
//! Nothing here opens a table: the only file that is read is the experiment file itself. [`Shapes`]
//! are the sizes that the data gives to the model. `datasets` makes them from its plan, and `model`
//! reads them, so their types live below both.

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
mod model_parts;
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
pub use loss::LossRef;
pub use model_parts::{Misfit, ModelParts, UncheckedModel};
pub use network::{Encoder, Head, Model};
pub use objectives::{Kind, MetricRef, Units};
pub use settings::Component;
pub use shape::{EmbeddingShape, FeedShape, InputShape, Shapes, SplitName, TaskShape};
pub use source::Source;
pub use task::{Scalar, Target, TargetScale, Task};
pub use train::{CheckpointSettings, Criterion, EarlyStopping, OnNonfinite, TaskCriterion, Train};
