//! Optimizers over one flat vector of parameters.
//!
//! [`Optimizer`] is what `train.optimizer` of the experiment file says; names and defaults of the
//! parameters are PyTorch's, but for `learning_rate`, which is 1e-3 for every kind. An update reads
//! `current` and writes `next` beside it, so that the parameters of a step stay readable until the
//! step commits. It is done at once ([`Optimizer::update`]) or range by range as gradients arrive
//! ([`Optimizer::begin`], [`Update::apply`]); both give the same bits. The optimizer's own state
//! changes in place, so that each range is updated once in a step, when its gradient is complete
//! and finite.

mod adagrad;
mod adam;
mod config;
mod lamb;
mod lion;
mod rmsprop;
mod sgd;
mod state;
mod update;

pub use config::{Adagrad, Adam, AdamW, Lamb, Lion, Optimizer, RmsProp, Sgd};
pub use state::{OptimizerState, StatePart};
pub use update::Update;
