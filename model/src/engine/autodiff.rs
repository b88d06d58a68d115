//! Passes on any device, with burn's autodiff.
//!
//! Losses stay on the host. The heads' outputs are copied to the host, and their derivatives back
//! to the device. The backward pass starts from `sum(outputs * derivatives)`, whose gradient with
//! respect to the outputs is the derivatives.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::{Differentiate, Each, Engine};
use crate::ModelError;
use crate::architecture::Wanted;
use crate::forward::{Forward, Span};
use crate::pass::{FeedInput, Pass};
use crate::structure::Structure;
use crate::value::{RowShape, Value};

/// The structure, with one flat tensor for each block of the layout.
#[derive(Debug)]
pub(crate) struct Autodiff {
    structure: Arc<Structure>,
    device: Device,
    parameters: Vec<Tensor<1>>,
}

/// The outputs of one target: index of the input, index of the target, `[rows, outputs]`.
type Output = (usize, usize, Tensor<2>);

impl Autodiff {
    pub(crate) fn new(structure: Arc<Structure>, device: Device) -> Self {
        Self { structure, device, parameters: Vec::new() }
    }

    /// The outputs of every target of every input that has rows, with their places.
    fn outputs(&self, pass: Pass, tracked: bool, device: &Device, inputs: &[FeedInput<'_>]) -> Vec<Output> {
        let filled = || inputs.iter().enumerate().filter(|(_, input)| input.batch.rows > 0);
        let span = |input: &FeedInput<'_>| Span { feed: input.feed, first: 0, rows: input.batch.rows };
        let spans: Vec<Span> = filled().map(|(_, input)| span(input)).collect();
        if spans.is_empty() {
            return Vec::new();
        }
        let parameters = &self.parameters[..];
        let of_rows = |spans| Forward { parameters, tracked, device, pass, spans };
        let encoded = filled().map(|(_, input)| {
            let encoder = &self.structure.encoders[input.feed];
            encoder.forward(value(encoder.input(), input, device), &of_rows(vec![span(input)]))
        });
        let entry = Value::below_each_other(encoded.collect());

        let mut wanted = Vec::new();
        let mut places = Vec::new();
        let mut start = 0;
        for (i, input) in filled() {
            for (j, target) in input.targets.iter().enumerate() {
                wanted.push(Wanted { task: target.task, rows: start..start + input.batch.rows });
                places.push((i, j));
            }
            start += input.batch.rows;
        }
        let forward = of_rows(spans);
        let represented = self.structure.architecture.represent(entry, &wanted, &forward);
        let outputs = wanted.into_iter().zip(represented).map(|(Wanted { task, rows }, x)| {
            self.structure.heads[task].forward(x, &forward.rows(rows)).into_vectors()
        });
        places.into_iter().zip(outputs).map(|((i, j), outputs)| (i, j, outputs)).collect()
    }

    fn values<const D: usize>(&self, tensor: Tensor<D>) -> Result<Vec<f32>, ModelError> {
        let failed = |reason: String| ModelError::DeviceFailed { name: format!("{:?}", self.device), reason };
        let data = tensor.try_into_data().map_err(|error| failed(format!("{error:?}")))?;
        data.try_into_vec::<f32>().map_err(|error| failed(format!("{error:?}")))
    }
}

impl Engine for Autodiff {
    fn set_parameters(&mut self, parameters: &[f32]) {
        let device = self.device.clone().autodiff();
        let blocks = self.structure.layout.blocks().iter();
        let tensor = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [values.len()]);
            Tensor::from_data(data, &device).require_grad()
        };
        self.parameters = blocks.map(|block| tensor(&parameters[block.range()])).collect();
    }

    fn forward(&self, pass: Pass, inputs: &[FeedInput<'_>], each: &mut Each<'_>) -> Result<(), ModelError> {
        without_rows(inputs).for_each(|(i, j)| each(i, j, &[]));
        for (i, j, outputs) in self.outputs(pass, false, &self.device, inputs) {
            each(i, j, &self.values(outputs)?);
        }
        Ok(())
    }

    fn combined_gradient(
        &self,
        pass: Pass,
        inputs: &[FeedInput<'_>],
        differentiate: &mut Differentiate<'_>,
        gradient: &mut [f32],
    ) -> Result<(), ModelError> {
        gradient.fill(0.0);
        let device = self.device.clone().autodiff();
        let mut total: Option<Tensor<1>> = None;
        without_rows(inputs).for_each(|(i, j)| differentiate(i, j, &[], &mut []));
        for (i, j, outputs) in self.outputs(pass, true, &device, inputs) {
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
        for (block, parameter) in self.structure.layout.blocks().iter().zip(&self.parameters) {
            if let Some(values) = parameter.grad(&gradients) {
                gradient[block.range()].copy_from_slice(&self.values(values)?);
            }
        }
        Ok(())
    }

    /// Burn can't go back through a graph twice, so each task has its own pass, with the same
    /// masks.
    fn task_gradients(
        &self,
        pass: Pass,
        input: &FeedInput<'_>,
        tasks: &[usize],
        differentiate: &mut Differentiate<'_>,
        gradients: &mut [&mut [f32]],
    ) -> Result<(), ModelError> {
        for (place, target) in input.targets.iter().enumerate() {
            let alone = [FeedInput { targets: vec![target], ..input.clone() }];
            match tasks.iter().position(|task| *task == target.task) {
                Some(at) => {
                    let mut differentiate = |_: usize, _: usize, outputs: &[f32], delta: &mut [f32]| {
                        differentiate(0, place, outputs, delta);
                    };
                    self.combined_gradient(pass, &alone, &mut differentiate, gradients[at])?;
                }
                None => self.forward(pass, &alone, &mut |_, _, outputs| {
                    differentiate(0, place, outputs, &mut vec![0.0; outputs.len()]);
                })?,
            }
        }
        Ok(())
    }

    fn twin(&self) -> Box<dyn Engine> {
        Box::new(Self::new(Arc::clone(&self.structure), self.device.clone()))
    }
}

/// A feed's rows as its encoder takes them.
fn value(shape: RowShape, input: &FeedInput<'_>, device: &Device) -> Value {
    let rows = input.batch.rows;
    let dense = || TensorData::new(input.batch.dense.to_vec(), [rows, input.batch.dense.len() / rows]);
    match shape {
        RowShape::Vector { .. } => Value::Vectors(Tensor::from_data(dense(), device)),
        RowShape::Image { channels, height, width } => {
            let data = TensorData::new(input.batch.dense.to_vec(), [rows, channels, height, width]);
            Value::Images(Tensor::from_data(data, device))
        }
        RowShape::Table { ids: columns, .. } => {
            let column = |column: usize| {
                let ids = input.batch.ids.iter().skip(column).step_by(columns);
                let ids: Vec<i64> = ids.map(|id| i64::from(*id)).collect();
                Tensor::<1, Int>::from_data(TensorData::new(ids, [rows]), device)
            };
            let dense = (!input.batch.dense.is_empty()).then(|| Tensor::from_data(dense(), device));
            Value::Table { dense, ids: (0..columns).map(column).collect() }
        }
    }
}

/// The places of targets without rows. burn makes no tensor of them.
fn without_rows(inputs: &[FeedInput<'_>]) -> impl Iterator<Item = (usize, usize)> {
    let empty = inputs.iter().enumerate().filter(|(_, input)| input.batch.rows == 0);
    empty.flat_map(|(i, input)| (0..input.targets.len()).map(move |j| (i, j)))
}
