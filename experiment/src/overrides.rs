//! `--set key.path=value`: changes to the document before it is read.

use serde::de::IntoDeserializer;
use toml::{Table, Value};
use toml_edit::Key;

use crate::error::ExperimentError;

/// One `--set` argument.
#[derive(Debug, Clone)]
pub(crate) struct Override {
    /// The argument as it was given.
    pub(crate) argument: String,
    pub(crate) path: Vec<String>,
}

/// Keys that exclude each other. Setting one removes the other from the file, which no argument
/// could do.
const ALTERNATIVES: &[[&[&str]; 2]] = &[[&["train", "steps"], &["train", "epochs"]]];

/// No experiment has deeper tables than this. Much deeper ones would overflow the stack.
const KEYS_MAX: usize = 32;

/// Puts the values of `sets` into `table`. Later values replace earlier ones.
pub(crate) fn apply(table: &mut Table, sets: &[String]) -> Result<Vec<Override>, ExperimentError> {
    let mut overrides: Vec<Override> = Vec::new();
    for argument in sets {
        let malformed = |message: String| ExperimentError::Set { argument: argument.clone(), message };
        let (path, value) = parse(argument).map_err(malformed)?;
        for pair in ALTERNATIVES {
            for (one, other) in [(pair[0], pair[1]), (pair[1], pair[0])] {
                if path == one && !overrides.iter().any(|earlier| earlier.path == other) {
                    remove(table, other);
                }
            }
        }
        insert(table, &path, value).map_err(malformed)?;
        overrides.push(Override { argument: argument.clone(), path });
    }
    Ok(overrides)
}

/// Puts the value of one `key.path=value` into `table`.
pub(crate) fn set(table: &mut Table, argument: &str) -> Result<(), String> {
    let (path, value) = parse(argument)?;
    insert(table, &path, value)
}

fn parse(argument: &str) -> Result<(Vec<String>, Value), String> {
    let form = "write key.path=value, for example train.steps=50";
    let equals = first_unquoted_equals(argument).ok_or_else(|| format!("there is no `=`; {form}"))?;
    let (key, value) = (argument[..equals].trim(), argument[equals + 1..].trim());
    let keys = Key::parse(key).map_err(|_| format!("`{key}` is not a key; {form}"))?;
    if keys.len() > KEYS_MAX {
        return Err(format!("there are {} keys in it; {form}", keys.len()));
    }
    Ok((keys.iter().map(|key| key.get().to_owned()).collect(), parse_value(value)?))
}

/// The place of the equals sign before the value. A quoted key may have one of its own.
fn first_unquoted_equals(argument: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, byte) in argument.bytes().enumerate() {
        match (quote, byte) {
            _ if escaped => escaped = false,
            (Some(b'"'), b'\\') => escaped = true,
            (Some(open), _) if open == byte => quote = None,
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'=') => return Some(at),
            _ => {}
        }
    }
    None
}

/// A TOML value, or the text itself if it is not TOML and does not begin like it.
fn parse_value(text: &str) -> Result<Value, String> {
    match text.parse::<toml_edit::Value>() {
        Ok(value) => {
            let deserializer = value.into_deserializer();
            serde::Deserialize::deserialize(deserializer)
                .map_err(|error: toml_edit::de::Error| error.message().to_owned())
        }
        Err(error) if text.starts_with(['"', '\'', '[', '{']) => {
            Err(format!("the value is not TOML: {}", error.message()))
        }
        Err(_) if text.is_empty() => Err("there is no value; an empty text is \"\"".to_owned()),
        Err(_) => Ok(Value::String(text.to_owned())),
    }
}

fn insert(table: &mut Table, path: &[String], value: Value) -> Result<(), String> {
    let (last, tables) = path.split_last().expect("a parsed key has at least one part");
    let mut table = table;
    for key in tables {
        let entry = table.entry(key).or_insert_with(|| Value::Table(Table::new()));
        let kind = entry.type_str();
        table = entry
            .as_table_mut()
            .ok_or_else(|| format!("`{key}` is not a table in the file but of type {kind}; set it as a whole"))?;
    }
    table.insert(last.clone(), value);
    Ok(())
}

fn remove(table: &mut Table, path: &[&str]) {
    let Some((last, tables)) = path.split_last() else { return };
    let mut table = table;
    for key in tables {
        match table.get_mut(*key).and_then(Value::as_table_mut) {
            Some(inner) => table = inner,
            None => return,
        }
    }
    table.remove(*last);
}
