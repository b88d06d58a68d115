//! `[task.NAME]`.

use indexmap::IndexMap;

use super::{Check, Range, columns, in_range, item, network, require};
use crate::dataset::Dataset;
use crate::fault::{Fault, index_key};
use crate::loss::{ClassWeights, Loss};
use crate::metric::Metric;
use crate::task::{Kind, Scalar, Task};

pub(super) fn check(task: &Task, datasets: &IndexMap<String, Dataset>) -> Check {
    if !datasets.contains_key(&task.dataset) {
        let fault = Fault::value(&["dataset"], format!("there is no dataset `{}`", task.dataset));
        return Err(fault.known(&task.dataset, "datasets", datasets.keys().map(String::as_str)));
    }
    target(task)?;
    in_range(Range::NotNegative, task.weight, &["weight"])?;
    loss(&task.loss, task.kind)?;
    network::check_head(&task.head).map_err(|fault| fault.under("head"))?;
    metrics(task)?;
    if let Some(positive) = &task.positive {
        require(task.kind == Kind::Binary, &["positive"], || of_other_kind(task.kind, "binary"))?;
        let finite = !matches!(positive, Scalar::Float(number) if !number.is_finite());
        require(finite, &["positive"], || format!("must be a value that a row can have, not {positive}"))?;
    }
    if task.target_scale.is_some() {
        require(task.kind == Kind::Regression, &["target_scale"], || of_other_kind(task.kind, "regression"))?;
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

fn loss(loss: &Loss, kind: Kind) -> Check {
    let names = Loss::of_kind(kind);
    if !names.contains(&loss.name()) {
        let fault = Fault::value(&["loss"], format!("`{}` is no loss for tasks of kind {kind}", loss.name()));
        return Err(fault.help(format!("losses of kind {kind}: {}", names.join(", "))));
    }
    let check = match loss {
        Loss::CrossEntropy { label_smoothing, class_weights } => {
            in_range(Range::HalfOpen(0.0, 1.0), *label_smoothing, &["label_smoothing"])
                .and_then(|()| {
                    require(*label_smoothing == 0.0 || kind == Kind::Multiclass, &["label_smoothing"], || {
                        of_other_kind(kind, "multiclass")
                    })
                })
                .and_then(|()| {
                    require(class_weights.is_none() || kind == Kind::Multiclass, &["class_weights"], || {
                        of_other_kind(kind, "multiclass")
                    })
                })
                .and_then(|()| class_weights.as_ref().map_or(Ok(()), check_class_weights))
        }
        Loss::Huber { delta } => in_range(Range::Positive, *delta, &["delta"]),
        Loss::Mse | Loss::Mae => Ok(()),
    };
    check.map_err(|fault| fault.under("loss"))
}

fn check_class_weights(weights: &ClassWeights) -> Check {
    const KEY: &str = "class_weights";
    let values: Vec<(String, f64)> = match weights {
        ClassWeights::Balanced => return Ok(()),
        ClassWeights::List(weights) => {
            weights.iter().enumerate().map(|(index, weight)| (index_key(index), *weight)).collect()
        }
        ClassWeights::ByClass(weights) => weights.iter().map(|(class, weight)| (class.clone(), *weight)).collect(),
    };
    require(!values.is_empty(), &[KEY], || "there is no weight".to_owned())?;
    for (key, weight) in &values {
        in_range(Range::NotNegative, *weight, &[KEY, key])?;
    }
    let all_zero = matches!(weights, ClassWeights::List(weights) if weights.iter().all(|weight| *weight == 0.0));
    require(!all_zero, &[KEY], || "all weights are 0, so there is nothing to learn".to_owned())
}

fn metrics(task: &Task) -> Check {
    let known = Metric::of_kind(task.kind);
    for (index, metric) in task.metrics.iter().enumerate() {
        let path = ["metrics", &index_key(index)];
        if !known.contains(metric) {
            let names: Vec<&str> = known.iter().map(|metric| metric.name()).collect();
            let fault = Fault::value(&path, format!("`{metric}` is no metric of tasks of kind {}", task.kind));
            return Err(fault.help(format!("metrics of kind {}: {}", task.kind, names.join(", "))));
        }
        require(!task.metrics[..index].contains(metric), &path, || format!("`{metric}` is there twice"))?;
    }
    Ok(())
}
