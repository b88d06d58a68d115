//! What went wrong with an experiment file, as a person reads it.

use std::fmt;
use std::path::PathBuf;

use crate::fault;

/// Why an experiment was refused. Its text has several lines: the place and what is wrong, the source line with a caret, and
/// what is allowed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExperimentError {
    /// The file could not be read as text.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The file as it was named.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A `--set` argument that is not `key.path=value`, or that does not fit the file's tables.
    #[error("--set {argument}: {message}")]
    Set {
        /// The argument as it was given.
        argument: String,
        /// What is wrong with it.
        message: String,
    },
    /// Something in the file, or in an argument that changed it, is refused.
    #[error(transparent)]
    Refused(Box<Refusal>),
}

impl ExperimentError {
    /// Adds a line that may help.
    #[must_use]
    pub fn help(mut self, line: impl Into<String>) -> Self {
        if let ExperimentError::Refused(refusal) = &mut self {
            refusal.help.push(line.into());
        }
        self
    }

    /// Adds the known name nearest to `name`, and the known ones; `what` is what they are, in the plural ("columns").
    #[must_use]
    pub fn known<'a>(self, name: &str, what: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match fault::suggestion(name, what, known) {
            Some(line) => self.help(line),
            None => self,
        }
    }
}

/// A refused key or value with its place.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub struct Refusal {
    /// Where it stands.
    pub origin: Origin,
    /// What is wrong, in one line.
    pub message: String,
    /// What may help, one line each.
    pub help: Vec<String>,
}

/// Where something stands that was refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// In the file.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The character in the line, counted from 1.
        column: usize,
        /// The line's text.
        text: String,
        /// Characters that the caret underlines.
        width: usize,
    },
    /// In a `--set` argument.
    Set {
        /// The argument as it was given.
        argument: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let margin = match &self.origin {
            Origin::Set { argument } => {
                write!(f, "--set {argument}: {}", self.message)?;
                String::new()
            }
            Origin::File { path, line, column, text, width } => {
                writeln!(f, "{}:{line}:{column}: {}", path.display(), self.message)?;
                let margin = " ".repeat(line.to_string().len());
                writeln!(f, "{margin} |")?;
                writeln!(f, "{line} | {}", shown(text))?;
                write!(f, "{margin} | {}{}", " ".repeat(column - 1), "^".repeat((*width).max(1)))?;
                margin
            }
        };
        for line in &self.help {
            write!(f, "\n{margin} = {line}")?;
        }
        Ok(())
    }
}

/// A line as wide as its number of characters, so that the caret stands under its place.
fn shown(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim_end().to_owned()
}
