//! The layers that the hand-written engine computes: each dense layer together with what follows
//! it.

use std::ops::Range;

use crate::activation::Activation;
use crate::layer::{HostLayer, Stack};
use crate::scope::LayerId;
use crate::structure::Structure;

/// `dropout(activation(norm(x W^T + b)))`, each part but the product optional.
#[derive(Debug)]
pub(super) struct FusedDense {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) weight: Range<usize>,
    pub(super) bias: Range<usize>,
    pub(super) norm: Option<HostNorm>,
    pub(super) activation: Option<Activation>,
    pub(super) dropout: Option<HostDropout>,
}

/// Layer normalisation over a row, with a scale and a shift by column.
#[derive(Debug)]
pub(super) struct HostNorm {
    pub(super) scale: Range<usize>,
    pub(super) shift: Range<usize>,
}

/// Dropout of a share `rate`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct HostDropout {
    pub(super) layer: LayerId,
    pub(super) rate: f32,
}

/// A table of vectors, one for each value of a column.
#[derive(Debug)]
pub(super) struct HostEmbedding {
    pub(super) width: usize,
    pub(super) weight: Range<usize>,
}

/// The layers between one feed's rows and the trunk.
#[derive(Debug)]
pub(super) struct HostEncoder {
    /// Dense columns of the feed.
    pub(super) dense: usize,
    pub(super) embeddings: Vec<HostEmbedding>,
    pub(super) layers: Vec<FusedDense>,
}

impl HostEncoder {
    /// Dense columns and embeddings together: the input of the first layer.
    pub(super) fn inputs(&self) -> usize {
        self.dense + self.embeddings.iter().map(|embedding| embedding.width).sum::<usize>()
    }
}

/// The layers of one task; at least one.
#[derive(Debug)]
pub(super) struct HostHead {
    /// Dropout of the head's input.
    pub(super) dropout: Option<HostDropout>,
    pub(super) layers: Vec<FusedDense>,
}

/// The whole network.
#[derive(Debug)]
pub(super) struct HostPlan {
    /// The encoders, by feed.
    pub(super) encoders: Vec<HostEncoder>,
    pub(super) trunk: Vec<FusedDense>,
    /// Width of the trunk's input.
    pub(super) trunk_inputs: usize,
    /// Width of the trunk's output, which is every head's input.
    pub(super) trunk_outputs: usize,
    /// The heads, by task.
    pub(super) heads: Vec<HostHead>,
}

impl HostPlan {
    /// The plan of a structure. `None` if the hand-written engine does not know one of its layers,
    /// or if tasks do not share one trunk.
    pub(super) fn of(structure: &Structure) -> Option<Self> {
        let trunk = structure.architecture.shared()?;
        Some(Self {
            encoders: structure.encoders.iter().map(encoder).collect::<Option<_>>()?,
            trunk: fused(&trunk.host()?)?,
            trunk_inputs: trunk.input().width(),
            trunk_outputs: trunk.output().width(),
            heads: structure.heads.iter().map(head).collect::<Option<_>>()?,
        })
    }
}

fn encoder(stack: &Stack) -> Option<HostEncoder> {
    let layers = stack.host()?;
    let (embeddings, rest) = match layers.split_first() {
        Some((HostLayer::Embedding { tables, .. }, rest)) => {
            let embedding = |(_, width, weight): &(usize, usize, Range<usize>)| HostEmbedding {
                width: *width,
                weight: weight.clone(),
            };
            (tables.iter().map(embedding).collect(), rest)
        }
        _ => (Vec::new(), &layers[..]),
    };
    Some(HostEncoder { dense: stack.input().width(), embeddings, layers: fused(rest)? })
}

fn head(stack: &Stack) -> Option<HostHead> {
    let layers = stack.host()?;
    let first = layers.iter().position(|layer| !matches!(layer, HostLayer::Flatten))?;
    let (dropout, rest) = match layers[first] {
        HostLayer::Dropout { layer, rate } => (Some(HostDropout { layer, rate }), &layers[first + 1..]),
        _ => (None, &layers[first..]),
    };
    let layers = fused(rest)?;
    (!layers.is_empty()).then_some(HostHead { dropout, layers })
}

/// Dense layers with what follows each of them. `None` if a layer is at a place where it can't be
/// computed.
fn fused(layers: &[HostLayer]) -> Option<Vec<FusedDense>> {
    let mut dense: Vec<FusedDense> = Vec::new();
    for layer in layers {
        match layer {
            HostLayer::Flatten => {}
            HostLayer::Dense { inputs, outputs, weight, bias } => dense.push(FusedDense {
                inputs: *inputs,
                outputs: *outputs,
                weight: weight.clone(),
                bias: bias.clone(),
                norm: None,
                activation: None,
                dropout: None,
            }),
            HostLayer::LayerNorm { scale, shift } => {
                let last = dense.last_mut().filter(|last| last.norm.is_none() && last.activation.is_none())?;
                last.norm = Some(HostNorm { scale: scale.clone(), shift: shift.clone() });
            }
            HostLayer::Activation(function) => {
                dense.last_mut().filter(|last| last.activation.is_none())?.activation = Some(function.clone());
            }
            HostLayer::Dropout { layer, rate } => {
                let last = dense.last_mut().filter(|last| last.activation.is_some() && last.dropout.is_none())?;
                last.dropout = Some(HostDropout { layer: *layer, rate: *rate });
            }
            HostLayer::Embedding { .. } => return None,
        }
    }
    Some(dense)
}
