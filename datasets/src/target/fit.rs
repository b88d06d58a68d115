//! Fits what follows from a task's labels: classes, scales, parameters of the loss, and the loss of
//! the best constant prediction.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use experiment::{Kind, LossRef, Scalar, SplitName, TargetScale, Task};

use super::{Classes, TargetEncoding, TaskPlan, baseline, unscaled};
use crate::column::{Column, ColumnKind};
use crate::exact::Exact;
use crate::number;
use crate::source::notation;
use crate::statistics::Fit;
use crate::summary::{TaskSummary, quoted};

/// Why a target can't be used.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// A key of the task, below `[task.NAME]`.
    Key(&'static str, String),
    /// The value of a target column in a row.
    Cell { column: usize, row: u64, reason: String },
}

/// The most classes of a task.
const CLASSES_MAX: usize = 100_000;

/// A task's target columns over all rows, with the split of each row.
pub(crate) struct Rows<'a> {
    pub names: &'a [String],
    pub kinds: &'a [ColumnKind],
    pub columns: &'a [&'a Column],
    pub splits: &'a [SplitName],
}

/// What follows from the labels of a task.
pub(crate) struct Fitted {
    pub encoding: TargetEncoding,
    /// The task's loss, if some of its parameters follow from the labels.
    pub loss: Option<LossRef>,
    pub untrained_classes: Vec<usize>,
    pub baseline_loss: BTreeMap<SplitName, Exact>,
    pub labelled: BTreeMap<SplitName, u64>,
    pub classes: Vec<(String, BTreeMap<SplitName, u64>)>,
    pub targets_scale: Vec<(f64, f64)>,
    pub warnings: Vec<String>,
}

fn key<T>(key: &'static str, message: impl Into<String>) -> Result<T, Unfit> {
    Err(Unfit::Key(key, message.into()))
}

/// Fits a task.
pub(crate) fn fit(name: &str, task: &Task, rows: &Rows<'_>) -> Result<Fitted, Unfit> {
    for (column, kind) in rows.names.iter().zip(rows.kinds) {
        if let ColumnKind::List { .. } | ColumnKind::Pixels { .. } = kind {
            return key("target", format!("column `{column}` holds lists; a target has one value a row"));
        }
    }
    let parts: Vec<Option<SplitName>> = (0..rows.splits.len())
        .map(|row| rows.columns.iter().all(|c| !c.is_null(row)).then(|| rows.splits[row]))
        .collect();
    let count = |split: SplitName| parts.iter().filter(|part| **part == Some(split)).count() as u64;
    let labelled: BTreeMap<SplitName, u64> = SplitName::ALL.into_iter().map(|split| (split, count(split))).collect();
    if labelled.values().all(|n| *n == 0) {
        let columns = quoted(rows.names.iter().map(String::as_str));
        return key("target", format!("no row has a label: {columns} is null everywhere"));
    }
    if labelled[&SplitName::Train] == 0 {
        return key("target", "no training row has a label");
    }
    if matches!(task.kind, Kind::Binary | Kind::Multiclass) && rows.columns.len() != 1 {
        let message =
            format!("a {} task has one target column; for several columns of 0 and 1 use `multilabel`", task.kind);
        return key("target", message);
    }
    let mut fitted = match task.kind {
        Kind::Regression => regression(name, task, rows, &parts)?,
        Kind::Multiclass => multiclass(name, task, rows, &parts)?,
        Kind::Binary => binary(name, task, rows, &parts)?,
        Kind::Multilabel => multilabel(name, task, rows, &parts)?,
    };
    for split in [SplitName::Validation, SplitName::Test] {
        if labelled[&split] == 0 && rows.splits.contains(&split) {
            fitted.warnings.push(format!("task `{name}`: no {split} row has a label, so it has no {split} results"));
        }
    }
    fitted.labelled = labelled;
    Ok(fitted)
}

fn fitted(encoding: TargetEncoding, baseline: BTreeMap<SplitName, f64>) -> Fitted {
    Fitted {
        encoding,
        loss: None,
        untrained_classes: Vec::new(),
        baseline_loss: baseline.into_iter().map(|(split, loss)| (split, Exact(loss))).collect(),
        labelled: BTreeMap::new(),
        classes: Vec::new(),
        targets_scale: Vec::new(),
        warnings: Vec::new(),
    }
}

/// The task's loss function.
fn loss_of(task: &Task) -> Result<Box<dyn objectives::Loss>, Unfit> {
    task.loss.build(task.kind).map_err(|invalid| Unfit::Key("loss", invalid.to_string()))
}

