//! Several layers one after the other, and the lookups before them.

use std::ops::Range;

use super::layer::{self, Passed};
use super::plan::{FusedDense, HostDropout, HostEncoder};
use crate::dropout;
use crate::pass::{FeedInput, MicrobatchKey, Pass};

/// The dropout with the key of its random numbers, if this pass drops.
pub(super) fn dropped(pass: Pass, dropout: Option<HostDropout>) -> Option<(MicrobatchKey, HostDropout)> {
    dropout.and_then(|dropout| Some((dropout::active(pass, dropout.rate)?, dropout)))
}

/// Fills the layers' dropout masks. `feeds` says which rows of the matrix belong to which feed.
pub(super) fn masks(layers: &[FusedDense], passed: &mut [Passed], pass: Pass, feeds: &[(usize, Range<usize>)]) {
    let rows = feeds.last().map_or(0, |(_, span)| span.end);
    for (layer, passed) in layers.iter().zip(passed) {
        let Some((key, drop)) = dropped(pass, layer.dropout) else {
            passed.clear_mask();
            continue;
        };
        let mask = passed.mask(rows * layer.outputs);
        for (feed, span) in feeds {
            let mask = &mut mask[span.start * layer.outputs..span.end * layer.outputs];
            dropout::fill(mask, 0, key, *feed, drop.layer, drop.rate);
        }
    }
}

/// Computes every layer's output from `x`.
pub(super) fn forward(layers: &[FusedDense], parameters: &[f32], rows: usize, x: &[f32], passed: &mut [Passed]) {
    for (i, dense) in layers.iter().enumerate() {
        let (before, rest) = passed.split_at_mut(i);
        let x = before.last().map_or(x, |before| &before.out);
        layer::forward(dense, parameters, rows, x, &mut rest[0]);
    }
}

/// The last layer's output.
pub(super) fn output(passed: &[Passed]) -> &[f32] {
    passed.last().map_or(&[], |passed| &passed.out)
}

/// The backward pass from `delta`, the gradient of the last layer's output. Writes the gradients of
/// the parameters. Leaves in `delta` what [`layer::input_gradient`] of the first layer needs;
/// without layers, `delta` does not change.
#[allow(clippy::too_many_arguments)] // two scratch vectors and the four sides of a backward pass
pub(super) fn backward(
    layers: &[FusedDense],
    parameters: &[f32],
    rows: usize,
    x: &[f32],
    passed: &[Passed],
    delta: &mut Vec<f32>,
    spare: &mut Vec<f32>,
    gradient: &mut [f32],
) {
    for (i, dense) in layers.iter().enumerate().rev() {
        let x = if i == 0 { x } else { &passed[i - 1].out };
        layer::backward(dense, parameters, rows, x, &passed[i], delta, gradient);
        if i > 0 {
            spare.resize(rows * dense.inputs, 0.0);
            layer::input_gradient(dense, parameters, rows, delta, 0..dense.inputs, false, spare);
            std::mem::swap(delta, spare);
        }
    }
}

/// Writes the gradient of the embedding tables. The gradient of each looked-up row is added to its
/// place, in the order of the rows. `columns` are those of the embeddings in `looked_up`.
pub(super) fn scatter(
    encoder: &HostEncoder,
    input: &FeedInput<'_>,
    looked_up: &[f32],
    columns: Range<usize>,
    gradient: &mut [f32],
) {
    let stride = looked_up.len().checked_div(input.batch.rows).unwrap_or(0);
    let mut first = columns.start;
    for (column, embedding) in encoder.embeddings.iter().enumerate() {
        let table = &mut gradient[embedding.weight.clone()];
        table.fill(0.0);
        for row in 0..input.batch.rows {
            let id = input.batch.ids[row * encoder.embeddings.len() + column] as usize;
            let from = &looked_up[row * stride + first..][..embedding.width];
            let into = &mut table[id * embedding.width..(id + 1) * embedding.width];
            into.iter_mut().zip(from).for_each(|(sum, d)| *sum += d);
        }
        first += embedding.width;
    }
}
