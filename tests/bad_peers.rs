//! Peers that send what no worker sends. Each is refused with a typed reason, which is recorded and
//! counted. Memory stays bounded, and the run gives the bits of a run without them.

#[path = "support/peer.rs"]
mod peer;
mod support;

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::Arc,
    thread,
    time::Duration,
};

use peer::{Asked, Peer, bytes, hello, message, runtime};
use proto::{
    CHUNK_BYTES,
    address::Address,
    checksum,
    v1::{self, coordinator_message::Body as Said, worker_message::Body},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use support::{Coordinator, Growth, bits, count, example, journal, journal_so_far, report, results, train, wait_for};
use tokio::runtime::Runtime;
use worker::{access::Access, compute::Computer, connection::connect};

/// Each step's first work is the combined gradient. The peers below know only that.
const SHORT: [&str; 6] =
    ["--set", "train.steps=40", "--set", "train.evaluate_every=1", "--set", "tracking.gramian_every=0"];
/// Peers made by hand send no heartbeats, so the lease is long.
const PATIENT: [&str; 2] = ["--set", "cluster.lease_ms=120000"];
/// The run waits for two workers.
const BOTH: [&str; 2] = ["--set", "cluster.min_workers=2"];
/// The most that a coordinator's memory may grow, bytes.
const GROWTH_MAX: u64 = 96 << 20;

/// The reference run: every run here must give its bits.
struct Quiet {
    folder: tempfile::TempDir,
    report: Value,
    results: Vec<Value>,
}

impl Quiet {
    fn new() -> Quiet {
        let folder = tempfile::tempdir().expect("a folder");
        let run = folder.path().join("quiet");
        let report = report(&train(&example("digits"), &run, &SHORT).output().expect("starts"));
        Quiet { report, results: results(&run), folder }
    }

    fn coordinator(&self, name: &str) -> Coordinator {
        self.coordinator_with(name, &PATIENT)
    }

    fn coordinator_with(&self, name: &str, more: &[&str]) -> Coordinator {
        let run = self.folder.path().join(name.replace(' ', "-"));
        Coordinator::start(&example("digits"), &run, &[&SHORT[..], more].concat())
    }

    /// Lets the run end with a worker that behaves.
    fn finish(&self, coordinator: Coordinator) {
        let run = coordinator.run.clone();
        let _worker = coordinator.start_worker(&[]);
        let (found, said) = coordinator.finish();
        assert_eq!(bits(&self.report), bits(&found), "{said}");
        assert_eq!(self.results, results(&run));
    }
}

/// What a peer sends after it has joined and was asked for a gradient.
type Deed = fn(&Peer, &mut Computer, Asked);
/// A deed, with its name and a part of the reason for its refusal.
type Case = (&'static str, Deed, &'static str);

const DEEDS: [Case; 13] = [
    (
        "another node",
        |peer, computer, asked| {
            let (mut result, _) = asked.gradient(computer, &peer.parameters);
            result.node = Some(v1::Node { lo: 0, hi: 1 });
            peer.say(asked.envelope, Body::Result(result));
        },
        "another node",
    ),
    (
        "another length",
        |peer, computer, asked| {
            let (mut result, _) = asked.gradient(computer, &peer.parameters);
            result.vectors[0].hi -= 1;
            peer.say(asked.envelope, Body::Result(result));
        },
        "other tasks or lengths",
    ),
    (
        "another task",
        |peer, computer, asked| {
            let (mut result, _) = asked.gradient(computer, &peer.parameters);
            result.vectors[0].task = Some(7);
            peer.say(asked.envelope, Body::Result(result));
        },
        "other tasks or lengths",
    ),
    (
        "losses of no task",
        |peer, computer, asked| {
            let (mut result, _) = asked.gradient(computer, &peer.parameters);
            result.losses[1].task = 99;
            peer.say(asked.envelope, Body::Result(result));
        },
        "loss sums of other tasks",
    ),
    (
        "labels that are not there",
        |peer, computer, asked| {
            let (mut result, gradient) = asked.gradient(computer, &peer.parameters);
            result.losses[1].rows -= 1;
            peer.answer(asked, result, &gradient);
        },
        "labels of task `odd` in microbatches [0, 4), which have 64",
    ),
    (
        "another step",
        |peer, computer, asked| {
            let (result, _) = asked.gradient(computer, &peer.parameters);
            let step = asked.envelope.step + 1;
            peer.say(v1::Envelope { step, ..asked.envelope }, Body::Result(result));
        },
        "a result of step 1",
    ),
    (
        "metric sums where none were asked for",
        |peer, computer, asked| {
            let (mut result, _) = asked.gradient(computer, &peer.parameters);
            result.sums = vec![v1::TaskSums { task: 3, ..Default::default() }];
            peer.say(asked.envelope, Body::Result(result));
        },
        "metric sums of other tasks",
    ),
    (
        "a chunk out of order",
        |peer, computer, asked| {
            let (result, gradient) = asked.gradient(computer, &peer.parameters);
            let bytes = bytes(&gradient);
            peer.say(asked.envelope.clone(), Body::Result(result));
            peer.say(asked.envelope.clone(), asked.chunk(0, bytes.len(), bytes[..400].to_vec()));
            let later = asked.chunk(1200, bytes.len(), bytes[1200..1600].to_vec());
            peer.say(asked.envelope, later);
        },
        "a chunk at byte 1200 where byte 400 was next",
    ),
    (
        "a vector that never ends",
        |peer, computer, asked| {
            let (result, gradient) = asked.gradient(computer, &peer.parameters);
            let total = bytes(&gradient).len();
            peer.say(asked.envelope.clone(), Body::Result(result));
            for chunk in 0..200 {
                let body = asked.chunk(chunk << 19, total, vec![1; 1 << 19]);
                peer.say(asked.envelope.clone(), body);
            }
        },
        "a chunk of 524288 bytes at byte 0",
    ),
    (
        "a chunk that nobody announced",
        |peer, _, asked| {
            let body = asked.chunk(0, 8, vec![0; 8]);
            peer.say(asked.envelope, body);
        },
        "not announced",
    ),
    (
        "a message without a body",
        |peer, _, asked| {
            let empty = v1::WorkerMessage { envelope: Some(asked.envelope), ..Default::default() };
            let _ = peer.runtime.block_on(peer.to.send(checksum::sealed(empty)));
        },
        "message without `body`",
    ),
    (
        "a message that is small on the wire and large in memory",
        |peer, _, asked| {
            let (work, node, sums) = (asked.work.id, asked.work.node, vec![v1::TaskSums::default(); 400_000]);
            peer.say(asked.envelope, Body::Result(v1::Result { work, node, sums, ..Default::default() }));
        },
        "a message with 400001 messages in it",
    ),
    ("a second hello", |peer, _, asked| peer.say(asked.envelope, Body::Hello(hello(1))), "a second hello"),
];

/// Lets a worker do a deed in a run of its own. Checks that it is refused with `kind`, that this is
/// recorded, that memory stays bounded, and that the run gives the reference bits. After the
/// refusal it calls `then`.
fn costs_a_connection(
    quiet: &Quiet,
    runtime: &Arc<Runtime>,
    (name, deed, reason): Case,
    kind: &str,
    then: fn(&str, &Coordinator, &Arc<Runtime>),
) {
    let coordinator = quiet.coordinator(name);
    let growth = Growth::of(coordinator.pid());
    let (mut peer, mut computer) = Peer::join(&coordinator, runtime);
    let asked = peer.work();
    deed(&peer, &mut computer, asked);
    let refused = peer.refused();
    assert_eq!(refused.kind, kind, "{name}: {}", refused.reason);
    assert!(refused.reason.contains(reason), "{name}: {}", refused.reason);
    then(name, &coordinator, runtime);
    wait_for("the count", || (coordinator.refusals(kind, &[]) == 1).then_some(()));
    let grown = growth.bytes();
    assert!(grown < GROWTH_MAX, "{name}: {grown} bytes");
    let records = journal(&coordinator.run);
    let written = records.iter().find(|record| record["kind"] == "worker_refused").expect(name);
    assert_eq!(written["reason"]["code"], kind, "{name}");
    quiet.finish(coordinator);
}

/// Checks that a new worker may join.
fn may_join(name: &str, coordinator: &Coordinator, runtime: &Arc<Runtime>, pid: u32) {
    let mut peer = Peer::hello(coordinator, runtime, hello(pid));
    assert!(matches!(peer.hear(), Some((_, Said::Welcome(_)))), "{name}");
}

#[test]
fn a_worker_that_breaks_the_protocol_is_banned_and_the_bits_are_the_same() {
    let (quiet, runtime) = (Quiet::new(), runtime());
    for case in DEEDS {
        costs_a_connection(&quiet, &runtime, case, "protocol", |name, coordinator, runtime| {
            // The same worker may not come back at once. Another process on its host may.
            let again = Peer::hello(coordinator, runtime, hello(1)).refused();
            assert_eq!(again.kind, "cool_down", "{name}: {}", again.reason);
            may_join(name, coordinator, runtime, 2);
            wait_for("the count", || (coordinator.refusals("cool_down", &[]) == 1).then_some(()));
        });
    }
}

/// Damages that a network may do to a message.
const DAMAGES: [Case; 2] = [
    (
        "a gradient in which a bit flipped",
        |peer, computer, asked| {
            let (result, gradient) = asked.gradient(computer, &peer.parameters);
            let bytes = bytes(&gradient);
            peer.say(asked.envelope.clone(), Body::Result(result));
            let mut damaged = message(asked.envelope.clone(), asked.chunk(0, bytes.len(), bytes));
            let Some(Body::Chunk(chunk)) = &mut damaged.body else { panic!("a chunk") };
            let mut data = chunk.data.to_vec();
            data[4321] ^= 4;
            chunk.data = data.into();
            let _ = peer.runtime.block_on(peer.to.send(damaged));
        },
        "checksum",
    ),
    (
        "a message beyond the limit",
        |peer, _, asked| {
            let body = asked.chunk(0, 2 * CHUNK_BYTES, vec![0; 2 * CHUNK_BYTES]);
            peer.say(asked.envelope, body);
        },
        "too large",
    ),
];

#[test]
fn a_damaged_message_costs_a_connection_and_bans_no_worker() {
    let (quiet, runtime) = (Quiet::new(), runtime());
    for case in DAMAGES {
        // The worker may come back at once.
        costs_a_connection(&quiet, &runtime, case, "damaged", |name, coordinator, runtime| {
            may_join(name, coordinator, runtime, 1)
        });
    }
}

#[test]
fn metric_sums_of_another_shape_are_refused() {
    let quiet = Quiet::new();
    let runtime = runtime();
    let coordinator = quiet.coordinator("sums");
    let (mut peer, mut computer) = Peer::join(&coordinator, &runtime);
    let asked = peer.answer_until_evaluated(&mut computer);
    let sums = |task| v1::TaskSums { task, rows: 3, counts: vec![u64::MAX; 4], ..Default::default() };
    let (work, node) = (asked.work.id, asked.work.node);
    let result = v1::Result { work, node, sums: vec![sums(0), sums(1)], ..Default::default() };
    peer.say(asked.envelope, Body::Result(result));
    let refused = peer.refused();
    assert!(refused.reason.contains("metric sums of task `digit` that its kind can't have"), "{}", refused.reason);
    quiet.finish(coordinator);
}

/// Fails at all work until the run is over. Returns how often.
fn fail_at_everything(mut peer: Peer) -> u32 {
    let mut failures = 0;
    while let Some((envelope, said)) = peer.hear() {
        if let Said::Work(v1::Work { id: work, node, .. }) = said {
            peer.say(envelope.clone(), Body::Failure(v1::Failure { work, reason: "no memory".into() }));
            // After that it owes nothing: what else it says of this work is not looked at.
            peer.say(envelope, Body::Result(v1::Result { work, node, ..Default::default() }));
            failures += 1;
        }
    }
    failures
}

#[test]
fn a_worker_that_fails_at_everything_ends_no_run_that_has_another_and_is_put_aside() {
    let quiet = Quiet::new();
    let runtime = runtime();
    let coordinator = quiet.coordinator_with("failing", &[&PATIENT[..], &BOTH].concat());
    let (peer, _) = Peer::join(&coordinator, &runtime);
    let failing = thread::spawn(move || fail_at_everything(peer));
    let run = coordinator.run.clone();
    quiet.finish(coordinator);
    let failures = failing.join().expect("ends");
    assert!((3..10).contains(&failures), "{failures} in 40 steps");
    let aside = journal(&run).into_iter().find(|record| record["name"] == "put_aside").expect("is recorded");
    assert!(aside["message"].as_str().expect("text").contains("with: no memory"), "{aside}");
}

#[test]
fn one_participant_with_many_streams_that_fail_ends_no_run_that_has_another() {
    let quiet = Quiet::new();
    let runtime = runtime();
    let all = ["--set", "cluster.workers=5", "--set", "cluster.min_workers=5"];
    let coordinator = quiet.coordinator_with("streams", &[&PATIENT[..], &all].concat());
    let streams: Vec<_> = (0..4)
        .map(|_| {
            let (peer, _) = Peer::join(&coordinator, &runtime);
            thread::spawn(move || fail_at_everything(peer))
        })
        .collect();
    quiet.finish(coordinator);
    let failures: u32 = streams.into_iter().map(|failing| failing.join().expect("ends")).sum();
    assert!(failures >= 6, "{failures} in 40 steps");
}

#[test]
fn a_peer_that_does_not_begin_as_a_worker_is_refused_at_once() {
    let quiet = Quiet::new();
    let runtime = runtime();
    let coordinator = quiet.coordinator("begin");
    let other = Peer::hello(&coordinator, &runtime, v1::Hello { version: "0.0.9".into(), ..hello(1) }).refused();
    assert_eq!(other.kind, "version");
    wait_for("the record", || {
        let mut records = journal_so_far(&coordinator.run).into_iter();
        records.find(|record| record["kind"] == "turned_away" && record["reason"]["code"] == "version")
    });
    let long = v1::Hello { host: "x".repeat(8 << 10), ..hello(2) };
    let first = message(v1::Envelope::default(), Body::Hello(long));
    let refused = Peer::open(&coordinator, &runtime, first).err().expect("refused");
    assert!(refused.message().contains("a text has 8192 bytes"), "{refused}");
    let leave = v1::Leave { kind: "data".into(), reason: "x".into() };
    let refused = Peer::open(&coordinator, &runtime, message(v1::Envelope::default(), Body::Leave(leave))).err();
    assert!(refused.expect("refused").message().contains("has to be a hello"));
    wait_for("the counts", || (coordinator.refusals("protocol", &[]) == 2).then_some(()));
    quiet.finish(coordinator);
}

#[test]
fn a_first_worker_with_another_fingerprint_keeps_no_one_out_once_it_is_gone() {
    let quiet = Quiet::new();
    let runtime = runtime();
    let coordinator = quiet.coordinator_with("odd", &[&PATIENT[..], &BOTH].concat());
    let (odd, _) = Peer::join_with(&coordinator, &runtime, Some("another processor"));
    let refused = coordinator.start_worker(&[]);
    wait_for("a refusal", || (coordinator.refusals("fingerprint", &[]) == 1).then_some(()));
    drop((odd, refused));
    wait_for("the end of both", || (count(&coordinator.run, "worker_lost") == 2).then_some(()));
    let _worker = coordinator.start_worker(&[]);
    quiet.finish(coordinator);
}

#[test]
fn a_worker_that_neither_reads_nor_sends_heartbeats_loses_its_lease() {
    let quiet = Quiet::new();
    let runtime = runtime();
    let coordinator = quiet.coordinator_with("deaf", &["--set", "cluster.lease_ms=5000"]);
    let (peer, _) = Peer::join(&coordinator, &runtime);
    // It was accepted and has the first step's work, but reads none of it.
    let run = coordinator.run.clone();
    let lost = wait_for("the lease", || journal_so_far(&run).into_iter().find(|r| r["kind"] == "worker_lost"));
    assert_eq!(lost["reason"]["code"], "silent");
    quiet.finish(coordinator);
    drop(peer);
}

#[test]
fn bytes_that_are_not_the_protocol_are_turned_away() {
    let quiet = Quiet::new();
    let coordinator = quiet.coordinator("bytes");
    let growth = Growth::of(coordinator.pid());
    let noise: Vec<u8> = (0..4 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8 | 0x80).collect();
    for bytes in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3], &noise] {
        let mut stream = TcpStream::connect(&coordinator.address).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
        // The other side may close before all is written, or answer before it closes.
        let _ = stream.write_all(bytes);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    wait_for("the counts", || (coordinator.refusals("handshake", &[]) == 3).then_some(()));
    let grown = growth.bytes();
    assert!(grown < GROWTH_MAX, "{grown} bytes");
    let records = journal(&coordinator.run);
    assert!(records.iter().any(|record| record["reason"]["code"] == "handshake"));
    quiet.finish(coordinator);
}

