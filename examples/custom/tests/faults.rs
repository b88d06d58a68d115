//! Parts of one's own give the same bits for any number of workers, and when processes are killed.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

/// The longest wait for something that a run does: 5 minutes of 10 ms looks.
const LOOKS_MAX: u32 = 30_000;

/// A run that takes long enough to be disturbed.
const LONG: [&str; 2] = ["--set", "train.steps=1500"];

fn custom(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_custom"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).arg("--json");
    command.env_remove("MLFLOW_TRACKING_URI").stdin(Stdio::null());
    command
}

fn train(run: &Path, workers: &str) -> Command {
    let mut command = custom(&["train", "experiment.toml", "--workers", workers]);
    command.args(LONG).arg("--run-dir").arg(run);
    command
}

/// Starts a command that is killed with the test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Running {
        Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts"))
    }

    /// Worker processes of a run.
    fn workers(&self) -> Vec<u32> {
        let pid = self.0.id();
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    assert!(
        (0..LOOKS_MAX).any(|_| is_so() || {
            thread::sleep(Duration::from_millis(10));
            false
        }),
        "no {what}"
    );
}

fn report(command: &mut Command) -> Value {
    let done = command.output().expect("starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).expect("one JSON object")
}

/// What has to be the same in every run.
fn bits(report: &Value) -> (Value, Value) {
    (report["parameters_sha256"].clone(), report["tasks"].clone())
}

fn checkpoints(run: &Path) -> usize {
    std::fs::read_dir(run.join("checkpoints")).map_or(0, Iterator::count)
}

#[test]
fn workers_and_coordinator_that_are_killed_leave_the_bits_as_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |name: &str| -> PathBuf { folder.path().join(name) };
    let quiet = report(&mut train(&run("quiet"), "1"));
    assert!(quiet["tasks"]["odd"]["test"]["brier"].as_f64().is_some_and(|brier| brier < 0.1), "{quiet}");
    assert!(quiet["tasks"]["odd"]["test"]["accuracy"].as_f64().is_some_and(|share| share > 0.9), "{quiet}");

    let killed = run("killed");
    let mut running = Running::start(&mut train(&killed, "2"));
    wait_until("checkpoint", || checkpoints(&killed) > 0);
    let workers = running.workers();
    assert_eq!(workers.len(), 2);
    let killing = Command::new("sh").args(["-c", &format!("kill -KILL {}", workers[0])]).status();
    assert!(killing.expect("starts").success());
    wait_until("worker in the place of the killed one", || {
        let now = running.workers();
        now.len() == 2 && !now.contains(&workers[0])
    });
    running.0.kill().expect("the coordinator is there");
    drop(running);

    let resumed = report(&mut custom(&["train", "--resume", &killed.to_string_lossy()]));
    assert!(resumed["resumed_from"].as_u64().is_some_and(|step| step > 0), "{resumed}");
    assert_eq!(bits(&resumed), bits(&quiet));
}

#[test]
fn an_activation_of_ones_own_trains_in_both_engines() {
    let folder = tempfile::tempdir().expect("a folder");
    let head = "task.odd.head={ hidden = [16], activation = \"softsign\" }";
    let run = |name: &str, workers: &str, architecture: &str| {
        let mut command = custom(&["train", "experiment.toml", "--workers", workers, "--set", head]);
        command.args(["--set", &format!("model.architecture={architecture}"), "--set", "train.steps=300"]);
        report(command.arg("--run-dir").arg(folder.path().join(name)))
    };
    // One trunk for all tasks is computed by hand, a mixture of one expert by autodiff.
    let by_hand = run("one", "1", "hard_sharing");
    assert_eq!(bits(&by_hand), bits(&run("two", "2", "hard_sharing")));
    let autodiff = run("autodiff", "1", "{ kind = \"mmoe\", experts = 1 }");
    for (name, found) in [("by hand", &by_hand), ("autodiff", &autodiff)] {
        let accuracy = &found["tasks"]["odd"]["test"]["accuracy"];
        assert!(accuracy.as_f64().is_some_and(|share| share > 0.9), "{name}: {found}");
    }
}

#[test]
fn the_program_says_which_crate_it_is_and_which_parts_it_has() {
    let done = Command::new(env!("CARGO_BIN_EXE_custom")).arg("--version").output().expect("starts");
    let version = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(version.starts_with(concat!("custom ", env!("CARGO_PKG_VERSION"), " (trunkline ")), "{version}");
    let wrong = custom(&["check", "experiment.toml", "--set", "task.odd.loss.kind=hinge"]).output().expect("starts");
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(wrong.status.code() == Some(2) && said.contains("squared_hinge"), "{said}");
}
