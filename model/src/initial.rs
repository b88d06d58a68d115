//! First values of the parameters, from counters on the host: a function of the seed and the
//! layout, and of no device.
//!
//! Linear layers start as PyTorch's do, weight and bias uniform in
//! `(-1/sqrt(inputs), 1/sqrt(inputs))`; embeddings are standard normal; layer norms scale by one
//! and shift by nothing.

use std::ops::Range;

use aggregation::random::{Purpose, Stream};

use crate::architecture::Architecture;

/// All parameters, in the layout's order.
pub(crate) fn parameters(architecture: &Architecture, seed: u64) -> Vec<f32> {
    let layout = &architecture.layout;
    let mut values = vec![0.0; layout.len()];
    let stream = |range: &Range<usize>| {
        let block = layout.blocks().partition_point(|block| block.offset < range.start);
        Stream::new(seed, Purpose::InitialWeights, &[block as u64])
    };
    for layer in architecture.layers() {
        let bound = (1.0 / (layer.inputs as f64).sqrt()) as f32;
        for range in [&layer.weight, &layer.bias] {
            let values = &mut values[range.clone()];
            stream(range).fill_uniform(0, values);
            values.iter_mut().for_each(|value| *value = (2.0 * *value - 1.0) * bound);
        }
        if let Some(norm) = &layer.norm {
            values[norm.scale.clone()].fill(1.0);
        }
    }
    for embedding in architecture.encoders.iter().flat_map(|encoder| &encoder.embeddings) {
        stream(&embedding.weight).fill_normal(0, &mut values[embedding.weight.clone()]);
    }
    values
}
