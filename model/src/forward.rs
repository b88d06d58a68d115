//! A pass through the network on a device, as its layers see it.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};

use crate::dropout;
use crate::pass::Pass;
use crate::scope::{LayerId, Param};

/// The parameters of a pass, its rows and their random numbers.
#[derive(Debug)]
pub struct Forward<'a> {
    /// One flat tensor for each block of the layout.
    pub(crate) parameters: &'a [Tensor<1>],
    /// Whether a gradient is wanted.
    pub(crate) tracked: bool,
    pub(crate) device: &'a Device,
    pub(crate) pass: Pass,
    /// The rows of each feed in the value.
    pub(crate) spans: Vec<Span>,
}

/// Adjacent rows of one feed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) feed: usize,
    /// The first row, counted from the feed's first row in the pass.
    pub(crate) first: usize,
    pub(crate) rows: usize,
}

impl Forward<'_> {
    /// The values of a parameter.
    pub fn parameter<const D: usize>(&self, parameter: &Param<D>) -> Tensor<D> {
        self.block(parameter.block).reshape(parameter.shape())
    }

    /// The values of a block, flat.
    pub(crate) fn block(&self, block: usize) -> Tensor<1> {
        let values = self.parameters[block].clone();
        if self.tracked { values } else { values.inner() }
    }

    /// The device of the pass.
    pub fn device(&self) -> &Device {
        self.device
    }

    /// Whether this is a pass of the training, in which layers drop.
    pub fn is_training(&self) -> bool {
        matches!(self.pass, Pass::Training(_))
    }

    /// The pass of some of the rows.
    pub fn rows(&self, rows: Range<usize>) -> Forward<'_> {
        let mut start = 0;
        let mut spans = Vec::new();
        for span in &self.spans {
            let (low, high) = (rows.start.max(start), rows.end.min(start + span.rows));
            if low < high {
                spans.push(Span { feed: span.feed, first: span.first + low - start, rows: high - low });
            }
            start += span.rows;
        }
        Forward { parameters: self.parameters, tracked: self.tracked, device: self.device, pass: self.pass, spans }
    }

    /// `x`, `[rows, ..]`, with a share `rate` of the elements set to zero and the rest scaled by
    /// `1 / (1 - rate)`. `x` itself if this pass does not train. The elements that are zero are a
    /// function of the seed, step, feed, microbatch, layer and element.
    pub fn dropout<const D: usize>(&self, x: Tensor<D>, layer: LayerId, rate: f32) -> Tensor<D> {
        let Some(key) = dropout::active(self.pass, rate) else { return x };
        let shape = x.dims();
        let width: usize = shape[1..].iter().product();
        let mut mask = vec![0.0; shape[0] * width];
        let mut start = 0;
        for span in &self.spans {
            let mask = &mut mask[start * width..(start + span.rows) * width];
            dropout::fill(mask, span.first * width, key, span.feed, layer, rate);
            start += span.rows;
        }
        x * Tensor::from_data(TensorData::new(mask, shape), self.device)
    }
}
