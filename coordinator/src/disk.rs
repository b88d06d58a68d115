//! The operations by which a run folder changes.
//!
//! All writing of journal, checkpoints and epoch goes through the trait [`Disk`]. Tests can make
//! the n-th operation fail, or end the process or the machine there.
//!
//! Reading does not go through it, and neither does the run folder's lock.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::OFlags;

/// Opens no symbolic link.
pub(crate) const NOFOLLOW: i32 = OFlags::NOFOLLOW.bits() as i32;

/// A change of what is on the disk.
#[derive(Debug, Clone, Copy)]
pub enum Operation<'a> {
    /// Create a folder and its missing parents. It may exist already.
    CreateFolder(&'a Path),
    /// Write a file from its start and drop what it held. It need not survive a loss of power. A
    /// link is refused: its maker must not choose what is written to.
    Write(&'a Path, &'a [u8]),
    /// Append to a file: its path, and the file opened for appending. The bytes need not survive a
    /// loss of power.
    Append(&'a Path, &'a File, &'a [u8]),
    /// Cut a file to a length in bytes.
    Cut(&'a File, u64),
    /// Make sure that a file's bytes, or a folder's entries, survive a loss of power.
    Sync(&'a Path),
    /// Rename a file or folder atomically. A file at the new path is replaced.
    Rename(&'a Path, &'a Path),
    /// Remove a folder and its contents. It may be absent.
    Remove(&'a Path),
}

/// Carries out operations.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Carries out one operation.
    ///
    /// # Errors
    /// The file system's error. A write that failed may be done in part.
    fn perform(&self, operation: Operation<'_>) -> io::Result<()>;
}

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn perform(&self, operation: Operation<'_>) -> io::Result<()> {
        match operation {
            Operation::CreateFolder(path) => fs::create_dir_all(path),
            Operation::Write(path, bytes) => {
                let mut options = OpenOptions::new();
                options.write(true).create(true).truncate(true).custom_flags(NOFOLLOW);
                options.open(path)?.write_all(bytes)
            }
            Operation::Append(_, mut file, bytes) => file.write_all(bytes),
            Operation::Cut(file, length) => file.set_len(length),
            Operation::Sync(path) => File::open(path)?.sync_all(),
            Operation::Rename(from, to) => fs::rename(from, to),
            Operation::Remove(path) => match fs::remove_dir_all(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }
}

/// Replaces a file atomically: a reader sees the old file or the new one. The new file is on the
/// disk when this returns.
///
/// It writes a file beside `path`, syncs it, renames it, and syncs the folder.
///
/// # Errors
/// The disk refuses. If the last sync failed, the file may be the new one; otherwise it is the old
/// one.
pub fn write_atomically(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.new"));
    disk.perform(Operation::Write(&beside, bytes))?;
    disk.perform(Operation::Sync(&beside))?;
    disk.perform(Operation::Rename(&beside, path))?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    disk.perform(Operation::Sync(folder.unwrap_or(Path::new("."))))
}
