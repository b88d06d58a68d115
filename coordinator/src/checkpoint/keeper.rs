//! The order in which a run's checkpoints are written, and which of them are removed.
//!
//! A checkpoint names the step of the best parameters so far. No run can go on from it if the
//! checkpoint of that step is missing. So the best checkpoint is written first. If it can't be
//! written, it waits in memory, and no other checkpoint is written before it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Checkpoint, CheckpointError, Found, files, retention};
use crate::{disk::Disk, journal::JournalError};

/// Writes the checkpoints of one coordinator.
#[derive(Debug)]
pub struct Keeper {
    disk: Arc<dyn Disk>,
    run_dir: PathBuf,
    /// How many checkpoints stay beside the best one.
    keep: usize,
    /// The step of the best parameters so far.
    best: Option<u64>,
    /// The step that this coordinator has marked as the best in the run folder.
    marked: Option<u64>,
    /// The step of the newest checkpoint that this coordinator wrote or resumed from.
    saved: Option<u64>,
    /// The checkpoint of the best parameters, if it could not be written yet.
    waiting: Option<Box<Checkpoint>>,
    /// Steps whose checkpoints this coordinator must not remove.
    protected: Vec<u64>,
}

/// What became of a checkpoint.
#[derive(Debug)]
pub struct Kept {
    /// `true` if it was written now, `false` if it was on the disk already.
    pub written: Result<bool, CheckpointError>,
    /// Whether the best checkpoint is marked and old ones are removed.
    pub tidied: Result<(), CheckpointError>,
}

impl Keeper {
    /// A keeper for a run that goes on from `found`, or from its start. The newest `keep`
    /// checkpoints (at least one) and those of the steps in `protected` stay.
    pub fn new(
        disk: Arc<dyn Disk>,
        run_dir: &Path,
        keep: usize,
        found: Option<&Found>,
        protected: impl IntoIterator<Item = u64>,
    ) -> Keeper {
        Keeper {
            disk,
            run_dir: run_dir.to_owned(),
            keep,
            best: found.and_then(|found| found.best.as_ref()).map(|(step, _)| *step),
            marked: None,
            saved: found.map(|found| found.checkpoint.step),
            waiting: None,
            protected: protected.into_iter().collect(),
        }
    }

    /// Writes a checkpoint, unless it is on the disk already, and then removes old ones.
    ///
    /// `best` says whether it holds the best parameters so far. `journal` says whether all records
    /// that led to it are in the journal and synced. `fill` puts in parameters and states, which
    /// are costly to copy.
    pub fn save(
        &mut self,
        checkpoint: Box<Checkpoint>,
        best: bool,
        journal: Result<(), JournalError>,
        fill: impl FnOnce(&mut Checkpoint),
    ) -> Kept {
        let before = self.saved;
        if best {
            (self.best, self.waiting) = (Some(checkpoint.step), None);
        }
        let written = self.write(checkpoint, best, journal, fill);
        let tidied = match self.saved {
            // `saved` may have changed in spite of an error: the waiting checkpoint was written.
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
            && let Some(waiting) = &mut self.waiting
        {
            // The records that led to it are synced only now.
            waiting.journal_bytes = checkpoint.journal_bytes;
            waiting.journal_sha256.clone_from(&checkpoint.journal_sha256);
            files::write(&*self.disk, &self.run_dir, waiting)?;
            (self.saved, self.waiting) = (Some(waiting.step), None);
        }
        // A checkpoint that turned out to be the best is written again, since it names another.
        if self.saved == Some(checkpoint.step) && !best {
            return Ok(false);
        }
        // The best checkpoint is filled even if it has to wait: training changes its parameters.
        if best || journal.is_ok() {
            fill(&mut checkpoint);
        }
        let step = checkpoint.step;
        let synced = journal.map_err(CheckpointError::JournalFirst);
        let written = synced.and_then(|()| files::write(&*self.disk, &self.run_dir, &checkpoint));
        match written {
            Ok(_) => self.saved = Some(step),
            Err(_) if best => self.waiting = Some(checkpoint),
            Err(_) => {}
        }
        written.map(|_| true)
    }

    /// Marks the best checkpoint, and removes those that are not needed once the checkpoint of
    /// `step` is on the disk.
    fn tidy(&mut self, step: u64) -> Result<(), CheckpointError> {
        if let Some(best) = self.best.filter(|best| self.marked != Some(*best)) {
            retention::mark_best(&*self.disk, &self.run_dir, best)?;
            self.marked = self.best;
        }
        let protected: Vec<u64> = self.best.into_iter().chain(self.protected.iter().copied()).collect();
        retention::prune(&*self.disk, &self.run_dir, self.keep, step, &protected).map(drop)
    }
}
