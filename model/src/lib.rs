//! The network: layers, trunks, architectures, engines and the parameter layout.
//!
//! [`Network`] is built from an experiment and the [`Shapes`](experiment::Shapes) of its data, in
//! this one place for every use. A feed's rows go through its encoder, the [`Architecture`] and the
//! heads of its tasks. All of these consist of [`Layer`]s, which declare their parameters through a
//! [`Scope`].
//!
//! Parameters and gradients are flat vectors in the order of the [`Layout`]. A microbatch's
//! gradient is a pure function of parameters, rows and counters. Losses and their derivatives with
//! respect to the heads' outputs are computed on the host. An engine does the rest of the backward
//! pass: a hand-written one for layers that it knows on the processor, burn's autodiff for
//! everything else.

mod dropout;
mod engine;
mod error;
mod fingerprint;
mod forward;
mod initial;
mod known;
mod layout;
mod network;
mod pass;
mod scope;
mod structure;
mod value;

pub mod activation;
pub mod architecture;
pub mod device;
pub mod layer;
pub mod trunk;

pub use activation::{Activation, Pointwise};
pub use architecture::module;
pub use architecture::{Architecture, ArchitectureKind, Parts, Wanted};
pub use datasets::{Batch, Targets};
pub use device::Device;
pub use error::ModelError;
pub use forward::Forward;
pub use initial::Init;
pub use known::{KnownModels, load, parse};
pub use layer::{Layer, Stack};
pub use layout::{Block, Layout};
pub use network::{Network, Prediction};
pub use objectives::LossSum;
pub use pass::{FeedInput, MicrobatchKey};
pub use scope::{LayerId, Param, Scope};
pub use structure::PARAMETERS_MAX;
pub use trunk::TrunkKind;
pub use value::{RowShape, Value};
