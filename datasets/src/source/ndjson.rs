//! NDJSON files: one object a line. A key that a line does not have is null there.

use std::io::Cursor;
use std::sync::Arc;

use polars::prelude::*;
use serde_json::Value;

use super::text::Rules;
use super::{Found, Physical};

/// How rows are told apart.
pub(crate) const RULES: Rules = Rules { quotes: false, blank_rows: false };

/// The columns that rows have, in the order in which they are first met, with what most of their
/// values are.
pub(crate) fn discover(bytes: &[u8]) -> Result<Vec<Found>, String> {
    let mut columns: indexmap::IndexMap<String, Seen> = indexmap::IndexMap::new();
    for (row, line) in lines(bytes).enumerate() {
        let object = match serde_json::from_slice(line) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Err(format!("row {} is not a JSON object", row + 1)),
            Err(e) => return Err(format!("row {} is not JSON: {}", row + 1, complaint(&e))),
        };
        for (name, value) in object {
            columns.entry(name).or_default().add(&value);
        }
    }
    Ok(columns.into_iter().map(|(name, seen)| Found::new(name, seen.physical())).collect())
}

/// What a parser that saw one line alone complains about.
fn complaint(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    format!("{what}, at character {}", error.column())
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|b| *b == b'\n').filter(|line| line.iter().any(|b| *b != b'\r'))
}

#[derive(Default)]
struct Seen {
    numbers: u64,
    booleans: u64,
    texts: u64,
    lists: u64,
    others: u64,
    width: usize,
}

impl Seen {
    fn add(&mut self, value: &Value) {
        match value {
            Value::Null => {}
            Value::Number(_) => self.numbers += 1,
            Value::Bool(_) => self.booleans += 1,
            Value::String(_) => self.texts += 1,
            Value::Array(values) => {
                self.width = if self.lists == 0 { values.len() } else { self.width };
                self.lists += 1;
            }
            Value::Object(_) => self.others += 1,
        }
    }

    fn physical(&self) -> Physical {
        let most = [self.numbers, self.booleans, self.texts, self.lists, self.others].into_iter().max().unwrap_or(0);
        match most {
            0 => Physical::Number,
            n if n == self.numbers => Physical::Number,
            n if n == self.booleans => Physical::Boolean,
            n if n == self.texts => Physical::Text,
            n if n == self.lists => Physical::List(self.width),
            _ => Physical::Other("object".to_owned()),
        }
    }
}

fn data_type(physical: &Physical) -> DataType {
    match physical {
        Physical::Number => DataType::Float64,
        Physical::Boolean => DataType::Boolean,
        Physical::List(_) => DataType::List(Box::new(DataType::Float64)),
        Physical::Text | Physical::Fields | Physical::Other(_) => DataType::String,
    }
}

/// Some columns of rows.
pub(crate) fn read(bytes: &[u8], wanted: &[&Found]) -> PolarsResult<DataFrame> {
    let schema: Schema = wanted.iter().map(|c| Field::new(c.name.as_str().into(), data_type(&c.physical))).collect();
    JsonReader::new(Cursor::new(bytes)).with_json_format(JsonFormat::JsonLines).with_schema(Arc::new(schema)).finish()
}

/// The first value that is not what its column is: row (from 0), column and a description.
pub(crate) fn misfit(bytes: &[u8], wanted: &[&Found]) -> Option<(u64, String, String)> {
    for (row, line) in lines(bytes).enumerate() {
        let object = match serde_json::from_slice(line) {
            Ok(Value::Object(object)) => object,
            Ok(_) => {
                return Some((row as u64, wanted.first()?.name.clone(), "the row is not a JSON object".to_owned()));
            }
            Err(e) => {
                return Some((
                    row as u64,
                    wanted.first()?.name.clone(),
                    format!("the row is not JSON: {}", complaint(&e)),
                ));
            }
        };
        for column in wanted {
            let Some(value) = object.get(&column.name) else { continue };
            let expected = match (&column.physical, value) {
                (_, Value::Null)
                | (Physical::Number, Value::Number(_))
                | (Physical::Boolean, Value::Bool(_))
                | (Physical::Text, Value::String(_)) => continue,
                (Physical::List(_), Value::Array(values)) if values.iter().all(|v| v.is_number() || v.is_null()) => {
                    continue;
                }
                (Physical::Number, _) => "a number",
                (Physical::Boolean, _) => "true or false",
                (Physical::List(_), _) => "a list of numbers",
                _ => "text",
            };
            return Some((row as u64, column.name.clone(), format!("{value} is not {expected}")));
        }
    }
    None
}