/// The loss of a classification with the parameters that follow from the training labels, and its
/// function. `names` and `rows` are by output, as [`objectives::loss::Classes`] has them.
fn fitted_loss(
    task: &Task,
    names: &[String],
    rows: &[u64],
    parts: &[Option<SplitName>],
) -> Result<(LossRef, Box<dyn objectives::Loss>), Unfit> {
    let labelled = parts.iter().filter(|part| **part == Some(SplitName::Train)).count() as u64;
    let fitted = loss_of(task)?.fitted(&objectives::loss::Classes { names, rows, labelled });
    let loss = task.loss.clone().with(fitted.map_err(|invalid| Unfit::Key("loss", invalid.message))?);
    let function = loss.build(task.kind).map_err(|invalid| Unfit::Key("loss", invalid.to_string()))?;
    Ok((loss, function))
}

fn regression(name: &str, task: &Task, rows: &Rows<'_>, parts: &[Option<SplitName>]) -> Result<Fitted, Unfit> {
    let loss = loss_of(task)?;
    let scaling = task.target_scale();
    let log1p = scaling == TargetScale::Log1p;
    let outputs = rows.columns.len();
    let mut values = vec![0.0; parts.len() * outputs];
    let mut fit = Fit::new(outputs);
    let mut raw = Fit::new(outputs);
    for (row, part) in parts.iter().enumerate().filter(|(_, part)| part.is_some()) {
        let slot = &mut values[row * outputs..(row + 1) * outputs];
        for (output, column) in rows.columns.iter().enumerate() {
            if matches!(column, Column::Text(_)) {
                let text = column.label(row).unwrap_or_default();
                let written = notation::of_number(text).map_or_else(String::new, |options| {
                    format!(
                        "; if a CSV file writes numbers so, say it with `csv = {{ {} }}`",
                        notation::shown(&options)
                    )
                });
                let reason =
                    format!("`{text}` is not a number; the target of regression `{name}` has numbers only{written}");
                return Err(Unfit::Cell { column: output, row: row as u64, reason });
            }
            let value = column.numbers(row, 1)[0];
            if log1p && value <= -1.0 {
                let reason =
                    format!("{value} has no ln(1 + x), which `target_scale = \"log1p\"` needs; choose another scale");
                return Err(Unfit::Cell { column: output, row: row as u64, reason });
            }
            if let Err(reason) = loss.check_label(value) {
                return Err(Unfit::Cell { column: output, row: row as u64, reason });
            }
            slot[output] = value;
        }
        if *part == Some(SplitName::Train) {
            raw.push(slot);
        }
        slot.iter_mut().for_each(|value| *value = unscaled(*value, log1p));
        if *part == Some(SplitName::Train) {
            fit.push(slot);
        }
    }
    let mut warnings = Vec::new();
    let (mut offset, mut scale) = (Vec::new(), Vec::new());
    for (output, moments) in fit.finish().iter().enumerate() {
        if moments.std() == 0.0 {
            warnings.push(format!("task `{name}`: every training label in `{}` is the same", rows.names[output]));
        }
        let standard = scaling != TargetScale::None;
        offset.push(if standard { moments.mean } else { 0.0 });
        scale.push(if standard && moments.std() > 0.0 { moments.std() } else { 1.0 });
    }
    for slot in values.chunks_exact_mut(outputs) {
        for output in 0..outputs {
            slot[output] = (slot[output] - offset[output]) / scale[output];
        }
    }
    let baseline = baseline::by_split(loss.as_ref(), parts, &values, outputs);
    let targets_scale = raw.finish().iter().map(|m| (m.mean, m.std())).collect();
    Ok(Fitted { targets_scale, warnings, ..fitted(TargetEncoding::Scaled { offset, scale, log1p }, baseline) })
}

/// The distinct values of all labelled rows, in order.
fn classes(column: &Column, parts: &[Option<SplitName>]) -> Result<Classes, Unfit> {
    let too_many = || {
        let message = format!("the column has more than {CLASSES_MAX} values: is this a regression?");
        Unfit::Key("target", message)
    };
    let rows = (0..parts.len()).filter(|row| parts[*row].is_some());
    if let Column::Exact { .. } = column {
        let mut found: BTreeSet<Cow<'_, str>> = BTreeSet::new();
        for row in rows {
            found.extend(column.text(row));
            if found.len() > CLASSES_MAX {
                return Err(too_many());
            }
        }
        let mut found: Vec<String> = found.into_iter().map(Cow::into_owned).collect();
        found.sort_by(|a, b| number::compare(a, b));
        return Ok(Classes::Digits(found));
    }
    if let Column::Number(values) = column {
        let mut found = BTreeSet::new();
        for row in rows {
            // Adding 0 makes one zero of both; bits flipped like this are in numerical order.
            let bits = (values[row] + 0.0).to_bits();
            found.insert(if bits >> 63 == 1 { !bits } else { bits | 1 << 63 });
            if found.len() > CLASSES_MAX {
                return Err(too_many());
            }
        }
        let number = |key: u64| f64::from_bits(if key >> 63 == 1 { key & !(1 << 63) } else { !key });
        return Ok(Classes::Numbers(found.into_iter().map(number).collect()));
    }
    let mut found: BTreeSet<&str> = BTreeSet::new();
    for row in rows {
        found.insert(column.label(row).unwrap_or_default());
        if found.len() > CLASSES_MAX {
            return Err(too_many());
        }
    }
    Ok(Classes::Texts(found.into_iter().map(str::to_owned).collect()))
}

