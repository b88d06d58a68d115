//! Datasets on the same files: rows that train in one of them and evaluate in another.

use experiment::SplitName;

use super::features::FittedTable;
use super::table::OpenTable;

/// A warning for each two datasets that differ about rows of a file that both have.
pub(super) fn warnings(tables: &[OpenTable<'_>], fitted: &[FittedTable]) -> Vec<String> {
    let mut warnings = Vec::new();
    for evaluated in 0..tables.len() {
        for trained in (0..tables.len()).filter(|other| *other != evaluated) {
            let (of, with) = (&tables[evaluated], &tables[trained]);
            let shared = of.places.iter().filter_map(|(place, number)| Some((*number, *with.places.get(place)?)));
            let (mut rows, mut files) = (0, Vec::new());
            for (here, there) in shared {
                let (parts, others) = (parts(of, &fitted[evaluated], here), parts(with, &fitted[trained], there));
                let pairs = parts.iter().zip(others);
                let count =
                    pairs.filter(|(part, other)| **part != SplitName::Train && **other == SplitName::Train).count();
                if count > 0 && parts.len() == others.len() {
                    rows += count;
                    files.push(of.files[here].as_str());
                }
            }
            if rows > 0 {
                warnings.push(format!(
                    "{rows} rows of {} train in dataset `{}`, and validate or test in dataset `{}`; give both the same \
                     `split`",
                    crate::summary::quoted(files),
                    with.name,
                    of.name
                ));
            }
        }
    }
    warnings
}

/// The parts of the rows of one file of a table.
fn parts<'a>(table: &OpenTable<'_>, fitted: &'a FittedTable, file: usize) -> &'a [SplitName] {
    let rows = |file: &crate::source::TableFile| file.rows() as usize;
    let start: usize = table.table.files[..file].iter().map(rows).sum();
    &fitted.parts[start..start + rows(&table.table.files[file])]
}
