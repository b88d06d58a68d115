//! An optimizer as a rule with its parameters, and the kernel of one update.

use std::fmt;
use std::ops::Range;

use super::state::StatePart;
use crate::lanes::Level;

/// An optimizer's rule with its parameters. Each update gets its own learning rate.
pub trait Rule: fmt::Debug + Send + Sync {
    /// The state's vectors, in order: the name of each and its initial value. Names are PyTorch's
    /// and never change, because checkpoints have them.
    fn slots(&self) -> Vec<(&'static str, f32)>;

    /// Whether each parameter's update depends on its own gradient alone. If not, an update's
    /// ranges are cut between blocks.
    fn is_elementwise(&self) -> bool {
        true
    }

    /// Computes the scalars of an update. `step` counts updates from 1.
    fn kernel(&self, learning_rate: f64, step: u64) -> Box<dyn Kernel>;
}

/// The scalars of one update, and the loop over parameters.
pub trait Kernel: fmt::Debug + Send + Sync {
    /// Updates one range of the parameters and of the state. `blocks` are the ranges of the
    /// layout's blocks, in order and without gaps.
    fn apply(&self, part: &mut StatePart<'_>, blocks: &[Range<usize>], vectors: Vectors<'_>);
}

/// The three vectors of an update, cut to one range. All of them have the range's length.
#[derive(Debug)]
pub struct Vectors<'a> {
    /// The parameters before the update.
    pub current: &'a [f32],
    /// The combined gradient.
    pub gradient: &'a [f32],
    /// The parameters after the update. The kernel writes all of them.
    pub next: &'a mut [f32],
    /// The factor of the gradient, from clipping.
    pub gradient_scale: f32,
    /// The vectors that the loop uses. Every level gives the same bits.
    pub level: Level,
}

/// Weight decay, as two factors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decay {
    /// The factor of the parameter in the gradient: PyTorch's `weight_decay`.
    pub into_gradient: f32,
    /// The factor of the parameter itself: decoupled weight decay.
    pub keep: f32,
}

impl Decay {
    /// The factors of an update. The decay is part of the gradient, or decoupled from it.
    pub fn new(weight_decay: f64, decoupled: bool, learning_rate: f64) -> Self {
        if decoupled {
            Self { into_gradient: 0.0, keep: (1.0 - learning_rate * weight_decay) as f32 }
        } else {
            Self { into_gradient: weight_decay as f32, keep: 1.0 }
        }
    }
}
