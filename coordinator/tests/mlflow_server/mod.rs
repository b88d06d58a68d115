//! A real MLflow server on loopback with its store in a temporary folder, and a proxy that loses
//! answers.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How long a server may take to start. On an idle machine it takes about 20 s.
const START: Duration = Duration::from_secs(240);

/// A port of loopback that nothing listens on. As long as this value lives, the system gives the
/// port only to those who ask for its number.
pub struct ClosedPort(Socket);

impl ClosedPort {
    pub fn new() -> ClosedPort {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        // Servers set this option too, so that both can bind to the port.
        socket.set_reuse_address(true).expect("is set");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
        ClosedPort(socket)
    }

    pub fn number(&self) -> u16 {
        self.0.local_addr().ok().and_then(|address| address.as_socket()).expect("has an address").port()
    }
}

/// A server's data. It outlives the server.
pub struct Store(tempfile::TempDir);

impl Store {
    pub fn new() -> Store {
        Store(tempfile::tempdir().expect("a folder"))
    }
}

/// A server and all its processes, which end with it.
pub struct Server {
    process: Child,
    http: reqwest::Client,
    pub port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Server {
    /// Starts a server on `store` and waits until it is healthy.
    pub async fn start(store: &Store, port: &ClosedPort) -> Server {
        let port = port.number();
        let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("scripts/mlflow"));
        let set_up = folders.find(|script| script.exists()).expect("scripts/mlflow is in the repository");
        let set_up = Command::new(set_up).stderr(Stdio::inherit()).output().expect("scripts/mlflow starts");
        assert!(set_up.status.success(), "scripts/mlflow: {}", set_up.status);
        let mlflow = String::from_utf8(set_up.stdout).expect("a path");
        let folder = store.0.path();
        let log = std::fs::File::create(folder.join("server.log")).expect("a log");
        let process = Command::new(mlflow.trim())
            .args(["server", "--host", "127.0.0.1", "--workers", "1", "--port", &port.to_string()])
            .args(["--backend-store-uri", &format!("sqlite:///{}/mlflow.db", folder.display())])
            .args(["--artifacts-destination", &folder.join("artifacts").display().to_string()])
            .envs([("MLFLOW_DISABLE_TELEMETRY", "true"), ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("mlflow starts");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut server = Server { process, http, port };
        if tokio::time::timeout(START, server.healthy()).await.is_err() {
            let log = std::fs::read_to_string(folder.join("server.log")).unwrap_or_default();
            panic!("the server is not healthy after {START:?}:\n{log}");
        }
        server
    }

    pub fn uri(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Kills every process of the server with SIGKILL.
    pub fn kill(&mut self) {
        let group = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.process.wait();
    }

    /// One call that changes something.
    pub async fn post(&self, name: &str, body: &Value) -> Value {
        let url = format!("{}/api/2.0/mlflow/{name}", self.uri());
        let answer = self.http.post(url).json(body).send().await.expect("answers");
        assert!(answer.status().is_success(), "{name}: {}", answer.status());
        answer.json().await.expect("is JSON")
    }

    /// One call of the REST interface.
    pub async fn get(&self, name: &str, query: &[(&str, &str)]) -> Value {
        let url = format!("{}/api/2.0/mlflow/{name}", self.uri());
        let answer = self.http.get(url).query(query).send().await.expect("answers");
        assert!(answer.status().is_success(), "{name}: {}", answer.status());
        let text = answer.text().await.expect("is text");
        serde_json::from_str(&values_as_text(&text)).expect("is JSON")
    }

    /// The ids of the runs of an experiment.
    pub async fn runs(&self, experiment: &str) -> Vec<String> {
        let query = [("experiment_name", experiment)];
        let answer =
            self.http.get(format!("{}/api/2.0/mlflow/experiments/get-by-name", self.uri())).query(&query).send().await;
        let found: Value = answer.expect("answers").json().await.expect("is JSON");
        let Some(id) = found["experiment"]["experiment_id"].as_str() else { return Vec::new() };
        let found = self.post("runs/search", &json!({"experiment_ids": [id]})).await;
        let runs = found["runs"].as_array().cloned().unwrap_or_default();
        runs.iter().map(|run| run["info"]["run_id"].as_str().expect("text").to_owned()).collect()
    }

    /// Waits until the first run of the experiment `digits` has `count` points of a metric.
    pub async fn wait_for_points(&self, metric: &str, count: usize) {
        let seen = async {
            loop {
                if let Some(run) = self.runs("digits").await.first()
                    && self.history(run, metric).await.len() >= count
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(START, seen).await.expect("the points arrive");
    }

    /// All points of all metrics of a run, sorted: (step, time stamp, value).
    pub async fn points(&self, run_id: &str, run: &Value) -> BTreeMap<String, Vec<(u64, u64, String)>> {
        let mut points = BTreeMap::new();
        for metric in run["data"]["metrics"].as_array().into_iter().flatten() {
            let key = metric["key"].as_str().expect("text");
            points.insert(key.to_owned(), self.history(run_id, key).await);
        }
        points
    }

    async fn history(&self, run_id: &str, metric: &str) -> Vec<(u64, u64, String)> {
        let (mut points, mut page) = (Vec::new(), String::new());
        loop {
            let query = [("run_id", run_id), ("metric_key", metric), ("max_results", "1000"), ("page_token", &page)];
            let query = if page.is_empty() { &query[..3] } else { &query[..] };
            let found = self.get("metrics/get-history", query).await;
            for point in found["metrics"].as_array().into_iter().flatten() {
                let number = |name: &str| point[name].as_u64().unwrap_or(0);
                points.push((number("step"), number("timestamp"), value(&point["value"])));
            }
            match found["next_page_token"].as_str() {
                Some(next) if !next.is_empty() => page = next.to_owned(),
                _ => break,
            }
        }
        points.sort();
        points
    }

    async fn healthy(&mut self) {
        let url = format!("{}/health", self.uri());
        loop {
            if let Some(status) = self.process.try_wait().expect("has a status") {
                panic!("the server ended while starting: {status}");
            }
            if self.http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A value from MLflow, as Rust writes it.
fn value(of: &Value) -> String {
    let text = of.as_str().expect("text");
    format!("{:?}", text.parse::<f64>().expect("a number or NaN"))
}

/// Puts the values of metrics into quotes, since serde_json parses numbers only to within a unit in
/// the last place.
fn values_as_text(json: &str) -> String {
    let mut parts = json.split("\"value\": ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str("\"value\": ");
        match part.find([',', '}', '\n']) {
            Some(end) if !part.starts_with('"') => text.push_str(&format!("\"{}\"{}", &part[..end], &part[end..])),
            _ => text.push_str(part),
        }
    }
    text
}

/// What goes wrong between a tracker and its server.
#[derive(Clone, Copy, Default)]
pub struct Faults {
    /// So many connections are answered with 503 at the beginning.
    pub refused: u64,
    /// Every n-th answer is lost after the server has carried out the call. 0: none.
    pub lost_every: u64,
    /// How long each answer takes beside the server's own time.
    pub delay: Duration,
}

/// Passes connections on to a port, with faults.
pub struct Proxy {
    port: u16,
    lost: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    pub async fn start(to: u16, faults: Faults) -> Proxy {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("has an address").port();
        let (lost, answers) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let count = lost.clone();
        let task = tokio::spawn(async move {
            let mut refused = 0;
            while let Ok((mut client, _)) = listener.accept().await {
                if refused < faults.refused {
                    refused += 1;
                    let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    // The call is read, so that the client sees the answer before the end.
                    let _ = client.read(&mut [0; 1 << 16]).await;
                    let _ = client.write_all(answer).await;
                    continue;
                }
                let (answers, lost) = (answers.clone(), count.clone());
                tokio::spawn(async move {
                    let server = tokio::net::TcpStream::connect(("127.0.0.1", to)).await.expect("connects");
                    pass(client, server, faults, &answers, &lost).await;
                });
            }
        });
        Proxy { port, lost, task }
    }

    pub fn uri(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many answers were lost.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::SeqCst)
    }
}

async fn pass(
    client: tokio::net::TcpStream,
    server: tokio::net::TcpStream,
    faults: Faults,
    answers: &AtomicU64,
    lost: &AtomicU64,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asking = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop).unwrap_or(()) };
    let answering = async {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
            // Each answer starts with this. The rest of an answer passes.
            if buffer.starts_with(b"HTTP/1.1") {
                let answer = answers.fetch_add(1, Ordering::SeqCst) + 1;
                if faults.lost_every > 0 && answer.is_multiple_of(faults.lost_every) {
                    lost.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                tokio::time::sleep(faults.delay).await;
            }
            if to_client.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! { () = asking => {}, () = answering => {} }
}
