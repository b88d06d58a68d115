//! A new run that goes on from the state of another one, with a few keys changed.
//!
//! The new run has a folder of its own with the experiment, a journal that begins anew, and the
//! other run's newest good checkpoint. From there it is a run like any other that was stopped at
//! that step: it goes on, is stopped and resumed as they are. The other run stays as it is. The new
//! one has two tags that say where it comes from.
//!
//! Only keys may change of which any value fits the state: `changeable.rs` has them.
//!
//! The experiment is written last. A folder without one is not a run, so a crash in between leaves
//! nothing that could be resumed by mistake.

use std::sync::Arc;

use crate::{
    checkpoint::{self, Checkpoint},
    error::CoordinatorError,
    first_records,
    folder::RunFolder,
    journal::Journal,
    options::Options,
    resume::{ResumableRun, ResumeError},
    selection,
    setup::Setup,
    states::TRAINING,
};

/// The tag that holds the name of the run that a run goes on from.
const PARENT: &str = "parent.run";
/// The tag that holds the step from which it goes on.
const PARENT_STEP: &str = "parent.step";

/// Makes the new run in an empty folder, ready to be resumed. `past` is the run that it goes on
/// from; its folder is free when this returns.
///
/// # Errors
/// [`ResumeError::NoState`] if `past` has no checkpoint, or if a file can't be read or written.
pub fn extend(
    past: ResumableRun,
    folder: RunFolder,
    setup: &Setup,
    options: &Options,
) -> Result<ResumableRun, ExtendError> {
    let parent = past.folder.path();
    let Some(found) = &past.found else { return Err(ResumeError::NoState { path: parent.to_owned() }.into()) };
    let best = match &found.best {
        Some((step, _)) if *step != found.checkpoint.step => {
            Some(checkpoint::load(&checkpoint::path_of(parent, *step)).map_err(CoordinatorError::from)?)
        }
        _ => None,
    };
    let mut options = options.clone();
    let name = parent.canonicalize().unwrap_or_else(|_| parent.to_owned());
    options.tags.insert(PARENT.into(), name.file_name().unwrap_or_default().to_string_lossy().into_owned());
    options.tags.insert(PARENT_STEP.into(), found.checkpoint.step.to_string());
    write(&folder, best.as_ref(), &found.checkpoint, setup, &options)?;
    drop(past);
    Ok(ResumableRun::find(folder)?)
}

/// Why a run can't be extended.
#[derive(Debug, thiserror::Error)]
pub enum ExtendError {
    /// The run to go on from, or the new one, can't be used.
    #[error(transparent)]
    Resume(#[from] ResumeError),
    /// A file can't be read or written.
    #[error(transparent)]
    Coordinator(#[from] CoordinatorError),
}

/// Writes all that the new run's folder has.
fn write(
    folder: &RunFolder,
    best: Option<&Checkpoint>,
    last: &Checkpoint,
    setup: &Setup,
    options: &Options,
) -> Result<(), CoordinatorError> {
    let disk = &*options.disk;
    let fence = folder.next_epoch(disk)?;
    let mut journal = Journal::create_on(Arc::clone(&options.disk), &folder.journal())?;
    journal.append_all(&first_records::write(setup, options, fence.epoch()))?;
    journal.sync()?;
    // A checkpoint names the best one, which is there before it.
    for checkpoint in best.into_iter().chain([last]) {
        let mut checkpoint = checkpoint.clone();
        checkpoint.epoch = fence.epoch();
        checkpoint.journal_bytes = journal.length();
        checkpoint.journal_sha256 = journal.sha256().unwrap_or_default();
        // Patience begins anew.
        selection::forget_stopping(&mut checkpoint.states);
        // The new journal has none of the other run's records, so nothing counts as recorded.
        checkpoint.states.shift_remove(TRAINING);
        checkpoint::write(disk, folder.path(), &checkpoint)?;
    }
    if let Some(step) = last.best {
        checkpoint::mark_best(disk, folder.path(), step)?;
    }
    folder.write_experiment(disk, &setup.resolved().to_toml())?;
    folder.sync(disk)?;
    Ok(())
}
