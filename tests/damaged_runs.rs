//! Run folders of which something is damaged, missing or can't be written: what can be used is
//! used, nothing is lost, and the bits are those of an undisturbed run.

mod support;

use std::path::{Path, PathBuf};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    process::Signal,
};
use serde_json::Value;
use support::{
    bits, example, kill, last_step, report, results,
    resumed::{LONG, assert_equal, checkpoint_of, folder, observed, quiet, quiet_long, resume, start},
    train, trunkline, wait_for, wait_for_step,
};

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
