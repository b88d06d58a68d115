//! `split = { file = .. }`: a table that names the part of each row, as `trunkline check
//! --export-split` writes it.

use experiment::{CsvOptions, Format, Loaded, SplitName};

use super::table::OpenTable;
use crate::DataError;
use crate::column::ColumnKind;
use crate::plan::ColumnPlan;
use crate::source::{Table, extension_format, has_tabs};

/// The part of each row of a dataset, as the table in `file` says. Its rows may be in any order.
///
/// # Errors
/// The file can't be read, or does not name each row of the dataset once.
pub(super) fn read(file: &str, table: &OpenTable<'_>, loaded: &Loaded) -> Result<Vec<SplitName>, DataError> {
    let key = ["dataset", table.name, "split", "file"];
    let refuse = |message: String| Err(DataError::from(loaded.source.error_at(&key, message)));
    let format = extension_format(file).unwrap_or(Format::Csv);
    let mut csv = CsvOptions::default();
    if has_tabs(file) {
        csv.separator = '\t';
    }
    let created = Table::create(&[file.to_owned()], &loaded.base, format, &csv, &|_, _| {});
    let (mut listed, found) = match created {
        Err(error @ DataError::File { .. }) => return refuse(error.to_string()),
        created => created?,
    };
    let has = |name: &str| found.iter().any(|column| column.name == name);
    if let Some(missing) = ["row", "part"].into_iter().find(|name| !has(name)) {
        return refuse(format!(
            "`{file}` has no column `{missing}`; it needs `row` (from 1) and `part` (`train`, `validation` or `test`), \
             and `dataset` if it is for several"
        ));
    }
    let column = |name: &str, kind| ColumnPlan { name: name.to_owned(), kind };
    listed.columns = vec![column("row", ColumnKind::Number), column("part", ColumnKind::Text)];
    if has("dataset") {
        listed.columns.push(column("dataset", ColumnKind::Text));
    }
    let wanted: Vec<usize> = (0..listed.columns.len()).collect();
    let rows = table.table.rows();
    let mut parts: Vec<Option<SplitName>> = vec![None; rows as usize];
    listed.scan(&wanted, 0..listed.rows(), &mut |first, block| {
        for line in 0..block[0].len() {
            if block.get(2).is_some_and(|dataset| dataset.label(line) != Some(table.name)) {
                continue;
            }
            let wrong = |column: &str, reason: String| Err(listed.cell_error(first + line as u64, column, reason));
            let number = block[0].numbers(line, 1)[0];
            if number == 0.0 {
                return wrong("row", "rows are counted from 1".to_owned());
            }
            if !(1.0..=rows as f64).contains(&number) || number.fract() != 0.0 {
                let number = if number.is_nan() { "null".to_owned() } else { number.to_string() };
                return wrong("row", format!("dataset `{}` has rows 1 to {rows}, not {number}", table.name));
            }
            let Some(part) = SplitName::named(block[1].label(line).unwrap_or_default()) else {
                let part = block[1].label(line).unwrap_or("null");
                return wrong("part", format!("`{part}` is not `train`, `validation` or `test`"));
            };
            if parts[number as usize - 1].replace(part).is_some() {
                return wrong("row", format!("row {number} of dataset `{}` is named twice", table.name));
            }
        }
        Ok(())
    })?;
    let missing = parts.iter().filter(|part| part.is_none()).count();
    match parts.iter().position(Option::is_none) {
        Some(_) if missing as u64 == rows => refuse(format!("`{file}` names no row of dataset `{}`", table.name)),
        Some(first) => refuse(format!(
            "`{file}` lacks {missing} of the {rows} rows of dataset `{}`, the first of them row {}; name each row once",
            table.name,
            first + 1
        )),
        None => Ok(parts.into_iter().flatten().collect()),
    }
}
