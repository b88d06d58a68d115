//! The structure of the network, built once from the experiment and the shapes of its data.
//!
//! A row of a feed goes through the feed's encoder (its embeddings are looked up and put after its
//! dense columns first), the trunk, and the heads of the tasks on that feed. Every stage is a list
//! of [`Dense`] layers that name their places in the flat parameter vector; nothing here holds a
//! parameter or computes.

use std::collections::BTreeSet;
use std::ops::Range;

use experiment::{Activation, Encoder as EncoderConfig, Experiment, Shapes, TrunkKind};

use crate::{Layout, ModelError};

/// `dropout(activation(norm(x W^T + b)))`, each part but the product optional.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dense {
    /// Number of the layer in the network, which names its random numbers.
    pub(crate) index: u32,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) weight: Range<usize>,
    pub(crate) bias: Range<usize>,
    pub(crate) norm: Option<Norm>,
    pub(crate) activation: Option<Activation>,
    pub(crate) dropout: f32,
}

/// Layer normalisation over a row, with a scale and a shift by column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Norm {
    pub(crate) scale: Range<usize>,
    pub(crate) shift: Range<usize>,
}

/// A table of vectors, one for each value of a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Embedding {
    pub(crate) rows: usize,
    pub(crate) width: usize,
    pub(crate) weight: Range<usize>,
}

/// What brings one feed's rows to the trunk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Encoder {
    /// Dense columns of the feed.
    pub(crate) dense: usize,
    pub(crate) embeddings: Vec<Embedding>,
    pub(crate) layers: Vec<Dense>,
}

impl Encoder {
    /// Dense columns and embeddings together: the input of the first layer.
    pub(crate) fn inputs(&self) -> usize {
        self.dense + self.embeddings.iter().map(|embedding| embedding.width).sum::<usize>()
    }
}

/// The layers of one task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Head {
    pub(crate) feed: usize,
    /// Number that names the random numbers of the dropout at the head's input.
    pub(crate) index: u32,
    /// Share of the head's input that is dropped in training.
    pub(crate) dropout: f32,
    pub(crate) layers: Vec<Dense>,
}

/// The whole network.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Architecture {
    pub(crate) layout: Layout,
    /// By feed.
    pub(crate) encoders: Vec<Encoder>,
    pub(crate) trunk: Vec<Dense>,
    /// Width of the trunk's input.
    pub(crate) trunk_inputs: usize,
    /// By task.
    pub(crate) heads: Vec<Head>,
}

impl Architecture {
    pub(crate) fn new(experiment: &Experiment, shapes: &Shapes) -> Result<Self, ModelError> {
        let model = &experiment.model;
        let TrunkKind::Mlp = model.trunk.kind;
        let mut builder = Builder::default();
        let all = tasks_of(shapes, |_| true);

        let mut encoders = Vec::with_capacity(shapes.feeds.len());
        let mut entry: Option<(usize, &str)> = None;
        for feed in 0..shapes.feeds.len() {
            let (encoder, width) = builder.encoder(experiment, shapes, feed)?;
            let name = &shapes.feeds[feed].name;
            match entry {
                Some((other_width, other)) if other_width != width => {
                    return Err(ModelError::UnequalWidths {
                        feed: name.clone(),
                        width,
                        other: other.to_owned(),
                        other_width,
                    });
                }
                _ => entry = Some((width, name)),
            }
            encoders.push(encoder);
        }
        let (trunk_inputs, _) = entry.ok_or_else(|| ModelError::Shapes("there is no feed".to_owned()))?;

        let trunk_style = Style {
            activation: model.trunk.activation,
            dropout: model.trunk.dropout,
            layer_norm: model.trunk.layer_norm,
        };
        let trunk = builder.stack("trunk", trunk_inputs, &model.trunk.hidden, trunk_style, &all);
        let trunk_outputs = trunk.last().map_or(trunk_inputs, |layer| layer.outputs);

        let mut heads = Vec::with_capacity(shapes.tasks.len());
        for (task, shape) in shapes.tasks.iter().enumerate() {
            if shape.feed >= shapes.feeds.len() || shape.outputs == 0 {
                return Err(ModelError::Shapes(format!("task `{}` has no feed or no output", shape.name)));
            }
            let style = Style {
                activation: shape.head.activation.unwrap_or(model.trunk.activation),
                dropout: shape.head.dropout,
                layer_norm: shape.head.layer_norm,
            };
            let name = format!("head.{}", shape.name);
            let own = BTreeSet::from([task]);
            let index = builder.next_index();
            let mut layers = builder.stack(&name, trunk_outputs, &shape.head.hidden, style, &own);
            let inputs = layers.last().map_or(trunk_outputs, |layer| layer.outputs);
            layers.push(builder.dense(&format!("{name}.{}", layers.len()), inputs, shape.outputs, None, &own));
            heads.push(Head { feed: shape.feed, index, dropout: shape.head.dropout, layers });
        }
        Ok(Self { layout: builder.layout, encoders, trunk, trunk_inputs, heads })
    }

    /// Width of the trunk's output, which is every head's input.
    pub(crate) fn trunk_outputs(&self) -> usize {
        self.trunk.last().map_or(self.trunk_inputs, |layer| layer.outputs)
    }

