//! Running the built program, and reading what it leaves.
#![allow(dead_code)] // each test file uses a part

pub mod hosts;
pub mod proxy;
pub mod weightings;

use std::{
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// Longer than anything takes on a busy machine; what waits ends as soon as the thing is there.
const LONG: Duration = Duration::from_secs(60);

pub fn trunkline() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    command.env_remove("MLFLOW_TRACKING_URI").env_remove("TRUNKLINE_TOKEN").stdin(Stdio::null());
    command
}

pub fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(format!("{name}.toml"))
}

/// `train --json` into `run`.
pub fn train(experiment: &Path, run: &Path, more: &[&str]) -> Command {
    let mut command = trunkline();
    command.arg("train").arg(experiment).args(["--json", "--run-dir"]).arg(run).args(more);
    command
}

/// What a weighting has to be given beside its name.
pub fn required(method: &str) -> &'static [&'static str] {
    match method {
        "constant" => &["--set", "weighting.weights=[2, 1]"],
        "krum" => &["--set", "weighting.byzantine=0"],
        "trimmed_mean" => &["--set", "weighting.trim=0"],
        _ => &[],
    }
}

pub fn report(done: &Output) -> Value {
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).expect("one JSON object")
}

/// What has to be the same in every run of an experiment.
pub fn bits(report: &Value) -> (Value, Value, Value) {
    (report["parameters_sha256"].clone(), report["tasks"].clone(), report["step"].clone())
}

pub fn journal(run: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("journal.jsonl")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The journal's metrics and weightings without their time stamps.
pub fn results(run: &Path) -> Vec<Value> {
    let metrics =
        journal(run).into_iter().filter(|record| record["kind"] == "metrics" || record["kind"] == "weighting");
    let bare = |mut record: Value| {
        record.as_object_mut().expect("an object").remove("time_ms");
        record
    };
    metrics.map(bare).collect()
}

/// Waits until something is there.
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_at_most(LONG, look).unwrap_or_else(|| panic!("waited too long for {what}"))
}

/// Waits until something is there, or for so long.
pub fn wait_at_most<T>(bound: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    #[expect(clippy::disallowed_methods, reason = "a bound on waiting")]
    let began = Instant::now();
    loop {
        let found = look();
        if found.is_some() || began.elapsed() >= bound {
            return found;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The processes that a process has started.
pub fn children(parent: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

pub fn is_alive(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie has ended; its parent has not asked yet.
    status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

pub fn kill(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid as i32).expect("a process");
    rustix::process::kill_process(pid, signal).expect("the process is there");
}

/// How long a run took to get over faults, for the table in docs/reliability.md: seen with `--nocapture`.
pub struct Recovery {
    what: &'static str,
    took: Vec<Duration>,
}

impl Recovery {
    pub fn of(what: &'static str) -> Recovery {
        Recovery { what, took: Vec::new() }
    }

    /// Waits until something is there again, and notes for how long.
    pub fn wait_for<T>(&mut self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        #[expect(clippy::disallowed_methods, reason = "a duration that is told, never used")]
        let began = Instant::now();
        let found = wait_for(what, look);
        self.took.push(began.elapsed());
        found
    }
}

impl Drop for Recovery {
    fn drop(&mut self) {
        self.took.sort();
        if let (Some(worst), median) = (self.took.last(), self.took.get(self.took.len() / 2)) {
            let count = self.took.len();
            eprintln!("{}: {count} times, median {:?}, worst {worst:?}", self.what, median.unwrap_or(worst));
        }
    }
}

/// The last step that the journal's end tells of, without reading all of it.
pub fn last_step(run: &Path) -> u64 {
    let mut end = Vec::new();
    if let Ok(mut file) = std::fs::File::open(run.join("journal.jsonl")) {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        file.seek(SeekFrom::Start(length.saturating_sub(8192))).expect("seeks");
        file.read_to_end(&mut end).expect("reads");
    }
    let end = String::from_utf8_lossy(&end).into_owned();
    let steps = end.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()?["step"].as_u64());
    steps.max().unwrap_or(0)
}

/// Waits for the step, as the journal tells it.
pub fn wait_for_step(run: &Path, step: u64) {
    wait_for("a step", || (last_step(run) >= step).then_some(()));
}

/// A process that is killed with the test.
pub struct Running(pub Child);

impl Running {
    /// Waits for its end and reads what it said.
    pub fn wait(mut self) -> Output {
        let (stdout, stderr) = (self.0.stdout.take(), self.0.stderr.take());
        let errors = std::thread::spawn(move || read(stderr));
        let stdout = read(stdout);
        let stderr = errors.join().expect("reads");
        Output { status: self.0.wait().expect("ends"), stdout, stderr }
    }
}

fn read(pipe: Option<impl std::io::Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes).expect("reads");
    }
    bytes
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A coordinator on a free port of this machine.
pub struct Coordinator {
    process: Running,
    pub address: String,
    pub run: PathBuf,
    said: std::thread::JoinHandle<String>,
}

impl Coordinator {
    pub fn start(experiment: &Path, run: &Path, more: &[&str]) -> Coordinator {
        Coordinator::listening_on("127.0.0.1:0", experiment, run, more)
    }

    pub fn listening_on(address: &str, experiment: &Path, run: &Path, more: &[&str]) -> Coordinator {
        let mut command = trunkline();
        command.arg("coordinator").arg(experiment).args(["--json", "--listen", address, "--run-dir"]).arg(run);
        command.args(more);
        Coordinator::of(command, run)
    }

    /// The one that a command starts.
    pub fn of(mut command: Command, run: &Path) -> Coordinator {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut process = Running(child);
        let mut lines = BufReader::new(process.0.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let mut said = String::new();
        let address = lines.by_ref().find_map(|line| {
            said.push_str(&line);
            line.strip_prefix("listening on ").map(str::to_owned)
        });
        let address = address.unwrap_or_else(|| panic!("it does not listen: {said}"));
        let said = std::thread::spawn(move || said + &lines.collect::<Vec<_>>().join("\n"));
        Coordinator { process, address, run: run.to_owned(), said }
    }

    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    pub fn worker(&self, more: &[&str]) -> Command {
        self.worker_by_way_of(&self.address, more)
    }

    /// The same, where the way to the coordinator begins at another address.
    pub fn worker_by_way_of(&self, address: &str, more: &[&str]) -> Command {
        let mut command = trunkline();
        command.args(["worker", "--wait", "20", "--coordinator", address]).args(more);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Starts a worker that ends with the test.
    pub fn start_worker(&self, more: &[&str]) -> Running {
        Running(self.worker(more).stderr(Stdio::null()).spawn().expect("starts"))
    }

    /// `status --json`.
    pub fn status(&self, more: &[&str]) -> Output {
        trunkline().args(["status", &self.address, "--json"]).args(more).output().expect("starts")
    }

    /// How often peers were refused for this reason.
    pub fn refusals(&self, kind: &str, more: &[&str]) -> u64 {
        report(&self.status(more))["refusals"][kind].as_u64().unwrap_or(0)
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.process.0.try_wait().expect("can be asked").is_some()
    }

    /// The report, and all that it said.
    pub fn finish(self) -> (Value, String) {
        let done = self.process.wait();
        let said = self.said.join().expect("reads");
        assert!(done.status.success(), "{said}");
        (serde_json::from_slice(&done.stdout).expect("one JSON object"), said)
    }
}

/// The resident memory of a process, now.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}