#[test]
fn ten_thousand_connections_cost_bounded_memory_and_a_worker_gets_in() {
    const WANTED: u64 = 10_000;
    const BOUND: u64 = 256;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).expect("raised");
    let count = limit.maximum.map_or(WANTED, |files| WANTED.min(files.saturating_sub(500)));
    let quiet = Quiet::new();
    let coordinator = quiet.coordinator("crowd");
    let growth = Growth::of(coordinator.pid());
    let ends = |mut stream: &TcpStream| {
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        let ended = stream.read_to_end(&mut Vec::new());
        assert!(!ended.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "it is still open");
    };
    // Connections beyond the bound are closed at once, and the others after their time limit. A
    // worker waits for that. From time to time we wait for a connection, or the system's own queue
    // would be full.
    let call = |number: u64| {
        let stream = TcpStream::connect(&coordinator.address).expect("connects");
        if number > BOUND && number.is_multiple_of(64) {
            ends(&stream);
        }
        stream
    };
    let crowd: Vec<TcpStream> = (1..=count).map(call).collect();
    ends(crowd.last().expect("many"));
    let grown = growth.bytes();
    eprintln!("{} connections: the coordinator's memory grew by {} KiB", crowd.len(), grown / 1024);
    assert!(grown < GROWTH_MAX, "{grown} bytes");
    quiet.finish(coordinator);
    drop(crowd);
}

#[test]
fn a_heartbeat_without_the_lease_s_secret_speaks_for_nobody() {
    let quiet = Quiet::new();
    let runtime = runtime();
    let coordinator = quiet.coordinator("beats");
    let (peer, _) = Peer::join(&coordinator, &runtime);
    let beat = |secret| {
        let v1::Envelope { run, epoch, lease, .. } = peer.session.clone();
        checksum::sealed(v1::Beat { run, epoch, lease, sequence: 1, secret, ..Default::default() })
    };
    let echo = |secret| {
        let address: Address = coordinator.address.parse().expect("an address");
        runtime.block_on(async {
            let client = connect(&address, &Access::default(), Duration::from_secs(20)).await;
            let echoes = client.expect("connects").heartbeat(tokio_stream::once(beat(secret))).await;
            echoes.expect("is heard").into_inner().message().await
        })
    };
    assert_eq!(echo(peer.secret).expect("is known"), Some(beat(peer.secret)));
    let refused = echo(peer.secret ^ 1).expect_err("is not known");
    assert!(refused.message().contains("the lease is over"), "{refused}");
    drop(peer);
    quiet.finish(coordinator);
}
