//! `residual`: fully connected layers with a path around each (He et al. 2016), shared by all
//! tasks.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor, activation::relu},
};
use trunkline::model::{
    Parts, Value, Wanted,
    module::{MultiTaskModule, Random},
};

/// Numbers a row between the layers.
const WIDTH: usize = 128;
/// Layers with a path around them.
const BLOCKS: usize = 2;
/// Share of a layer's outputs that is dropped in training.
const DROPOUT: f32 = 0.1;

/// The module. Its parameters are `module.entry.weight`, `module.blocks.0.weight` and so on.
#[derive(Module, Debug)]
pub struct Residual {
    entry: Linear,
    blocks: Vec<Linear>,
}

impl Residual {
    /// The module for rows as wide as the encoders give them.
    pub fn new(parts: &Parts<'_>, device: &Device) -> Self {
        let block = |_| LinearConfig::new(WIDTH, WIDTH).init(device);
        Self {
            entry: LinearConfig::new(parts.entry.width(), WIDTH).init(device),
            blocks: (0..BLOCKS).map(block).collect(),
        }
    }
}

impl MultiTaskModule for Residual {
    fn output(&self, _task: usize) -> usize {
        WIDTH
    }

    fn forward(&self, x: Value, wanted: &[Wanted], random: &Random<'_>) -> Vec<Tensor<2>> {
        let mut x = relu(self.entry.forward(x.into_vectors()));
        for (block, place) in self.blocks.iter().zip(0..) {
            x = x.clone() + random.dropout(relu(block.forward(x)), DROPOUT, place);
        }
        let rows_of = |task: &Wanted| x.clone().narrow(0, task.rows.start, task.rows.len());
        wanted.iter().map(rows_of).collect()
    }
}
