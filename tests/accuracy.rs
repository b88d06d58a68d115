//! The metrics that the examples must reach on the test rows. No choice, such as that of the best
//! checkpoint, depends on these rows.

mod support;

use support::{example, report, train};

#[test]
fn digits_are_told_apart() {
    let [digit, odd] = on_test_rows("digits", "accuracy", ["digit", "odd"]);
    assert!(digit >= 0.96 && odd >= 0.97, "{digit} {odd}");
}

#[test]
fn images_of_digits_are_told_apart() {
    let [digit, odd] = on_test_rows("mnist", "accuracy", ["digit", "odd"]);
    assert!(digit >= 0.97 && odd >= 0.97, "{digit} {odd}");
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

/// A metric of the test split of each task of an example.
fn on_test_rows<const N: usize>(name: &str, metric: &str, tasks: [&str; N]) -> [f64; N] {
    let folder = tempfile::tempdir().expect("a folder");
    let done = train(&example(name), &folder.path().join("run"), &["--workers", "2"]).output().expect("starts");
    let report = report(&done);
    tasks.map(|task| report["tasks"][task]["test"][metric].as_f64().expect("a number"))
}

#[test]
fn the_price_and_the_rent_of_homes_are_found() {
    let [price, rent] = on_test_rows("homes", "r2", ["price", "rent"]);
    assert!(price >= 0.95 && rent >= 0.96, "{price} {rent}");
}

#[test]
fn digits_and_letters_of_two_tables_are_told_apart() {
    let [digit, letter] = on_test_rows("letters", "accuracy", ["digit", "letter"]);
    assert!(digit >= 0.95 && letter >= 0.93, "{digit} {letter}");
}

#[test]
fn two_questions_about_the_same_people_are_answered() {
    let [income, never_married] = on_test_rows("census", "accuracy", ["income", "never_married"]);
    assert!(income >= 0.83 && never_married >= 0.815, "{income} {never_married}");
}
