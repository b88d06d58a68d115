//! `class_weights`: what the losses of a class's rows are multiplied by.

use std::collections::BTreeMap;

use settings::{Invalid, Range, Value};

use super::Classes;

/// Weights of the classes of a multiclass task.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ClassWeights {
    /// Rows / (classes * rows of the class), over the labelled training rows.
    Balanced,
    /// In the order of the classes.
    List(Vec<f64>),
    /// By the class's label; a class that is not named has weight 1.
    ByClass(BTreeMap<String, f64>),
}

const BALANCED: &str = "balanced";

/// The most classes that a message names.
const SHOWN_MAX: usize = 8;

impl ClassWeights {
    /// The values that can be read, in words.
    pub(super) const ALLOWED: &str = "\"balanced\", a list of numbers, or a table of numbers by class";

    /// Reads the value of `key`.
    pub(super) fn read(key: &str, value: &Value) -> Result<Self, Invalid> {
        let weight = |place: String, value: &Value| {
            let weight = value.number().filter(|weight| Range::NotNegative.contains(*weight));
            weight.ok_or_else(|| Invalid::value(key, value, Range::NotNegative).at(place))
        };
        let weights = match value {
            Value::Text(text) if text == BALANCED => ClassWeights::Balanced,
            Value::Text(text) => return Err(Invalid::name(key, text, &[BALANCED])),
            Value::List(list) => {
                let weights = list.iter().enumerate().map(|(at, value)| weight(format!("[{at}]"), value));
                let weights: Vec<f64> = weights.collect::<Result<_, _>>()?;
                if !weights.is_empty() && weights.iter().all(|weight| *weight == 0.0) {
                    let message = "all weights are 0, so there is nothing to learn; raise one of them".to_owned();
                    return Err(Invalid::new(key, message));
                }
                ClassWeights::List(weights)
            }
            Value::Table(table) => {
                let weights = table.iter().map(|(class, value)| Ok((class.clone(), weight(class.clone(), value)?)));
                ClassWeights::ByClass(weights.collect::<Result<_, Invalid>>()?)
            }
            _ => return Err(Invalid::value(key, value, Self::ALLOWED)),
        };
        match &weights {
            ClassWeights::List(list) if list.is_empty() => Err(no_weight(key)),
            ClassWeights::ByClass(table) if table.is_empty() => Err(no_weight(key)),
            _ => Ok(weights),
        }
    }

    /// The value that reads back to these weights.
    pub(super) fn to_value(&self) -> Value {
        match self {
            ClassWeights::Balanced => Value::Text(BALANCED.to_owned()),
            ClassWeights::List(weights) => Value::List(weights.iter().map(|weight| Value::Number(*weight)).collect()),
            ClassWeights::ByClass(weights) => {
                let weights = weights.iter().map(|(class, weight)| (class.clone(), Value::Number(*weight)));
                Value::Table(weights.collect())
            }
        }
    }

    /// The weights in the order of the classes. Under `balanced`, a class without training rows has
    /// weight 0.
    pub(super) fn fitted(&self, key: &str, classes: &Classes<'_>) -> Result<Self, Invalid> {
        let names = classes.names;
        let refuse = |message: String| Err(Invalid::new(key, message).knowing(names.to_vec()));
        let more = if names.len() > SHOWN_MAX { ", ..." } else { "" };
        let known = || format!("`{}`{more}", names[..names.len().min(SHOWN_MAX)].join("`, `"));
        let weights = match self {
            ClassWeights::Balanced => {
                let rows = classes.rows.iter().sum::<u64>() as f64;
                let weight = |n: &u64| if *n == 0 { 0.0 } else { rows / (names.len() as f64 * *n as f64) };
                classes.rows.iter().map(weight).collect()
            }
            ClassWeights::List(list) if list.len() == names.len() => list.clone(),
            ClassWeights::List(list) => {
                return refuse(format!("{} class weights for {} classes: {}", list.len(), names.len(), known()));
            }
            ClassWeights::ByClass(weights) => {
                if let Some(unknown) = weights.keys().find(|name| !names.contains(name)) {
                    return refuse(format!("no class `{unknown}`; the classes are {}", known()));
                }
                names.iter().map(|name| weights.get(name).copied().unwrap_or(1.0)).collect()
            }
        };
        Ok(ClassWeights::List(weights))
    }

    /// The weight of a class; 1 before [`ClassWeights::fitted`] has put the weights in order.
    pub(super) fn of_class(&self, class: usize) -> f32 {
        match self {
            ClassWeights::List(weights) => weights.get(class).map_or(1.0, |weight| *weight as f32),
            _ => 1.0,
        }
    }
}

fn no_weight(key: &str) -> Invalid {
    let message = "there is no weight; give one for each class, or leave the key out".to_owned();
    Invalid::new(key, message)
}
