//! The pass over a table: fits its features on the training rows, digests the rows of its feeds,
//! and collects the targets.

use std::collections::{BTreeMap, BTreeSet};

use experiment::{Order, SplitName};

use super::digests::{FeedDigester, FeedDigests};
use super::table::{OpenTable, append};
use crate::DataError;
use crate::column::Column;
use crate::encoding::{Encoding, Feature};
use crate::input::Fit;
use crate::passage::{Pass, Passage, Watch};
use crate::split::{Assignment, Index};
use crate::summary::quoted;

/// What was fitted on a table. Columns are numbered as in the files.
pub(super) struct FittedTable {
    pub split: Assignment,
    /// How the training rows are cut into partitions.
    pub order: Order,
    /// By feed on the table.
    pub digests: BTreeMap<usize, FeedDigests>,
    /// The part of each row.
    pub parts: Vec<SplitName>,
    pub features: BTreeMap<usize, Feature>,
    /// The columns that are read as targets, of all rows.
    pub targets: BTreeMap<usize, Column>,
    pub nulls: BTreeMap<usize, u64>,
    pub constant: BTreeSet<usize>,
}

/// What a pass learns of one column that is read.
struct ColumnPass {
    column: usize,
    /// What is known of its training values so far, if it is a feature.
    fitting: Option<Box<dyn Fit>>,
    nulls: u64,
    nulls_in_training: u64,
    /// The column of all rows, if it is a target.
    whole: Option<Column>,
}

/// Fits the features and collects the targets, while another thread digests the rows of the table's
/// feeds.
///
/// What a column comes to depends on its own rows in the file's order alone, so the two threads
/// change no bit of it.
pub(super) fn fit(
    table: &OpenTable<'_>,
    (split, order): (Assignment, Order),
    mut digesters: BTreeMap<usize, FeedDigester>,
    warnings: &mut Vec<String>,
    watch: Watch<'_>,
) -> Result<FittedTable, DataError> {
    let index = Index::new(&split);
    let learn = |column: &usize| ColumnPass {
        column: *column,
        fitting: fitting(table, *column),
        nulls: 0,
        nulls_in_training: 0,
        whole: None,
    };
    let mut passes: Vec<ColumnPass> = table.read.iter().map(learn).collect();
    let wanted: Vec<usize> = (0..table.read.len()).collect();
    let all = table.table.rows();
    table.table.scan(&wanted, 0..all, &mut |first, block| {
        let rows = 0..block.first().map_or(0, Column::len);
        let done = first + rows.end as u64;
        let training: Vec<usize> = rows.filter(|row| index.part(first + *row as u64) == SplitName::Train).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| digesters.values_mut().for_each(|digester| digester.push(first, &block, &index)));
            passes.iter_mut().zip(&block).try_for_each(|(pass, column)| pass.take(column, &training, table))
        })?;
        for (pass, column) in passes.iter_mut().zip(block) {
            if table.targets.contains(&pass.column) {
                append(&mut pass.whole, column);
            }
        }
        watch(Passage { dataset: table.name, pass: Pass::Read, done, all });
        Ok(())
    })?;
    let mut fitted = FittedTable {
        parts: (0..index.rows()).map(|row| index.part(row)).collect(),
        split,
        order,
        digests: digesters.into_iter().map(|(feed, digester)| (feed, digester.finish())).collect(),
        features: BTreeMap::new(),
        targets: BTreeMap::new(),
        nulls: passes.iter().map(|pass| (pass.column, pass.nulls)).collect(),
        constant: BTreeSet::new(),
    };
    for ColumnPass { column, fitting, nulls_in_training, whole, .. } in passes {
        fitted.targets.extend(whole.map(|whole| (column, whole)));
        let Some(fitting) = fitting else { continue };
        let encoding = fitting.finish(nulls_in_training > 0);
        if encoding.is_constant(nulls_in_training == fitted.split.rows(SplitName::Train)) {
            fitted.constant.insert(column);
        }
        let kind = table.kinds[column].expect("only columns that can be read are");
        fitted.features.insert(column, Feature { column: table.names[column].clone(), kind, encoding });
    }
    warn(table, &fitted, warnings);
    Ok(fitted)
}

fn warn(table: &OpenTable<'_>, fitted: &FittedTable, warnings: &mut Vec<String>) {
    let dataset = table.name;
    let constant: Vec<&str> = fitted.constant.iter().map(|column| table.names[*column].as_str()).collect();
    match constant.as_slice() {
        [] => {}
        [name] => warnings
            .push(format!("dataset `{dataset}`: column `{name}` is constant in the training rows; leave it out with `features = [\"!{name}\"]`")),
        names => warnings.push(format!(
            "dataset `{dataset}`: {} columns are constant in the training rows ({}); leave them out with `!` in `features`",
            names.len(),
            quoted(names.iter().copied())
        )),
    }
    let rows = fitted.split.rows(SplitName::Train);
    for feature in fitted.features.values() {
        if let Encoding::Embedding { values, .. } = &feature.encoding
            && 2 * values.len() as u64 > rows
        {
            warnings.push(format!(
                "dataset `{dataset}`: text column `{}` has {} values in {rows} training rows; it looks like an identifier, which does not help on new rows",
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

fn fitting(table: &OpenTable<'_>, column: usize) -> Option<Box<dyn Fit>> {
    let kind = table.kinds[column].filter(|_| table.features.contains(&column))?;
    Some(table.input.fit(&table.names[column], kind))
}

impl ColumnPass {
    /// Takes a block; its rows `training` are training rows.
    fn take(&mut self, block: &Column, training: &[usize], table: &OpenTable<'_>) -> Result<(), DataError> {
        let nulls = (0..block.len()).filter(|row| block.is_null(*row)).count();
        self.nulls += nulls as u64;
        if nulls > 0 {
            self.nulls_in_training += training.iter().filter(|row| block.is_null(**row)).count() as u64;
        }
        let Some(fitting) = &mut self.fitting else { return Ok(()) };
        fitting.take(block, training).map_err(|reason| {
            let column = table.names[self.column].clone();
            DataError::Column { file: table.files[0].clone().into(), column, reason }
        })
    }
}
