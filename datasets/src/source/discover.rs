//! What is in a table's files: format, columns, rows.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use experiment::{CsvOptions, Format};

use super::text::{self, Rules};
use super::{Found, Physical, TableFile, columnar, csv, json};
use crate::DataError;
use crate::location;
use crate::plan::FilePlan;

/// The format that a file's name says.
pub(crate) fn extension_format(name: &str) -> Option<Format> {
    match extension(name)?.as_str() {
        "csv" | "tsv" | "txt" => Some(Format::Csv),
        "parquet" | "pq" => Some(Format::Parquet),
        "ipc" | "arrow" | "arrows" | "feather" => Some(Format::Ipc),
        "ndjson" | "jsonl" | "json" => Some(Format::Ndjson),
        _ => None,
    }
}

/// Whether a file's name says that tabs separate its fields.
pub(crate) fn has_tabs(name: &str) -> bool {
    extension(name).is_some_and(|extension| extension == "tsv")
}

/// The end of a file's name, in small letters; of a compressed text, that of the text.
fn extension(name: &str) -> Option<String> {
    let (rest, last) = name.rsplit_once('.')?;
    let last = last.to_ascii_lowercase();
    match last.as_str() {
        "gz" | "zst" => {
            let inner = rest.rsplit_once('.')?.1.to_ascii_lowercase();
            matches!(inner.as_str(), "csv" | "tsv" | "txt" | "ndjson" | "jsonl" | "json").then_some(inner)
        }
        _ => Some(last),
    }
}

/// Looks at new files, which must have the same columns. `watch` is told how many bytes of how many
/// have been looked at.
pub(crate) fn files(
    names: &[String],
    base: &Path,
    format: Format,
    options: &CsvOptions,
    watch: &dyn Fn(u64, u64),
) -> Result<Vec<TableFile>, DataError> {
    // A file that is not there is refused in its turn.
    let length = |name: &String| std::fs::metadata(location::resolve(base, name)).map_or(0, |found| found.len());
    let all = names.iter().map(length).sum();
    let mut before = 0;
    let mut files: Vec<TableFile> = Vec::new();
    for name in names {
        let file = look(name, location::resolve(base, name), format, options, None, &|done| watch(before + done, all))?;
        before += file.bytes;
        watch(before, all);
        if let Some(first) = files.first() {
            agree(first, &file)?;
        }
        files.push(file);
    }
    if files.is_empty() {
        return Err(DataError::File { file: PathBuf::new(), reason: "no file is named".to_owned() });
    }
    Ok(files)
}

/// Looks at a file that a plan has.
pub(crate) fn reopen(
    plan: &FilePlan,
    format: Format,
    options: &CsvOptions,
    path: PathBuf,
) -> Result<TableFile, DataError> {
    look(&plan.path, path, format, options, Some(plan), &|_| {})
}

fn agree(first: &TableFile, file: &TableFile) -> Result<(), DataError> {
    let fail = |column: &str, reason: String| {
        Err(DataError::Column { file: file.name.clone().into(), column: column.to_owned(), reason })
    };
    let by_name = |file: &'_ TableFile| -> HashMap<String, Physical> {
        file.columns.iter().map(|column| (column.name.clone(), column.physical.clone())).collect()
    };
    let (known, new) = (by_name(first), by_name(file));
    for column in &first.columns {
        match new.get(&column.name) {
            None => return fail(&column.name, format!("the file does not have it, but `{}` does", first.name)),
            Some(found) if *found != column.physical => {
                let reason = format!("{} here, but {} in `{}`", found.shown(), column.physical.shown(), first.name);
                return fail(&column.name, reason);
            }
            Some(_) => {}
        }
    }
    match file.columns.iter().find(|column| !known.contains_key(&column.name)) {
        Some(column) => fail(&column.name, format!("`{}` does not have it", first.name)),
        None => Ok(()),
    }
}

impl Physical {
    /// For a person.
    pub(crate) fn shown(&self) -> String {
        match self {
            Physical::Number => "number".to_owned(),
            Physical::Boolean => "boolean".to_owned(),
            Physical::Text | Physical::Fields => "text".to_owned(),
            Physical::List(width) => format!("list[{width}]"),
            Physical::Other(name) => name.clone(),
        }
    }
}

/// The size of a file in bytes, at least 1.
pub(crate) fn size(name: &str, path: &Path) -> Result<u64, DataError> {
    let fail = |reason: String| Err(DataError::File { file: name.into(), reason });
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fail(format!("no such file ({})", path.display()))
        }
        Err(error) => fail(error.to_string()),
        Ok(found) if found.is_dir() => {
            fail("this is a folder; for its files write a glob such as `folder/*.parquet`".to_owned())
        }
        Ok(found) if !found.is_file() => fail("not a file".to_owned()),
        Ok(found) if found.len() == 0 => fail("the file is empty".to_owned()),
        Ok(found) => Ok(found.len()),
    }
}

fn look(
    name: &str,
    path: PathBuf,
    format: Format,
    options: &CsvOptions,
    plan: Option<&FilePlan>,
    watch: &dyn Fn(u64),
) -> Result<TableFile, DataError> {
    let fail = |reason: String| DataError::File { file: name.into(), reason };
    let bytes = size(name, &path)?;
    let known = plan.filter(|plan| !plan.blocks.is_empty()).map(|plan| plan.blocks.clone());
    let watch = |done: u64| watch(done.min(bytes));
    let index = |start, rules| {
        known.map_or_else(|| text::index(&path, start, rules, &watch), Ok).map_err(|e| fail(e.to_string()))
    };
    let (columns, blocks, rules) = match format {
        Format::Csv => {
            let (names, start) = csv::header(&path, options).map_err(fail)?;
            let rules = csv::rules(names.len());
            let columns = names.into_iter().map(|name| Found::new(name, Physical::Fields)).collect();
            (columns, index(start, rules)?, rules)
        }
        Format::Ndjson => {
            let (start, rules) = json::layout(&path).map_err(|e| fail(e.to_string()))?;
            (Vec::new(), index(start, rules)?, rules)
        }
        Format::Parquet | Format::Ipc => {
            let wrong = |reason: String| fail(format!("not a {} file, or damaged: {reason}", format.name()));
            let columnar::Contents { columns, blocks } = columnar::look(&path, format).map_err(wrong)?;
            (columns, blocks, Rules::Lines)
        }
    };
    let mut file = TableFile { name: name.to_owned(), path, bytes, columns, blocks, rules };
    if format == Format::Ndjson && plan.is_none() {
        file.columns = json::columns(&file.path, &file.blocks, rules).map_err(|(block, fault)| match block {
            Some(start) => file.fault(start, fault),
            None => file.error(fault.reason),
        })?;
    }
    Ok(file)
}
