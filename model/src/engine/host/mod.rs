//! Passes on the processor: forward and backward by hand over the flat vectors.
//!
//! The encoded rows of all feeds are in one matrix, one below the other. So a layer of the trunk
//! takes one product in a pass, and one product writes each block's gradient in its place. No sum
//! is split over threads, so the bits do not depend on their number.

mod layer;
mod plan;
mod product;
mod stack;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use self::layer::{Passed, input_gradient, multiply_by};
use self::plan::HostPlan;
use super::{Differentiate, Each, Engine};
use crate::pass::{FeedInput, Pass};
use crate::structure::Structure;
use crate::{Layout, ModelError, dropout};

/// The plan, the parameters and the buffers that passes reuse.
#[derive(Debug)]
pub(crate) struct Host {
    structure: Arc<Structure>,
    plan: Arc<HostPlan>,
    parameters: Vec<f32>,
    buffers: Mutex<Buffers>,
}

#[derive(Debug, Default)]
struct Buffers {
    /// By feed.
    encoders: Vec<Encoded>,
    /// The trunk's input: the rows of all feeds of the pass.
    entry: Vec<f32>,
    trunk: Vec<Passed>,
    /// By task.
    heads: Vec<HeadPassed>,
    /// Gradient of the trunk's output, then of each layer's before it.
    delta: Vec<f32>,
    /// Gradient of the output of one head or encoder, then of each layer's before it.
    branch: Vec<f32>,
    spare: Vec<f32>,
}

#[derive(Debug, Default)]
struct Encoded {
    /// Dense columns and embeddings side by side. Not used without embeddings.
    input: Vec<f32>,
    layers: Vec<Passed>,
}

#[derive(Debug, Default)]
struct HeadPassed {
    /// The trunk's output after the head's dropout, and the factors. Not used without dropout.
    input: Vec<f32>,
    mask: Vec<f32>,
    layers: Vec<Passed>,
}

impl Host {
    /// The engine for a structure. `None` if the hand-written engine does not know one of its
    /// layers.
    pub(crate) fn new(structure: &Arc<Structure>) -> Option<Self> {
        let plan = Arc::new(HostPlan::of(structure)?);
        Some(Self { structure: Arc::clone(structure), plan, parameters: Vec::new(), buffers: Mutex::default() })
    }
}

impl Engine for Host {
    fn set_parameters(&mut self, parameters: &[f32]) {
        self.parameters.clear();
        self.parameters.extend_from_slice(parameters);
    }

