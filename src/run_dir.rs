//! The folder of a run that a command is pointed at.

use std::{fs::File, path::Path};

use rustix::fs::{FlockOperation, flock};

use crate::exit::Failure;

/// Refuses what is no run's folder.
pub fn check(dir: &Path) -> Result<(), Failure> {
    let refuse = |what: &str| Err(Failure::Refused(format!("{}: {what}", dir.display())));
    match std::fs::metadata(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return refuse("there is no such folder"),
        Err(error) => return refuse(&error.to_string()),
        Ok(found) if !found.is_dir() => return refuse("a run is a folder, and this is a file"),
        Ok(_) => {}
    }
    for file in ["experiment.toml", "journal.jsonl"] {
        if !dir.join(file).is_file() {
            return refuse(&format!("this is not the folder of a run: it has no {file}"));
        }
    }
    Ok(())
}

/// Whether a coordinator works in a run's folder: it holds the lock there as long as it lives.
pub fn is_in_use(dir: &Path) -> bool {
    let lock = File::open(dir.join("lock"));
    lock.is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK))
}
