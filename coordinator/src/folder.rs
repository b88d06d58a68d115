//! The run folder: its name, its lock, and the coordinator's epoch.
//!
//! # Lock
//!
//! One coordinator at a time works in a run folder. It holds a lock that the system releases when
//! the process ends for any reason.
//!
//! # Epoch
//!
//! Each coordinator that takes over a run has its own epoch: one more than the last. The epoch is
//! on the disk before any worker hears of it. Messages from an earlier coordinator's time have an
//! earlier epoch and are refused.
//!
//! # Fence
//!
//! A coordinator can lose its lock without noticing: on a network file system, or when somebody
//! removes the lock's file because the coordinator hangs. So a coordinator checks its [`Fence`]
//! before each operation on the disk ([`FencedDisk`]). Once a later coordinator has taken an epoch,
//! the earlier one finishes at most the operation that it is in.

mod error;
mod fence;
mod lock;
mod names;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use error::FolderError;
use error::failed;
pub use fence::{Fence, Fenced, FencedDisk};
use lock::lock;
use names::{BEGINNINGS, CHECKPOINTS, EPOCH, EXPERIMENT, JOURNAL, LOCK};

use crate::disk::{Disk, Operation, write_atomically};

/// The mode of a new run folder: others may read it at most, whatever the umask.
const FOLDER_MODE: u32 = 0o755;
/// How many runs of one experiment may start in the same second.
const SAME_SECOND_MAX: u32 = 100;

/// A run folder that this process has locked.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Whether it was created for this run.
    is_new: bool,
    /// The lock lasts as long as this file is open.
    lock: Arc<File>,
}

impl RunFolder {
    /// Creates and locks a folder in `parent`, which is created if it is missing.
    ///
    /// The folder is named by the time in UTC and the experiment: `2026-11-20T12-03-11-digits`. A
    /// second run in one second gets `-2` at the end of its name, the next one `-3`. `now_ms` is in
    /// milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// The file system refuses, or more than 100 runs start in one second.
    pub fn create(parent: &Path, experiment: &str, now_ms: u64) -> Result<RunFolder, FolderError> {
        create_folder(parent)?;
        let name = run_name(experiment, now_ms);
        for n in 1..=SAME_SECOND_MAX {
            let path = parent.join(if n == 1 { name.clone() } else { format!("{name}-{n}") });
            match DirBuilder::new().mode(FOLDER_MODE).create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(failed(&path, "creating"))?,
            }
            return RunFolder::locked(path, true);
        }
        Err(FolderError::NotEmpty { path: parent.join(name) })
    }

    /// Creates and locks the folder `path`, which a person named. It may exist if it holds nothing
    /// but a lock that nobody holds.
    ///
    /// # Errors
    /// The folder is not empty, or the file system refuses.
    pub fn create_at(path: &Path) -> Result<RunFolder, FolderError> {
        let is_new = !path.exists();
        create_folder(path)?;
        check_empty(path)?;
        let folder = RunFolder::locked(path.to_owned(), is_new)?;
        // Whoever held the lock until now may have left a run.
        check_empty(path)?;
        Ok(folder)
    }

    /// Creates and locks the folder `path`, as [`RunFolder::create_at`]. It may also hold what a
    /// coordinator left that was stopped before the first record of its run.
    ///
    /// # Errors
    /// The folder holds something else, another coordinator has it, or the file system refuses.
    pub fn create_again(path: &Path) -> Result<RunFolder, FolderError> {
        create_folder(path)?;
        check_beginnings(path)?;
        let folder = RunFolder::locked(path.to_owned(), false)?;
        // Whoever held the lock until now may have left a run.
        check_beginnings(path)?;
        Ok(folder)
    }

    /// Removes the folder if it was created for this run and nothing was written to it.
    pub fn remove_unused(self) {
        // What can't be removed does no harm.
        let _ = fs::remove_file(self.path.join(LOCK));
        if self.is_new {
            let _ = fs::remove_dir(&self.path);
        }
    }

    /// Whether the folder has a run to go on with: an experiment, and a journal or checkpoints.
    pub fn has_run(path: &Path) -> bool {
        path.join(EXPERIMENT).is_file() && (path.join(JOURNAL).is_file() || path.join(CHECKPOINTS).exists())
    }

    /// Locks the folder of a run that is to go on. The run may have been stopped before its first
    /// record.
    ///
    /// # Errors
    /// The folder is not a run folder, or another coordinator has it.
    pub fn open(path: &Path) -> Result<RunFolder, FolderError> {
        let lacks = |missing| Err(FolderError::NotARun { path: path.to_owned(), missing });
        if !path.join(EXPERIMENT).is_file() {
            return lacks(EXPERIMENT);
        }
        // A coordinator writes the epoch before the experiment. Without an epoch, the experiment is
        // a person's own file.
        if !path.join(JOURNAL).is_file() && !path.join(EPOCH).is_file() {
            return lacks(JOURNAL);
        }
        RunFolder::locked(path.to_owned(), false)
    }

    fn locked(path: PathBuf, is_new: bool) -> Result<RunFolder, FolderError> {
        check_private(&path)?;
        let lock = lock(&path)?;
        Ok(RunFolder { path, is_new, lock: Arc::new(lock) })
    }

    /// Keeps the folder locked for as long as this lives.
    pub(crate) fn hold(&self) -> Arc<File> {
        Arc::clone(&self.lock)
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the journal.
    pub fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    /// The path of the resolved experiment.
    pub fn experiment(&self) -> PathBuf {
        self.path.join(EXPERIMENT)
    }

    /// Takes the next epoch: 1 in a new folder. It is on the disk when this returns.
    ///
    /// # Errors
    /// The epoch can't be read or written.
    pub fn next_epoch(&self, disk: &dyn Disk) -> Result<Fence, FolderError> {
        Fence::take(disk, self.path.join(EPOCH))
    }

    /// Writes the resolved experiment. A reader sees all of it or none of it. It is on the disk
    /// when this returns.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn write_experiment(&self, disk: &dyn Disk, text: &str) -> Result<(), FolderError> {
        let path = self.experiment();
        write_atomically(disk, &path, text.as_bytes()).map_err(failed(&path, "writing"))
    }

    /// Makes sure that the names of the files in the folder survive a loss of power.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn sync(&self, disk: &dyn Disk) -> Result<(), FolderError> {
        disk.perform(Operation::Sync(&self.path)).map_err(failed(&self.path, "syncing"))
    }
}

