//! Passes on any device, through burn: the same layers as `host`, walked back by autodiff.
//!
//! Losses stay on the host: the heads' outputs come down, their derivatives go up, and the backward
//! pass starts from `sum(outputs * derivatives)`, whose gradient by the outputs is the derivatives.

use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use experiment::Activation;

use crate::ModelError;
use crate::architecture::{Architecture, Dense, Encoder};
use crate::dropout;
use crate::host::{Differentiate, Each};
use crate::pass::{FeedInput, Pass};

/// Added to the variance before the root, as PyTorch's LayerNorm does.
const NORM_EPSILON: f64 = 1e-5;

/// One tensor for each block of the layout.
#[derive(Debug)]
pub(crate) struct Graph {
    device: Device,
    blocks: Vec<Parameter>,
}

#[derive(Debug, Clone)]
enum Parameter {
    Matrix(Tensor<2>),
    Vector(Tensor<1>),
}

/// The layers' parameters by the start of their blocks, tracked or not.
struct Forward<'a> {
    graph: &'a Graph,
    architecture: &'a Architecture,
    pass: Pass,
    device: Device,
    /// Whether a gradient is wanted.
    tracked: bool,
}

impl Graph {
    pub(crate) fn new(device: Device) -> Self {
        Self { device, blocks: Vec::new() }
    }

    pub(crate) fn set_parameters(&mut self, architecture: &Architecture, parameters: &[f32]) {
        let device = self.device.clone().autodiff();
        let blocks = architecture.layout.blocks().iter();
        self.blocks = blocks
            .map(|block| {
                let data = TensorData::new(parameters[block.range()].to_vec(), block.shape.clone());
                match block.shape.len() {
                    1 => Parameter::Vector(Tensor::from_data(data, &device).require_grad()),
                    _ => Parameter::Matrix(Tensor::from_data(data, &device).require_grad()),
                }
            })
            .collect();
    }

    pub(crate) fn forward(
        &self,
        architecture: &Architecture,
        pass: Pass,
        inputs: &[FeedInput<'_>],
        each: &mut Each<'_>,
    ) -> Result<(), ModelError> {
        let forward = Forward { graph: self, architecture, pass, device: self.device.clone(), tracked: false };
        without_rows(inputs).for_each(|(i, j)| each(i, j, &[]));
        for (i, j, outputs) in forward.outputs(inputs) {
            each(i, j, &self.values(outputs)?);
        }
        Ok(())
    }

    pub(crate) fn gradient(
        &self,
        architecture: &Architecture,
        pass: Pass,
        inputs: &[FeedInput<'_>],
        differentiate: &mut Differentiate<'_>,
        gradient: &mut [f32],
    ) -> Result<(), ModelError> {
        gradient.fill(0.0);
        let device = self.device.clone().autodiff();
        let forward = Forward { graph: self, architecture, pass, device: device.clone(), tracked: true };
        let mut total: Option<Tensor<1>> = None;
        without_rows(inputs).for_each(|(i, j)| differentiate(i, j, &[], &mut []));
        for (i, j, outputs) in forward.outputs(inputs) {
            let shape = outputs.dims();
            let values = self.values(outputs.clone().inner())?;
            let mut delta = vec![0.0; values.len()];
            differentiate(i, j, &values, &mut delta);
            let delta = Tensor::<2>::from_data(TensorData::new(delta, shape), &device);
            let term = (outputs * delta).sum();
            total = Some(match total {
                Some(total) => total + term,
                None => term,
            });
        }
        let Some(total) = total else { return Ok(()) };
        let gradients = total.backward();
        for (block, parameter) in architecture.layout.blocks().iter().zip(&self.blocks) {
            let values = match parameter {
                Parameter::Matrix(tensor) => tensor.grad(&gradients).map(|values| self.values(values)),
                Parameter::Vector(tensor) => tensor.grad(&gradients).map(|values| self.values(values)),
            };
            if let Some(values) = values {
                gradient[block.range()].copy_from_slice(&values?);
            }
        }
        Ok(())
    }

    fn values<const D: usize>(&self, tensor: Tensor<D>) -> Result<Vec<f32>, ModelError> {
        let failed = |reason: String| ModelError::DeviceFailed { name: format!("{:?}", self.device), reason };
        let data = tensor.try_into_data().map_err(|error| failed(format!("{error:?}")))?;
        data.try_into_vec::<f32>().map_err(|error| failed(format!("{error:?}")))
    }
}

/// The places of the targets that have no row, of which burn makes no tensor.
fn without_rows(inputs: &[FeedInput<'_>]) -> impl Iterator<Item = (usize, usize)> {
    let empty = inputs.iter().enumerate().filter(|(_, input)| input.batch.rows == 0);
    empty.flat_map(|(i, input)| (0..input.targets.len()).map(move |j| (i, j)))
}

impl Forward<'_> {
    /// The outputs of every target of every input that has rows, with their places.
    fn outputs(&self, inputs: &[FeedInput<'_>]) -> Vec<(usize, usize, Tensor<2>)> {
        let filled: Vec<(usize, &FeedInput<'_>)> =
            inputs.iter().enumerate().filter(|(_, input)| input.batch.rows > 0).collect();
        let encoded: Vec<Tensor<2>> = filled.iter().map(|(_, input)| self.encode(input)).collect();
        if encoded.is_empty() {
            return Vec::new();
        }
        let spans: Vec<(usize, usize)> = filled.iter().map(|(_, input)| (input.feed, input.batch.rows)).collect();
        let entry =
            if encoded.len() == 1 { encoded.into_iter().next().expect("one tensor") } else { Tensor::cat(encoded, 0) };
        let trunk = self.stack(&self.architecture.trunk, entry, &spans);

        let mut outputs = Vec::new();
        let mut start = 0;
        for (i, input) in filled {
            let rows = trunk.clone().narrow(0, start, input.batch.rows);
            start += input.batch.rows;
            for (j, target) in input.targets.iter().enumerate() {
                let head = &self.architecture.heads[target.task];
                let spans = [(input.feed, input.batch.rows)];
                let x = self.dropped(rows.clone(), head.index, head.dropout, &spans);
                outputs.push((i, j, self.stack(&head.layers, x, &spans)));
            }
        }
        outputs
    }

    fn encode(&self, input: &FeedInput<'_>) -> Tensor<2> {
        let encoder: &Encoder = &self.architecture.encoders[input.feed];
        let mut parts = Vec::with_capacity(1 + encoder.embeddings.len());
        if encoder.dense > 0 {
            let data = TensorData::new(input.batch.dense.to_vec(), [input.batch.rows, encoder.dense]);
            parts.push(Tensor::<2>::from_data(data, &self.device));
        }
        for (column, embedding) in encoder.embeddings.iter().enumerate() {
            let ids = input.batch.ids.iter().skip(column).step_by(encoder.embeddings.len());
            let ids: Vec<i64> = ids.map(|id| i64::from(*id)).collect();
            let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [input.batch.rows]), &self.device);
            parts.push(self.matrix(embedding.weight.start).select(0, ids));
        }
        let x = if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 1) };
        self.stack(&encoder.layers, x, &[(input.feed, input.batch.rows)])
    }

