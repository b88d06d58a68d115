//! Tracking with real MLflow servers, which the tests install and start (see `scripts/mlflow`).

mod mlflow_server;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use coordinator::journal::{Journal, Number, Observation, Outcome, Record, SCHEMA, Status, read};
use coordinator::tracking::{Config, Delivered, Patience, Tracker, TrackerHandle};
use mlflow_server::{ClosedPort, Faults, Proxy, Server, Store};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TIME_MS: u64 = 1_795_176_191_000;
/// Longer than a server ever takes on a busy machine. A wait ends as soon as its condition holds.
const LONG: Duration = Duration::from_secs(240);

/// A tracker that looks at the journal often, so that tests are quick.
fn track(uri: &str, run_dir: &Path) -> TrackerHandle {
    let mut config = Config::new(uri, "digits", "2026-11-20T12-03-11-digits");
    config.poll = Duration::from_millis(20);
    config.retry_first = Duration::from_millis(50);
    config.retry_max = Duration::from_millis(500);
    config.credentials = None;
    Tracker::spawn(config, run_dir).expect("starts")
}

/// Ends the tracking of a run. The wait is bounded, whatever the server does.
async fn finish(handle: TrackerHandle, status: Status, wait: Duration) -> Delivered {
    handle.finish(status, &Patience::of(wait), drop).await
}

/// A server that answers every call with these bytes and closes the connection. Returns its
/// address.
async fn answering(answer: Vec<u8>) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let _ = client.read(&mut [0; 1 << 16]).await;
            let _ = client.write_all(&answer).await;
        }
    });
    address
}

