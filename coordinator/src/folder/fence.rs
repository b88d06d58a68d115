//! The coordinator's epoch, and how a coordinator notices that another one has taken over.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::fstat;

use super::error::{FolderError, failed};
use crate::disk::{Disk, Operation, write_atomically};

/// A coordinator's epoch. Tells whether a later coordinator has taken over the run.
#[derive(Debug, Clone)]
pub struct Fence {
    epoch: u64,
    path: PathBuf,
    /// The epoch's file as this coordinator wrote it. The next coordinator replaces it by another
    /// file.
    file: Arc<File>,
}

/// Another coordinator has taken over the run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {now}: this coordinator has epoch {epoch}; it writes nothing more and stops", path.display())]
pub struct Fenced {
    /// The epoch's file.
    pub path: PathBuf,
    /// The epoch of the coordinator that must stop.
    pub epoch: u64,
    /// What has become of the run, in words.
    pub now: String,
}

impl Fence {
    /// Takes the next epoch after the one in the file `path`: 1 if there is no such file. The new
    /// epoch is on the disk when this returns.
    ///
    /// # Errors
    /// The epoch can't be read or written.
    pub(super) fn take(disk: &dyn Disk, path: PathBuf) -> Result<Fence, FolderError> {
        let last = read_epoch(&path)?.unwrap_or(0);
        write_atomically(disk, &path, format!("{}\n", last + 1).as_bytes()).map_err(failed(&path, "writing"))?;
        let file = File::open(&path).map_err(failed(&path, "opening"))?;
        Ok(Fence { epoch: last + 1, file: Arc::new(file), path })
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Checks that no later coordinator has taken over. It costs one system call.
    ///
    /// # Errors
    /// A later coordinator has taken over the run, or the folder is gone.
    pub fn check(&self) -> Result<(), Fenced> {
        // A file system that can't answer counts as unchanged: the next write will fail.
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

/// The epoch in the file `path`. `None` if there is no such file.
fn read_epoch(path: &Path) -> Result<Option<u64>, FolderError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(failed(path, "reading"))?,
    };
    let folder = || path.parent().unwrap_or(path).to_owned();
    let epoch = text.trim().parse();
    epoch.map(Some).map_err(|_| FolderError::Epoch { path: folder(), found: text.trim().to_owned() })
}

/// The disk of one coordinator. It refuses every operation once another coordinator has taken over.
#[derive(Debug)]
pub struct FencedDisk {
    disk: Arc<dyn Disk>,
    fence: Fence,
}

impl FencedDisk {
    /// `disk`, usable until `fence` no longer holds.
    pub fn new(disk: Arc<dyn Disk>, fence: Fence) -> FencedDisk {
        FencedDisk { disk, fence }
    }
}

impl Disk for FencedDisk {
    /// The error has a [`Fenced`] in it if another coordinator has taken over.
    fn perform(&self, operation: Operation<'_>) -> io::Result<()> {
        self.fence.check().map_err(io::Error::other)?;
        self.disk.perform(operation)
    }
}
