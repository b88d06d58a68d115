//! One checkpoint to disk and back.

use std::fs;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::folder::{folder_of, path_of};
use super::{Block, Checkpoint, CheckpointError, SCHEMA, parameters_sha256, sha256, tensors};
use crate::disk::{Disk, Operation};
use crate::folder::Fenced;

const MANIFEST: &str = "manifest.json";
const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const WEIGHTING: &str = "weighting.safetensors";
const PREPROCESSING: &str = "preprocessing.json";
/// How the manifest's own hash begins in its text.
const SEAL: &str = "\"manifest_sha256\": \"";

#[derive(Serialize, Deserialize)]
struct Manifest {
    schema: u32,
    /// The sha256 of the manifest's text with this one left empty.
    manifest_sha256: String,
    step: u64,
    epoch: u64,
    /// The step of the best parameters so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    best: Option<u64>,
    /// Bytes of the journal that belong to it.
    #[serde(default)]
    journal_bytes: u64,
    /// Their sha256; empty where it is not known.
    #[serde(default)]
    journal_sha256: String,
    /// The program that wrote it.
    version: String,
    /// How many there are.
    parameters: usize,
    parameters_sha256: String,
    /// The sha256 of every other file.
    files: IndexMap<String, String>,
    blocks: Vec<Block>,
    /// Names of the vectors, in the order in which the caller gave them.
    optimizer: Vec<String>,
    weighting: Vec<String>,
    states: IndexMap<String, String>,
}

/// What is looked at before anything else is believed. Every schema has it from 2 on.
#[derive(Deserialize)]
struct Seal {
    schema: u32,
    manifest_sha256: Option<String>,
}

/// Writes a checkpoint into the run folder and returns its folder. It is on the disk, whole, when
/// this returns.
///
/// A checkpoint of the same step is replaced.
///
/// # Errors
/// The file system refuses, or blocks and tensors don't fit together. Then the folder of the step
/// is as it was before.
pub fn write(disk: &dyn Disk, run_dir: &Path, checkpoint: &Checkpoint) -> Result<PathBuf, CheckpointError> {
    let place = path_of(run_dir, checkpoint.step);
    let parent = place.parent().expect("path_of gives a folder in a folder");
    let beside = parent.join(format!(".{}.new", file_name(&place)));
    remove(disk, &beside)?;
    disk.perform(Operation::CreateFolder(&beside)).map_err(failed(&beside, "creating"))?;

    let files = [
        (MODEL, tensors::of_blocks(&checkpoint.blocks, &checkpoint.parameters).map_err(misfit(&place, MODEL))?),
        (OPTIMIZER, tensors::of_tensors(&checkpoint.optimizer).map_err(misfit(&place, OPTIMIZER))?),
        (WEIGHTING, tensors::of_tensors(&checkpoint.weighting).map_err(misfit(&place, WEIGHTING))?),
        (PREPROCESSING, checkpoint.preprocessing.clone().into_bytes()),
    ];
    let mut hashes = IndexMap::new();
    for (name, bytes) in files {
        write_synced(disk, &beside.join(name), &bytes)?;
        hashes.insert(name.to_owned(), sha256(&bytes));
    }
    let manifest = manifest(checkpoint, hashes);
    write_synced(disk, &beside.join(MANIFEST), &manifest)?;
    disk.perform(Operation::Sync(&beside)).map_err(failed(&beside, "syncing"))?;

    if place.exists() {
        let old = parent.join(format!(".{}.old", file_name(&place)));
        remove(disk, &old)?;
        disk.perform(Operation::Rename(&place, &old)).map_err(failed(&place, "moving away"))?;
        disk.perform(Operation::Rename(&beside, &place)).map_err(failed(&place, "renaming"))?;
        remove(disk, &old)?;
    } else {
        disk.perform(Operation::Rename(&beside, &place)).map_err(failed(&place, "renaming"))?;
    }
    disk.perform(Operation::Sync(parent)).map_err(failed(parent, "syncing"))?;
    // The folder of all checkpoints may be new too.
    disk.perform(Operation::Sync(run_dir)).map_err(failed(run_dir, "syncing"))?;
    Ok(place)
}

fn write_synced(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    disk.perform(Operation::Write(path, bytes)).map_err(failed(path, "writing"))?;
    disk.perform(Operation::Sync(path)).map_err(failed(path, "syncing"))
}

fn manifest(checkpoint: &Checkpoint, files: IndexMap<String, String>) -> Vec<u8> {
    let names = |tensors: &[super::Tensor]| tensors.iter().map(|t| t.name.clone()).collect();
    let manifest = Manifest {
        schema: SCHEMA,
        manifest_sha256: String::new(),
        step: checkpoint.step,
        epoch: checkpoint.epoch,
        best: checkpoint.best,
        journal_bytes: checkpoint.journal_bytes,
        journal_sha256: checkpoint.journal_sha256.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        parameters: checkpoint.parameters.len(),
        parameters_sha256: parameters_sha256(&checkpoint.parameters),
        files,
        blocks: checkpoint.blocks.clone(),
        optimizer: names(&checkpoint.optimizer),
        weighting: names(&checkpoint.weighting),
        states: checkpoint.states.clone(),
    };
    let unsealed = serde_json::to_string_pretty(&manifest).expect("a manifest has text keys and serialises") + "\n";
    let sealed = format!("{SEAL}{}", sha256(unsealed.as_bytes()));
    unsealed.replacen(SEAL, &sealed, 1).into_bytes()
}

