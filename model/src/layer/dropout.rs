//! Dropout, with masks from counters.

use super::{HostLayer, Layer};
use crate::forward::Forward;
use crate::scope::LayerId;
use crate::value::{RowShape, Value};

/// Sets a share of the elements to zero in training and scales the rest up (Srivastava et al.,
/// JMLR 2014). An evaluation leaves the rows as they are.
#[derive(Debug)]
pub struct Dropout {
    layer: LayerId,
    rate: f32,
    shape: RowShape,
}

impl Dropout {
    /// Dropout of a share `rate`, in `[0, 1)`, of rows of this shape; `layer` names its random
    /// numbers.
    pub fn new(layer: LayerId, rate: f32, shape: RowShape) -> Self {
        Self { layer, rate, shape }
    }
}

impl Layer for Dropout {
    fn output(&self) -> RowShape {
        self.shape
    }

    fn forward(&self, x: Value, forward: &Forward<'_>) -> Value {
        match x {
            Value::Images(x) => Value::Images(forward.dropout(x, self.layer, self.rate)),
            x => Value::Vectors(forward.dropout(x.into_vectors(), self.layer, self.rate)),
        }
    }

    fn host(&self) -> Option<HostLayer> {
        Some(HostLayer::Dropout { layer: self.layer, rate: self.rate })
    }
}
