//! Checks that types can't express: ranges, names that refer to each other, keys that exclude each
//! other. They need no data.

mod check;
mod cluster;
mod dataset;
mod network;
mod task;
mod train;

use check::{Check, require};

use crate::experiment::Experiment;
use crate::fault::Fault;

/// Refuses an experiment that is impossible.
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
            "must have 1 to {LENGTH_MAX} letters from a to z, digits, `_`, `-` and `.`, and not begin with `.`, as it is part of \
             the name of the run's folder"
        )
    })
}
