//! Parquet and Arrow IPC files, whose columns have types and whose rows can be sliced.

use std::fs::File;
use std::path::Path;

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
        let bytes = data_type.inner_dtype() == Some(&DataType::UInt8);
        found.push(Found { name: name.to_string(), physical, bytes });
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
    let file = File::open(path)?;
    match format {
        Format::Ipc => read_ipc(file, wanted, first, rows),
        _ => ParquetReader::new(file)
            .with_columns(Some(wanted.iter().map(|name| (*name).to_owned()).collect()))
            .with_slice(Some((first as usize, rows as usize)))
            .finish(),
    }
}

/// Polars' own reader begins at the first row; this one passes over the record batches before
/// `first`.
fn read_ipc(mut file: File, wanted: &[&str], first: u64, rows: u64) -> PolarsResult<DataFrame> {
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
    let mut frame = DataFrame::empty_with_schema(&Schema::from_arrow_schema(&schema));
    let mut reader = FileReader::new(file, metadata, Some(places), None);
    let before = reader.skip_blocks_till_limit(first)?;
    for batch in reader {
        frame.vstack_mut_owned(DataFrame::from(batch?))?;
        if frame.height() as u64 >= before + rows {
            break;
        }
    }
    Ok(frame.slice(before as i64, rows as usize))
}
