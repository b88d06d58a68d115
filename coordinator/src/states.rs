//! The names of a checkpoint's states beside parameters, optimizer and weighting.

/// Whether the parameters have to be evaluated before the next step.
pub(crate) const EVALUATION_DUE: &str = "evaluation_due";
/// How many steps were skipped.
pub(crate) const SKIPPED: &str = "skipped";
/// How many steps were skipped since the last one that was not.
pub(crate) const SKIPPED_IN_A_ROW: &str = "skipped_in_a_row";
/// The fingerprint that all workers must have.
pub(crate) const FINGERPRINT: &str = "fingerprint";
/// The training metrics that are not in the journal yet.
pub(crate) const TRAINING: &str = "training";
