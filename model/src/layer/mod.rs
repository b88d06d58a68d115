//! Layers: one file each.
//!
//! A [`Layer`] is written once, over burn tensors, and burn's autodiff differentiates it on every
//! device. It also describes itself to the hand-written engine ([`HostLayer`]), if that engine can
//! compute it. A [`Stack`] is several layers one after the other.

mod activation;
mod conv;
mod dense;
mod dropout;
mod embedding;
mod flatten;
mod norm;
mod pool;

use std::fmt;
use std::ops::Range;

pub use self::activation::Activate;
pub use self::conv::Conv;
pub use self::dense::{Dense, Hidden};
pub use self::dropout::Dropout;
pub use self::embedding::Embedding;
pub use self::flatten::Flatten;
pub use self::norm::{GroupNorm, LayerNorm};
pub use self::pool::{MaxPool, MeanPool};

use crate::activation::Activation;
use crate::forward::Forward;
use crate::scope::LayerId;
use crate::value::{RowShape, Value};

/// A function of rows with parameters.
pub trait Layer: fmt::Debug + Send + Sync {
    /// The shape of a row of the output.
    fn output(&self) -> RowShape;

    /// Multiply-adds of one row's forward pass.
    fn multiply_adds(&self) -> u64 {
        0
    }

    /// The output for rows `x`. Their shape is the one that the layer was made for.
    fn forward(&self, x: Value, forward: &Forward<'_>) -> Value;

    /// How the hand-written engine computes the layer, if it can.
    fn host(&self) -> Option<HostLayer> {
        None
    }
}

/// What the engine that is written by hand can compute. Ranges are places in the flat vector.
#[derive(Debug, Clone)]
pub enum HostLayer {
    /// `x W^T + b`.
    Dense {
        /// Width of a row before it.
        inputs: usize,
        /// Width of a row after it.
        outputs: usize,
        /// `W`, `[outputs, inputs]`.
        weight: Range<usize>,
        /// `b`, `[outputs]`.
        bias: Range<usize>,
    },
    /// Layer normalisation of a dense layer's output.
    LayerNorm {
        /// The factor of each column.
        scale: Range<usize>,
        /// The number that is added to each column.
        shift: Range<usize>,
    },
    /// The function after a dense layer or its norm.
    Activation(Activation),
    /// Dropout: before all other layers of a head, or after an activation.
    Dropout {
        /// The number that names its random numbers.
        layer: LayerId,
        /// The share that is dropped.
        rate: f32,
    },
    /// The numbers of an image as one vector.
    Flatten,
    /// Embeddings after dense columns: before all other layers of an encoder.
    Embedding {
        /// Number of dense columns.
        dense: usize,
        /// Rows, width and places of each table.
        tables: Vec<(usize, usize, Range<usize>)>,
    },
}

/// Layers one after the other.
#[derive(Debug)]
pub struct Stack {
    input: RowShape,
    layers: Vec<Box<dyn Layer>>,
}

impl Stack {
    /// A stack without layers, for rows of this shape.
    pub fn new(input: RowShape) -> Self {
        Self { input, layers: Vec::new() }
    }

    /// Appends a layer that was made for rows of the shape [`Stack::output`].
    pub fn push(&mut self, layer: impl Layer + 'static) {
        self.layers.push(Box::new(layer));
    }

    /// Appends the layers of another stack, which was made for rows of the shape
    /// [`Stack::output`].
    pub fn append(&mut self, other: Stack) {
        self.layers.extend(other.layers);
    }

    /// Appends a layer that turns images into vectors, if the output is images.
    pub fn flatten(&mut self) {
        if let shape @ RowShape::Image { .. } = self.output() {
            self.push(Flatten::new(shape));
        }
    }

    /// The shape of a row before the first layer.
    pub fn input(&self) -> RowShape {
        self.input
    }

    /// The shape of a row of the output.
    pub fn output(&self) -> RowShape {
        self.layers.last().map_or(self.input, |layer| layer.output())
    }

    /// The layers, in order.
    pub fn layers(&self) -> impl Iterator<Item = &dyn Layer> {
        self.layers.iter().map(Box::as_ref)
    }

    /// Multiply-adds of one row's forward pass.
    pub fn multiply_adds(&self) -> u64 {
        self.layers().map(Layer::multiply_adds).sum()
    }

    /// The output for rows `x`.
    pub fn forward(&self, x: Value, forward: &Forward<'_>) -> Value {
        self.layers().fold(x, |x, layer| layer.forward(x, forward))
    }

    /// How the hand-written engine computes the layers, if it can compute each of them.
    pub(crate) fn host(&self) -> Option<Vec<HostLayer>> {
        self.layers().map(Layer::host).collect()
    }
}
