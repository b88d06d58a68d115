//! How the tasks of a run affect each other: measured from its records, and shown as text.

mod matrix;
mod shown;

use std::path::Path;

use aggregation::affinity::Affinity;

use crate::{
    exit::Failure,
    recorded::{self, Recorded},
};

pub use shown::{advice, csv, text};

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

/// What the end of a run says of the affinity of its tasks.
#[derive(Default)]
pub struct Summary {
    /// Whether the run recorded per-task gradients of several tasks.
    pub is_measured: bool,
    /// The recommendation, if it is to train some tasks apart.
    pub advice: Option<String>,
}

/// The summary of a finished run, in lines of at most `width` characters.
///
/// # Errors
/// The run's records can't be read.
pub fn summary(run_dir: &Path, width: usize) -> Result<Summary, Failure> {
    let recorded = recorded::read(run_dir)?;
    let tasks = recorded.tasks();
    if tasks.len() < 2 || recorded.check_gramians(run_dir).is_err() {
        return Ok(Summary::default());
    }
    Ok(Summary { is_measured: true, advice: advice(&tasks, &measure(&recorded)?, width) })
}
