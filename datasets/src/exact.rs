//! Floating-point numbers that survive JSON to the last bit.
//!
//! A JSON number may lose its last bit on the way through a parser; a plan must not, as every worker's features follow from
//! it. So they travel as text: the shortest decimal that reads back to the same number.

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
