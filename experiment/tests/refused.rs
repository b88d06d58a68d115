//! Every kind of wrong experiment file, with its message.
//!
//! The cases are in `tests/refused/*.txt`. A case has a title (`## ...`), changes to a small valid
//! file, and after `>>` the whole message. A changed line stands under its table's header. It
//! replaces the line with the same key, or is added to the table. If the title begins with `raw`,
//! the case is the file itself. Lines that begin with `--set` are arguments. `UPDATE=1 cargo test
//! -p experiment --test refused` writes the messages: read what it changed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const BASE: &str = r#"name = "x"
[dataset.d]
path = "d.csv"
[task.t]
dataset = "d"
target = "y"
kind = "multiclass"
[train]
steps = 10
"#;

struct Case {
    title: String,
    input: String,
    expected: String,
}

fn cases(file: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(file).expect("the cases are text");
    let blocks = text.split("## ").skip(1);
    let case = |block: &str| {
        let (title, rest) = block.split_once('\n').expect("a title has a line of its own");
        let (input, expected) = rest.split_once(">>\n").unwrap_or((rest, ""));
        Case { title: title.to_owned(), input: input.to_owned(), expected: expected.trim_end().to_owned() }
    };
    blocks.map(case).collect()
}

/// The key of a line, if it has one.
fn key(line: &str) -> Option<&str> {
    line.split_once('=').map(|(key, _)| key.trim())
}

/// The base file with these changes.
fn changed(changes: &str) -> String {
    let mut tables: Vec<(String, Vec<String>)> = vec![(String::new(), Vec::new())];
    for (text, replaces) in [(BASE, false), (changes, true)] {
        let mut at = 0;
        for line in text.lines() {
            if line.starts_with('[') {
                at = tables.iter().position(|(header, _)| header == line).unwrap_or(tables.len());
                if at == tables.len() {
                    tables.push((line.to_owned(), Vec::new()));
                }
                continue;
            }
            let lines = &mut tables[at].1;
            match lines.iter_mut().find(|old| replaces && key(old).is_some() && key(old) == key(line)) {
                Some(old) => *old = line.to_owned(),
                None => lines.push(line.to_owned()),
            }
        }
    }
    let mut text = String::new();
    for (header, lines) in tables {
        for line in Some(header).filter(|header| !header.is_empty()).into_iter().chain(lines) {
            writeln!(text, "{line}").expect("a String takes everything");
        }
    }
    text
}

fn message(case: &Case) -> String {
    let is_set = |line: &&str| line.starts_with("--set ");
    let sets: Vec<String> = case.input.lines().filter(is_set).map(|line| line["--set ".len()..].to_owned()).collect();
    let lines: String = case.input.lines().filter(|line| !is_set(line)).map(|line| format!("{line}\n")).collect();
    let text = if case.title.starts_with("raw") { lines } else { changed(&lines) };
    match model::parse(&text, Path::new("x.toml"), &sets) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn check(name: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/refused").join(name);
    let cases = cases(&file);
    assert!(!cases.is_empty(), "{name} has no cases");
    if std::env::var_os("UPDATE").is_some() {
        let text: String =
            cases.iter().map(|case| format!("## {}\n{}>>\n{}\n\n", case.title, case.input, message(case))).collect();
        std::fs::write(&file, text.trim_end().to_owned() + "\n").expect("the cases can be written");
        return;
    }
    for case in &cases {
        let got = message(case);
        assert_ne!(got, "accepted", "{name}: {}", case.title);
        assert_eq!(got, case.expected, "{name}: {}\n--- got\n{got}\n---", case.title);
    }
}

#[test]
fn base_is_accepted() {
    model::parse(BASE, Path::new("x.toml"), &[]).expect("the base is valid");
}

#[test]
fn text_that_is_no_toml_is_refused_with_its_place() {
    check("syntax.txt");
}

#[test]
fn top_level_that_cannot_be_is_refused_with_its_place() {
    check("top.txt");
}

#[test]
fn dataset_that_cannot_be_is_refused_with_its_place() {
    check("dataset.txt");
}

#[test]
fn task_that_cannot_be_is_refused_with_its_place() {
    check("task.txt");
}

#[test]
fn model_that_cannot_be_is_refused_with_its_place() {
    check("model.txt");
}

#[test]
fn training_that_cannot_be_is_refused_with_its_place() {
    check("train.txt");
}

#[test]
fn optimizer_schedule_and_weighting_are_refused_at_their_keys() {
    check("aggregation.txt");
}

#[test]
fn weightings_with_bad_parameters_are_refused_with_what_is_allowed() {
    check("weighting.txt");
}

#[test]
fn cluster_and_tracking_that_cannot_be_are_refused_with_their_place() {
    check("cluster.txt");
}

#[test]
fn overrides_are_named_in_errors_about_them() {
    check("overrides.txt");
}
