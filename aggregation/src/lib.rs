//! The step's arithmetic, as pure functions over slices: the canonical tree in which sums are
//! added, counter-based randomness, weightings, optimizers, learning-rate schedules and clipping.
//!
//! Nothing here reads a clock, a file or a global generator. State is passed in and returned, and
//! randomness comes from counters ([`random`]). The experiment file deserialises into the
//! configuration types ([`Optimizer`], [`Schedule`], [`Weighting`]), so a method and its parameters
//! have one source. All three are read through [`settings`], which refuses unknown keys and
//! impossible values with the key's name.

pub mod affinity;
pub mod aggregate;
pub mod clip;
pub mod gramian;
pub mod lanes;
pub mod matrix;
pub mod optimizer;
pub mod random;
pub mod robust;
pub mod schedule;
pub mod solver;
pub mod toy;
pub mod tree;
pub mod trimmed;
pub mod weighting;

pub use gramian::Gramian;
pub use optimizer::{Optimizer, OptimizerState};
pub use robust::Robust;
pub use schedule::Schedule;
pub use tree::Node;
pub use weighting::Weighting;
