//! A disk that fails at an operation of one's choice, or is that of a machine that stops there.
#![allow(dead_code)] // each test file uses a part

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
    sync::{Mutex, MutexGuard},
};

use coordinator::disk::{Disk, LocalDisk, Operation};

/// What happens at the operation of one's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails, half done, as on a full disk; so do so many that follow.
    Full(u64),
    /// The process is killed in the midst of it: nothing happens any more.
    Killed,
    /// The machine loses its power in the midst of it: of files that were not synced half is lost,
    /// renames are undone, and a new file whose folder was not synced is gone.
    PowerLost,
    /// The same on a file system that keeps renames before it keeps what was written.
    BytesLost,
}

/// The disk.
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
    /// Files with bytes that are not synced: how many are.
    unsynced: BTreeMap<PathBuf, u64>,
    /// New files whose folder is not synced.
    created: BTreeSet<PathBuf>,
    /// Renames whose folder is not synced: from, to, and what was in the new place.
    renamed: Vec<(PathBuf, PathBuf, Option<Vec<u8>>)>,
}

impl FaultyDisk {
    /// A disk on which the operation number `at`, counted from 1, meets a fault.
    pub fn new(at: u64, fault: Fault) -> FaultyDisk {
        FaultyDisk { at, fault, state: Mutex::default() }
    }

    /// A disk without a fault, which counts.
    pub fn sound() -> FaultyDisk {
        FaultyDisk::new(u64::MAX, Fault::Killed)
    }

    /// The same disk under another process: what was not synced before is not now.
    pub fn inherit(&self, before: &FaultyDisk) {
        let mut before = before.state();
        let mut state = self.state();
        state.unsynced = std::mem::take(&mut before.unsynced);
        state.created = std::mem::take(&mut before.created);
        state.renamed = std::mem::take(&mut before.renamed);
    }

    /// From now on nothing is synced, and nobody is told.
    pub fn skip_sync(&self) {
        self.state().sync_skipped = true;
    }

    /// The machine loses its power now.
    pub fn lose_power(&self) {
        let mut state = self.state();
        state.lose(true).expect("files can be cut");
        state.dead = true;
    }

    /// Whether an operation has failed.
    pub fn has_failed(&self) -> bool {
        self.state().failed
    }

    /// Operations so far.
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
                    // What is lost is decided here: the machine's own disk need not be waited for.
                    Operation::Sync(path) => fs::metadata(path).map(drop),
                    other => LocalDisk.perform(other),
                }
            }
        }
    }
}

/// What can happen in part does.
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
    /// Remembers what a loss of power would undo.
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
