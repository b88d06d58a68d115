//! A floating-point number as the journal and MLflow write it.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An `f64` whose JSON form loses nothing: finite numbers are numbers, the others the strings `"NaN"`, `"Infinity"`, `"-Infinity"`.
#[derive(Clone, Copy, Debug)]
pub struct Number(pub f64);

impl Number {
    /// Whether two numbers are the same result: the same bits, or both not a number.
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
            // Digits in quotes: what `quote_metrics` made of a number, so that std parses it to the nearest double.
            _ => text.parse().map(Number).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }
}

/// Puts the numbers of every `"metrics": {..}` object of a journal line into quotes.
///
/// `serde_json` parses floating-point numbers to within a unit in the last place only (its exact parser is a cargo feature that
/// would be turned on for every crate of the build). As text they come through whole, and [`Number`] parses them exactly.
pub(super) fn quote_metrics(line: &str) -> String {
    const KEY: &str = "\"metrics\":{";
    let mut quoted = String::with_capacity(line.len() + 32);
    let mut rest = line;
    // A quote inside a JSON string is escaped, so the key with its bare quotes is never part of a string's text.
    while let Some(at) = rest.find(KEY) {
        let (before, inside) = rest.split_at(at + KEY.len());
        quoted.push_str(before);
        rest = quote_numbers(inside, &mut quoted);
    }
    quoted.push_str(rest);
    quoted
}

/// Copies the members of a flat object up to its closing brace, with numbers in quotes; returns what follows.
fn quote_numbers<'a>(object: &'a str, into: &mut String) -> &'a str {
    let (mut in_string, mut escaped, mut in_number) = (false, false, false);
    for (i, c) in object.char_indices() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            into.push(c);
            continue;
        }
        let numeric =
            matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E') && (in_number || c == '-' || c.is_ascii_digit());
        if numeric != in_number {
            into.push('"');
            in_number = numeric;
        }
        if c == '}' {
            return &object[i..];
        }
        in_string = c == '"';
        into.push(c);
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_metrics_are_quoted_and_nothing_else_is() {
        let line =
            r#"{"step":12,"task":"a\"metrics\":{1}","metrics":{"loss-1":0.1,"e":-2.5e-7,"n":"NaN","q\"3":4},"x":5}"#;
        let quoted = r#"{"step":12,"task":"a\"metrics\":{1}","metrics":{"loss-1":"0.1","e":"-2.5e-7","n":"NaN","q\"3":"4"},"x":5}"#;
        assert_eq!(quote_metrics(line), quoted);
        assert_eq!(quote_metrics(r#"{"metrics":{}}"#), r#"{"metrics":{}}"#);
    }

    #[test]
    fn every_double_comes_back_with_its_bits() {
        for bits in (0..20_000u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
            let number = Number(f64::from_bits(bits));
            let line = format!("{{\"metrics\":{{\"a\":{}}}}}", serde_json::to_string(&number).expect("serialises"));
            let back: serde_json::Value = serde_json::from_str(&quote_metrics(&line)).expect("parses");
            let back: Number = serde_json::from_value(back["metrics"]["a"].clone()).expect("is a number");
            assert!(back.same(number), "{line}: {back}");
        }
    }
}
