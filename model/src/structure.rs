//! The structure of the network, built once from the experiment and the shapes of its data.
//!
//! A row of a feed goes through the feed's encoder, the architecture, which every task shares, and
//! the heads of the tasks on that feed. Nothing here holds a parameter's values or computes.

use std::collections::BTreeSet;

use burn::tensor::Device;
use experiment::{Component, Encoder, Experiment, FeedShape, InputShape, Shapes, TaskShape};

use crate::activation::Activation;
use crate::architecture::{Architecture, Parts};
use crate::initial::Init;
use crate::known;
use crate::layer::{Dense, Dropout, Embedding, Hidden, Stack};
use crate::scope::{Declared, Scope};
use crate::trunk::TrunkKind;
use crate::value::RowShape;
use crate::{Layout, ModelError};

/// The most parameters of a network: 8 GiB. A coordinator holds several vectors of that length.
pub const PARAMETERS_MAX: usize = 1 << 31;

/// The whole network.
#[derive(Debug)]
pub(crate) struct Structure {
    pub(crate) layout: Layout,
    /// The initial values, by block of the layout.
    pub(crate) initial: Vec<Init>,
    /// By feed, the layers between its rows and the architecture.
    pub(crate) encoders: Vec<Stack>,
    pub(crate) architecture: Box<dyn Architecture>,
    /// By task, its own layers, which end in its outputs.
    pub(crate) heads: Vec<Stack>,
}

impl Structure {
    pub(crate) fn new(experiment: &Experiment, shapes: &Shapes, device: &Device) -> Result<Self, ModelError> {
        let mut declared = Declared::default();
        let model = &experiment.model;
        let (kind, _) = known::architecture(&model.architecture).map_err(known::refused("model.architecture"))?;
        let (trunk, _) = known::trunk(&model.trunk).map_err(known::refused("model.trunk"))?;
        let mut encoders: Vec<Stack> = Vec::with_capacity(shapes.feeds.len());
        for (feed, shape) in shapes.feeds.iter().enumerate() {
            let tasks = tasks_of(shapes, |of| of == feed);
            let mut scope = declared.scope(tasks);
            let mut scope = scope.at("encoder");
            let encoder = encoder(experiment, shapes, feed, &*trunk, &mut scope.at(&shape.name))?;
            if let Some(first) = encoders.first()
                && first.output() != encoder.output()
            {
                return Err(ModelError::UnequalShapes {
                    feed: shape.name.clone(),
                    shape: encoder.output().to_string(),
                    other: shapes.feeds[0].name.clone(),
                    other_shape: first.output().to_string(),
                });
            }
            encoders.push(encoder);
        }
        let entry = encoders.first().map(Stack::output);
        let entry = entry.ok_or_else(|| ModelError::Shapes("there is no feed".to_owned()))?;

        let mut scope = declared.scope(tasks_of(shapes, |_| true));
        let parts = Parts { entry, tasks: &shapes.tasks, trunk: &*trunk, device };
        let architecture = kind.build(&parts, &mut scope)?;
        let mut heads = Vec::with_capacity(shapes.tasks.len());
        for (task, shape) in shapes.tasks.iter().enumerate() {
            if shape.feed >= shapes.feeds.len() || shape.outputs == 0 {
                return Err(ModelError::Shapes(format!("task `{}` has no feed or no output", shape.name)));
            }
            let mut scope = scope.at("head");
            let mut scope = scope.reached_by([task]);
            heads.push(head(shape, architecture.output(task), &*trunk, &mut scope.at(&shape.name))?);
        }
        let Declared { layout, initial, .. } = declared;
        if layout.len() > PARAMETERS_MAX {
            let largest = layout.blocks().iter().max_by_key(|block| block.len());
            let largest = largest.map(|block| block.name.clone()).unwrap_or_default();
            return Err(ModelError::TooLarge { parameters: layout.len(), largest });
        }
        Ok(Self { layout, initial, encoders, architecture, heads })
    }

    /// Multiply-adds of one row's forward pass through the feed's encoder, the architecture and the
    /// heads of `tasks`.
    pub(crate) fn multiply_adds(&self, feed: usize, tasks: &[usize]) -> u64 {
        self.encoders[feed].multiply_adds()
            + self.architecture.multiply_adds(tasks)
            + tasks.iter().map(|&task| self.heads[task].multiply_adds()).sum::<u64>()
    }
}

/// The shape of a feed's row before its encoder.
fn input(feed: &FeedShape) -> RowShape {
    match feed.input {
        InputShape::Image { channels, height, width } => RowShape::Image { channels, height, width },
        InputShape::Table if feed.embeddings.is_empty() => RowShape::Vector { width: feed.width },
        InputShape::Table => RowShape::Table { dense: feed.width, ids: feed.embeddings.len() },
    }
}

fn encoder(
    experiment: &Experiment,
    shapes: &Shapes,
    feed: usize,
    trunk: &dyn TrunkKind,
    scope: &mut Scope<'_>,
) -> Result<Stack, ModelError> {
    let shape = &shapes.feeds[feed];
    let mut stack = Stack::new(input(shape));
    if !shape.embeddings.is_empty() {
        stack.push(Embedding::new(shape.width, &shape.embeddings, scope));
    }
    if stack.output().width() == 0 {
        return Err(ModelError::Shapes(format!("feed `{}` has no feature", shape.name)));
    }
    let default = Component::default();
    let given = match experiment.encoder(&shape.dataset) {
        Encoder::None => return Ok(stack),
        Encoder::ByFeeds if shapes.are_alike() => return Ok(stack),
        Encoder::ByFeeds => &default,
        Encoder::Layers(given) => given,
    };
    if let (Some(encoder), _) = known::encoder(given, trunk).map_err(known::refused(scope.path()))? {
        stack.append(encoder.build(stack.output(), scope)?);
    }
    Ok(stack)
}

/// The layers of one task: dropout, hidden layers and one linear layer to its outputs.
///
/// # Errors
/// [`ModelError::Setting`] if the head's activation can't be read.
fn head(task: &TaskShape, input: RowShape, trunk: &dyn TrunkKind, scope: &mut Scope<'_>) -> Result<Stack, ModelError> {
    let head = &task.head;
    let mut stack = Stack::new(input);
    stack.flatten();
    let id = scope.layer();
    if head.dropout > 0.0 {
        stack.push(Dropout::new(id, head.dropout, stack.output()));
    }
    let activation = match &head.activation {
        Some(given) => Activation::of(given).map_err(known::refused(scope.path()))?.0,
        None => trunk.activation(),
    };
    let style = Hidden { activation, dropout: head.dropout, layer_norm: head.layer_norm };
    for (number, &width) in head.hidden.iter().enumerate() {
        style.push(width, &mut stack, &mut scope.at(number));
    }
    let inputs = stack.output().width();
    stack.push(Dense::new(inputs, task.outputs, &mut scope.at(head.hidden.len())));
    Ok(stack)
}

fn tasks_of(shapes: &Shapes, wanted: impl Fn(usize) -> bool) -> BTreeSet<usize> {
    (0..shapes.tasks.len()).filter(|&task| wanted(shapes.tasks[task].feed)).collect()
}
