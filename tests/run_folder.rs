//! The files that a run leaves, and how a run ends.

mod support;

use std::{fs, path::Path, process::Stdio};

use serde_json::Value;
use support::{Running, children, example, is_alive, report, train, trunkline, wait_for, wait_for_step};

#[test]
fn a_run_can_be_evaluated_inspected_and_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let trained = report(&train(&example("clinic"), &run, &["--set", "train.steps=60"]).output().expect("starts"));
    let mut command = trunkline();
    let evaluated =
        report(&command.arg("evaluate").arg(&run).args(["--split", "test", "--json"]).output().expect("starts"));
    for task in ["progression", "malignant"] {
        assert_eq!(evaluated["tasks"][task], trained["tasks"][task]["test"], "{task}");
    }
    let mut command = trunkline();
    let inspected = report(&command.arg("inspect").arg(&run).arg("--json").output().expect("starts"));
    assert_eq!(inspected["state"], "finished");
    assert_eq!(inspected["parameters_sha256"], trained["parameters_sha256"]);

    let last = run.join("checkpoints/step-000060/model.safetensors");
    let bytes = std::fs::read(last).expect("a checkpoint of the last step");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("opens");
    let weight = tensors.tensor("trunk.0.weight").expect("the layout's name");
    assert_eq!(weight.shape(), [64, 64]);
    assert!(tensors.tensor("head.malignant.0.bias").is_ok(), "{:?}", tensors.names());
}

fn long_run(run: &Path) -> Running {
    let mut command = train(&example("digits"), run, &["--workers", "2", "--set", "train.steps=1000000"]);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    wait_for_step(run, 10);
    Running(running)
}

#[test]
fn workers_end_with_a_coordinator_that_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut running = long_run(&folder.path().join("run"));
    let workers = children(running.0.id());
    assert_eq!(workers.len(), 2);
    running.0.kill().expect("killed");
    wait_for("the workers' end", || workers.iter().all(|pid| !is_alive(*pid)).then_some(()));
}

#[test]
fn an_interrupt_writes_a_checkpoint_and_ends_with_130() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let running = long_run(&run);
    support::kill(running.0.id(), rustix::process::Signal::INT);
    let done = running.wait();
    assert_eq!(done.status.code(), Some(130));
    let report: Value = serde_json::from_slice(&done.stdout).expect("one JSON object");
    let step = report["step"].as_u64().expect("a number");
    assert!(run.join(format!("checkpoints/step-{step:06}/manifest.json")).is_file());
}

/// Does something to a run folder in mid-run. The run has to notice that nothing is recorded any
/// more.
fn loses_its_journal(deed: fn(&Path)) {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let running = long_run(&run);
    deed(&run);
    let done = running.wait();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("journal.jsonl: it was removed or moved while the run went on"), "{said}");
}

#[test]
fn a_run_whose_journal_is_removed_ends_at_once() {
    loses_its_journal(|run| fs::remove_file(run.join("journal.jsonl")).expect("removed"));
}

#[test]
fn a_run_whose_folder_is_moved_ends_at_once() {
    loses_its_journal(|run| fs::rename(run, run.with_file_name("elsewhere")).expect("moved"));
}

#[test]
fn a_journal_that_was_replaced_is_not_written_to_any_more() {
    loses_its_journal(|run| {
        let (journal, copy) = (run.join("journal.jsonl"), run.join("copy"));
        fs::copy(&journal, &copy).expect("copied");
        fs::rename(&copy, &journal).expect("replaced");
    });
}
