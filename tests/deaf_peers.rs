//! Peers that send heartbeats and do not read what they are sent.

#[path = "support/peer.rs"]
mod peer;
mod support;

use std::{
    fs,
    time::{Duration, Instant},
};

use peer::{Peer, runtime};
use proto::{address::Address, checksum, v1};
use support::{Coordinator, example, journal_so_far, wait_for};
use tokio_stream::{StreamExt, wrappers::IntervalStream};
use worker::{access::Access, connection::connect};

/// A model with 9 MiB of parameters. Two versions fill what may be on the way to a peer.
const LARGE: [&str; 6] =
    ["--set", "model.trunk.hidden=[2048, 1024]", "--set", "train.batch_size=8", "--set", "tracking.gramian_every=0"];
/// More steps than are done before the peer is dropped, however fast they are. The test then leaves
/// the run.
const ENDLESS: [&str; 6] = [
    "--set",
    "train.steps=1000000",
    "--set",
    "train.evaluate_every=1000000",
    "--set",
    "train.checkpoint.every=1000000",
];
const LEASE: Duration = Duration::from_millis(1500);
/// The most that the coordinator's memory may grow, bytes: a few versions of the parameters.
const GROWTH_MAX: u64 = 96 << 20;

/// Sends heartbeats for a peer every tenth of a lease, until its lease is over. They say that it
/// computes.
fn beat(coordinator: &Coordinator, peer: &Peer) {
    let address: Address = coordinator.address.parse().expect("an address");
    let (v1::Envelope { run, epoch, lease, .. }, secret) = (peer.session.clone(), peer.secret);
    peer.runtime.spawn(async move {
        let mut client = connect(&address, &Access::default(), Duration::from_secs(20)).await.expect("connects");
        let mut sequence = 0;
        let beats = IntervalStream::new(tokio::time::interval(LEASE / 10)).map(move |_| {
            sequence += 1;
            let (run, busy) = (run.clone(), true);
            checksum::sealed(v1::Beat { run, epoch, lease, sequence, busy, secret, ..Default::default() })
        });
        let mut echoes = client.heartbeat(beats).await.expect("is heard").into_inner();
        while let Ok(Some(_)) = echoes.message().await {}
    });
}

/// The most resident memory of a process since [`forget_peak`], bytes.
fn peak_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Resets the peak to what is resident now.
fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("may be written");
}

#[test]
fn a_worker_that_does_not_read_is_dropped_and_costs_bounded_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let lease = format!("cluster.lease_ms={}", LEASE.as_millis());
    let both = ["--set", &lease, "--set", "cluster.heartbeat_ms=150", "--set", "cluster.min_workers=2"];
    let coordinator = Coordinator::start(&example("digits"), &run, &[&LARGE[..], &ENDLESS, &both].concat());
    let runtime = runtime();
    let (mut peer, mut computer) = Peer::join(&coordinator, &runtime);
    beat(&coordinator, &peer);
    let _worker = coordinator.start_worker(&[]);
    // The coordinator waits long for a first answer. So the peer answers a few times, to have a
    // known duration.
    for _ in 0..3 {
        let asked = peer.work();
        let (result, gradient) = asked.gradient(&mut computer, &peer.parameters);
        peer.answer(asked, result, &gradient);
    }
    let pid = coordinator.pid();
    forget_peak(pid);
    let before = peak_bytes(pid);
    #[expect(clippy::disallowed_methods, reason = "a duration that is told, never used")]
    let began = Instant::now();
    let lost = wait_for("a loss", || journal_so_far(&run).into_iter().find(|record| record["kind"] == "worker_lost"));
    let grown = peak_bytes(pid) - before;
    eprintln!(
        "given up after {:?} and step {}; the coordinator grew by {} KiB",
        began.elapsed(),
        lost["step"],
        grown / 1024
    );
    assert_eq!(lost["reason"]["code"], "unanswered", "{lost}");
    assert!(lost["step"].as_u64().expect("a step") > 20, "{lost}");
    assert!(grown < GROWTH_MAX, "{grown} bytes");
    let _another = coordinator.start_worker(&[]);
    let step = support::last_step(&run);
    wait_for("the next step", || (support::last_step(&run) > step).then_some(()));
    drop(peer);
}
