//! Peers that answer an evaluation wrongly. No wrong sum becomes a result, and the run gives the
//! bits of a run without these peers.

#[path = "support/peer.rs"]
mod peer;
mod support;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use peer::{Asked, Peer, runtime};
use proto::v1::{self, worker_message::Body};
use serde_json::Value;
use support::{Coordinator, bits, journal, report, results, train, wait_for};
use tokio::runtime::Runtime;
use worker::compute::Computer;

/// Each step's first work is the combined gradient. The peers below know only that.
const SHORT: [&str; 6] =
    ["--set", "train.steps=4", "--set", "train.evaluate_every=1", "--set", "tracking.gramian_every=0"];
/// Peers made by hand send no heartbeats, so the lease is long.
const PATIENT: [&str; 2] = ["--set", "cluster.lease_ms=120000"];

/// Two tasks of two kinds on one table. One has metrics that need scores. The other lacks a label
/// in one row of the validation split.
fn two_kinds(folder: &Path) -> PathBuf {
    let mut rows = String::from("x,y,odd,part\n");
    for row in 0..96 {
        let (x, part) = (f64::from(row * 37 % 96) / 96.0, ["train", "train", "validation", "test"][row as usize % 4]);
        let y = if row == 2 { String::new() } else { format!("{:.4}", 3.0 * x - 1.0) };
        rows += &format!("{x:.4},{y},{},{part}\n", row % 5 % 2);
    }
    std::fs::write(folder.join("rows.csv"), rows).expect("is written");
    let file = folder.join("kinds.toml");
    let text = r#"
name = "kinds"
[dataset.rows]
path = "rows.csv"
features = ["x"]
split = { column = "part" }
[task.y]
dataset = "rows"
target = "y"
kind = "regression"
[task.odd]
dataset = "rows"
target = "odd"
kind = "binary"
metrics = ["accuracy", "auroc"]
[model]
trunk = { hidden = [4] }
[train]
batch_size = 16
optimizer = { kind = "sgd", learning_rate = 0.01 }
checkpoint = { best = "validation.loss" }
"#;
    std::fs::write(&file, text).expect("is written");
    file
}

/// How a peer changes the sums of its part of an evaluation.
type Deed = fn(&mut Vec<v1::TaskSums>);

/// Lets a peer answer correctly until it is asked for an evaluation, and then waits for another
/// worker.
fn evaluating(coordinator: &Coordinator, runtime: &Arc<Runtime>) -> (Peer, Computer, Asked) {
    let (mut peer, mut computer) = Peer::join(coordinator, runtime);
    let asked = peer.answer_until_evaluated(&mut computer);
    (peer, computer, asked)
}

fn another(coordinator: &Coordinator) -> support::Running {
    let worker = coordinator.start_worker(&[]);
    wait_for("the other worker", || {
        let status = report(&coordinator.status(&[]));
        let workers = status["workers"].as_array()?;
        (workers.iter().filter(|worker| worker["state"] == "working").count() == 2).then_some(())
    });
    worker
}

#[test]
fn an_impossible_answer_to_an_evaluation_never_becomes_a_result() {
    let folder = tempfile::tempdir().expect("a folder");
    let (runtime, file) = (runtime(), two_kinds(folder.path()));
    let quiet_run = folder.path().join("quiet");
    let quiet = report(&train(&file, &quiet_run, &SHORT).output().expect("starts"));
    let of_rows = "it counted 0 labels of task `y` in validation chunks [0, 1), where 23 are";
    let of_nothing: Deed = |sums| {
        sums[0] = v1::TaskSums { task: 0, sums: vec![0.0; 4], ..Default::default() };
    };
    let not_finite =
        "the evaluation of chunks [0, 1) of feed 0, validation split is not finite, and another worker's is";
    let cases: [(&str, Deed, &str, &str); 8] = [
        ("no row", of_nothing, "protocol", of_rows),
        ("a row without a label", |sums| sums[0].rows += 1, "protocol", "it counted 24 labels of task `y`"),
        ("counts that do not add up", |sums| sums[1].counts[0] += 1, "protocol", "task `odd` that its kind can't have"),
        ("a label that is none", |sums| sums[1].labels[0] = 2, "protocol", "task `odd` that its kind can't have"),
        ("squares below zero", |sums| sums[0].sums[1] = -1.0, "protocol", "task `y` that its kind can't have"),
        ("nan", |sums| sums[0].loss = f64::NAN, "not_finite", not_finite),
        ("infinity", |sums| sums[0].sums[0] = f64::INFINITY, "not_finite", not_finite),
        ("score", |sums| sums[1].scores[3] = f32::NEG_INFINITY, "not_finite", not_finite),
    ];
    for (name, deed, kind, reason) in cases {
        let run = folder.path().join(name.replace(' ', "-"));
        let coordinator = Coordinator::start(&file, &run, &[&SHORT[..], &PATIENT].concat());
        let (mut peer, mut computer, asked) = evaluating(&coordinator, &runtime);
        let _worker = another(&coordinator);
        let mut result = asked.evaluation(&mut computer, &peer.parameters);
        deed(&mut result.sums);
        peer.say(asked.envelope, Body::Result(result));
        let refused = peer.refused();
        assert_eq!(refused.kind, kind, "{name}: {}", refused.reason);
        assert!(refused.reason.contains(reason), "{name}: {}", refused.reason);
        let (found, said) = coordinator.finish();
        assert_eq!(bits(&quiet), bits(&found), "{name}: {said}");
        assert_eq!(results(&quiet_run), results(&run), "{name}");
        let doubted = journal(&run).iter().any(|record| record["name"] == "doubted");
        assert_eq!(doubted, kind == "not_finite", "{name}");
    }
}

