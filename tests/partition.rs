//! Three hosts and a network that is cut and healed. The run gives the bits and results of an
//! undisturbed run.

mod support;

use support::{
    Coordinator, Recovery, Running, bits, company, example, goes_on_alone,
    hosts::{Hosts, address},
    joins, journal, journal_so_far, last_step, report, results, train, trunkline, wait_for, wait_for_step,
};

/// Slow steps, so that everything happens before the run ends.
const LONG: [&str; 6] =
    ["--set", "train.steps=6000", "--set", "train.evaluate_every=600", "--set", "model.trunk.hidden=[512, 256]"];
const LEASE: [&str; 4] = ["--set", "cluster.lease_ms=1000", "--set", "cluster.heartbeat_ms=100"];

#[test]
fn hosts_that_lose_each_other_reconnect() {
    let hosts = Hosts::new(3);
    let folder = tempfile::tempdir().expect("a folder");
    let quiet = folder.path().join("quiet");
    let expected = report(&train(&example("digits"), &quiet, &LONG).output().expect("starts"));
    let cluster = folder.path().join("cluster");
    let made = trunkline().arg("certificates").arg(&cluster).args(["--coordinator", &address(0)]).output();
    assert!(made.expect("starts").status.success());
    let shown = |side: &str| {
        let files = ["ca.pem".into(), format!("{side}.pem"), format!("{side}.key"), "token".into()];
        let names = ["--tls-ca", "--tls-cert", "--tls-key", "--token-file"];
        let shown = names.into_iter().zip(files);
        shown.flat_map(|(name, file)| [name.into(), cluster.join(file).into_os_string()]).collect::<Vec<_>>()
    };

    let run = folder.path().join("run");
    let mut command = hosts.command(0);
    command.arg("coordinator").arg(example("digits")).args(["--json", "--listen", &format!("{}:0", address(0))]);
    command.arg("--run-dir").arg(&run).args(LONG).args(LEASE).args(shown("coordinator"));
    let coordinator = Coordinator::of(command, &run);
    let worker = |host| {
        let mut command = hosts.command(host);
        command.args(["worker", "--wait", "60", "--coordinator", &coordinator.address]).args(shown("worker"));
        Running(command.stderr(std::process::Stdio::null()).spawn().expect("starts"))
    };
    let workers = [worker(1), worker(2)];
    wait_for_step(&run, 50);

    // One worker is cut off for longer than its lease, and the other does its work. On a busy
    // machine the other may miss a lease too.
    wait_for("both workers", || (company(&run).0 == 2).then_some(()));
    let joined = joins(&run, workers[1].0.id());
    hosts.cut(2);
    wait_for("a loss", || (company(&run).0 < 2).then_some(()));
    let mut recovery = Recovery::of("a worker's host cut off, from its lease's end to ten steps more");
    recovery.wait_for("steps without it", || goes_on_alone(&run).then_some(()));
    let lost = journal(&run).into_iter().rfind(|record| record["kind"] == "worker_lost").expect("there");
    assert_eq!(lost["reason"]["code"], "silent");
    hosts.heal(2);
    let mut recovery = Recovery::of("a worker's host cut off, from the healing to its return");
    recovery.wait_for("its return", || (joins(&run, workers[1].0.id()) > joined).then_some(()));

    // The coordinator is cut off from both workers. The run waits until it is back.
    wait_for("both workers", || (company(&run).0 == 2).then_some(()));
    let records = journal_so_far(&run).len();
    hosts.cut(0);
    wait_for("the loss of both", || (company(&run).0 == 0).then_some(()));
    wait_for("a word about it", || {
        journal_so_far(&run).iter().skip(records).find(|record| record["name"] == "waiting").map(drop)
    });
    let step = last_step(&run);
    hosts.heal(0);
    let mut recovery = Recovery::of("the coordinator's host cut off, from the healing to the next step");
    recovery.wait_for("a step", || (last_step(&run) > step).then_some(()));

    let (found, said) = coordinator.finish();
    assert_eq!((bits(&expected), results(&quiet)), (bits(&found), results(&run)), "{said}");
    for worker in workers {
        assert!(worker.wait().status.success(), "a worker did not see the end");
    }
}
