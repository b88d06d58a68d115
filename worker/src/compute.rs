//! What a worker computes: gradient sums over microbatches, evaluation sums over chunks.
//!
//! A worker adds the sums within a node of the canonical tree in the tree's order. So a node's sums
//! have the same bits whichever worker computes them, and however the nodes are divided.

use std::{collections::BTreeMap, sync::Arc};

use aggregation::tree::{self, Node};
use datasets::{DataError, Store};
use experiment::{Experiment, SplitName};
use model::{Device, FeedInput, MicrobatchKey, ModelError, Network};
use objectives::{LossSum, TaskSums, sums::add_losses};

use crate::prefetch::{Prefetch, Rows};

/// Why work was not done.
#[derive(Debug, thiserror::Error)]
pub enum ComputeError {
    /// The rows can't be read, or are not those of the run.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The network can't compute with the rows or the parameters.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// A network with the data that it is trained on.
pub struct Computer {
    network: Network,
    store: Arc<Store>,
    prefetch: Prefetch,
    seed: u64,
    /// Number of tasks of the experiment.
    tasks: usize,
    /// Vectors of the layout's length, kept to be used again.
    buffers: Vec<Vec<f32>>,
}

impl Computer {
    /// Builds the network of an experiment over its data.
    ///
    /// # Errors
    /// [`ModelError`] if the network can't be built as the experiment says.
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

    /// Sets the parameters for all that is computed from now on: the flat vector of the layout.
    ///
    /// # Errors
    /// [`ModelError`] if the number of parameters is not the layout's.
    pub fn set_parameters(&mut self, parameters: &[f32]) -> Result<(), ModelError> {
        self.network.set_parameters(parameters)
    }

    /// Writes the combined gradient of a node's microbatches over all tasks into `gradient` (length
    /// of the layout): the sum of `scales[t]` times the gradient of task `t`'s summed loss. Returns
    /// the loss sums by task.
    ///
    /// # Errors
    /// [`ComputeError`] if rows can't be read or the network refuses them.
    pub fn combined_gradient(
        &mut self,
        step: u64,
        node: Node,
        scales: &[f32],
        gradient: &mut [f32],
    ) -> Result<Vec<LossSum>, ComputeError> {
        let Some((left, right)) = node.children() else {
            return self.microbatch(step, node.lo, scales, gradient);
        };
        let left = self.combined_gradient(step, left, scales, gradient)?;
        let mut buffer = self.buffers.pop().unwrap_or_else(|| vec![0.0; gradient.len()]);
        let right = self.combined_gradient(step, right, scales, &mut buffer)?;
        tree::add_assign(gradient, &buffer);
        self.buffers.push(buffer);
        Ok(add_losses(left, right))
    }

    fn microbatch(
        &mut self,
        step: u64,
        microbatch: u32,
        scales: &[f32],
        gradient: &mut [f32],
    ) -> Result<Vec<LossSum>, ComputeError> {
        let batches = self.prefetch.take(Rows { step, feed: None, microbatch })?;
        let inputs: Vec<FeedInput<'_>> =
            batches.iter().enumerate().map(|(feed, batch)| FeedInput::new(feed, batch)).collect();
        let key = MicrobatchKey { seed: self.seed, step, microbatch };
        let sums = self.network.combined_gradient(key, scales, &inputs, gradient)?;
        Ok(self.by_task(&sums))
    }

    /// Writes per-task gradients of a node's microbatches of one feed: `gradients[i]` (length of
    /// the layout) becomes `scales[t]` times the gradient of the summed loss of task
    /// `t = tasks[i]`. `step_and_feed` names the step and the feed. Returns the loss sums by task;
    /// those of tasks on other feeds are zero.
    ///
    /// # Errors
    /// [`ComputeError`] if rows can't be read or the network refuses them.
    pub fn task_gradients(
        &mut self,
        step_and_feed: (u64, usize),
        node: Node,
        tasks: &[usize],
        scales: &[f32],
        gradients: &mut [&mut [f32]],
    ) -> Result<Vec<LossSum>, ComputeError> {
        let (step, feed) = step_and_feed;
        let Some((left, right)) = node.children() else {
            let batches = self.prefetch.take(Rows { step, feed: Some(feed), microbatch: node.lo })?;
            let key = MicrobatchKey { seed: self.seed, step, microbatch: node.lo };
            let sums =
                self.network.task_gradients(key, scales, &FeedInput::new(feed, &batches[0]), tasks, gradients)?;
            return Ok(self.by_task(&sums));
        };
        let left = self.task_gradients(step_and_feed, left, tasks, scales, gradients)?;
        let elements = self.network.layout().len();
        let mut buffers: Vec<Vec<f32>> =
            tasks.iter().map(|_| self.buffers.pop().unwrap_or_else(|| vec![0.0; elements])).collect();
        let mut others: Vec<&mut [f32]> = buffers.iter_mut().map(Vec::as_mut_slice).collect();
        let right = self.task_gradients(step_and_feed, right, tasks, scales, &mut others)?;
        for ((task, gradient), buffer) in tasks.iter().zip(gradients).zip(&buffers) {
            let span = self.network.layout().span(*task);
            tree::add_assign(&mut gradient[span.clone()], &buffer[span]);
        }
        self.buffers.append(&mut buffers);
        Ok(add_losses(left, right))
    }

    /// Computes the loss sums by task over a node's microbatches, without gradients. They have the
    /// same bits as those that [`Computer::combined_gradient`] returns.
    ///
    /// # Errors
    /// [`ComputeError`] if rows can't be read or the network refuses them.
    pub fn losses(&mut self, step: u64, node: Node) -> Result<Vec<LossSum>, ComputeError> {
        self.prefetch.keep();
        let Some((left, right)) = node.children() else {
            let batches = self.prefetch.take(Rows { step, feed: None, microbatch: node.lo })?;
            let inputs: Vec<_> = batches.iter().enumerate().map(|(feed, batch)| FeedInput::new(feed, batch)).collect();
            let key = MicrobatchKey { seed: self.seed, step, microbatch: node.lo };
            return Ok(self.by_task(&self.network.losses(key, &inputs)?));
        };
        let left = self.losses(step, left)?;
        let right = self.losses(step, right)?;
        Ok(add_losses(left, right))
    }

    /// The loss sums of all tasks, those of tasks that were not computed being 0.
    fn by_task(&self, sums: &[LossSum]) -> Vec<LossSum> {
        let mut losses: Vec<_> = (0..self.tasks).map(|task| LossSum { task, loss: 0.0, rows: 0 }).collect();
        for sum in sums {
            losses[sum.task] = *sum;
        }
        losses
    }

    /// Computes the evaluation sums of one feed's tasks over a node of a split's chunks, by task
    /// number.
    ///
    /// # Errors
    /// [`ComputeError`] if rows can't be read or the network refuses them.
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

/// Adds two nodes' evaluation sums, left plus right.
pub fn add_sums(left: BTreeMap<usize, TaskSums>, mut right: BTreeMap<usize, TaskSums>) -> BTreeMap<usize, TaskSums> {
    left.into_iter()
        .map(|(task, sums)| match right.remove(&task) {
            Some(other) => (task, sums.add(other)),
            None => (task, sums),
        })
        .collect()
}
