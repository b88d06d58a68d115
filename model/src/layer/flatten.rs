//! Images as vectors.

use super::{HostLayer, Layer};
use crate::forward::Forward;
use crate::value::{RowShape, Value};

/// The pixels of an image as one vector, channel by channel and row by row.
#[derive(Debug)]
pub struct Flatten {
    width: usize,
}

impl Flatten {
    /// A layer for rows of this shape.
    pub fn new(input: RowShape) -> Self {
        Self { width: input.width() }
    }
}

impl Layer for Flatten {
    fn output(&self) -> RowShape {
        RowShape::Vector { width: self.width }
    }

    fn forward(&self, x: Value, _forward: &Forward<'_>) -> Value {
        Value::Vectors(x.into_vectors())
    }

    fn host(&self) -> Option<HostLayer> {
        Some(HostLayer::Flatten)
    }
}
