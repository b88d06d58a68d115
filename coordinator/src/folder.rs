//! The run folder: its name, its lock, and the coordinator's epoch.
//!
//! One coordinator at a time works in a run folder: it holds a lock that the system takes back when
//! the process ends, however it ends. Each coordinator that takes the folder up has an epoch of its
//! own, one more than the last, which is on the disk before anyone hears it; messages of an earlier
//! coordinator's time are recognised by it.
//!
//! A lock can be lost without its holder noticing: on a network file system, or when somebody
//! removes its file to get past a coordinator that hangs. So a coordinator looks at its [`Fence`]
//! before each operation ([`FencedDisk`]): once a later one has taken its epoch, the earlier one,
//! should it wake up, finishes at most the operation that it was in.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock, fstat, stat};

use crate::disk::{Disk, Operation, write_atomically};

const LOCK: &str = "lock";
const EPOCH: &str = "epoch";
const EXPERIMENT: &str = "experiment.toml";
const JOURNAL: &str = "journal.jsonl";
const CHECKPOINTS: &str = "checkpoints";
/// What a coordinator that was stopped before the first record of its run may have left.
const BEGINNINGS: [&str; 5] = [LOCK, EPOCH, EXPERIMENT, ".epoch.new", ".experiment.toml.new"];
/// How often a lock that is held is tried, and the pause in between: two seconds in all. A
/// coordinator that was killed while it started a worker holds its lock until that process has
/// begun its own program.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// How many runs of one experiment may start in the same second.
const SAME_SECOND_MAX: u32 = 100;

/// A run folder that this process holds the lock of.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Whether it was made for this run.
    is_new: bool,
    /// The lock lives as long as this file is open.
    _lock: File,
}

/// Why a run folder could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The file system refused.
    #[error("run folder {}: {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The folder that a new run was to have holds something.
    #[error("run folder {} is not empty: give another --run-dir, or go on with that run with --resume", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds something, and no run that could go on.
    #[error("run folder {} has {found}, and no {EXPERIMENT} to go on with: put that back, or give another --run-dir", path.display())]
    NoExperiment {
        /// The folder.
        path: PathBuf,
        /// Something that is in it.
        found: String,
    },
    /// There is no run to go on with.
    #[error("{} is not a run folder: it has no {missing}", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// What a run folder has.
        missing: &'static str,
    },
    /// Another coordinator works in it.
    #[error("run folder {} is in use by {holder}: one coordinator at a time works on a run", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Who holds the lock.
        holder: String,
    },
    /// The epoch can't be read.
    #[error("run folder {}: its epoch file holds {found:?}, not a number", path.display())]
    Epoch {
        /// The folder.
        path: PathBuf,
        /// What it holds.
        found: String,
    },
}

