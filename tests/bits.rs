//! The bits do not depend on the workers: real processes, real data, real kills.

mod support;

use std::{path::Path, process::Stdio};

use rustix::process::Signal;
use support::{
    Coordinator, Running, all_of, bits, children, count, example, joins, journal, kill, report, results, train,
    wait_for, wait_for_step,
};

fn quiet(name: &str, folder: &Path, workers: usize, more: &[&str]) -> (serde_json::Value, Vec<serde_json::Value>) {
    let run = folder.join(format!("{name}-{workers}"));
    let found = report(&train(&example(name), &run, more).args(all_of(workers)).output().expect("starts"));
    assert_eq!(found["world_size"], workers);
    (found, results(&run))
}

/// Does something to runs in progress, until it came in time for one of them. On a machine that
/// stalls this takes several runs.
fn in_the_midst(mut is_in_time: impl FnMut(&Path) -> Option<()>) {
    let mut runs = (0..5).map(|_| tempfile::tempdir().expect("a folder"));
    assert!(runs.any(|folder| is_in_time(folder.path()).is_some()), "five runs were over too soon");
}

#[test]
fn any_number_of_workers_gives_the_same_bits() {
    for (name, length) in [("digits", "train.steps=120"), ("clinic", "train.steps=120"), ("mixed", "train.epochs=5")] {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, journal) = quiet(name, folder.path(), 1, &["--set", length]);
        for workers in [2, 3, 5] {
            let (other, other_journal) = quiet(name, folder.path(), workers, &["--set", length]);
            assert_eq!(bits(&one), bits(&other), "{name} with {workers} workers");
            assert_eq!(journal, other_journal, "{name} with {workers} workers");
        }
    }
}

#[test]
fn any_number_of_workers_gives_the_same_bits_for_images() {
    let folder = tempfile::tempdir().expect("a folder");
    let short = ["--set", "train.steps=12", "--set", "train.evaluate_every=6"];
    let (one, journal) = quiet("mnist", folder.path(), 1, &short);
    for workers in [2, 3] {
        let (other, other_journal) = quiet("mnist", folder.path(), workers, &short);
        assert_eq!(bits(&one), bits(&other), "{workers} workers");
        assert_eq!(journal, other_journal, "{workers} workers");
    }
}

#[test]
fn any_number_of_workers_gives_the_same_bits_for_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = (0..400_u32).map(|i| {
        let (a, b) = (f64::from(i * 37 % 101) / 50.0 - 1.0, f64::from(i * 53 % 97) / 48.0 - 1.0);
        format!("{a},{b},{}\n", (1.0 + a - 0.7 * b).exp().round())
    });
    let table = std::iter::once("a,b,visits\n".to_owned()).chain(rows).collect::<String>();
    std::fs::write(folder.path().join("visits.csv"), table).expect("the table");
    let experiment = folder.path().join("visits.toml");
    let text = "name = \"visits\"\n[dataset.d]\npath = \"visits.csv\"\n[task.visits]\ndataset = \"d\"\ntarget = \"visits\"\n\
        kind = \"regression\"\nloss = \"poisson\"\n[model]\ntrunk = { hidden = [16] }\n\
        [train]\nsteps = 300\noptimizer = { kind = \"adam\", learning_rate = 0.01 }\n";
    std::fs::write(&experiment, text).expect("the experiment");
    let of = |workers: usize| {
        let run = folder.path().join(format!("run-{workers}"));
        let found = report(&train(&experiment, &run, &[]).args(all_of(workers)).output().expect("starts"));
        assert_eq!(found["world_size"], workers);
        (found, results(&run))
    };
    let (one, journal) = of(1);
    assert!(one["skill"]["test"].as_f64().is_some_and(|skill| skill > 0.8), "{one}");
    for workers in [2, 3] {
        let (other, other_journal) = of(workers);
        assert_eq!(bits(&one), bits(&other), "{workers} workers");
        assert_eq!(journal, other_journal, "{workers} workers");
    }
}

