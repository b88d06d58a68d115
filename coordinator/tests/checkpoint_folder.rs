//! The run folder is named by time and locked, and its epoch only grows.

use std::fs;
use std::process::{Command, Stdio};

use coordinator::checkpoint::{Checkpoint, write};
use coordinator::disk::LocalDisk;
use coordinator::folder::{FolderError, RunFolder};
use coordinator::resume::{ResumableRun, ResumeError};

/// 2026-11-20 12:03:11 UTC.
const NOW_MS: u64 = 1_795_176_191_250;

#[test]
fn a_new_folder_is_named_by_utc_time_and_experiment_and_never_shared() {
    let parent = tempfile::tempdir().expect("a folder");
    let runs = parent.path().join("runs");
    let names: Vec<String> = ["digits", "digits", "a/b: c"]
        .iter()
        .map(|e| {
            RunFolder::create(&runs, e, NOW_MS)
                .expect("creates")
                .path()
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert_eq!(names, ["2026-11-20T12-03-11-digits", "2026-11-20T12-03-11-digits-2", "2026-11-20T12-03-11-a-b--c"]);
}

#[test]
fn a_named_folder_must_be_empty_but_for_a_lock_that_nobody_holds() {
    let parent = tempfile::tempdir().expect("a folder");
    let path = parent.path().join("deep/run");
    let first = RunFolder::create_at(&path).expect("creates");
    assert!(matches!(RunFolder::create_at(&path), Err(FolderError::Locked { .. })));
    drop(first);
    let second = RunFolder::create_at(&path).expect("there is only the lock file");
    fs::write(path.join("notes.txt"), "").expect("writes");
    second.remove_unused();
    assert!(path.join("notes.txt").exists(), "what is another's stays");
    assert!(matches!(RunFolder::create_at(&path), Err(FolderError::NotEmpty { .. })));
    fs::remove_file(path.join("notes.txt")).expect("removes");
    RunFolder::create_at(&path).expect("is empty").remove_unused();
    assert!(path.exists(), "it was there before");
    fs::remove_dir(&path).expect("is empty again");
    RunFolder::create_at(&path).expect("creates").remove_unused();
    assert!(!path.exists());
}

#[test]
fn a_folder_without_an_experiment_is_not_a_run_and_one_without_a_journal_has_not_begun() {
    let parent = tempfile::tempdir().expect("a folder");
    let journal = parent.path().join("journal.jsonl");
    fs::write(&journal, "").expect("writes");
    assert!(matches!(RunFolder::open(parent.path()), Err(FolderError::NotARun { missing: "experiment.toml", .. })));
    let error = RunFolder::create_again(parent.path()).expect_err("is not its own");
    assert!(error.to_string().contains("has journal.jsonl, and no experiment.toml to go on with"), "{error}");
    fs::remove_file(journal).expect("removes");
    fs::write(parent.path().join("experiment.toml"), "").expect("writes");
    // A person's own folder.
    assert!(matches!(RunFolder::open(parent.path()), Err(FolderError::NotARun { missing: "journal.jsonl", .. })));
    fs::write(parent.path().join("epoch"), "1\n").expect("writes");
    let past = ResumableRun::find(RunFolder::open(parent.path()).expect("opens")).expect("is there");
    assert_eq!((past.step(), past.device()), (0, None));
    drop(past);
    write(&LocalDisk, parent.path(), &Checkpoint { step: 5, ..Checkpoint::default() }).expect("writes");
    assert!(RunFolder::has_run(parent.path()), "what is left of one");
    let error = ResumableRun::find(RunFolder::open(parent.path()).expect("opens")).expect_err("has lost its journal");
    assert!(matches!(error, ResumeError::JournalMissing { .. }), "{error}");
}

#[test]
fn a_second_coordinator_is_refused_until_the_first_is_gone() {
    let parent = tempfile::tempdir().expect("a folder");
    let path = parent.path().join("run");
    let first = RunFolder::create_at(&path).expect("creates");
    first.write_experiment(&LocalDisk, "name = \"x\"\n").expect("writes");
    fs::write(first.journal(), "").expect("writes");
    let error = RunFolder::open(&path).expect_err("refuses");
    assert!(matches!(error, FolderError::Locked { .. }));
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    drop(first);
    RunFolder::open(&path).expect("opens");
}

/// A worker process that a killed coordinator was starting holds the lock for a moment.
#[test]
fn a_lock_that_is_released_soon_is_waited_for() {
    let parent = tempfile::tempdir().expect("a folder");
    let path = parent.path().join("run");
    let first = RunFolder::create_at(&path).expect("creates");
    first.write_experiment(&LocalDisk, "name = \"x\"\n").expect("writes");
    fs::write(first.journal(), "").expect("writes");
    std::thread::scope(|scope| {
        let second = scope.spawn(|| RunFolder::open(&path));
        // Two open files: the second one waits for the lock that the first one holds.
        let opened = || {
            let files =
                fs::read_dir("/proc/self/fd").expect("lists").filter_map(|file| fs::read_link(file.ok()?.path()).ok());
            files.filter(|file| *file == path.join("lock")).count()
        };
        while opened() < 2 && !second.is_finished() {
            std::thread::yield_now();
        }
        drop(first);
        second.join().expect("ends").expect("opens");
    });
}

#[test]
fn a_lock_ends_with_its_process_however_it_ends() {
    let parent = tempfile::tempdir().expect("a folder");
    for file in ["experiment.toml", "journal.jsonl", "lock"] {
        fs::write(parent.path().join(file), "").expect("writes");
    }
    // Another process takes the lock, says so, and is killed.
    let script = "exec 9>lock; flock -n 9 || exit 1; echo held; exec sleep 600";
    let mut other = Command::new("sh")
        .args(["-c", script])
        .current_dir(parent.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut said = String::new();
    let out = other.stdout.take().expect("is piped");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut said).expect("reads");
    assert_eq!(said, "held\n");
    assert!(matches!(RunFolder::open(parent.path()), Err(FolderError::Locked { .. })));
    other.kill().expect("kills");
    other.wait().expect("ends");
    RunFolder::open(parent.path()).expect("opens");
}

#[test]
fn each_epoch_is_one_more_and_survives_reopening() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = RunFolder::create_at(parent.path()).expect("creates");
    let next = |folder: &RunFolder| folder.next_epoch(&LocalDisk).expect("takes").epoch();
    assert_eq!((next(&folder), next(&folder)), (1, 2));
    fs::write(folder.experiment(), "").expect("writes");
    fs::write(folder.journal(), "").expect("writes");
    drop(folder);
    let folder = RunFolder::open(parent.path()).expect("opens");
    assert_eq!(next(&folder), 3);
    fs::write(parent.path().join("epoch"), "x").expect("writes");
    assert!(matches!(folder.next_epoch(&LocalDisk), Err(FolderError::Epoch { .. })));
}

#[test]
fn a_coordinator_that_has_lost_its_lock_is_fenced_by_the_next_epoch() {
    let parent = tempfile::tempdir().expect("a folder");
    let first = RunFolder::create_at(parent.path()).expect("creates");
    fs::write(first.experiment(), "").expect("writes");
    fs::write(first.journal(), "").expect("writes");
    let fence = first.next_epoch(&LocalDisk).expect("takes");
    fence.check().expect("is the last");
    fs::remove_file(parent.path().join("lock")).expect("removes");
    let second = RunFolder::open(parent.path()).expect("opens, though the first is there");
    fence.check().expect("is the last still");
    let later = second.next_epoch(&LocalDisk).expect("takes");
    let fenced = fence.check().expect_err("is not any more").to_string();
    assert!(fenced.contains("a coordinator of epoch 2 has taken the run up"), "{fenced}");
    later.check().expect("is the last");
}

#[test]
fn a_folder_in_which_a_run_had_not_begun_can_be_used_again() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = RunFolder::create_again(parent.path()).expect("creates");
    folder.next_epoch(&LocalDisk).expect("takes");
    folder.write_experiment(&LocalDisk, "name = \"x\"\n").expect("writes");
    drop(folder);
    fs::write(parent.path().join(".experiment.toml.new"), "na").expect("writes");
    assert!(!RunFolder::has_run(parent.path()));
    drop(RunFolder::create_again(parent.path()).expect("takes it again"));
    fs::write(parent.path().join("journal.jsonl"), "").expect("writes");
    assert!(RunFolder::has_run(parent.path()));
    assert!(
        matches!(RunFolder::create_again(parent.path()), Err(FolderError::NotEmpty { .. })),
        "there is a run in it"
    );
}
