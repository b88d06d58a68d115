//! Runs that are stopped in any way and resumed give the bits and the results of an undisturbed
//! run.

mod support;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use aggregation::random::{Purpose, Stream};
use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    process::Signal,
};
use serde_json::Value;
use support::{
    Recovery, Running, bits, example, journal_so_far, kill, last_step, report, results, train, trunkline, wait_at_most,
    wait_for, wait_for_step,
    weightings::{Case, cases},
};

/// Slow steps, so that everything happens before the run ends, with several checkpoints. Most of
/// these are between two records of training losses.
const LONG: [&str; 10] = [
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

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn quiet(experiment: &Path, run: &Path, more: &[&str]) -> (Value, Vec<Value>) {
    let done = train(experiment, run, more).output().expect("starts");
    (report(&done), results(run))
}

/// The report and the results that every run of [`LONG`] must have.
fn quiet_long() -> &'static (Value, Vec<Value>) {
    static QUIET: OnceLock<(Value, Vec<Value>)> = OnceLock::new();
    QUIET.get_or_init(|| quiet(&example("digits"), &folder().path().join("quiet"), &LONG))
}

/// `train --resume RUN --json`.
fn resume(run: &Path) -> Command {
    let mut command = trunkline();
    command.args(["train", "--json", "--resume"]).arg(run);
    command
}

fn start(mut command: Command) -> Running {
    Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts"))
}

fn has_ended(child: &mut Child) -> bool {
    child.try_wait().expect("can be asked").is_some()
}

fn observed(run: &Path, kind: &str) -> Vec<Value> {
    journal_so_far(run).into_iter().filter(|record| record["kind"] == kind).collect()
}

fn checkpoint_of(run: &Path, step: u64) -> PathBuf {
    run.join(format!("checkpoints/step-{step:06}"))
}

