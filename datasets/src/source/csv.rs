//! CSV files: a header line, then rows. Fields are read as text; what they mean is for
//! [`crate::decode`] to say.

use std::io::{BufRead, BufReader, Cursor};
use std::path::Path;
use std::sync::Arc;

use experiment::CsvOptions;
use polars::prelude::*;

use super::text::Rules;

/// The separator as polars wants it; the experiment holds that it is ASCII.
fn separator(options: &CsvOptions) -> u8 {
    u8::try_from(options.separator).unwrap_or(b',')
}

/// The column names, and the byte where the rows begin.
pub(crate) fn header(path: &Path, options: &CsvOptions) -> Result<(Vec<String>, u64), String> {
    let mut reader = BufReader::new(std::fs::File::open(path).map_err(|e| e.to_string())?);
    let mut line = Vec::new();
    let mut start = 0;
    while line.iter().all(|b| matches!(b, b'\r' | b'\n')) {
        line.clear();
        match reader.read_until(b'\n', &mut line).map_err(|e| e.to_string())? {
            0 => return Err("the file is empty".to_owned()),
            length => start += length as u64,
        }
    }
    while line.iter().filter(|b| **b == b'"').count() % 2 == 1 {
        match reader.read_until(b'\n', &mut line).map_err(|e| e.to_string())? {
            0 => return Err("a quotation in the header has no end".to_owned()),
            length => start += length as u64,
        }
    }
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line).to_vec();
    let frame = CsvReadOptions::default()
        .with_has_header(false)
        .with_infer_schema_length(Some(0))
        .map_parse_options(|parse| parse.with_separator(separator(options)))
        .into_reader_with_file_handle(Cursor::new(line))
        .finish()
        .map_err(|e| format!("the header can't be read: {e}"))?;
    let name = |column: &Column| match column.get(0) {
        Ok(AnyValue::String(name)) => name.to_owned(),
        Ok(AnyValue::StringOwned(name)) => name.to_string(),
        _ => String::new(),
    };
    let names: Vec<String> = frame.columns().iter().map(name).collect();
    if let [name] = names.as_slice()
        && let Some(other) = [';', '\t', '|', ','].into_iter().find(|other| name.contains(*other))
    {
        return Err(format!(
            "the header is one column, `{name}`: does `csv = {{ separator = {:?} }}` say how it is written?",
            other.to_string()
        ));
    }
    match names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        Some((_, name)) => Err(format!("two columns are named `{name}`")),
        None => Ok((names, start)),
    }
}

/// The first row (from 0) that does not have `columns` fields, and why. Polars' error names no
/// row.
pub(crate) fn misfit(bytes: &[u8], columns: usize, options: &CsvOptions) -> Option<(u64, String)> {
    let (mut row, mut start, mut fields, mut quoted) = (0, 0, 1, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            byte if *byte == separator(options) && !quoted => fields += 1,
            b'\n' if !quoted => {
                if let Err(error) = std::str::from_utf8(&bytes[start..at]) {
                    let byte = bytes[start + error.valid_up_to()];
                    return Some((row, format!("byte {byte:#04x} is not UTF-8 text")));
                }
                if fields > columns {
                    return Some((row, format!("{fields} fields, but the header has {columns}")));
                }
                (row, start, fields) = (row + 1, at + 1, 1);
            }
            _ => {}
        }
    }
    quoted.then(|| (row, "a quotation has no end".to_owned()))
}

/// How rows of a file with these columns are told apart.
pub(crate) fn rules(columns: usize) -> Rules {
    Rules { quotes: true, blank_rows: columns == 1 }
}

/// Some columns of rows without a header, as text.
pub(crate) fn read(bytes: Vec<u8>, names: &[String], wanted: &[&str], options: &CsvOptions) -> PolarsResult<DataFrame> {
    let schema: Schema = names.iter().map(|name| Field::new(name.as_str().into(), DataType::String)).collect();
    let nulls = NullValues::AllColumns(options.null_values.iter().map(|value| value.as_str().into()).collect());
    let wanted: Arc<[PlSmallStr]> = wanted.iter().map(|name| PlSmallStr::from(*name)).collect();
    CsvReadOptions::default()
        .with_has_header(false)
        .with_schema(Some(Arc::new(schema)))
        .with_columns(Some(wanted))
        .with_rechunk(true)
        .map_parse_options(|parse| {
            parse
                .with_separator(separator(options))
                .with_null_values((!options.null_values.is_empty()).then(|| nulls.clone()))
                .with_missing_is_null(true)
        })
        .into_reader_with_file_handle(Cursor::new(bytes))
        .finish()
}
