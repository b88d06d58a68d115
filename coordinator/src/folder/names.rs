//! The names in a run folder.

pub(super) const LOCK: &str = "lock";
pub(super) const EPOCH: &str = "epoch";
pub(super) const EXPERIMENT: &str = "experiment.toml";
pub(super) const JOURNAL: &str = "journal.jsonl";
pub(super) const CHECKPOINTS: &str = "checkpoints";

/// The files that a coordinator may leave if it is stopped before the first record of its run.
pub(super) const BEGINNINGS: [&str; 5] = [LOCK, EPOCH, EXPERIMENT, ".epoch.new", ".experiment.toml.new"];
