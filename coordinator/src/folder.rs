//! The run folder: its name, its lock, and the coordinator's epoch.
//!
//! One coordinator at a time works in a run folder: it holds a lock that the system takes back when the process ends, however it
//! ends. Each coordinator that takes the folder up has an epoch of its own, one more than the last, which is on the disk before
//! anyone hears it; messages of an earlier coordinator's time are recognised by it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

const LOCK: &str = "lock";
const EPOCH: &str = "epoch";
/// How many runs of one experiment may start in the same second.
const SAME_SECOND_MAX: u32 = 100;

/// A run folder that this process holds the lock of.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
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
    /// Creates and locks a folder named by time (UTC) and experiment, `2026-11-20T12-03-11-digits`, in `parent`, which is made
    /// where it is missing. A second run in one second gets `-2` at its end.
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
            return RunFolder::lock(path);
        }
        Err(FolderError::NotEmpty { path: parent.join(name) })
    }

    /// Creates and locks the folder that a person named; an empty one that is there will do.
    ///
    /// # Errors
    /// There is something in it, or the file system refuses.
    pub fn create_at(path: &Path) -> Result<RunFolder, FolderError> {
        fs::create_dir_all(path).map_err(failed(path, "creating"))?;
        let mut entries = fs::read_dir(path).map_err(failed(path, "reading"))?;
        if entries.next().is_some() {
            return Err(FolderError::NotEmpty { path: path.to_owned() });
        }
        RunFolder::lock(path.to_owned())
    }

    /// Locks the folder of a run that is to go on.
    ///
    /// # Errors
    /// It is not a run's, or another coordinator has it.
    pub fn open(path: &Path) -> Result<RunFolder, FolderError> {
        for file in ["experiment.toml", "journal.jsonl"] {
            if !path.join(file).is_file() {
                return Err(FolderError::NotARun { path: path.to_owned(), missing: file });
            }
        }
        RunFolder::lock(path.to_owned())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The journal's file.
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal.jsonl")
    }

    /// The resolved experiment's file.
    pub fn experiment(&self) -> PathBuf {
        self.path.join("experiment.toml")
    }

    /// Takes the next epoch (1 in a new folder). It is on the disk when this returns.
    ///
    /// # Errors
    /// The epoch can't be read or written.
    pub fn next_epoch(&self) -> Result<u64, FolderError> {
        let path = self.path.join(EPOCH);
        let last = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            text => {
                let text = text.map_err(failed(&path, "reading"))?;
                text.trim()
                    .parse::<u64>()
                    .map_err(|_| FolderError::Epoch { path: self.path.clone(), found: text.trim().to_owned() })?
            }
        };
        write_atomically(&path, format!("{}\n", last + 1).as_bytes()).map_err(failed(&path, "writing"))?;
        Ok(last + 1)
    }

    /// Writes a file of the folder whole: a reader sees the old one or the new one, and the new one is on the disk.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), FolderError> {
        let path = self.path.join(name);
        write_atomically(&path, bytes).map_err(failed(&path, "writing"))
    }

    fn lock(path: PathBuf) -> Result<RunFolder, FolderError> {
        let file = path.join(LOCK);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&file)
            .map_err(failed(&file, "opening"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let holder = fs::read_to_string(&file).unwrap_or_default();
                let holder = if holder.trim().is_empty() { "another process" } else { holder.trim() }.to_owned();
                return Err(FolderError::Locked { path, holder });
            }
            locked => locked.map_err(|error| failed(&file, "locking")(error.into()))?,
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "process {}", std::process::id()))
            .map_err(failed(&file, "writing"))?;
        Ok(RunFolder { path, _lock: lock })
    }
}

/// `2026-11-20T12-03-11-digits`: UTC, and the experiment's name with everything unusual in a file name turned into `-`.
fn run_name(experiment: &str, now_ms: u64) -> String {
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let name: String = experiment.chars().map(plain).take(80).collect();
    let time = i64::try_from(now_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{}-{name}", time.strftime("%Y-%m-%dT%H-%M-%S"))
}

/// Writes a new file and syncs it.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Writes a file beside its place, syncs, renames, and syncs the folder.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.new"));
    write_synced(&beside, bytes)?;
    fs::rename(&beside, path)?;
    sync_folder(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Makes sure that a folder's entries survive a loss of power.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io { path, action, source }
}
