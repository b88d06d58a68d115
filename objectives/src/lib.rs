//! Losses and metrics: pure functions of a task's outputs and labels.
//!
//! A loss is one file in [`loss`] and one line in [`loss::LOSSES`]. A metric is one file in
//! [`metric`] and one line in [`metric::METRICS`]. The file holds everything: the name, the kinds
//! of tasks, the parameters with their ranges and defaults, and the arithmetic.
//!
//! Everything is computed on the host for every device, from the head's outputs. Sums are in f64
//! and in the order of the rows, and a row without a label contributes exactly nothing.
//! [`TaskSums`] are added in the canonical tree, so that a metric does not depend on how the rows
//! were spread over workers.

pub mod exponential;
mod kind;
pub mod loss;
pub mod metric;
mod objective;
pub mod reference;
pub mod sums;
pub mod tree;
mod units;

pub use kind::Kind;
pub use loss::{LOSSES, Loss, LossPart};
pub use metric::{METRICS, Measures, Metric, MetricRef};
pub use objective::{Labels, Objective};
pub use sums::{LossSum, TaskSums};
pub use units::Units;
