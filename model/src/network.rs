//! The network as workers, the coordinator, `evaluate` and `predict` use it.

use std::sync::Arc;

use datasets::{Batch, Targets};
use experiment::{Experiment, Shapes, TaskShape};
use objectives::{LossSum, Objective, TaskSums};
use settings::Invalid;

use crate::engine::{self, Engine};
use crate::pass::{self, FeedInput, MicrobatchKey, Pass};
use crate::structure::Structure;
use crate::{Device, Layout, ModelError, initial};

/// The layers of an experiment on a device, with the parameters that were set last.
#[derive(Debug)]
pub struct Network {
    structure: Arc<Structure>,
    shapes: Shapes,
    /// Losses and metrics by task.
    objectives: Vec<Objective>,
    device: Device,
    engine: Box<dyn Engine>,
}

/// The predictions of a task for the rows of a feed.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Index of the task.
    pub task: usize,
    /// `[rows, outputs]`: values in the target's units (regression), the probability of 1 (binary,
    /// multilabel), or the probabilities of the classes (multiclass).
    pub values: Vec<f32>,
}

impl Network {
    /// Builds the network. All parameters are zero until [`Network::set_parameters`].
    ///
    /// # Errors
    /// [`ModelError`] if encoders and widths do not fit each other, or the device is not there.
    pub fn new(experiment: &Experiment, shapes: &Shapes, device: &Device) -> Result<Self, ModelError> {
        Self::build(experiment, shapes, *device, |structure| engine::of(structure, *device))
    }

    /// Builds the network with burn's autodiff on every device, the processor included. Tests
    /// compare the hand-written gradients with it.
    ///
    /// # Errors
    /// As [`Network::new`].
    pub fn with_autodiff(experiment: &Experiment, shapes: &Shapes, device: &Device) -> Result<Self, ModelError> {
        Self::build(experiment, shapes, *device, |structure| {
            Ok(Box::new(engine::autodiff::Autodiff::new(structure, device.burn()?)))
        })
    }

    fn build(
        experiment: &Experiment,
        shapes: &Shapes,
        device: Device,
        engine: impl FnOnce(Arc<Structure>) -> Result<Box<dyn Engine>, ModelError>,
    ) -> Result<Self, ModelError> {
        let structure = Arc::new(Structure::new(experiment, shapes, &device.burn()?)?);
        let engine = engine(Arc::clone(&structure))?;
        let tasks = shapes.tasks.iter().enumerate();
        let objectives = tasks.map(|(task, shape)| {
            let refuse = |invalid: Invalid| ModelError::Loss { task: shape.name.clone(), reason: invalid.to_string() };
            shape.objective(task).map_err(refuse)
        });
        let objectives = objectives.collect::<Result<_, _>>()?;
        let mut network = Self { structure, shapes: shapes.clone(), objectives, device, engine };
        let zeros = vec![0.0; network.layout().len()];
        network.set_parameters(&zeros)?;
        Ok(network)
    }

    /// The parameters' names, shapes and places.
    pub fn layout(&self) -> &Layout {
        &self.structure.layout
    }

    /// The sizes that the network was built for.
    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// The device on which it computes.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The initial values of the parameters, a function of the seed and the layout alone.
    pub fn initial(&self, seed: u64) -> Vec<f32> {
        initial::parameters(&self.structure.layout, &self.structure.initial, seed)
    }

    /// Multiply-adds of the forward pass of one row of a feed, through the heads of `tasks`. A
    /// gradient takes about three times as many.
    pub fn multiply_adds(&self, feed: usize, tasks: &[usize]) -> u64 {
        self.structure.multiply_adds(feed, tasks)
    }

    /// Sets the parameters of the passes that follow, in the layout's order.
    ///
    /// # Errors
    /// [`ModelError::Length`] if there are more or fewer than the layout has.
    pub fn set_parameters(&mut self, parameters: &[f32]) -> Result<(), ModelError> {
        self.check_length("the vector of parameters", parameters.len())?;
        self.engine.set_parameters(parameters);
        Ok(())
    }

