//! The operations by which a run folder changes, behind one trait: the whole protocol of journal,
//! checkpoints and epoch is made of these few, so that tests can make the n-th of them fail, or be
//! the last thing that a process does.
//!
//! What only reads does not come by here, nor does the lock, which is not on the disk.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Something that changes what is on the disk.
#[derive(Debug, Clone, Copy)]
pub enum Operation<'a> {
    /// Create a folder and those that it lies in; one that is there will do.
    CreateFolder(&'a Path),
    /// Write a file from its start, in the place of whatever was there. It need not survive a loss
    /// of power.
    Write(&'a Path, &'a [u8]),
    /// Add to the end of a file (its path comes first) that is open for appending. It need not
    /// survive a loss of power.
    Append(&'a Path, &'a File, &'a [u8]),
    /// Cut a file to so many bytes.
    Cut(&'a File, u64),
    /// Make sure that a file's bytes, or a folder's entries, survive a loss of power.
    Sync(&'a Path),
    /// Rename a file or folder, whole or not at all; a file that is in the new place is replaced.
    Rename(&'a Path, &'a Path),
    /// Remove a folder with all that is in it; one that is not there will do.
    Remove(&'a Path),
}

/// What carries out operations.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Does one.
    ///
    /// # Errors
    /// What the file system says. A write that failed may have happened in part.
    fn perform(&self, operation: Operation<'_>) -> io::Result<()>;
}

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn perform(&self, operation: Operation<'_>) -> io::Result<()> {
        match operation {
            Operation::CreateFolder(path) => fs::create_dir_all(path),
            Operation::Write(path, bytes) => fs::write(path, bytes),
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

/// Writes a file beside its place, syncs it, renames it and syncs the folder: a reader sees the old
/// file or the new one, and the new one is on the disk when this returns.
///
/// # Errors
/// The disk refuses. The file is then the old one or, where only the last step failed, the new one.
pub fn write_atomically(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.new"));
    disk.perform(Operation::Write(&beside, bytes))?;
    disk.perform(Operation::Sync(&beside))?;
    disk.perform(Operation::Rename(&beside, path))?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    disk.perform(Operation::Sync(folder.unwrap_or(Path::new("."))))
}
