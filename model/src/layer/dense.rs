//! Fully connected layers.

use super::{Activate, Dropout, HostLayer, Layer, LayerNorm, Stack};
use crate::activation::Activation;
use crate::forward::Forward;
use crate::initial::Init;
use crate::scope::{LayerId, Param, Scope};
use crate::value::{RowShape, Value};

/// `x W^T + b`, with `W` as `weight`, `[outputs, inputs]`, and `b` as `bias`, `[outputs]`.
#[derive(Debug)]
pub struct Dense {
    weight: Param<2>,
    bias: Param<1>,
    id: LayerId,
}

impl Dense {
    /// A layer for rows of `inputs` values.
    pub fn new(inputs: usize, outputs: usize, scope: &mut Scope<'_>) -> Self {
        Self {
            weight: scope.parameter("weight", [outputs, inputs], Init::FanIn(inputs)),
            bias: scope.parameter("bias", [outputs], Init::FanIn(inputs)),
            id: scope.layer(),
        }
    }

    /// The layer's number.
    pub fn id(&self) -> LayerId {
        self.id
    }
}

impl Layer for Dense {
    fn output(&self) -> RowShape {
        RowShape::Vector { width: self.weight.shape()[0] }
    }

    fn multiply_adds(&self) -> u64 {
        self.weight.range().len() as u64
    }

    fn forward(&self, x: Value, forward: &Forward<'_>) -> Value {
        let weight = forward.parameter(&self.weight);
        let bias = forward.parameter(&self.bias);
        Value::Vectors(x.into_vectors().matmul(weight.transpose()) + bias.unsqueeze::<2>())
    }

    fn host(&self) -> Option<HostLayer> {
        let [outputs, inputs] = self.weight.shape();
        Some(HostLayer::Dense { inputs, outputs, weight: self.weight.range(), bias: self.bias.range() })
    }
}

/// What the hidden layers of one stage have in common:
/// `dropout(activation(norm(x W^T + b)))`, dropout and norm optional.
#[derive(Debug, Clone)]
pub struct Hidden {
    /// The function after the norm.
    pub activation: Activation,
    /// The share of the outputs that is dropped in training, in `[0, 1)`.
    pub dropout: f32,
    /// Whether there is a layer norm before the activation.
    pub layer_norm: bool,
}

impl Hidden {
    /// Appends one hidden layer to `stack`, whose output is vectors.
    pub fn push(&self, outputs: usize, stack: &mut Stack, scope: &mut Scope<'_>) {
        let dense = Dense::new(stack.output().width(), outputs, scope);
        let id = dense.id();
        stack.push(dense);
        if self.layer_norm {
            stack.push(LayerNorm::new(outputs, &mut scope.at("norm")));
        }
        stack.push(Activate::new(self.activation.clone(), stack.output()));
        if self.dropout > 0.0 {
            stack.push(Dropout::new(id, self.dropout, stack.output()));
        }
    }
}
