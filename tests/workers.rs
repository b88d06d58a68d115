//! Workers that die, hang, or lose their coordinator. Others replace them, or they come back, and
//! the bits are the same.

mod support;

use std::{path::Path, process::Stdio, sync::OnceLock};

use aggregation::random::{Purpose, Stream};
use rustix::process::Signal;
use serde_json::Value;
use support::{
    Coordinator, Recovery, Running, bits, children, company, count, example, goes_on_alone, joins, journal,
    journal_so_far, kill, last_step, report, results, train, wait_for, wait_for_step,
};

/// Slow steps, so that everything happens before the run ends.
const LONG: [&str; 6] =
    ["--set", "train.steps=4000", "--set", "train.evaluate_every=400", "--set", "model.trunk.hidden=[512, 256]"];
/// The run waits for two workers.
const BOTH: [&str; 2] = ["--set", "cluster.min_workers=2"];

/// The report and the results that every run of these steps must have.
fn quiet() -> &'static (Value, Vec<Value>) {
    static QUIET: OnceLock<(Value, Vec<Value>)> = OnceLock::new();
    QUIET.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let run = folder.path().join("quiet");
        let done = train(&example("digits"), &run, &LONG).output().expect("starts");
        (report(&done), results(&run))
    })
}

fn assert_equal(found: &Value, run: &Path, said: &str) {
    let (expected, records) = quiet();
    assert_eq!((bits(expected), records), (bits(found), &results(run)), "{said}");
}

fn start(command: &mut std::process::Command) -> Running {
    Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts"))
}

#[test]
fn workers_that_are_killed_are_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("killed");
    let running = start(&mut train(&example("digits"), &run, &LONG));
    let draws = Stream::new(11, Purpose::Shuffle, &[]);
    let mut recovery = Recovery::of("worker killed, to the next step");
    let mut killed = Vec::new();
    for i in 0..12 {
        wait_for_step(&run, 1 + i * 20);
        // A killed worker may still run for a moment, so it is recognised by its process number. A
        // worker that dies before it takes part is not missed.
        let others = || children(running.0.id()).into_iter().filter(|worker| !killed.contains(worker));
        let workers: Vec<u32> = wait_for("two workers that take part", || {
            let workers: Vec<u32> = others().filter(|worker| joins(&run, *worker) > 0).collect();
            (workers.len() == 2).then_some(workers)
        });
        let before = last_step(&run);
        let victim = workers[draws.u32_at(i) as usize % 2];
        kill(victim, Signal::KILL);
        killed.push(victim);
        recovery.wait_for("a step", || (last_step(&run) > before).then_some(()));
    }
    let done = running.wait();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(said.matches("another takes its place").count(), killed.len(), "{said}");
    let done = report(&done);
    assert_equal(&done, &run, &said);
    assert!(count(&run, "worker_lost") >= killed.len(), "{said}");
    assert_eq!(done["world_size"], 2);
}

#[test]
fn workers_that_die_at_once_are_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let mut running = start(&mut train(&example("digits"), &run, &["--workers", "1", "--set", "train.steps=1000000"]));
    wait_for("the end", || {
        for worker in children(running.0.id()) {
            // The worker may end between the look and the kill.
            let pid = rustix::process::Pid::from_raw(worker as i32).expect("a process");
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        running.0.try_wait().expect("can be asked")
    });
    let done = running.wait();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("workers died in a row while the run completed no step"), "{said}");
}

#[test]
fn a_worker_that_hangs_is_dismissed_and_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("hung");
    let mut command = train(&example("digits"), &run, &LONG);
    let running = start(command.args(["--set", "cluster.lease_ms=500", "--set", "cluster.heartbeat_ms=50"]));
    wait_for_step(&run, 100);
    let worker = children(running.0.id())[0];
    let mut recovery = Recovery::of("worker stopped, from its lease's end to ten steps more");
    wait_for("both", || (company(&run).0 == 2).then_some(()));
    let joined = joins(&run, worker);
    kill(worker, Signal::STOP);
    wait_for("a loss", || (company(&run).0 < 2).then_some(()));
    recovery.wait_for("steps without it", || goes_on_alone(&run).then_some(()));
    let lost = journal(&run).into_iter().rfind(|record| record["kind"] == "worker_lost").expect("there");
    assert_eq!(lost["reason"]["code"], "silent");
    kill(worker, Signal::CONT);
    wait_for("its return", || (joins(&run, worker) > joined).then_some(()));
    let done = running.wait();
    assert_equal(&report(&done), &run, &String::from_utf8_lossy(&done.stderr));
}

