//! Optimizers over one flat vector of parameters.
//!
//! [`Optimizer`] is what `train.optimizer` of the experiment file says; names and defaults of the parameters are PyTorch's,
//! but for `learning_rate`, which is 1e-3 for every kind. An update reads `current` and writes `next` beside it, so that the
//! parameters of a step stay readable until the step commits.

mod config;
mod state;

pub use config::{Adagrad, Adam, AdamW, Lamb, Lion, Optimizer, RmsProp, Sgd};
pub use state::OptimizerState;
