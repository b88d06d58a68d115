//! `positive_weight`: what the loss of an output is multiplied by if its label is 1.

use settings::{Invalid, Range, Value};

use super::Classes;

/// Weights of label 1 by output, of a binary or multilabel task.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PositiveWeight {
    /// Training rows with label 0 / training rows with label 1, by output. An output whose training
    /// rows have one label alone has weight 1.
    Balanced,
    /// One weight for all outputs.
    One(f64),
    /// In the order of the outputs.
    List(Vec<f64>),
}

const BALANCED: &str = "balanced";

impl PositiveWeight {
    /// The values that can be read, in words.
    pub(super) const ALLOWED: &str = "a number above 0, a list of such numbers, or \"balanced\"";

    /// Reads the value of `key`.
    pub(super) fn read(key: &str, value: &Value) -> Result<Self, Invalid> {
        let weight = |value: &Value| value.number().filter(|weight| Range::Positive.contains(*weight));
        match value {
            Value::Text(text) if text == BALANCED => Ok(PositiveWeight::Balanced),
            Value::Text(text) => Err(Invalid::name(key, text, &[BALANCED])),
            Value::List(list) if list.is_empty() => {
                Err(Invalid::new(key, "there is no weight; give one for each output, or leave the key out"))
            }
            Value::List(list) => {
                let read = |(at, value): (usize, &Value)| {
                    let refused = || Invalid::value(key, value, Range::Positive).at(format!("[{at}]"));
                    weight(value).ok_or_else(refused)
                };
                list.iter().enumerate().map(read).collect::<Result<_, _>>().map(PositiveWeight::List)
            }
            other => weight(other).map(PositiveWeight::One).ok_or_else(|| Invalid::value(key, other, Self::ALLOWED)),
        }
    }

    /// The value that reads back to these weights.
    pub(super) fn to_value(&self) -> Value {
        match self {
            PositiveWeight::Balanced => Value::Text(BALANCED.to_owned()),
            PositiveWeight::One(weight) => Value::Number(*weight),
            PositiveWeight::List(weights) => Value::List(weights.iter().copied().map(Value::Number).collect()),
        }
    }

    /// The weights with balanced ones computed. One weight for all outputs stays one number.
    ///
    /// # Errors
    /// [`Invalid`] if a list does not have one weight for each output.
    pub(super) fn fitted(&self, key: &str, classes: &Classes<'_>) -> Result<Self, Invalid> {
        let outputs = classes.names.len();
        match self {
            PositiveWeight::Balanced => {
                let weight = |ones: &u64| match classes.labelled.saturating_sub(*ones) {
                    zeros if zeros > 0 && *ones > 0 => zeros as f64 / *ones as f64,
                    _ => 1.0,
                };
                Ok(PositiveWeight::List(classes.rows.iter().map(weight).collect()))
            }
            PositiveWeight::List(list) if list.len() != outputs => {
                let message =
                    format!("{} positive weights for {outputs} outputs; give one for each output", list.len());
                Err(Invalid::new(key, message))
            }
            fitted => Ok(fitted.clone()),
        }
    }

    /// The weight of an output; 1 before [`PositiveWeight::fitted`] has computed balanced ones.
    pub(super) fn of_output(&self, output: usize) -> f32 {
        match self {
            PositiveWeight::Balanced => 1.0,
            PositiveWeight::One(weight) => *weight as f32,
            PositiveWeight::List(weights) => weights.get(output).map_or(1.0, |weight| *weight as f32),
        }
    }
}
