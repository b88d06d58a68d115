//! Bad input: one clear message, no panic, and exit code 2 (or 1 if it shows only at run time).

mod support;

use std::{net::TcpListener, path::Path, process::Output};

use support::trunkline;

const EXPERIMENT: &str = r#"
name = "case"
[dataset.d]
path = "d.csv"
[task.t]
dataset = "d"
target = "y"
kind = "regression"
[model]
trunk = { hidden = [4] }
[train]
steps = 4
batch_size = 8
"#;

fn table(rows: usize) -> String {
    let rows = (0..rows).map(|i| format!("{i},{},{}\n", i * i % 7, 2 * i));
    format!("a,b,y\n{}", rows.collect::<String>())
}

fn run(folder: &Path, experiment: &str, csv: Option<&str>) -> Output {
    std::fs::write(folder.join("case.toml"), experiment).expect("written");
    if let Some(csv) = csv {
        std::fs::write(folder.join("d.csv"), csv).expect("written");
    }
    let mut command = trunkline();
    command.current_dir(folder).args(["train", "case.toml", "--run-dir", "run"]);
    command.output().expect("starts")
}

fn check(experiment: &str, csv: Option<&str>, expected: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    refused(&run(folder.path(), experiment, csv), 2, expected);
    assert!(!folder.path().join("run").exists(), "nothing is begun");
}

fn refused(done: &Output, code: i32, expected: &[&str]) {
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(code), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(said.matches("error:").count(), 1, "{said}");
    for part in expected {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}

#[test]
fn the_case_that_the_others_spoil_is_good() {
    let folder = tempfile::tempdir().expect("a folder");
    let done = run(folder.path(), EXPERIMENT, Some(&table(40)));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn an_error_in_an_experiment_has_its_place() {
    let good = table(40);
    check(&EXPERIMENT.replace("steps", "stepz"), Some(&good), &["case.toml:12:1", "stepz", "steps"]);
    check(&EXPERIMENT.replace("steps = 4", "steps = \"four\""), Some(&good), &["case.toml:12:9", "steps"]);
    check(&EXPERIMENT.replace("batch_size = 8", "batch_size = 0"), Some(&good), &["case.toml:13", "batch_size"]);
    check(&EXPERIMENT.replace("target = \"y\"", "target = \"z\""), Some(&good), &["case.toml:7", "`z`"]);
}

#[test]
fn an_error_in_a_table_has_its_place() {
    check(EXPERIMENT, None, &["d.csv", "no such file"]);
    check(EXPERIMENT, Some(""), &["d.csv", "empty"]);
    let spoil = |line: &str| table(40).replacen("7,0,14", line, 1);
    check(EXPERIMENT, Some(&spoil("7,many,14")), &["d.csv", "`b`", "row 8", "many"]);
    check(EXPERIMENT, Some(&spoil("7,NaN,14")), &["d.csv", "`b`", "row 8", "NaN"]);
    check(EXPERIMENT, Some(&spoil("7,inf,14")), &["d.csv", "`b`", "row 8", "infinite"]);
    let unlabelled: String = (0..40).map(|i| format!("{i},1,\n")).collect();
    check(EXPERIMENT, Some(&format!("a,b,y\n{unlabelled}")), &["task.t", "`y`", "null"]);
    check(EXPERIMENT, Some(&table(4)), &["`d`", "microbatches"]);
}

#[test]
fn a_port_in_use_and_a_coordinator_that_is_not_there_fail_at_run_time() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = trunkline();
    command.current_dir(folder.path()).arg("coordinator").arg(support::example("digits")).args(["--listen", &address]);
    refused(&command.output().expect("starts"), 1, &[&address, "in use"]);
    drop(taken);
    let mut command = trunkline();
    command.args(["worker", "--coordinator", &address, "--wait", "1"]);
    refused(&command.output().expect("starts"), 1, &[&address, "no coordinator"]);
}

#[test]
fn a_model_that_no_machine_could_hold_is_refused_before_it_is_made() {
    let mut command = trunkline();
    command.arg("check").arg(support::example("digits")).args(["--set", "model.trunk.hidden=[1000000, 1000000]"]);
    refused(&command.output().expect("starts"), 2, &["at most 2147483648 are allowed", "`trunk.1.weight`"]);
}

#[test]
fn no_workers_are_refused_by_the_option_that_says_so() {
    let mut command = trunkline();
    command.arg("train").arg(support::example("digits")).args(["--workers", "0"]);
    refused(&command.output().expect("starts"), 2, &["--workers <N>", "0 is not in 1..=4096"]);
}

#[test]
fn a_device_that_is_not_in_the_build_names_the_command_that_builds_it() {
    let mut command = trunkline();
    command.arg("train").arg(support::example("digits")).args(["--device", "wgpu"]);
    refused(&command.output().expect("starts"), 2, &["wgpu", "--features wgpu"]);
}

#[test]
fn an_address_that_others_can_reach_needs_a_word() {
    let mut command = trunkline();
    command.arg("coordinator").arg(support::example("digits")).args(["--listen", "0.0.0.0:0"]);
    refused(&command.output().expect("starts"), 2, &["--insecure"]);
}

#[test]
fn more_workers_than_microbatches_work_and_some_are_said_to_be_idle() {
    let folder = tempfile::tempdir().expect("a folder");
    let more = ["--workers", "6", "--set", "train.steps=20"];
    let done = support::train(&support::example("digits"), &folder.path().join("run"), &more).output().expect("starts");
    assert_eq!(support::report(&done)["status"], "finished");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(said.contains("2 will be idle"), "{said}");
}
