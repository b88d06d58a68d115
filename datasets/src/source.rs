//! Tables: the rows of one or more files of one format, read block by block.
//!
//! [`Table::create`] looks at new files and finds out what is in them, [`Table::open`] takes that
//! from a plan. Either way [`Table::scan`] reads chosen columns of chosen rows in the memory of a
//! block. Text files are split into fields here; polars reads the others.

mod columnar;
mod csv;
mod discover;
mod json;
pub(crate) mod notation;
mod text;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use experiment::{CsvOptions, Format};

use crate::DataError;
use crate::column::{Column, ColumnKind};
use crate::decode::DecodeError;
use crate::plan::{ColumnPlan, FilePlan, TablePlan};
use columnar::ReadError;
use text::{Rules, Start, Text};

pub(crate) use discover::{extension_format, has_tabs, size};

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

/// What is wrong in a block of a text file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The row of the block, from 0.
    row: u64,
    /// The byte of the block.
    byte: usize,
    /// The column, if a value is wrong.
    column: Option<String>,
    /// Why; or what the row is, if it begins with `is `.
    reason: String,
}

impl Fault {
    fn of_row(row: u64, byte: usize, reason: String) -> Self {
        Self { row, byte, column: None, reason }
    }

    fn of_value(row: u64, byte: usize, column: &str, reason: String) -> Self {
        Self { row, byte, column: Some(column.to_owned()), reason }
    }
}

/// A column's name as a key of TOML.
pub(crate) fn key(column: &str) -> String {
    let bare = !column.is_empty() && column.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if bare { column.to_owned() } else { format!("{column:?}") }
}

/// The key that makes a column text, for a message about a value that is not a number.
fn category_help(column: &str) -> String {
    format!("; if the column is text, write `types = {{ {} = \"category\" }}`", key(column))
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
        let block = self.blocks.windows(2).find(|pair| (pair[0].1..pair[1].1).contains(&row))?;
        text::line_of(&self.path, (block[0], block[1]), row, self.rules).ok()
    }

    /// A fault of a block of a text file.
    fn fault(&self, start: Start, fault: Fault) -> DataError {
        let line = text::line_at(&self.path, start.0 + fault.byte as u64).ok();
        let row = start.1 + fault.row + 1;
        let reason = fault.reason;
        if let Some(column) = fault.column {
            return DataError::Cell { file: self.name.clone().into(), column, row, line, reason };
        }
        let line = line.map_or_else(String::new, |line| format!(" (line {line})"));
        match reason.strip_prefix("is ") {
            Some(_) => self.error(format!("row {row} {reason}{line}")),
            None => self.error(format!("row {row}{line}: {reason}")),
        }
    }

    fn error(&self, reason: impl Into<String>) -> DataError {
        DataError::File { file: self.name.clone().into(), reason: reason.into() }
    }
}

impl Table {
    /// Opens the files of a plan where `resolve` finds them.
    pub fn open(plan: &TablePlan, resolve: &dyn Fn(&str) -> Result<PathBuf, DataError>) -> Result<Self, DataError> {
        let files = plan.files.iter().map(|file| {
            let path = resolve(&file.path)?;
            let bytes = size(&file.path, &path)?;
            if bytes != file.bytes {
                let reason =
                    format!("the file has {bytes} bytes here, and the run was planned with {} bytes", file.bytes);
                return Err(DataError::File { file: file.path.clone().into(), reason });
            }
            let found = discover::reopen(file, plan.format, &plan.csv, path)?;
            if found.rows() != file.rows {
                let reason =
                    format!("the file has {} rows here, and the run was planned with {}", found.rows(), file.rows);
                return Err(found.error(reason));
            }
            Ok(found)
        });
        let files = files.collect::<Result<Vec<_>, _>>()?;
        // The columns of JSON files are not looked for again: a missing one differs in its digests.
        for file in files.iter().filter(|file| !file.columns.is_empty()) {
            let names: HashSet<&str> = file.columns.iter().map(|column| column.name.as_str()).collect();
            if let Some(column) = plan.columns.iter().find(|column| !names.contains(column.name.as_str())) {
                return Err(file.error(format!("no column `{}`", column.name)));
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
            let mut reader = None;
            for pair in file.blocks.windows(2) {
                let first = rows.start.max(file_start + pair[0].1);
                let end = rows.end.min(file_start + pair[1].1);
                if first < end {
                    let rows = first - file_start..end - file_start;
                    let reader = match &mut reader {
                        Some(reader) => reader,
                        None => reader.insert(Reader::open(self, file, wanted)?),
                    };
                    visit(first, reader.read((pair[0], pair[1]), rows)?)?;
                }
            }
            file_start += file.rows();
        }
        Ok(())
    }

    /// The place of a value, for a complaint about it.
    pub fn cell_error(&self, row: u64, column: &str, reason: String) -> DataError {
        let mut start = 0;
        for file in &self.files {
            if row < start + file.rows() {
                let row = row - start;
                let line = if self.is_text() { file.line(row) } else { None };
                let name = file.name.clone().into();
                return DataError::Cell { file: name, column: column.to_owned(), row: row + 1, line, reason };
            }
            start += file.rows();
        }
        DataError::NotPlanned { what: format!("row {row}") }
    }

    fn is_text(&self) -> bool {
        matches!(self.format, Format::Csv | Format::Ndjson)
    }
}

/// Reads blocks of a file from front to back.
struct Reader<'a> {
    table: &'a Table,
    file: &'a TableFile,
    /// The columns that are read.
    wanted: Vec<&'a ColumnPlan>,
    source: Source<'a>,
}

