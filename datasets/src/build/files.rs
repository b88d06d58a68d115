//! The files of a dataset: paths and globs of the experiment become files, each of them once.

use std::collections::{BTreeMap, btree_map::Entry};
use std::path::{Path, PathBuf};

use experiment::{Dataset, Loaded, Paths, SplitName};

use crate::{DataError, location};

/// The files of a dataset.
pub(super) struct Files {
    /// The expanded paths, in the order of the rows.
    pub names: Vec<String>,
    /// How many files there are up to the end of each part, if the paths name the parts.
    pub ends: [usize; 3],
    /// By absolute path without links: the number of the file.
    pub places: BTreeMap<PathBuf, usize>,
}

/// Finds the files.
///
/// # Errors
/// A glob matches nothing, or a file is named twice: its rows would count twice, or train and test.
pub(super) fn find(name: &str, dataset: &Dataset, loaded: &Loaded) -> Result<Files, DataError> {
    let parts: [&[String]; 3] = match &dataset.path {
        Paths::Files(files) => [files, &[], &[]],
        Paths::BySplit { train, validation, test } => [train, validation, test],
    };
    let by_split = matches!(dataset.path, Paths::BySplit { .. });
    let mut files = Files { names: Vec::new(), ends: [0; 3], places: BTreeMap::new() };
    let mut known: BTreeMap<Identity, (SplitName, String)> = BTreeMap::new();
    for (part, patterns) in SplitName::ALL.into_iter().zip(parts) {
        let key: &[&str] = if by_split { &["dataset", name, "path", part.name()] } else { &["dataset", name, "path"] };
        for pattern in patterns {
            let found = location::expand(&loaded.base, pattern).map_err(|error| at_path(loaded, name, error))?;
            for file in found {
                let path = location::resolve(&loaded.base, &file);
                if let Some(identity) = Identity::of(&path) {
                    match known.entry(identity) {
                        Entry::Vacant(entry) => {
                            entry.insert((part, file.clone()));
                        }
                        Entry::Occupied(entry) => {
                            let (first_part, first) = entry.get();
                            let message = named_twice((*first_part, first), (part, &file));
                            return Err(loaded.source.error_at(key, message).into());
                        }
                    }
                }
                files.places.insert(path.canonicalize().unwrap_or(path), files.names.len());
                files.names.push(file);
            }
        }
        files.ends[part as usize] = files.names.len();
    }
    Ok(files)
}

fn named_twice((first_part, first): (SplitName, &str), (part, file): (SplitName, &str)) -> String {
    let other = if first == file { String::new() } else { format!(" (`{first}` is the same file)") };
    if first_part == part {
        return format!("`{file}` is named twice{other}; name each file once");
    }
    format!(
        "`{file}` is among the {} files and among the {} files{other}; a row belongs to one part only, so name each file \
         once",
        first_part.called(),
        part.called()
    )
}

/// What two names of one file have in common, links to it included.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    #[cfg(unix)]
    device_and_inode: (u64, u64),
    #[cfg(not(unix))]
    path: PathBuf,
}

impl Identity {
    /// Of a file that is there.
    #[cfg(unix)]
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::metadata(path).ok().filter(|found| found.is_file())?;
        Some(Identity { device_and_inode: (found.dev(), found.ino()) })
    }

    /// Of a file that is there.
    #[cfg(not(unix))]
    fn of(path: &Path) -> Option<Self> {
        path.canonicalize().ok().map(|path| Identity { path })
    }
}

/// An error about a whole file points at the key that names it; what is wrong inside a file has its
/// place there.
pub(super) fn at_path(loaded: &Loaded, name: &str, error: DataError) -> DataError {
    match error {
        error @ DataError::File { .. } => loaded.source.error_at(&["dataset", name, "path"], error.to_string()).into(),
        other => other,
    }
}
