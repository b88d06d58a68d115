//! Reading an experiment file: text, syntax, `--set` overrides, types, then what the types cannot say.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use aggregation::{Invalid, Optimizer, Schedule, Weighting};
use toml::Table;

use crate::decode::decode;
use crate::error::ExperimentError;
use crate::experiment::Experiment;
use crate::fault::{Complaint, Fault};
use crate::overrides;
use crate::source::Source;
use crate::validate;

/// An experiment with the text that it was read from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The experiment, defaults filled in.
    pub experiment: Experiment,
    /// Its text, to point at a key.
    pub source: Source,
    /// The file's folder, to which the paths of datasets are relative.
    pub base: PathBuf,
}

/// The longest file that is read; an experiment is text that someone wrote.
const BYTES_MAX: u64 = 16 << 20;

/// Reads, checks and completes the experiment file at `path`. Each of `sets` is a `key.path=value` that replaces what the file says.
///
/// # Errors
/// [`ExperimentError`] with the place where the file can't be read, is not TOML, has an unknown key, lacks one, or has a
/// value of a wrong type or one that cannot be.
pub fn load(path: &Path, sets: &[String]) -> Result<Loaded, ExperimentError> {
    let text = read(path)?;
    let mut loaded = parse(&text, path, sets)?;
    loaded.base = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    Ok(loaded)
}

/// The same from a text, as if it stood in the file `path`, which need not exist.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, path: &Path, sets: &[String]) -> Result<Loaded, ExperimentError> {
    let unreadable = |reason: String| ExperimentError::Unreadable { path: path.to_owned(), reason };
    let mut source = Source::parse(path, text.to_owned())?;
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| unreadable(error.message().to_owned()))?;
    if table.is_empty() && sets.is_empty() {
        return Err(unreadable("the file is empty; an experiment has a `name`, a [dataset.NAME] and a [task.NAME]".to_owned()));
    }
    source.set_overrides(overrides::apply(&mut table, sets)?);
    name_default_kinds(&mut table);
    let experiment: Experiment = decode(&table).map_err(|fault| source.error(explained(fault, &table)))?;
    validate::experiment(&experiment).map_err(|fault| source.error(fault))?;
    let base = path.parent().map(Path::to_owned).unwrap_or_default();
    Ok(Loaded { experiment, source, base })
}

/// A table of optimizer or schedule without `kind` changes the default one: `--set train.optimizer.learning_rate=0.1` works on
/// a file that says nothing about the optimizer.
fn name_default_kinds(table: &mut Table) {
    let Some(train) = table.get_mut("train").and_then(toml::Value::as_table_mut) else { return };
    for (key, kind) in [("optimizer", "adam"), ("schedule", "constant")] {
        if let Some(table) = train.get_mut(key).and_then(toml::Value::as_table_mut) {
            table.entry("kind").or_insert_with(|| kind.into());
        }
    }
}

fn read(path: &Path) -> Result<String, ExperimentError> {
    let unreadable = |reason: String| ExperimentError::Unreadable { path: path.to_owned(), reason };
    if path.is_dir() {
        return Err(unreadable("this is a folder; the experiment is a file in TOML".to_owned()));
    }
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => unreadable("there is no such file".to_owned()),
        _ => unreadable(format!("can't be opened: {error}")),
    })?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(format!("can't be read: {error}")))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(unreadable(format!("the file is larger than {} MiB; this is no experiment file", BYTES_MAX >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        unreadable(format!("the file is not UTF-8 text: byte {:#04x} in line {line}", error.as_bytes()[at]))
    })
}

/// Optimizer, schedule and weighting read their tables themselves and say what they refuse as an [`Invalid`], of which serde
/// leaves the text only. Asked again for it, they give the key and the names they know.
fn explained(fault: Fault, table: &Table) -> Fault {
    let path: Vec<&str> = fault.path.iter().map(String::as_str).collect();
    let invalid = match path[..] {
        ["train", "optimizer"] => again::<Optimizer>(table, &path),
        ["train", "schedule"] => again::<Schedule>(table, &path),
        ["weighting"] => again::<Weighting>(table, &path),
        _ => None,
    };
    match invalid {
        Some((invalid, table)) if matches!(fault.complaint, Complaint::Value(_)) => located(invalid, table, &path),
        _ => fault,
    }
}

fn again<'t, T>(table: &'t Table, path: &[&str]) -> Option<(Invalid, &'t Table)>
where
    T: TryFrom<aggregation::table::Table, Error = Invalid>,
{
    let mut table = table;
    for key in path {
        table = table.get(*key)?.as_table()?;
    }
    let invalid = T::try_from(decode(table).ok()?).err()?;
    Some((invalid, table))
}

/// What was refused of the `table` at `path`, as a fault of its key.
fn located(invalid: Invalid, table: &Table, path: &[&str]) -> Fault {
    let Invalid { key, message, known } = invalid;
    // The known names are values where the message speaks of the value, else keys.
    let value = table.get(&key).and_then(toml::Value::as_str).filter(|text| message.contains(&format!("`{text}`")));
    if !table.contains_key(&key) {
        return Fault::missing(path, key).help(message.replace("this key is missing; ", ""));
    }
    let fault = Fault::value(path, message).at_key(&key);
    match value {
        Some(text) => fault.nearest(text, known.iter().map(String::as_str)),
        None if known.is_empty() => fault,
        None => Fault { complaint: Complaint::UnknownKey, ..fault }.known(&key, "keys", known.iter().map(String::as_str)),
    }
}
