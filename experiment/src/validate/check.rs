//! The checks that several tables of the file share.

use settings::Range;

use crate::fault::{Fault, index_key};

/// What a check finds: nothing, or the first fault.
pub(super) type Check = Result<(), Fault>;

pub(super) fn require(holds: bool, path: &[&str], message: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(Fault::value(path, message())) }
}

pub(super) fn in_range(range: Range, value: f64, path: &[&str]) -> Check {
    require(range.contains(value), path, || format!("must be {range}, not {value}"))
}

pub(super) fn at_least_one(value: impl Into<u64>, path: &[&str]) -> Check {
    require(value.into() >= 1, path, || "must be at least 1, not 0".to_owned())
}

pub(super) fn between(least: u64, value: u64, most: u64, path: &[&str]) -> Check {
    require((least..=most).contains(&value), path, || {
        format!("must be a whole number from {least} to {most}, not {value}")
    })
}

/// The path of an item of a list. A single item may be written without a list. It is then named by
/// the list's key.
pub(super) fn item<'p>(path: &'p [&'p str], list: &[String]) -> &'p [&'p str] {
    if list.len() == 1 { &path[..path.len() - 1] } else { path }
}

/// Checks names and globs of columns.
pub(super) fn columns(patterns: &[String], key: &str) -> Check {
    require(!patterns.is_empty(), &[key], || "the list is empty, so it selects no column".to_owned())?;
    for (index, pattern) in patterns.iter().enumerate() {
        let index = index_key(index);
        let path = [key, index.as_str()];
        let path = item(&path, patterns);
        let glob = pattern.strip_prefix('!').unwrap_or(pattern);
        require(!glob.is_empty(), path, || "a column's name is empty".to_owned())?;
        if let Err(error) = globset::Glob::new(glob) {
            return Err(Fault::value(path, format!("`{glob}` is not a glob: {}", error.kind())));
        }
    }
    Ok(())
}
