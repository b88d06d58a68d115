//! What a worker computes: gradient sums over microbatches, evaluation sums over chunks.
//!
//! Within a node of the canonical tree sums are added in the tree's order, so that what is sent for
//! a node has the same bits whoever computes it, and however the nodes are handed out.

use std::{collections::BTreeMap, sync::Arc};

use aggregation::tree::{self, Node};
use datasets::{DataError, Store};
use experiment::{Experiment, SplitName};
use model::{Device, FeedInput, MicrobatchKey, ModelError, Network};
use objectives::TaskSums;

use crate::prefetch::{Prefetch, Rows};

/// Loss sum and labelled rows of one task.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Loss {
    /// Sum of the row losses, without the task's weight.
    pub loss: f64,
    /// Rows with a label.
    pub rows: u64,
}

/// Why work could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ComputeError {
    /// The rows can't be had.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The network refuses them.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// A network with the data that it is trained on.
pub struct Computer {
    network: Network,
    store: Arc<Store>,
    prefetch: Prefetch,
    seed: u64,
    tasks: usize,
    buffers: Vec<Vec<f32>>,
}

impl Computer {
    /// Builds the network of an experiment over its data.
    ///
    /// # Errors
    /// When the network can't be built as the experiment says.
    pub fn new(experiment: &Experiment, store: Store, device: &Device) -> Result<Computer, ModelError> {
        let shapes = store.plan().shapes();
        let tasks = shapes.tasks.len();
        let network = Network::new(experiment, shapes, device)?;
        let store = Arc::new(store);
        let prefetch = Prefetch::start(Arc::clone(&store));
        Ok(Computer { network, store, prefetch, seed: experiment.seed, tasks, buffers: Vec::new() })
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The data.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Sets the parameters that everything is computed with from now on.
    ///
    /// # Errors
    /// When there are more or fewer than the layout has.
    pub fn set_parameters(&mut self, parameters: &[f32]) -> Result<(), ModelError> {
        self.network.set_parameters(parameters)
    }

    /// Writes the sum, over the node's microbatches and all tasks, of `scales[t]` times the
    /// gradient of the task's loss into `gradient` (length of the layout), and returns the loss
    /// sums by task.
    ///
    /// # Errors
    /// When rows can't be had.
    pub fn gradient(
        &mut self,
        step: u64,
        node: Node,
        scales: &[f32],
        gradient: &mut [f32],
    ) -> Result<Vec<Loss>, ComputeError> {
        let Some((left, right)) = node.children() else {
            return self.microbatch(step, node.lo, scales, gradient);
        };
        let left = self.gradient(step, left, scales, gradient)?;
        let mut buffer = self.buffers.pop().unwrap_or_else(|| vec![0.0; gradient.len()]);
        let right = self.gradient(step, right, scales, &mut buffer)?;
        tree::add_assign(gradient, &buffer);
        self.buffers.push(buffer);
        Ok(add_losses(left, &right))
    }

    fn microbatch(
        &mut self,
        step: u64,
        microbatch: u32,
        scales: &[f32],
        gradient: &mut [f32],
    ) -> Result<Vec<Loss>, ComputeError> {
        let batches = self.prefetch.take(Rows { step, feed: None, microbatch })?;
        let inputs: Vec<FeedInput<'_>> =
            batches.iter().enumerate().map(|(feed, batch)| FeedInput::new(feed, batch)).collect();
        let key = MicrobatchKey { seed: self.seed, step, microbatch };
        let sums = self.network.combined_gradient(key, scales, &inputs, gradient)?;
        Ok(self.by_task(&sums))
    }

    /// The same for one feed and task by task: writes the sum over the node's microbatches of
    /// `scales[t]` times the gradient of the loss of `tasks[i]` into `gradients[i]`, and returns
    /// the loss sums of all tasks on the feed.
    ///
    /// # Errors
    /// When rows can't be had.
    pub fn gradients(
        &mut self,
        unit: (u64, usize),
        node: Node,
        tasks: &[usize],
        scales: &[f32],
        gradients: &mut [&mut [f32]],
    ) -> Result<Vec<Loss>, ComputeError> {
        let (step, feed) = unit;
        let Some((left, right)) = node.children() else {
            let batches = self.prefetch.take(Rows { step, feed: Some(feed), microbatch: node.lo })?;
            let key = MicrobatchKey { seed: self.seed, step, microbatch: node.lo };
            let sums =
                self.network.task_gradients(key, scales, &FeedInput::new(feed, &batches[0]), tasks, gradients)?;
            return Ok(self.by_task(&sums));
        };
        let left = self.gradients(unit, left, tasks, scales, gradients)?;
        let elements = self.network.layout().len();
        let mut buffers: Vec<Vec<f32>> =
            tasks.iter().map(|_| self.buffers.pop().unwrap_or_else(|| vec![0.0; elements])).collect();
        let mut others: Vec<&mut [f32]> = buffers.iter_mut().map(Vec::as_mut_slice).collect();
        let right = self.gradients(unit, right, tasks, scales, &mut others)?;
        for ((task, gradient), buffer) in tasks.iter().zip(gradients).zip(&buffers) {
            let span = self.network.layout().span(*task);
            tree::add_assign(&mut gradient[span.clone()], &buffer[span]);
        }
        self.buffers.append(&mut buffers);
        Ok(add_losses(left, &right))
    }

    /// The loss sums by task over the node's microbatches, as they come with their gradient.
    ///
    /// # Errors
    /// When rows can't be had.
    pub fn losses(&mut self, step: u64, node: Node) -> Result<Vec<Loss>, ComputeError> {
        self.prefetch.keep();
        let Some((left, right)) = node.children() else {
            let batches = self.prefetch.take(Rows { step, feed: None, microbatch: node.lo })?;
            let inputs: Vec<_> = batches.iter().enumerate().map(|(feed, batch)| FeedInput::new(feed, batch)).collect();
            let key = MicrobatchKey { seed: self.seed, step, microbatch: node.lo };
            return Ok(self.by_task(&self.network.losses(key, &inputs)?));
        };
        let left = self.losses(step, left)?;
        let right = self.losses(step, right)?;
        Ok(add_losses(left, &right))
    }

    fn by_task(&self, sums: &[model::LossSum]) -> Vec<Loss> {
        let mut losses = vec![Loss::default(); self.tasks];
        for sum in sums {
            losses[sum.task] = Loss { loss: sum.loss, rows: sum.rows };
        }
        losses
    }

    /// The evaluation sums of one feed's tasks over a node of a split's chunks.
    ///
    /// # Errors
    /// When rows can't be had.
    pub fn evaluate(
        &mut self,
        feed: usize,
        split: SplitName,
        node: Node,
    ) -> Result<BTreeMap<usize, TaskSums>, ComputeError> {
        let Some((left, right)) = node.children() else {
            let batch = self.store.chunk(feed, split, node.lo)?;
            return Ok(self.network.evaluate(&FeedInput::new(feed, &batch))?.into_iter().collect());
        };
        let left = self.evaluate(feed, split, left)?;
        let right = self.evaluate(feed, split, right)?;
        Ok(add_sums(left, right))
    }
}

/// Adds two nodes' loss sums, left plus right.
pub fn add_losses(mut left: Vec<Loss>, right: &[Loss]) -> Vec<Loss> {
    for (left, right) in left.iter_mut().zip(right) {
        left.loss += right.loss;
        left.rows += right.rows;
    }
    left
}

/// Adds two nodes' evaluation sums, left plus right.
pub fn add_sums(left: BTreeMap<usize, TaskSums>, mut right: BTreeMap<usize, TaskSums>) -> BTreeMap<usize, TaskSums> {
    left.into_iter()
        .map(|(task, sums)| match right.remove(&task) {
            Some(other) => (task, sums.add(other)),
            None => (task, sums),
        })
        .collect()
}
