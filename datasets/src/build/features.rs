//! The pass over a table: learns its features from the training rows, digests the rows of its
//! feeds, looks for equal rows, and collects the targets.

use std::collections::{BTreeMap, BTreeSet};

use experiment::{Order, SplitName};

use super::digests::{FeedDigester, FeedDigests};
use super::equal_rows::{Equal, EqualRows};
use super::fits::Fits;
use super::table::{OpenTable, append};
use crate::DataError;
use crate::column::Column;
use crate::encoding::{Encoding, Feature};
use crate::passage::{Pass, Passage, Watch};
use crate::plan::TablePlan;
use crate::source::{key, notation};
use crate::split::{Assignment, Index};
use crate::summary::{BySummary, quoted};

/// What was read of a table. Columns are numbered as in the files.
pub(super) struct FittedTable {
    pub split: Assignment,
    /// Of a split by a column: where the parts begin and end.
    pub by: Option<BySummary>,
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
    /// Rows that evaluate what an earlier part has too.
    equal_rows: Vec<Equal>,
}

impl FittedTable {
    /// The table as the plan has it.
    pub fn plan(&self, table: &OpenTable<'_>) -> TablePlan {
        TablePlan {
            name: table.name.to_owned(),
            format: table.table.format,
            csv: table.table.csv.clone(),
            files: table.table.file_plans(),
            columns: table.table.columns.clone(),
            split: self.split.clone(),
            split_seed: table.seed,
        }
    }
}

/// What a pass learns of one column that is read.
struct ColumnPass {
    column: usize,
    nulls: u64,
    /// The column of all rows, if it is a target.
    whole: Option<Column>,
}

/// How a table's rows are divided.
pub(super) struct Division {
    pub split: Assignment,
    /// Of a split by a column: where the parts begin and end.
    pub by: Option<BySummary>,
    /// How the training rows are cut into partitions.
    pub order: Order,
}

/// Reads a table: learns its features, collects the targets, and on other threads digests the rows
/// of its feeds and looks for equal rows. [`finish`] adds the features.
///
/// What a column comes to depends on its own rows in the file's order alone, so the threads change
/// no bit of it.
pub(super) fn read(
    (table, number): (&OpenTable<'_>, usize),
    Division { split, by, order }: Division,
    mut digesters: BTreeMap<usize, FeedDigester>,
    fits: &mut Fits,
    watch: Watch<'_>,
) -> Result<FittedTable, DataError> {
    let index = Index::new(&split);
    let learn = |column: &usize| ColumnPass { column: *column, nulls: 0, whole: None };
    let mut passes: Vec<ColumnPass> = table.read.iter().map(learn).collect();
    let wanted: Vec<usize> = (0..table.read.len()).collect();
    let used = |place: &usize| [&table.features, &table.targets].iter().any(|set| set.contains(&table.read[*place]));
    let mut equal_rows = EqualRows::new(wanted.iter().copied().filter(used).collect());
    let all = table.table.rows();
    table.table.scan(&wanted, 0..all, &mut |first, block| {
        let rows = 0..block.first().map_or(0, Column::len);
        let done = first + rows.end as u64;
        let training: Vec<usize> = rows.filter(|row| index.part(first + *row as u64) == SplitName::Train).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| digesters.values_mut().for_each(|digester| digester.push(first, &block, &index)));
            scope.spawn(|| equal_rows.push(first, &block, &index));
            passes.iter_mut().zip(&block).try_for_each(|(pass, column)| {
                let nulls = (0..column.len()).filter(|row| column.is_null(*row)).count() as u64;
                pass.nulls += nulls;
                fits.take((number, pass.column), column, &training, nulls > 0).map_err(|reason| {
                    let column = table.names[pass.column].clone();
                    DataError::Column { file: table.files[0].clone().into(), column, reason }
                })
            })
        })?;
        for (pass, column) in passes.iter_mut().zip(block) {
            if table.targets.contains(&pass.column) {
                append(&mut pass.whole, column);
            }
        }
        watch(Passage { dataset: table.name, pass: Pass::Read, done, all });
        Ok(())
    })?;
    let nulls = passes.iter().map(|pass| (pass.column, pass.nulls)).collect();
    let targets = passes.into_iter().filter_map(|pass| Some((pass.column, pass.whole?))).collect();
    Ok(FittedTable {
        parts: (0..index.rows()).map(|row| index.part(row)).collect(),
        split,
        by,
        order,
        digests: digesters.into_iter().map(|(feed, digester)| (feed, digester.finish())).collect(),
        features: BTreeMap::new(),
        targets,
        nulls,
        constant: BTreeSet::new(),
        equal_rows: equal_rows.finish(),
    })
}

/// Gives all tables their features, once all are read.
pub(super) fn finish(fits: Fits, tables: &[OpenTable<'_>], fitted: &mut [FittedTable], warnings: &mut Vec<String>) {
    for ((table, fitted), features) in tables.iter().zip(fitted).zip(fits.finish(tables)) {
        for (column, (feature, constant)) in features {
            fitted.features.insert(column, feature);
            if constant {
                fitted.constant.insert(column);
            }
        }
        warn(table, fitted, warnings);
    }
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
    for (column, options) in table.written_as.iter().filter(|(column, _)| fitted.features.contains_key(column)) {
        let name = &table.names[*column];
        warnings.push(format!(
            "dataset `{dataset}`: column `{name}` is read as text, but looks like numbers: write `csv = {{ {} }}` if it \
             holds numbers, else `types = {{ {} = \"category\" }}`",
            notation::shown(options),
            key(name)
        ));
    }
    for split in [SplitName::Validation, SplitName::Test] {
        if fitted.split.rows(split) == 0 {
            warnings.push(format!("dataset `{dataset}` has no {split} rows"));
        }
    }
    for Equal { part, other, rows, estimated } in &fitted.equal_rows {
        let about = if *estimated { "about " } else { "" };
        warnings.push(format!(
            "dataset `{dataset}`: {about}{rows} of {} {part} rows are equal to {} rows in all features and targets",
            fitted.split.rows(*part),
            other.called()
        ));
    }
}
