//! Losses and gradients that are not finite, because of a worker or of the model.

#[path = "support/peer.rs"]
mod peer;
mod support;

use std::path::{Path, PathBuf};

use peer::{Peer, runtime};
use serde_json::Value;
use support::{
    Coordinator, all_of, bits, example, journal, journal_so_far, report, results, train, trunkline, wait_for,
};

const SHORT: [&str; 6] =
    ["--set", "train.steps=40", "--set", "train.evaluate_every=1", "--set", "tracking.gramian_every=0"];
/// Peers made by hand send no heartbeats, so the lease is long.
const PATIENT: [&str; 2] = ["--set", "cluster.lease_ms=120000"];

/// A coordinator over TCP, or over a Unix domain socket with shared memory. Its run waits for this
/// many workers.
fn coordinator(folder: &Path, name: &str, shared: bool, workers: usize) -> Coordinator {
    let address = if shared { format!("unix:{}/{name}.sock", folder.display()) } else { "127.0.0.1:0".to_owned() };
    let workers = format!("cluster.min_workers={workers}");
    let more = [&SHORT[..], &PATIENT[..], &["--set", &workers]].concat();
    Coordinator::listening_on(&address, &example("digits"), &folder.join(name), &more)
}

#[test]
fn a_worker_whose_answer_is_not_finite_is_banned_if_another_answer_is_finite() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("quiet");
    let quiet = report(&train(&example("digits"), &run, &SHORT).output().expect("starts"));
    let runtime = runtime();
    for shared in [false, true] {
        for (name, in_gradient, wrong) in
            [("nan", true, f32::NAN), ("infinity", true, f32::NEG_INFINITY), ("loss", false, f32::INFINITY)]
        {
            let name = format!("{name}-{shared}");
            let coordinator = coordinator(folder.path(), &name, shared, 2);
            let (mut peer, mut computer) = Peer::join(&coordinator, &runtime);
            let first = coordinator.start_worker(&[]);
            let asked = peer.work();
            let (mut result, mut gradient) = asked.gradient(&mut computer, &peer.parameters);
            if in_gradient {
                gradient[4321] = wrong;
            } else {
                result.losses[1].loss = f64::from(wrong);
            }
            peer.answer(asked, result, &gradient);
            let refused = peer.refused();
            assert_eq!(refused.kind, "not_finite", "{name}: {}", refused.reason);
            assert!(refused.reason.contains("the gradient of microbatches [0, 2)"), "{name}: {}", refused.reason);
            let again = Peer::hello(&coordinator, &runtime, peer::hello(1)).refused();
            assert_eq!(again.kind, "cool_down", "{name}: {}", again.reason);
            let second = coordinator.start_worker(&[]);
            let done = coordinator.run.clone();
            let (found, said) = coordinator.finish();
            assert_eq!(bits(&quiet), bits(&found), "{name}: {said}");
            assert_eq!(results(&run), results(&done), "{name}");
            let records = journal(&done);
            let written = records.iter().find(|record| record["kind"] == "worker_refused").expect("a record");
            assert_eq!(written["reason"]["code"], "not_finite", "{name}");
            assert!(written["name"].as_str().is_some_and(|name| name.starts_with("worker 1 ")), "{name}");
            assert!(records.iter().any(|record| record["name"] == "doubted"), "{name}");
            assert!(said.contains("refused"), "{name}: {said}");
            drop((first, second));
        }
    }
}

#[test]
fn a_bad_answer_that_the_only_worker_repeats_is_taken_for_the_model_s() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = runtime();
    let coordinator = coordinator(folder.path(), "alone", false, 1);
    let (mut peer, mut computer) = Peer::join(&coordinator, &runtime);
    let run = coordinator.run.clone();
    for _ in 0..2 {
        let asked = peer.work();
        let (result, mut gradient) = asked.gradient(&mut computer, &peer.parameters);
        gradient[0] = f32::NAN;
        peer.answer(asked, result, &gradient);
    }
    let ended = wait_for("the end", || journal_so_far(&run).into_iter().find(|record| record["kind"] == "finished"));
    assert_eq!(ended["status"], "failed");
    let message = ended["message"].as_str().expect("a reason");
    let expected =
        "step 0: the gradient of the tasks digit, odd is not finite though every loss is; there is no checkpoint yet";
    assert_eq!(message, expected);
}