/// Creates a folder and its missing parents. It may exist.
fn create_folder(path: &Path) -> Result<(), FolderError> {
    let created = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path);
    created.map_err(failed(path, "creating"))
}

/// Fails if another user, who is not the administrator, owns a folder, or every user may write to
/// it: they could have put links and files of their own there.
fn check_private(path: &Path) -> Result<(), FolderError> {
    const ADMINISTRATOR: u32 = 0;
    const OTHERS_WRITE: u32 = 0o002;
    let found = fs::metadata(path).map_err(failed(path, "reading"))?;
    let own = rustix::process::geteuid().as_raw();
    let owner = found.uid();
    // The administrator's containers run on folders that are mounted from users.
    let why = if ![own, ADMINISTRATOR].contains(&owner) && own != ADMINISTRATOR {
        format!("it belongs to another user ({owner})")
    } else if found.mode() & OTHERS_WRITE != 0 {
        "every user of this machine can write to it (`chmod o-w` ends that)".to_owned()
    } else {
        return Ok(());
    };
    Err(FolderError::Exposed { path: path.to_owned(), why })
}

/// Fails if a folder holds anything but a lock.
fn check_empty(path: &Path) -> Result<(), FolderError> {
    match name_not_among(path, &[LOCK])? {
        None => Ok(()),
        Some(_) => Err(FolderError::NotEmpty { path: path.to_owned() }),
    }
}

/// Fails if a folder holds anything but the beginning of a run.
fn check_beginnings(path: &Path) -> Result<(), FolderError> {
    let Some(found) = name_not_among(path, &BEGINNINGS)? else { return Ok(()) };
    let path = path.to_owned();
    let has_experiment = path.join(EXPERIMENT).is_file();
    Err(if has_experiment { FolderError::NotEmpty { path } } else { FolderError::NoExperiment { path, found } })
}

/// The name of something in a folder that is not one of `names`.
fn name_not_among(path: &Path, names: &[&str]) -> Result<Option<String>, FolderError> {
    for entry in fs::read_dir(path).map_err(failed(path, "reading"))? {
        let name = entry.map_err(failed(path, "reading"))?.file_name();
        if !names.iter().any(|allowed| name == **allowed) {
            return Ok(Some(name.to_string_lossy().into_owned()));
        }
    }
    Ok(None)
}

/// The time in UTC and the experiment's name, for example `2026-11-20T12-03-11-digits`.
///
/// Characters that are unusual in a file name become `-`. At most 80 characters of the experiment's
/// name are used.
fn run_name(experiment: &str, now_ms: u64) -> String {
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let name: String = experiment.chars().map(plain).take(80).collect();
    let time = i64::try_from(now_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{}-{name}", time.strftime("%Y-%m-%dT%H-%M-%S"))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::disk::LocalDisk;

    #[test]
    fn a_link_in_a_run_folder_is_not_written_through() {
        let temporary = tempfile::tempdir().unwrap();
        let victim = temporary.path().join("victim");
        for name in [LOCK, ".epoch.new"] {
            fs::write(&victim, "precious").unwrap();
            let run = temporary.path().join(format!("run{name}"));
            fs::create_dir(&run).unwrap();
            symlink(&victim, run.join(name)).unwrap();
            let folder = RunFolder::create_again(&run);
            let taken = folder.and_then(|folder| folder.next_epoch(&LocalDisk));
            assert!(taken.is_err(), "{name}");
            assert_eq!(fs::read_to_string(&victim).unwrap(), "precious", "{name}");
        }
    }

    #[test]
    fn a_folder_that_every_user_may_write_to_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let run = temporary.path().join("run");
        fs::create_dir(&run).unwrap();
        fs::set_permissions(&run, Permissions::from_mode(0o777)).unwrap();
        let refused = RunFolder::create_at(&run).unwrap_err().to_string();
        assert!(refused.contains("every user of this machine can write to it"), "{refused}");
        fs::set_permissions(&run, Permissions::from_mode(0o775)).unwrap();
        assert!(RunFolder::create_at(&run).is_ok());
    }

    #[test]
    fn a_new_run_folder_is_not_open_to_others() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(temporary.path(), "digits", 0).unwrap();
        assert_eq!(fs::metadata(folder.path()).unwrap().mode() & 0o022, 0);
    }
}
