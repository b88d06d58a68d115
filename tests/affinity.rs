//! `trunkline affinity` and `trunkline replay` on a run.

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::{example, report, train, trunkline};

fn trained(folder: &Path, method: &str) -> std::path::PathBuf {
    let run = folder.join(method);
    let method = format!("weighting.method={method}");
    let sets = ["--set", "train.steps=30", "--set", &method, "--set", "tracking.weighting_every=1"];
    report(&train(&example("digits"), &run, &sets).output().expect("starts"));
    run
}

fn json_of(command: &str, run: &Path, more: &[&str]) -> Value {
    report(&trunkline().arg(command).arg(run).args(more).arg("--json").output().expect("starts"))
}

#[test]
fn a_run_tells_which_tasks_help_each_other_and_what_others_would_have_weighed() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = trained(folder.path(), "upgrad");
    let (csv, svg) = (folder.path().join("affinity.csv"), folder.path().join("affinity.svg"));
    let mut command = trunkline();
    command.arg("affinity").arg(&run).arg("--csv").arg(&csv).arg("--svg").arg(&svg).arg("--json");
    let affinity = report(&command.output().expect("starts"));
    assert_eq!((&affinity["steps"], &affinity["tasks"]), (&json!(30), &json!(["digit", "odd"])));
    let cosine = &affinity["cosine"];
    let cosine = |i: usize, j: usize| cosine[i][j].as_f64().expect("a number");
    assert!(cosine(0, 0) == 1.0 && (cosine(0, 1) - cosine(1, 0)).abs() < 1e-12, "{affinity}");
    let expected: f64 = support::journal(&run)
        .iter()
        .filter(|record| record["kind"] == "weighting")
        .map(|record| record["cosines"][0][1].as_f64().expect("a number") / 30.0)
        .sum();
    assert!((cosine(0, 1) - expected).abs() < 1e-12, "{affinity}");
    let together = expected > 0.0;
    let groups = if together { json!([["digit", "odd"]]) } else { json!([["digit"], ["odd"]]) };
    assert_eq!((&affinity["groups"], &affinity["search"]), (&groups, &json!("exact")));
    let csv = std::fs::read_to_string(csv).expect("written");
    assert_eq!((csv.lines().count(), csv.lines().next()), (5, Some("from,to,cosine,transfer")));
    assert!(std::fs::read_to_string(svg).expect("written").contains("Task affinity of upgrad"));

    // The same method on the same steps weighs them as it did.
    let replayed = json_of("replay", &run, &["--method", "upgrad"]);
    let steps = replayed["steps"].as_array().expect("a list");
    assert_eq!(steps.len(), 30);
    for step in steps {
        for task in 0..2 {
            let (now, then) = (step["alpha"][task].as_f64(), step["recorded_alpha"][task].as_f64());
            assert!((now.expect("a number") - then.expect("a number")).abs() < 1e-9, "{step}");
        }
    }
    let replayed = json_of("replay", &run, &["--method", "mgda"]);
    for step in replayed["steps"].as_array().expect("a list") {
        let sum: f64 = (0..2).map(|task| step["alpha"][task].as_f64().expect("a number")).sum();
        assert!((sum - 1.0).abs() < 1e-9 && step["certificate"]["kind"] == "duality_gap", "{step}");
    }
    for command in [&["affinity"][..], &["replay", "--method", "mgda"][..]] {
        let done = trunkline().args(command).arg(&run).output().expect("starts");
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success() && text.contains("digit") && text.contains("30 recorded steps"), "{text}");
    }
}

#[test]
fn what_a_run_has_not_recorded_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = trained(folder.path(), "sum");
    let check = |arguments: &[&str], expected: &str| {
        let done = trunkline().args(arguments).arg(&run).output().expect("starts");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "`{expected}` is not in: {said}");
    };
    check(&["affinity"], "sum needs no gradients by task");
    check(&["replay", "--method", "upgrad"], "sum needs no gradients by task");
    check(&["replay", "--method", "graddrop"], "graddrop needs the gradients themselves");
    check(&["replay", "--method", "upgard"], "did you mean `upgrad`?");
    // Losses are always there.
    let replayed = json_of("replay", &run, &["--method", "dwa"]);
    assert_eq!(replayed["steps"].as_array().map(Vec::len), Some(30));
    let done = trunkline().args(["affinity", "nowhere"]).output().expect("starts");
    assert_eq!(done.status.code(), Some(2));
}