    fn forward(&self, pass: Pass, inputs: &[FeedInput<'_>], each: &mut Each<'_>) -> Result<(), ModelError> {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.fit(&self.plan);
        self.through(pass, inputs, &mut buffers);
        for (i, input) in inputs.iter().enumerate() {
            for (j, target) in input.targets.iter().enumerate() {
                each(i, j, stack::output(&buffers.heads[target.task].layers));
            }
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
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.fit(&self.plan);
        self.through(pass, inputs, &mut buffers);
        clear_unreached(&self.structure.layout, inputs, gradient);
        self.back_to_trunk(inputs, &mut buffers, differentiate, gradient);
        self.back_to_inputs(inputs, &mut buffers, gradient);
        Ok(())
    }

    /// One forward pass, and a backward pass for each task.
    fn task_gradients(
        &self,
        pass: Pass,
        input: &FeedInput<'_>,
        tasks: &[usize],
        differentiate: &mut Differentiate<'_>,
        gradients: &mut [&mut [f32]],
    ) -> Result<(), ModelError> {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.fit(&self.plan);
        let buffers = &mut *buffers;
        self.through(pass, std::slice::from_ref(input), buffers);
        for (place, target) in input.targets.iter().enumerate() {
            let Some(at) = tasks.iter().position(|task| *task == target.task) else {
                let outputs = stack::output(&buffers.heads[target.task].layers);
                buffers.branch.resize(outputs.len(), 0.0);
                differentiate(0, place, outputs, &mut buffers.branch);
                continue;
            };
            let alone = [FeedInput { targets: vec![target], ..input.clone() }];
            let mut differentiate = |_: usize, _: usize, outputs: &[f32], delta: &mut [f32]| {
                differentiate(0, place, outputs, delta);
            };
            let gradient = &mut *gradients[at];
            clear_unreached(&self.structure.layout, &alone, gradient);
            self.back_to_trunk(&alone, buffers, &mut differentiate, gradient);
            self.back_to_inputs(&alone, buffers, gradient);
        }
        Ok(())
    }

    fn twin(&self) -> Box<dyn Engine> {
        let (structure, plan) = (Arc::clone(&self.structure), Arc::clone(&self.plan));
        Box::new(Self { structure, plan, parameters: Vec::new(), buffers: Mutex::default() })
    }
}

impl Host {
    /// The forward pass.
    fn through(&self, pass: Pass, inputs: &[FeedInput<'_>], buffers: &mut Buffers) {
        let plan = &*self.plan;
        let Buffers { encoders, entry, trunk, heads, .. } = buffers;
        let spans = spans(inputs);
        let total = spans.last().map_or(0, |span| span.end);
        entry.resize(total * plan.trunk_inputs, 0.0);
        for (input, span) in inputs.iter().zip(&spans) {
            let encoder = &plan.encoders[input.feed];
            let Encoded { input: joined, layers } = &mut encoders[input.feed];
            stack::masks(&encoder.layers, layers, pass, &[(input.feed, 0..input.batch.rows)]);
            let x = self.encoder_input(input, joined);
            stack::forward(&encoder.layers, &self.parameters, input.batch.rows, x, layers);
            let encoded = if layers.is_empty() { x } else { stack::output(layers) };
            entry[scaled(span, plan.trunk_inputs)].copy_from_slice(encoded);
        }
        let feeds: Vec<_> = inputs.iter().map(|input| input.feed).zip(spans.iter().cloned()).collect();
        stack::masks(&plan.trunk, trunk, pass, &feeds);
        stack::forward(&plan.trunk, &self.parameters, total, entry, trunk);
        let trunk_output: &[f32] = if trunk.is_empty() { entry } else { stack::output(trunk) };

        for (input, span) in inputs.iter().zip(&spans) {
            for target in &input.targets {
                let head = &plan.heads[target.task];
                let HeadPassed { input: dropped, mask, layers } = &mut heads[target.task];
                let mut x = &trunk_output[scaled(span, plan.trunk_outputs)];
                mask.clear();
                if let Some((key, drop)) = stack::dropped(pass, head.dropout) {
                    mask.resize(x.len(), 0.0);
                    dropout::fill(mask, 0, key, input.feed, drop.layer, drop.rate);
                    dropped.clear();
                    dropped.extend_from_slice(x);
                    multiply_by(dropped, mask);
                    x = dropped;
                }
                stack::masks(&head.layers, layers, pass, &[(input.feed, 0..input.batch.rows)]);
                stack::forward(&head.layers, &self.parameters, input.batch.rows, x, layers);
            }
        }
    }

    /// Losses and heads: leaves the gradient of the trunk's output in `delta`.
    fn back_to_trunk(
        &self,
        inputs: &[FeedInput<'_>],
        buffers: &mut Buffers,
        differentiate: &mut Differentiate<'_>,
        gradient: &mut [f32],
    ) {
        let plan = &*self.plan;
        let Buffers { entry, trunk, heads, delta, branch, spare, .. } = buffers;
        let trunk_output: &[f32] = if trunk.is_empty() { entry } else { stack::output(trunk) };
        let width = plan.trunk_outputs;
        delta.resize(trunk_output.len(), 0.0);
        for (i, (input, span)) in inputs.iter().zip(spans(inputs)).enumerate() {
            let span = scaled(&span, width);
            if input.targets.is_empty() {
                delta[span.clone()].fill(0.0);
            }
            for (j, target) in input.targets.iter().enumerate() {
                let head = &plan.heads[target.task];
                let HeadPassed { input: dropped, mask, layers } = &heads[target.task];
                let outputs = stack::output(layers);
                branch.resize(outputs.len(), 0.0);
                differentiate(i, j, outputs, branch);
                let x = if mask.is_empty() { &trunk_output[span.clone()] } else { &dropped[..] };
                stack::backward(&head.layers, &self.parameters, input.batch.rows, x, layers, branch, spare, gradient);
                let delta = &mut delta[span.clone()];
                let add = j > 0;
                if mask.is_empty() {
                    input_gradient(&head.layers[0], &self.parameters, input.batch.rows, branch, 0..width, add, delta);
                    continue;
                }
                spare.resize(delta.len(), 0.0);
                input_gradient(&head.layers[0], &self.parameters, input.batch.rows, branch, 0..width, false, spare);
                multiply_by(spare, mask);
                if add {
                    delta.iter_mut().zip(&*spare).for_each(|(d, s)| *d += s);
                } else {
                    delta.copy_from_slice(spare);
                }
            }
        }
    }

    /// The trunk, the encoders and the embeddings, from the gradient of the trunk's output in
    /// `delta`.
    fn back_to_inputs(&self, inputs: &[FeedInput<'_>], buffers: &mut Buffers, gradient: &mut [f32]) {
        let plan = &*self.plan;
        let Buffers { encoders, entry, trunk, delta, branch, spare, .. } = buffers;
        let spans = spans(inputs);
        let total = spans.last().map_or(0, |span| span.end);
        let trunk_layers = &plan.trunk;
        stack::backward(trunk_layers, &self.parameters, total, entry, trunk, delta, spare, gradient);
        let delta_width = trunk_layers.first().map_or(plan.trunk_inputs, |layer| layer.outputs);
        for (input, span) in inputs.iter().zip(&spans) {
            let encoder = &plan.encoders[input.feed];
            if encoder.layers.is_empty() && encoder.embeddings.is_empty() {
                continue;
            }
            let delta = &delta[scaled(span, delta_width)];
            branch.resize(input.batch.rows * plan.trunk_inputs, 0.0);
            match trunk_layers.first() {
                Some(layer) => {
                    input_gradient(layer, &self.parameters, input.batch.rows, delta, 0..layer.inputs, false, branch)
                }
                None => branch.copy_from_slice(delta),
            }
            let Encoded { input: joined, layers } = &encoders[input.feed];
            let x = if encoder.embeddings.is_empty() { &input.batch.dense[..] } else { &joined[..] };
            stack::backward(&encoder.layers, &self.parameters, input.batch.rows, x, layers, branch, spare, gradient);
            if encoder.embeddings.is_empty() {
                continue;
            }
            let (looked_up, columns) = match encoder.layers.first() {
                Some(layer) => {
                    let columns = encoder.dense..encoder.inputs();
                    spare.resize(input.batch.rows * columns.len(), 0.0);
                    input_gradient(layer, &self.parameters, input.batch.rows, branch, columns.clone(), false, spare);
                    (&*spare, 0..columns.len())
                }
                None => (&*branch, encoder.dense..encoder.inputs()),
            };
            stack::scatter(encoder, input, looked_up, columns, gradient);
        }
    }

    /// The feed's rows, with their embeddings after the dense columns.
    fn encoder_input<'a>(&self, input: &FeedInput<'a>, joined: &'a mut Vec<f32>) -> &'a [f32] {
        let encoder = &self.plan.encoders[input.feed];
        if encoder.embeddings.is_empty() {
            return &input.batch.dense;
        }
        joined.clear();
        for row in 0..input.batch.rows {
            joined.extend_from_slice(&input.batch.dense[row * encoder.dense..(row + 1) * encoder.dense]);
            for (column, embedding) in encoder.embeddings.iter().enumerate() {
                let id = input.batch.ids[row * encoder.embeddings.len() + column] as usize;
                let table = &self.parameters[embedding.weight.clone()];
                joined.extend_from_slice(&table[id * embedding.width..(id + 1) * embedding.width]);
            }
        }
        joined
    }
}

impl Buffers {
    /// One place for each encoder, head and layer.
    fn fit(&mut self, plan: &HostPlan) {
        self.encoders.resize_with(plan.encoders.len(), Encoded::default);
        self.heads.resize_with(plan.heads.len(), HeadPassed::default);
        self.trunk.resize_with(plan.trunk.len(), Passed::default);
        for (encoded, encoder) in self.encoders.iter_mut().zip(&plan.encoders) {
            encoded.layers.resize_with(encoder.layers.len(), Passed::default);
        }
        for (passed, head) in self.heads.iter_mut().zip(&plan.heads) {
            passed.layers.resize_with(head.layers.len(), Passed::default);
        }
    }
}

/// The rows of each input in the trunk's matrix.
fn spans(inputs: &[FeedInput<'_>]) -> Vec<Range<usize>> {
    let mut end = 0;
    inputs
        .iter()
        .map(|input| {
            let start = end;
            end += input.batch.rows;
            start..end
        })
        .collect()
}

fn scaled(span: &Range<usize>, width: usize) -> Range<usize> {
    span.start * width..span.end * width
}

/// Zero for every block that this pass does not write.
fn clear_unreached(layout: &Layout, inputs: &[FeedInput<'_>], gradient: &mut [f32]) {
    let reached = |block: &crate::Block| {
        inputs.iter().any(|input| input.targets.iter().any(|target| block.tasks.contains(&target.task)))
    };
    for block in layout.blocks().iter().filter(|block| !reached(block)) {
        gradient[block.range()].fill(0.0);
    }
}
