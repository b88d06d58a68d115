//! Reads an experiment file: text, syntax, `--set` overrides, types, and then the rules that types
//! can't express.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::Table;

use crate::decode::decode;
use crate::error::ExperimentError;
use crate::experiment::Experiment;
use crate::model_parts::ModelParts;
use crate::source::Source;
use crate::{habits, methods, overrides, validate};

/// An experiment with the text that it was read from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The experiment, with defaults filled in.
    pub experiment: Experiment,
    /// Its text, to point at a key.
    pub source: Source,
    /// The file's folder, to which the paths of datasets are relative.
    pub base: PathBuf,
}

/// The largest file that is read, bytes. An experiment is written by people.
const BYTES_MAX: u64 = 16 << 20;

/// Reads, checks and completes the experiment file at `path`. Each of `sets` is a `key.path=value`
/// that replaces a value of the file. `parts` knows the parts of models.
///
/// # Errors
/// [`ExperimentError`] with the place, if the file can't be read or is not TOML, a key is unknown
/// or missing, or a value has a wrong type or is impossible.
pub fn load(path: &Path, sets: &[String], parts: &dyn ModelParts) -> Result<Loaded, ExperimentError> {
    let text = read(path)?;
    let mut loaded = parse(&text, path, sets, parts)?;
    loaded.base = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    Ok(loaded)
}

/// Reads, checks and completes the text of an experiment, as if it were in the file `path`. That
/// file need not exist.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, path: &Path, sets: &[String], parts: &dyn ModelParts) -> Result<Loaded, ExperimentError> {
    let unreadable = |reason: String| ExperimentError::Unreadable { path: path.to_owned(), reason };
    let mut source = Source::parse(path, text.to_owned())?;
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| unreadable(error.message().to_owned()))?;
    if table.is_empty() && sets.is_empty() {
        return Err(unreadable(
            "the file is empty; an experiment has a `name`, a [dataset.NAME] and a [task.NAME]".to_owned(),
        ));
    }
    source.set_overrides(overrides::apply(&mut table, sets)?);
    let refused = |fault| source.error(habits::explain(fault, &table));
    let mut experiment: Experiment = decode(&table).map_err(refused)?;
    validate::experiment(&experiment)
        .and_then(|()| methods::check_robust(&experiment))
        .and_then(|()| methods::check_weighting(&experiment))
        .and_then(|()| parts.complete(&mut experiment).map_err(methods::misfit))
        .map_err(refused)?;
    let base = path.parent().map(Path::to_owned).unwrap_or_default();
    Ok(Loaded { experiment, source, base })
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
