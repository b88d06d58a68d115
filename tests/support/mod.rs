//! Runs the built program, and reads the files that it leaves.
#![allow(dead_code, unused_imports)] // each test file uses a part

pub mod hosts;
pub mod http2;
pub mod proxy;
mod records;
pub mod resumed;
pub mod weightings;

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

pub use records::{company, count, goes_on_alone, joins, journal, journal_so_far, last_step, results, wait_for_step};
use serde_json::Value;

/// The bound of every wait. It is longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);
/// A process that takes longer than this to end is stuck.
const HANGS: Duration = Duration::from_secs(300);

pub fn trunkline() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    command.env_remove("MLFLOW_TRACKING_URI").env_remove("TRUNKLINE_TOKEN").stdin(Stdio::null());
    command
}

pub fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(format!("{name}.toml"))
}

/// `train --json` with the run folder `run`.
pub fn train(experiment: &Path, run: &Path, more: &[&str]) -> Command {
    let mut command = trunkline();
    command.arg("train").arg(experiment).args(["--json", "--run-dir"]).arg(run).args(more);
    command
}

/// Arguments for this many workers, all of which must be there before the run begins.
pub fn all_of(workers: usize) -> [String; 4] {
    ["--workers".into(), workers.to_string(), "--set".into(), format!("cluster.min_workers={workers}")]
}

/// The arguments that a weighting needs beside its name.
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

/// Copies a folder and its contents.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("creates");
    for entry in std::fs::read_dir(from).expect("lists") {
        let entry = entry.expect("an entry");
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &place);
        } else {
            std::fs::copy(&path, &place).expect("copies");
        }
    }
}

/// The parts of a report that are the same in every run of an experiment.
pub fn bits(report: &Value) -> (Value, Value, Value) {
    (report["parameters_sha256"].clone(), report["tasks"].clone(), report["step"].clone())
}

/// Waits until `look` finds something.
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_at_most(LONG, look).unwrap_or_else(|| panic!("waited too long for {what}"))
}

/// Waits until `look` finds something, or until `bound` is over.
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
    // A zombie has ended, but its parent has not asked for its status yet.
    status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

pub fn kill(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid as i32).expect("a process");
    rustix::process::kill_process(pid, signal).expect("the process is there");
}

/// The times that a run took to recover from faults, for the table in docs/reliability.md. They are
/// printed, and seen with `--nocapture`.
pub struct Recovery {
    what: &'static str,
    took: Vec<Duration>,
}

impl Recovery {
    pub fn of(what: &'static str) -> Recovery {
        Recovery { what, took: Vec::new() }
    }

    /// Waits until `look` finds something, and notes how long that took.
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

/// A process that is killed with the test.
pub struct Running(pub Child);

impl Running {
    /// Waits for its end and returns what it printed.
    pub fn wait(mut self) -> Output {
        let (stdout, stderr) = (reading(self.0.stdout.take()), reading(self.0.stderr.take()));
        let ended = self.try_end();
        let (stdout, stderr) = (stdout.join().expect("reads"), stderr.join().expect("reads"));
        let status = ended.unwrap_or_else(|hung| panic!("{hung}\nit said: {}", String::from_utf8_lossy(&stderr)));
        Output { status, stdout, stderr }
    }

    /// Waits for its end.
    pub fn end(&mut self) -> ExitStatus {
        self.try_end().unwrap_or_else(|hung| panic!("{hung}"))
    }

    /// Waits for its end. If it is stuck, kills it and returns the end of its run's journal.
    fn try_end(&mut self) -> Result<ExitStatus, String> {
        let ended = wait_at_most(HANGS, || self.0.try_wait().expect("can be asked"));
        ended.ok_or_else(|| {
            let journal = end_of_journal(self.0.id());
            self.0.kill().expect("killed");
            self.0.wait().expect("ends");
            format!("it has not ended after {HANGS:?}; the end of its journal:\n{journal}")
        })
    }
}

/// The last lines of the journal of the process's run, which is found by its command line.
fn end_of_journal(pid: u32) -> String {
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let arguments: Vec<&str> = line.split('\0').collect();
    let names_run = |pair: &&[&str]| pair[0] == "--run-dir" || pair[0] == "--resume" && pair[1] != "auto";
    let Some(named) = arguments.windows(2).find(names_run) else { return String::new() };
    let text = std::fs::read_to_string(Path::new(named[1]).join("journal.jsonl")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Reads a pipe to its end in another thread, so that the writer never waits.
fn reading(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).expect("reads");
        }
        bytes
    })
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
    said: JoinHandle<String>,
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

    /// The coordinator that a command starts.
    pub fn of(mut command: Command, run: &Path) -> Coordinator {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut process = Running(child);
        let lines = BufReader::new(process.0.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let (tell, told) = mpsc::channel();
        let said = thread::spawn(move || {
            let keep = |said: String, line: String| {
                if let Some(address) = line.strip_prefix("listening on ") {
                    let _ = tell.send(address.to_owned());
                }
                said + &line + "\n"
            };
            lines.fold(String::new(), keep)
        });
        let Ok(address) = told.recv_timeout(HANGS) else {
            drop(process);
            panic!("it does not listen: {}", said.join().expect("reads"));
        };
        Coordinator { process, address, run: run.to_owned(), said }
    }

    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    pub fn worker(&self, more: &[&str]) -> Command {
        self.worker_by_way_of(&self.address, more)
    }

    /// The command of a worker that connects to another address than the coordinator's.
    pub fn worker_by_way_of(&self, address: &str, more: &[&str]) -> Command {
        let mut command = trunkline();
        command.args(["worker", "--wait", "120", "--coordinator", address]).args(more);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Starts a worker that ends with the test.
    pub fn start_worker(&self, more: &[&str]) -> Running {
        Running(self.worker(more).stderr(Stdio::null()).spawn().expect("starts"))
    }

    /// Runs `status --json`.
    pub fn status(&self, more: &[&str]) -> Output {
        trunkline().args(["status", &self.address, "--json"]).args(more).output().expect("starts")
    }

    /// The number of refusals with this reason.
    pub fn refusals(&self, kind: &str, more: &[&str]) -> u64 {
        report(&self.status(more))["refusals"][kind].as_u64().unwrap_or(0)
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.process.0.try_wait().expect("can be asked").is_some()
    }

    /// Waits for the end. Returns the report, and what was printed on stderr.
    pub fn finish(mut self) -> (Value, String) {
        let stdout = reading(self.process.0.stdout.take());
        let ended = self.process.try_end();
        let (stdout, said) = (stdout.join().expect("reads"), self.said.join().expect("reads"));
        let status = ended.unwrap_or_else(|hung| panic!("{hung}\nit said: {said}"));
        assert!(status.success(), "{said}");
        (serde_json::from_slice(&stdout).expect("one JSON object"), said)
    }
}

/// The growth of a process's resident memory: its peak beyond what it had at first.
pub struct Growth {
    pid: u32,
    before_bytes: u64,
}

impl Growth {
    pub fn of(pid: u32) -> Growth {
        // Resets the peak to what is resident now (proc_pid_clear_refs(5)).
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the process is this user's");
        Growth { pid, before_bytes: peak_bytes(pid) }
    }

    pub fn bytes(&self) -> u64 {
        peak_bytes(self.pid).saturating_sub(self.before_bytes)
    }
}

fn peak_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}
