//! Commands on folders that are not runs, and on runs that did not end well.

mod support;

use std::{
    path::Path,
    process::{Output, Stdio},
};

use serde_json::Value;
use support::{Running, example, report, train, trunkline, wait_for_step};

fn on(command: &str, run: &Path, more: &[&str]) -> Output {
    trunkline().arg(command).arg(run).args(more).output().expect("starts")
}

fn state(run: &Path) -> Value {
    report(&on("inspect", run, &["--json"]))
}

#[track_caller]
fn refused(done: &Output, expected: &[&str]) {
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{said}");
    for part in expected {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}

#[test]
fn a_folder_that_is_not_a_run_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    for command in ["inspect", "evaluate"] {
        refused(&on(command, &folder.path().join("gone"), &[]), &["gone", "no such folder"]);
        refused(&on(command, folder.path(), &[]), &["not the folder of a run", "experiment.toml"]);
        refused(&on(command, &example("digits"), &[]), &["digits.toml", "a file"]);
    }
}

#[test]
fn a_run_that_can_not_begin_leaves_no_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let coordinator = |more: &[&str]| {
        let mut command = trunkline();
        command.arg("coordinator").arg(example("digits")).arg("--run-dir").arg(&run).args(more);
        command.output().expect("starts")
    };
    refused(&coordinator(&["--listen", "127.0.0.1:0", "--token-file", "none"]), &["token file none"]);
    assert!(!run.exists());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    assert_eq!(coordinator(&["--listen", &address]).status.code(), Some(1));
    assert!(!run.exists());
    // A folder is accepted if a coordinator was killed in it before it wrote anything.
    std::fs::create_dir(&run).expect("creates");
    std::fs::write(run.join("lock"), "").expect("writes");
    let short = ["--set", "train.steps=3"];
    assert!(train(&example("digits"), &run, &short).output().expect("starts").status.success());
}

#[test]
fn a_run_that_goes_on_says_so_and_one_that_was_killed_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let long = ["--set", "train.steps=1000000", "--set", "train.checkpoint={ every = 1000000 }"];
    let mut running = Running(
        train(&example("digits"), &run, &long).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts"),
    );
    wait_for_step(&run, 10);
    assert_eq!(state(&run)["state"], "running");
    refused(&on("evaluate", &run, &[]), &["no checkpoint yet"]);
    running.0.kill().expect("killed");
    running.end();
    assert_eq!(state(&run)["state"], "killed");
    refused(&on("evaluate", &run, &[]), &["before its first checkpoint"]);
}

#[test]
fn a_run_that_failed_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let more = ["--set", "train.optimizer={ kind = \"sgd\", learning_rate = 1e30 }"];
    let done = train(&example("digits"), &run, &more).output().expect("starts");
    assert_eq!(done.status.code(), Some(1), "{}", String::from_utf8_lossy(&done.stderr));
    let state = state(&run);
    assert_eq!(state["state"], "failed");
    let reason = state["reason"].as_str().expect("a reason");
    assert!(String::from_utf8_lossy(&done.stderr).contains(reason), "{reason}");
    let shown = String::from_utf8(on("inspect", &run, &[]).stdout).expect("text");
    assert!(shown.contains(reason) && shown.contains("checkpoints"), "{shown}");
}