enum Source<'a> {
    /// Nothing is read.
    Nothing,
    /// Fields of the columns `wanted`, which have these places.
    Csv {
        text: Text,
        names: Vec<&'a str>,
        wanted: Vec<(usize, &'a ColumnPlan)>,
    },
    /// Values of keys. By wanted column: what its values are, if that is known.
    Json {
        text: Text,
        known: Vec<Option<&'a Physical>>,
    },
    Columnar(columnar::Columns),
}

impl<'a> Reader<'a> {
    fn open(table: &'a Table, file: &'a TableFile, wanted: &[usize]) -> Result<Self, DataError> {
        let wanted: Vec<&ColumnPlan> = wanted.iter().map(|column| &table.columns[*column]).collect();
        let text = || Text::open(&file.path).map_err(|e| file.error(e.to_string()));
        let places: HashMap<&str, usize> =
            file.columns.iter().enumerate().map(|(place, column)| (column.name.as_str(), place)).collect();
        let source = match table.format {
            _ if wanted.is_empty() => Source::Nothing,
            Format::Csv => {
                let place = |column: &&'a ColumnPlan| match places.get(column.name.as_str()) {
                    Some(place) => Ok((*place, *column)),
                    None => Err(file.error(format!("no column `{}`", column.name))),
                };
                let names = file.columns.iter().map(|column| column.name.as_str()).collect();
                Source::Csv { text: text()?, names, wanted: wanted.iter().map(place).collect::<Result<_, _>>()? }
            }
            Format::Ndjson => {
                let known = |column: &&'a ColumnPlan| {
                    places.get(column.name.as_str()).map(|place| &file.columns[*place].physical)
                };
                Source::Json { text: text()?, known: wanted.iter().map(known).collect() }
            }
            Format::Parquet | Format::Ipc => {
                let names: Vec<&str> = wanted.iter().map(|column| column.name.as_str()).collect();
                let columns = columnar::Columns::open(&file.path, table.format, &names);
                Source::Columnar(columns.map_err(|reason| file.error(reason))?)
            }
        };
        Ok(Self { table, file, wanted, source })
    }

    /// `rows` of one block, counted from the file's first row.
    fn read(&mut self, block: (Start, Start), rows: Range<u64>) -> Result<Vec<Column>, DataError> {
        let Self { table, file, wanted, source } = self;
        let own = rows.start - block.0.1..rows.end - block.0.1;
        let unreadable = |e: std::io::Error| file.error(e.to_string());
        match source {
            Source::Nothing => Ok(Vec::new()),
            Source::Csv { text, names, wanted } => {
                let bytes = text.block(&file.path, block.0, block.1).map_err(unreadable)?;
                let layout = csv::Layout { names, wanted, options: &table.csv, rules: file.rules };
                csv::read(&bytes, &layout, own).map_err(|fault| file.fault(block.0, fault))
            }
            Source::Json { text, known } => {
                let bytes = text.block(&file.path, block.0, block.1).map_err(unreadable)?;
                json::read(&bytes, file.rules, wanted, known, own).map_err(|fault| file.fault(block.0, fault))
            }
            Source::Columnar(columns) => {
                let kinds: Vec<ColumnKind> = wanted.iter().map(|column| column.kind).collect();
                columns.read(&kinds, rows.start, rows.end - rows.start).map_err(|error| match error {
                    ReadError::File(reason) => file.error(reason),
                    ReadError::Values(number, error) => file.misfit(&wanted[number].name, rows.start, error),
                })
            }
        }
    }
}

impl TableFile {
    /// A misfit of a columnar file.
    fn misfit(&self, column: &str, first: u64, misfit: DecodeError) -> DataError {
        let (file, column) = (self.name.clone().into(), column.to_owned());
        match misfit {
            DecodeError::Column(reason) => DataError::Column { file, column, reason },
            DecodeError::Cell { row, reason } => {
                DataError::Cell { file, column, row: first + row as u64 + 1, line: None, reason }
            }
        }
    }
}
