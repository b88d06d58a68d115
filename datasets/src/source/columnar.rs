//! Parquet and Arrow IPC files, whose columns have types and whose rows can be sliced.

use std::path::Path;

use experiment::Format;
use polars::io::ipc::IpcScanOptions;
use polars::prelude::*;

use super::text::{BLOCK_ROWS, Start};
use super::{Found, Physical};

fn scan(path: &Path, format: Format) -> PolarsResult<LazyFrame> {
    let name = path.to_str().ok_or_else(|| polars_err!(ComputeError: "the path is not valid Unicode"))?;
    let path = PlRefPath::new(name);
    match format {
        Format::Ipc => {
            let args = UnifiedScanArgs { glob: false, cache: false, ..Default::default() };
            LazyFrame::scan_ipc(path, IpcScanOptions::default(), args)
        }
        _ => LazyFrame::scan_parquet(path, ScanArgsParquet { glob: false, cache: false, ..Default::default() }),
    }
}

/// The file's columns.
pub(crate) fn discover(path: &Path, format: Format) -> PolarsResult<Vec<Found>> {
    let schema = scan(path, format)?.collect_schema()?;
    let mut found = Vec::new();
    for (name, data_type) in schema.iter() {
        let physical = match physical(data_type) {
            // A list's width is in its values.
            Physical::List(0) => Physical::List(list_width(path, format, name)?),
            physical => physical,
        };
        found.push(Found { name: name.to_string(), physical });
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
    let first = scan(path, format)?.select([col(name)]).slice(0, BLOCK_ROWS as IdxSize).collect()?;
    let lists = first.column(name)?.as_materialized_series().list()?.clone();
    Ok(lists.amortized_iter().flatten().next().map_or(0, |values| values.as_ref().len()))
}

/// Where blocks begin: at row groups, and in large ones again every [`BLOCK_ROWS`] rows.
pub(crate) fn blocks(path: &Path, format: Format) -> PolarsResult<Vec<Start>> {
    let groups: Vec<u64> = match format {
        Format::Ipc => {
            let count = scan(path, format)?.select([len()]).collect()?;
            vec![count.columns()[0].cast(&DataType::UInt64)?.u64()?.get(0).unwrap_or(0)]
        }
        _ => {
            let mut reader = ParquetReader::new(std::fs::File::open(path)?);
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
    scan(path, format)?
        .slice(first as i64, rows as IdxSize)
        .select(wanted.iter().map(|name| col(*name)).collect::<Vec<_>>())
        .collect()
}
