//! The count of skipped steps.

/// How many steps were skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Since the run began.
    pub all: u64,
    /// Since the last step that was not skipped.
    pub in_a_row: u64,
}