/// Checks that a resumed run and an undisturbed one have the same bits and metrics, and the same
/// results, each once and in order.
fn assert_equal(quiet: &(Value, Vec<Value>), done: &Value, run: &Path) {
    assert_eq!(bits(&quiet.0), bits(done));
    let found = results(run);
    let different = quiet.1.iter().zip(&found).find(|(quiet, found)| quiet != found);
    assert_eq!((quiet.1.len(), None), (found.len(), different));
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
fn a_damaged_checkpoint_is_passed_over_for_the_one_before() {
    let folder = folder();
    let more = ["--set", "train.steps=300", "--set", "train.evaluate_every=100"];
    let expected = quiet(&example("digits"), &folder.path().join("quiet"), &more);
    let whole = folder.path().join("quiet");
    for (file, damage, code) in [
        ("model.safetensors", "flipped", "damaged"),
        ("optimizer.safetensors", "truncated", "damaged"),
        ("weighting.safetensors", "missing", "unreadable"),
        ("manifest.json", "truncated", "manifest"),
        ("", "missing", ""),
    ] {
        let run = folder.path().join(format!("{damage}-{file}"));
        support::copy(&whole, &run);
        let path = checkpoint_of(&run, 300).join(file);
        match damage {
            "flipped" => {
                let mut bytes = std::fs::read(&path).expect("reads");
                let middle = bytes.len() / 2;
                bytes[middle] ^= 4;
                std::fs::write(&path, bytes).expect("writes");
            }
            "truncated" => {
                let bytes = std::fs::read(&path).expect("reads");
                std::fs::write(&path, &bytes[..bytes.len() - 7]).expect("writes");
            }
            _ if file.is_empty() => std::fs::remove_dir_all(&path).expect("removes"),
            _ => std::fs::remove_file(&path).expect("removes"),
        }
        let done = resume(&run).output().expect("starts");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        let passed = observed(&run, "checkpoint_passed_over");
        let codes: Vec<&Value> = passed.iter().map(|record| &record["reason"]["code"]).collect();
        if code.is_empty() {
            assert!(codes.is_empty());
        } else {
            assert_eq!(codes, [code], "{damage} {file}");
            assert!(said.contains("passed over a checkpoint") && said.contains("step-000300"), "{said}");
        }
        let done = report(&done);
        assert_eq!(done["resumed_from"], 200);
        assert_equal(&expected, &done, &run);
    }
}

#[test]
fn checkpoints_below_a_damaged_one_stay() {
    let folder = folder();
    let more = [&LONG[..], &["--set", "train.checkpoint.keep=1"]].concat();
    let run = folder.path().join("run");
    // Sends SIGTERM once `come` is true. Returns the step of the checkpoint.
    let stopped_after = |come: &dyn Fn() -> bool| {
        let mut command = train(&example("digits"), &run, &more);
        command.args(["--resume", "auto"]);
        let running = start(command);
        wait_for("what the run is to come to", || come().then_some(()));
        kill(running.0.id(), Signal::TERM);
        assert_eq!(running.wait().status.code(), Some(130));
        observed(&run, "finished").pop().expect("a last record")["step"].as_u64().expect("a number")
    };
    let early = stopped_after(&|| last_step(&run) >= 50);
    let aside = folder.path().join("aside");
    support::copy(&checkpoint_of(&run, early), &aside);
    let late = stopped_after(&|| last_step(&run) >= early + 600);
    std::fs::rename(&aside, checkpoint_of(&run, early)).expect("moves back");
    std::fs::remove_file(checkpoint_of(&run, late).join("model.safetensors")).expect("removes");

    let written = observed(&run, "checkpoint_written").len();
    let between = stopped_after(&|| observed(&run, "checkpoint_written").len() > written);
    assert!(early < between && between < late, "{early} {between} {late}");
    let done = report(&resume(&run).output().expect("starts"));
    assert_eq!(done["resumed_from"], between);
    assert_equal(quiet_long(), &done, &run);
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
fn without_a_good_checkpoint_the_run_begins_anew() {
    let folder = folder();
    let more = ["--set", "train.steps=60", "--set", "train.evaluate_every=20"];
    let expected = quiet(&example("clinic"), &folder.path().join("quiet"), &more);
    let run = folder.path().join("quiet");
    std::fs::remove_dir_all(run.join("checkpoints")).expect("removes");
    let done = report(&resume(&run).output().expect("starts"));
    assert_eq!(done["resumed_from"], 0);
    assert_equal(&expected, &done, &run);
}

#[test]
fn a_result_that_was_removed_from_the_journal_is_noticed_and_recorded_again() {
    let folder = folder();
    let more = ["--set", "train.steps=300", "--set", "train.evaluate_every=100"];
    let run = folder.path().join("run");
    let (quiet, mut expected) = quiet(&example("digits"), &run, &more);
    let text = std::fs::read_to_string(run.join("journal.jsonl")).expect("reads");
    let taken = text.lines().position(|line| line.contains("\"step\":150,")).expect("is there");
    let left: String =
        text.lines().enumerate().filter(|(at, _)| *at != taken).map(|(_, line)| format!("{line}\n")).collect();
    std::fs::write(run.join("journal.jsonl"), left).expect("writes");
    assert_eq!(results(&run).len() + 1, expected.len());
    let done = report(&resume(&run).output().expect("starts"));
    let passed = observed(&run, "checkpoint_passed_over");
    let codes: Vec<&Value> = passed.iter().map(|record| &record["reason"]["code"]).collect();
    assert_eq!(codes, ["journal_changed", "journal_changed"]);
    assert_eq!((&done["resumed_from"], bits(&done)), (&Value::from(100), bits(&quiet)));
    // The same record comes later in the journal now.
    let mut found = results(&run);
    expected.sort_by_key(Value::to_string);
    found.sort_by_key(Value::to_string);
    assert_eq!(expected, found);
}

#[test]
fn checkpoints_that_may_be_intact_are_not_abandoned() {
    let folder = folder();
    let more = ["--set", "train.steps=60", "--set", "train.evaluate_every=20"];
    let whole = folder.path().join("whole");
    let expected = quiet(&example("clinic"), &whole, &more);
    let both_refuse = |name: &str, damage: &dyn Fn(&Path), words: &[&str]| {
        let run = folder.path().join(name);
        support::copy(&whole, &run);
        damage(&run);
        let before = contents(&run);
        let mut auto = train(&example("clinic"), &run, &more);
        auto.args(["--resume", "auto"]);
        for mut command in [resume(&run), auto] {
            let done = command.output().expect("starts");
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            assert_eq!(done.status.code(), Some(2), "{name}: {said}");
            for word in words {
                assert!(said.contains(word), "{name}: {word}: {said}");
            }
            assert_eq!(contents(&run), before, "{name}: something was changed");
        }
        run
    };
    let journal = "journal.jsonl";
    let cut = |run: &Path| {
        let text = std::fs::read(run.join(journal)).expect("reads");
        std::fs::write(run.join(journal), &text[..100]).expect("writes");
    };
    let run = both_refuse("cut", &cut, &["its journal has 100 bytes", "Put the journal back", "`checkpoints`"]);
    let resumes_from = || {
        let inspected = report(&trunkline().arg("inspect").arg(&run).arg("--json").output().expect("starts"));
        inspected["resumes_from"].clone()
    };
    assert_eq!(resumes_from(), Value::Null);
    std::fs::copy(whole.join(journal), run.join(journal)).expect("copies");
    assert_eq!(resumes_from(), 60);
    assert_equal(&expected, &report(&resume(&run).output().expect("starts")), &run);

    let gone = |run: &Path| std::fs::remove_file(run.join(journal)).expect("removes");
    let run = both_refuse("gone", &gone, &["it has checkpoints and no journal.jsonl", "Put the journal back"]);
    std::fs::remove_dir_all(run.join("checkpoints")).expect("removes");
    assert_eq!(bits(&expected.0), bits(&report(&resume(&run).output().expect("starts"))), "begun again");

    let other = |run: &Path| {
        for step in [20, 40, 60] {
            std::fs::write(checkpoint_of(run, step).join("manifest.json"), "{\"schema\": 99}").expect("writes");
        }
    };
    both_refuse("other", &other, &["it has schema 99", "use the build that wrote it", "`checkpoints`"]);
}

/// The files below a folder with their contents, without the lock.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("lists") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else if !path.ends_with("lock") {
            all.push((path.clone(), std::fs::read(&path).expect("reads")));
        }
    }
    all.sort();
    all
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

