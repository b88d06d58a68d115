//! Networks that delay, cut and corrupt, between real processes. The run gives the bits and results
//! of an undisturbed run.

mod support;

use std::{path::Path, process::Stdio, time::Duration};

use serde_json::Value;
use support::{
    Coordinator, Running, bits, example, journal,
    proxy::{Fault, Proxy},
    report, results, train, trunkline, wait_at_most,
};

/// Vectors of half a megabyte, and enough steps for all faults of the budget.
const LONG: [&str; 6] =
    ["--set", "train.steps=700", "--set", "train.evaluate_every=100", "--set", "model.trunk.hidden=[512, 256]"];
const LEASE: [&str; 4] = ["--set", "cluster.lease_ms=500", "--set", "cluster.heartbeat_ms=50"];
const BUDGET: [(Fault, usize); 4] =
    [(Fault::Delay, 12), (Fault::Corruption, 16), (Fault::Reset, 8), (Fault::Silence, 4)];
/// The bytes that about three steps send and receive.
const EVERY_BYTES: u64 = 16 << 20;
/// The most time until the budget is spent.
const SPENT: Duration = Duration::from_secs(180);

fn quiet(run: &Path) -> (Value, Vec<Value>) {
    let done = train(&example("digits"), run, &LONG).output().expect("starts");
    (report(&done), results(run))
}

fn count(run: &Path, kind: &str, code: &str) -> usize {
    journal(run).iter().filter(|record| record["kind"] == kind && record["reason"]["code"] == code).count()
}

/// Trains with workers that connect through the proxy, until its budget of faults is spent. Returns
/// how many checksums were wrong.
fn through(name: &str, seed: u64, folder: &Path, ours: &[&str], theirs: &[&str]) -> usize {
    let expected = quiet(&folder.join("quiet"));
    let run = folder.join(name);
    let mut coordinator = Coordinator::start(&example("digits"), &run, &[&LONG[..], &LEASE, ours].concat());
    let proxy = Proxy::start(&coordinator.address, seed, &BUDGET, EVERY_BYTES);
    let worker = |coordinator: &Coordinator| {
        let mut command = coordinator.worker_by_way_of(&proxy.address, theirs);
        Running(command.stderr(Stdio::null()).spawn().expect("starts"))
    };
    // A worker that is cut off when the run ends is not told so.
    let _workers = [worker(&coordinator), worker(&coordinator)];
    let over = wait_at_most(SPENT, || (proxy.left() == 0 || coordinator.has_ended()).then_some(()));
    if over.is_none() {
        let status = String::from_utf8_lossy(&coordinator.status(&[]).stdout).into_owned();
        panic!("{} faults are left after {SPENT:?}: {status}; {:?}", proxy.left(), journal(&run));
    }
    let (found, said) = coordinator.finish();
    assert_eq!((bits(&expected.0), &expected.1), (bits(&found), &results(&run)), "{said}");
    assert_eq!(proxy.left(), 0, "the run was over before the budget was spent");
    let damaged = count(&run, "worker_refused", "damaged");
    let lost = journal(&run).iter().filter(|record| record["kind"] == "worker_lost").count();
    eprintln!(
        "{name}: {} changed bytes, {damaged} noticed by checksums; {lost} connections lost",
        proxy.count(Fault::Corruption)
    );
    damaged
}

#[test]
fn a_network_that_delays_cuts_and_corrupts_changes_no_bit() {
    // With the second seed, a stream falls silent in the first evaluation, when no duration of an
    // evaluation is known yet.
    for seed in [1, 4] {
        let folder = tempfile::tempdir().expect("a folder");
        let damaged = through("plain", seed, folder.path(), &[], &[]);
        assert!(damaged >= 4, "{damaged}: few of the changed bytes were noticed by their checksums");
    }
}

/// The TLS arguments of the coordinator and of its workers.
fn certificates(folder: &Path) -> (Vec<String>, Vec<String>) {
    let cluster = folder.join("cluster");
    let made = trunkline().arg("certificates").arg(&cluster).args(["--coordinator", "127.0.0.1"]).output();
    assert!(made.expect("starts").status.success());
    let file = |name: &str| cluster.join(name).to_str().expect("text").to_owned();
    let shown = |side: &str| {
        let arguments = [
            ("--tls-ca", "ca.pem".to_owned()),
            ("--tls-cert", format!("{side}.pem")),
            ("--tls-key", format!("{side}.key")),
        ];
        arguments.into_iter().flat_map(|(name, path)| [name.to_owned(), file(&path)]).collect::<Vec<_>>()
    };
    (shown("coordinator"), shown("worker"))
}

fn texts(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[test]
fn under_tls_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = certificates(folder.path());
    // TLS notices changed bytes before a checksum can.
    assert_eq!(through("tls", 2, folder.path(), &texts(&ours), &texts(&theirs)), 0);
}

#[test]
fn a_handshake_that_is_damaged_on_the_way_is_tried_again() {
    const WORKERS: u64 = 6;
    const HANDSHAKE_BYTES: u64 = 400;
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = certificates(folder.path());
    let run = folder.path().join("run");
    // The run begins once all workers are there.
    let all = [format!("cluster.workers={WORKERS}"), format!("cluster.min_workers={WORKERS}")];
    let more = ["--set", "train.steps=20", "--set", &all[0], "--set", &all[1]];
    let mut coordinator = Coordinator::start(&example("digits"), &run, &[&texts(&ours)[..], &more].concat());
    let proxy = |seed| Proxy::start(&coordinator.address, seed, &[(Fault::Corruption, 2)], HANDSHAKE_BYTES);
    let proxies: Vec<Proxy> = (1..=WORKERS).map(proxy).collect();
    let worker = |proxy: &Proxy| {
        let mut command = coordinator.worker_by_way_of(&proxy.address, &texts(&theirs));
        Running(command.stderr(Stdio::null()).spawn().expect("starts"))
    };
    let _workers: Vec<Running> = proxies.iter().map(worker).collect();
    assert!(wait_at_most(SPENT, || coordinator.has_ended().then_some(())).is_some(), "a worker has given up");
    let (report, said) = coordinator.finish();
    assert_eq!(report["status"], "finished", "{said}");
    assert!(proxies.iter().all(|proxy| proxy.left() == 0));
    assert!(count(&run, "turned_away", "handshake") > 0, "no handshake was damaged");
}
