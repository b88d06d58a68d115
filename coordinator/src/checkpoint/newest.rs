//! Finds the checkpoint that a run goes on from.

use std::fs;
use std::path::{Path, PathBuf};

use super::Checkpoint;
use super::error::{CheckpointError, failed};
use super::files::{load, load_model};
use super::place::{path_of, steps};
use crate::digest;

/// A checkpoint that could not be used.
#[derive(Debug)]
pub struct PassedOver {
    /// Its step.
    pub step: u64,
    /// Its folder.
    pub path: PathBuf,
    /// Why it could not be used.
    pub reason: CheckpointError,
}

/// A checkpoint to go on from, with the best parameters so far.
#[derive(Debug)]
pub struct Found {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The step of the best parameters so far, and those parameters.
    pub best: Option<(u64, Vec<f32>)>,
}

/// The newest checkpoint that a run can go on from, and the newer ones that it can't, newest first.
///
/// A checkpoint is good if all its hashes match, if the checkpoint of its best parameters is good
/// too, and if `journal`, when given, still has the records that led to it.
///
/// # Errors
/// The folder of all checkpoints can't be read. A checkpoint that can't be read is passed over.
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
    // The journal is checked last. An error that names it therefore means that the files are good.
    if let Some(journal) = journal {
        check_journal(&checkpoint, path, journal)?;
    }
    Ok(Found { checkpoint, best })
}

/// Checks that the journal still begins with the records that led to the checkpoint.
fn check_journal(checkpoint: &Checkpoint, path: &Path, journal: &Path) -> Result<(), CheckpointError> {
    let (path, needed) = (path.to_owned(), checkpoint.journal_bytes);
    let found = fs::metadata(journal).map_err(failed(journal, "reading"))?.len();
    if needed > found {
        return Err(CheckpointError::Journal { path, needed, found });
    }
    if checkpoint.journal_sha256.is_empty() {
        return Ok(());
    }
    let hasher = digest::hash_start_of(journal, needed).map_err(failed(journal, "reading"))?;
    if digest::to_hex(hasher) != checkpoint.journal_sha256 {
        return Err(CheckpointError::JournalChanged { path, bytes: needed });
    }
    Ok(())
}
