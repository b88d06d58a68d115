//! Pooling of images.

use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;

use super::Layer;
use crate::forward::Forward;
use crate::value::{RowShape, Value};

/// The largest value of each square of pixels, by channel; squares do not overlap, and pixels that
/// fill none are left out.
#[derive(Debug)]
pub struct MaxPool {
    size: usize,
    output: RowShape,
}

impl MaxPool {
    /// Squares of `size` times `size` pixels of images with these channels, height and width; none
    /// if the image is smaller.
    pub fn new(size: usize, [channels, height, width]: [usize; 3]) -> Option<Self> {
        let fits = height >= size && width >= size;
        let output = RowShape::Image { channels, height: height / size, width: width / size };
        fits.then_some(Self { size, output })
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

/// The mean of each channel over the whole image: a vector with one value a channel.
#[derive(Debug)]
pub struct MeanPool {
    channels: usize,
}

impl MeanPool {
    /// For images of so many channels.
    pub fn new(channels: usize) -> Self {
        Self { channels }
    }
}

impl Layer for MeanPool {
    fn output(&self) -> RowShape {
        RowShape::Vector { width: self.channels }
    }

    fn forward(&self, x: Value, _forward: &Forward<'_>) -> Value {
        let x = x.into_images();
        let [rows, channels, height, width] = x.dims();
        let means = x.reshape([rows, channels, height * width]).mean_dim(2);
        Value::Vectors(means.reshape([rows, channels]))
    }
}
