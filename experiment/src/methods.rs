//! Tables whose keys depend on one of them: optimizer, schedule, robust sum and weighting.
//! `aggregation` reads them itself, so that a method and its parameters have one source, and says
//! what it refuses as an [`Invalid`]; here that becomes a [`Fault`].

use aggregation::weighting::Need;
use aggregation::{Optimizer, Robust, Schedule, Weighting};
use settings::Invalid;
use settings::Table as Parameters;
use toml::{Table, Value};

use crate::decode::decode;
use crate::experiment::Experiment;
use crate::fault::{Complaint, Fault};
use crate::network::Misfit;

/// A table of optimizer or schedule without `kind` changes the default one:
/// `--set train.optimizer.learning_rate=0.1` works on a file that says nothing about the optimizer.
pub(crate) fn name_default_kinds(table: &mut Table) {
    let Some(train) = table.get_mut("train").and_then(Value::as_table_mut) else { return };
    for (key, kind) in [("optimizer", Optimizer::default().kind()), ("schedule", "constant")] {
        if let Some(table) = train.get_mut(key).and_then(Value::as_table_mut) {
            table.entry("kind").or_insert_with(|| kind.into());
        }
    }
    // `robust = "median"` is short for a table with the defaults of that kind.
    if let Some(value) = train.get_mut("robust")
        && value.is_str()
    {
        let kind = std::mem::replace(value, Value::Table(Table::new()));
        *value = Value::Table(Table::from_iter([("kind".to_owned(), kind)]));
    }
}

/// A robust sum has to fit the number of microbatches, and the weighting.
pub(crate) fn check_robust(experiment: &Experiment) -> Result<(), Fault> {
    let Some(robust) = &experiment.train.robust else { return Ok(()) };
    let path = ["train", "robust"];
    if experiment.weighting.needs().contains(&Need::GramianCross) {
        let method = experiment.weighting.method();
        let message = format!(
            "`{method}` needs the gradients of two halves of the microbatches, of which there is no robust sum"
        );
        return Err(Fault::value(&path, message).help("leave `robust` out, or choose another `weighting.method`"));
    }
    robust
        .check(experiment.train.microbatches)
        .map_err(|Invalid { key, message, .. }| Fault::value(&path, message).at_key(&key))
}

/// The weighting has to fit the tasks, as far as their names are known without the data.
pub(crate) fn check_weighting(experiment: &Experiment, table: &Table) -> Result<(), Fault> {
    if experiment.has_templates() {
        return Ok(());
    }
    let tasks: Vec<&str> = experiment.tasks.keys().map(String::as_str).collect();
    let empty = Table::new();
    let table = table.get("weighting").and_then(Value::as_table).unwrap_or(&empty);
    experiment.weighting.build(&tasks).map(drop).map_err(|invalid| located(invalid, table, &["weighting"]))
}

/// Optimizer, schedule, robust sum and weighting read their tables themselves and say what they
/// refuse as an [`Invalid`], of which serde leaves the text only. Asked again for it, they give the
/// key and the names they know.
pub(crate) fn explained(fault: Fault, table: &Table) -> Fault {
    let path: Vec<&str> = fault.path.iter().map(String::as_str).collect();
    let invalid = match path[..] {
        ["train", "optimizer"] => again::<Optimizer>(table, &path),
        ["train", "schedule"] => again::<Schedule>(table, &path),
        ["train", "robust"] => again::<Robust>(table, &path),
        ["weighting"] => again::<Weighting>(table, &path),
        _ => None,
    };
    match invalid {
        Some((invalid, table)) if matches!(fault.complaint, Complaint::Value(_)) => located(invalid, table, &path),
        _ => fault,
    }
}

/// What the model refuses of one of its parts, as a fault of its key.
pub(crate) fn misfit(misfit: Misfit, table: &Table) -> Fault {
    let Misfit { path, invalid } = misfit;
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let mut given = table.get(path[0]);
    for key in &path[1..] {
        given = given.and_then(|value| value.get(key));
    }
    match given {
        Some(Value::Table(given)) => located(invalid, given, &path),
        // A bare name, or a part that the file leaves out.
        Some(Value::String(name)) => {
            let Invalid { key, message, known } = invalid;
            let message = if key == "kind" { message } else { format!("`{key}`: {message}") };
            Fault::value(&path, message).nearest(name, known.iter().map(String::as_str))
        }
        _ => Fault::value(&path, invalid.message),
    }
}

fn again<'t, T>(table: &'t Table, path: &[&str]) -> Option<(Invalid, &'t Table)>
where
    T: TryFrom<Parameters, Error = Invalid>,
{
    let mut table = table;
    for key in path {
        table = table.get(*key)?.as_table()?;
    }
    let invalid = T::try_from(decode(table).ok()?).err()?;
    Some((invalid, table))
}

/// What was refused of the `table` at `path`, as a fault of its key.
pub(crate) fn located(invalid: Invalid, table: &Table, path: &[&str]) -> Fault {
    let Invalid { key, message, known } = invalid;
    let names = || known.iter().map(String::as_str);
    let mentioned = |name: &&str| message.contains(&format!("`{name}`"));
    match table.get(&key) {
        None => Fault::missing(path, key).help(message.replace("this key is missing; ", "")),
        // The known names are values where the message speaks of the value, keys of the inner table
        // where of one of these.
        Some(Value::String(text)) if mentioned(&text.as_str()) => {
            Fault::value(path, message.clone()).at_key(&key).nearest(text, names())
        }
        Some(Value::Table(inner)) if inner.keys().any(|name| mentioned(&name.as_str())) => {
            let name = inner.keys().map(String::as_str).find(mentioned).unwrap_or_default();
            Fault::value(path, message.clone()).at_key(&key).at_key(name).nearest(name, names())
        }
        // A method without any key of its own has no names to offer.
        Some(_) if known.is_empty() && !message.contains("no such key") => Fault::value(path, message).at_key(&key),
        Some(_) => {
            let fault = Fault { complaint: Complaint::UnknownKey, ..Fault::value(path, message).at_key(&key) };
            fault.known(&key, "keys", names())
        }
    }
}
