//! What is wrong, and at which key. A fault knows the path of its key, but not the text.
//! [`crate::Source`] turns it into an error with file, line and column.

use std::fmt;

use settings::{Invalid, Problem};

/// A key or value that is refused.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    /// The keys from the top of the file. An item of a list has an [`index_key`].
    pub(crate) path: Vec<String>,
    pub(crate) complaint: Complaint,
    /// What may help, one line each.
    pub(crate) help: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Complaint {
    /// The key at the end of the path is unknown.
    UnknownKey,
    /// The table at the path lacks this key.
    MissingKey(String),
    /// The value at the path is wrong in this way.
    Value(String),
}

impl Fault {
    /// A wrong value at `path`.
    pub(crate) fn value(path: &[&str], message: impl Into<String>) -> Self {
        let path = path.iter().map(|&key| key.to_owned()).collect();
        Self { path, complaint: Complaint::Value(message.into()), help: Vec::new() }
    }

    /// A key that the table at `path` lacks.
    pub(crate) fn missing(path: &[&str], key: impl Into<String>) -> Self {
        let path = path.iter().map(|&key| key.to_owned()).collect();
        Self { path, complaint: Complaint::MissingKey(key.into()), help: Vec::new() }
    }

    /// This fault, seen from the table or list that has it at `key`.
    pub(crate) fn under(mut self, key: impl Into<String>) -> Self {
        self.path.insert(0, key.into());
        self
    }

    pub(crate) fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(line.into());
        self
    }

    /// Adds the known name nearest to `name`, and all known ones; `what` is what they are, in the
    /// plural.
    pub(crate) fn known<'a>(self, name: &str, what: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match suggestion(name, what, known) {
            Some(line) => self.help(line),
            None => self,
        }
    }

    /// Adds only the known name nearest to `name`, for messages that have all names.
    pub(crate) fn nearest<'a>(self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(name, &known.into_iter().collect::<Vec<_>>()) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    /// The fault in one line.
    pub(crate) fn message(&self) -> String {
        match (&self.complaint, self.path.split_last()) {
            (Complaint::UnknownKey, Some((key, table))) => format!("unknown key `{key}` {}", in_table(table)),
            (Complaint::UnknownKey, None) => "unknown key".to_owned(),
            (Complaint::MissingKey(key), _) => format!("missing key `{key}` {}", in_table(&self.path)),
            (Complaint::Value(message), None) => message.clone(),
            (Complaint::Value(message), Some(_)) => format!("{}: {message}", dotted(&self.path)),
        }
    }
}

/// A refused parameter of a part, seen from the part's table.
impl From<Invalid> for Fault {
    fn from(invalid: Invalid) -> Self {
        let Invalid { mut path, problem, message, known } = invalid;
        let known = || known.iter().map(String::as_str);
        let fault = |path, complaint| Fault { path, complaint, help: Vec::new() };
        match problem {
            Problem::UnknownKey => {
                let key = path.last().cloned().unwrap_or_default();
                fault(path, Complaint::UnknownKey).known(&key, "keys", known())
            }
            Problem::MissingKey => {
                let key = path.pop().unwrap_or_default();
                fault(path, Complaint::MissingKey(key)).help(message.replace("this key is missing; ", ""))
            }
            Problem::Value => fault(path, Complaint::Value(message)),
            Problem::Name(name) => fault(path, Complaint::Value(message)).nearest(&name, known()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for Fault {}

fn in_table(path: &[String]) -> String {
    if path.is_empty() { "at the top level".to_owned() } else { format!("in [{}]", dotted(path)) }
}

/// The name of a list's item in a path, counted from 0: `[2]`.
pub(crate) fn index_key(index: usize) -> String {
    format!("[{index}]")
}

/// The index that a part of a path names.
pub(crate) fn index_of_key(key: &str) -> Option<usize> {
    key.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// A path as text: dots between keys, and quotes if TOML needs them.
pub(crate) fn dotted(path: &[String]) -> String {
    let bare = |key: &str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let mut text = String::new();
    for key in path {
        if index_of_key(key).is_some() {
            text.push_str(key);
            continue;
        }
        if !text.is_empty() {
            text.push('.');
        }
        match bare(key) {
            true => text.push_str(key),
            false => text.push_str(&format!("{key:?}")),
        }
    }
    text
}

/// One line with the known name nearest to `name` and all known names, if there are any.
pub(crate) fn suggestion<'a>(name: &str, what: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    /// Longer lists of names do not help.
    const SHOWN_MAX: usize = 30;
    let known: Vec<&str> = known.into_iter().collect();
    let all = match known.len() {
        0 => return None,
        more @ SHOWN_MAX.. => format!("{}, and {} more", known[..SHOWN_MAX].join(", "), more - SHOWN_MAX),
        _ => known.join(", "),
    };
    let nearest = nearest(name, &known).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    Some(format!("{nearest}known {what}: {all}"))
}

/// The known name that `name` was probably meant to be: at most a third of its letters differ.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    /// Comparing takes time in proportion to the product of the lengths. No known key is this long.
    const LENGTH_MAX: usize = 64;
    if name.len() > LENGTH_MAX {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let name = plain(name);
    let allowed = (name.chars().count() / 3).max(1);
    let distance = |known: &str| {
        let distance = strsim::osa_distance(&name, known);
        // If all letters differ, no name is nearer than another.
        let longest = name.chars().count().max(known.chars().count());
        (distance <= allowed && distance < longest).then_some(distance)
    };
    let distances = known.iter().filter_map(|known| Some((distance(&plain(known))?, *known)));
    distances.min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}
