//! A floating-point number as the journal and MLflow write it.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An `f64` that reads back from JSON with the same bits. A finite number is a JSON number. Others
/// are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`.
#[derive(Clone, Copy, Debug)]
pub struct Number(pub f64);

impl Number {
    /// Whether two numbers are the same result: they have the same bits, or both are NaN.
    pub fn same(self, other: Number) -> bool {
        self.0.to_bits() == other.0.to_bits() || (self.0.is_nan() && other.0.is_nan())
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.same(*other)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Number {
        Number(value)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            v if v.is_nan() => f.write_str("NaN"),
            f64::INFINITY => f.write_str("Infinity"),
            f64::NEG_INFINITY => f.write_str("-Infinity"),
            v => write!(f, "{v:?}"),
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() { serializer.serialize_f64(self.0) } else { serializer.collect_str(self) }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or one of \"NaN\", \"Infinity\", \"-Infinity\"")
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Number, E> {
        Ok(Number(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Number, E> {
        Ok(Number(value as f64))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Number, E> {
        Ok(Number(value as f64))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
        match text {
            "NaN" => Ok(Number(f64::NAN)),
            "Infinity" => Ok(Number(f64::INFINITY)),
            "-Infinity" => Ok(Number(f64::NEG_INFINITY)),
            // `quote_fractions` put the number into quotes, so that std parses it to the nearest
            // double.
            _ => text.parse().map(Number).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }
}

/// Puts quotes around every number with a fraction or an exponent in a journal line.
///
/// `serde_json` parses floating-point numbers to within a unit in the last place only. (Its exact
/// parser is a cargo feature, which would be on for every crate of the build.) As text they are
/// unchanged, and [`Number`] parses them exactly. Whole numbers stay as they are: they parse
/// exactly.
pub(super) fn quote_fractions(line: &str) -> String {
    let mut quoted = String::with_capacity(line.len() + 32);
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        quoted.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = if rest.starts_with('"') { end_of_string(rest) } else { end_of_number(rest) };
        let (token, after) = rest.split_at(end);
        if !token.starts_with('"') && token.contains(['.', 'e', 'E']) {
            quoted.extend(["\"", token, "\""]);
        } else {
            quoted.push_str(token);
        }
        rest = after;
    }
    quoted.push_str(rest);
    quoted
}

/// The length in bytes of the string that `text` begins with, including its quotes.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (i, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return i + 1,
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// The length in bytes of the number that `text` begins with.
fn end_of_number(text: &str) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
    text.bytes().position(|byte| !is_part(&byte)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_a_fraction_or_an_exponent_are_quoted_and_nothing_else_is() {
        let line = r#"{"step":12,"task":"a\"x\":1.5,\\","metrics":{"loss-1.0":0.1,"e":-2.5e-7,"n":"NaN","q\"3":4},"x":[[1e20,-5],[-0.0]]}"#;
        let quoted = r#"{"step":12,"task":"a\"x\":1.5,\\","metrics":{"loss-1.0":"0.1","e":"-2.5e-7","n":"NaN","q\"3":4},"x":[["1e20",-5],["-0.0"]]}"#;
        assert_eq!(quote_fractions(line), quoted);
        assert_eq!(quote_fractions(r#"{"metrics":{}}"#), r#"{"metrics":{}}"#);
        assert_eq!(quote_fractions(r#"{"torn":"half"#), r#"{"torn":"half"#);
    }

    #[test]
    fn every_double_comes_back_with_its_bits() {
        for bits in (0..20_000u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
            let number = Number(f64::from_bits(bits));
            let line = format!("{{\"metrics\":{{\"a\":{}}}}}", serde_json::to_string(&number).expect("serialises"));
            let back: serde_json::Value = serde_json::from_str(&quote_fractions(&line)).expect("parses");
            let back: Number = serde_json::from_value(back["metrics"]["a"].clone()).expect("is a number");
            assert!(back.same(number), "{line}: {back}");
        }
    }
}
