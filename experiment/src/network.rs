//! `[model]` and the layers of datasets and tasks: architecture, trunk, encoders, heads.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What all tasks share.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// How tasks share layers.
    pub architecture: Architecture,
    /// The layers that all tasks share.
    pub trunk: Trunk,
    /// The encoder of datasets that have none of their own. Without one: none where every feed has
    /// the same width and no embeddings, else one linear layer and the trunk's activation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<Encoder>,
}

/// How tasks share layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// One trunk for all tasks and a head for each.
    #[default]
    HardSharing,
}

/// The layers that all tasks share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trunk {
    /// What the layers are.
    pub kind: TrunkKind,
    /// Width of each layer, from the input on.
    pub hidden: Vec<usize>,
    /// After each layer.
    pub activation: Activation,
    /// Share of each layer's outputs that is dropped in training, in `[0, 1)`.
    pub dropout: f32,
    /// Normalise each layer's outputs before the activation.
    pub layer_norm: bool,
}

impl Default for Trunk {
    fn default() -> Self {
        Self {
            kind: TrunkKind::Mlp,
            hidden: vec![128, 64],
            activation: Activation::Relu,
            dropout: 0.0,
            layer_norm: false,
        }
    }
}

/// What a trunk's layers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrunkKind {
    /// Fully connected layers.
    #[default]
    Mlp,
}

/// The function after a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// `x * Phi(x)`, Phi the normal distribution.
    Gelu,
    /// The hyperbolic tangent.
    Tanh,
    /// `x * sigmoid(x)`.
    Silu,
}

/// The layers that bring one feed's features to the trunk: `"none"` or a table in the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Encoder {
    /// The features are the trunk's input as they are.
    None,
    /// Fully connected layers of the widths `hidden`, then one to `width`, each with the activation
    /// after it.
    Mlp {
        /// Width of each layer before the last.
        hidden: Vec<usize>,
        /// Width of the last layer, which is the trunk's input; default: the first width of the
        /// trunk.
        width: Option<usize>,
        /// After each layer; default: the trunk's.
        activation: Option<Activation>,
        /// Share of each layer's outputs that is dropped in training, in `[0, 1)`.
        dropout: f32,
        /// Normalise each layer's outputs before the activation.
        layer_norm: bool,
    },
}

impl Encoder {
    /// One linear layer and the trunk's activation, to the trunk's first width.
    pub fn linear() -> Self {
        EncoderTable::default().into()
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename = "encoder", default, deny_unknown_fields)]
struct EncoderTable {
    kind: TrunkKind,
    hidden: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    activation: Option<Activation>,
    dropout: f32,
    layer_norm: bool,
}

impl From<EncoderTable> for Encoder {
    fn from(table: EncoderTable) -> Self {
        let EncoderTable { kind: TrunkKind::Mlp, hidden, width, activation, dropout, layer_norm } = table;
        Encoder::Mlp { hidden, width, activation, dropout, layer_norm }
    }
}

impl Serialize for Encoder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.clone() {
            Encoder::None => serializer.serialize_str("none"),
            Encoder::Mlp { hidden, width, activation, dropout, layer_norm } => {
                EncoderTable { kind: TrunkKind::Mlp, hidden, width, activation, dropout, layer_norm }
                    .serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Encoder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EncoderVisitor;

        impl<'de> Visitor<'de> for EncoderVisitor {
            type Value = Encoder;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"none\" or a table such as { hidden = [64] }")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Encoder, E> {
                match name {
                    "none" => Ok(Encoder::None),
                    "mlp" => Ok(Encoder::linear()),
                    _ => Err(E::unknown_variant(name, &["none", "mlp"])),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Encoder, A::Error> {
                EncoderTable::deserialize(MapAccessDeserializer::new(table)).map(Encoder::from)
            }
        }

        deserializer.deserialize_any(EncoderVisitor)
    }
}

/// The layers of one task: hidden layers, then one linear layer to the task's outputs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Head {
    /// Width of each layer before the output layer.
    pub hidden: Vec<usize>,
    /// Share of the input of the head and of each hidden layer's outputs that is dropped in
    /// training, in `[0, 1)`.
    pub dropout: f32,
    /// After each hidden layer; default: the trunk's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// Normalise each hidden layer's outputs before the activation.
    pub layer_norm: bool,
}
