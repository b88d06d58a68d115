//! Runs that are stopped and resumed, and what they have to come to.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

use super::{Running, bits, example, journal_so_far, report, results, train, trunkline};

/// Slow steps, so that everything happens before the run ends, with several checkpoints. Most of
/// these are between two records of training losses.
pub const LONG: [&str; 10] = [
    "--set",
    "train.steps=2400",
    "--set",
    "tracking.every=7",
    "--set",
    "train.evaluate_every=120",
    "--set",
    "train.checkpoint.every=40",
    "--set",
    "model.trunk.hidden=[512, 256]",
];
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

pub fn quiet(experiment: &Path, run: &Path, more: &[&str]) -> (Value, Vec<Value>) {
    let done = train(experiment, run, more).output().expect("starts");
    (report(&done), results(run))
}

/// The report and the results that every run of [`LONG`] must have.
pub fn quiet_long() -> &'static (Value, Vec<Value>) {
    static QUIET: OnceLock<(Value, Vec<Value>)> = OnceLock::new();
    QUIET.get_or_init(|| quiet(&example("digits"), &folder().path().join("quiet"), &LONG))
}

/// `train --resume RUN --json`.
pub fn resume(run: &Path) -> Command {
    let mut command = trunkline();
    command.args(["train", "--json", "--resume"]).arg(run);
    command
}

pub fn start(mut command: Command) -> Running {
    Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts"))
}

pub fn observed(run: &Path, kind: &str) -> Vec<Value> {
    journal_so_far(run).into_iter().filter(|record| record["kind"] == kind).collect()
}

pub fn checkpoint_of(run: &Path, step: u64) -> PathBuf {
    run.join(format!("checkpoints/step-{step:06}"))
}

/// Checks that a resumed run and an undisturbed one have the same bits and metrics, and the same
/// results, each once and in order.
pub fn assert_equal(quiet: &(Value, Vec<Value>), done: &Value, run: &Path) {
    assert_eq!(bits(&quiet.0), bits(done));
    let found = results(run);
    let different = quiet.1.iter().zip(&found).find(|(quiet, found)| quiet != found);
    assert_eq!((quiet.1.len(), None), (found.len(), different));
}
