//! Parquet and Arrow IPC files, which have typed columns and whose rows can be sliced.
//!
//! Only the columns that are read are decoded, and only those of a type that polars can read: the
//! others do no harm. A file that says more than its size lets expect is refused before it fills
//! the memory.

mod ipc;
mod parquet;
mod schema;
mod types;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;

use experiment::Format;
use polars::prelude::Series;
use polars_arrow::array::Array;
use polars_arrow::datatypes::Field;

use super::text::{BLOCK_ROWS, Start};
use super::{Found, Physical};
use crate::column::{Column, ColumnKind};
use crate::decode::{self, DecodeError};
use schema::twice;

/// Bytes that any file may decode to at once, and how many times its own size a large one may.
const DECODED_BYTES: u64 = 1 << 30;
const DECODED_TIMES: u64 = 64;
/// Rows that any file may have, and how many a byte a large one may.
const ROWS: u64 = 1 << 24;
const ROWS_A_BYTE: u64 = 1 << 10;
/// Rows in which the first list is looked for, before a whole block is.
const FIRST_ROWS: u64 = 64;

/// A result with polars' reason, or ours.
type Guarded<T> = Result<T, String>;

thread_local! {
    /// Whether a panic of this thread is an error of a file.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls polars on bytes of a file. polars has places where a damaged file makes it panic; here
/// that is an error as any other.
fn guarded<T>(read: impl FnOnce() -> polars::prelude::PolarsResult<T>) -> Guarded<T> {
    static SILENCE: Once = Once::new();
    SILENCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                others(panic);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(outer);
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(reason(&error.to_string())),
        Err(_) => Err("it is damaged".to_owned()),
    }
}

/// polars' message without its advice, which is about options of polars.
fn reason(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let advice = ["consider ", "Consider ", "please ", "Please ", "You ", "you ", "activate ", "try "];
    let end = advice.iter().filter_map(|word| first.find(word)).min().unwrap_or(first.len());
    first[..end].trim_end_matches([' ', ';', ',', '.', ':']).to_owned()
}

/// What is in a file: its columns, and where blocks of rows begin.
pub(crate) struct Contents {
    pub columns: Vec<Found>,
    pub blocks: Vec<Start>,
}

/// Looks into a file.
///
/// # Errors
/// Why it can't be read.
pub(crate) fn look(path: &Path, format: Format) -> Result<Contents, String> {
    let bytes = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    let file = File::open(path, format)?;
    let groups = file.groups();
    let rows = groups.iter().fold(0u64, |rows, group| rows.saturating_add(*group));
    if rows > ROWS.max(bytes.saturating_mul(ROWS_A_BYTE)) {
        return Err(format!("{rows} rows in {bytes} bytes: it is damaged, or made to fill the memory"));
    }
    let blocks = blocks(&groups);
    if let Some(name) = twice(file.columns()) {
        return Err(format!("two columns are named `{name}`"));
    }
    let names: Vec<(String, Physical, bool)> =
        file.columns().iter().map(|(name, (physical, bytes))| (name.clone(), physical.clone(), *bytes)).collect();
    let mut columns = Vec::with_capacity(names.len());
    let mut file = Some(file);
    for (name, physical, bytes) in names {
        let physical = match physical {
            // A list's length is in its values.
            Physical::List(0) => Physical::List(list_width(path, format, &mut file, &name, rows)?),
            physical => physical,
        };
        columns.push(Found { name, physical, bytes });
    }
    Ok(Contents { columns, blocks })
}

/// The length of the first list of a column.
fn list_width(path: &Path, format: Format, file: &mut Option<File>, name: &str, rows: u64) -> Result<usize, String> {
    for count in [FIRST_ROWS, BLOCK_ROWS] {
        let opened = match file.take() {
            Some(file) => file,
            None => File::open(path, format)?,
        };
        let mut columns = opened.select(&[name])?;
        let mut width = None;
        columns.each(0, count.min(rows), &mut |_, series| {
            if width.is_none() {
                width = decode::first_list(series).map_err(|error| error.shown())?;
            }
            Ok(())
        })?;
        if let Some(width) = width {
            return Ok(width);
        }
    }
    Ok(0)
}

/// Where blocks begin: at groups of rows, and in large ones again every [`BLOCK_ROWS`] rows.
fn blocks(groups: &[u64]) -> Vec<Start> {
    let mut starts = vec![(0, 0)];
    let mut row = 0;
    for group in groups {
        let end = row + group;
        while row < end {
            let (_, first) = *starts.last().expect("there is a first block");
            // Small groups join; a group that would not fit begins a block of its own.
            if row > first && end - first > BLOCK_ROWS {
                starts.push((0, row));
            }
            row = end.min(row + BLOCK_ROWS);
        }
    }
    starts.push((0, row));
    starts
}

/// Takes the number of a wanted column, and its next values.
type Visit<'v> = dyn FnMut(usize, &Series) -> Result<(), String> + 'v;

/// A file with its schema.
enum File {
    Parquet(parquet::File),
    Ipc(Box<ipc::File>),
}

impl File {
    fn open(path: &Path, format: Format) -> Result<Self, String> {
        match format {
            Format::Ipc => ipc::File::open(path).map(|file| Self::Ipc(Box::new(file))),
            _ => parquet::File::open(path).map(Self::Parquet),
        }
    }

