//! Robust sums over microbatches have the same bits with any workers, and a worker that sends wrong
//! gradients does not ruin the model.

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

/// Trains with two good workers and a peer whose gradients are reversed and a thousand times too
/// large, at most for a given number of a step's answers. Returns the report, and how many such
/// gradients were sent.
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
    // The peer sends wrong gradients until it is asked for an evaluation, which it leaves to the
    // others.
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
    // Without work beside the update, which the peer would have to answer too.
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
        // If the others are late, the peer gets more than two of the seven microbatches. These sums
        // tolerate at most two wrong ones.
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
    // Two workers send one vector each; with a robust sum they send one for each of eight
    // microbatches.
    assert_eq!(up(&["--set", "train.robust=median"]), 4 * up(&[]));
}