    /// Every dense layer, in the layout's order.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &Dense> {
        let encoders = self.encoders.iter().flat_map(|encoder| &encoder.layers);
        encoders.chain(&self.trunk).chain(self.heads.iter().flat_map(|head| &head.layers))
    }

    /// Multiply-adds of one row's forward pass through the feed's encoder, the trunk and the heads
    /// of `tasks`.
    pub(crate) fn multiply_adds(&self, feed: usize, tasks: &[usize]) -> u64 {
        let size = |layers: &[Dense]| layers.iter().map(|layer| (layer.inputs * layer.outputs) as u64).sum::<u64>();
        size(&self.encoders[feed].layers)
            + size(&self.trunk)
            + tasks.iter().map(|&task| size(&self.heads[task].layers)).sum::<u64>()
    }
}

/// What the hidden layers of one stage have in common.
#[derive(Debug, Clone, Copy)]
struct Style {
    activation: Activation,
    dropout: f32,
    layer_norm: bool,
}

#[derive(Debug, Default)]
struct Builder {
    layout: Layout,
    layers: u32,
}

impl Builder {
    fn next_index(&mut self) -> u32 {
        self.layers += 1;
        self.layers - 1
    }

    /// The encoder of a feed and the width at which it reaches the trunk.
    fn encoder(
        &mut self,
        experiment: &Experiment,
        shapes: &Shapes,
        feed: usize,
    ) -> Result<(Encoder, usize), ModelError> {
        let shape = &shapes.feeds[feed];
        let tasks = tasks_of(shapes, |of| of == feed);
        let name = format!("encoder.{}", shape.name);
        let embeddings = shape
            .embeddings
            .iter()
            .map(|embedding| Embedding {
                rows: embedding.rows,
                width: embedding.width,
                weight: self.layout.push(
                    format!("{name}.embedding.{}.weight", embedding.column),
                    vec![embedding.rows, embedding.width],
                    tasks.clone(),
                ),
            })
            .collect();
        let mut encoder = Encoder { dense: shape.width, embeddings, layers: Vec::new() };
        let inputs = encoder.inputs();
        if inputs == 0 {
            return Err(ModelError::Shapes(format!("feed `{}` has no feature", shape.name)));
        }
        let trunk = &experiment.model.trunk;
        let EncoderConfig::Mlp { hidden, width, activation, dropout, layer_norm } =
            encoder_config(experiment, shapes, feed)
        else {
            return Ok((encoder, inputs));
        };
        let width = width
            .or_else(|| trunk.hidden.first().copied())
            .ok_or_else(|| ModelError::NoEncoderWidth { feed: shape.name.clone() })?;
        let style = Style { activation: activation.unwrap_or(trunk.activation), dropout, layer_norm };
        let widths: Vec<usize> = hidden.iter().copied().chain([width]).collect();
        encoder.layers = self.stack(&name, inputs, &widths, style, &tasks);
        Ok((encoder, width))
    }

    /// Hidden layers `NAME.0`, `NAME.1`, ...
    fn stack(
        &mut self,
        name: &str,
        inputs: usize,
        hidden: &[usize],
        style: Style,
        tasks: &BTreeSet<usize>,
    ) -> Vec<Dense> {
        let mut inputs = inputs;
        let mut layers = Vec::with_capacity(hidden.len() + 1);
        for (i, &outputs) in hidden.iter().enumerate() {
            layers.push(self.dense(&format!("{name}.{i}"), inputs, outputs, Some(style), tasks));
            inputs = outputs;
        }
        layers
    }

    /// One layer; without a style it is linear.
    fn dense(
        &mut self,
        name: &str,
        inputs: usize,
        outputs: usize,
        style: Option<Style>,
        tasks: &BTreeSet<usize>,
    ) -> Dense {
        let mut push = |part: &str, shape: Vec<usize>| self.layout.push(format!("{name}.{part}"), shape, tasks.clone());
        let weight = push("weight", vec![outputs, inputs]);
        let bias = push("bias", vec![outputs]);
        let norm = style
            .is_some_and(|style| style.layer_norm)
            .then(|| Norm { scale: push("norm.weight", vec![outputs]), shift: push("norm.bias", vec![outputs]) });
        Dense {
            index: self.next_index(),
            inputs,
            outputs,
            weight,
            bias,
            norm,
            activation: style.map(|style| style.activation),
            dropout: style.map_or(0.0, |style| style.dropout),
        }
    }
}

/// The encoder that the experiment gives a feed, with the default that depends on all feeds'
/// shapes.
fn encoder_config(experiment: &Experiment, shapes: &Shapes, feed: usize) -> EncoderConfig {
    let own = experiment.datasets.get(&shapes.feeds[feed].dataset).and_then(|dataset| dataset.encoder.as_ref());
    if let Some(encoder) = own.or(experiment.model.encoder.as_ref()) {
        return encoder.clone();
    }
    let plain = |shape: &experiment::FeedShape| shape.embeddings.is_empty() && shape.width == shapes.feeds[0].width;
    if shapes.feeds.iter().all(plain) { EncoderConfig::None } else { EncoderConfig::linear() }
}

fn tasks_of(shapes: &Shapes, wanted: impl Fn(usize) -> bool) -> BTreeSet<usize> {
    (0..shapes.tasks.len()).filter(|&task| wanted(shapes.tasks[task].feed)).collect()
}
