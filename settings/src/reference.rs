//! The generated parts of the documentation: tables of parts and their parameters.
//!
//! A document has markers around what is generated, each alone on its line:
//!
//! ```text
//! <!-- generated: optimizers -->
//! ...
//! <!-- end -->
//! ```
//!
//! A test of the crate that has the registry calls [`hold`] with a table for each marker.
//! `UPDATE=1 cargo test --test reference` writes the document anew.

use std::path::{Path, PathBuf};

use crate::reader::{Parameter, Preset};
use crate::registry::Description;

/// Why a document does not have what the registries say.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// The document lacks a marker, or the line that ends what is generated.
    #[error("{path} has no lines `<!-- generated: {name} -->` and `<!-- end -->`; add them")]
    NoMarker {
        /// The document.
        path: PathBuf,
        /// The marker's name.
        name: String,
    },
    /// What is generated is another text.
    #[error("{path} is not what the registries say under `{name}`; run the test again with UPDATE=1")]
    Outdated {
        /// The document.
        path: PathBuf,
        /// The marker's name.
        name: String,
    },
    /// The document can't be read or written.
    #[error("{path}: {source}")]
    File {
        /// The document.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Holds a document to its generated parts, each a marker's name and its text; or writes them, if
/// the environment has `UPDATE`.
///
/// # Errors
/// [`ReferenceError`] if a marker is not there, if a part is another text and is not to be written,
/// and if the document can't be read or written.
pub fn hold(path: &Path, parts: &[(&str, String)]) -> Result<(), ReferenceError> {
    let failed = |source| ReferenceError::File { path: path.to_owned(), source };
    let mut document = std::fs::read_to_string(path).map_err(failed)?;
    let update = std::env::var_os("UPDATE").is_some();
    for (name, text) in parts {
        let (path, name) = (path.to_owned(), (*name).to_owned());
        match replaced(&document, &name, text) {
            None => return Err(ReferenceError::NoMarker { path, name }),
            Some(new) if new != document && !update => return Err(ReferenceError::Outdated { path, name }),
            Some(new) => document = new,
        }
    }
    if update { std::fs::write(path, document).map_err(failed) } else { Ok(()) }
}

/// The document with `text` at the marker `name`, if the marker is there.
fn replaced(document: &str, name: &str, text: &str) -> Option<String> {
    let marker = format!("<!-- generated: {name} -->\n");
    let (before, rest) = document.split_once(&marker)?;
    let (_, after) = rest.split_once("<!-- end -->\n")?;
    Some(format!("{before}{marker}{}\n<!-- end -->\n{after}", text.trim_end()))
}

/// A parameter that at least so many parts share stands once, after the parts.
const SHARED_MIN: usize = 8;

/// A table of parts, each with its parameters below it. `tag` heads the column of names.
///
/// What all parts share stands first, what many share last.
pub fn table(tag: &str, descriptions: &[Description]) -> String {
    let owners = |parameter: &Parameter| -> Vec<&str> {
        let has = descriptions.iter().filter(|description| description.parameters.contains(parameter));
        has.map(|description| description.name).collect()
    };
    let is_shared =
        |owners: &[&str]| owners.len() >= SHARED_MIN || (owners.len() > 1 && owners.len() == descriptions.len());
    let mut lines =
        vec![format!("| {tag} | parameter | values | default | meaning |"), "|---|---|---|---|---|".to_owned()];
    let mut shared: Vec<&Parameter> = Vec::new();
    let mut parts = Vec::new();
    for description in descriptions {
        parts.push(format!("| `{}` | | | | {} |", description.name, cell(description.summary)));
        for parameter in &description.parameters {
            if !is_shared(&owners(parameter)) {
                parts.push(row("", parameter));
            } else if !shared.contains(&parameter) {
                shared.push(parameter);
            }
        }
    }
    let (by_all, by_many): (Vec<_>, Vec<_>) =
        shared.into_iter().partition(|parameter| owners(parameter).len() == descriptions.len());
    lines.extend(by_all.into_iter().map(|parameter| row("all", parameter)));
    lines.append(&mut parts);
    for parameter in by_many {
        let names: Vec<String> = owners(parameter).iter().map(|name| format!("`{name}`")).collect();
        lines.push(row(&names.join(", "), parameter));
    }
    lines.join("\n") + "\n"
}

fn row(owner: &str, parameter: &Parameter) -> String {
    let default = match &parameter.preset {
        Preset::Value(value) => format!("`{value}`"),
        Preset::Words(words) => (*words).to_owned(),
        Preset::Required => "required".to_owned(),
    };
    let Parameter { key, allowed, documentation, .. } = parameter;
    format!("| {owner} | `{key}` | {} | {} | {} |", cell(allowed), cell(&default), cell(documentation))
}

/// A table of other things than parts: its head, and its rows.
pub fn grid<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let line = |cells: [String; N]| format!("| {} |\n", cells.map(|text| cell(&text)).join(" | "));
    let rule = format!("|{}\n", "---|".repeat(N));
    [line(head.map(str::to_owned)), rule].into_iter().chain(rows.into_iter().map(line)).collect()
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Value;

    fn parameter(key: &'static str, preset: Preset) -> Parameter {
        Parameter { key, allowed: "a number".to_owned(), preset, documentation: "what it is" }
    }

    #[test]
    fn a_table_has_all_parts_and_what_they_share_first() {
        let rate = || parameter("rate", Preset::Value(Value::Number(1e-3)));
        let part = |name, parameters| Description { name, summary: "a part", parameters };
        let parts = [part("a", vec![rate(), parameter("c", Preset::Required)]), part("b", vec![rate()])];
        let expected = "\
| kind | parameter | values | default | meaning |
|---|---|---|---|---|
| all | `rate` | a number | `0.001` | what it is |
| `a` | | | | a part |
|  | `c` | a number | required | what it is |
| `b` | | | | a part |
";
        assert_eq!(table("kind", &parts), expected);
    }

    #[test]
    fn a_grid_has_a_line_for_its_head_and_for_each_row() {
        let rows = [["`a`", "1|2"], ["`b`", "3"]].map(|row| row.map(str::to_owned));
        let expected = "| name | value |\n|---|---|\n| `a` | 1\\|2 |\n| `b` | 3 |\n";
        assert_eq!(grid(["name", "value"], rows), expected);
    }

    #[test]
    fn a_document_is_held_to_what_is_generated() {
        let document = "before\n<!-- generated: x -->\nold\n<!-- end -->\nafter\n";
        let new = "before\n<!-- generated: x -->\nnew\n<!-- end -->\nafter\n";
        assert_eq!(replaced(document, "x", "new\n").as_deref(), Some(new));
        assert_eq!(replaced(document, "y", "new\n"), None);
    }
}