    /// The gradient of one microbatch. It overwrites the whole of `gradient` with the derivative of
    /// `sum over tasks t of scales[t] * (sum of t's row losses)`, with zero for blocks that no task
    /// of `inputs` reaches. It returns the unscaled loss sums in the order of the tasks.
    ///
    /// `scales` has one factor for each task of the network. `inputs` has the feeds in ascending
    /// order, each with the tasks to compute. If rows are split over several passes, they keep
    /// their dropout masks only within the same feed and microbatch.
    ///
    /// # Errors
    /// [`ModelError::Input`] and [`ModelError::Length`] if the rows, scales or `gradient` do not
    /// fit.
    pub fn combined_gradient(
        &self,
        at: MicrobatchKey,
        scales: &[f32],
        inputs: &[FeedInput<'_>],
        gradient: &mut [f32],
    ) -> Result<Vec<LossSum>, ModelError> {
        pass::check(&self.shapes, inputs)?;
        self.check_length("the gradient", gradient.len())?;
        self.check_scales(scales)?;
        let mut losses = Vec::new();
        let mut differentiate = |feed: usize, target: usize, outputs: &[f32], delta: &mut [f32]| {
            let target = inputs[feed].targets[target];
            let (objective, scale) = (&self.objectives[target.task], scales[target.task]);
            losses.push(objective.losses(outputs, target.labels(), scale, Some(delta)));
        };
        self.engine.combined_gradient(Pass::Training(at), inputs, &mut differentiate, gradient)?;
        losses.sort_by_key(|sum| sum.task);
        Ok(losses)
    }

    /// The per-task gradients of one feed's microbatch. It overwrites the whole of `gradients[i]`
    /// with what [`Network::combined_gradient`] gives for the feed's rows and `tasks[i]` alone. It
    /// returns the loss sums of all targets of `input` in the order of the tasks. There is one
    /// forward pass for all tasks if the device allows it.
    ///
    /// # Errors
    /// As [`Network::combined_gradient`]. `tasks` must be among the targets of `input`, with one
    /// vector for each.
    pub fn task_gradients(
        &self,
        at: MicrobatchKey,
        scales: &[f32],
        input: &FeedInput<'_>,
        tasks: &[usize],
        gradients: &mut [&mut [f32]],
    ) -> Result<Vec<LossSum>, ModelError> {
        pass::check(&self.shapes, std::slice::from_ref(input))?;
        self.check_scales(scales)?;
        if gradients.len() != tasks.len() {
            let (given, expected) = (gradients.len(), tasks.len());
            return Err(ModelError::Length { what: "the list of gradients", given, expected });
        }
        gradients.iter().try_for_each(|gradient| self.check_length("a gradient", gradient.len()))?;
        if let Some(task) = tasks.iter().find(|task| !input.targets.iter().any(|target| target.task == **task)) {
            let reason = format!("task {task} has no labels in this pass");
            return Err(ModelError::Input { feed: self.shapes.feeds[input.feed].name.clone(), reason });
        }
        let mut losses = Vec::with_capacity(input.targets.len());
        let mut differentiate = |_: usize, target: usize, outputs: &[f32], delta: &mut [f32]| {
            let target = input.targets[target];
            let (objective, scale) = (&self.objectives[target.task], scales[target.task]);
            losses.push(objective.losses(outputs, target.labels(), scale, Some(delta)));
        };
        self.engine.task_gradients(Pass::Training(at), input, tasks, &mut differentiate, gradients)?;
        losses.sort_by_key(|sum| sum.task);
        Ok(losses)
    }

    /// The loss sums that [`Network::combined_gradient`] returns for the same rows, without a
    /// gradient.
    ///
    /// # Errors
    /// As [`Network::combined_gradient`].
    pub fn losses(&self, at: MicrobatchKey, inputs: &[FeedInput<'_>]) -> Result<Vec<LossSum>, ModelError> {
        let mut losses = Vec::new();
        self.forward(Pass::Training(at), inputs, |target, outputs| {
            losses.push(self.objectives[target.task].losses(outputs, target.labels(), 0.0, None));
        })?;
        losses.sort_by_key(|sum| sum.task);
        Ok(losses)
    }

    /// Loss and metric sums of the labelled rows, without dropout, by task in ascending order.
    ///
    /// # Errors
    /// [`ModelError::Input`] if the rows do not fit.
    pub fn evaluate(&self, input: &FeedInput<'_>) -> Result<Vec<(usize, TaskSums)>, ModelError> {
        let mut sums = Vec::new();
        self.forward(Pass::Evaluation, std::slice::from_ref(input), |target, outputs| {
            sums.push((target.task, self.objectives[target.task].sums(outputs, target.labels())));
        })?;
        Ok(sums)
    }

    /// The predictions of every task of the feed for the rows, in the order of the tasks. The
    /// labels of the batch are not read.
    ///
    /// # Errors
    /// [`ModelError::Input`] if the rows do not fit.
    pub fn predict(&self, feed: usize, batch: &Batch) -> Result<Vec<Prediction>, ModelError> {
        let tasks = self.shapes.tasks.iter().enumerate().filter(|(_, task)| task.feed == feed);
        let unlabelled = |(task, shape): (usize, &TaskShape)| {
            let width = shape.kind.label_width(shape.outputs);
            Targets { task, values: vec![0.0; batch.rows * width], labelled: vec![false; batch.rows] }
        };
        let targets: Vec<Targets> = tasks.map(unlabelled).collect();
        let input = FeedInput { feed, batch, targets: targets.iter().collect() };
        let mut predictions = Vec::new();
        self.forward(Pass::Evaluation, &[input], |target, outputs| {
            let values = self.objectives[target.task].predictions(outputs);
            predictions.push(Prediction { task: target.task, values });
        })?;
        Ok(predictions)
    }

    /// A network of the same structure on the same device, with its own parameters.
    pub(crate) fn twin(&self) -> Self {
        let structure = Arc::clone(&self.structure);
        let (shapes, objectives) = (self.shapes.clone(), self.objectives.clone());
        Self { structure, shapes, objectives, device: self.device, engine: self.engine.twin() }
    }

    fn forward(
        &self,
        pass: Pass,
        inputs: &[FeedInput<'_>],
        mut each: impl FnMut(&Targets, &[f32]),
    ) -> Result<(), ModelError> {
        pass::check(&self.shapes, inputs)?;
        let mut each = |feed: usize, target: usize, outputs: &[f32]| each(inputs[feed].targets[target], outputs);
        self.engine.forward(pass, inputs, &mut each)
    }

    fn check_scales(&self, scales: &[f32]) -> Result<(), ModelError> {
        let (given, expected) = (scales.len(), self.shapes.tasks.len());
        if given == expected { Ok(()) } else { Err(ModelError::Length { what: "the list of scales", given, expected }) }
    }

    fn check_length(&self, what: &'static str, given: usize) -> Result<(), ModelError> {
        let expected = self.layout().len();
        if given == expected { Ok(()) } else { Err(ModelError::Length { what, given, expected }) }
    }
}
