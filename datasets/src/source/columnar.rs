//! Parquet and Arrow IPC files, which have typed columns and whose rows can be sliced.

use std::fs::File;
use std::path::{Path, PathBuf};

use experiment::Format;
use polars::prelude::*;
use polars_arrow::io::ipc::read::{FileReader, get_row_count, read_file_metadata};

use super::text::{BLOCK_ROWS, Start};
use super::{Found, Physical};

/// The file's columns.
pub(crate) fn discover(path: &Path, format: Format) -> PolarsResult<Vec<Found>> {
    let schema = match format {
        Format::Ipc => IpcReader::new(File::open(path)?).schema()?,
        _ => ParquetReader::new(File::open(path)?).schema()?,
    };
    let mut found = Vec::new();
    for (name, data_type) in Schema::from_arrow_schema(&schema).iter() {
        let physical = match physical(data_type) {
            // A list's width is in its values.
            Physical::List(0) => Physical::List(list_width(path, format, name)?),
            physical => physical,
        };
        let inner = data_type.inner_dtype();
        found.push(Found { name: name.to_string(), physical, bytes: inner == Some(&DataType::UInt8) });
    }
    Ok(found)
}

fn physical(data_type: &DataType) -> Physical {
    match data_type {
        DataType::Boolean => Physical::Boolean,
        DataType::String | DataType::Categorical(..) | DataType::Enum(..) => Physical::Text,
        DataType::Date | DataType::Datetime(..) | DataType::Time | DataType::Duration(_) | DataType::Null => {
            Physical::Number
        }
        DataType::Array(inner, width) if is_number(inner) => Physical::List(*width),
        DataType::List(inner) if is_number(inner) => Physical::List(0),
        other if is_number(other) => Physical::Number,
        other => Physical::Other(other.to_string()),
    }
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_primitive_numeric() || data_type.is_decimal() || data_type.is_bool()
}

fn list_width(path: &Path, format: Format, name: &str) -> PolarsResult<usize> {
    let first = read(path, format, &[name], 0, BLOCK_ROWS)?;
    let lists = first.column(name)?.as_materialized_series().list()?.clone();
    Ok(lists.amortized_iter().flatten().next().map_or(0, |values| values.as_ref().len()))
}

/// Where blocks begin: at row groups, and in large ones again every [`BLOCK_ROWS`] rows.
pub(crate) fn blocks(path: &Path, format: Format) -> PolarsResult<Vec<Start>> {
    let groups: Vec<u64> = match format {
        Format::Ipc => vec![u64::try_from(get_row_count(&mut File::open(path)?)?).unwrap_or(0)],
        _ => {
            let mut reader = ParquetReader::new(File::open(path)?);
            reader.get_metadata()?.row_groups.iter().map(|group| group.num_rows() as u64).collect()
        }
    };
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
    Ok(starts)
}

/// Some columns of some rows.
pub(crate) fn read(path: &Path, format: Format, wanted: &[&str], first: u64, rows: u64) -> PolarsResult<DataFrame> {
    Columns::open(path, format, wanted)?.read(first, rows)
}

/// Some columns of a file, to be read from front to back.
pub(crate) enum Columns {
    Parquet { path: PathBuf, wanted: Vec<String> },
    Ipc(Box<IpcColumns>),
}

impl Columns {
    /// The columns `wanted` of a file.
    pub fn open(path: &Path, format: Format, wanted: &[&str]) -> PolarsResult<Self> {
        match format {
            Format::Ipc => IpcColumns::open(path, wanted).map(Box::new).map(Self::Ipc),
            _ => {
                let wanted = wanted.iter().map(|name| (*name).to_owned()).collect();
                Ok(Self::Parquet { path: path.to_owned(), wanted })
            }
        }
    }

    /// Some of the rows.
    pub fn read(&mut self, first: u64, rows: u64) -> PolarsResult<DataFrame> {
        match self {
            Self::Parquet { path, wanted } => ParquetReader::new(File::open(path)?)
                .with_columns(Some(wanted.clone()))
                .with_slice(Some((first as usize, rows as usize)))
                .finish(),
            Self::Ipc(columns) => columns.read(first, rows),
        }
    }
}

/// Some columns of an Arrow IPC file, record batch by record batch. Polars' own reader begins at
/// the first row.
pub(crate) struct IpcColumns {
    reader: FileReader<File>,
    empty: DataFrame,
    /// The last record batch that was read, with its first row: it may reach into the next block.
    last: (u64, DataFrame),
}

impl IpcColumns {
    fn open(path: &Path, wanted: &[&str]) -> PolarsResult<Self> {
        let mut file = File::open(path)?;
        let metadata = read_file_metadata(&mut file)?;
        let missing = |name: &str| polars_err!(ColumnNotFound: "no column {name:?}");
        let places = wanted.iter().map(|name| metadata.schema.index_of(name).ok_or_else(|| missing(name)));
        let mut places = places.collect::<PolarsResult<Vec<usize>>>()?;
        places.sort_unstable();
        places.dedup();
        let schema: ArrowSchema = places
            .iter()
            .filter_map(|place| metadata.schema.get_at_index(*place))
            .map(|(_, f)| (f.name.clone(), f.clone()))
            .collect();
        let empty = DataFrame::empty_with_schema(&Schema::from_arrow_schema(&schema));
        Ok(Self { reader: FileReader::new(file, metadata, Some(places), None), last: (0, empty.clone()), empty })
    }

    fn read(&mut self, first: u64, rows: u64) -> PolarsResult<DataFrame> {
        let (start, batch) = &self.last;
        let next = start + batch.height() as u64;
        if first < *start || first > next {
            // Not the rows that follow: passes over the record batches before them.
            let before = self.reader.skip_blocks_till_limit(first)?;
            self.last = (first - before, self.empty.clone());
        }
        let mut frame = self.empty.clone();
        while (frame.height() as u64) < rows {
            let (start, batch) = &self.last;
            let at = first + frame.height() as u64;
            let end = start + batch.height() as u64;
            if at < end {
                let length = (rows - frame.height() as u64).min(end - at);
                frame.vstack_mut_owned(batch.slice((at - start) as i64, length as usize))?;
                continue;
            }
            match self.reader.next() {
                Some(batch) => self.last = (end, DataFrame::from(batch?)),
                None => break,
            }
        }
        Ok(frame)
    }
}
