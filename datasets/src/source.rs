//! Tables: the rows of one or more files of one format, read block by block.
//!
//! [`Table::create`] looks at new files and finds out what is in them, [`Table::open`] takes that
//! from a plan. Either way [`Table::scan`] reads chosen columns of chosen rows in the memory of a
//! block, through polars' readers.

mod columnar;
mod csv;
mod discover;
mod ndjson;
mod text;

use std::ops::Range;
use std::path::{Path, PathBuf};

use experiment::{CsvOptions, Format};

use crate::DataError;
use crate::column::Column;
use crate::decode::{self, DecodeError};
use crate::plan::{ColumnPlan, FilePlan, TablePlan};
use text::{Rules, Start};

pub(crate) use discover::{extension_format, size};

/// What a file holds under a column's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Physical {
    /// Numbers, dates and times.
    Number,
    /// Truth values.
    Boolean,
    /// Text.
    Text,
    /// Text that may mean anything: a CSV field.
    Fields,
    /// Lists of so many numbers.
    List(usize),
    /// What can't be used; with the type's name.
    Other(String),
}

/// A column of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub name: String,
    pub physical: Physical,
    /// Whether lists hold bytes (`u8`).
    pub bytes: bool,
}

impl Found {
    /// A column whose lists, if it holds any, are not of bytes.
    pub fn new(name: String, physical: Physical) -> Self {
        Self { name, physical, bytes: false }
    }
}

/// One file of a table.
#[derive(Debug, Clone)]
pub(crate) struct TableFile {
    /// As the plan names it.
    pub name: String,
    path: PathBuf,
    pub bytes: u64,
    columns: Vec<Found>,
    /// Starts of the blocks, then the end.
    blocks: Vec<Start>,
    rules: Rules,
}

/// The rows of one or more files of one format.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub format: Format,
    pub csv: CsvOptions,
    pub files: Vec<TableFile>,
    /// What is to be read, with what it is read as.
    pub columns: Vec<ColumnPlan>,
}

impl TableFile {
    pub fn rows(&self) -> u64 {
        self.blocks.last().map_or(0, |end| end.1)
    }

    /// The line, from 1, where a row (from 0) of a text file begins.
    fn line(&self, row: u64) -> Option<u64> {
        text::line_of(&self.path, self.blocks[0].0, row, self.rules).ok()
    }

    /// A row (from 0) of a text file, for people.
    fn shown_row(&self, row: u64) -> String {
        let line = self.line(row).map_or_else(String::new, |line| format!(" (line {line})"));
        format!("row {}{line}", row + 1)
    }

    fn error(&self, reason: impl Into<String>) -> DataError {
        DataError::File { file: self.name.clone().into(), reason: reason.into() }
    }
}

impl Table {
    /// Opens the files of a plan where `resolve` finds them.
    pub fn open(plan: &TablePlan, resolve: &dyn Fn(&str) -> Result<PathBuf, DataError>) -> Result<Self, DataError> {
        let files = plan.files.iter().map(|file| {
            let found = discover::reopen(file, plan.format, &plan.csv, resolve(&file.path)?)?;
            if found.bytes != file.bytes || found.rows() != file.rows {
                let reason = format!(
                    "the file has {} rows in {} bytes here, and the run was planned with {} rows in {} bytes",
                    found.rows(),
                    found.bytes,
                    file.rows,
                    file.bytes
                );
                return Err(found.error(reason));
            }
            Ok(found)
        });
        let files = files.collect::<Result<Vec<_>, _>>()?;
        for file in &files {
            for column in &plan.columns {
                if !file.columns.is_empty() && !file.columns.iter().any(|c| c.name == column.name) {
                    return Err(file.error(format!("no column `{}`", column.name)));
                }
            }
        }
        Ok(Table { format: plan.format, csv: plan.csv.clone(), files, columns: plan.columns.clone() })
    }

