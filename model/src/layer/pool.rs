//! Pooling of images.

use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;

use super::Layer;
use crate::forward::Forward;
use crate::value::{RowShape, Value};

/// The largest value of each square of pixels, by channel. Squares do not overlap. Pixels at the
/// border that do not fill a square are left out.
#[derive(Debug)]
pub struct MaxPool {
    size: usize,
    output: RowShape,
}

impl MaxPool {
    /// A layer with squares of `size` times `size` pixels, for rows of this shape. `None` if they
    /// are not images, or smaller than a square.
    pub fn new(size: usize, input: RowShape) -> Option<Self> {
        let RowShape::Image { channels, height, width } = input else { return None };
        let output = RowShape::Image { channels, height: height / size, width: width / size };
        (height >= size && width >= size).then_some(Self { size, output })
    }
}

impl Layer for MaxPool {
    fn output(&self) -> RowShape {
        self.output
    }

    fn forward(&self, x: Value, _forward: &Forward<'_>) -> Value {
        Value::Images(max_pool2d(x.into_images(), MaxPoolOptions::new([self.size; 2])))
    }
}

/// The mean of each channel over the whole image: a vector with one value for each channel.
#[derive(Debug)]
pub struct MeanPool {
    channels: usize,
}

impl MeanPool {
    /// A layer for rows of this shape. Each number of a vector counts as a channel.
    pub fn new(input: RowShape) -> Self {
        match input {
            RowShape::Image { channels, .. } => Self { channels },
            other => Self { channels: other.width() },
        }
    }
}

impl Layer for MeanPool {
    fn output(&self) -> RowShape {
        RowShape::Vector { width: self.channels }
    }

    fn forward(&self, x: Value, _forward: &Forward<'_>) -> Value {
        let Value::Images(x) = x else { return x };
        let [rows, channels, height, width] = x.dims();
        let means = x.reshape([rows, channels, height * width]).mean_dim(2);
        Value::Vectors(means.reshape([rows, channels]))
    }
}
