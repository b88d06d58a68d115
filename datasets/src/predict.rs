//! New rows for a trained model.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use experiment::CsvOptions;

use crate::column::Column;
use crate::encode::RowEncoder;
use crate::plan::{CHUNK_ROWS, ColumnPlan, FeedPlan};
use crate::source::{Table, extension_format, has_tabs};
use crate::{Batch, DataError, Plan};

/// The rows of a new table in the encoding of a feed, without targets.
#[derive(Debug)]
pub struct Rows<'a> {
    plan: &'a Plan,
    feed: &'a FeedPlan,
    table: Table,
    wanted: Vec<usize>,
    rows: Range<u64>,
}

/// Reads a table that has a feed's feature columns (further columns, targets too, are ignored) and
/// encodes its rows as the plan says, in batches of at most 1,024 rows in the file's order. The
/// format follows from the extension, CSV options are those of the feed's own table.
///
/// # Errors
/// [`DataError`] if the file can't be read or lacks a column. The iterator gives an error for a
/// value that is not what the plan says.
pub fn encode_table<'a>(plan: &'a Plan, feed: usize, path: &Path) -> Result<Rows<'a>, DataError> {
    let feed = plan.feed(feed)?;
    let origin = &plan.tables()[feed.table];
    let fail = |reason: String| DataError::File { file: path.to_owned(), reason };
    let name = path.to_str().ok_or_else(|| fail("the path is not valid Unicode".to_owned()))?.to_owned();
    let format = extension_format(&name).ok_or_else(|| {
        fail("the name has no known extension; rename the file to .csv, .parquet, .ipc or .ndjson".to_owned())
    })?;
    let mut csv = origin.csv.clone();
    if has_tabs(&name) {
        csv.separator = '\t';
    } else if origin.files.iter().all(|file| has_tabs(&file.path)) {
        csv.separator = CsvOptions::default().separator;
    }
    let (mut table, found) = Table::create(&[name], Path::new(""), format, &csv, &|_, _| {})?;
    let names: HashSet<&str> = found.iter().map(|column| column.name.as_str()).collect();
    for feature in &feed.features {
        if !names.contains(feature.column.as_str()) {
            return Err(fail(format!("no column `{}`, which the model takes", feature.column)));
        }
        table.columns.push(ColumnPlan { name: feature.column.clone(), kind: feature.kind });
    }
    let rows = 0..table.rows();
    Ok(Rows { plan, feed, wanted: (0..feed.features.len()).collect(), table, rows })
}

impl Rows<'_> {
    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.table.rows()
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rows.is_empty() {
            return None;
        }
        let rows = self.rows.start..self.rows.end.min(self.rows.start + CHUNK_ROWS);
        self.rows.start = rows.end;
        let mut encoder = RowEncoder::without_targets(self.plan, self.feed, CHUNK_ROWS as usize);
        let read = self.table.scan(&self.wanted, rows, &mut |_, block| {
            let columns: Vec<&Column> = block.iter().collect();
            let rows: Vec<usize> = (0..columns.first().map_or(0, |c| c.len())).collect();
            encoder.push(&columns, &rows);
            Ok(())
        });
        Some(read.map(|()| encoder.finish()))
    }
}
