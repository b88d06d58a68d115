//! Reading experiment files from disk, and pointing at their keys afterwards.

use std::fs;
use std::path::Path;

use experiment::{ExperimentError, Loaded, Origin};
use model::{load, parse};

const TEXT: &str = "name = \"x\"\n[dataset.d]\npath = \"d.csv\"\ntypes = { a = \"number\" }\n\n[task.t]\ndataset = \"d\"\ntarget = [\"y\", \"z\"]\nkind = \"regression\"\n";

/// Writes `bytes` as an experiment file, loads it, and gives the error's text without the folder's
/// name.
fn refused(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.toml");
    fs::write(&path, bytes).expect("a file");
    let error = load(&path, &[]).expect_err("the file is wrong").to_string();
    error.replace(&format!("{}/", folder.path().display()), "")
}

fn loaded() -> Loaded {
    parse(TEXT, Path::new("x.toml"), &["train.batch_size=8".to_owned()]).expect("the text is valid")
}

fn line_and_column(error: &ExperimentError) -> (usize, usize) {
    match error {
        ExperimentError::Refused(refusal) => match refusal.origin {
            Origin::File { line, column, .. } => (line, column),
            Origin::Set { .. } => panic!("{error}"),
        },
        _ => panic!("{error}"),
    }
}

#[test]
fn missing_file_is_named() {
    let error = load(Path::new("/no/such/x.toml"), &[]).expect_err("there is none").to_string();
    assert_eq!(error, "/no/such/x.toml: there is no such file");
}

#[test]
fn folder_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = load(folder.path(), &[]).expect_err("a folder is not a file").to_string();
    assert!(error.ends_with(": this is a folder; the experiment is a file in TOML"), "{error}");
}

#[test]
fn empty_file_is_refused() {
    let message = "x.toml: the file is empty; an experiment has a `name`, a [dataset.NAME] and a [task.NAME]";
    assert_eq!(refused(b""), message);
    assert_eq!(refused(b"\xef\xbb\xbf \n"), message);
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_line() {
    assert_eq!(refused(b"name = \"x\"\nseed = \xff\n"), "x.toml: the file is not UTF-8 text: byte 0xff in line 2");
}

#[test]
fn file_with_a_byte_order_mark_and_windows_line_ends_loads() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.toml");
    fs::write(&path, format!("\u{feff}{}", TEXT.replace('\n', "\r\n"))).expect("a file");
    let loaded = load(&path, &[]).expect("the text is valid");
    assert_eq!(loaded.experiment.name, "x");
    assert_eq!(line_and_column(&loaded.source.error_at(&["dataset", "d", "path"], "no")), (3, 8));
}

#[test]
fn base_is_the_file_s_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.toml");
    fs::write(&path, TEXT).expect("a file");
    assert_eq!(load(&path, &[]).expect("the text is valid").base, folder.path());
}

#[test]
fn home_is_not_expanded_in_paths() {
    let loaded = parse(TEXT, Path::new("x.toml"), &["dataset.d.path=~/d.csv".to_owned()]).expect("the text is valid");
    assert_eq!(loaded.experiment.datasets["d"].path, experiment::Paths::Files(vec!["~/d.csv".to_owned()]));
}

#[test]
fn error_at_points_at_values_items_and_tables() {
    let source = loaded().source;
    let place = |path: &[&str]| line_and_column(&source.error_at(path, "no"));
    assert_eq!(place(&["task", "t", "target"]), (8, 10));
    assert_eq!(place(&["task", "t", "target", "[1]"]), (8, 16));
    assert_eq!(place(&["dataset", "d", "types", "a"]), (4, 15));
    assert_eq!(place(&["task", "t"]), (6, 7));
    assert_eq!(place(&["task", "t", "weight"]), (6, 7), "a key that is not there is at its table");
    assert_eq!(place(&["model"]), (1, 1));
    assert_eq!(place(&[]), (1, 1));
}

#[test]
fn error_at_shows_line_caret_and_nearest_name() {
    let error = loaded().source.error_at(&["task", "t", "target", "[1]"], "no column `z` in d.csv");
    let expected = "x.toml:8:16: task.t.target[1]: no column `z` in d.csv\n  |\n8 | target = [\"y\", \"z\"]\n  |                ^^^\n  = did you mean `zz`? known columns: y, zz";
    assert_eq!(error.known("z", "columns", ["y", "zz"]).to_string(), expected);
}

#[test]
fn error_at_names_the_argument_that_gave_the_value() {
    let error = loaded().source.error_at(&["train", "batch_size"], "too small").to_string();
    assert_eq!(error, "--set train.batch_size=8: train.batch_size: too small");
}

#[test]
fn source_knows_what_was_given() {
    let source = loaded().source;
    assert!(source.has(&["task", "t", "kind"]));
    assert!(source.has(&["train", "batch_size"]), "by an argument");
    assert!(source.has(&["train"]), "by an argument below it");
    assert!(!source.has(&["task", "t", "weight"]));
}
