//! From the experiment file to the plan.

use std::sync::Arc;

use experiment::Loaded;

use crate::{DataError, Labels, Plan, Summary};

/// What the coordinator gets from the data.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Everything about the data but the rows.
    pub plan: Arc<Plan>,
    /// Which training rows have a label.
    pub labels: Labels,
    /// What was found.
    pub summary: Summary,
}

/// Reads the experiment's tables, divides their rows, fits the preprocessing on the training rows, and digests every
/// partition.
///
/// # Errors
///
/// Whatever is wrong with the tables or with what the experiment asks of them; see [`DataError`].
pub fn prepare(loaded: &Loaded) -> Result<Prepared, DataError> {
    let _ = loaded;
    todo!()
}
