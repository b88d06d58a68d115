//! `[train]`.

use settings::Range;

use super::check::{Check, at_least_one, between, in_range, require};
use crate::experiment::Experiment;
use crate::fault::Fault;
use crate::train::{Criterion, EarlyStopping, TaskCriterion};

/// The most microbatches of a step.
const MICROBATCHES_MAX: u64 = 4096;

/// The most epochs. It keeps the number of steps within a u64.
const EPOCHS_MAX: f64 = 1e6;

pub(super) fn check(experiment: &Experiment) -> Check {
    let train = &experiment.train;
    require(train.steps.is_none() || train.epochs.is_none(), &["epochs"], || {
        "give either `steps` or `epochs`, not both".to_owned()
    })?;
    for (value, path) in [
        (train.steps, &["steps"] as &[&str]),
        (train.evaluate_every, &["evaluate_every"]),
        (train.checkpoint.every, &["checkpoint", "every"]),
    ] {
        if let Some(value) = value {
            at_least_one(value, path)?;
        }
    }
    if let Some(epochs) = train.epochs {
        in_range(Range::LeftOpen(0.0, EPOCHS_MAX), epochs, &["epochs"])?;
    }
    at_least_one(train.batch_size, &["batch_size"])?;
    between(1, train.microbatches.into(), MICROBATCHES_MAX, &["microbatches"])?;
    if let Some(norm) = train.clip_norm {
        in_range(Range::Positive, norm, &["clip_norm"])?;
    }
    if train.schedule.plateau().is_some() {
        criterion(&Criterion::Loss, experiment, &["schedule"])?;
    }
    at_least_one(train.checkpoint.keep, &["checkpoint", "keep"])?;
    if let Some(best) = &train.checkpoint.best {
        criterion(best, experiment, &["checkpoint", "best"])?;
    }
    if let Some(EarlyStopping { metric, patience, min_delta }) = &train.early_stopping {
        criterion(metric, experiment, &["early_stopping", "metric"])?;
        at_least_one(*patience, &["early_stopping", "patience"])?;
        in_range(Range::NotNegative, *min_delta, &["early_stopping", "min_delta"])?;
    }
    Ok(())
}

/// Checks that a criterion names something that is measured, and that there are rows for it.
fn criterion(criterion: &Criterion, experiment: &Experiment, path: &[&str]) -> Check {
    let mut observed: Vec<_> = experiment.tasks.iter().collect();
    if let Criterion::Task { task: name, observed: what } = criterion {
        match experiment.tasks.get(name).filter(|task| task.each_target.is_none()) {
            Some(task) => {
                if let TaskCriterion::Metric(metric) = what
                    && !task.metrics.contains(metric)
                {
                    let mut names = vec!["loss"];
                    names.extend(task.metrics.iter().map(|metric| metric.name()));
                    let fault = Fault::value(path, format!("task `{name}` does not measure `{metric}`"));
                    return Err(fault.known(metric.name(), "metrics of the task", names));
                }
                observed.retain(|(task, _)| *task == name);
            }
            // It may be a task of a template. Its name is a column, which is known only with the
            // data.
            None if experiment.has_templates() => observed.retain(|(_, task)| task.each_target.is_some()),
            None => {
                let known = experiment.tasks.keys().map(String::as_str);
                return Err(Fault::value(path, format!("there is no task `{name}`")).known(name, "tasks", known));
            }
        }
    }
    let without_rows = observed.iter().find(|(_, task)| !experiment.datasets[&task.dataset].has_validation());
    match without_rows {
        Some((name, task)) => {
            let fault = Fault::value(path, format!("task `{name}` has no validation rows to measure `{criterion}` on"));
            Err(fault.help(format!("set dataset.{}.split.validation above 0", task.dataset)))
        }
        None => Ok(()),
    }
}
