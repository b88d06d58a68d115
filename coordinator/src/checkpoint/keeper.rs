//! The order in which a run's checkpoints are written, and which of them go.
//!
//! A checkpoint names the best parameters so far, and nobody can go on from it where theirs is not
//! there. So the checkpoint of the best comes first: where the disk does not take it, or not the
//! records that come before it, it is owed. It waits in memory as it is, and no other is written
//! before.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Checkpoint, CheckpointError, Found, folder, write};
use crate::{disk::Disk, journal::JournalError};

/// Writes the checkpoints of one coordinator.
#[derive(Debug)]
pub struct Keeper {
    disk: Arc<dyn Disk>,
    run_dir: PathBuf,
    /// How many stay, the best one aside.
    keep: usize,
    /// The step of the best parameters so far.
    best: Option<u64>,
    /// The step that the run folder names as the best.
    marked: Option<u64>,
    /// The step of the checkpoint that is on the disk, written by this coordinator or found good by
    /// it.
    saved: Option<u64>,
    /// The checkpoint of the best parameters, where it could not be written.
    owed: Option<Box<Checkpoint>>,
    /// Steps whose checkpoints are not for this coordinator to remove.
    spared: Vec<u64>,
}

/// What became of a checkpoint.
#[derive(Debug)]
pub struct Kept {
    /// Whether it is on the disk: written now (true), or there already.
    pub written: Result<bool, CheckpointError>,
    /// Whether the best one is named and those that are not needed any more are gone.
    pub tidied: Result<(), CheckpointError>,
}

impl Keeper {
    /// For a run that goes on from `found`, or from its start. The newest `keep` checkpoints stay
    /// (at least one), and those of the steps in `spared`.
    pub fn new(
        disk: Arc<dyn Disk>,
        run_dir: &Path,
        keep: usize,
        found: Option<&Found>,
        spared: impl IntoIterator<Item = u64>,
    ) -> Keeper {
        Keeper {
            disk,
            run_dir: run_dir.to_owned(),
            keep,
            best: found.and_then(|found| found.best.as_ref()).map(|(step, _)| *step),
            marked: None,
            saved: found.map(|found| found.checkpoint.step),
            owed: None,
            spared: spared.into_iter().collect(),
        }
    }

    /// Writes a checkpoint, unless it is there, and then removes what is not needed any more.
    /// `best` where it holds the best parameters so far. `journal` says whether everything that led
    /// to it is in the journal and synced; `fill` puts in what costs something to copy.
    pub fn save(
        &mut self,
        checkpoint: Box<Checkpoint>,
        best: bool,
        journal: Result<(), JournalError>,
        fill: impl FnOnce(&mut Checkpoint),
    ) -> Kept {
        let before = self.saved;
        if best {
            (self.best, self.owed) = (Some(checkpoint.step), None);
        }
        let written = self.write(checkpoint, best, journal, fill);
        let tidied = match self.saved {
            // Where no more than the owed one was written, that one is the newest.
            Some(saved) if written.is_ok() || self.saved != before => self.tidy(saved),
            _ => Ok(()),
        };
        Kept { written, tidied }
    }

    fn write(
        &mut self,
        mut checkpoint: Box<Checkpoint>,
        best: bool,
        journal: Result<(), JournalError>,
        fill: impl FnOnce(&mut Checkpoint),
    ) -> Result<bool, CheckpointError> {
        if journal.is_ok()
            && let Some(owed) = &mut self.owed
        {
            // It counts on the records that were synced since.
            owed.journal_bytes = checkpoint.journal_bytes;
            owed.journal_sha256.clone_from(&checkpoint.journal_sha256);
            write(&*self.disk, &self.run_dir, owed)?;
            (self.saved, self.owed) = (Some(owed.step), None);
        }
        // One that was written before it was found to be the best names another.
        if self.saved == Some(checkpoint.step) && !best {
            return Ok(false);
        }
        // One that is owed has to be whole by then: what it is of goes on.
        if best || journal.is_ok() {
            fill(&mut checkpoint);
        }
        let step = checkpoint.step;
        let synced = journal.map_err(CheckpointError::JournalFirst);
        let written = synced.and_then(|()| write(&*self.disk, &self.run_dir, &checkpoint));
        match written {
            Ok(_) => self.saved = Some(step),
            Err(_) if best => self.owed = Some(checkpoint),
            Err(_) => {}
        }
        written.map(|_| true)
    }

    /// Names the best checkpoint, and removes those that are not needed any more now that the one
    /// of `step` is there.
    fn tidy(&mut self, step: u64) -> Result<(), CheckpointError> {
        if let Some(best) = self.best.filter(|best| self.marked != Some(*best)) {
            folder::mark_best(&*self.disk, &self.run_dir, best)?;
            self.marked = self.best;
        }
        let protected: Vec<u64> = self.best.into_iter().chain(self.spared.iter().copied()).collect();
        folder::keep(&*self.disk, &self.run_dir, self.keep, step, &protected).map(drop)
    }
}
