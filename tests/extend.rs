//! `--extend`: a new run that goes on from the state of another one with other keys.

mod support;

use std::path::Path;

use serde_json::Value;
use support::{example, journal, report, train, trunkline};

/// Training of which the first steps don't depend on its length.
const CONSTANT: [&str; 4] = ["--set", "train.schedule=constant", "--set", "train.checkpoint.best=validation.loss"];

fn trained(folder: &Path, name: &str, steps: u64) -> Value {
    let steps = format!("train.steps={steps}");
    let more = [&CONSTANT[..], &["--set", &steps]].concat();
    report(&train(&example("digits"), &folder.join(name), &more).output().expect("starts"))
}

/// What `train --resume FROM --run-dir TO --extend ...` says, in a folder.
fn extended(folder: &Path, from: &str, to: &str, keys: &[&str]) -> std::process::Output {
    let mut command = trunkline();
    command.current_dir(folder).args(["train", "--json", "--resume", from, "--run-dir", to]);
    command.args(keys.iter().flat_map(|key| ["--extend", key]));
    command.output().expect("starts")
}

#[test]
fn a_run_that_is_extended_has_the_bits_of_one_that_was_longer_from_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let long = trained(folder.path(), "long", 90);
    let short = trained(folder.path(), "short", 30);
    let before = std::fs::read(folder.path().join("short/journal.jsonl")).expect("there is one");
    let twice = report(&extended(folder.path(), "short", "twice", &["train.steps=60"]));
    let thrice = report(&extended(folder.path(), "twice", "thrice", &["train.steps=90", "train.evaluate_every=9"]));
    assert_eq!((&twice["step"], &twice["resumed_from"]), (&60.into(), &30.into()));
    assert_ne!(twice["parameters_sha256"], short["parameters_sha256"]);
    assert_eq!(thrice["parameters_sha256"], long["parameters_sha256"]);
    assert_eq!(std::fs::read(folder.path().join("short/journal.jsonl")).expect("there is one"), before);

    // The new run says where it comes from, and has its own results alone.
    let records = journal(&folder.path().join("twice"));
    let tags = &records.iter().find(|record| record["kind"] == "tags").expect("tags")["tags"];
    assert_eq!((&tags["parent.run"], &tags["parent.step"]), (&"short".into(), &"30".into()));
    let steps =
        records.iter().filter(|record| record["kind"] == "metrics").filter_map(|record| record["step"].as_u64());
    assert!(steps.clone().count() > 0 && steps.min() > Some(30));

    // It is a run like any other: its metrics can be computed again, and it can be resumed.
    for command in
        [&["evaluate", "thrice", "--json"][..], &["inspect", "thrice"], &["train", "--resume", "thrice", "--json"]]
    {
        let done = trunkline().current_dir(&folder).args(command).output().expect("starts");
        assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn the_best_parameters_of_the_first_run_count_in_the_second() {
    let folder = tempfile::tempdir().expect("a folder");
    trained(folder.path(), "first", 40);
    // With such a learning rate nothing gets better.
    let second =
        report(&extended(folder.path(), "first", "second", &["train.steps=50", "train.optimizer.learning_rate=1"]));
    assert!(second["selected_step"].as_u64().is_some_and(|step| step <= 40), "{second}");
    let evaluated = trunkline().current_dir(&folder).args(["evaluate", "second", "--json"]).output();
    let evaluated = report(&evaluated.expect("starts"));
    assert_eq!(evaluated["tasks"]["digit"]["accuracy"], second["tasks"]["digit"]["test"]["accuracy"]);
}

#[test]
fn an_extended_run_records_what_the_first_has_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    trained(folder.path(), "first", 40);
    report(&extended(folder.path(), "first", "second", &["train.steps=50"]));
    let recorded = |run: &str, metric: &str| {
        let of_training = support::journal(&folder.path().join(run)).into_iter();
        let mut of_training = of_training.filter(|record| record["split"] == "train" && record["task"].is_null());
        of_training.find_map(|record| record["metrics"][metric].as_f64())
    };
    let rate = recorded("first", "learning_rate");
    assert!(rate.is_some());
    assert_eq!(recorded("second", "learning_rate"), rate);
}

#[test]
fn a_run_that_stopped_early_has_new_patience() {
    let folder = tempfile::tempdir().expect("a folder");
    let more = [
        "--set",
        "train.steps=100",
        "--set",
        "train.evaluate_every=5",
        "--set",
        "train.optimizer.learning_rate=1e-12",
        "--set",
        "train.early_stopping={ metric = \"validation.loss\", patience = 2, min_delta = 0.5 }",
    ];
    let first = report(&train(&example("digits"), &folder.path().join("first"), &more).output().expect("starts"));
    assert_eq!((&first["stopped_early"], &first["step"]), (&true.into(), &15.into()));
    let second = report(&extended(folder.path(), "first", "second", &["train.early_stopping.patience=4"]));
    // The first evaluation is the best so far, and four more are not better.
    assert_eq!((&second["stopped_early"], &second["step"]), (&true.into(), &40.into()));
}

#[test]
fn keys_that_the_state_depends_on_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    trained(folder.path(), "run", 8);
    let check = |keys: &[&str], expected: &str| {
        let done = extended(folder.path(), "run", "new", keys);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.code() == Some(2) && said.contains(expected), "{keys:?}: {said}");
        assert!(!folder.path().join("new").exists(), "{keys:?}");
    };
    check(&["train.steps=16", "model.trunk.hidden=[8]"], "`model.trunk.hidden` was [128,64], and is [8]");
    check(&["train.steps=16", "train.batch_size=8"], "`train.batch_size` was 64, and is 8");
    check(
        &["train.steps=16", "train.optimizer.weight_decay=0.5"],
        "`train.optimizer.weight_decay` was 0.0, and is 0.5",
    );
    check(&["seed=7", "train.steps=16"], "`seed`");
    check(&["train.steps=8"], "has done 8 steps already");
    check(&["train.stepz=8"], "unknown key `stepz`");
    let said = |arguments: &[&str]| {
        let done = trunkline().current_dir(&folder).args(arguments).output().expect("starts");
        assert_eq!(done.status.code(), Some(2), "{arguments:?}");
        String::from_utf8_lossy(&done.stderr).into_owned()
    };
    assert!(said(&["train", "x.toml", "--resume", "run", "--extend", "train.steps=16"]).contains("leave out the file"));
    assert!(said(&["train", "x.toml", "--extend", "train.steps=16"]).contains("--resume"));
    // Resuming with another length says how to go on.
    let longer =
        said(&["train", "--resume", "run", "--set", "train.steps=16", "--set", "train.optimizer.learning_rate=0.5"]);
    assert!(
        longer.contains("`--resume 'run' --extend 'train.optimizer.learning_rate=0.5' --extend 'train.steps=16'`")
            || longer
                .contains("`--resume 'run' --extend 'train.steps=16' --extend 'train.optimizer.learning_rate=0.5'`"),
        "{longer}"
    );
    assert!(!said(&["train", "--resume", "run", "--set", "seed=7"]).contains("--extend"));
}