/// Two tasks on a table. Two of its rows have a label whose gradient f32 can't hold.
fn odd_rows(folder: &Path) -> PathBuf {
    let row = |i: u32| {
        let (a, b) = (f64::from(i * 37 % 101) / 50.0 - 1.0, f64::from(i * 53 % 89) / 44.0 - 1.0);
        let y = if i == 17 || i == 170 { 3e38 } else { a - 2.0 * b };
        format!("{a},{b},{y:e},{}\n", i * 7 % 3)
    };
    let table: String = (0..300).map(row).collect();
    std::fs::write(folder.join("odd.csv"), format!("a,b,y,z\n{table}")).expect("writes");
    let text = r#"
name = "odd"
[dataset.odd]
path = "odd.csv"
split = { validation = 0.1, test = 0.1 }
batch_size = 12
[task.y]
dataset = "odd"
target = "y"
kind = "regression"
target_scale = "none"
[task.z]
dataset = "odd"
target = "z"
kind = "multiclass"
[model]
trunk = { hidden = [8] }
[train]
steps = 60
evaluate_every = 20
checkpoint = { every = 10, keep = 9 }
optimizer = { kind = "adam", learning_rate = 1e-2 }
[tracking]
gramian_every = 0
"#;
    let path = folder.join("odd.toml");
    std::fs::write(
        &path,
        text.replace("split = { column = \"none\" }\n", "split = { validation = 0.1, test = 0.1 }\n"),
    )
    .expect("writes");
    path
}

const SKIP: [&str; 2] = ["--set", "train.on_nonfinite=skip_step"];

#[test]
fn a_step_that_is_not_finite_stops_the_run_with_task_step_and_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let odd = odd_rows(folder.path());
    for (workers, method, tasks) in
        [(1, "sum", "the tasks y, z"), (3, "sum", "the tasks y, z"), (2, "mgda", "task `y`")]
    {
        let run = folder.path().join(format!("{workers}-{method}"));
        let method = format!("weighting.method={method}");
        let more = ["--set", &method, "--set", "train.checkpoint.every=1"];
        let done = train(&odd, &run, &more).args(all_of(workers)).output().expect("starts");
        assert_eq!(done.status.code(), Some(1));
        let said = String::from_utf8_lossy(&done.stderr);
        let report: Value = serde_json::from_slice(&done.stdout).expect("one JSON object");
        let step = report["step"].as_u64().expect("a number");
        let checkpoint = run.join(format!("checkpoints/step-{step:06}"));
        let expected = format!(
            "step {step}: the gradient of {tasks} is not finite though every loss is; the newest checkpoint is that of step {step}, {}",
            checkpoint.display()
        );
        assert_eq!(
            (&report["reason"], &report["world_size"]),
            (&Value::from(expected.as_str()), &Value::from(workers))
        );
        assert!(said.contains(&expected), "{said}");
        assert!(checkpoint.join("manifest.json").is_file() && step > 0);
        assert!(journal(&run).iter().all(|record| record["kind"] != "worker_refused"), "nobody is at fault");
        // Resumed with `skip_step`, it gives the bits of a run that was started with it.
        let mut resume = trunkline();
        resume.args(["train", "--json", "--resume"]).arg(&run).args(SKIP);
        let resumed = support::report(&resume.output().expect("starts"));
        let at_once = folder.path().join(format!("{workers}-{method}-at-once"));
        let mut at_once = train(&odd, &at_once, &[&more[..], &SKIP[..]].concat());
        let at_once = support::report(&at_once.args(all_of(workers)).output().expect("starts"));
        assert_eq!(bits(&resumed), bits(&at_once));
    }
}

fn skipped(run: &Path) -> Vec<u64> {
    let records = journal(run).into_iter().filter(|record| record["metrics"]["skipped"] == 1.0);
    records.map(|record| record["step"].as_u64().expect("a number")).collect()
}

