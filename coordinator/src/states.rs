//! The names under which a checkpoint holds what stands beside parameters, optimizer and weighting.

/// Whether the parameters have to be evaluated before the next step.
pub(crate) const EVALUATION_DUE: &str = "evaluation_due";
/// Steps that were skipped, and how many of them in a row at the end.
pub(crate) const SKIPPED: &str = "skipped";
pub(crate) const SKIPPED_IN_A_ROW: &str = "skipped_in_a_row";
/// The fingerprint of the workers.
pub(crate) const FINGERPRINT: &str = "fingerprint";
