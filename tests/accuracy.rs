//! What the examples have to reach on rows that no choice was made on.

mod support;

use support::{example, report, train};

#[test]
fn digits_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let done = train(&example("digits"), &folder.path().join("run"), &["--workers", "2"]).output().expect("starts");
    let report = report(&done);
    let accuracy = |task: &str| report["tasks"][task]["test"]["accuracy"].as_f64().expect("a number");
    assert!(accuracy("digit") >= 0.96, "{}", accuracy("digit"));
    assert!(accuracy("odd") >= 0.97, "{}", accuracy("odd"));
}

#[test]
fn images_of_digits_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let done = train(&example("mnist"), &folder.path().join("run"), &["--workers", "2"]).output().expect("starts");
    let report = report(&done);
    let accuracy = |task: &str| report["tasks"][task]["test"]["accuracy"].as_f64().expect("a number");
    assert!(accuracy("digit") >= 0.97, "{}", accuracy("digit"));
    assert!(accuracy("odd") >= 0.97, "{}", accuracy("odd"));
}

#[test]
fn two_clinical_tables_train_one_trunk() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut accuracy, mut r2) = (0.0, 0.0);
    for seed in ["1", "2", "3"] {
        let set = format!("seed={seed}");
        let done = train(&example("clinic"), &folder.path().join(seed), &["--set", &set]).output().expect("starts");
        let report = report(&done);
        accuracy += report["tasks"]["malignant"]["test"]["accuracy"].as_f64().expect("a number") / 3.0;
        r2 += report["tasks"]["progression"]["test"]["r2"].as_f64().expect("a number") / 3.0;
    }
    assert!(accuracy >= 0.94, "{accuracy}");
    assert!(r2 >= 0.40, "{r2}");
}
