//! The checkpoints of a run: which are there, which is good, which is best, and which go.

use std::fs;
use std::path::{Path, PathBuf};

use super::disk::{best_of, failed, load, load_model, manifest_error, remove};
use super::{Checkpoint, CheckpointError, digits};
use crate::disk::{Disk, Operation, write_atomically};
use crate::journal::hash_of;

const BEST: &str = "best";

/// A checkpoint that could not be used.
#[derive(Debug)]
pub struct PassedOver {
    /// Its step.
    pub step: u64,
    /// Its folder.
    pub path: PathBuf,
    /// Why.
    pub reason: CheckpointError,
}

/// The folder of the checkpoint after `step` updates.
pub fn path_of(run_dir: &Path, step: u64) -> PathBuf {
    checkpoints(run_dir).join(folder_of(step))
}

/// Its name.
pub(super) fn folder_of(step: u64) -> String {
    format!("step-{step:06}")
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

/// A checkpoint to go on from, with the best parameters so far.
#[derive(Debug)]
pub struct Found {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The best parameters so far, with their step.
    pub best: Option<(u64, Vec<f32>)>,
}

/// The newest checkpoint that a run can go on from, and those newer than it that it can't, newest
/// first.
///
/// A checkpoint is good where all hashes hold, where its best parameters are good too, and where
/// the `journal`, if one is given, still has all that belongs to it.
///
/// # Errors
/// The folder can't be read. A checkpoint that can't be is passed over.
pub fn newest_good(
    run_dir: &Path,
    journal: Option<&Path>,
) -> Result<(Option<Found>, Vec<PassedOver>), CheckpointError> {
    let mut passed_over = Vec::new();
    for step in steps(run_dir)?.into_iter().rev() {
        let path = path_of(run_dir, step);
        match load_with_best(run_dir, &path, journal) {
            Ok(found) => return Ok((Some(found), passed_over)),
            Err(reason) => passed_over.push(PassedOver { step, path, reason }),
        }
    }
    Ok((None, passed_over))
}

fn load_with_best(run_dir: &Path, path: &Path, journal: Option<&Path>) -> Result<Found, CheckpointError> {
    let checkpoint = load(path)?;
    let best = match checkpoint.best {
        None => None,
        Some(step) if step == checkpoint.step => Some((step, checkpoint.parameters.clone())),
        Some(step) => Some((step, load_model(&path_of(run_dir, step))?.parameters)),
    };
    // Last, so that where the journal is to blame nothing else is.
    if let Some(journal) = journal {
        check_journal(&checkpoint, path, journal)?;
    }
    Ok(Found { checkpoint, best })
}

/// Looks whether the journal still begins with what belongs to the checkpoint.
fn check_journal(checkpoint: &Checkpoint, path: &Path, journal: &Path) -> Result<(), CheckpointError> {
    let (path, needed) = (path.to_owned(), checkpoint.journal_bytes);
    let found = fs::metadata(journal).map_err(failed(journal, "reading"))?.len();
    if needed > found {
        return Err(CheckpointError::Journal { path, needed, found });
    }
    let is_known = !checkpoint.journal_sha256.is_empty();
    if is_known && digits(hash_of(journal, needed).map_err(failed(journal, "reading"))?) != checkpoint.journal_sha256 {
        return Err(CheckpointError::JournalChanged { path, bytes: needed });
    }
    Ok(())
}

/// Sees to it that the checkpoints that are there stay, should the power go: a coordinator that was
/// killed may have written the last one and not synced its name.
///
/// # Errors
/// The file system refuses.
pub fn hold(disk: &dyn Disk, run_dir: &Path) -> Result<(), CheckpointError> {
    let folder = checkpoints(run_dir);
    disk.perform(Operation::Sync(&folder)).map_err(failed(&folder, "syncing"))?;
    disk.perform(Operation::Sync(run_dir)).map_err(failed(run_dir, "syncing"))
}

/// Names the checkpoint that `checkpoint.best` chose; it must have been written before.
///
/// A run that resumes from an older checkpoint than the best names its best again, from its own
/// state.
///
/// # Errors
/// The file system refuses.
pub fn mark_best(disk: &dyn Disk, run_dir: &Path, step: u64) -> Result<(), CheckpointError> {
    let path = checkpoints(run_dir).join(BEST);
    write_atomically(disk, &path, format!("{step}\n").as_bytes()).map_err(failed(&path, "writing"))
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

/// Removes all checkpoints but the newest `n` (at least one) up to that of the step `written`,
/// which is good, the best one, those that the kept ones name as their best, and those of the steps
/// in `protected`; returns the steps that went. Remains of writes that a crash interrupted go too.
///
/// Checkpoints after `written` are there where a run went on from an earlier one because they could
/// not be used. They take no place among the `n`, and go. What is of another version, or can't be
/// read, is not damaged for all that is known: it stays.
///
/// # Errors
/// The file system refuses.
pub fn keep(
    disk: &dyn Disk,
    run_dir: &Path,
    n: usize,
    written: u64,
    protected: &[u64],
) -> Result<Vec<u64>, CheckpointError> {
    let parent = checkpoints(run_dir);
    let mut old = steps(run_dir)?;
    let usable: Vec<u64> = old.iter().copied().filter(|step| *step <= written).collect();
    let kept = &usable[usable.len().saturating_sub(n.max(1))..];
    let needed: Vec<u64> = kept.iter().filter_map(|step| best_of(&path_of(run_dir, *step))).collect();
    let best = best(run_dir)?;
    old.retain(|step| {
        let stays = best == Some(*step) || kept.contains(step) || protected.contains(step) || needed.contains(step);
        !stays && !manifest_error(&path_of(run_dir, *step)).is_some_and(|error| error.is_not_understood())
    });
    for &step in &old {
        // Renamed first, so that a crash never leaves half a checkpoint under its name.
        let (path, away) = (path_of(run_dir, step), parent.join(format!(".step-{step:06}.old")));
        remove(disk, &away)?;
        disk.perform(Operation::Rename(&path, &away)).map_err(failed(&path, "moving away"))?;
    }
    sweep(disk, &parent)?;
    Ok(old)
}

/// Removes the folders of interrupted writes and removals.
fn sweep(disk: &dyn Disk, parent: &Path) -> Result<(), CheckpointError> {
    let Ok(entries) = fs::read_dir(parent) else { return Ok(()) };
    for entry in entries {
        let path = entry.map_err(failed(parent, "reading"))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(".step-") && (name.ends_with(".old") || name.ends_with(".new")) {
            remove(disk, &path)?;
        }
    }
    disk.perform(Operation::Sync(parent)).map_err(failed(parent, "syncing"))
}

fn checkpoints(run_dir: &Path) -> PathBuf {
    run_dir.join("checkpoints")
}
