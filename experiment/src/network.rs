//! `[model]` and the layers of datasets and tasks: architecture, trunk, encoders, heads.

use serde::{Deserialize, Serialize};
use settings::Component;

/// What all tasks share. The crate that builds the model knows the kinds of its parts: see
/// [`ModelParts`](crate::ModelParts).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// How tasks share layers.
    #[serde(skip_serializing_if = "Component::is_default")]
    pub architecture: Component,
    /// The layers that tasks share.
    #[serde(skip_serializing_if = "Component::is_default")]
    pub trunk: Component,
    /// The encoder of datasets that have none of their own. Default: no encoder if every feed has
    /// the same shape and no embeddings, otherwise one fully connected layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<Component>,
}

/// The encoder of a dataset, as the file says it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Encoder<'a> {
    /// The file says nothing: no layers if [`Shapes::are_alike`](crate::Shapes::are_alike), else
    /// the default ones.
    ByFeeds,
    /// No layers.
    None,
    /// Layers of a kind, with parameters.
    Layers(&'a Component),
}

impl Encoder<'_> {
    /// The encoder that leaves the features as they are.
    pub const NONE: &'static str = "none";
}

/// The layers of one task: hidden layers, then one linear layer to the task's outputs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Head {
    /// Width of each layer before the output layer.
    pub hidden: Vec<usize>,
    /// The share of the head's input, and of each hidden layer's outputs, that is dropped in
    /// training, in `[0, 1)`.
    pub dropout: f32,
    /// The function after each hidden layer; default: the trunk's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<Component>,
    /// Normalise each hidden layer's outputs before the activation.
    pub layer_norm: bool,
}