#[test]
fn a_folder_that_takes_no_checkpoints_is_told_and_tried_again() {
    let folder = folder();
    let run = folder.path().join("run");
    // A file takes the place of the folder, so nothing can be written into it. The exchange is
    // atomic; otherwise the run would create the folder again.
    let (checkpoints, other) = (run.join("checkpoints"), folder.path().join("other"));
    std::fs::write(&other, "").expect("writes");
    let exchange = || renameat_with(CWD, &checkpoints, CWD, &other, RenameFlags::EXCHANGE).expect("exchanges");
    let running = start(train(&example("digits"), &run, &LONG));
    wait_for_step(&run, 150);
    exchange();
    let warned = || observed(&run, "warning").into_iter().find(|record| record["reason"]["code"] == "checkpoint");
    let warning = wait_for("a warning", warned);
    assert!(warning["reason"]["message"].as_str().expect("text").contains("checkpoints"), "{warning}");
    exchange();
    let done = running.wait();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(said.contains("no checkpoint; the run goes on"), "{said}");
    assert_equal(quiet_long(), &report(&done), &run);
    assert!(checkpoint_of(&run, 2400).join("manifest.json").is_file());
}

#[test]
fn a_stop_whose_checkpoint_can_not_be_written_is_a_failure() {
    let folder = folder();
    let run = folder.path().join("run");
    let more = ["--set", "train.steps=1000000", "--set", "train.evaluate_every=1000000"];
    let running = start(train(&example("digits"), &run, &more));
    wait_for_step(&run, 10);
    std::fs::write(run.join("checkpoints"), "").expect("writes");
    kill(running.0.id(), Signal::TERM);
    let done = running.wait();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("asked to stop, and no checkpoint of this step could be written"), "{said}");
}