#[test]
fn no_result_says_how_many_workers_there_were() {
    let folder = tempfile::tempdir().expect("a folder");
    let records = |workers: usize, kind: &str| -> Vec<serde_json::Value> {
        let more = ["--set", "train.steps=20", "--set", "cluster.lease_ms=7000"];
        let run = folder.path().join(format!("clinic-{workers}"));
        if !run.exists() {
            quiet("clinic", folder.path(), workers, &more);
        }
        let mut records: Vec<_> = journal(&run).into_iter().filter(|record| record["record"] == kind).collect();
        records.iter_mut().for_each(|record| drop(record.as_object_mut().expect("an object").remove("time_ms")));
        records
    };
    let results = records(1, "result");
    for kind in ["parameters", "tags", "metrics", "summary"] {
        assert!(results.iter().any(|record| record["kind"] == kind), "{kind}");
    }
    assert_eq!(results, records(3, "result"));
    let parameters = &results.iter().find(|record| record["kind"] == "parameters").expect("one")["parameters"];
    assert_eq!((&parameters["train.steps"], &parameters["cluster.threads"]), (&"20".into(), &"1".into()));
    let settings = |workers| records(workers, "observed").into_iter().find(|r| r["kind"] == "settings").expect("one");
    assert_eq!(settings(1)["settings"]["cluster.workers"], "1");
    assert_eq!(settings(3)["settings"]["cluster.workers"], "3");
    assert_eq!(settings(3)["settings"]["cluster.lease_ms"], "7000");
}

#[test]
fn another_seed_gives_other_bits() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, _) = quiet("digits", folder.path(), 1, &["--set", "train.steps=20"]);
    let (other, _) = quiet("digits", folder.path(), 2, &["--set", "train.steps=20", "--set", "seed=7"]);
    assert_ne!(bits(&one).0, bits(&other).0);
}

/// Weightings by what travels: one vector, losses before and after, a vector for each task, halves
/// of the tree.
const MODES: [&str; 4] = ["sum", "famo", "upgrad", "sdmgrad"];

#[test]
fn a_worker_killed_in_mid_run_changes_nothing() {
    MODES.iter().for_each(|method| kill_a_worker(method));
}

fn kill_a_worker(method: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let method = format!("weighting.method={method}");
    let more = ["--set", "train.steps=2000", "--set", "train.evaluate_every=1000", "--set", &method];
    let (expected, expected_journal) = quiet("digits", folder.path(), 2, &more);

    in_the_midst(|folder| {
        let run = folder.join("killed");
        let mut command = train(&example("digits"), &run, &more);
        let mut running = Running(command.args(["--workers", "3"]).stdout(Stdio::piped()).spawn().expect("starts"));
        let workers = wait_for("three workers, or the end", || {
            let workers = children(running.0.id());
            let take_part = workers.iter().filter(|pid| joins(&run, **pid) > 0).count();
            (take_part == 3 || running.0.try_wait().expect("can be asked").is_some()).then_some(workers)
        });
        wait_for_step(&run, 20);
        let victim = *workers.get(1)?;
        let pid = rustix::process::Pid::from_raw(victim as i32)?;
        let killed = rustix::process::kill_process(pid, Signal::KILL);
        let found = report(&running.wait());
        assert_eq!((bits(&expected), &expected_journal), (bits(&found), &results(&run)));
        killed.ok().filter(|()| count(&run, "worker_lost") > 0)
    });
}

#[test]
fn workers_over_tcp_and_one_that_joins_late_give_the_same_bits() {
    MODES.iter().for_each(|method| join_over_tcp(method));
}

fn join_over_tcp(method: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let method = format!("weighting.method={method}");
    let more = ["--set", "train.steps=1000", "--set", "train.evaluate_every=500", "--set", &method];
    let (expected, expected_journal) = quiet("digits", folder.path(), 1, &more);

    in_the_midst(|folder| {
        let run = folder.join("tcp");
        let patient = [&more[..], &["--set", "cluster.lease_ms=60000"]].concat();
        let mut coordinator = Coordinator::start(&example("digits"), &run, &patient);
        let first = coordinator.start_worker(&[]);
        wait_for_step(&run, 20);
        // With the first worker stopped, the run can't end before the second has joined.
        kill(first.0.id(), Signal::STOP);
        let _late = coordinator.start_worker(&[]);
        wait_for("the late one, or the end", || {
            (count(&run, "worker_joined") == 2 || coordinator.has_ended()).then_some(())
        });
        kill(first.0.id(), Signal::CONT);
        let (found, said) = coordinator.finish();
        assert_eq!((bits(&expected), &expected_journal), (bits(&found), &results(&run)), "{said}");
        (count(&run, "worker_joined") == 2).then_some(())
    });
}
