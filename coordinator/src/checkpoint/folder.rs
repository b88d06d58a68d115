//! The checkpoints of a run: which are there, which is good, which is best, and which go.

use std::fs;
use std::path::{Path, PathBuf};

use super::disk::{failed, load, remove_if_there};
use super::{Checkpoint, CheckpointError};
use crate::folder::{sync_folder, write_atomically};

const BEST: &str = "best";

/// A checkpoint that could not be used.
#[derive(Debug)]
pub struct PassedOver {
    /// Its folder.
    pub path: PathBuf,
    /// Why.
    pub reason: CheckpointError,
}

/// The folder of the checkpoint after `step` updates.
pub fn path_of(run_dir: &Path, step: u64) -> PathBuf {
    checkpoints(run_dir).join(format!("step-{step:06}"))
}

/// The steps that have a checkpoint folder, in order; none where the run has no checkpoints.
///
/// # Errors
/// The folder is there and can't be read.
pub fn steps(run_dir: &Path) -> Result<Vec<u64>, CheckpointError> {
    let parent = checkpoints(run_dir);
    let entries = match fs::read_dir(&parent) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed(&parent, "reading"))?,
    };
    let mut steps = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed(&parent, "reading"))?.file_name();
        let step = name.to_str().and_then(|n| n.strip_prefix("step-")).and_then(|digits| digits.parse::<u64>().ok());
        steps.extend(step.filter(|&step| path_of(run_dir, step).file_name() == Some(&name)));
    }
    steps.sort_unstable();
    Ok(steps)
}

/// The newest checkpoint whose hashes hold, and those newer than it that could not be used, newest first.
///
/// # Errors
/// The folder can't be read. A checkpoint that can't be is passed over.
pub fn newest_good(run_dir: &Path) -> Result<(Option<Checkpoint>, Vec<PassedOver>), CheckpointError> {
    let mut passed_over = Vec::new();
    for step in steps(run_dir)?.into_iter().rev() {
        let path = path_of(run_dir, step);
        match load(&path) {
            Ok(checkpoint) => return Ok((Some(checkpoint), passed_over)),
            Err(reason) => passed_over.push(PassedOver { path, reason }),
        }
    }
    Ok((None, passed_over))
}

/// Names the checkpoint that `checkpoint.best` chose; it must have been written before.
///
/// A run that resumes from an older checkpoint than the best names its best again, from its own state.
///
/// # Errors
/// The file system refuses.
pub fn mark_best(run_dir: &Path, step: u64) -> Result<(), CheckpointError> {
    let path = checkpoints(run_dir).join(BEST);
    write_atomically(&path, format!("{step}\n").as_bytes()).map_err(failed(&path, "writing"))
}

/// The step whose checkpoint is the best, where one was named.
///
/// # Errors
/// The file is there and can't be read, or holds no step.
pub fn best(run_dir: &Path) -> Result<Option<u64>, CheckpointError> {
    let path = checkpoints(run_dir).join(BEST);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(failed(&path, "reading"))?,
    };
    match text.trim().parse() {
        Ok(step) => Ok(Some(step)),
        Err(_) => Err(CheckpointError::Manifest { path, message: format!("{:?} is no step", text.trim()) }),
    }
}

/// Removes all checkpoints but the newest `n` (at least one), the best one and those of the steps in `protected`; returns
/// the steps that went. Remains of writes that a crash interrupted go too.
///
/// # Errors
/// The file system refuses.
pub fn keep(run_dir: &Path, n: usize, protected: &[u64]) -> Result<Vec<u64>, CheckpointError> {
    let parent = checkpoints(run_dir);
    let best = best(run_dir)?;
    let mut old = steps(run_dir)?;
    old.truncate(old.len().saturating_sub(n.max(1)));
    old.retain(|step| best != Some(*step) && !protected.contains(step));
    for &step in &old {
        // Renamed first, so that a crash never leaves half a checkpoint under its name.
        let (path, away) = (path_of(run_dir, step), parent.join(format!(".step-{step:06}.old")));
        remove_if_there(&away)?;
        fs::rename(&path, &away).map_err(failed(&path, "moving away"))?;
    }
    sweep(&parent)?;
    Ok(old)
}

/// Removes the folders of interrupted writes and removals.
fn sweep(parent: &Path) -> Result<(), CheckpointError> {
    let Ok(entries) = fs::read_dir(parent) else { return Ok(()) };
    for entry in entries {
        let path = entry.map_err(failed(parent, "reading"))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(".step-") && (name.ends_with(".old") || name.ends_with(".new")) {
            remove_if_there(&path)?;
        }
    }
    sync_folder(parent).map_err(failed(parent, "syncing"))
}

fn checkpoints(run_dir: &Path) -> PathBuf {
    run_dir.join("checkpoints")
}
