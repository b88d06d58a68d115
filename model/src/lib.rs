//! The network: encoders, trunk, heads, losses, metrics and the parameter layout.
//!
//! [`Network`] is built from an experiment and the [`Shapes`](experiment::Shapes) of its data, in
//! this one place for every use. Parameters and gradients are flat vectors in the order of the
//! [`Layout`]; a microbatch's gradient is a pure function of parameters, rows and counters. Losses
//! and their derivatives by the heads' outputs are computed on the host; from there on a gradient
//! is walked back by hand on the processor (`host`), and through burn's autodiff on every other
//! device (`graph`).

mod activation;
mod architecture;
mod dropout;
mod error;
mod fingerprint;
mod graph;
mod host;
mod initial;
mod layout;
mod loss;
mod network;
mod pass;

pub mod device;
pub mod metric;

pub use datasets::{Batch, Targets};
pub use device::Device;
pub use error::ModelError;
pub use layout::{Block, Layout};
pub use network::{Network, Prediction};
pub use pass::{FeedInput, LossSum, MicrobatchKey};
