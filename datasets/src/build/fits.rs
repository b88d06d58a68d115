//! Preprocessing in the making: what is learnt of each feature column, of its own table or of all
//! tables that have one of its name (`preprocessing = "shared"`).

use std::collections::BTreeMap;

use experiment::{Loaded, Preprocessing};

use super::table::OpenTable;
use crate::DataError;
use crate::column::{Column, ColumnKind};
use crate::encoding::{Encoding, Feature};
use crate::input::Fit;
use crate::source::key;

/// What is learnt of all feature columns.
pub(super) struct Fits {
    /// By table and column: the number of its fit.
    numbers: BTreeMap<(usize, usize), usize>,
    fits: Vec<Fitting>,
}

/// What is learnt of one column, or of columns of one name.
struct Fitting {
    fit: Box<dyn Fit>,
    /// Training rows that it has seen.
    rows: u64,
    /// Those without a value.
    nulls: u64,
    /// The table and the column where it began.
    first: (usize, usize),
}

/// The encoding of a column, and whether it is the same for all training rows.
pub(super) struct FittedColumn {
    pub encoding: Encoding,
    pub constant: bool,
}

impl Fits {
    /// Begins to learn the features of all tables.
    ///
    /// # Errors
    /// Preprocessing is shared, and columns of one name are read as different kinds.
    pub fn new(loaded: &Loaded, tables: &[OpenTable<'_>]) -> Result<Self, DataError> {
        let shared = loaded.experiment.preprocessing == Preprocessing::Shared;
        let mut fits = Fits { numbers: BTreeMap::new(), fits: Vec::new() };
        for (number, table) in tables.iter().enumerate() {
            for column in &table.features {
                let Some(kind) = table.kinds[*column] else { continue };
                let name = &table.names[*column];
                let known = fits.fits.iter().position(|fitting| {
                    let (other, place) = fitting.first;
                    shared
                        && other != number
                        && tables[other].names[place] == *name
                        && alike(loaded, &tables[other], table)
                });
                let fitting = match known {
                    Some(fitting) => fitting,
                    None => {
                        let fit = table.input.fit(name, kind);
                        fits.fits.push(Fitting { fit, rows: 0, nulls: 0, first: (number, *column) });
                        fits.fits.len() - 1
                    }
                };
                let (other, place) = fits.fits[fitting].first;
                if tables[other].kinds[place] != Some(kind) {
                    return Err(other_kind(loaded, (&tables[other], place), (table, *column)));
                }
                fits.numbers.insert((number, *column), fitting);
            }
        }
        Ok(fits)
    }

    /// Takes a block of a column, which is given by its table and its number there. The rows
    /// `training` of the block are training rows. Columns that are not features are left alone.
    pub fn take(
        &mut self,
        column: (usize, usize),
        block: &Column,
        training: &[usize],
        has_nulls: bool,
    ) -> Result<(), String> {
        let Some(number) = self.numbers.get(&column) else { return Ok(()) };
        let fitting = &mut self.fits[*number];
        fitting.rows += training.len() as u64;
        if has_nulls {
            fitting.nulls += training.iter().filter(|row| block.is_null(**row)).count() as u64;
        }
        fitting.fit.take(block, training)
    }

    /// All rows have come: the features of each table, by column.
    pub fn finish(self, tables: &[OpenTable<'_>]) -> Vec<BTreeMap<usize, (Feature, bool)>> {
        let finish = |Fitting { fit, rows, nulls, .. }: Fitting| {
            let encoding = fit.finish(nulls > 0);
            let constant = encoding.is_constant(nulls == rows);
            FittedColumn { encoding, constant }
        };
        let fitted: Vec<FittedColumn> = self.fits.into_iter().map(finish).collect();
        let mut features = vec![BTreeMap::new(); tables.len()];
        for ((table, column), number) in self.numbers {
            let FittedColumn { encoding, constant } = &fitted[number];
            let kind = tables[table].kinds[column].expect("only columns that can be read are features");
            let feature = Feature { column: tables[table].names[column].clone(), kind, encoding: encoding.clone() };
            features[table].insert(column, (feature, *constant));
        }
        features
    }
}

/// Whether the inputs of two tables learn the same of a column: tables do, and images if all their
/// parameters are equal.
fn alike(loaded: &Loaded, one: &OpenTable<'_>, other: &OpenTable<'_>) -> bool {
    let inputs = |table: &OpenTable<'_>| &loaded.experiment.datasets[table.name].inputs;
    let parameters = |table: &OpenTable<'_>| inputs(table).first().map(|(_, parameters)| parameters);
    let is_table = |table: &OpenTable<'_>| table.input.shape() == experiment::InputShape::Table;
    (is_table(one) && is_table(other)) || parameters(one) == parameters(other)
}

fn other_kind(loaded: &Loaded, first: (&OpenTable<'_>, usize), other: (&OpenTable<'_>, usize)) -> DataError {
    let shown =
        |(table, column): (&OpenTable<'_>, usize)| format!("{} in dataset `{}`", table.shown_kind(column), table.name);
    let name = &other.0.names[other.1];
    let help = match (first.0.kinds[first.1], other.0.kinds[other.1]) {
        (Some(ColumnKind::List { .. }), _) | (_, Some(ColumnKind::List { .. })) => {
            format!("leave it out of one with `features = [\"!{name}\"]`, or rename it")
        }
        _ => format!("say what it is in both with `types = {{ {} = \"number\" }}` or `\"category\"`", key(name)),
    };
    let message =
        format!("preprocessing is shared, but column `{name}` is {} and {}; {help}", shown(first), shown(other));
    loaded.source.error_at(&["dataset", other.0.name], message).into()
}
