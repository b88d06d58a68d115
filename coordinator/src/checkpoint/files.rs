//! Writes one checkpoint to the disk and reads it back.

use std::fs;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::error::{CheckpointError, failed, misfit};
use super::manifest::{MANIFEST, Manifest};
use super::place::{checkpoints, name_while_removed, name_while_written, path_of};
use super::{Checkpoint, parameters_sha256, tensors};
use crate::digest::sha256;
use crate::disk::{Disk, Operation};

const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const WEIGHTING: &str = "weighting.safetensors";
const PREPROCESSING: &str = "preprocessing.json";

/// Writes a checkpoint into the run folder and returns its folder. When this returns, all of it is
/// on the disk.
///
/// A checkpoint of the same step is replaced.
///
/// # Errors
/// The file system refuses, or blocks and tensors don't fit together. Then the folder of the step
/// is unchanged.
pub fn write(disk: &dyn Disk, run_dir: &Path, checkpoint: &Checkpoint) -> Result<PathBuf, CheckpointError> {
    let place = path_of(run_dir, checkpoint.step);
    let parent = checkpoints(run_dir);
    let beside = parent.join(name_while_written(checkpoint.step));
    remove(disk, &beside)?;
    disk.perform(Operation::CreateFolder(&beside)).map_err(failed(&beside, "creating"))?;
    write_files(disk, &place, &beside, checkpoint)?;
    disk.perform(Operation::Sync(&beside)).map_err(failed(&beside, "syncing"))?;

    if place.exists() {
        let old = parent.join(name_while_removed(checkpoint.step));
        remove(disk, &old)?;
        disk.perform(Operation::Rename(&place, &old)).map_err(failed(&place, "moving away"))?;
        disk.perform(Operation::Rename(&beside, &place)).map_err(failed(&place, "renaming"))?;
        remove(disk, &old)?;
    } else {
        disk.perform(Operation::Rename(&beside, &place)).map_err(failed(&place, "renaming"))?;
    }
    disk.perform(Operation::Sync(&parent)).map_err(failed(&parent, "syncing"))?;
    // The folder of all checkpoints may be new too.
    disk.perform(Operation::Sync(run_dir)).map_err(failed(run_dir, "syncing"))?;
    Ok(place)
}

/// Writes and syncs all files of a checkpoint in the folder `beside`. Errors name `place`.
fn write_files(disk: &dyn Disk, place: &Path, beside: &Path, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
    let files = [
        (MODEL, tensors::of_blocks(&checkpoint.blocks, &checkpoint.parameters).map_err(misfit(place, MODEL))?),
        (OPTIMIZER, tensors::of_tensors(&checkpoint.optimizer).map_err(misfit(place, OPTIMIZER))?),
        (WEIGHTING, tensors::of_tensors(&checkpoint.weighting).map_err(misfit(place, WEIGHTING))?),
        (PREPROCESSING, checkpoint.preprocessing.clone().into_bytes()),
    ];
    let mut hashes = IndexMap::new();
    for (name, bytes) in files {
        write_synced(disk, &beside.join(name), &bytes)?;
        hashes.insert(name.to_owned(), sha256(&bytes));
    }
    write_synced(disk, &beside.join(MANIFEST), Manifest::new(checkpoint, hashes).to_text().as_bytes())
}

fn write_synced(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    disk.perform(Operation::Write(path, bytes)).map_err(failed(path, "writing"))?;
    disk.perform(Operation::Sync(path)).map_err(failed(path, "syncing"))
}

/// Removes a folder and its contents. The folder may be absent.
pub(super) fn remove(disk: &dyn Disk, path: &Path) -> Result<(), CheckpointError> {
    disk.perform(Operation::Remove(path)).map_err(failed(path, "removing"))
}

/// Reads the checkpoint in the folder `path` and checks all of it.
///
/// # Errors
/// A file is missing or can't be read, a hash does not match, or the contents don't fit the
/// manifest.
pub fn load(path: &Path) -> Result<Checkpoint, CheckpointError> {
    let manifest = Manifest::read(path)?;
    let tensors = |file: &'static str, names: &[String]| {
        tensors::to_tensors(&read(path, &manifest, file)?, names).map_err(misfit(path, file))
    };
    let optimizer = tensors(OPTIMIZER, &manifest.optimizer)?;
    let weighting = tensors(WEIGHTING, &manifest.weighting)?;
    Ok(Checkpoint { optimizer, weighting, ..model_of(path, manifest)? })
}

/// Reads and checks the part of a checkpoint that an evaluation needs: everything but the state of
/// optimizer and weighting. Their files may be damaged; the fields are left empty.
///
/// # Errors
/// As [`load`].
pub fn load_model(path: &Path) -> Result<Checkpoint, CheckpointError> {
    model_of(path, Manifest::read(path)?)
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

/// The bytes of one file of the checkpoint, checked against the sha256 in the manifest.
fn read(path: &Path, manifest: &Manifest, name: &str) -> Result<Vec<u8>, CheckpointError> {
    let file = path.join(name);
    let bytes = fs::read(&file).map_err(failed(&file, "reading"))?;
    let (recorded, found) = (manifest.files.get(name).cloned().unwrap_or_default(), sha256(&bytes));
    if recorded != found {
        return Err(CheckpointError::Hash { path: path.to_owned(), file: name.to_owned(), recorded, found });
    }
    Ok(bytes)
}
