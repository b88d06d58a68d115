//! Runs that are stopped in any way and resumed give the bits and the results of an undisturbed
//! run.

mod support;

use std::{
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use aggregation::random::{Purpose, Stream};
use rustix::process::Signal;
use serde_json::Value;
use support::{
    Recovery, example, kill, last_step, report, results,
    resumed::{LONG, assert_equal, checkpoint_of, folder, observed, quiet, quiet_long, resume, start},
    train, trunkline, wait_at_most, wait_for, wait_for_step,
    weightings::{Case, cases},
};

/// Long training on three tables, with a weighting that has a state, recorded per-task gradients,
/// best parameters, and early stopping after 675 steps.
const MIXED: [&str; 14] = [
    "--set",
    "train.steps=1000",
    "--set",
    "tracking.every=7",
    "--set",
    "train.evaluate_every=25",
    "--set",
    "train.early_stopping.patience=20",
    "--set",
    "weighting.method=dwa",
    "--set",
    "tracking.gramian_every=3",
    "--set",
    "model.trunk.hidden=[512, 512]",
];

fn has_ended(child: &mut Child) -> bool {
    child.try_wait().expect("can be asked").is_some()
}

#[test]
fn twenty_kills_of_the_coordinator_change_nothing() {
    // The kills come in the first steps, long before the end.
    let mixed = quiet(&example("mixed"), &folder().path().join("quiet"), &MIXED);
    for (name, length, expected, kill_steps) in
        [("digits", &LONG[..], quiet_long(), 960), ("mixed", &MIXED[..], &mixed, 340)]
    {
        let folder = folder();
        let run = folder.path().join("killed");
        let again = || {
            let mut command = train(&example(name), &run, length);
            command.args(["--resume", "auto", "--workers", "2"]);
            start(command)
        };
        let draws = Stream::new(7, Purpose::Shuffle, &[kill_steps]);
        let mut recovery = Recovery::of("coordinator killed, to the first new step");
        for i in 0..20 {
            let (before, started) = (last_step(&run), observed(&run, "started").len());
            let mut running = again();
            if i % 2 == 0 {
                // Kills at a random instant, counted from the start or from the first record, but
                // before the run is done.
                if i % 4 == 2 {
                    wait_for("the first record", || (observed(&run, "started").len() > started).then_some(()));
                }
                let instant = Duration::from_millis(u64::from(draws.u32_at(i)) % 400);
                wait_at_most(instant, || (last_step(&run) >= (i + 1) * kill_steps / 20).then_some(()));
            } else {
                recovery.wait_for("a new step", || (last_step(&run) > before).then_some(()));
                let target = i * kill_steps / 32;
                wait_for("a step", || (last_step(&run) >= target).then_some(()));
            }
            assert!(!has_ended(&mut running.0), "{name}: the run was over before kill {i}");
            running.0.kill().expect("killed");
            running.end();
        }
        let done = report(&train(&example(name), &run, length).args(["--resume", "auto"]).output().expect("starts"));
        assert!(observed(&run, "started").len() > 10, "{name}");
        assert!(done["resumed_from"].as_u64() > Some(0), "{name}: no checkpoint was used");
        assert_equal(expected, &done, &run);
    }
}

/// The weighting's state in a checkpoint, as text, because NaN equals itself as text.
fn weighting_state(run: &Path, step: u64) -> String {
    let checkpoint = coordinator::checkpoint::load(&checkpoint_of(run, step)).expect("is whole");
    format!("{:?}", checkpoint.weighting)
}

fn goes_on_with_its_state(name: &str, cases: &[Case]) {
    let folder = folder();
    for case in cases {
        let with = |run: &Path, more: &[&str]| {
            let mut command = train(&example(name), run, more);
            let done = command.args(&case.arguments).output().expect("starts");
            (report(&done), results(run))
        };
        let title = format!("{name} {}", case.name);
        let (run, begun) = (folder.path().join(&case.name), folder.path().join(format!("{}-begun", case.name)));
        let expected = with(&run, &["--set", "train.steps=100", "--set", "train.evaluate_every=50"]);
        with(&begun, &["--set", "train.steps=1"]);
        let state = weighting_state(&run, 50);
        assert!(state == "[]" || state != weighting_state(&begun, 1), "{title}: the state of a first step: {state}");
        std::fs::remove_dir_all(checkpoint_of(&run, 100)).expect("removes");
        let done = report(&resume(&run).output().expect("starts"));
        assert_eq!(done["resumed_from"], 50, "{title}");
        assert_equal(&expected, &done, &run);
    }
}

#[test]
fn every_weighting_goes_on_with_all_of_its_state() {
    for name in ["digits", "mixed"] {
        let cases = cases(name);
        let (left, right) = cases.split_at(cases.len() / 2);
        std::thread::scope(|scope| {
            scope.spawn(|| goes_on_with_its_state(name, left));
            goes_on_with_its_state(name, right);
        });
    }
}

#[test]
fn a_signal_writes_a_checkpoint_from_which_the_run_goes_on() {
    let folder = folder();
    let more =
        ["--set", "train.steps=3000", "--set", "train.evaluate_every=3000", "--set", "model.trunk.hidden=[512, 256]"];
    let expected = quiet(&example("digits"), &folder.path().join("quiet"), &more);

    // SIGUSR1: the checkpoint is written at once, and the run goes on.
    let run = folder.path().join("saved");
    let running = start(train(&example("digits"), &run, &more));
    wait_for_step(&run, 100);
    kill(running.0.id(), Signal::USR1);
    let written = wait_for("a checkpoint", || observed(&run, "checkpoint_written").pop());
    let step = written["step"].as_u64().expect("a number");
    assert!(checkpoint_of(&run, step).join("manifest.json").is_file());
    wait_for_step(&run, step + 100);

    // SIGTERM: another checkpoint is written, of the step at which the run stops.
    kill(running.0.id(), Signal::TERM);
    assert_eq!(running.wait().status.code(), Some(130));
    let stopped = observed(&run, "finished").pop().expect("a last record");
    assert_eq!(stopped["status"], "interrupted");
    let step = stopped["step"].as_u64().expect("a number");
    assert!(checkpoint_of(&run, step).join("manifest.json").is_file());
    assert!(step < 3000, "the run was over before the signal");

    let done = report(&resume(&run).output().expect("starts"));
    assert_eq!(done["resumed_from"], step);
    assert_equal(&expected, &done, &run);

    // A run that is finished can be resumed again.
    let again = report(&resume(&run).output().expect("starts"));
    assert_eq!((&again["parameters_sha256"], &again["tasks"]), (&done["parameters_sha256"], &done["tasks"]));
    assert_equal(&expected, &again, &run);
    let inspected = report(&trunkline().arg("inspect").arg(&run).arg("--json").output().expect("starts"));
    assert_eq!((&inspected["state"], &inspected["epoch"]), (&Value::from("finished"), &Value::from(3)));
    let checkpoints = inspected["checkpoints"].as_array().expect("a list");
    assert!(checkpoints.iter().all(|checkpoint| checkpoint["good"] == true && checkpoint["epoch"].is_u64()));
}

#[test]
fn an_evaluation_that_a_signal_interrupted_is_repeated() {
    let folder = folder();
    // An evaluation is in progress most of the time.
    let more = ["--set", "train.steps=2400", "--set", "train.evaluate_every=1", "--set", "train.checkpoint.every=2400"];
    let expected = quiet(&example("digits"), &folder.path().join("quiet"), &more);
    let run = folder.path().join("stopped");
    for i in 1..=12 {
        let before = last_step(&run);
        let running = start({
            let mut command = train(&example("digits"), &run, &more);
            command.args(["--resume", "auto"]);
            command
        });
        wait_for("a new step", || (last_step(&run) > before.max(i * 50)).then_some(()));
        kill(running.0.id(), Signal::TERM);
        assert_eq!(running.wait().status.code(), Some(130), "stop {i}");
    }
    let done = report(&resume(&run).output().expect("starts"));
    assert_equal(&expected, &done, &run);
}

#[test]
fn a_rate_that_falls_with_the_validation_loss_goes_on_where_it_was() {
    let folder = folder();
    let schedule = "train.schedule={ kind = \"plateau\", factor = 0.7, patience = 2, min_delta = 0.001 }";
    let more = [
        "--set",
        "train.steps=1200",
        "--set",
        "train.evaluate_every=5",
        "--set",
        "train.checkpoint.every=40",
        "--set",
        schedule,
        "--set",
        "weighting.method=excess_mtl",
    ];
    let whole = folder.path().join("quiet");
    let expected = quiet(&example("digits"), &whole, &more);
    let rates = |results: &[Value]| -> Vec<f64> {
        results.iter().filter_map(|record| record["metrics"]["learning_rate"].as_f64()).collect()
    };
    let fallen = rates(&expected.1);
    assert!(fallen.last() < fallen.first().map(|first| first * 0.5).as_ref(), "{fallen:?}");
    let run = folder.path().join("stopped");
    for i in 1..=8 {
        let before = last_step(&run);
        let running = start({
            let mut command = train(&example("digits"), &run, &more);
            command.args(["--resume", "auto", "--workers", "2"]);
            command
        });
        wait_for("a new step", || (last_step(&run) > before.max(i * 60)).then_some(()));
        kill(running.0.id(), if i % 2 == 0 { Signal::KILL } else { Signal::TERM });
        running.wait();
    }
    let done = report(&resume(&run).output().expect("starts"));
    assert_equal(&expected, &done, &run);
}

#[test]
fn a_second_signal_ends_at_once() {
    let folder = folder();
    let run = folder.path().join("run");
    let mut running = start(train(&example("digits"), &run, &["--set", "train.steps=1000000"]));
    wait_for_step(&run, 10);
    // Both signals are pending when it wakes up, so the second arrives before the first is handled.
    for signal in [Signal::STOP, Signal::TERM, Signal::INT, Signal::CONT] {
        kill(running.0.id(), signal);
    }
    assert_eq!(running.end().code(), Some(130));
    assert!(observed(&run, "finished").is_empty(), "it took its time");
}

#[test]
fn an_evaluation_that_found_the_best_parameters_is_not_made_twice() {
    let folder = folder();
    let run = folder.path().join("run");
    let more = [&MIXED[..], &["--set", "train.checkpoint.every=1000"]].concat();
    let expected = quiet(&example("mixed"), &run, &more);
    let (best, last) = (&expected.0["selected_step"], &expected.0["step"]);
    let (best, last) = (best.as_u64().expect("a number"), last.as_u64().expect("a number"));
    assert!(best < last && last < 1000, "stopped early, after the best step: {best}, {last}");
    std::fs::remove_dir_all(checkpoint_of(&run, last)).expect("removes");
    let done = report(&resume(&run).output().expect("starts"));
    assert_eq!(done["resumed_from"], best);
    assert_equal(&expected, &done, &run);
}

#[test]
fn changes_that_affect_the_bits_are_refused_and_named() {
    let folder = folder();
    let data = folder.path().join("table.csv");
    let table = |changed: &str| {
        let rows =
            (0..200).map(|i| format!("{},{},{}\n", i % 17, (i * 7) % 23, if i == 150 { changed } else { "1.5" }));
        std::fs::write(&data, format!("a,b,y\n{}", rows.collect::<String>())).expect("writes");
    };
    table("2");
    let part = |row: usize| ["train", "train", "train", "train", "train", "train", "validation", "test"][row % 8];
    let parts: String = (1..=200).map(|row| format!("{row},{}\n", part(row))).collect();
    std::fs::write(folder.path().join("split.csv"), format!("row,part\n{parts}")).expect("writes");
    let experiment = folder.path().join("table.toml");
    let text = "name = \"table\"\n[dataset.t]\npath = \"table.csv\"\nsplit = { file = \"split.csv\" }\n[task.y]\ndataset = \"t\"\ntarget = \"y\"\nkind = \"regression\"\n\
                [model]\ntrunk = { hidden = [4] }\n[train]\nsteps = 40\nevaluate_every = 10\n";
    std::fs::write(&experiment, text).expect("writes");
    let run = folder.path().join("run");
    let expected = quiet(&experiment, &run, &[]);

    let refused = |command: &mut Command, words: &[&str]| {
        let done = command.output().expect("starts");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{said}");
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
    };
    refused(resume(&run).args(["--set", "train.steps=50"]), &["experiment", "`train.steps` was 40, and is 50"]);
    refused(resume(&run).args(["--set", "cluster.threads=2"]), &["`cluster.threads` was 1, and is 2"]);
    let recorded = ["--set", "tracking.weighting_every=7", "--set", "tracking.gramian_every=3"];
    let words = ["`tracking.weighting_every` was nothing, and is 7", "`tracking.gramian_every` was nothing, and is 3"];
    refused(resume(&run).args(recorded), &words);
    let saved = run.join("experiment.toml");
    let said = std::fs::read_to_string(&saved).expect("reads");
    std::fs::write(&saved, said.replace("steps = 40", "steps = 41")).expect("writes");
    refused(&mut resume(&run), &["experiment.toml in it changed", "`train.steps` was 40, and is 41"]);
    std::fs::write(&saved, said.replace("[tracking]\n", "[tracking]\nweighting_every = 7\n")).expect("writes");
    refused(&mut resume(&run), &["experiment.toml in it changed", "`tracking.weighting_every` was nothing, and is 7"]);
    std::fs::write(&saved, said).expect("writes");
    let journal = run.join("journal.jsonl");
    let said = std::fs::read_to_string(&journal).expect("reads");
    std::fs::write(&journal, said.replacen("\"schema\"", " \"schema\"", 1)).expect("writes");
    refused(&mut resume(&run), &["its journal was changed since the checkpoint of step 20 was written"]);
    std::fs::write(&journal, said.replacen("\n{", "\n", 4)).expect("writes");
    refused(&mut resume(&run), &["journal.jsonl, line 2 is not a record"]);
    std::fs::write(&journal, said).expect("writes");
    refused(&mut resume(folder.path()), &["not a run folder", "experiment.toml"]);
    std::fs::rename(&saved, run.join("away")).expect("renames");
    refused(train(&experiment, &run, &[]).args(["--resume", "auto"]), &["and no experiment.toml to go on with"]);
    std::fs::rename(run.join("away"), &saved).expect("renames back");
    refused(&mut resume(Path::new("auto")), &["--run-dir"]);
    refused(resume(&run).args(["--run-dir", "elsewhere"]), &["--run-dir"]);
    refused(&mut train(&experiment, &run, &[]), &["is not empty", "--resume"]);
    table("3");
    refused(&mut resume(&run), &["the data changed", "task `y`"]);
    table("2");

    // The number of workers, their lease, the tracking server and the place of the data change no
    // result.
    let moved = folder.path().join("moved");
    std::fs::create_dir(&moved).expect("creates");
    for file in ["table.csv", "split.csv", "table.toml"] {
        std::fs::rename(folder.path().join(file), moved.join(file)).expect("moves");
    }
    std::fs::remove_dir_all(checkpoint_of(&run, 40)).expect("removes");
    let mut command = train(&moved.join("table.toml"), &run, &["--resume", "auto", "--workers", "3"]);
    command.args(["--set", "cluster.lease_ms=9000", "--set", "tracking.experiment=\"elsewhere\""]);
    assert_equal(&expected, &report(&command.output().expect("starts")), &run);
}

#[test]
fn a_coordinator_that_wakes_up_after_another_has_taken_over_writes_nothing() {
    let folder = folder();
    let run = folder.path().join("run");
    let old = start(train(&example("digits"), &run, &LONG));
    wait_for_step(&run, 300);
    kill(old.0.id(), Signal::STOP);

    // While the first coordinator runs, the run is refused to others.
    let done = resume(&run).output().expect("starts");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("in use by process {}", old.0.id())), "{said}");

    // Somebody removes its lock, as a network file system may.
    std::fs::remove_file(run.join("lock")).expect("removes");
    let done = report(&resume(&run).output().expect("starts"));
    assert_equal(quiet_long(), &done, &run);
    let before = std::fs::read_to_string(run.join("journal.jsonl")).expect("reads");
    kill(old.0.id(), Signal::CONT);
    let done = old.wait();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("a coordinator of epoch 2 has taken the run up"), "{said}");
    // If it was stopped between its check and its write, it finishes that one operation: the
    // records of one step.
    let after = std::fs::read_to_string(run.join("journal.jsonl")).expect("reads");
    let more = after.strip_prefix(&before).expect("what was there stays");
    let steps = more.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record")["step"].clone());
    let steps: Vec<Value> = steps.collect();
    assert!(steps.windows(2).all(|pair| pair[0] == pair[1]), "it went on writing to the journal: {more}");
}
