//! libtorch computes the same as flex. Build and run with `--features tch` (see
//! `scripts/libtorch`).
#![cfg(feature = "tch")]

use std::process::Command;

/// The training losses of a run on a device: step, task, loss.
fn losses(device: &str) -> Vec<(u64, String, f64)> {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let done = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .args(["train", "examples/digits.toml", "--device", device, "--set", "train.steps=50", "--json", "--run-dir"])
        .arg(&run)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let journal = std::fs::read_to_string(run.join("journal.jsonl")).unwrap();
    let records = journal.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let of_training = records.filter(|r| r["split"] == "train" && r["task"].is_string());
    of_training
        .map(|r| {
            let task = r["task"].as_str().unwrap().to_owned();
            (r["step"].as_u64().unwrap(), task, r["metrics"]["loss"].as_f64().unwrap())
        })
        .collect()
}

#[test]
fn losses_agree_with_flex_over_the_first_fifty_steps() {
    let (flex, libtorch) = (losses("flex"), losses("libtorch"));
    assert_eq!((flex.len(), libtorch.len()), (100, 100));
    for ((step, task, ours), (.., theirs)) in flex.iter().zip(&libtorch) {
        assert!((ours - theirs).abs() <= 1e-3 * ours.abs(), "step {step}, task {task}: {ours} and {theirs}");
    }
}
