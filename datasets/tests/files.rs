//! The files of a dataset, and rows that are in several parts.

mod support;

use datasets::SplitName;
use support::{Case, experiment, table};

fn rows(from: usize, to: usize) -> String {
    let all = table(to);
    let lines: Vec<&str> = all.lines().collect();
    format!("{}\n{}\n", lines[0], lines[1 + from..].join("\n"))
}

fn case() -> Case {
    Case::new(&[("train.csv", &rows(0, 60)), ("test.csv", &rows(60, 90))])
}

/// The experiment with this path.
fn with(path: &str) -> String {
    experiment("").replace("\"t.csv\"", path)
}

#[track_caller]
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in:\n{message}");
    }
}

#[test]
fn a_file_that_trains_and_tests_is_refused() {
    let case = case();
    let both = "`test.csv` is among the training files and among the test files";
    says(&case.refused(&with("{ train = \"test.csv\", test = \"test.csv\" }")), &["experiment.toml:3:", both]);
    says(&case.refused(&with("{ train = \"*.csv\", test = \"test.csv\" }")), &[both]);
    says(
        &case.refused(&with("{ train = \"train.csv\", validation = \"test.csv\", test = \"./test.csv\" }")),
        &["`./test.csv` is among the validation files and among the test files (`test.csv` is the same file)"],
    );
}

#[test]
fn a_file_that_is_named_twice_is_refused_by_whatever_name() {
    let case = case();
    std::fs::create_dir(case.path().join("deep")).expect("a folder");
    std::os::unix::fs::symlink("train.csv", case.path().join("link.csv")).expect("linked");
    std::fs::hard_link(case.path().join("train.csv"), case.path().join("hard.csv")).expect("linked");
    let absolute = case.path().join("train.csv");
    let absolute = absolute.to_str().expect("text");
    for other in ["train.csv", "./train.csv", "deep/../train.csv", "link.csv", "hard.csv", "tr*.csv", absolute] {
        let message = case.refused(&with(&format!("[\"train.csv\", \"test.csv\", \"{other}\"]")));
        says(&message, &["experiment.toml:3:", "is named twice"]);
    }
    let message = case.refused(&with("\"*.csv\""));
    says(&message, &["is named twice", "is the same file"]);
}

#[test]
fn a_file_that_is_not_there_is_reported_as_missing_and_not_as_named_twice() {
    says(&case().refused(&with("[\"no.csv\", \"no.csv\"]")), &["no.csv", "no such file"]);
}

#[test]
fn hidden_files_are_not_read() {
    let case = case();
    case.write(".test.csv", table(500).as_bytes());
    case.write("._train.csv", b"\0\x05\x16\x07");
    case.write(".ipynb_checkpoints/train-checkpoint.csv", table(500).as_bytes());
    for (pattern, files) in [
        ("*.csv", "test.csv train.csv"),
        ("**/*.csv", "test.csv train.csv"),
        ("{.test,train}.csv", ".test.csv train.csv"),
    ] {
        let summary = case.prepare(&with(&format!("\"{pattern}\""))).summary;
        assert_eq!(summary.tables[0].files.join(" "), files);
    }
}

fn warnings(case: &Case, text: &str) -> Vec<String> {
    let warnings = case.prepare(text).summary.warnings;
    warnings.into_iter().filter(|warning| warning.contains("equal") || warning.contains("train in dataset")).collect()
}

#[test]
fn equal_rows_of_different_parts_are_a_warning_with_their_number() {
    let copies = rows(50, 70);
    let case = Case::new(&[("train.csv", &rows(0, 60)), ("test.csv", &copies), ("validation.csv", &rows(100, 110))]);
    let path = "{ train = \"train.csv\", validation = \"validation.csv\", test = \"test.csv\" }";
    assert_eq!(
        warnings(&case, &with(path)),
        ["dataset `t`: 10 of 20 test rows are equal to training rows in all features and targets"]
    );
    // What is not used does not make rows differ: `x` has 101 values, and `label` three.
    let used = with(&format!("{path}\nfeatures = [\"colour\"]"));
    assert_eq!(warnings(&case, &used).len(), 2);
    case.write("test.csv", rows(60, 80).as_bytes());
    assert!(warnings(&case, &with(path)).is_empty());
}

#[test]
fn datasets_that_divide_a_file_otherwise_are_a_warning() {
    let case = case();
    let second = "[dataset.u]\npath = { train = \"test.csv\" }\nsplit = { validation = 0.0, test = 0.0 }\nfeatures = [\"id\"]\n\
                  [task.y]\ndataset = \"u\"\ntarget = \"y\"\nkind = \"regression\"\n";
    let text = with("{ train = \"train.csv\", test = \"test.csv\" }") + second;
    let found = warnings(&case, &text);
    assert_eq!(
        found,
        ["30 rows of `test.csv` train in dataset `u`, and validate or test in dataset `t`; give both the same `split`"]
    );
    let same = format!(
        "{}{}",
        with("[\"train.csv\", \"test.csv\"]"),
        second.replace("{ train = \"test.csv\" }", "[\"train.csv\", \"test.csv\"]")
    )
    .replace("split = { validation = 0.0, test = 0.0 }\n", "");
    assert!(warnings(&case, &same).is_empty());
    let prepared = case.prepare(&same);
    assert_eq!(prepared.plan.rows(0, SplitName::Test), 18);
}