/// The class of every labelled row, and rows by class and split.
fn indices(
    classes: &Classes,
    column: &Column,
    parts: &[Option<SplitName>],
) -> (Vec<usize>, Vec<BTreeMap<SplitName, u64>>) {
    let mut counts =
        vec![SplitName::ALL.into_iter().map(|split| (split, 0)).collect::<BTreeMap<_, _>>(); classes.len()];
    let mut found = vec![0; parts.len()];
    for (row, part) in parts.iter().enumerate() {
        if let (Some(part), Some(class)) = (part, classes.index(column, row)) {
            found[row] = class;
            *counts[class].entry(*part).or_default() += 1;
        }
    }
    (found, counts)
}

fn untrained(name: &str, names: &[String], training: &[u64], warnings: &mut Vec<String>) -> Vec<usize> {
    let classes: Vec<usize> = (0..training.len()).filter(|c| training[*c] == 0).collect();
    if !classes.is_empty() {
        let list = quoted(classes.iter().map(|class| names[*class].as_str()));
        warnings.push(format!("task `{name}`: no training row has class {list}; such rows count as wrong"));
    }
    classes
}

fn multiclass(name: &str, task: &Task, rows: &Rows<'_>, parts: &[Option<SplitName>]) -> Result<Fitted, Unfit> {
    let classes = classes(rows.columns[0], parts)?;
    if classes.len() < 2 {
        return key(
            "target",
            format!(
                "column `{}` has one value, `{}`: there is nothing to tell apart",
                rows.names[0],
                classes.names()[0]
            ),
        );
    }
    let names = classes.names();
    let (found, counts) = indices(&classes, rows.columns[0], parts);
    let training: Vec<u64> = counts.iter().map(|c| c[&SplitName::Train]).collect();
    let (loss, function) = fitted_loss(task, &names, &training, parts)?;
    let values: Vec<f64> = found.into_iter().map(|class| class as f64).collect();
    let baseline = baseline::by_split(function.as_ref(), parts, &values, names.len());
    let mut warnings = Vec::new();
    let untrained_classes = untrained(name, &names, &training, &mut warnings);
    let classes_counted = names.into_iter().zip(counts).collect();
    Ok(Fitted {
        loss: Some(loss),
        untrained_classes,
        classes: classes_counted,
        warnings,
        ..fitted(TargetEncoding::Classes(classes), baseline)
    })
}

fn binary(name: &str, task: &Task, rows: &Rows<'_>, parts: &[Option<SplitName>]) -> Result<Fitted, Unfit> {
    let mut warnings = Vec::new();
    let found = classes(rows.columns[0], parts)?;
    let classes = two_values(&rows.names[0], found, task.positive.as_ref(), rows.kinds[0], name, &mut warnings)?;
    let names = classes.names();
    let (found, counts) = indices(&classes, rows.columns[0], parts);
    let training: Vec<u64> = counts.iter().map(|c| c[&SplitName::Train]).collect();
    let values: Vec<f64> = found.into_iter().map(|class| class as f64).collect();
    let (loss, function) = fitted_loss(task, &names[1..], &training[1..], parts)?;
    let baseline = baseline::by_split(function.as_ref(), parts, &values, 1);
    let untrained_classes = untrained(name, &names, &training, &mut warnings);
    Ok(Fitted {
        loss: Some(loss),
        untrained_classes,
        classes: names.into_iter().zip(counts).collect(),
        warnings,
        ..fitted(TargetEncoding::Binary(classes), baseline)
    })
}

