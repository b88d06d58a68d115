//! Floating-point numbers that survive JSON to the last bit.
//!
//! A JSON number may lose its last bit on the way through a parser, and `serde_json` is one of
//! those (its exact parser is a cargo feature that would hold for every crate of the build); a plan
//! must not, as every worker's features follow from it. So its numbers of double precision travel
//! as text: the shortest decimal that reads back to the same number. Those of single precision have
//! bits to spare.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number that is written as text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Exact(pub f64);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Exact).map_err(|_| D::Error::custom(format!("`{text}` is not a number")))
    }
}

/// `#[serde(with = "exact::list")]` for `Vec<f64>`.
pub(crate) mod list {
    use super::*;

    pub fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|&v| Exact(v)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        Ok(Vec::<Exact>::deserialize(deserializer)?.into_iter().map(|v| v.0).collect())
    }
}

/// `#[serde(with = "exact::one")]` for `f64`.
pub(crate) mod one {
    use super::*;

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        Exact(*value).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Exact::deserialize(deserializer).map(|value| value.0)
    }
}

/// `#[serde(with = "exact::tree")]` for a value with numbers anywhere in it, and with no text that
/// reads as a number.
pub(crate) mod tree {
    use serde::de::DeserializeOwned;
    use serde::ser::Error as _;
    use serde_json::{Number, Value};

    use super::*;

    pub fn serialize<T: Serialize, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tree = serde_json::to_value(value).map_err(S::Error::custom)?;
        each(&mut tree, &|leaf| {
            if let Value::Number(number) = leaf
                && let Some(value) = number.as_f64().filter(|_| number.is_f64())
            {
                *leaf = Value::String(value.to_string());
            }
        });
        tree.serialize(serializer)
    }

    pub fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let mut tree = Value::deserialize(deserializer)?;
        each(&mut tree, &|leaf| {
            if let Value::String(text) = leaf
                && let Some(number) = text.parse().ok().and_then(Number::from_f64)
            {
                *leaf = Value::Number(number);
            }
        });
        T::deserialize(tree).map_err(D::Error::custom)
    }

    /// Calls `change` with every value that has no values in it.
    fn each(tree: &mut Value, change: &impl Fn(&mut Value)) {
        match tree {
            Value::Array(items) => items.iter_mut().for_each(|item| each(item, change)),
            Value::Object(members) => members.values_mut().for_each(|member| each(member, change)),
            leaf => change(leaf),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use experiment::LossRef;
    use settings::{Component, Value};

    #[test]
    fn every_number_reads_back_to_the_same_bits() {
        for bits in
            [0u64, 1, 0x3ff0_0000_0000_0001, 0x7fef_ffff_ffff_ffff, 0x3fb9_9999_9999_999a, 0xc05e_dd2f_1a9f_be77]
        {
            let value = f64::from_bits(bits);
            let text = serde_json::to_string(&Exact(value)).expect("text");
            let back: Exact = serde_json::from_str(&text).expect("number");
            assert_eq!(back.0.to_bits(), bits, "{text}");
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Task {
        #[serde(with = "tree")]
        loss: LossRef,
        #[serde(with = "one")]
        weight: f64,
    }

    #[test]
    fn weights_and_losses_read_back_to_the_same_bits_where_plain_json_loses_some() {
        let mut lost = 0;
        for bits in (1..2_000u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 2) {
            let value = f64::from_bits(bits & 0x3fff_ffff_ffff_ffff);
            let plain = serde_json::to_string(&value).expect("text");
            lost += u32::from(serde_json::from_str::<f64>(&plain).expect("a number") != value);
            let delta = [("delta", Value::Number(value))];
            let weights = Value::List([value, 1.0, 0.1].map(Value::Number).to_vec());
            let smoothing = [("label_smoothing", Value::Number(value)), ("class_weights", weights)];
            let cases: [(&str, &[(&str, Value)]); 3] = [("huber", &delta), ("cross_entropy", &smoothing), ("mae", &[])];
            for (name, parameters) in cases {
                let named = Component::named(name);
                let given = parameters.iter().fold(named, |part, (key, value)| part.with(key, value.clone()));
                let loss = LossRef::try_from(given).expect("it is built in");
                let task = Task { loss, weight: value };
                let text = serde_json::to_string(&task).expect("text");
                assert_eq!(serde_json::from_str::<Task>(&text).expect("a task"), task, "{text}");
            }
        }
        assert!(lost > 0, "the parser is exact by now: numbers need not be text");
    }
}
