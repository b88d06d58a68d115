//! What an optimizer remembers from step to step.

use serde::{Deserialize, Serialize};

/// Named vectors, each as long as the parameters, and the number of updates done.
///
/// The names are PyTorch's (`momentum_buffer`, `exp_avg`, `exp_avg_sq`, ...); a checkpoint keeps them under these names.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OptimizerState {
    /// The vectors, in a fixed order.
    pub slots: Vec<(String, Vec<f32>)>,
    /// Updates done.
    pub step: u64,
}
