//! What the types cannot say: ranges, names that refer to each other, keys that exclude each other.
//! Everything here can be judged without the data.

mod cluster;
mod dataset;
mod network;
mod task;
mod train;

use settings::Range;

use crate::experiment::Experiment;
use crate::fault::{Fault, index_key};

type Check = Result<(), Fault>;

/// Refuses an experiment that cannot be.
pub(crate) fn experiment(experiment: &Experiment) -> Check {
    name(experiment)?;
    if experiment.datasets.is_empty() {
        return Err(
            Fault::value(&[], "there is no dataset").help("a dataset is a table [dataset.NAME] with at least a `path`")
        );
    }
    if experiment.tasks.is_empty() {
        let help = "a task is a table [task.NAME] with at least a `dataset`, a `target` and a `kind`";
        return Err(Fault::value(&[], "there is no task").help(help));
    }
    for (name, dataset) in &experiment.datasets {
        block_name("dataset", name)
            .and_then(|()| dataset::check(dataset))
            .map_err(|fault| fault.under(name).under("dataset"))?;
    }
    for (name, task) in &experiment.tasks {
        block_name("task", name)
            .and_then(|()| task::check(task, &experiment.datasets))
            .map_err(|fault| fault.under(name).under("task"))?;
    }
    if let Some(name) =
        experiment.tasks.keys().next().filter(|_| experiment.tasks.values().all(|task| task.weight == 0.0))
    {
        return Err(Fault::value(&["task", name, "weight"], "every task has weight 0, so there is nothing to train"));
    }
    train::check(experiment).map_err(|fault| fault.under("train"))?;
    cluster::check(&experiment.cluster).map_err(|fault| fault.under("cluster"))?;
    cluster::check_tracking(&experiment.tracking).map_err(|fault| fault.under("tracking"))
}

fn require(holds: bool, path: &[&str], message: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(Fault::value(path, message())) }
}

fn in_range(range: Range, value: f64, path: &[&str]) -> Check {
    require(range.contains(value), path, || format!("must be {range}, not {value}"))
}

fn at_least_one(value: impl Into<u64>, path: &[&str]) -> Check {
    require(value.into() >= 1, path, || "must be at least 1, not 0".to_owned())
}

fn between(least: u64, value: u64, most: u64, path: &[&str]) -> Check {
    require((least..=most).contains(&value), path, || {
        format!("must be a whole number from {least} to {most}, not {value}")
    })
}

/// The path of an item of a list. A single one may stand there without a list around it and is
/// named by the list's key.
fn item<'p>(path: &'p [&'p str], list: &[String]) -> &'p [&'p str] {
    if list.len() == 1 { &path[..path.len() - 1] } else { path }
}

/// Names and globs of columns.
fn columns(patterns: &[String], key: &str) -> Check {
    require(!patterns.is_empty(), &[key], || "the list is empty, so it selects no column".to_owned())?;
    for (index, pattern) in patterns.iter().enumerate() {
        let index = index_key(index);
        let path = [key, index.as_str()];
        let path = item(&path, patterns);
        let glob = pattern.strip_prefix('!').unwrap_or(pattern);
        require(!glob.is_empty(), path, || "a column's name is empty".to_owned())?;
        if let Err(error) = globset::Glob::new(glob) {
            return Err(Fault::value(path, format!("`{glob}` is not a glob: {}", error.kind())));
        }
    }
    Ok(())
}

/// Names of datasets and tasks are parts of the names of parameters, metrics and files.
fn block_name(what: &str, name: &str) -> Check {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    require(!name.is_empty() && name.chars().all(allowed), &[], || {
        format!(
            "a {what}'s name has letters from a to z, digits, `_` and `-` only, as it is part of the names of parameters"
        )
    })
}

/// The experiment's name is part of the name of a folder.
fn name(experiment: &Experiment) -> Check {
    const LENGTH_MAX: usize = 100;
    let name = &experiment.name;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let fits = !name.is_empty() && name.len() <= LENGTH_MAX && !name.starts_with('.') && name.chars().all(allowed);
    require(fits, &["name"], || {
        format!(
            "must have 1 to {LENGTH_MAX} letters from a to z, digits, `_`, `-` and `.`, the first of them no `.`, as it is part of the \
             name of the run's folder"
        )
    })
}