/// Compares runs with 1, 2 and 3 workers, and one that is resumed from the middle.
fn same_whatever_happens(experiment: &Path, folder: &Path, more: &[&str]) -> (Value, Vec<u64>) {
    let run = folder.join("quiet");
    let quiet = report(&train(experiment, &run, &[more, &SKIP].concat()).output().expect("starts"));
    for workers in [2, 3] {
        let again = folder.join(workers.to_string());
        let mut command = train(experiment, &again, &[more, &SKIP].concat());
        let found = report(&command.args(all_of(workers)).output().expect("starts"));
        assert_eq!((bits(&quiet), results(&run)), (bits(&found), results(&again)), "{workers} workers: {more:?}");
        assert_eq!(found["world_size"], workers);
        assert_eq!(found["skipped_steps"], quiet["skipped_steps"]);
    }
    let skipped = skipped(&run);
    assert_eq!(quiet["skipped_steps"], skipped.len());
    let before = results(&run);
    for step in [30, 40, 50, 60] {
        std::fs::remove_dir_all(run.join(format!("checkpoints/step-{step:06}"))).expect("removes");
    }
    let mut resume = trunkline();
    resume.args(["train", "--json", "--resume"]).arg(&run);
    let resumed = report(&resume.output().expect("starts"));
    assert_eq!(resumed["resumed_from"], 20);
    assert_eq!((bits(&quiet), &quiet["skipped_steps"]), (bits(&resumed), &resumed["skipped_steps"]));
    assert_eq!(before, results(&run));
    (quiet, skipped)
}

#[test]
fn skipped_steps_are_the_same_for_any_number_of_workers_and_through_a_resume() {
    for method in ["sum", "famo", "geometric", "mgda"] {
        let folder = tempfile::tempdir().expect("a folder");
        let odd = odd_rows(folder.path());
        let (_, skipped) =
            same_whatever_happens(&odd, folder.path(), &["--set", &format!("weighting.method={method}")]);
        assert!(skipped.len() > 1 && skipped.len() < 30, "{method}: {skipped:?}");
        let records = journal(&folder.path().join("quiet"));
        let of = |kind: &str, step: u64| {
            records.iter().filter(|record| record["kind"] == kind && record["step"] == step).count()
        };
        // A skipped step has its losses in the journal, and no weighting.
        assert_eq!(of("weighting", skipped[0]), 0, "{method}");
        assert!(of("metrics", skipped[0]) >= 3, "{method}");
        let doubted = records.iter().filter(|record| record["name"] == "doubted").count();
        assert_eq!(doubted, skipped.iter().len() + skipped.iter().filter(|step| **step > 20).count(), "{method}");
    }
}

#[test]
fn a_run_whose_losses_are_not_finite_any_more_skips_what_is_left() {
    for method in ["sum", "famo", "geometric", "mgda"] {
        let folder = tempfile::tempdir().expect("a folder");
        let odd = odd_rows(folder.path());
        let method_key = format!("weighting.method={method}");
        let explodes = [
            "--set",
            &method_key,
            "--set",
            "train.optimizer={ kind = \"sgd\", learning_rate = 1e25, momentum = 0.9 }",
            "--set",
            "task.y.target_scale=standard",
        ];
        let (quiet, skipped) = same_whatever_happens(&odd, folder.path(), &explodes);
        // With losses after the update, the first step is already not finite. Without them, the
        // next one is.
        let first = if method == "famo" { 1 } else { 2 };
        assert_eq!(skipped, (first..=60).collect::<Vec<u64>>(), "{method}");
        assert_eq!(quiet["status"], "finished");
    }
}

#[test]
fn a_hundred_skipped_steps_in_a_row_end_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let odd = odd_rows(folder.path());
    let run = folder.path().join("run");
    let more = [
        "--set",
        "train.steps=500",
        "--set",
        "train.optimizer={ kind = \"sgd\", learning_rate = 1e25 }",
        "--set",
        "task.y.target_scale=standard",
    ];
    let done = train(&odd, &run, &[&more[..], &SKIP[..]].concat()).output().expect("starts");
    assert_eq!(done.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&done.stdout).expect("one JSON object");
    assert_eq!((&report["step"], &report["skipped_steps"]), (&Value::from(101), &Value::from(100)));
    let reason = report["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("step 101: the training loss of task `y` is "), "{reason}");
    assert!(reason.ends_with("100 steps in a row were skipped before it"), "{reason}");
}
