//! How the tasks of a run affect each other: measured from its records, and shown as text.

mod matrix;
mod shown;

use std::path::Path;

use aggregation::affinity::Affinity;

use crate::{
    exit::Failure,
    recorded::{self, Recorded},
};

pub use shown::{csv, text};

/// The affinity of all pairs of tasks, over every recorded step that has a Gramian.
///
/// # Errors
/// A record names a task that the run's plan does not have.
pub fn measure(recorded: &Recorded) -> Result<Affinity, Failure> {
    let mut affinity = Affinity::new(recorded.tasks().len());
    for record in &recorded.records {
        if let Some(gramian) = recorded::gramian(record) {
            let present = recorded.present(record)?;
            affinity.add(&present, &gramian, &recorded::numbers(&record.losses), record.learning_rate.0);
        }
    }
    Ok(affinity)
}

/// The affinity of a finished run's tasks as text; nothing if the run recorded no per-task
/// gradients or has a single task.
///
/// # Errors
/// The run's records can't be read.
pub fn summary(run_dir: &Path) -> Result<Option<String>, Failure> {
    let recorded = recorded::read(run_dir)?;
    let tasks = recorded.tasks();
    if tasks.len() < 2 || recorded.check_gramians(run_dir).is_err() {
        return Ok(None);
    }
    Ok(Some(text(&tasks, &measure(&recorded)?)))
}
