//! What people read: the one place that writes to standard output and standard error.
//!
//! Messages quote text that others wrote: cells and names of columns, reasons that workers and
//! coordinators send, the journal of somebody else's run. A control character in it could change a
//! terminal's title, clear the screen or fill the clipboard. So every control character but a line
//! feed and a tab is written as an escape such as `\u{1b}`, and so is every character that changes
//! the direction of text. JSON escapes control characters by itself and is written as it is.
//!
//! On a terminal, lines that are too long are broken between words.

use std::{
    borrow::Cow,
    io::{self, IsTerminal, Write},
    sync::{Mutex, PoisonError},
};

use indicatif::ProgressBar;
use rustix::{fd::AsFd, termios::tcgetwinsize};
use serde::Serialize;

/// The width of what is written to something else than a terminal, characters.
const WIDTH: usize = 100;
/// The least width that is written for, characters. Some terminals say that they have none.
const WIDTH_MIN: usize = 40;
/// What a line that continues another begins with.
const INDENT: &str = "  ";

/// The progress bar that is on the screen. Messages are written above it.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Writes a message for people to standard error.
pub fn say(text: &str) {
    let stderr = io::stderr();
    let text = shown(text, terminal_width(&stderr));
    // If this fails, nobody is there to read it.
    let write = || drop(writeln!(io::stderr(), "{text}"));
    match &*BAR.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Writes a result for people to standard output. A reader that has gone away is not an error.
pub fn print(text: &str) {
    let stdout = io::stdout();
    let text = shown(text, terminal_width(&stdout));
    let _ = writeln!(io::stdout(), "{text}");
}

/// Writes a result for programs to standard output: one line of JSON.
///
/// # Errors
/// The value has a key that is not a text.
pub fn print_json(value: &impl Serialize) -> serde_json::Result<()> {
    let text = serde_json::to_string(value)?;
    let _ = writeln!(io::stdout(), "{text}");
    Ok(())
}

/// The width that results are laid out for, characters: the terminal's, or 100 if standard output
/// is something else.
pub fn width() -> usize {
    terminal_width(&io::stdout()).unwrap_or(WIDTH)
}

/// Puts a progress bar on the screen, or takes it away.
pub fn set_bar(bar: Option<ProgressBar>) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

/// A text on one line: line feeds and tabs are escaped too.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_control(c) || matches!(c, '\n' | '\t'))
}

fn shown(text: &str, width: Option<usize>) -> String {
    let text = escaped(text, is_control);
    match width {
        Some(width) => text.split('\n').map(|line| broken(line, width)).collect::<Vec<_>>().join("\n"),
        None => text.into_owned(),
    }
}

/// The width of a stream that is a terminal, characters.
fn terminal_width(stream: &(impl AsFd + IsTerminal)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let size = tcgetwinsize(stream).ok()?;
    Some(usize::from(size.ws_col).max(WIDTH_MIN))
}

/// Whether a terminal does something with a character other than to show it. Line feeds and tabs
/// are part of how messages are laid out.
fn is_control(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        // Marks, embeddings, overrides and isolates of text that runs in the other direction, and
        // the separators of lines and paragraphs.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    }
}

/// A text in which the characters of one kind are written as escapes.
fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' if is_escaped(c) => shown.push_str("\\n"),
            '\t' if is_escaped(c) => shown.push_str("\\t"),
            c if is_escaped(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// A line as lines of at most `width` characters, broken between words. A word that is longer than
/// a line is broken too.
fn broken(line: &str, width: usize) -> String {
    let mut lines = Vec::new();
    let mut rest: Vec<char> = line.chars().collect();
    while rest.len() > width {
        let indent = if lines.is_empty() { 0 } else { INDENT.len() };
        // A space at the edge is where the line ends.
        let space = rest[..=width].iter().rposition(|c| *c == ' ').filter(|at| *at > indent);
        let (kept, begins) = space.map_or((width, width), |at| (at, at + 1));
        lines.push(rest[..kept].iter().collect::<String>());
        rest = INDENT.chars().chain(rest[begins..].iter().copied()).collect();
    }
    lines.push(rest.into_iter().collect());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_as_escapes() {
        let text = "a\u{1b}]52;c;aGk=\u{7}b\rc\u{9b}2J\u{7f}\u{202e}d\u{2066}\u{200f}\u{2028}";
        let expected = r"a\u{1b}]52;c;aGk=\u{7}b\u{d}c\u{9b}2J\u{7f}\u{202e}d\u{2066}\u{200f}\u{2028}";
        assert_eq!(shown(text, None), expected);
        assert_eq!(shown("größer\n\tzwei → 3 …\u{301}", None), "größer\n\tzwei → 3 …\u{301}");
        assert_eq!(one_line("a\n\tb\u{1b}"), r"a\n\tb\u{1b}");
        // What was escaped stays as it is.
        assert_eq!(shown(&one_line("\u{1b}"), None), r"\u{1b}");
    }

    #[test]
    fn a_line_that_is_too_long_is_broken_between_words() {
        assert_eq!(shown("one two three\nfour", Some(7)), "one two\n  three\nfour");
        assert_eq!(shown("one two three", Some(13)), "one two three");
        assert_eq!(shown("a bcdefghijk l", Some(6)), "a\n  bcde\n  fghi\n  jk l");
        let text = "word ".repeat(50);
        assert!(shown(&text, Some(40)).lines().all(|line| line.chars().count() <= 40));
    }
}