#[test]
fn an_answer_for_an_old_step_is_recognised_dropped_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("late");
    // It is back long before its lease is over.
    let patient = [&LONG[..], &BOTH, &["--set", "cluster.lease_ms=60000"]].concat();
    let coordinator = Coordinator::start(&example("digits"), &run, &patient);
    let workers = [coordinator.start_worker(&[]), coordinator.start_worker(&[])];
    wait_for_step(&run, 50);
    let stragglers = || journal_so_far(&run).iter().filter(|record| record["name"] == "straggler").count();
    kill(workers[0].0.id(), Signal::STOP);
    // The other worker does its work, and all of the work as long as this answer is missing.
    let before = last_step(&run);
    wait_for("help", || (stragglers() >= 1 && last_step(&run) >= before + 2).then_some(()));
    kill(workers[0].0.id(), Signal::CONT);
    let (found, said) = coordinator.finish();
    assert_equal(&found, &run, &said);
    assert_eq!((count(&run, "worker_joined"), count(&run, "worker_lost")), (2, 0), "{said}");
    let finished = journal(&run).into_iter().find(|record| record["kind"] == "finished").expect("an end");
    let metrics = &finished["metrics"];
    assert!(metrics["results_dropped"].as_f64().expect("a count") >= 1.0, "{metrics}");
    assert!(metrics["stragglers"].as_f64().expect("a count") >= 1.0, "{metrics}");
    eprintln!(
        "stopped and helped {} times; {} late answers dropped",
        metrics["stragglers"], metrics["results_dropped"]
    );
}

#[test]
fn a_worker_that_leaves_hands_its_work_back_and_the_run_waits_for_enough_workers() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("left");
    let coordinator = Coordinator::start(&example("digits"), &run, &[&LONG[..], &BOTH].concat());
    let (first, _second) = (coordinator.start_worker(&[]), coordinator.start_worker(&[]));
    wait_for_step(&run, 50);
    kill(first.0.id(), Signal::TERM);
    assert_eq!(first.wait().status.code(), Some(130));
    let is_about_it = |record: &Value| record["name"] == "waiting" && record["step"] != 0;
    let waiting = wait_for("a word about it", || journal_so_far(&run).into_iter().find(is_about_it));
    assert_eq!(waiting["message"], "1 workers take part, at least 2 have to");
    let lost = journal(&run).into_iter().find(|record| record["kind"] == "worker_lost").expect("its leave");
    assert_eq!(lost["reason"]["code"], "left");
    let before = last_step(&run);
    let mut recovery = Recovery::of("a worker joins where too few were left, from its start to the next step");
    let _third = coordinator.start_worker(&[]);
    recovery.wait_for("a step", || (last_step(&run) > before).then_some(()));
    let (found, said) = coordinator.finish();
    assert_equal(&found, &run, &said);
}

#[test]
fn workers_find_a_coordinator_that_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("cluster");
    let resumed = ["--resume", "auto", "--set", "train.checkpoint.every=40"];
    // A worker that is still reconnecting when the run ends would not hear of the end.
    let more = [&LONG[..], &BOTH, &resumed].concat();
    let mut coordinator = Coordinator::start(&example("digits"), &run, &more);
    let address = coordinator.address.clone();
    let mut workers = [coordinator.start_worker(&[]), coordinator.start_worker(&[])];
    let mut recovery = Recovery::of("coordinator of a cluster killed, to the first new step");
    for i in 1..=5 {
        wait_for_step(&run, i * 100);
        kill(coordinator.pid(), Signal::KILL);
        // Waits until the coordinator has ended.
        drop(coordinator);
        let before = last_step(&run);
        coordinator = Coordinator::listening_on(&address, &example("digits"), &run, &more);
        recovery.wait_for("a new step", || (last_step(&run) > before).then_some(()));
    }
    let (found, said) = coordinator.finish();
    assert_equal(&found, &run, &said);
    for worker in &mut workers {
        assert_eq!(worker.end().code(), Some(0), "a worker did not see the end");
    }
}
