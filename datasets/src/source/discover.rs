//! What is in a table's files: format, columns, rows.

use std::path::{Path, PathBuf};

use experiment::{CsvOptions, Format};

use super::text::{self, Rules};
use super::{Found, Physical, TableFile, columnar, csv, ndjson};
use crate::DataError;
use crate::location;
use crate::plan::FilePlan;

/// The format that a file's name says.
pub(crate) fn extension_format(name: &str) -> Option<Format> {
    let (_, extension) = name.rsplit_once('.')?;
    match extension.to_ascii_lowercase().as_str() {
        "csv" | "tsv" | "txt" => Some(Format::Csv),
        "parquet" | "pq" => Some(Format::Parquet),
        "ipc" | "arrow" | "feather" => Some(Format::Ipc),
        "ndjson" | "jsonl" => Some(Format::Ndjson),
        _ => None,
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
    for column in &first.columns {
        match file.columns.iter().find(|c| c.name == column.name) {
            None => return fail(&column.name, format!("the file does not have it, but `{}` does", first.name)),
            Some(found) if found.physical != column.physical => {
                let reason =
                    format!("{} here, but {} in `{}`", found.physical.shown(), column.physical.shown(), first.name);
                return fail(&column.name, reason);
            }
            Some(_) => {}
        }
    }
    match file.columns.iter().find(|c| !first.columns.iter().any(|f| f.name == c.name)) {
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
    let (columns, blocks, rules) = match format {
        Format::Csv => {
            let (names, start) = csv::header(&path, options).map_err(fail)?;
            let rules = csv::rules(names.len());
            let columns = names.into_iter().map(|name| Found::new(name, Physical::Fields)).collect();
            (
                columns,
                known.map_or_else(|| text::index(&path, start, rules, watch), Ok).map_err(|e| fail(e.to_string()))?,
                rules,
            )
        }
        Format::Ndjson => {
            let rules = ndjson::RULES;
            let blocks =
                known.map_or_else(|| text::index(&path, 0, rules, watch), Ok).map_err(|e| fail(e.to_string()))?;
            let first = text::block(&path, blocks[0], blocks[1], rules).map_err(|e| fail(e.to_string()))?;
            (ndjson::discover(&first).map_err(fail)?, blocks, rules)
        }
        Format::Parquet | Format::Ipc => {
            let wrong = |e: polars::prelude::PolarsError| fail(format!("not a {} file: {e}", format.name()));
            let columns = columnar::discover(&path, format).map_err(wrong)?;
            let blocks = columnar::blocks(&path, format).map_err(wrong)?;
            (columns, blocks, Rules { quotes: false, blank_rows: false })
        }
    };
    Ok(TableFile { name: name.to_owned(), path, bytes, columns, blocks, rules })
}