    /// By column: its name, what it is, and whether its lists hold bytes.
    fn columns(&self) -> &[(String, (Physical, bool))] {
        match self {
            Self::Parquet(file) => &file.columns,
            Self::Ipc(file) => &file.columns,
        }
    }

    /// Rows of each row group of a Parquet file; of an IPC file, all rows are one group.
    fn groups(&self) -> Vec<u64> {
        match self {
            Self::Parquet(file) => file.groups(),
            Self::Ipc(file) => vec![file.rows()],
        }
    }

    /// Some of the columns, by name.
    fn select(self, wanted: &[&str]) -> Result<Columns, String> {
        Ok(match self {
            Self::Parquet(file) => Columns::Parquet(file.select(wanted)?),
            Self::Ipc(file) => Columns::Ipc(Box::new(file.select(wanted)?)),
        })
    }
}

/// Some columns of a file, to be read from front to back.
pub(crate) enum Columns {
    Parquet(parquet::Columns),
    Ipc(Box<ipc::Columns>),
}

/// Why rows can't be read.
pub(crate) enum ReadError {
    /// The file is damaged.
    File(String),
    /// The values of a wanted column, by its number, are not what they should be.
    Values(usize, DecodeError),
}

impl Columns {
    /// The columns `wanted` of a file.
    pub fn open(path: &Path, format: Format, wanted: &[&str]) -> Result<Self, String> {
        File::open(path, format)?.select(wanted)
    }

    /// Calls `visit` with parts of the rows from `first` on: the number of a wanted column, and its
    /// next values. Fails if there are fewer rows.
    fn each(&mut self, first: u64, rows: u64, visit: &mut Visit<'_>) -> Result<(), String> {
        match self {
            Self::Parquet(columns) => columns.each(first, rows, visit),
            Self::Ipc(columns) => columns.each(first, rows, visit),
        }
    }

    /// Some of the rows, each wanted column as its kind says.
    pub fn read(&mut self, kinds: &[ColumnKind], first: u64, rows: u64) -> Result<Vec<Column>, ReadError> {
        let mut read: Vec<Option<Column>> = kinds.iter().map(|_| None).collect();
        let mut misfit = None;
        let result = self.each(first, rows, &mut |number, series| {
            let known = &mut read[number];
            let before = known.as_ref().map_or(0, Column::len);
            match decode::column(series, kinds[number]) {
                Ok(part) => match known {
                    Some(known) => known.append(part),
                    None => *known = Some(part),
                },
                Err(DecodeError::Cell { row, reason }) => {
                    misfit = Some((number, DecodeError::Cell { row: before + row, reason }));
                    return Err(String::new());
                }
                Err(error) => {
                    misfit = Some((number, error));
                    return Err(String::new());
                }
            }
            Ok(())
        });
        match (result, misfit) {
            (_, Some((number, error))) => Err(ReadError::Values(number, error)),
            (Err(reason), None) => Err(ReadError::File(reason)),
            (Ok(()), None) => read
                .into_iter()
                .map(|column| match column {
                    Some(column) if column.len() as u64 == rows => Ok(column),
                    other => {
                        let found = other.map_or(0, |column| column.len());
                        Err(ReadError::File(format!("a column has {found} of {rows} rows: the file is damaged")))
                    }
                })
                .collect(),
        }
    }
}

/// One column of polars from arrays of a file, as [`types::plain`] has it.
fn series(field: &Field, arrays: Vec<Box<dyn Array>>) -> Guarded<Series> {
    let field = types::plain(field);
    guarded(|| Series::try_from((&field, arrays.into_iter().map(types::to_plain).collect::<Vec<_>>())))
}

/// Refuses what would fill the memory: `decoded` bytes at once of a file of `bytes`.
fn check_size(decoded: u64, bytes: u64, what: &str) -> Result<(), String> {
    if decoded <= DECODED_BYTES.max(bytes.saturating_mul(DECODED_TIMES)) {
        return Ok(());
    }
    Err(format!("{what} decodes to {} MiB, but the file has {bytes} bytes: refused, to save the memory", decoded >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polars_advice_is_left_out() {
        for (message, expected) in [
            ("no such thing; consider passing `x='y'`", "no such thing"),
            (
                "File out of specification: The file must end with PAR1",
                "File out of specification: The file must end with PAR1",
            ),
            ("bad schema\n\nYou might want to try:\n- x", "bad schema"),
        ] {
            assert_eq!(reason(message), expected);
        }
    }

    #[test]
    fn a_panic_is_an_error() {
        let found: Guarded<()> = guarded(|| panic!("damaged"));
        assert_eq!(found, Err("it is damaged".to_owned()));
    }

    #[test]
    fn blocks_begin_at_groups_and_within_large_ones() {
        let starts = |groups: &[u64]| blocks(groups).iter().map(|start| start.1).collect::<Vec<_>>();
        assert_eq!(starts(&[10, 20]), [0, 30]);
        assert_eq!(starts(&[60_000, 60_000]), [0, 60_000, 120_000]);
        assert_eq!(starts(&[150_000]), [0, BLOCK_ROWS, 2 * BLOCK_ROWS, 150_000]);
        assert_eq!(starts(&[]), [0, 0]);
    }
}
