//! Fitting features on the training rows, and collecting the targets, in one pass over a table.

use std::collections::{BTreeMap, BTreeSet};

use experiment::SplitName;

use super::table::{Opened, append};
use crate::DataError;
use crate::column::Column;
use crate::encoding::{EMBEDDING_LIMIT, Encoding, Feature};
use crate::plan::ColumnKind;
use crate::split::{Assignment, Index};
use crate::statistics::Fit;

/// What was fitted on a table. Columns are numbered as in the files.
pub(super) struct FittedTable {
    pub split: Assignment,
    pub index: Index,
    /// The part of each row.
    pub parts: Vec<SplitName>,
    pub features: BTreeMap<usize, Feature>,
    /// The columns that are read as targets, of all rows.
    pub targets: BTreeMap<usize, Column>,
    pub nulls: BTreeMap<usize, u64>,
    pub constant: BTreeSet<usize>,
}

/// What is known of a column's training values so far.
enum Fitting {
    Numbers(Fit),
    Labels(BTreeSet<String>),
    /// The column is no feature.
    Nothing,
}

/// Fits the features, and collects the targets.
pub(super) fn fit(table: &Opened<'_>, split: Assignment, warnings: &mut Vec<String>) -> Result<FittedTable, DataError> {
    let index = Index::new(&split);
    let mut fittings: Vec<(Fitting, bool)> = table.read.iter().map(|column| (fitting(table, *column), false)).collect();
    let mut nulls = vec![0; table.read.len()];
    let mut whole: Vec<Option<Column>> = table.read.iter().map(|_| None).collect();
    let wanted: Vec<usize> = (0..table.read.len()).collect();
    table.table.scan(&wanted, 0..table.table.rows(), &mut |first, block| {
        for (place, column) in block.into_iter().enumerate() {
            let (fitting, null_in_training) = &mut fittings[place];
            for row in 0..column.len() {
                let null = column.is_null(row);
                nulls[place] += u64::from(null);
                if index.part(first + row as u64) == SplitName::Train {
                    *null_in_training |= null;
                    take(fitting, &column, row, table, table.read[place])?;
                }
            }
            if table.targets.contains(&table.read[place]) {
                append(&mut whole[place], column);
            }
        }
        Ok(())
    })?;
    let mut fitted = FittedTable {
        parts: (0..index.rows()).map(|row| index.part(row)).collect(),
        split,
        index,
        features: BTreeMap::new(),
        targets: BTreeMap::new(),
        nulls: table.read.iter().copied().zip(nulls).collect(),
        constant: BTreeSet::new(),
    };
    for (place, (fitting, null_in_training)) in fittings.into_iter().enumerate() {
        let column = table.read[place];
        fitted.targets.extend(whole[place].take().map(|whole| (column, whole)));
        let Some(encoding) = encoding(fitting, null_in_training) else { continue };
        if is_constant(&encoding) {
            fitted.constant.insert(column);
        }
        let kind = table.kinds[column].expect("only columns that can be read are");
        fitted.features.insert(column, Feature { column: table.names[column].clone(), kind, encoding });
    }
    warn(table, &fitted, warnings);
    Ok(fitted)
}

fn warn(table: &Opened<'_>, fitted: &FittedTable, warnings: &mut Vec<String>) {
    let dataset = table.name;
    let constant: Vec<&str> = fitted.constant.iter().map(|column| table.names[*column].as_str()).collect();
    match constant.as_slice() {
        [] => {}
        [name] => warnings
            .push(format!("dataset `{dataset}`: column `{name}` has one value in all training rows: it tells nothing")),
        names => {
            let more = if names.len() > 8 { ", ..." } else { "" };
            let shown = names[..names.len().min(8)].join("`, `");
            warnings.push(format!(
                "dataset `{dataset}`: {} columns have one value in all training rows and tell nothing: `{shown}`{more}",
                names.len()
            ));
        }
    }
    let rows = fitted.split.rows(SplitName::Train);
    for feature in fitted.features.values() {
        if let Encoding::Embedding { values, .. } = &feature.encoding
            && 2 * values.len() as u64 > rows
        {
            warnings.push(format!(
                "dataset `{dataset}`: text column `{}` has {} values in {rows} training rows; an identifier tells nothing of new rows",
                feature.column,
                values.len()
            ));
        }
    }
    for split in [SplitName::Validation, SplitName::Test] {
        if fitted.split.rows(split) == 0 {
            warnings.push(format!("dataset `{dataset}` has no {split} rows"));
        }
    }
}

fn fitting(table: &Opened<'_>, column: usize) -> Fitting {
    match table.kinds[column] {
        _ if !table.features.contains(&column) => Fitting::Nothing,
        Some(ColumnKind::List { width }) => Fitting::Numbers(Fit::new(width)),
        Some(ColumnKind::Number) => Fitting::Numbers(Fit::new(1)),
        _ => Fitting::Labels(BTreeSet::new()),
    }
}

fn take(
    fitting: &mut Fitting,
    values: &Column,
    row: usize,
    table: &Opened<'_>,
    column: usize,
) -> Result<(), DataError> {
    match fitting {
        Fitting::Nothing => {}
        Fitting::Numbers(fit) => {
            let width = if let Column::List { width, .. } = values { *width } else { 1 };
            fit.push(values.numbers(row, width));
        }
        Fitting::Labels(labels) => {
            let Some(label) = values.label(row) else { return Ok(()) };
            if labels.contains(label) {
                return Ok(());
            }
            if labels.len() == EMBEDDING_LIMIT {
                let name = table.names[column].clone();
                let reason = format!(
                    "more than {EMBEDDING_LIMIT} values in the training rows: an identifier? `features = [\"!{name}\"]` leaves it out"
                );
                return Err(DataError::Column { file: table.files[0].clone().into(), column: name, reason });
            }
            labels.insert(label.to_owned());
        }
    }
    Ok(())
}

fn encoding(fitting: Fitting, null_in_training: bool) -> Option<Encoding> {
    Some(match fitting {
        Fitting::Nothing => return None,
        Fitting::Numbers(fit) => {
            let moments = fit.finish();
            Encoding::Standard {
                mean: moments.iter().map(|m| m.mean).collect(),
                deviation: moments.iter().map(|m| m.deviation()).collect(),
                indicator: null_in_training,
            }
        }
        Fitting::Labels(labels) => Encoding::of_values(labels.into_iter().collect(), null_in_training),
    })
}

fn is_constant(encoding: &Encoding) -> bool {
    match encoding {
        Encoding::Standard { deviation, indicator, .. } => !indicator && deviation.iter().all(|d| *d == 0.0),
        Encoding::OneHot { values, indicator } => values.len() + usize::from(*indicator) <= 1,
        Encoding::Embedding { .. } => false,
    }
}
