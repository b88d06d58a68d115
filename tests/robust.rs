//! Robust sums over microbatches: the same bits whoever computes them, and a worker that sends
//! wrong gradients does not carry the model away.

#[path = "support/peer.rs"]
mod peer;
mod support;

use std::path::Path;

use peer::{Peer, runtime};
use proto::v1;
use serde_json::Value;
use support::{Coordinator, all_of, bits, example, report, results, train, trunkline, wait_for};

const KINDS: [&str; 3] = ["\"median\"", "{ kind = \"trimmed_mean\", trim = 2 }", "{ kind = \"krum\", byzantine = 2 }"];

#[test]
fn a_robust_sum_has_the_same_bits_for_any_number_of_workers() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, robust) in KINDS.iter().enumerate() {
        let mut seen = Vec::new();
        for method in ["sum", "famo", "geometric", "mgda"] {
            let settings = [
                "train.steps=12".to_owned(),
                "train.microbatches=7".to_owned(),
                format!("train.robust={robust}"),
                format!("weighting.method={method}"),
            ];
            let more: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
            let of = |workers: usize| {
                let run = folder.path().join(format!("{name}-{method}-{workers}"));
                let mut command = train(&example("mixed"), &run, &more);
                let found = report(&command.args(all_of(workers)).output().expect("starts"));
                assert_eq!(found["world_size"], workers);
                (bits(&found), results(&run))
            };
            let alone = of(1);
            assert_eq!(alone, of(2), "{robust} {method}");
            assert_eq!(alone, of(3), "{robust} {method}");
            seen.push(alone.0.0.clone());
        }
        seen.dedup();
        assert_eq!(seen.len(), 4, "{robust}: every weighting has its part in it");
    }
}

/// A run with two workers and one that sends gradients reversed and a thousand times as large, of
/// so many of a step's answers at most; how it ends, and how many were sent.
fn with_a_hostile_worker(folder: &Path, name: &str, settings: &[&str], reversed_max: usize) -> (Value, usize) {
    let runtime = runtime();
    let more = [
        settings,
        &["--set", "cluster.workers=3", "--set", "cluster.min_workers=3", "--set", "cluster.lease_ms=120000"],
    ]
    .concat();
    let coordinator = Coordinator::start(&example("digits"), &folder.join(name), &more);
    let honest = [coordinator.start_worker(&[]), coordinator.start_worker(&[])];
    wait_for("two workers", || {
        let status = report(&coordinator.status(&[]));
        let workers = status["workers"].as_array()?;
        (workers.iter().filter(|worker| worker["state"] == "working").count() == 2).then_some(())
    });
    let (mut peer, mut computer) = Peer::join(&coordinator, &runtime);
    let (mut reversed, mut of_step) = (0, (0, 0));
    // It does its worst as long as there are gradients; an evaluation is another's, should one be
    // asked of it.
    while let Some(asked) = peer.work_or_end() {
        if asked.work.kind() == v1::WorkKind::Evaluate {
            break;
        }
        let (result, mut gradient) = asked.gradient(&mut computer, &peer.parameters);
        if of_step.0 != asked.work.step {
            of_step = (asked.work.step, 0);
        }
        if of_step.1 < reversed_max {
            of_step.1 += 1;
            reversed += 1;
            gradient.iter_mut().for_each(|value| *value *= -1e3);
        }
        peer.answer(asked, result, &gradient);
    }
    drop(peer);
    let third = coordinator.start_worker(&[]);
    let (found, _) = coordinator.finish();
    drop((honest, third));
    (found, reversed)
}

#[test]
fn a_worker_that_sends_wrong_gradients_ruins_the_sum_and_no_robust_one() {
    let folder = tempfile::tempdir().expect("a folder");
    // What is asked for beside the update, the peer would have to answer too.
    let settings = [
        ["--set", "train.steps=150"],
        ["--set", "train.evaluate_every=150"],
        ["--set", "train.microbatches=7"],
        ["--set", "tracking.gramian_every=0"],
    ]
    .concat();
    let accuracy = |report: &Value| report["tasks"]["digit"]["test"]["accuracy"].as_f64().expect("a number");
    let quiet = accuracy(&report(
        &train(&example("digits"), &folder.path().join("quiet"), &settings).output().expect("starts"),
    ));
    for (name, robust) in KINDS.iter().enumerate() {
        let robust = format!("train.robust={robust}");
        let more = [&settings[..], &["--set", &robust]].concat();
        // Where the others are late it gets more of the seven microbatches than the two that these
        // sums promise to bear.
        let (found, reversed) = with_a_hostile_worker(folder.path(), &name.to_string(), &more, 2);
        let found = accuracy(&found);
        assert!(found > quiet - 0.15, "{robust}: {found}, and {quiet} without it");
        assert!(reversed >= 100, "{robust}: {reversed} gradients reversed");
    }
    let (found, reversed) = with_a_hostile_worker(folder.path(), "sum", &settings, usize::MAX);
    let ruined = accuracy(&found);
    assert!(ruined < 0.5, "{ruined}, and {quiet} without it; {reversed} gradients reversed");
}

#[test]
fn check_says_what_a_robust_sum_costs() {
    let plan = |more: &[&str]| {
        let done = trunkline().arg("check").arg(example("digits")).args(more).output().expect("starts");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("is text")
    };
    let robust = plan(&["--set", "train.microbatches=8", "--set", "train.robust=median"]);
    assert!(robust.contains("robust median: workers send one gradient a microbatch"), "{robust}");
    assert!(!plan(&[]).contains("robust"));
    let up = |more: &[&str]| -> u64 {
        let more = [&["--json", "--set", "train.microbatches=8"], more].concat();
        let plan: Value = serde_json::from_str(&plan(&more)).expect("is JSON");
        let workers = plan["workers"].as_array().expect("a list");
        workers.iter().map(|worker| worker["bytes_up"].as_u64().expect("a number")).sum()
    };
    // Two workers, a vector each; eight microbatches, a vector each.
    assert_eq!(up(&["--set", "train.robust=median"]), 4 * up(&[]));
}
