//! What is wrong with a worker's answer.

use super::{WorkerId, WorkerJob};

/// An answer that was counted and turns out to be unusable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Who sent it.
    pub worker: WorkerId,
    /// What it answers.
    pub job: WorkerJob,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A number in it is not finite, because of the worker or of the model.
    #[error("{0} is not finite, and another worker's is")]
    NotFinite(WorkerJob),
    /// It is wrong in a way that no model can cause.
    #[error("{0}")]
    Wrong(String),
}
