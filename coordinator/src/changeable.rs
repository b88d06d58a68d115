//! The keys of an experiment that a new run may change which goes on from another run's state.
//!
//! Any value of them fits the state: parameters, optimizer, weighting, best parameters so far.

/// Keys that may change, with all keys below them.
const KEYS: [&str; 9] = [
    "train.steps",
    "train.epochs",
    "train.optimizer.learning_rate",
    "train.schedule",
    "train.evaluate_every",
    "train.checkpoint.every",
    "train.checkpoint.keep",
    "train.early_stopping",
    "tracking",
];

/// What may change, in words.
pub(crate) const MAY_CHANGE: &str = "the length (`train.steps`, `train.epochs`), `train.optimizer.learning_rate`, `train.schedule`, \
                              `train.evaluate_every`, `train.checkpoint.every`, `train.checkpoint.keep`, `train.early_stopping` and `tracking`";

/// Whether a run can go on from the state of another one that has another value of this key.
pub(crate) fn may_change(key: &str) -> bool {
    let is_below = |known: &str| key.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    KEYS.iter().any(|known| is_below(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_leave_the_state_valid_may_change() {
        for key in
            ["train.steps", "train.schedule", "train.schedule.kind", "train.early_stopping.patience", "tracking.every"]
        {
            assert!(may_change(key), "{key}");
        }
        for key in [
            "train.batch_size",
            "train.optimizer.kind",
            "train.checkpoint.best",
            "train.stepsize",
            "seed",
            "model.trunk.hidden",
        ] {
            assert!(!may_change(key), "{key}");
        }
    }
}