/// The negative and the positive value.
fn two_values(
    column: &str,
    found: Classes,
    positive: Option<&Scalar>,
    kind: ColumnKind,
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<Classes, Unfit> {
    if found.len() > 2 {
        let shown = quoted(found.names().iter().map(String::as_str));
        return key(
            "target",
            format!("column `{column}` has {} values, a binary target has two: {shown}", found.len()),
        );
    }
    // Zeros and ones, and truth values, say it themselves, even where only one of them occurs.
    let whole = match &found {
        Classes::Numbers(values) if values.iter().all(|v| *v == 0.0 || *v == 1.0) => {
            Some(Classes::Numbers(vec![0.0, 1.0]))
        }
        Classes::Texts(_) if kind == ColumnKind::Boolean => {
            Some(Classes::Texts(vec!["false".to_owned(), "true".to_owned()]))
        }
        _ => None,
    };
    let plain = whole.is_some();
    let both = match whole {
        Some(both) => both,
        None if found.len() == 2 => found,
        None => {
            return key(
                "target",
                format!("column `{column}` has one value, `{}`: there is nothing to tell apart", found.names()[0]),
            );
        }
    };
    let names = both.names();
    let wanted = match positive {
        None if plain => return Ok(both),
        None => {
            let second = &names[1];
            warnings.push(format!(
                "task `{name}`: `{second}` in `{column}` counts as 1, as it sorts last; `positive` says which"
            ));
            return Ok(both);
        }
        Some(scalar) => scalar,
    };
    let is_wanted = |class: usize| match (&both, wanted) {
        (Classes::Numbers(_) | Classes::Digits(_), Scalar::Float(number)) => names[class] == number::shown(*number),
        _ => names[class] == wanted.to_string(),
    };
    match (is_wanted(0), is_wanted(1)) {
        (_, true) => Ok(both),
        (true, _) => Ok(match both {
            Classes::Numbers(values) => Classes::Numbers(vec![values[1], values[0]]),
            Classes::Digits(values) => Classes::Digits(vec![values[1].clone(), values[0].clone()]),
            Classes::Texts(values) => Classes::Texts(vec![values[1].clone(), values[0].clone()]),
        }),
        _ => key("positive", format!("column `{column}` has no value `{wanted}`; it has `{}`", names.join("` and `"))),
    }
}

fn multilabel(name: &str, task: &Task, rows: &Rows<'_>, parts: &[Option<SplitName>]) -> Result<Fitted, Unfit> {
    let outputs = rows.columns.len();
    let mut values = vec![0.0; parts.len() * outputs];
    let mut counts = vec![SplitName::ALL.into_iter().map(|split| (split, 0)).collect::<BTreeMap<_, _>>(); outputs];
    for (row, part) in parts.iter().enumerate() {
        let Some(part) = part else { continue };
        for (output, column) in rows.columns.iter().enumerate() {
            let value = match column {
                Column::Text(_) => column.label(row).unwrap_or_default().to_owned(),
                _ => column.numbers(row, 1)[0].to_string(),
            };
            if value != "0" && value != "1" || matches!(column, Column::Text(_)) {
                let reason = format!("`{value}` is not 0 or 1, as the labels of multilabel task `{name}` are");
                return Err(Unfit::Cell { column: output, row: row as u64, reason });
            }
            let positive = value == "1";
            values[row * outputs + output] = f64::from(u8::from(positive));
            *counts[output].entry(*part).or_default() += u64::from(positive);
        }
    }
    let training: Vec<u64> = counts.iter().map(|c| c[&SplitName::Train]).collect();
    let (loss, function) = fitted_loss(task, rows.names, &training, parts)?;
    let baseline = baseline::by_split(function.as_ref(), parts, &values, outputs);
    let mut warnings = Vec::new();
    let untrained_classes = untrained(name, rows.names, &training, &mut warnings);
    let classes = rows.names.iter().cloned().zip(counts).collect();
    Ok(Fitted {
        loss: Some(loss),
        untrained_classes,
        classes,
        warnings,
        ..fitted(TargetEncoding::Indicators, baseline)
    })
}

impl Fitted {
    /// The plan and the summary of the task.
    pub fn into_plan(
        self,
        task: &Task,
        name: &str,
        template: &str,
        feed: (usize, &str),
        columns: Vec<String>,
    ) -> (TaskPlan, TaskSummary) {
        let summary = TaskSummary {
            name: name.to_owned(),
            feed: feed.1.to_owned(),
            kind: task.kind.name().to_owned(),
            targets: columns.clone(),
            labelled: self.labelled,
            classes: self.classes,
            targets_scale: self.targets_scale,
            baseline_loss: self.baseline_loss.iter().map(|(split, loss)| (*split, loss.0)).collect(),
        };
        let plan = TaskPlan {
            name: name.to_owned(),
            template: template.to_owned(),
            feed: feed.0,
            kind: task.kind,
            columns,
            encoding: self.encoding,
            untrained_classes: self.untrained_classes,
            baseline_loss: self.baseline_loss,
            loss: self.loss.unwrap_or_else(|| task.loss.clone()),
            metrics: task.metrics.clone(),
            weight: task.weight,
            head: task.head.clone(),
        };
        (plan, summary)
    }
}
