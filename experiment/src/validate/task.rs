//! `[task.NAME]`.

use indexmap::IndexMap;
use objectives::{Kind, MetricRef, loss};

use settings::Range;

use super::check::{Check, columns, in_range, item, require};
use super::network;
use crate::dataset::Dataset;
use crate::fault::{Fault, index_key};
use crate::loss::LossRef;
use crate::task::{Scalar, TargetScale, Task};

pub(super) fn check(task: &Task, datasets: &IndexMap<String, Dataset>) -> Check {
    if !datasets.contains_key(&task.dataset) {
        let fault = Fault::value(&["dataset"], format!("there is no dataset `{}`", task.dataset));
        return Err(fault.known(&task.dataset, "datasets", datasets.keys().map(String::as_str)));
    }
    target(task)?;
    in_range(Range::NotNegative, task.weight, &["weight"])?;
    check_loss(&task.loss, task.kind)?;
    network::check_head(&task.head).map_err(|fault| fault.under("head"))?;
    metrics(task)?;
    if let Some(positive) = &task.positive {
        require(task.kind == Kind::Binary, &["positive"], || of_other_kind(task.kind, "binary"))?;
        let finite = !matches!(positive, Scalar::Float(number) if !number.is_finite());
        require(finite, &["positive"], || format!("must be a value that a row can have, not {positive}"))?;
    }
    if let Some(scale) = task.target_scale {
        check_target_scale(task, scale)?;
    }
    match &task.features {
        Some(features) => columns(features, "features"),
        None => Ok(()),
    }
}

fn of_other_kind(kind: Kind, fits: &str) -> String {
    format!("is for tasks of kind {fits} only, and this one is {kind}")
}

fn target(task: &Task) -> Check {
    match (&task.target, &task.each_target) {
        (None, None) => Err(Fault::missing(&[], "target")
            .help("`target` is a column or a list of columns; `each_target` makes a task of each column")),
        (Some(_), Some(_)) => Err(Fault::value(&["each_target"], "goes without `target`, and this task has both")),
        (None, Some(patterns)) => columns(patterns, "each_target"),
        (Some(target), None) => {
            require(!target.is_empty(), &["target"], || "the list is empty, so there is no target".to_owned())?;
            for (index, column) in target.iter().enumerate() {
                let index_key = index_key(index);
                let path = ["target", &index_key];
                let path = item(&path, target);
                require(!column.is_empty(), path, || "a column's name is empty".to_owned())?;
                require(!target[..index].contains(column), path, || format!("`{column}` is there twice"))?;
            }
            let one = matches!(task.kind, Kind::Binary | Kind::Multiclass);
            require(!one || target.len() == 1, &["target"], || {
                format!("a task of kind {} has one column as its target, not {}", task.kind, target.len())
            })
            .map_err(|fault| {
                fault.help("several columns are for regression and multilabel; `each_target` makes a task of each")
            })
        }
    }
}

fn check_loss(loss: &LossRef, kind: Kind) -> Check {
    if !loss.fits(kind) {
        let names: Vec<&str> = loss::of_kind(kind).map(|entry| entry.name).collect();
        let fault = Fault::value(&["loss"], format!("`{}` is not a loss for tasks of kind {kind}", loss.name()));
        return Err(fault.help(format!("losses of kind {kind}: {}", names.join(", "))));
    }
    loss.build(kind).map(drop).map_err(|invalid| Fault::from(invalid).under("loss"))
}

fn check_target_scale(task: &Task, scale: TargetScale) -> Check {
    require(task.kind == Kind::Regression, &["target_scale"], || of_other_kind(task.kind, "regression"))?;
    require(scale == TargetScale::None || !task.loss.is_unscaled(), &["target_scale"], || {
        let name = task.loss.name();
        format!("loss `{name}` takes labels in the target's own units; set it to \"none\" or leave it out")
    })
}

fn metrics(task: &Task) -> Check {
    let known = MetricRef::of_kind(task.kind);
    for (index, metric) in task.metrics.iter().enumerate() {
        let path = ["metrics", &index_key(index)];
        if !known.contains(metric) {
            let names: Vec<&str> = known.iter().map(|metric| metric.name()).collect();
            let fault = Fault::value(&path, format!("`{metric}` is not a metric of tasks of kind {}", task.kind));
            return Err(fault.help(format!("metrics of kind {}: {}", task.kind, names.join(", "))));
        }
        require(!task.metrics[..index].contains(metric), &path, || format!("`{metric}` is there twice"))?;
    }
    Ok(())
}
