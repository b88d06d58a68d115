//! One line of `trunkline aggregate`'s input.
//!
//! Numbers of matrices and losses are read to the nearest double: `serde_json` is off by a unit in
//! the last place where they have many digits, so they are put in quotes for it and parsed by the
//! standard library. What Python writes for numbers that JSON doesn't have (`NaN`, `Infinity`) is
//! read too, so that such a matrix is refused for its value and with its place.

use aggregation::aggregate::Request;
use coordinator::journal::Number;
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;
use settings::Table;

/// Members whose numbers are exact.
const EXACT: [&str; 3] = ["\"matrix\"", "\"losses\"", "\"halves\""];

/// What a line says. Further members are the caller's own.
#[derive(Debug, Default)]
pub struct Line {
    pub id: Value,
    pub method: Option<String>,
    pub params: Table,
    matrix: Vec<Vec<f64>>,
    losses: Option<Vec<f64>>,
    halves: Option<[Vec<Vec<f64>>; 2]>,
    blocks: Vec<(String, usize)>,
    seed: Option<u64>,
}

/// Why a line could not be read, with its id where that much could be.
#[derive(Debug)]
pub struct Refused {
    pub id: Value,
    pub message: String,
}

#[derive(Deserialize)]
struct Members {
    #[serde(default)]
    id: Value,
    method: Option<String>,
    #[serde(default)]
    params: Table,
    matrix: Vec<Vec<Number>>,
    losses: Option<Vec<Number>>,
    halves: Option<[Vec<Vec<Number>>; 2]>,
    #[serde(default)]
    blocks: IndexMap<String, usize>,
    seed: Option<u64>,
}

#[derive(Deserialize)]
struct Id {
    #[serde(default)]
    id: Value,
}

fn row(numbers: Vec<Number>) -> Vec<f64> {
    numbers.into_iter().map(|number| number.0).collect()
}

fn rows(numbers: Vec<Vec<Number>>) -> Vec<Vec<f64>> {
    numbers.into_iter().map(row).collect()
}

impl Line {
    pub fn parse(text: &[u8]) -> Result<Line, Refused> {
        let text = std::str::from_utf8(text).map_err(|error| Refused {
            id: Value::Null,
            message: format!("column {}: not UTF-8 text", error.valid_up_to() + 1),
        })?;
        if !text.trim_start().starts_with('{') {
            // Serde would also fill the members from a list, in their order.
            return Err(Refused {
                id: Value::Null,
                message: "column 1: a line has to be a JSON object, in braces".to_owned(),
            });
        }
        let quoted = quote(text.trim_end());
        let mut deserializer = serde_json::Deserializer::from_str(&quoted);
        let members: Result<Members, _> = serde_path_to_error::deserialize(&mut deserializer);
        let Members { id, method, params, matrix, losses, halves, blocks, seed } =
            members.map_err(|error| refused(text, &quoted, &error.path().to_string(), error.inner()))?;
        deserializer.end().map_err(|error| refused(text, &quoted, ".", &error))?;
        let blocks = blocks.into_iter().collect();
        let halves = halves.map(|halves| halves.map(rows));
        Ok(Line { id, method, params, matrix: rows(matrix), losses: losses.map(row), halves, blocks, seed })
    }

    pub fn request(&self, seed: u64) -> Request<'_> {
        Request {
            matrix: &self.matrix,
            losses: self.losses.as_deref(),
            halves: self.halves.as_ref(),
            blocks: &self.blocks,
            seed: self.seed.unwrap_or(seed),
        }
    }
}

fn refused(text: &str, quoted: &str, member: &str, error: &serde_json::Error) -> Refused {
    let id = serde_json::from_str(quoted).map_or(Value::Null, |Id { id }| id);
    let place = format!(" at line {} column {}", error.line(), error.column());
    let what = error.to_string();
    let what = what.strip_suffix(&place).unwrap_or(&what);
    let member = if member == "." { String::new() } else { format!("`{member}`: ") };
    Refused { id, message: format!("column {}: {member}{what}", column(text, quoted, error.column())) }
}

