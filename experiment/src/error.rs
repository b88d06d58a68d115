//! Errors in an experiment file, as a person reads them.

use std::fmt;
use std::path::PathBuf;

use crate::fault;

/// Why an experiment was refused. Its text has several lines: the place and what is wrong, the
/// source line with a caret, and what is allowed.
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

    /// Adds the known name nearest to `name`, and all known names. `what` says what they are, in
    /// the plural ("columns").
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
    /// Its place.
    pub origin: Origin,
    /// What is wrong, in one line.
    pub message: String,
    /// What may help, one line each.
    pub help: Vec<String>,
}

/// The place of something that was refused.
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
                let Window { text, before, width } = Window::of(text, column - 1, *width);
                writeln!(f, "{line} | {text}")?;
                write!(f, "{margin} | {}{}", " ".repeat(before), "^".repeat(width))?;
                margin
            }
        };
        for line in &self.help {
            write!(f, "\n{margin} = {line}")?;
        }
        Ok(())
    }
}

/// The part of a source line that is shown.
struct Window {
    text: String,
    /// Characters before the caret.
    before: usize,
    /// Characters that the caret underlines.
    width: usize,
}

impl Window {
    /// The most characters of a line that are shown.
    const LENGTH_MAX: usize = 120;
    /// The characters that are shown before the place, if the line is longer.
    const BEFORE_MAX: usize = 40;
    const CUT: &str = "...";

    /// The part of `line` around the `width` characters after the first `before`, one column for
    /// each character.
    fn of(line: &str, before: usize, width: usize) -> Self {
        let shown: Vec<char> = line.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let width = width.max(1);
        if shown.len() <= Self::LENGTH_MAX {
            return Self { text: shown.into_iter().collect(), before, width };
        }
        let start = before.saturating_sub(Self::BEFORE_MAX).min(shown.len());
        let end = (start + Self::LENGTH_MAX).min(shown.len());
        let cut = |cut: bool| if cut { Self::CUT } else { "" };
        let part: String = shown[start..end].iter().collect();
        Self {
            text: format!("{}{part}{}", cut(start > 0), cut(end < shown.len())),
            before: before - start + cut(start > 0).len(),
            width: width.min(end.saturating_sub(before)).max(1),
        }
    }
}
