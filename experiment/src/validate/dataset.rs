//! `[dataset.NAME]`.

use settings::Range;

use super::check::{Check, at_least_one, columns, in_range, require};
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
            let split = &dataset.split;
            let given =
                [("column", split.column.is_some()), ("file", split.file.is_some()), ("folds", split.folds.is_some())];
            for (key, given) in given {
                require(!given, &["split", key], || {
                    format!("`path` is a table that gives the files of each part; remove `split.{key}`")
                })?;
            }
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
    require(matches!(csv.decimal, '.' | ','), &["csv", "decimal"], || {
        format!("must be \".\" or \",\", not {:?}", csv.decimal.to_string())
    })?;
    if let Some(mark) = csv.thousands {
        let fits = CsvOptions::THOUSANDS.contains(&mark) && mark != csv.decimal;
        require(fits, &["csv", "thousands"], || {
            format!(
                "must be a full stop, a comma, a blank, `'` or `_`, and another mark than `decimal`, not {:?}",
                mark.to_string()
            )
        })?;
    }
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
    match split.folds {
        Some(folds) => check_folds(split, folds)?,
        None => require(validation + test < 1.0, &[], || {
            format!(
                "validation = {validation} and test = {test} leave no rows to train with; their sum must be below 1"
            )
        })?,
    }
    require(split.fold.is_none() || split.folds.is_some(), &["fold"], || {
        "`folds` is missing; give the number of folds, of which this one tests".to_owned()
    })?;
    let ways = [
        ("stratify", &split.stratify),
        ("group", &split.group),
        ("by", &split.by),
        ("column", &split.column),
        ("file", &split.file),
    ];
    let mut given = ways.iter().filter_map(|(key, name)| name.as_ref().map(|name| (*key, name)));
    if let (Some((first, _)), Some((second, _))) = (given.next(), given.next()) {
        return Err(Fault::value(&[second], format!("can't be combined with `{first}`"))
            .help("give at most one of stratify, group, by, column, file"));
    }
    if let Some((key, _)) = ways.iter().find(|(_, name)| name.as_ref().is_some_and(String::is_empty)) {
        let what = if *key == "file" { "a path is empty" } else { "a column's name is empty" };
        return Err(Fault::value(&[key], what));
    }
    let Some(format) = &split.by_format else { return Ok(()) };
    require(split.by.is_some(), &["by_format"], || {
        "`by` is missing; give the column whose values are written like this".to_owned()
    })?;
    require(format.contains('%') || [Split::NUMBER, Split::TEXT].contains(&format.as_str()), &["by_format"], || {
        format!(
            "must be `\"{}\"`, `\"{}\"` or a date's form such as `\"%m/%d/%Y\"`, not {format:?}",
            Split::NUMBER,
            Split::TEXT
        )
    })
}

fn check_folds(split: &Split, folds: u32) -> Check {
    require(folds >= 2, &["folds"], || format!("must be at least 2, not {folds}"))?;
    let Some(fold) = split.fold else {
        return Err(Fault::missing(&[], "fold").help(format!("say which fold tests, from 0 to {}", folds - 1)));
    };
    require(fold < folds, &["fold"], || {
        format!("must be from 0 to {}, as there are {folds} folds, not {fold}", folds - 1)
    })?;
    for (key, given) in [("by", &split.by), ("column", &split.column), ("file", &split.file)] {
        require(given.is_none(), &[key], || {
            "can't be combined with `folds`, which go with `stratify` or `group` only".to_owned()
        })?;
    }
    let test = 1.0 / f64::from(folds);
    require(split.validation + test < 1.0, &["validation"], || {
        format!(
            "{} and the fold that tests leave no rows to train with; give less than {}",
            split.validation,
            1.0 - test
        )
    })
}
