//! Optimizers over one flat vector of parameters.

use serde::{Deserialize, Serialize};

/// An optimizer and its hyperparameters, as `train.optimizer` of the experiment file gives them.
///
/// Defaults are PyTorch's, except that `learning_rate` has to be given for none but has the default 1e-3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Optimizer {
    /// Adam, Kingma and Ba 2015.
    Adam { learning_rate: f64 },
}
