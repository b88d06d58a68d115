//! Convolution of images.

use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

use super::Layer;
use crate::forward::Forward;
use crate::initial::Init;
use crate::scope::{LayerId, Param, Scope};
use crate::value::{RowShape, Value};

/// A two-dimensional convolution with square kernels, as PyTorch's `Conv2d`: `weight` is
/// `[channels, channels before, kernel, kernel]`, `bias` is `[channels]`. Each side of the image is
/// padded with `kernel / 2` (rounded down) zeros, so odd kernels of stride 1 keep the image's size.
#[derive(Debug)]
pub struct Conv {
    weight: Param<4>,
    bias: Param<1>,
    stride: usize,
    output: RowShape,
    id: LayerId,
}

impl Conv {
    /// A layer from `before` channels of `size` (height and width, at least 1) to `channels`.
    pub fn new(
        before: usize,
        size: [usize; 2],
        channels: usize,
        kernel: usize,
        stride: usize,
        scope: &mut Scope<'_>,
    ) -> Self {
        let [height, width] = size.map(|side| (side + 2 * (kernel / 2) - kernel) / stride + 1);
        let inputs = before * kernel * kernel;
        Self {
            weight: scope.parameter("weight", [channels, before, kernel, kernel], Init::FanIn(inputs)),
            bias: scope.parameter("bias", [channels], Init::FanIn(inputs)),
            stride,
            output: RowShape::Image { channels, height, width },
            id: scope.layer(),
        }
    }

    /// The layer's number.
    pub fn id(&self) -> LayerId {
        self.id
    }
}

impl Layer for Conv {
    fn output(&self) -> RowShape {
        self.output
    }

    fn multiply_adds(&self) -> u64 {
        let [_, before, kernel, _] = self.weight.shape();
        (self.output.width() * before * kernel * kernel) as u64
    }

    fn forward(&self, x: Value, forward: &Forward<'_>) -> Value {
        let padding = self.weight.shape()[2] / 2;
        let options = ConvOptions::new([self.stride; 2], [padding; 2], [1; 2], 1);
        let (weight, bias) = (forward.parameter(&self.weight), forward.parameter(&self.bias));
        Value::Images(conv2d(x.into_images(), weight, Some(bias), options))
    }
}
