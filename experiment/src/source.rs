//! The text of an experiment file, and the places of its keys.

use std::ops::Range;
use std::path::{Path, PathBuf};

use settings::Invalid;
use toml_edit::{Document, Item, TableLike, Value};

use crate::error::{ExperimentError, Origin, Refusal};
use crate::fault::{Complaint, Fault, index_of_key};
use crate::overrides::Override;

/// An experiment file as it was read, to point at the place of a key.
#[derive(Debug, Clone)]
pub struct Source {
    path: PathBuf,
    document: Document<String>,
    overrides: Vec<Override>,
}

impl Source {
    /// Reads the syntax of `text`, which came from the file `path`.
    pub(crate) fn parse(path: &Path, text: String) -> Result<Self, ExperimentError> {
        match Document::parse(text.clone()) {
            Ok(document) => Ok(Self { path: path.to_owned(), document, overrides: Vec::new() }),
            Err(error) => {
                let span = error.span().unwrap_or(0..0);
                let message = error.message().lines().collect::<Vec<_>>().join("; ");
                Err(refusal(file_origin(path, &text, span), message, Vec::new()))
            }
        }
    }

    pub(crate) fn set_overrides(&mut self, overrides: Vec<Override>) {
        self.overrides = overrides;
    }

    /// The file as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's text.
    pub fn text(&self) -> &str {
        self.document.raw()
    }

    /// Whether the file or a `--set` argument has this key.
    pub fn has(&self, key_path: &[&str]) -> bool {
        let (depth, _) = self.locate(key_path);
        depth == key_path.len() || self.overrides.iter().any(|set| starts_with(&set.path, key_path))
    }

    /// An error about the value at `key_path`: the keys from the top of the file, and `[0]`, `[1]`,
    /// ... for items of lists.
    ///
    /// It points at the value. If a `--set` argument gave the value, it points at that argument. If
    /// the value is a default, it points at the last argument that set another value of its table.
    /// If the file does not have the key, it points at the innermost table on the way that it has.
    pub fn error_at(&self, key_path: &[&str], message: impl Into<String>) -> ExperimentError {
        self.error(Fault::value(key_path, message))
    }

    /// The error for a parameter that a part at this key refuses.
    pub fn refused(&self, key_path: &[&str], invalid: Invalid) -> ExperimentError {
        self.error(key_path.iter().rfold(Fault::from(invalid), |fault, key| fault.under(*key)))
    }

    /// The fault with its place in the text.
    pub(crate) fn error(&self, fault: Fault) -> ExperimentError {
        let path: Vec<&str> = fault.path.iter().map(String::as_str).collect();
        let message = fault.message();
        let (depth, spans) = self.locate(&path);
        let set = |set: &&Override| {
            let covers = path.len() >= set.path.len() && set.path.iter().zip(&path).all(|(one, other)| one == other);
            covers || (depth < path.len() && starts_with(&set.path, &path))
        };
        // A default does not fit another value of its table: point at the one that was set last.
        // The whole file does not count as such a table.
        let is_default = path.len() > 1 && depth < path.len() && matches!(fault.complaint, Complaint::Value(_));
        let beside = |set: &&Override| is_default && starts_with(&set.path, &path[..path.len() - 1]);
        let sets = || self.overrides.iter().rev();
        if let Some(set) = sets().find(set).or_else(|| sets().find(beside)) {
            return refusal(Origin::Set { argument: set.argument.clone() }, message, fault.help);
        }
        let span = match fault.complaint {
            Complaint::UnknownKey => spans.key.or(spans.value),
            Complaint::MissingKey(_) | Complaint::Value(_) => spans.value.or(spans.key),
        };
        refusal(file_origin(&self.path, self.text(), span.unwrap_or(0..0)), message, fault.help)
    }

    /// The number of keys of the path that the document has, and the place of the last of them.
    fn locate(&self, path: &[&str]) -> (usize, Spans) {
        let mut node = Node::Table(self.document.as_table());
        let mut spans = Spans::default();
        for (depth, key) in path.iter().enumerate() {
            match node.child(key) {
                Some((child, found)) => {
                    node = child;
                    // Tables that only a dotted key or a header implies have no place of their own.
                    if found.key.is_some() || found.value.is_some() {
                        spans = found;
                    }
                }
                None => return (depth, spans),
            }
        }
        (path.len(), spans)
    }
}

fn starts_with(path: &[String], prefix: &[&str]) -> bool {
    path.len() >= prefix.len() && path.iter().zip(prefix).all(|(one, other)| one == other)
}

#[derive(Default)]
struct Spans {
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
}

enum Node<'a> {
    Table(&'a dyn TableLike),
    List(&'a toml_edit::Array),
    Tables(&'a toml_edit::ArrayOfTables),
    Leaf,
}

impl<'a> Node<'a> {
    fn child(&self, key: &str) -> Option<(Node<'a>, Spans)> {
        match *self {
            Node::Leaf => None,
            Node::Table(table) => {
                let (key, item) = table.get_key_value(key)?;
                let value = match item {
                    // The span of such a table is not that of its value. The key in the header is
                    // more useful.
                    Item::Table(_) | Item::ArrayOfTables(_) | Item::None => None,
                    Item::Value(value) => value.span(),
                };
                Some((Node::of_item(item), Spans { key: key.span(), value }))
            }
            Node::List(list) => {
                let value = list.get(index_of_key(key)?)?;
                Some((Node::of_value(value), Spans { key: None, value: value.span() }))
            }
            Node::Tables(tables) => {
                let table = tables.get(index_of_key(key)?)?;
                Some((Node::Table(table), Spans { key: None, value: table.span() }))
            }
        }
    }

    fn of_item(item: &'a Item) -> Self {
        match item {
            Item::None => Node::Leaf,
            Item::Value(value) => Node::of_value(value),
            Item::Table(table) => Node::Table(table),
            Item::ArrayOfTables(tables) => Node::Tables(tables),
        }
    }

    fn of_value(value: &'a Value) -> Self {
        match value {
            Value::Array(list) => Node::List(list),
            Value::InlineTable(table) => Node::Table(table),
            _ => Node::Leaf,
        }
    }
}

fn refusal(origin: Origin, message: String, help: Vec<String>) -> ExperimentError {
    ExperimentError::Refused(Box::new(Refusal { origin, message, help }))
}

/// The line and column of a range of bytes. A range over several lines is underlined up to the end
/// of its first line.
fn file_origin(path: &Path, text: &str, span: Range<usize>) -> Origin {
    let start = text.floor_char_boundary(span.start);
    let end = text.floor_char_boundary(span.end.max(start));
    let begin_of_line = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let end_of_line = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
    Origin::File {
        path: path.to_owned(),
        line: text[..start].matches('\n').count() + 1,
        column: text[begin_of_line..start].chars().count() + 1,
        text: text[begin_of_line..end_of_line].to_owned(),
        width: text[start..end.min(end_of_line)].chars().count(),
    }
}