    fn stack(&self, layers: &[Dense], x: Tensor<2>, spans: &[(usize, usize)]) -> Tensor<2> {
        layers.iter().fold(x, |x, layer| self.dense(layer, x, spans))
    }

    fn dense(&self, layer: &Dense, x: Tensor<2>, spans: &[(usize, usize)]) -> Tensor<2> {
        let weight = self.matrix(layer.weight.start);
        let mut z = x.matmul(weight.transpose()) + self.vector(layer.bias.start).unsqueeze::<2>();
        if let Some(norm) = &layer.norm {
            let centred = z.clone() - z.mean_dim(1);
            let variance = (centred.clone() * centred.clone()).mean_dim(1);
            let normal = centred / (variance + NORM_EPSILON).sqrt();
            z = normal * self.vector(norm.scale.start).unsqueeze::<2>()
                + self.vector(norm.shift.start).unsqueeze::<2>();
        }
        let y = match layer.activation {
            None => z,
            Some(Activation::Relu) => activation::relu(z),
            Some(Activation::Gelu) => activation::gelu(z),
            Some(Activation::Tanh) => activation::tanh(z),
            Some(Activation::Silu) => activation::silu(z),
        };
        self.dropped(y, layer.index, layer.dropout, spans)
    }

    /// `y` times the masks of the feeds whose rows it holds.
    fn dropped(&self, y: Tensor<2>, layer: u32, rate: f32, spans: &[(usize, usize)]) -> Tensor<2> {
        let Some(key) = dropout::active(self.pass, rate) else { return y };
        let [rows, width] = y.dims();
        let mut mask = vec![0.0; rows * width];
        let mut start = 0;
        for (feed, rows) in spans {
            dropout::fill(&mut mask[start * width..(start + rows) * width], key, *feed, layer, rate);
            start += rows;
        }
        y * Tensor::<2>::from_data(TensorData::new(mask, [rows, width]), &self.device)
    }

    fn parameter(&self, start: usize) -> Parameter {
        let blocks = self.architecture.layout.blocks();
        self.graph.blocks[blocks.partition_point(|block| block.offset < start)].clone()
    }

    fn matrix(&self, start: usize) -> Tensor<2> {
        match self.parameter(start) {
            Parameter::Matrix(tensor) => {
                if self.tracked {
                    tensor
                } else {
                    tensor.inner()
                }
            }
            Parameter::Vector(_) => unreachable!("weights are matrices"),
        }
    }

    fn vector(&self, start: usize) -> Tensor<1> {
        match self.parameter(start) {
            Parameter::Vector(tensor) => {
                if self.tracked {
                    tensor
                } else {
                    tensor.inner()
                }
            }
            Parameter::Matrix(_) => unreachable!("biases are vectors"),
        }
    }
}
