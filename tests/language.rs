//! Comments can be read: no line is wider than 100 columns, and every doc comment stands alone.

use std::path::{Path, PathBuf};

/// The widest line of a comment, columns. Rows of tables, links and lines of JSON may be wider.
const COLUMNS_MAX: usize = 100;
/// Beginnings of a doc comment that make sense only after the line before.
const DEPENDENT: [&str; 6] = ["...", "And ", "The same", "These", "Which", "Whose"];
/// Phrases of comments that hide what is meant, with what to write instead.
const OBSCURE: [(&str, &str); 5] = [
    ("; none if ", "`None` if"),
    ("; none for ", "`None` for"),
    ("where nobody ", "if no worker, user, ... does"),
    ("whoever ", "a peer, user, ... that"),
    ("told apart from 0", "significant"),
];
/// Words after "is no" and "are no" with which these do not mean "is not a".
const AFTER_NO: [&str; 9] = ["and", "longer", "more", "less", "further", "better", "larger", "smaller", "other"];

/// All Rust files of the repository.
fn sources() -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && name != "shared" && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 200, "{} files", files.len());
    files.sort();
    files
}

/// The places at which `is_wrong` holds for a line and the line before it.
fn found(is_wrong: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut places = Vec::new();
    for path in sources() {
        let text = std::fs::read_to_string(&path).expect("text");
        let mut before = "";
        for (line, number) in text.lines().zip(1..) {
            if is_wrong(line, before) {
                places.push(format!("{}:{number}: {}", path.display(), line.trim()));
            }
            before = line;
        }
    }
    places
}

/// The text of a line that is a comment.
fn comment(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("//").map(|text| text.trim_start_matches(['/', '!', ' ']))
}

/// Whether a comment says "is no X" instead of "is not an X".
fn denies_a_noun(text: &str) -> bool {
    let words: Vec<&str> = text.split(' ').collect();
    words.windows(4).any(|words| {
        let [before, is, no, after] = words else { return false };
        let is_of_there = before.eq_ignore_ascii_case("there");
        matches!(*is, "is" | "are")
            && *no == "no"
            && !is_of_there
            && !AFTER_NO.iter().any(|word| after.starts_with(word))
    })
}

/// The text of a line of a doc comment.
fn documentation(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).map(str::trim_start)
}

#[test]
fn comments_fit_100_columns() {
    let is_too_wide = |line: &str, _: &str| {
        let comment = line.trim_start();
        let is_unbroken =
            comment.trim_start_matches(['/', '!', ' ']).starts_with(['|', '<', '[', '{']) || comment.contains("://");
        comment.starts_with("//") && line.chars().count() > COLUMNS_MAX && !is_unbroken
    };
    let places = found(is_too_wide);
    assert!(places.is_empty(), "wrap these comments at {COLUMNS_MAX} columns:\n{}", places.join("\n"));
}

#[test]
fn doc_comments_stand_alone() {
    let depends = |line: &str, before: &str| {
        let begins = documentation(line).filter(|_| documentation(before).is_none());
        begins.is_some_and(|text| DEPENDENT.iter().any(|word| text.starts_with(word)))
    };
    let places = found(depends);
    assert!(
        places.is_empty(),
        "say what each of these is, without the line before and without {DEPENDENT:?}:\n{}",
        places.join("\n")
    );
}

#[test]
fn comments_say_what_they_mean() {
    let is_obscure = |line: &str, _: &str| {
        comment(line).is_some_and(|text| denies_a_noun(text) || OBSCURE.iter().any(|(phrase, _)| text.contains(phrase)))
    };
    let places = found(is_obscure);
    assert!(places.is_empty(), "write \"is not a\" instead of \"is no\", and {OBSCURE:?}:\n{}", places.join("\n"));
}
