//! Where checkpoints are in a run folder.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::{CheckpointError, failed};

/// The folder of all checkpoints.
pub(super) fn checkpoints(run_dir: &Path) -> PathBuf {
    run_dir.join("checkpoints")
}

/// The folder of the checkpoint after `step` updates.
pub fn path_of(run_dir: &Path, step: u64) -> PathBuf {
    checkpoints(run_dir).join(folder_name(step))
}

/// The name of the folder of the checkpoint after `step` updates.
pub(super) fn folder_name(step: u64) -> String {
    format!("step-{step:06}")
}

/// The name that a checkpoint has while it is written.
pub(super) fn name_while_written(step: u64) -> String {
    format!(".step-{step:06}.new")
}

/// The name that a checkpoint has while it is removed.
pub(super) fn name_while_removed(step: u64) -> String {
    format!(".step-{step:06}.old")
}

/// Whether a folder of this name is what an interrupted write or removal left.
pub(super) fn is_leftover(name: &str) -> bool {
    name.starts_with(".step-") && (name.ends_with(".old") || name.ends_with(".new"))
}

/// The steps that have a checkpoint folder, ascending. Empty if the run has no checkpoints.
///
/// # Errors
/// The folder of all checkpoints exists and can't be read.
pub fn steps(run_dir: &Path) -> Result<Vec<u64>, CheckpointError> {
    let parent = checkpoints(run_dir);
    let entries = match fs::read_dir(&parent) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed(&parent, "reading"))?,
    };
    let mut steps = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed(&parent, "reading"))?.file_name();
        let step = name.to_str().and_then(|n| n.strip_prefix("step-")).and_then(|digits| digits.parse::<u64>().ok());
        steps.extend(step.filter(|&step| name == *folder_name(step)));
    }
    steps.sort_unstable();
    Ok(steps)
}