/// The column of the text that a column of the quoted text stands for: what was put in is a quote
/// where the text has none.
fn column(text: &str, quoted: &str, column: usize) -> usize {
    let text = text.as_bytes();
    let step = |at: usize, byte: &u8| if text.get(at) == Some(byte) { at + 1 } else { at };
    quoted.as_bytes().iter().take(column).fold(0, step).max(1)
}

/// The line with the numbers of [`EXACT`] members in quotes.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + text.len() / 4);
    let (mut depth, mut exact, mut last) = (0usize, false, "");
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let length = match first {
            b'"' => string_length(rest),
            _ if exact && is_of_number(first) => rest.bytes().take_while(|byte| is_of_number(*byte)).count(),
            // A character of several bytes stands in a string, or in no JSON.
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
        let (token, after) = rest.split_at(length);
        match first {
            b'"' if depth == 1 => last = token,
            b':' if depth == 1 => exact = EXACT.contains(&last),
            b',' if depth == 1 => exact = false,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if exact && first != b'"' && is_number(token) {
            quoted.push('"');
            quoted.push_str(token);
            quoted.push('"');
        } else {
            quoted.push_str(token);
        }
        rest = after;
    }
    quoted
}

/// The bytes of the string that a text begins with, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Whether a byte can be part of a number, of one that JSON doesn't have, or of something that
/// looks like one.
fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)
}

/// Whether a text is a number of JSON, or what Python writes in place of one.
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    if text == "NaN" || text == "Infinity" {
        return true;
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && digits(fraction) && digits(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_matrices_and_losses_alone_are_quoted() {
        let text = r#"{"id":1.5,"x":"\"matrix\":[1]","matrix":[[1,-2.5e-7],[NaN,0]],"n":3,"losses" : [1E+2],"params":{"c":0.4,"matrix":[1]}}"#;
        let quoted = r#"{"id":1.5,"x":"\"matrix\":[1]","matrix":[["1","-2.5e-7"],["NaN","0"]],"n":3,"losses" : ["1E+2"],"params":{"c":0.4,"matrix":[1]}}"#;
        assert_eq!(quote(text), quoted);
        let not_numbers = r#"{"matrix":[[01,+1,1.,.5,1e,Inf,--1]]}"#;
        assert_eq!(quote(not_numbers), not_numbers);
    }

    #[test]
    fn every_double_comes_through_with_its_bits() {
        for bits in (0..20_000u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
            let value = f64::from_bits(bits);
            if !value.is_finite() {
                continue;
            }
            let text = format!("{{\"matrix\":[[{}]]}}", serde_json::to_string(&value).expect("finite"));
            let line = Line::parse(text.as_bytes()).expect(&text);
            assert_eq!(line.matrix[0][0].to_bits(), bits, "{text}");
        }
    }

    #[test]
    fn a_line_that_can_not_be_read_is_refused_with_its_place() {
        let check = |text: &str, id: Value, expected: &[&str]| {
            let refused = Line::parse(text.as_bytes()).expect_err(text);
            assert_eq!(refused.id, id, "{text}");
            expected.iter().for_each(|part| assert!(refused.message.contains(part), "{}", refused.message));
        };
        check(r#"{"id":3,"matrix":[[1,"a"]]}"#, 3.into(), &["column 24: `matrix[0][1]`", "\"a\""]);
        check(r#"{"id":3,"matrix":[[1.5,2.5],3]}"#, 3.into(), &["column 29: `matrix[1]`"]);
        check(r#"{"id":3}"#, 3.into(), &["missing field `matrix`"]);
        check(r#"{"matrix":[[1,2]}"#, Value::Null, &["column 17"]);
        check(r#"{"matrix":[[1,2]]} x"#, Value::Null, &["column 20: trailing characters"]);
        check(r#"{"id":"a","matrix":[[1,01]]}"#, Value::Null, &["column 25"]);
        check("[3, null, {}, [[1]]]", Value::Null, &["column 1: a line has to be"]);
        assert_eq!(Line::parse(b"{\"matrix\": \xff}").expect_err("no text").message, "column 12: not UTF-8 text");
    }
}
