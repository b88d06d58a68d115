//! Choosing columns by names and globs.
//!
//! Patterns are names, globs (`*`, `?`, `[ab]`, `{x,y}`) and, after `!`, what is left out. The
//! result is in the table's order. A list that only leaves out starts from everything. A glob never
//! matches a column that is *reserved*: a task's target on the same file, or a column that the
//! split is made from; such a column has to be named.

use std::collections::HashMap;

use experiment::{ExperimentError, Source};
use globset::Glob;

/// Columns to choose from.
pub(crate) struct Columns<'a> {
    /// All names in the table's order.
    pub names: &'a [String],
    /// The place of each name.
    pub places: &'a HashMap<String, usize>,
    /// By column: whether only its own name chooses it.
    pub reserved: &'a [bool],
    /// The table, for messages.
    pub table: &'a str,
}

impl Columns<'_> {
    /// The index of a column that the experiment names at `key`.
    pub fn find(&self, name: &str, source: &Source, key: &[&str]) -> Result<usize, ExperimentError> {
        self.places.get(name).copied().ok_or_else(|| {
            let message = format!("dataset `{}` has no column `{name}`{}", self.table, nearest(name, self.names));
            source.error_at(key, message)
        })
    }

    /// The indices of the columns that the patterns at `key` choose.
    pub fn select(&self, patterns: &[String], source: &Source, key: &[&str]) -> Result<Vec<usize>, ExperimentError> {
        let only_exclusions = patterns.iter().all(|p| p.starts_with('!'));
        let mut chosen: Vec<bool> = self.reserved.iter().map(|reserved| only_exclusions && !reserved).collect();
        for (i, pattern) in patterns.iter().enumerate() {
            let place = i.to_string();
            let at: Vec<&str> = key.iter().copied().chain([place.as_str()]).collect();
            let (name, include) = match pattern.strip_prefix('!') {
                Some(name) => (name, false),
                None => (pattern.as_str(), true),
            };
            for column in self.matches(name, source, &at)? {
                chosen[column] = include;
            }
        }
        let chosen: Vec<usize> = (0..self.names.len()).filter(|c| chosen[*c]).collect();
        if chosen.is_empty() {
            return Err(source.error_at(key, format!("no column of dataset `{}` is left", self.table)));
        }
        Ok(chosen)
    }

    fn matches(&self, name: &str, source: &Source, key: &[&str]) -> Result<Vec<usize>, ExperimentError> {
        if self.places.contains_key(name) || !name.contains(['*', '?', '[', '{']) {
            return Ok(vec![self.find(name, source, key)?]);
        }
        let glob = Glob::new(name).map_err(|e| source.error_at(key, e.kind().to_string()))?.compile_matcher();
        let matches = |reserved: bool| (0..self.names.len()).filter(move |c| self.reserved[*c] == reserved);
        let found: Vec<usize> = matches(false).filter(|c| glob.is_match(&self.names[*c])).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let reason = match matches(true).find(|c| glob.is_match(&self.names[*c])) {
            Some(column) => format!(
                "`{name}` matches only targets and columns of the split, such as `{0}`; such a column has to be named",
                self.names[column]
            ),
            None => format!("no column of dataset `{}` matches `{name}`", self.table),
        };
        Err(source.error_at(key, reason))
    }
}

/// `; did you mean ...?` or what there is.
fn nearest(name: &str, names: &[String]) -> String {
    let near = names
        .iter()
        .map(|n| (strsim::damerau_levenshtein(&n.to_lowercase(), &name.to_lowercase()), n))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, n)| *distance <= 1 + n.chars().count() / 3);
    match near {
        Some((_, near)) => format!("; did you mean `{near}`?"),
        None if names.len() <= 12 => format!("; it has `{}`", names.join("`, `")),
        None => format!("; it has `{}`, ... ({} columns)", names[..8].join("`, `"), names.len()),
    }
}