impl RunFolder {
    /// Creates and locks a folder named by time (UTC) and experiment, `2026-11-20T12-03-11-digits`,
    /// in `parent`, which is made where it is missing. A second run in one second gets `-2` at its
    /// end.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn create(parent: &Path, experiment: &str, now_ms: u64) -> Result<RunFolder, FolderError> {
        fs::create_dir_all(parent).map_err(failed(parent, "creating"))?;
        let name = run_name(experiment, now_ms);
        for n in 1..=SAME_SECOND_MAX {
            let path = parent.join(if n == 1 { name.clone() } else { format!("{name}-{n}") });
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(failed(&path, "creating"))?,
            }
            return Ok(RunFolder { is_new: true, ..RunFolder::lock(path)? });
        }
        Err(FolderError::NotEmpty { path: parent.join(name) })
    }

    /// Creates and locks the folder that a person named; one that is there will do, if there is
    /// nothing in it but a lock that nobody holds.
    ///
    /// # Errors
    /// There is something in it, or the file system refuses.
    pub fn create_at(path: &Path) -> Result<RunFolder, FolderError> {
        let is_new = !path.exists();
        fs::create_dir_all(path).map_err(failed(path, "creating"))?;
        if foreign(path, &[LOCK])?.is_some() {
            return Err(FolderError::NotEmpty { path: path.to_owned() });
        }
        let folder = RunFolder { is_new, ..RunFolder::lock(path.to_owned())? };
        // Who had the lock until now may have left a run.
        match foreign(path, &[LOCK])? {
            None => Ok(folder),
            Some(_) => Err(FolderError::NotEmpty { path: path.to_owned() }),
        }
    }

    /// As [`RunFolder::create_at`], but a folder will do too in which a coordinator was stopped
    /// before the first record of its run.
    ///
    /// # Errors
    /// There is something else in it, another coordinator has it, or the file system refuses.
    pub fn create_again(path: &Path) -> Result<RunFolder, FolderError> {
        fs::create_dir_all(path).map_err(failed(path, "creating"))?;
        check_beginnings(path)?;
        let folder = RunFolder::lock(path.to_owned())?;
        // As above.
        check_beginnings(path)?;
        Ok(folder)
    }

    /// Takes the folder away again, where it was made for this run and nothing was written to it.
    pub fn remove_unused(self) {
        // What can't be removed is in nobody's way.
        let _ = fs::remove_file(self.path.join(LOCK));
        if self.is_new {
            let _ = fs::remove_dir(&self.path);
        }
    }

    /// Whether there is a run in a folder to go on with, or what is left of one that had come
    /// further than its beginning.
    pub fn has_run(path: &Path) -> bool {
        path.join(EXPERIMENT).is_file() && (path.join(JOURNAL).is_file() || path.join(CHECKPOINTS).exists())
    }

    /// Locks the folder of a run that is to go on; its coordinator may have been stopped before the
    /// first record.
    ///
    /// # Errors
    /// It is not a run's, or another coordinator has it.
    pub fn open(path: &Path) -> Result<RunFolder, FolderError> {
        let lacks = |missing| Err(FolderError::NotARun { path: path.to_owned(), missing });
        if !path.join(EXPERIMENT).is_file() {
            return lacks(EXPERIMENT);
        }
        // The epoch comes before the experiment; somebody's own folder with an experiment has none.
        if !path.join(JOURNAL).is_file() && !path.join(EPOCH).is_file() {
            return lacks(JOURNAL);
        }
        RunFolder::lock(path.to_owned())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The journal's file.
    pub fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    /// The resolved experiment's file.
    pub fn experiment(&self) -> PathBuf {
        self.path.join(EXPERIMENT)
    }

    /// Takes the next epoch (1 in a new folder). It is on the disk when this returns.
    ///
    /// # Errors
    /// The epoch can't be read or written.
    pub fn next_epoch(&self, disk: &dyn Disk) -> Result<Fence, FolderError> {
        let path = self.path.join(EPOCH);
        let last = read_epoch(&path)?.unwrap_or(0);
        write_atomically(disk, &path, format!("{}\n", last + 1).as_bytes()).map_err(failed(&path, "writing"))?;
        let file = File::open(&path).map_err(failed(&path, "opening"))?;
        Ok(Fence { epoch: last + 1, file: Arc::new(file), path })
    }

    /// Writes the resolved experiment whole: a reader sees all of it or none, and it is on the disk
    /// when this returns.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn write_experiment(&self, disk: &dyn Disk, text: &str) -> Result<(), FolderError> {
        let path = self.experiment();
        write_atomically(disk, &path, text.as_bytes()).map_err(failed(&path, "writing"))
    }

    /// Sees to it that the names of the files in the folder survive a loss of power.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn sync(&self, disk: &dyn Disk) -> Result<(), FolderError> {
        disk.perform(Operation::Sync(&self.path)).map_err(failed(&self.path, "syncing"))
    }

    fn lock(path: PathBuf) -> Result<RunFolder, FolderError> {
        let file = path.join(LOCK);
        let mut tries = 1;
        let mut lock = loop {
            let mut options = OpenOptions::new();
            let options = options.read(true).write(true).create(true).truncate(false);
            let lock = options.open(&file).map_err(failed(&file, "opening"))?;
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                // Its holder may have taken the file away: then nobody else sees this lock.
                Ok(()) if is_at(&lock, &file) => break lock,
                Ok(()) | Err(rustix::io::Errno::WOULDBLOCK) if tries < LOCK_TRIES => {
                    tries += 1;
                    thread::sleep(LOCK_PAUSE);
                }
                Ok(()) | Err(rustix::io::Errno::WOULDBLOCK) => {
                    let holder = fs::read_to_string(&file).unwrap_or_default();
                    let holder = if holder.trim().is_empty() { "another process" } else { holder.trim() }.to_owned();
                    return Err(FolderError::Locked { path, holder });
                }
                Err(error) => return Err(failed(&file, "locking")(error.into())),
            }
        };
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "process {}", std::process::id()))
            .map_err(failed(&file, "writing"))?;
        Ok(RunFolder { path, is_new: false, _lock: lock })
    }
}

