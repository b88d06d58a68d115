//! What a task minimises.

use std::fmt;

use indexmap::IndexMap;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::task::Kind;

/// A task's loss: a name, or a table with `kind` and the loss's parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum Loss {
    /// Cross-entropy: over the classes (multiclass), or of each output's logit (binary,
    /// multilabel).
    CrossEntropy {
        /// Share of the target's mass that is spread over all classes, in `[0, 1)`; multiclass
        /// only.
        label_smoothing: f64,
        /// What a row's loss is multiplied by; multiclass only.
        class_weights: Option<ClassWeights>,
    },
    /// Squared error.
    Mse,
    /// Squared error near zero, absolute error beyond `delta`, on the scaled target, as PyTorch's
    /// `HuberLoss`.
    Huber {
        /// Where it turns linear.
        delta: f64,
    },
    /// Absolute error.
    Mae,
}

/// Weights of the classes of a multiclass task.
#[derive(Debug, Clone, PartialEq)]
pub enum ClassWeights {
    /// Rows / (classes * rows of the class), over the labelled training rows.
    Balanced,
    /// In the order of the classes.
    List(Vec<f64>),
    /// By the class's label; a class that is not named has weight 1.
    ByClass(IndexMap<String, f64>),
}

const CROSS_ENTROPY: &str = "cross_entropy";
const MSE: &str = "mse";
const HUBER: &str = "huber";
const MAE: &str = "mae";

impl Loss {
    /// The names of all losses.
    pub const NAMES: &'static [&'static str] = &[CROSS_ENTROPY, MSE, HUBER, MAE];

    /// Cross-entropy without smoothing or weights.
    pub const fn cross_entropy() -> Self {
        Loss::CrossEntropy { label_smoothing: 0.0, class_weights: None }
    }

    /// The loss of a task that names none.
    pub fn default_for(kind: Kind) -> Self {
        match kind {
            Kind::Regression => Loss::Mse,
            Kind::Binary | Kind::Multiclass | Kind::Multilabel => Loss::cross_entropy(),
        }
    }

    /// The names of the losses that a kind of task can have, the default first.
    pub fn of_kind(kind: Kind) -> &'static [&'static str] {
        match kind {
            Kind::Regression => &[MSE, HUBER, MAE],
            Kind::Binary | Kind::Multiclass | Kind::Multilabel => &[CROSS_ENTROPY],
        }
    }

    /// The name in the experiment file.
    pub fn name(&self) -> &'static str {
        match self {
            Loss::CrossEntropy { .. } => CROSS_ENTROPY,
            Loss::Mse => MSE,
            Loss::Huber { .. } => HUBER,
            Loss::Mae => MAE,
        }
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            CROSS_ENTROPY => Some(Loss::cross_entropy()),
            MSE => Some(Loss::Mse),
            HUBER => Some(Loss::Huber { delta: 1.0 }),
            MAE => Some(Loss::Mae),
            _ => None,
        }
    }
}

/// A loss as a table. Which keys belong to which loss is checked after reading it, so that each
/// value keeps its place.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LossTable {
    kind: LossKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label_smoothing: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class_weights: Option<ClassWeights>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delta: Option<f64>,
}

#[derive(Default, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LossKind {
    CrossEntropy,
    #[default]
    Mse,
    Huber,
    Mae,
}

impl LossTable {
    fn into_loss<E: Error>(self) -> Result<Loss, E> {
        let (loss, keys): (Loss, &'static [&'static str]) = match self.kind {
            LossKind::CrossEntropy => (
                Loss::CrossEntropy {
                    label_smoothing: self.label_smoothing.unwrap_or(0.0),
                    class_weights: self.class_weights.clone(),
                },
                &["kind", "label_smoothing", "class_weights"],
            ),
            LossKind::Mse => (Loss::Mse, &["kind"]),
            LossKind::Huber => (Loss::Huber { delta: self.delta.unwrap_or(1.0) }, &["kind", "delta"]),
            LossKind::Mae => (Loss::Mae, &["kind"]),
        };
        let given = [
            ("label_smoothing", self.label_smoothing.is_some()),
            ("class_weights", self.class_weights.is_some()),
            ("delta", self.delta.is_some()),
        ];
        match given.iter().find(|(key, given)| *given && !keys.contains(key)) {
            Some((key, _)) => Err(E::unknown_field(key, keys)),
            None => Ok(loss),
        }
    }
}

impl Serialize for Loss {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let table = match self.clone() {
            Loss::CrossEntropy { label_smoothing, class_weights } => {
                if label_smoothing == 0.0 && class_weights.is_none() {
                    return serializer.serialize_str(CROSS_ENTROPY);
                }
                LossTable {
                    kind: LossKind::CrossEntropy,
                    label_smoothing: Some(label_smoothing),
                    class_weights,
                    ..LossTable::default()
                }
            }
            Loss::Huber { delta } => LossTable { kind: LossKind::Huber, delta: Some(delta), ..LossTable::default() },
            Loss::Mse => return serializer.serialize_str(MSE),
            Loss::Mae => return serializer.serialize_str(MAE),
        };
        table.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Loss {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LossVisitor;

        impl<'de> Visitor<'de> for LossVisitor {
            type Value = Loss;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a loss or a table such as { kind = \"huber\", delta = 1.0 }")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Loss, E> {
                Loss::named(name).ok_or_else(|| E::unknown_variant(name, Loss::NAMES))
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Loss, A::Error> {
                LossTable::deserialize(MapAccessDeserializer::new(table))?.into_loss()
            }
        }

        deserializer.deserialize_any(LossVisitor)
    }
}

impl Serialize for ClassWeights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            ClassWeights::Balanced => serializer.serialize_str("balanced"),
            ClassWeights::List(weights) => weights.serialize(serializer),
            ClassWeights::ByClass(weights) => weights.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ClassWeights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WeightsVisitor;

        impl<'de> Visitor<'de> for WeightsVisitor {
            type Value = ClassWeights;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"balanced\", a list of numbers, or a table of numbers by class")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<ClassWeights, E> {
                match name {
                    "balanced" => Ok(ClassWeights::Balanced),
                    _ => Err(E::unknown_variant(name, &["balanced"])),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, weights: A) -> Result<ClassWeights, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(weights)).map(ClassWeights::List)
            }

            fn visit_map<A: MapAccess<'de>>(self, weights: A) -> Result<ClassWeights, A::Error> {
                IndexMap::deserialize(MapAccessDeserializer::new(weights)).map(ClassWeights::ByClass)
            }
        }

        deserializer.deserialize_any(WeightsVisitor)
    }
}
