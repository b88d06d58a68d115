//! The parts that a run's experiment uses and that are not built in: in the run's tags, and in what
//! a worker has.

use std::path::Path;

use indexmap::IndexMap;
use proto::message::{Hello, RefusalKind};
use settings::catalogue::{self, AddedPart, Lacking};

use crate::journal::{self, JournalError, Outcome, Record};

/// The tags of a run that name such parts begin with this: `part.loss.my_loss`.
const PREFIX: &str = "part.";

/// The tags of a run that uses these parts: a tag a part, with its origin.
pub(crate) fn tags(used: &[AddedPart]) -> impl Iterator<Item = (String, String)> {
    used.iter().map(|part| (format!("{PREFIX}{}.{}", part.what, part.name), part.origin.clone()))
}

/// The parts that a run's tags name.
pub(crate) fn of_tags(tags: &IndexMap<String, String>) -> Vec<AddedPart> {
    let part = |(key, origin): (&String, &String)| {
        let (what, name) = key.strip_prefix(PREFIX)?.split_once('.')?;
        Some(AddedPart { what: what.to_owned(), name: name.to_owned(), origin: origin.clone() })
    };
    tags.iter().filter_map(part).collect()
}

/// The parts that a run has recorded in its journal.
///
/// # Errors
/// [`JournalError`] if the journal can't be read.
pub fn recorded(journal: &Path) -> Result<Vec<AddedPart>, JournalError> {
    for record in journal::read(journal)? {
        if let Record::Result { outcome: Outcome::Tags { tags }, .. } = record? {
            return Ok(of_tags(&tags));
        }
    }
    Ok(Vec::new())
}

/// Compares a run's parts with those of this process.
///
/// # Errors
/// [`Lacking`] names the first part that this binary does not have, or has from another origin.
pub fn check(used: &[AddedPart]) -> Result<(), Lacking> {
    catalogue::check(used, &catalogue::added())
}

/// Why a worker's binary does not fit an experiment that uses these parts, if it does not.
pub(crate) fn unfit(used: &[AddedPart], hello: &Hello) -> Option<(RefusalKind, String)> {
    let lacking = catalogue::check(used, &hello.parts).err()?;
    Some((RefusalKind::Parts, format!("{lacking}: start the worker from the same binary")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(origin: &str) -> AddedPart {
        AddedPart { what: "loss".into(), name: "my_loss".into(), origin: origin.into() }
    }

    fn hello(parts: Vec<AddedPart>) -> Hello {
        Hello { version: env!("CARGO_PKG_VERSION").into(), device: "flex".into(), parts, ..Hello::default() }
    }

    #[test]
    fn a_worker_without_a_part_of_the_experiment_is_refused_by_the_parts_name() {
        let used = [loss("my-experiment 0.3.0")];
        let (kind, reason) = unfit(&used, &hello(Vec::new())).expect("it lacks the part");
        assert_eq!(kind, RefusalKind::Parts);
        assert_eq!(
            reason,
            "loss `my_loss` is not in this build; the run was made by my-experiment 0.3.0: start the worker from the same binary"
        );
    }

    #[test]
    fn a_worker_with_another_version_of_a_part_is_refused() {
        let used = [loss("my-experiment 0.3.0")];
        let (_, reason) = unfit(&used, &hello(vec![loss("my-experiment 0.4.0")])).expect("another version");
        assert!(reason.contains("of this build is from my-experiment 0.4.0"), "{reason}");
    }

    #[test]
    fn a_worker_with_the_parts_or_of_an_experiment_without_any_is_welcome() {
        let ours = loss("my-experiment 0.3.0");
        assert_eq!(unfit(std::slice::from_ref(&ours), &hello(vec![ours.clone()])), None);
        assert_eq!(unfit(&[], &hello(vec![ours])), None);
        assert_eq!(unfit(&[], &hello(Vec::new())), None);
    }

    #[test]
    fn parts_are_read_from_the_tags_that_name_them() {
        let used = vec![loss("my-experiment 0.3.0")];
        let mut recorded = IndexMap::from([("seed".to_owned(), "1".to_owned())]);
        recorded.extend(tags(&used));
        assert_eq!(recorded["part.loss.my_loss"], "my-experiment 0.3.0");
        assert_eq!(of_tags(&recorded), used);
    }

    #[test]
    fn another_binary_is_told_which_part_of_a_recorded_run_it_lacks() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.jsonl");
        let tags = tags(&[loss("my-experiment 0.3.0")]).collect();
        let mut journal = journal::Journal::create(&path).expect("is created");
        journal.append_all(&[Record::result(1, Outcome::Tags { tags })]).expect("is written");
        journal.sync().expect("is synced");
        let lacking = check(&recorded(&path).expect("is read")).expect_err("this build has no such loss");
        assert_eq!(lacking.to_string(), "loss `my_loss` is not in this build; the run was made by my-experiment 0.3.0");
    }
}