#[test]
fn an_evaluation_that_two_workers_find_not_finite_counts_and_the_run_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = two_kinds(folder.path());
    // The parameters of the second step are finite and very large, so some evaluation sums are not
    // finite.
    let far = ["--set", "train.optimizer={ kind = \"sgd\", learning_rate = 1e20 }", "--set", "train.steps=1"];
    let of = |name: &str, workers: &str| {
        let run = folder.path().join(name);
        let more = [&SHORT[..], &far, &["--workers", workers]].concat();
        (report(&train(&file, &run, &more).output().expect("starts")), run)
    };
    let (alone, first) = of("alone", "1");
    let (two, second) = of("two", "2");
    assert_eq!(bits(&alone), bits(&two));
    assert_eq!(results(&first), results(&second));
    for run in [&first, &second] {
        let records = journal(run);
        let doubted = records.iter().filter(|record| record["name"] == "doubted").count();
        assert!(doubted > 0, "{}", run.display());
        assert!(!records.iter().any(|record| record["kind"] == "worker_refused"));
    }
    let validation = &two["tasks"]["y"]["validation"];
    assert_eq!(validation.get("loss"), None::<&Value>, "{validation}");
    // The total loss is absent too: without the first task, it would look like a gain.
    let of_all = |record: &&Value| record["split"] == "validation" && record["task"].is_null();
    assert_eq!(results(&second).iter().find(of_all), None);
    assert_eq!(two["selected"], "last");
}

#[test]
fn a_checkpoint_requested_while_an_evaluation_waits_for_workers_can_be_resumed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (runtime, file) = (runtime(), two_kinds(folder.path()));
    let quiet_run = folder.path().join("quiet");
    let quiet = report(&train(&file, &quiet_run, &SHORT).output().expect("starts"));
    for resumed in [false, true] {
        let run = folder.path().join(format!("run-{resumed}"));
        let coordinator = Coordinator::start(&file, &run, &[&SHORT[..], &PATIENT].concat());
        let (peer, _, asked) = evaluating(&coordinator, &runtime);
        drop(peer);
        wait_for("a loss", || journal(&run).into_iter().find(|record| record["kind"] == "worker_lost"));
        support::kill(coordinator.pid(), rustix::process::Signal::USR1);
        let of_step = |record: &Value| record["kind"] == "checkpoint_written" && record["step"] == asked.envelope.step;
        wait_for("the checkpoint", || journal(&run).into_iter().find(of_step));
        let found = if resumed {
            drop(coordinator);
            let mut command = support::trunkline();
            report(&command.args(["train", "--json", "--resume"]).arg(&run).output().expect("starts"))
        } else {
            let _worker = coordinator.start_worker(&[]);
            coordinator.finish().0
        };
        assert_eq!((bits(&quiet), results(&quiet_run)), (bits(&found), results(&run)), "{resumed}");
        // `evaluate` finds the best parameters, although their checkpoint was written before anyone
        // knew that they are the best.
        let evaluate = |run: &Path| {
            let done = support::trunkline().args(["evaluate", "--json"]).arg(run).output().expect("starts");
            report(&done)["tasks"].clone()
        };
        assert_eq!(evaluate(&quiet_run), evaluate(&run), "{resumed}");
    }
}
