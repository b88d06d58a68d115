//! Normalisation by statistics of one row.

use burn::tensor::Tensor;

use super::{HostLayer, Layer};
use crate::forward::Forward;
use crate::initial::Init;
use crate::scope::{Param, Scope};
use crate::value::{RowShape, Value};

/// The number that is added to the variance before the root, as in PyTorch.
const EPSILON: f64 = 1e-5;

/// Layer normalisation of vectors (Ba et al., 2016): each row gets mean 0 and variance 1, then a
/// scale (`weight`) and a shift (`bias`) for each column.
#[derive(Debug)]
pub struct LayerNorm {
    scale: Param<1>,
    shift: Param<1>,
}

impl LayerNorm {
    /// A layer for vectors of this width.
    pub fn new(width: usize, scope: &mut Scope<'_>) -> Self {
        Self {
            scale: scope.parameter("weight", [width], Init::Constant(1.0)),
            shift: scope.parameter("bias", [width], Init::Constant(0.0)),
        }
    }
}

impl Layer for LayerNorm {
    fn output(&self) -> RowShape {
        RowShape::Vector { width: self.scale.shape()[0] }
    }

    fn forward(&self, x: Value, forward: &Forward<'_>) -> Value {
        let normal = normalise(x.into_vectors());
        let (scale, shift) = (forward.parameter(&self.scale), forward.parameter(&self.shift));
        Value::Vectors(normal * scale.unsqueeze::<2>() + shift.unsqueeze::<2>())
    }

    fn host(&self) -> Option<HostLayer> {
        Some(HostLayer::LayerNorm { scale: self.scale.range(), shift: self.shift.range() })
    }
}

/// Group normalisation of images (Wu and He, ECCV 2018): the values of each group of channels of an
/// image get mean 0 and variance 1, then a scale (`weight`) and a shift (`bias`) for each channel.
#[derive(Debug)]
pub struct GroupNorm {
    groups: usize,
    shape: RowShape,
    scale: Param<1>,
    shift: Param<1>,
}

impl GroupNorm {
    /// A layer for images of this shape. `channels` is a multiple of `groups`.
    pub fn new(groups: usize, channels: usize, shape: RowShape, scope: &mut Scope<'_>) -> Self {
        Self {
            groups,
            shape,
            scale: scope.parameter("weight", [channels], Init::Constant(1.0)),
            shift: scope.parameter("bias", [channels], Init::Constant(0.0)),
        }
    }
}

impl Layer for GroupNorm {
    fn output(&self) -> RowShape {
        self.shape
    }

    fn forward(&self, x: Value, forward: &Forward<'_>) -> Value {
        let x = x.into_images();
        let shape @ [rows, channels, height, width] = x.dims();
        let of_group = channels / self.groups * height * width;
        let normal = normalise(x.reshape([rows * self.groups, of_group])).reshape(shape);
        let by_channel = |parameter: &Param<1>| forward.parameter(parameter).reshape([1, channels, 1, 1]);
        Value::Images(normal * by_channel(&self.scale) + by_channel(&self.shift))
    }
}

/// Each row, with mean 0 and variance 1.
fn normalise(x: Tensor<2>) -> Tensor<2> {
    let centred = x.clone() - x.mean_dim(1);
    let variance = (centred.clone() * centred.clone()).mean_dim(1);
    centred / (variance + EPSILON).sqrt()
}
