//! The folder of a run that a command is pointed at.

use std::{fs::File, path::Path};

use coordinator::{
    checkpoint::{self, Checkpoint},
    parts,
};
use experiment::Loaded;
use rustix::fs::{FlockOperation, flock};

use crate::{exit::Failure, screen::say};

/// Refuses a path that is not a run's folder.
pub fn check(dir: &Path) -> Result<(), Failure> {
    let refuse = |what: &str| Err(Failure::Refused(format!("{}: {what}", dir.display())));
    match std::fs::metadata(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return refuse("there is no such folder"),
        Err(error) => return refuse(&error.to_string()),
        Ok(found) if !found.is_dir() => return refuse("this is a file; give the folder of a run"),
        Ok(_) => {}
    }
    for file in ["experiment.toml", "journal.jsonl"] {
        if !dir.join(file).is_file() {
            return refuse(&format!("this is not the folder of a run: it has no {file}"));
        }
    }
    Ok(())
}

/// The experiment of a run, as it was resolved.
///
/// # Errors
/// This binary lacks a part that the experiment uses, or the file can't be read.
pub fn experiment(dir: &Path) -> Result<Loaded, Failure> {
    // A journal that can't be read names no parts. Then the experiment file alone decides.
    let used = parts::recorded(&dir.join("journal.jsonl")).unwrap_or_default();
    parts::check(&used)
        .map_err(|lacking| Failure::Refused(format!("{lacking}: run this command with the same binary")))?;
    model::load(&dir.join("experiment.toml"), &[]).map_err(Failure::refused)
}

/// Whether a coordinator works in a run's folder: it holds the folder's lock as long as it lives.
pub fn is_in_use(dir: &Path) -> bool {
    let lock = File::open(dir.join("lock"));
    lock.is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK))
}

/// The checkpoint that a run's metrics are of: the best one if the run has one, else the newest
/// good one. The text says which: `best` or `last`.
///
/// # Errors
/// `dir` is not a run's folder, or none of its checkpoints can be used.
pub fn selected(dir: &Path) -> Result<(Checkpoint, &'static str), Failure> {
    check(dir)?;
    if let Some(step) = checkpoint::best(dir).map_err(Failure::refused)? {
        let best = checkpoint::load_model(&checkpoint::path_of(dir, step)).map_err(Failure::failed)?;
        return Ok((best, "best"));
    }
    let (newest, passed_over) = checkpoint::newest_good(dir, None).map_err(Failure::refused)?;
    for passed in &passed_over {
        say(&format!("warning: skipped {}: {}", passed.path.display(), passed.reason));
    }
    let none = || {
        let why = match (is_in_use(dir), passed_over.is_empty()) {
            (true, _) => "the run has no checkpoint yet; try again later",
            (false, true) => "the run ended before its first checkpoint; `trunkline inspect` says how",
            (false, false) => "none of the run's checkpoints is whole",
        };
        Failure::Refused(format!("{}: {why}", dir.display()))
    };
    Ok((newest.ok_or_else(none)?.checkpoint, "last"))
}
