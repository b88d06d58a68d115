//! `trunkline train` beside a tracking server: a real MLflow, and none at all.

#[path = "../coordinator/tests/mlflow_server/mod.rs"]
#[allow(dead_code)] // of what the coordinator's own tests need too
mod mlflow_server;
mod support;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Output, Stdio},
};

use coordinator::journal::{self, Outcome, Record};
use mlflow_server::{ClosedPort, Server, Store};
use serde_json::{Value, json};

fn train(run: &Path, uri: Option<&str>, more: &[&str]) -> Output {
    let mut command = support::train(&support::example("digits"), run, &["--set", "train.steps=120"]);
    command.args(more);
    if let Some(uri) = uri {
        command.env("MLFLOW_TRACKING_URI", uri);
    }
    let done = command.output().expect("trunkline starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    done
}

fn report(done: &Output) -> Value {
    serde_json::from_slice(&done.stdout).expect("one JSON object")
}

/// The journal's metrics as MLflow has to hold them: by key, (step, value).
fn points(run: &Path) -> BTreeMap<String, Vec<(u64, f64)>> {
    let mut points: BTreeMap<String, Vec<(u64, f64)>> = BTreeMap::new();
    for record in journal::read(&run.join("journal.jsonl")).expect("a journal") {
        let Record::Result { outcome: Outcome::Metrics { step, split, task, metrics }, .. } =
            record.expect("whole lines")
        else {
            continue;
        };
        let task = task.map(|task| format!("{task}/")).unwrap_or_default();
        for (name, value) in metrics {
            points.entry(format!("{split}/{task}{name}")).or_default().push((step, value.0));
        }
    }
    points
}

fn uri(port: &ClosedPort) -> String {
    format!("http://127.0.0.1:{}", port.number())
}

/// Has a server do all that a run asks for, so that its first calls are not the slow ones.
async fn warm_up(server: &Server) {
    let created = server.post("experiments/create", &json!({"name": "warm-up"})).await;
    let experiment = created["experiment_id"].as_str().expect("text");
    let created = server.post("runs/create", &json!({"experiment_id": experiment})).await;
    let run = &created["run"]["info"]["run_id"];
    let metric = json!({"key": "train/loss", "value": 1.0, "timestamp": 1, "step": 1});
    let batch = json!({"run_id": run, "metrics": [metric], "params": [{"key": "seed", "value": "1"}]});
    server.post("runs/log-batch", &batch).await;
    server.post("runs/update", &json!({"run_id": run, "status": "FINISHED", "end_time": 2})).await;
    server.post("experiments/delete", &json!({"experiment_id": experiment})).await;
}

#[tokio::test]
async fn a_run_is_in_mlflow_point_by_point() {
    let store = Store::new();
    let port = ClosedPort::new();
    let server = Server::start(&store, &port).await;
    warm_up(&server).await;
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("tracked");
    let uri = server.uri();
    let trained = {
        let run = run.clone();
        // Its steps take their time, so that most of it is delivered before the end, after which
        // there are ten seconds.
        let large = ["--set", "model.trunk.hidden=[1024, 1024]"];
        tokio::task::spawn_blocking(move || train(&run, Some(&uri), &large)).await.expect("trains")
    };
    let runs = server.runs("digits").await;
    assert_eq!(runs.len(), 1);
    let found = server.get("runs/get", &[("run_id", &runs[0])]).await;
    let found = &found["run"];
    assert_eq!(found["info"]["status"], "FINISHED");
    let text = |part: &str, key: &str| {
        let items = found["data"][part].as_array().expect("a list");
        items.iter().find(|item| item["key"] == key).map(|item| item["value"].as_str().expect("text").to_owned())
    };
    assert_eq!(text("params", "train.steps").as_deref(), Some("120"));
    assert_eq!(text("tags", "seed").as_deref(), Some("42"));

    let tracked = server.points(&runs[0], found).await;
    let expected = points(&run);
    assert!(expected.len() > 8, "{expected:?}");
    for (key, points) in &expected {
        let theirs = tracked.get(key).unwrap_or_else(|| panic!("no `{key}` among {:?}", tracked.keys()));
        let theirs: Vec<(u64, f64)> = theirs.iter().map(|(step, _, v)| (*step, v.parse().expect("a number"))).collect();
        assert_eq!(&theirs, points, "{key}");
    }
    assert_eq!(report(&trained)["status"], "finished");
}

#[test]
fn a_server_that_is_not_there_changes_nothing_but_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let quiet = train(&folder.path().join("quiet"), None, &[]);
    let port = ClosedPort::new();
    let lonely = train(&folder.path().join("lonely"), Some(&uri(&port)), &[]);
    let (quiet_report, lonely_report) = (report(&quiet), report(&lonely));
    assert_eq!(quiet_report["parameters_sha256"], lonely_report["parameters_sha256"]);
    assert_eq!(quiet_report["tasks"], lonely_report["tasks"]);
    assert_eq!(points(&folder.path().join("quiet")), points(&folder.path().join("lonely")));
    let said = String::from_utf8_lossy(&lonely.stderr).matches("tracking server").count();
    assert_eq!(said, 1, "{}", String::from_utf8_lossy(&lonely.stderr));
}

#[test]
fn trouble_with_a_server_is_told_and_recorded_while_the_run_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let mut command = support::train(&support::example("digits"), &run, &["--set", "train.steps=1000000"]);
    let port = ClosedPort::new();
    command.env("MLFLOW_TRACKING_URI", uri(&port));
    let mut running = support::Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts"));
    let warning = support::wait_for("the warning's record", || {
        let records = support::journal_so_far(&run);
        records.into_iter().find(|record| record["kind"] == "warning" && record["reason"]["code"] == "tracking")
    });
    assert!(running.0.try_wait().expect("a process").is_none(), "the run goes on");
    let said = BufReader::new(running.0.stderr.take().expect("piped")).lines();
    let told =
        said.map_while(Result::ok).find(|line| line.contains("the tracking server has trouble")).expect("a line");
    let why = warning["reason"]["message"].as_str().expect("text");
    assert!(why.contains("MLflow at http://127.0.0.1") && why.contains("can't be had"), "{why}");
    assert!(told.contains("can't be had"), "{told}");
}