    /// Looks at new files; gives the table without columns to read, and all columns that the files
    /// have. `watch` is told how many bytes of how many have been looked at.
    pub fn create(
        names: &[String],
        base: &Path,
        format: Format,
        csv: &CsvOptions,
        watch: &dyn Fn(u64, u64),
    ) -> Result<(Self, Vec<Found>), DataError> {
        let files = discover::files(names, base, format, csv, watch)?;
        let columns = files[0].columns.clone();
        Ok((Table { format, csv: csv.clone(), files, columns: Vec::new() }, columns))
    }

    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(TableFile::rows).sum()
    }

    /// The files as the plan has them.
    pub fn file_plans(&self) -> Vec<FilePlan> {
        let text = matches!(self.format, Format::Csv | Format::Ndjson);
        let plan = |file: &TableFile| FilePlan {
            path: file.name.clone(),
            rows: file.rows(),
            bytes: file.bytes,
            blocks: if text { file.blocks.clone() } else { Vec::new() },
        };
        self.files.iter().map(plan).collect()
    }

    /// Reads `rows` block by block in order, and hands each block over with its first row.
    pub fn scan(
        &self,
        wanted: &[usize],
        rows: Range<u64>,
        visit: &mut dyn FnMut(u64, Vec<Column>) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let mut file_start = 0;
        for file in &self.files {
            let mut columnar = None;
            for pair in file.blocks.windows(2) {
                let first = rows.start.max(file_start + pair[0].1);
                let end = rows.end.min(file_start + pair[1].1);
                if first < end {
                    let rows = first - file_start..end - file_start;
                    let block = self.read(file, &mut columnar, wanted, (pair[0], pair[1]), rows)?;
                    visit(first, block)?;
                }
            }
            file_start += file.rows();
        }
        Ok(())
    }

    /// `rows` of one block, counted from the file's first row. `columnar` is the reader of the
    /// blocks before it.
    fn read(
        &self,
        file: &TableFile,
        columnar: &mut Option<columnar::Columns>,
        wanted: &[usize],
        block: (Start, Start),
        rows: Range<u64>,
    ) -> Result<Vec<Column>, DataError> {
        let columns: Vec<&ColumnPlan> = wanted.iter().map(|&c| &self.columns[c]).collect();
        let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let text = || text::block(&file.path, block.0, block.1, file.rules).map_err(|e| file.error(e.to_string()));
        let (frame, first) = match self.format {
            Format::Csv => {
                let all: Vec<String> = file.columns.iter().map(|c| c.name.clone()).collect();
                let read = csv::read(text()?, &all, &names, &self.csv);
                (read.map_err(|error| self.csv_error(file, block, error))?, block.0.1)
            }
            Format::Ndjson => (self.read_ndjson(file, &text()?, &columns, block.0)?, block.0.1),
            Format::Parquet | Format::Ipc => {
                let wrong = |e: polars::prelude::PolarsError| file.error(e.to_string());
                let reader = match columnar {
                    Some(reader) => reader,
                    None => columnar.insert(columnar::Columns::open(&file.path, self.format, &names).map_err(wrong)?),
                };
                (reader.read(rows.start, rows.end - rows.start).map_err(wrong)?, rows.start)
            }
        };
        let expected =
            if first == rows.start && self.is_sliced() { rows.end - rows.start } else { block.1.1 - block.0.1 };
        if frame.height() as u64 != expected {
            let reason = format!(
                "rows {} to {} can't be told apart (expected {expected}, read {}): an unfinished quotation?",
                block.0.1 + 1,
                block.1.1,
                frame.height()
            );
            return Err(file.error(reason));
        }
        let from = (rows.start - first) as usize;
        let length = (rows.end - rows.start) as usize;
        let decoded = columns.iter().map(|column| {
            let series = frame.column(&column.name).map_err(|e| file.error(e.to_string()))?.slice(from as i64, length);
            decode::column(series.as_materialized_series(), column.kind)
                .map_err(|misfit| self.misfit(file, &column.name, rows.start, misfit))
        });
        decoded.collect()
    }

    fn is_sliced(&self) -> bool {
        matches!(self.format, Format::Parquet | Format::Ipc)
    }

    fn read_ndjson(
        &self,
        file: &TableFile,
        bytes: &[u8],
        columns: &[&ColumnPlan],
        start: Start,
    ) -> Result<polars::prelude::DataFrame, DataError> {
        let missing = |name: &str| Found::new(name.to_owned(), Physical::Number);
        let found: Vec<Found> = columns
            .iter()
            .map(|c| file.columns.iter().find(|f| f.name == c.name).cloned().unwrap_or_else(|| missing(&c.name)))
            .collect();
        let found: Vec<&Found> = found.iter().collect();
        ndjson::read(bytes, &found).map_err(|error| match ndjson::misfit(bytes, &found) {
            Some((row, column, reason)) => {
                self.misfit(file, &column, start.1, DecodeError::Cell { row: row as usize, reason })
            }
            None => file.error(error.to_string()),
        })
    }

    /// An error of the CSV reader, with its row if that can be found.
    fn csv_error(&self, file: &TableFile, block: (Start, Start), error: polars::prelude::PolarsError) -> DataError {
        let bytes = text::block(&file.path, block.0, block.1, file.rules).unwrap_or_default();
        match csv::misfit(&bytes, file.columns.len(), &self.csv) {
            Some((row, reason)) => file.error(format!("{}: {reason}", file.shown_row(block.0.1 + row))),
            None => file.error(error.to_string()),
        }
    }

    /// Gives a misfit its place.
    fn misfit(&self, file: &TableFile, column: &str, first: u64, misfit: DecodeError) -> DataError {
        let name = PathBuf::from(&file.name);
        match misfit {
            DecodeError::Column(reason) => DataError::Column { file: name, column: column.to_owned(), reason },
            DecodeError::Cell { row, reason } => {
                let row = first + row as u64;
                let line = if self.is_sliced() { None } else { file.line(row) };
                DataError::Cell { file: name, column: column.to_owned(), row: row + 1, line, reason }
            }
        }
    }

    /// The place of a value, for a complaint about it.
    pub fn cell_error(&self, row: u64, column: &str, reason: String) -> DataError {
        let mut start = 0;
        for file in &self.files {
            if row < start + file.rows() {
                return self.misfit(file, column, row - start, DecodeError::Cell { row: 0, reason });
            }
            start += file.rows();
        }
        DataError::NotPlanned { what: format!("row {row}") }
    }
}
