//! Activations as layers.

use super::{HostLayer, Layer};
use crate::activation::Activation;
use crate::forward::Forward;
use crate::value::{RowShape, Value};

/// A function of each element.
#[derive(Debug)]
pub struct Activate {
    function: Activation,
    shape: RowShape,
}

impl Activate {
    /// The function on rows of this shape.
    pub fn new(function: Activation, shape: RowShape) -> Self {
        Self { function, shape }
    }
}

impl Layer for Activate {
    fn output(&self) -> RowShape {
        self.shape
    }

    fn forward(&self, x: Value, _forward: &Forward<'_>) -> Value {
        match x {
            Value::Images(x) => {
                let [rows, channels, height, width] = x.dims();
                let x = self.function.tensor(x.reshape([rows, channels * height * width]));
                Value::Images(x.reshape([rows, channels, height, width]))
            }
            x => Value::Vectors(self.function.tensor(x.into_vectors())),
        }
    }

    fn host(&self) -> Option<HostLayer> {
        Some(HostLayer::Activation(self.function.clone()))
    }
}
