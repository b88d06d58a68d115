//! Activations.

use burn::tensor::{Tensor, activation};
use experiment::Activation;

use super::{HostLayer, Layer};
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

    fn of<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match self.function {
            Activation::Relu => activation::relu(x),
            Activation::Gelu => activation::gelu(x),
            Activation::Tanh => activation::tanh(x),
            Activation::Silu => activation::silu(x),
        }
    }
}

impl Layer for Activate {
    fn output(&self) -> RowShape {
        self.shape
    }

    fn forward(&self, x: Value, _forward: &Forward<'_>) -> Value {
        match x {
            Value::Images(x) => Value::Images(self.of(x)),
            x => Value::Vectors(self.of(x.into_vectors())),
        }
    }

    fn host(&self) -> Option<HostLayer> {
        Some(HostLayer::Activation(self.function))
    }
}
