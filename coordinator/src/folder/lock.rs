//! The lock of a run folder: one coordinator at a time.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock, fstat, stat};
use rustix::io::Errno;

use super::error::{FolderError, failed};
use super::names::LOCK;
use crate::disk::NOFOLLOW;

/// A lock that is held is tried 100 times, with 20 ms between two tries: 2 s in all.
///
/// A coordinator that is killed while it starts a worker holds its lock until the worker's process
/// runs its own program.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// Locks the run folder `path`. The lock lasts as long as the returned file is open.
///
/// # Errors
/// Another coordinator holds the lock, or the file system refuses.
pub(super) fn lock(path: &Path) -> Result<File, FolderError> {
    let file = path.join(LOCK);
    let mut tries = 1;
    let mut lock = loop {
        let mut options = OpenOptions::new();
        // Whoever has made a link there must not choose what is written to.
        let options = options.read(true).write(true).create(true).truncate(false).custom_flags(NOFOLLOW);
        let lock = options.open(&file).map_err(failed(&file, "opening"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            // The last holder may have removed the file. Then nobody else would see this lock.
            Ok(()) if is_at(&lock, &file) => break lock,
            Ok(()) | Err(Errno::WOULDBLOCK) if tries < TRIES => {
                tries += 1;
                thread::sleep(PAUSE);
            }
            Ok(()) | Err(Errno::WOULDBLOCK) => {
                let holder = fs::read_to_string(&file).unwrap_or_default();
                let holder = if holder.trim().is_empty() { "another process" } else { holder.trim() }.to_owned();
                return Err(FolderError::Locked { path: path.to_owned(), holder });
            }
            Err(error) => return Err(failed(&file, "locking")(error.into())),
        }
    };
    lock.set_len(0)
        .and_then(|()| writeln!(lock, "process {}", std::process::id()))
        .map_err(failed(&file, "writing"))?;
    Ok(lock)
}

/// Whether the open file is the one at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (fstat(file), stat(path)) else { return false };
    (open.st_dev, open.st_ino) == (named.st_dev, named.st_ino)
}