/// The hash that a manifest's text has to have in it: that of the text without it.
fn seal_of(text: &str, recorded: &str) -> String {
    sha256(text.replacen(&format!("{SEAL}{recorded}"), SEAL, 1).as_bytes())
}

/// Reads a checkpoint's folder and checks all of it.
///
/// # Errors
/// A file is missing or can't be read, a hash does not hold, or the contents don't fit the
/// manifest.
pub fn load(path: &Path) -> Result<Checkpoint, CheckpointError> {
    let manifest = read_manifest(path)?;
    let tensors = |file: &'static str, names: &[String]| {
        tensors::to_tensors(&read(path, &manifest, file)?, names).map_err(misfit(path, file))
    };
    let optimizer = tensors(OPTIMIZER, &manifest.optimizer)?;
    let weighting = tensors(WEIGHTING, &manifest.weighting)?;
    Ok(Checkpoint { optimizer, weighting, ..model_of(path, manifest)? })
}

/// Reads what an evaluation needs, and checks that: all but the state of optimizer and weighting,
/// which may be damaged and are left empty.
///
/// # Errors
/// As [`load`].
pub fn load_model(path: &Path) -> Result<Checkpoint, CheckpointError> {
    model_of(path, read_manifest(path)?)
}

fn model_of(path: &Path, manifest: Manifest) -> Result<Checkpoint, CheckpointError> {
    let parameters = parameters(path, &manifest)?;
    let preprocessing = String::from_utf8(read(path, &manifest, PREPROCESSING)?)
        .map_err(|error| misfit(path, PREPROCESSING)(error.to_string()))?;
    Ok(Checkpoint {
        step: manifest.step,
        epoch: manifest.epoch,
        best: manifest.best,
        journal_bytes: manifest.journal_bytes,
        journal_sha256: manifest.journal_sha256,
        blocks: manifest.blocks,
        parameters,
        optimizer: Vec::new(),
        weighting: Vec::new(),
        preprocessing,
        states: manifest.states,
    })
}

fn parameters(path: &Path, manifest: &Manifest) -> Result<Vec<f32>, CheckpointError> {
    let model = read(path, manifest, MODEL)?;
    let parameters = tensors::to_blocks(&model, &manifest.blocks).map_err(misfit(path, MODEL))?;
    let (recorded, found) = (&manifest.parameters_sha256, parameters_sha256(&parameters));
    if (manifest.parameters, recorded) != (parameters.len(), &found) {
        let (needed, length) = (manifest.parameters, parameters.len());
        let message = format!(
            "its {length} parameters have the sha256 {found}, and the manifest has {needed} parameters with {recorded}"
        );
        return Err(misfit(path, MODEL)(message));
    }
    Ok(parameters)
}

/// A file of the checkpoint, whose hash holds.
fn read(path: &Path, manifest: &Manifest, name: &str) -> Result<Vec<u8>, CheckpointError> {
    let file = path.join(name);
    let bytes = fs::read(&file).map_err(failed(&file, "reading"))?;
    let (recorded, found) = (manifest.files.get(name).cloned().unwrap_or_default(), sha256(&bytes));
    if recorded != found {
        return Err(CheckpointError::Hash { path: path.to_owned(), file: name.to_owned(), recorded, found });
    }
    Ok(bytes)
}

/// An error of contents that don't fit the manifest.
fn misfit(path: &Path, file: &str) -> impl FnOnce(String) -> CheckpointError {
    let (path, file) = (path.to_owned(), file.to_owned());
    move |message| CheckpointError::Tensors { path, file, message }
}

/// The step of the best parameters when the checkpoint was written; none where its manifest can't
/// be read.
pub(super) fn best_of(path: &Path) -> Option<u64> {
    read_manifest(path).ok()?.best
}

/// What is wrong with a checkpoint's manifest, if anything is.
pub(super) fn manifest_error(path: &Path) -> Option<CheckpointError> {
    read_manifest(path).err()
}

/// The manifest, where it is as it was written and lies in the folder of its step.
fn read_manifest(path: &Path) -> Result<Manifest, CheckpointError> {
    let file = path.join(MANIFEST);
    let bytes = fs::read(&file).map_err(failed(&file, "reading"))?;
    let wrong = |message: String| CheckpointError::Manifest { path: path.to_owned(), message };
    let text = String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
    let seal: Seal = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if let Some(recorded) = seal.manifest_sha256 {
        let found = seal_of(&text, &recorded);
        if recorded != found {
            return Err(CheckpointError::Hash { path: path.to_owned(), file: MANIFEST.to_owned(), recorded, found });
        }
    } else if seal.schema == SCHEMA {
        return Err(wrong("it has no `manifest_sha256`".to_owned()));
    }
    if seal.schema != SCHEMA {
        return Err(CheckpointError::Schema { path: path.to_owned(), found: seal.schema });
    }
    let manifest: Manifest = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if path.file_name() != Some(folder_of(manifest.step).as_ref()) {
        return Err(wrong(format!("it is of step {}, which is not this folder's", manifest.step)));
    }
    Ok(manifest)
}

/// An error of the file system at `path`.
pub(super) fn failed(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| match source.downcast::<Fenced>() {
        Ok(fenced) => CheckpointError::Fenced(fenced),
        Err(source) => CheckpointError::Io { path, action, source },
    }
}

/// Removes a folder with all that is in it, where it is there.
pub(super) fn remove(disk: &dyn Disk, path: &Path) -> Result<(), CheckpointError> {
    disk.perform(Operation::Remove(path)).map_err(failed(path, "removing"))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
