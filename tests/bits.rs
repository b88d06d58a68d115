//! The same bits whatever the workers do: real processes, real data, real kills.

mod support;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
};

use support::{Running, bits, children, example, journal, report, results, train, trunkline, wait_for, wait_for_step};

fn quiet(name: &str, folder: &Path, workers: &str, more: &[&str]) -> (serde_json::Value, Vec<serde_json::Value>) {
    let run = folder.join(format!("{name}-{workers}"));
    let arguments: Vec<&str> = ["--workers", workers].iter().chain(more).copied().collect();
    let done = train(&example(name), &run, &arguments).output().expect("starts");
    (report(&done), results(&run))
}

#[test]
fn any_number_of_workers_gives_the_same_bits() {
    for (name, length) in [("digits", "train.steps=120"), ("clinic", "train.steps=120"), ("mixed", "train.epochs=5")] {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, journal) = quiet(name, folder.path(), "1", &["--set", length]);
        for workers in ["2", "3", "5"] {
            let (other, other_journal) = quiet(name, folder.path(), workers, &["--set", length]);
            assert_eq!(bits(&one), bits(&other), "{name} with {workers} workers");
            assert_eq!(journal, other_journal, "{name} with {workers} workers");
        }
    }
}

#[test]
fn no_result_says_how_many_workers_there_were() {
    let folder = tempfile::tempdir().expect("a folder");
    let records = |workers: &str, kind: &str| -> Vec<serde_json::Value> {
        let run = folder.path().join(workers);
        let more = ["--workers", workers, "--set", "train.steps=20", "--set", "cluster.lease_ms=7000"];
        if !run.exists() {
            report(&train(&example("clinic"), &run, &more).output().expect("starts"));
        }
        let mut records: Vec<_> = journal(&run).into_iter().filter(|record| record["record"] == kind).collect();
        records.iter_mut().for_each(|record| drop(record.as_object_mut().expect("an object").remove("time_ms")));
        records
    };
    let results = records("1", "result");
    for kind in ["parameters", "tags", "metrics", "summary"] {
        assert!(results.iter().any(|record| record["kind"] == kind), "{kind}");
    }
    assert_eq!(results, records("3", "result"));
    let parameters = &results.iter().find(|record| record["kind"] == "parameters").expect("one")["parameters"];
    assert_eq!((&parameters["train.steps"], &parameters["cluster.threads"]), (&"20".into(), &"1".into()));
    let settings = |workers| records(workers, "observed").into_iter().find(|r| r["kind"] == "settings").expect("one");
    assert_eq!(settings("1")["settings"]["cluster.workers"], "1");
    assert_eq!(settings("3")["settings"]["cluster.workers"], "3");
    assert_eq!(settings("3")["settings"]["cluster.lease_ms"], "7000");
}

#[test]
fn another_seed_gives_other_bits() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, _) = quiet("digits", folder.path(), "1", &["--set", "train.steps=20"]);
    let (other, _) = quiet("digits", folder.path(), "2", &["--set", "train.steps=20", "--set", "seed=7"]);
    assert_ne!(bits(&one).0, bits(&other).0);
}

/// Weightings for which different things travel: one vector, losses before and after, a vector a task, halves of the tree.
const MODES: [&str; 4] = ["sum", "famo", "upgrad", "sdmgrad"];

#[test]
fn a_worker_killed_in_mid_run_changes_nothing() {
    MODES.iter().for_each(|method| kill_a_worker(method));
}

fn kill_a_worker(method: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let method = format!("weighting.method={method}");
    let more = ["--set", "train.steps=2000", "--set", "train.evaluate_every=1000", "--set", &method];
    let (expected, expected_journal) = quiet("digits", folder.path(), "2", &more);

    let run = folder.path().join("killed");
    let mut command = train(&example("digits"), &run, &more);
    let mut running = Running(command.args(["--workers", "3"]).stdout(Stdio::piped()).spawn().expect("starts"));
    wait_for_step(&run, 200);
    let workers = children(running.0.id());
    assert_eq!(workers.len(), 3);
    support::kill(workers[1], rustix::process::Signal::KILL);
    let mut stdout = running.0.stdout.take().expect("piped");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut text).expect("text");
    let found: serde_json::Value = serde_json::from_str(&text).expect("one JSON object");
    assert!(journal(&run).iter().any(|record| record["kind"] == "worker_lost"), "nobody was lost");
    assert_eq!(bits(&expected), bits(&found));
    assert_eq!(expected_journal, results(&run));
}

#[test]
fn workers_over_tcp_and_one_that_joins_late_give_the_same_bits() {
    MODES.iter().for_each(|method| join_over_tcp(method));
}

fn join_over_tcp(method: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let method = format!("weighting.method={method}");
    let more = ["--set", "train.steps=1000", "--set", "train.evaluate_every=500", "--set", &method];
    let (expected, expected_journal) = quiet("digits", folder.path(), "1", &more);

    let run = folder.path().join("tcp");
    let mut command = trunkline();
    command
        .arg("coordinator")
        .arg(example("digits"))
        .args(["--listen", "127.0.0.1:0", "--json", "--run-dir"])
        .arg(&run);
    let child = command.args(more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut coordinator = Running(child);
    let mut said = BufReader::new(coordinator.0.stderr.take().expect("piped")).lines();
    let address = wait_for("the address", || {
        let line = said.next()?.ok()?;
        line.strip_prefix("listening on ").map(str::to_owned)
    });
    let worker = || {
        let mut command = trunkline();
        command.args(["worker", "--coordinator", &address]).stderr(Stdio::null());
        Running(command.spawn().expect("starts"))
    };
    let _first = worker();
    wait_for_step(&run, 20);
    let _late = worker();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut coordinator.0.stdout.take().expect("piped"), &mut text).expect("text");
    let found: serde_json::Value = serde_json::from_str(&text).expect("one JSON object");
    assert_eq!(bits(&expected), bits(&found));
    assert_eq!(expected_journal, results(&run));
    let joined = journal(&run).iter().filter(|record| record["kind"] == "worker_joined").count();
    assert_eq!(joined, 2);
}
