//! Retention: the checkpoints of a run that stay, and the best of them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::error::{CheckpointError, failed};
use super::files::remove;
use super::manifest::Manifest;
use super::place::{checkpoints, is_leftover, name_while_removed, path_of, steps};
use crate::disk::{Disk, Operation, write_atomically};

const BEST: &str = "best";

/// Makes sure that the checkpoints of the run survive a loss of power.
///
/// A coordinator that was killed may have renamed its last checkpoint without syncing the name.
///
/// # Errors
/// The file system refuses.
pub fn sync(disk: &dyn Disk, run_dir: &Path) -> Result<(), CheckpointError> {
    let folder = checkpoints(run_dir);
    disk.perform(Operation::Sync(&folder)).map_err(failed(&folder, "syncing"))?;
    disk.perform(Operation::Sync(run_dir)).map_err(failed(run_dir, "syncing"))
}

/// Marks the checkpoint of `step`, which must be on the disk, as the best one.
///
/// A run that resumes from an older checkpoint marks its best one again, from its own state.
///
/// # Errors
/// The file system refuses.
pub fn mark_best(disk: &dyn Disk, run_dir: &Path, step: u64) -> Result<(), CheckpointError> {
    let path = checkpoints(run_dir).join(BEST);
    write_atomically(disk, &path, format!("{step}\n").as_bytes()).map_err(failed(&path, "writing"))
}

/// The step of the checkpoint that is marked as the best. `None` if no checkpoint is marked.
///
/// # Errors
/// The file exists and can't be read, or does not hold a step.
pub fn best(run_dir: &Path) -> Result<Option<u64>, CheckpointError> {
    let path = checkpoints(run_dir).join(BEST);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.map_err(failed(&path, "reading"))?,
    };
    match text.trim().parse() {
        Ok(step) => Ok(Some(step)),
        Err(_) => Err(CheckpointError::BestMark { path, found: text.trim().to_owned() }),
    }
}

/// Removes checkpoints that are no longer needed, and returns their steps, ascending. What
/// interrupted writes and removals left is removed too.
///
/// `written` is the step of a checkpoint that is good. These stay:
///
/// - the newest `n` (at least one) up to `written`,
/// - the one that is marked as the best, and those that the newest `n` name as their best,
/// - those of the steps in `protected`,
/// - those that another version wrote or that can't be read: they may be intact.
///
/// A checkpoint after `written` exists if it could not be used and the run went on from an earlier
/// one. It is not one of the `n`.
///
/// # Errors
/// The file system refuses.
pub fn prune(
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
    let best_of = |step: &u64| Manifest::read(&path_of(run_dir, *step)).ok()?.best;
    let needed: Vec<u64> = kept.iter().filter_map(best_of).collect();
    let best = best(run_dir)?;
    let may_be_intact =
        |step: u64| Manifest::read(&path_of(run_dir, step)).is_err_and(|error| error.is_not_understood());
    old.retain(|step| {
        let stays = best == Some(*step) || kept.contains(step) || protected.contains(step) || needed.contains(step);
        !stays && !may_be_intact(*step)
    });
    for &step in &old {
        // Renamed first, so that a crash never leaves half a checkpoint under its name.
        let (path, away) = (path_of(run_dir, step), parent.join(name_while_removed(step)));
        remove(disk, &away)?;
        disk.perform(Operation::Rename(&path, &away)).map_err(failed(&path, "moving away"))?;
    }
    remove_leftovers(disk, &parent)?;
    Ok(old)
}

/// Removes the folders that interrupted writes and removals left.
fn remove_leftovers(disk: &dyn Disk, parent: &Path) -> Result<(), CheckpointError> {
    let Ok(entries) = fs::read_dir(parent) else { return Ok(()) };
    for entry in entries {
        let path = entry.map_err(failed(parent, "reading"))?.path();
        if is_leftover(&path.file_name().unwrap_or_default().to_string_lossy()) {
            remove(disk, &path)?;
        }
    }
    disk.perform(Operation::Sync(parent)).map_err(failed(parent, "syncing"))
}
