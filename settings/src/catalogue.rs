//! The parts that this binary adds to the built-in ones.
//!
//! Every [`Registry`](crate::Registry) notes here what is added to it. A worker tells the
//! coordinator its list when it joins, and a run records the parts that its experiment uses. So a
//! binary without such a part is refused by the part's name.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

static ADDED: Mutex<Vec<AddedPart>> = Mutex::new(Vec::new());

/// A part that is not built in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddedPart {
    /// The kind of part, in the singular, such as `loss`.
    pub what: String,
    /// The name in the experiment file.
    pub name: String,
    /// The crate that the part comes from, with its version, such as `my-experiment 0.3.0`.
    pub origin: String,
}

/// A part that an experiment uses and a build does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lacking {
    /// The build has no such part.
    #[error("{part} is not in this build; the run was made by {}", part.origin)]
    Missing {
        /// The part that the experiment uses.
        part: AddedPart,
    },
    /// The build has the part from another crate, or in another version.
    #[error("{part} of this build is from {found}; the run was made by {}", part.origin)]
    Other {
        /// The part that the experiment uses.
        part: AddedPart,
        /// The origin of the build's part.
        found: String,
    },
}

impl fmt::Display for AddedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.what, self.name)
    }
}

/// The parts that were added to this process' registries, in the order of their registration.
pub fn added() -> Vec<AddedPart> {
    ADDED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Notes parts that a registry has added.
pub(crate) fn note(parts: impl IntoIterator<Item = AddedPart>) {
    ADDED.lock().unwrap_or_else(PoisonError::into_inner).extend(parts);
}

/// Compares the parts that an experiment uses with those that a build has added.
///
/// # Errors
/// [`Lacking`] names the first part that the build does not have, or has from another origin.
pub fn check(used: &[AddedPart], build: &[AddedPart]) -> Result<(), Lacking> {
    for part in used {
        let same = |other: &&AddedPart| (&other.what, &other.name) == (&part.what, &part.name);
        match build.iter().find(same) {
            None => return Err(Lacking::Missing { part: part.clone() }),
            Some(found) if found.origin != part.origin => {
                return Err(Lacking::Other { part: part.clone(), found: found.origin.clone() });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entry, Registry};

    fn loss(name: &str, origin: &str) -> AddedPart {
        AddedPart { what: "loss".into(), name: name.into(), origin: origin.into() }
    }

    #[test]
    fn a_part_that_a_build_lacks_is_named_with_its_origin() {
        let used = [loss("mine", "my-experiment 0.3.0")];
        let error = check(&used, &[loss("other", "my-experiment 0.3.0")]).expect_err("it is missing");
        assert_eq!(error.to_string(), "loss `mine` is not in this build; the run was made by my-experiment 0.3.0");
        let error = check(&used, &[loss("mine", "my-experiment 0.4.0")]).expect_err("it is another version");
        assert_eq!(
            error.to_string(),
            "loss `mine` of this build is from my-experiment 0.4.0; the run was made by my-experiment 0.3.0"
        );
    }

    #[test]
    fn a_build_may_have_more_than_the_experiment_uses() {
        let build = [loss("other", "elsewhere 1.0.0"), loss("mine", "my-experiment 0.3.0")];
        assert_eq!(check(&build[1..], &build), Ok(()));
        assert_eq!(check(&[], &build), Ok(()));
    }

    #[test]
    fn a_registry_notes_the_parts_that_are_added_to_it() {
        let registry: Registry<u8> = Registry::new("catalogued number", &[]);
        let seven = Entry { name: "seven", summary: "", origin: "elsewhere 0.3.0", part: 7 };
        registry.add(vec![seven]).expect("the name is free");
        let part =
            AddedPart { what: "catalogued number".into(), name: "seven".into(), origin: "elsewhere 0.3.0".into() };
        assert!(added().contains(&part));
    }
}