fn text(pairs: &[(&str, &str)]) -> indexmap::IndexMap<String, String> {
    pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

fn beginning() -> Vec<Record> {
    let started = Observation::Started { schema: SCHEMA, version: "0.1.0".into(), epoch: 1, resumed_from: None };
    vec![
        Record::observed(TIME_MS, started),
        Record::result(
            TIME_MS,
            Outcome::Parameters { parameters: text(&[("seed", "42"), ("model.trunk.hidden", "[128,64]")]) },
        ),
        Record::result(TIME_MS, Outcome::Tags { tags: text(&[("git.commit", "5452e33"), ("version.burn", "0.22.1")]) }),
    ]
}

/// The records of a step of two tasks.
fn step(step: u64) -> Vec<Record> {
    let value = |task: u64| 1.0 / (step + task) as f64;
    let metrics = |pairs: &[(&str, f64)]| pairs.iter().map(|(k, v)| (k.to_string(), Number(*v))).collect();
    let of = |task: Option<&str>, pairs: &[(&str, f64)]| {
        let outcome =
            Outcome::Metrics { step, split: "train".into(), task: task.map(Into::into), metrics: metrics(pairs) };
        Record::result(TIME_MS + step, outcome)
    };
    let speed = Observation::Speed { step, rank: None, metrics: metrics(&[("rows_per_second", 1e4 + value(3))]) };
    vec![
        of(Some("digit"), &[("loss", value(1)), ("accuracy", 1.0 - value(1))]),
        of(Some("odd"), &[("loss", value(2))]),
        of(None, &[("loss", value(1) + value(2))]),
        Record::observed(TIME_MS + step, speed),
    ]
}

fn append_steps(journal: &mut Journal, steps: RangeInclusive<u64>) {
    for number in steps {
        journal.append_all(&step(number)).expect("appends");
    }
}

/// Points of a metric: (step, time stamp, value as MLflow stores it).
type Points = Vec<(u64, u64, String)>;

/// MLflow has no infinities: it stores the largest doubles.
fn stored(value: f64) -> String {
    match value {
        v if v.is_nan() => "NaN".into(),
        v => format!("{:?}", v.clamp(-f64::MAX, f64::MAX)),
    }
}

/// The points that a server must have, computed from the journal.
fn expected(journal: &Path) -> BTreeMap<String, Points> {
    let mut points: BTreeMap<String, Points> = BTreeMap::new();
    for record in read(journal).expect("opens") {
        let record = record.expect("a record");
        let time = record.time_ms();
        let (path, step, metrics) = match record {
            Record::Result { outcome: Outcome::Metrics { step, split, task, metrics }, .. } => {
                (task.map_or(split.clone(), |task| format!("{split}/{task}")), step, metrics)
            }
            Record::Observed { observation: Observation::Speed { step, metrics, .. }, .. } => {
                ("system".into(), step, metrics)
            }
            _ => continue,
        };
        for (name, Number(value)) in metrics {
            points.entry(format!("{path}/{name}")).or_default().push((step, time, stored(value)));
        }
    }
    points.values_mut().for_each(|points| points.sort());
    points
}

async fn assert_all_there(server: &Server, delivered: &Delivered, journal: &Path, status: &str) -> serde_json::Value {
    assert!(delivered.complete, "{delivered:?}");
    assert_eq!(delivered.refused, 0);
    let run_id = delivered.run_id.as_deref().expect("there is a run");
    let run = server.get("runs/get", &[("run_id", run_id)]).await["run"].clone();
    assert_eq!(run["info"]["status"], status);
    let expected = expected(journal);
    let found = server.points(run_id, &run).await;
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (key, points) in &expected {
        let first = found[key].iter().zip(points).find(|(found, expected)| found != expected);
        assert_eq!((first, found[key].len()), (None, points.len()), "{key}");
    }
    run
}

fn pairs(of: &serde_json::Value) -> BTreeMap<String, String> {
    let text = |v: &serde_json::Value| v.as_str().expect("text").to_owned();
    of.as_array().into_iter().flatten().map(|p| (text(&p["key"]), text(&p["value"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_mid_run_has_every_point_once_after_its_restart() {
    let (run, store) = (tempfile::tempdir().expect("a folder"), Store::new());
    let path = run.path().join("journal.jsonl");
    let mut journal = Journal::create(&path).expect("creates");
    let port = ClosedPort::new();
    let mut server = Server::start(&store, &port).await;
    let mut handle = track(&server.uri(), run.path());

    journal.append_all(&beginning()).expect("appends");
    append_steps(&mut journal, 1..=40);
    server.wait_for_points("train/digit/loss", 1).await;
    // The server is killed while a batch is sent: the batch or its answer is lost.
    append_steps(&mut journal, 41..=2000);
    server.kill();
    append_steps(&mut journal, 2001..=2100);
    let warning = tokio::time::timeout(LONG, handle.warning()).await.expect("warns");
    assert!(warning.contains("training goes on"), "{warning}");

    let server = Server::start(&store, &port).await;
    append_steps(&mut journal, 2101..=2200);
    let summary =
        Outcome::Summary { step: 2200, selected: "last".into(), parameters: 9, parameters_sha256: "ab".into() };
    journal.append(&Record::result(TIME_MS + 9999, summary)).expect("appends");
    assert_eq!(handle.try_warning(), None, "one warning is enough");

    let delivered = finish(handle, Status::Finished, LONG).await;
    let run = assert_all_there(&server, &delivered, &path, "FINISHED").await;
    assert_eq!(run["info"]["run_name"], "2026-11-20T12-03-11-digits");
    assert_eq!(run["info"]["start_time"], json!(TIME_MS));
    assert_eq!(run["info"]["end_time"], json!(TIME_MS + 9999));
    assert_eq!(
        pairs(&run["data"]["params"]),
        text(&[("seed", "42"), ("model.trunk.hidden", "[128,64]")]).into_iter().collect()
    );
    let tags = pairs(&run["data"]["tags"]);
    for (name, value) in
        [("git.commit", "5452e33"), ("mlflow.source.git.commit", "5452e33"), ("trunkline.parameters_sha256", "ab")]
    {
        assert_eq!(tags[name], value);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_lost_a_resumed_run_and_a_second_sending_change_nothing() {
    let (run, store) = (tempfile::tempdir().expect("a folder"), Store::new());
    let path = run.path().join("journal.jsonl");
    let port = ClosedPort::new();
    let server = Server::start(&store, &port).await;
    // Every third answer of the server is lost.
    let proxy = Proxy::start(server.port, Faults { lost_every: 3, ..Faults::default() }).await;
    let mut journal = Journal::create(&path).expect("creates");
    journal.append_all(&beginning()).expect("appends");
    let odd = [
        ("auroc", f64::NAN),
        ("high", f64::INFINITY),
        ("low", f64::NEG_INFINITY),
        ("tiny", 5e-324),
        ("third", 1.0 / 3.0),
    ];
    let metrics = odd.iter().map(|(k, v)| (k.to_string(), Number(*v))).collect();
    let outcome = Outcome::Metrics { step: 7, split: "test".into(), task: Some("digit".into()), metrics };
    journal.append(&Record::result(TIME_MS + 7, outcome)).expect("appends");
    // One record has more points than a batch can have.
    let many = (0..2300).map(|i| (format!("m{i}"), Number(f64::from(i)))).collect();
    let outcome = Outcome::Metrics { step: 7, split: "validation".into(), task: None, metrics: many };
    journal.append(&Record::result(TIME_MS + 7, outcome)).expect("appends");
    let long = [("path".to_string(), "é".repeat(7000))].into_iter().collect();
    journal.append(&Record::result(TIME_MS + 7, Outcome::Parameters { parameters: long })).expect("appends");

    let interrupted = finish(track(&proxy.uri(), run.path()), Status::Interrupted, LONG).await;
    let on_server = assert_all_there(&server, &interrupted, &path, "KILLED").await;
    assert_eq!(pairs(&on_server["data"]["params"])["path"].chars().count(), 6000);
    assert!(proxy.lost() > 3, "the proxy lost {} answers", proxy.lost());

    // The run resumes. The same MLflow run goes on, and fails in the end.
    append_steps(&mut journal, 8..=10);
    let failed = finish(track(&proxy.uri(), run.path()), Status::Failed, LONG).await;
    assert_eq!(failed.run_id, interrupted.run_id);
    assert_all_there(&server, &failed, &path, "FAILED").await;

    // The journal is sent again from its first line, as after a machine lost unsynced bytes. The
    // server still has each point once.
    let state = run.path().join("tracking.json");
    let mut stored: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&state).expect("reads")).expect("is JSON");
    assert_eq!(stored["position"], json!(std::fs::metadata(&path).expect("is there").len()));
    stored["position"] = json!(0);
    std::fs::write(&state, stored.to_string()).expect("writes");
    let again = finish(track(&proxy.uri(), run.path()), Status::Failed, LONG).await;
    assert_all_there(&server, &again, &path, "FAILED").await;

    // No run was created twice, though answers to its creation may have been lost.
    assert_eq!(server.runs("digits").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_waits_for_a_slow_server_that_refused_the_first_call() {
    let (run, store) = (tempfile::tempdir().expect("a folder"), Store::new());
    let path = run.path().join("journal.jsonl");
    let server = Server::start(&store, &ClosedPort::new()).await;
    let faults = Faults { refused: 2, delay: Duration::from_millis(300), ..Faults::default() };
    let proxy = Proxy::start(server.port, faults).await;
    let mut journal = Journal::create(&path).expect("creates");
    journal.append_all(&beginning()).expect("appends");
    append_steps(&mut journal, 1..=3000);
    let handle = track(&proxy.uri(), run.path());
    // Everything together takes longer than the server may be silent or idle.
    let patience =
        Patience { silent: Duration::from_secs(3), idle: Duration::from_secs(3), total: Duration::from_secs(240) };
    let mut notices = Vec::new();
    let delivered = handle.finish(Status::Finished, &patience, |notice| notices.push(notice)).await;
    assert_all_there(&server, &delivered, &path, "FINISHED").await;
    assert_eq!(delivered.bytes, std::fs::metadata(&path).expect("is there").len());
    let first = notices.first().expect("people are told that the run waits");
    assert!(first.ends_with("are not there yet"), "{first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_never_goes_to_another_server() {
    let elsewhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let to = elsewhere.local_addr().expect("has an address");
    let answer = format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{to}/\r\ncontent-length: 0\r\n\r\n");
    let server = answering(answer.into_bytes()).await;
    let run = tempfile::tempdir().expect("a folder");
    let mut journal = Journal::create(&run.path().join("journal.jsonl")).expect("creates");
    journal.append_all(&beginning()).expect("appends");
    let mut handle = track(&format!("http://alice:secret@{server}"), run.path());
    let warning = tokio::time::timeout(LONG, handle.warning()).await.expect("warns");
    assert!(warning.contains(&format!("it redirects to http://{to}: give the address")), "{warning}");
    assert!(!warning.contains("secret"), "{warning}");
    let asked = tokio::time::timeout(Duration::from_millis(300), elsewhere.accept()).await;
    assert!(asked.is_err(), "the other server was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_end_is_not_read_to_the_end() {
    let server = answering([b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b' '; 64 << 20]].concat()).await;
    let run = tempfile::tempdir().expect("a folder");
    let mut journal = Journal::create(&run.path().join("journal.jsonl")).expect("creates");
    journal.append_all(&beginning()).expect("appends");
    let mut handle = track(&format!("http://{server}"), run.path());
    let warning = tokio::time::timeout(LONG, handle.warning()).await.expect("warns");
    assert!(warning.contains("its answer is too long"), "{warning}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_know_its_name_is_told_how_to_learn_it() {
    let body = "Invalid Host header - possible DNS rebinding attack detected";
    let answer = format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let server = answering(answer.into_bytes()).await;
    let run = tempfile::tempdir().expect("a folder");
    let mut journal = Journal::create(&run.path().join("journal.jsonl")).expect("creates");
    journal.append_all(&beginning()).expect("appends");
    let mut handle = track(&format!("http://{server}"), run.path());
    let warning = tokio::time::timeout(LONG, handle.warning()).await.expect("warns");
    assert!(warning.contains("Invalid Host header") && warning.contains("--allowed-hosts"), "{warning}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_server_is_one_warning_and_a_bounded_wait_at_the_end() {
    let run = tempfile::tempdir().expect("a folder");
    let path = run.path().join("journal.jsonl");
    let mut journal = Journal::create(&path).expect("creates");
    let port = ClosedPort::new();
    let mut handle = track(&format!("http://user:secret@127.0.0.1:{}", port.number()), run.path());
    journal.append_all(&beginning()).expect("appends");
    let warning = tokio::time::timeout(LONG, handle.warning()).await.expect("warns");
    assert!(warning.contains("127.0.0.1") && !warning.contains("secret"), "{warning}");
    append_steps(&mut journal, 1..=50);
    assert_eq!(handle.try_warning(), None);
    let delivered =
        tokio::time::timeout(LONG, finish(handle, Status::Finished, Duration::from_millis(300))).await.expect("ends");
    assert!(!delivered.complete && delivered.error.is_some(), "{delivered:?}");
    assert_eq!(read(&path).expect("opens").count(), 3 + 50 * 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_holds_nothing_up() {
    let run = tempfile::tempdir().expect("a folder");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let uri = format!("http://{}", listener.local_addr().expect("has an address"));
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok(connection) = listener.accept().await {
            held.push(connection);
        }
    });
    let mut journal = Journal::create(&run.path().join("journal.jsonl")).expect("creates");
    journal.append_all(&beginning()).expect("appends");
    let handle = track(&uri, run.path());
    append_steps(&mut journal, 1..=50);
    let delivered =
        tokio::time::timeout(LONG, finish(handle, Status::Failed, Duration::from_millis(300))).await.expect("ends");
    assert!(!delivered.complete);
    silent.abort();
}

#[tokio::test]
async fn an_address_that_is_no_server_is_refused_at_the_start() {
    for uri in ["./mlruns", "sqlite:///mlflow.db", "file:///tmp/mlruns", ""] {
        let error = Tracker::spawn(Config::new(uri, "e", "r"), Path::new(".")).expect_err(uri);
        assert!(error.to_string().contains("http://127.0.0.1:5000"), "{error}");
    }
}

#[test]
fn credentials_are_those_of_mlflows_variables() {
    use coordinator::tracking::Credentials;
    let from = |set: &[(&str, &str)]| {
        let set = text(set);
        Credentials::from_environment(|name| set.get(name).cloned())
    };
    let (user, password, token) =
        (("MLFLOW_TRACKING_USERNAME", "u"), ("MLFLOW_TRACKING_PASSWORD", "p"), ("MLFLOW_TRACKING_TOKEN", "t"));
    assert!(from(&[]).is_none() && from(&[user]).is_none() && from(&[("MLFLOW_TRACKING_TOKEN", "")]).is_none());
    assert!(matches!(from(&[token]), Some(Credentials::Token(t)) if t == "t"));
    assert!(
        matches!(from(&[token, user, password]), Some(Credentials::Password { user, password }) if user == "u" && password == "p")
    );
    assert_eq!(format!("{:?}", from(&[token])), "Some(Token(..))");
}
