//! A disk that fails at a chosen operation, or at which a process or a machine stops there.
#![allow(dead_code)] // each test file uses a part

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
    sync::{Mutex, MutexGuard},
};

use coordinator::disk::{Disk, LocalDisk, Operation};

/// What happens at the chosen operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails half done, as on a full disk. So do as many of the following operations as given.
    Full(u64),
    /// The process is killed in the middle of it. No later operation is done.
    Killed,
    /// The machine loses its power in the middle of it. Half of the unsynced bytes of each file are
    /// lost, unsynced renames are undone, and new files in unsynced folders are gone.
    PowerLost,
    /// The machine loses its power, and its file system stores renames before file contents.
    BytesLost,
}

/// A disk with one fault.
#[derive(Debug)]
pub struct FaultyDisk {
    at: u64,
    fault: Fault,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    performed: u64,
    dead: bool,
    failed: bool,
    sync_skipped: bool,
    /// Files with unsynced bytes, and how many of their bytes are synced.
    unsynced: BTreeMap<PathBuf, u64>,
    /// New files in folders that are not synced.
    created: BTreeSet<PathBuf>,
    /// Renames in folders that are not synced: from, to, and the bytes that were at the new path.
    renamed: Vec<(PathBuf, PathBuf, Option<Vec<u8>>)>,
}

impl FaultyDisk {
    /// A disk with a fault at the operation number `at`, counted from 1.
    pub fn new(at: u64, fault: Fault) -> FaultyDisk {
        FaultyDisk { at, fault, state: Mutex::default() }
    }

    /// A disk without a fault. It counts operations.
    pub fn sound() -> FaultyDisk {
        FaultyDisk::new(u64::MAX, Fault::Killed)
    }

    /// Takes over the unsynced state of the disk `before`: another process uses the same disk.
    pub fn inherit(&self, before: &FaultyDisk) {
        let mut before = before.state();
        let mut state = self.state();
        state.unsynced = std::mem::take(&mut before.unsynced);
        state.created = std::mem::take(&mut before.created);
        state.renamed = std::mem::take(&mut before.renamed);
    }

    /// From now on the disk says that it syncs, and does not.
    pub fn skip_sync(&self) {
        self.state().sync_skipped = true;
    }

    /// Makes the machine lose its power now.
    pub fn lose_power(&self) {
        let mut state = self.state();
        state.lose(true).expect("files can be cut");
        state.dead = true;
    }

    /// Whether an operation has failed.
    pub fn has_failed(&self) -> bool {
        self.state().failed
    }

    /// The number of operations so far.
    pub fn performed(&self) -> u64 {
        self.state().performed
    }

    /// Whether the process or the machine is dead.
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics here")
    }
}

impl Disk for FaultyDisk {
    fn perform(&self, operation: Operation<'_>) -> io::Result<()> {
        let mut state = self.state();
        if state.sync_skipped && matches!(operation, Operation::Sync(_)) {
            return Ok(());
        }
        if state.dead {
            return Err(io::Error::other("nobody is there any more"));
        }
        state.performed += 1;
        let number = state.performed;
        state.failed |= number >= self.at;
        match self.fault {
            Fault::Full(more) if (self.at..=self.at.saturating_add(more)).contains(&number) => {
                half(operation)?;
                Err(io::ErrorKind::StorageFull.into())
            }
            Fault::Killed if number == self.at => {
                half(operation)?;
                state.dead = true;
                Err(io::Error::other("killed"))
            }
            Fault::PowerLost | Fault::BytesLost if number == self.at => {
                if let Operation::Write(..) | Operation::Append(..) = operation {
                    state.note(operation)?;
                    half(operation)?;
                }
                state.lose(self.fault == Fault::PowerLost)?;
                state.dead = true;
                Err(io::Error::other("the power is gone"))
            }
            _ => {
                state.note(operation)?;
                match operation {
                    // This disk decides what is lost, so there is no need to wait for the real one.
                    Operation::Sync(path) => fs::metadata(path).map(drop),
                    other => LocalDisk.perform(other),
                }
            }
        }
    }
}

/// Does half of an operation, if it can be done in part.
fn half(operation: Operation<'_>) -> io::Result<()> {
    match operation {
        Operation::Write(path, bytes) => LocalDisk.perform(Operation::Write(path, &bytes[..bytes.len() / 2])),
        Operation::Append(path, file, bytes) => {
            LocalDisk.perform(Operation::Append(path, file, &bytes[..bytes.len() / 2]))
        }
        _ => Ok(()),
    }
}

impl State {
    /// Notes what a loss of power would undo.
    fn note(&mut self, operation: Operation<'_>) -> io::Result<()> {
        match operation {
            Operation::Write(path, _) => {
                if !path.exists() {
                    self.created.insert(path.to_owned());
                }
                self.unsynced.insert(path.to_owned(), 0);
            }
            Operation::Sync(path) => {
                self.unsynced.remove(path);
                self.created.retain(|file| file.parent() != Some(path));
                self.renamed.retain(|(_, to, _)| to.parent() != Some(path));
            }
            Operation::Rename(from, to) => {
                self.created.remove(from);
                let before = if to.is_file() { Some(fs::read(to)?) } else { None };
                self.renamed.push((from.to_owned(), to.to_owned(), before));
                let moved = self.unsynced.iter().filter_map(|(path, synced)| {
                    let inside = path.strip_prefix(from).ok()?;
                    let place = if inside.as_os_str().is_empty() { to.to_owned() } else { to.join(inside) };
                    Some((path.clone(), place, *synced))
                });
                for (path, place, synced) in moved.collect::<Vec<_>>() {
                    self.unsynced.remove(&path);
                    self.unsynced.insert(place, synced);
                }
            }
            Operation::Remove(path) => self.renamed.retain(|(_, to, _)| !to.starts_with(path)),
            Operation::Append(path, file, _) => {
                let length = file.metadata()?.len();
                self.unsynced.entry(path.to_owned()).or_insert(length);
            }
            Operation::CreateFolder(_) | Operation::Cut(..) => {}
        }
        Ok(())
    }

    fn lose(&mut self, renames: bool) -> io::Result<()> {
        for (path, synced) in std::mem::take(&mut self.unsynced) {
            if let Ok(metadata) = fs::metadata(&path) {
                let kept = synced + metadata.len().saturating_sub(synced) / 2;
                fs::OpenOptions::new().write(true).open(path)?.set_len(kept)?;
            }
        }
        for (from, to, before) in std::mem::take(&mut self.renamed).into_iter().rev().filter(|_| renames) {
            if to.exists() {
                fs::rename(&to, from)?;
            }
            if let Some(bytes) = before {
                fs::write(to, bytes)?;
            }
        }
        for file in std::mem::take(&mut self.created).into_iter().filter(|file| renames && file.exists()) {
            fs::remove_file(file)?;
        }
        Ok(())
    }
}