/// Whether an open file is the one that has the name.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (fstat(file), stat(path)) else { return false };
    (open.st_dev, open.st_ino) == (named.st_dev, named.st_ino)
}

/// Refuses a folder in which a run had come further than its beginning, or that holds something
/// else.
fn check_beginnings(path: &Path) -> Result<(), FolderError> {
    let Some(found) = foreign(path, &BEGINNINGS)? else { return Ok(()) };
    let path = path.to_owned();
    let has_experiment = path.join(EXPERIMENT).is_file();
    Err(if has_experiment { FolderError::NotEmpty { path } } else { FolderError::NoExperiment { path, found } })
}

/// Something in a folder that has another name than those.
fn foreign(path: &Path, names: &[&str]) -> Result<Option<String>, FolderError> {
    for entry in fs::read_dir(path).map_err(failed(path, "reading"))? {
        let name = entry.map_err(failed(path, "reading"))?.file_name();
        if !names.iter().any(|allowed| name == **allowed) {
            return Ok(Some(name.to_string_lossy().into_owned()));
        }
    }
    Ok(None)
}

/// `2026-11-20T12-03-11-digits`: UTC, and the experiment's name with everything unusual in a file
/// name turned into `-`.
fn run_name(experiment: &str, now_ms: u64) -> String {
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let name: String = experiment.chars().map(plain).take(80).collect();
    let time = i64::try_from(now_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{}-{name}", time.strftime("%Y-%m-%dT%H-%M-%S"))
}

/// The epoch that was taken last; none in a new folder.
fn read_epoch(path: &Path) -> Result<Option<u64>, FolderError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(failed(path, "reading"))?,
    };
    let folder = || path.parent().unwrap_or(path).to_owned();
    let epoch = text.trim().parse();
    epoch.map(Some).map_err(|_| FolderError::Epoch { path: folder(), found: text.trim().to_owned() })
}

/// A coordinator's epoch, and whether it is still the last one.
#[derive(Debug, Clone)]
pub struct Fence {
    epoch: u64,
    path: PathBuf,
    /// The epoch's file as this coordinator wrote it: the next coordinator puts another in its
    /// place.
    file: Arc<File>,
}

/// The run folder is another coordinator's now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {now}: this coordinator, of epoch {epoch}, writes nothing more and stops", path.display())]
pub struct Fenced {
    /// The epoch's file.
    pub path: PathBuf,
    /// The epoch that was lost.
    pub epoch: u64,
    /// What has become of the run.
    pub now: String,
}

impl Fence {
    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Looks whether the epoch is still the last one. It costs one call of the system.
    ///
    /// # Errors
    /// A later coordinator has taken the run up, or the folder is gone.
    pub fn check(&self) -> Result<(), Fenced> {
        // A file system that can't say counts as one that has not changed: writing will tell.
        if fstat(&*self.file).is_ok_and(|status| status.st_nlink == 0) {
            let now = match read_epoch(&self.path) {
                Ok(Some(epoch)) => format!("a coordinator of epoch {epoch} has taken the run up"),
                _ => "the run's epoch is gone".to_owned(),
            };
            return Err(Fenced { path: self.path.clone(), epoch: self.epoch, now });
        }
        Ok(())
    }
}

/// The disk of one coordinator, which does nothing once another one has taken the run up.
#[derive(Debug)]
pub struct FencedDisk {
    disk: Arc<dyn Disk>,
    fence: Fence,
}

impl FencedDisk {
    /// `disk` as long as `fence` holds.
    pub fn new(disk: Arc<dyn Disk>, fence: Fence) -> FencedDisk {
        FencedDisk { disk, fence }
    }
}

impl Disk for FencedDisk {
    /// The error of a fence that does not hold has [`Fenced`] in it.
    fn perform(&self, operation: Operation<'_>) -> io::Result<()> {
        self.fence.check().map_err(io::Error::other)?;
        self.disk.perform(operation)
    }
}

fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io { path, action, source }
}
