//! `[dataset.NAME]`.

use super::{Check, Range, at_least_one, columns, in_range, require};
use crate::dataset::{CsvOptions, Dataset, Format, Paths, Split};
use crate::fault::Fault;

pub(super) fn check(dataset: &Dataset) -> Check {
    match &dataset.path {
        Paths::Files(files) => paths(files, &["path"])?,
        Paths::BySplit { train, validation, test } => {
            paths(train, &["path", "train"])?;
            for (name, files) in [("validation", validation), ("test", test)] {
                if !files.is_empty() {
                    paths(files, &["path", name])?;
                }
            }
            require(dataset.split.column.is_none(), &["split", "column"], || {
                "`path` is a table that gives the files of each part; remove `split.column`".to_owned()
            })?;
        }
    }
    csv(&dataset.csv, dataset.format)?;
    if let Some(features) = &dataset.features {
        columns(features, "features")?;
        require(dataset.inputs.is_empty(), &["features"], || "give either `features` or `input`, not both".to_owned())?;
    }
    inputs(dataset)?;
    split(&dataset.split).map_err(|fault| fault.under("split"))?;
    if let Some(batch_size) = dataset.batch_size {
        at_least_one(batch_size, &["batch_size"])?;
    }
    Ok(())
}

fn inputs(dataset: &Dataset) -> Check {
    let named =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if let Some(name) = dataset.inputs.keys().find(|name| !named(name)) {
        let message = format!("{name:?} can't name an input; use letters, digits, `_` and `-`");
        return Err(Fault::value(&["input", name], message));
    }
    let names: Vec<&str> = dataset.inputs.keys().map(String::as_str).collect();
    require(names.len() <= 1, &["input"], || {
        let listed = names.join("`, `");
        format!("there are {} inputs (`{listed}`), and a dataset can have one for now; keep one of them", names.len())
    })
}

fn paths(files: &[String], path: &[&str]) -> Check {
    require(!files.is_empty(), path, || "the list is empty; name at least one file".to_owned())?;
    require(files.iter().all(|file| !file.is_empty()), path, || "a path is empty".to_owned())
}

fn csv(csv: &CsvOptions, format: Option<Format>) -> Check {
    let separator = csv.separator;
    let fits = separator.is_ascii() && !matches!(separator, '"' | '\n' | '\r' | '\0');
    require(fits, &["csv", "separator"], || {
        format!("must be one ASCII character other than a quote or the end of a line, not {separator:?}")
    })?;
    match format {
        None | Some(Format::Csv) => Ok(()),
        Some(format) => require(csv.is_default(), &["csv"], || {
            format!("`csv` options have no effect: this dataset's format is `{}`; remove them", format.name())
        }),
    }
}

fn split(split: &Split) -> Check {
    for (key, share) in [("validation", split.validation), ("test", split.test)] {
        in_range(Range::HalfOpen(0.0, 1.0), share, &[key])?;
    }
    let (validation, test) = (split.validation, split.test);
    require(validation + test < 1.0, &[], || {
        format!("validation = {validation} and test = {test} leave no rows to train with; their sum must be below 1")
    })?;
    let ways = [("stratify", &split.stratify), ("group", &split.group), ("by", &split.by), ("column", &split.column)];
    let mut given = ways.iter().filter_map(|(key, column)| column.as_ref().map(|column| (*key, column)));
    if let (Some((first, _)), Some((second, _))) = (given.next(), given.next()) {
        return Err(Fault::value(&[second], format!("can't be combined with `{first}`"))
            .help("give at most one of stratify, group, by, column"));
    }
    match ways.iter().find(|(_, column)| column.as_ref().is_some_and(String::is_empty)) {
        Some((key, _)) => Err(Fault::value(&[key], "a column's name is empty")),
        None => Ok(()),
    }
}
