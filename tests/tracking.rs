//! `trunkline train` with a real MLflow server, and with a server that is not there.

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
    command.env("USER", "ada");
    let done = command.output().expect("trunkline starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    done
}

fn report(done: &Output) -> Value {
    serde_json::from_slice(&done.stdout).expect("one JSON object")
}

/// The journal's metrics as MLflow should have them: (step, value) by key.
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

/// Makes every kind of call once, because a server's first calls are slow.
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
        // Slow steps, so that most points are delivered before the end. The rest has ten seconds.
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

    assert_eq!(text("tags", "mlflow.user").as_deref(), Some("ada"));
    assert!(text("tags", "mlflow.source.name").is_some_and(|command| command.contains(" train ")), "{found}");
    assert_eq!(text("params", "train.optimizer.learning_rate").as_deref(), Some("0.001"));
    let name = found["info"]["run_name"].as_str().expect("text");
    assert_eq!(name, "sum-seed42-tracked");
    assert_points(&server, &runs[0], &run).await;
    assert_eq!(report(&trained)["status"], "finished");

    // A run that no server has seen, sent twice.
    let untracked = folder.path().join("untracked");
    let uri = server.uri();
    let sync = move |run: &Path| {
        let mut command = support::trunkline();
        command.arg("sync").arg(run).args(["--json", "--to", &uri]);
        report(&command.output().expect("starts"))
    };
    let sent = {
        let untracked = untracked.clone();
        tokio::task::spawn_blocking(move || {
            train(&untracked, None, &[]);
            [sync(&untracked), sync(&untracked)]
        })
    };
    let [first, second] = sent.await.expect("is sent");
    assert_eq!((&first, server.runs("digits").await.len()), (&second, 2));
    assert_points(&server, first["run_id"].as_str().expect("text"), &untracked).await;
}

/// Fails unless a server has each point of a run's metrics, once.
async fn assert_points(server: &Server, id: &str, run: &Path) {
    let found = server.get("runs/get", &[("run_id", id)]).await;
    assert_eq!(found["run"]["info"]["status"], "FINISHED");
    let tracked = server.points(id, &found["run"]).await;
    let expected = points(run);
    assert!(expected.len() > 8, "{expected:?}");
    for (key, points) in &expected {
        let theirs = tracked.get(key).unwrap_or_else(|| panic!("no `{key}` among {:?}", tracked.keys()));
        let theirs: Vec<(u64, f64)> = theirs.iter().map(|(step, _, v)| (*step, v.parse().expect("a number"))).collect();
        assert_eq!(&theirs, points, "{key}");
    }
}

#[test]
fn an_address_that_is_no_server_is_a_warning_from_the_environment_and_refused_in_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, uri) in ["sqlite:///mlflow.db", "./mlruns", "databricks", "file:///tmp/mlruns"].iter().enumerate() {
        let done = train(&folder.path().join(number.to_string()), Some(uri), &["--set", "train.steps=2"]);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(said.contains(&format!("warning: MLFLOW_TRACKING_URI is \"{uri}\"")), "{said}");
        assert!(said.contains("No server tracks this run"), "{said}");
        let mut check = support::trunkline();
        let checked = check.arg("check").arg(support::example("digits")).env("MLFLOW_TRACKING_URI", uri).output();
        let said = String::from_utf8_lossy(&checked.expect("starts").stderr).into_owned();
        assert!(said.contains("MLFLOW_TRACKING_URI is"), "{said}");
    }
    let run = folder.path().join("refused");
    let set = ["--set", "tracking.mlflow=\"http://[\""];
    let done = support::train(&support::example("digits"), &run, &set).output().expect("starts");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains("this is not the address of a server") && !run.exists(), "{said}");
}

#[test]
fn a_run_without_a_tracking_server_can_not_be_sent_anywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    train(&run, None, &["--set", "train.steps=2"]);
    let sync = |more: &[&str]| {
        let done = support::trunkline().arg("sync").arg(&run).args(more).output().expect("starts");
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let (code, said) = sync(&[]);
    assert!(code == Some(2) && said.contains("give its address with `--to URL`"), "{said}");
    let (code, said) = sync(&["--to", "sqlite:///mlflow.db"]);
    assert!(code == Some(2) && said.contains("a sqlite store"), "{said}");
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
    let said = String::from_utf8_lossy(&lonely.stderr).into_owned();
    let run = folder.path().join("lonely").display().to_string();
    for once in ["the tracking server has trouble".to_owned(), format!("send the rest with `trunkline sync {run}`")] {
        assert_eq!(said.matches(&once).count(), 1, "{once}: {said}");
    }
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
