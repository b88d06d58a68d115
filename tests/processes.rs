//! Signals before a run begins, messages that no one reads, and worker processes whose program is
//! gone or that can't be started.

mod support;

use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit},
};
use serde_json::Value;
use support::{
    Running, bits, children, count, example, journal, kill, report, results, train, trunkline, wait_for, wait_for_step,
};

fn start(command: &mut Command) -> Running {
    Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts"))
}

/// A named pipe as the experiment file. It is read once somebody writes to it.
fn waiting(folder: &Path) -> PathBuf {
    let path = folder.join("digits.toml");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
    path
}

/// The two commands that carry out a run.
fn commands(file: &Path, run: &Path) -> [Command; 2] {
    let mut coordinator = trunkline();
    coordinator.args(["coordinator", "--listen", "127.0.0.1:0", "--run-dir"]).arg(run).arg(file);
    [train(file, run, &[]), coordinator]
}

#[test]
fn a_run_that_is_interrupted_before_it_begins_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, run) = (waiting(folder.path()), folder.path().join("run"));
    for signal in [Signal::TERM, Signal::INT] {
        for mut command in commands(&file, &run) {
            let running = start(&mut command);
            // Opening a pipe waits for the other side to read.
            let _writer = OpenOptions::new().write(true).open(&file).expect("is read");
            kill(running.0.id(), signal);
            let done = running.wait();
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            assert_eq!(done.status.code(), Some(130), "{said}");
            assert!(said.contains("interrupted before the run began"), "{said}");
            assert!(!run.exists());
        }
    }
}

#[test]
fn a_checkpoint_requested_before_a_run_begins_is_written_when_it_begins() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, run) = (waiting(folder.path()), folder.path().join("run"));
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/data/digits.parquet");
    let text = fs::read_to_string(example("digits")).expect("is there");
    let text = text.replace("../datasets/data/digits.parquet", &table.to_string_lossy());
    let more = ["--set", "train.steps=40", "--set", "train.checkpoint.every=1000"];
    let running = start(&mut train(&file, &run, &more));
    let mut writer = OpenOptions::new().write(true).open(&file).expect("is read");
    kill(running.0.id(), Signal::USR1);
    writer.write_all(text.as_bytes()).expect("is written");
    drop(writer);
    report(&running.wait());
    let written =
        journal(&run).into_iter().find(|record| record["kind"] == "checkpoint_written").expect("a checkpoint");
    assert!(written["step"].as_u64().expect("a step") < 40, "{written}");
}

#[test]
fn a_folder_for_temporary_files_whose_path_is_too_long_is_refused_and_no_run_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let long = folder.path().join("x".repeat(100));
    fs::create_dir(&long).expect("is made");
    let run = folder.path().join("run");
    let done = train(&example("digits"), &run, &[]).env("TMPDIR", &long).output().expect("starts");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains("coordinator.sock") && said.contains("set TMPDIR to a folder with a shorter path"), "{said}");
    assert!(!run.exists());
    assert_eq!(fs::read_dir(&long).expect("is there").count(), 0);
}

const LONG: [&str; 4] = ["--set", "train.steps=1500", "--set", "tracking.gramian_every=0"];

#[test]
fn workers_are_replaced_though_the_program_was_replaced_on_the_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("trunkline");
    fs::copy(env!("CARGO_BIN_EXE_trunkline"), &program).expect("is copied");
    let (quiet, run) = (folder.path().join("quiet"), folder.path().join("run"));
    let expected = report(&train(&example("digits"), &quiet, &LONG).output().expect("starts"));
    let mut command = Command::new(&program);
    command.arg("train").arg(example("digits")).args(["--json", "--run-dir"]).arg(&run).args(LONG);
    let running = start(command.env_remove("MLFLOW_TRACKING_URI"));
    wait_for_step(&run, 50);
    let other = folder.path().join("other");
    fs::write(&other, "no program").expect("is written");
    fs::rename(&other, &program).expect("is replaced");
    let [first, _] = children(running.0.id())[..] else { panic!("two workers") };
    kill(first, Signal::KILL);
    wait_for("another worker", || (count(&run, "worker_joined") == 3).then_some(()));
    let named =
        children(running.0.id()).into_iter().filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok());
    assert!(named.collect::<Vec<_>>().iter().all(|name| name == "trunkline\n"));
    let done = report(&running.wait());
    assert_eq!((bits(&expected), results(&quiet)), (bits(&done), results(&run)));
}

/// Limits the number of files that a process may have open, and returns the old limit. `None`: no
/// limit.
fn limit_files(process: &Child, limit: Option<u64>) -> Option<u64> {
    let pid = Pid::from_raw(process.id() as i32).expect("a process");
    let maximum = getrlimit(Resource::Nofile).maximum;
    let before = prlimit(Some(pid), Resource::Nofile, Rlimit { current: limit, maximum });
    before.expect("may be set").current
}

#[test]
fn a_worker_that_can_not_be_started_is_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (quiet, run) = (folder.path().join("quiet"), folder.path().join("run"));
    let expected = report(&train(&example("digits"), &quiet, &LONG).output().expect("starts"));
    let mut running = start(&mut train(&example("digits"), &run, &[&LONG[..], &["--workers", "1"]].concat()));
    wait_for_step(&run, 50);
    let before = limit_files(&running.0, Some(3));
    kill(children(running.0.id())[0], Signal::KILL);
    let mut said = BufReader::new(running.0.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let line = said.find(|line| line.contains("a worker can't be started")).expect("it is said");
    assert!(line.ends_with("another takes its place"), "{line}");
    limit_files(&running.0, before);
    let rest = std::thread::spawn(move || said.for_each(drop));
    let done = report(&running.wait());
    rest.join().expect("reads");
    assert_eq!((bits(&expected), results(&quiet)), (bits(&done), results(&run)));
}

#[test]
fn a_run_whose_messages_nobody_reads_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (quiet, run) = (folder.path().join("quiet"), folder.path().join("run"));
    let expected = report(&train(&example("digits"), &quiet, &LONG).output().expect("starts"));
    let mut running = start(&mut train(&example("digits"), &run, &[&LONG[..], &["--workers", "1"]].concat()));
    // As when the terminal or the ssh session that the run was started from has gone away.
    drop(running.0.stderr.take());
    wait_for_step(&run, 50);
    kill(children(running.0.id())[0], Signal::KILL);
    let done = report(&running.wait());
    assert_eq!((bits(&expected), results(&quiet)), (bits(&done), results(&run)));
}

#[test]
fn a_worker_looks_for_its_coordinator_for_as_long_as_it_says() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    #[expect(clippy::disallowed_methods, reason = "how long the worker takes is what is asked")]
    let began = Instant::now();
    let done =
        trunkline().args(["worker", "--wait", "2", "--coordinator", &closed.to_string()]).output().expect("starts");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("within 2s"), "{said}");
    assert!(began.elapsed() >= Duration::from_millis(1900), "{:?}", began.elapsed());
}

#[test]
fn a_coordinator_that_was_stopped_does_not_dismiss_workers_for_its_own_silence() {
    let folder = tempfile::tempdir().expect("a folder");
    let (quiet, run) = (folder.path().join("quiet"), folder.path().join("run"));
    // There are several ticks between two stops, because two late ticks in a row count as slow.
    let long = [&LONG[..], &["--set", "train.steps=6000"]].concat();
    let expected = report(&train(&example("digits"), &quiet, &long).output().expect("starts"));
    let lease = ["--set", "cluster.lease_ms=1000", "--set", "cluster.heartbeat_ms=100"];
    let running = start(&mut train(&example("digits"), &run, &[&long[..], &lease].concat()));
    for step in [100, 2000, 4000] {
        wait_for_step(&run, step);
        kill(running.0.id(), Signal::STOP);
        // The coordinator is stopped, and heartbeats wait to be read.
        std::thread::sleep(Duration::from_millis(1500));
        kill(running.0.id(), Signal::CONT);
    }
    let done = report(&running.wait());
    assert_eq!((bits(&expected), results(&quiet)), (bits(&done), results(&run)));
    let lost: Vec<Value> = journal(&run).into_iter().filter(|record| record["kind"] == "worker_lost").collect();
    assert_eq!((lost, count(&run, "worker_joined")), (Vec::new(), 2));
}

#[test]
fn a_worker_is_lost_under_the_rank_with_which_it_joined() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let coordinator = support::Coordinator::start(&example("digits"), &run, &["--set", "cluster.min_workers=2"]);
    for number in 1..=2 {
        let worker = coordinator.start_worker(&[]);
        wait_for("a worker", || (count(&run, "worker_joined") == number).then_some(()));
        drop(worker);
        wait_for("a loss", || (count(&run, "worker_lost") == number).then_some(()));
    }
    let records = journal(&run);
    let of_workers =
        |record: &&Value| ["worker_joined", "worker_lost"].contains(&record["kind"].as_str().unwrap_or(""));
    let ranks: Vec<Option<u64>> = records.iter().filter(of_workers).map(|record| record["rank"].as_u64()).collect();
    assert_eq!(ranks, [Some(0); 4]);
}

/// The folders of sockets in a folder for temporary files, with their modes and their sockets'.
fn sockets(temporary: &Path) -> Vec<(PathBuf, u32, Option<u32>)> {
    let mode = |path: &Path| fs::metadata(path).ok().map(|found| found.permissions().mode() & 0o7777);
    let folders = fs::read_dir(temporary).expect("is there").map(|entry| entry.expect("a folder").path());
    let folders = folders.filter(|path| path.is_dir() && path.to_string_lossy().contains("/trunkline-"));
    folders.filter_map(|path| Some((path.clone(), mode(&path)?, mode(&path.join("coordinator.sock"))))).collect()
}

/// `train` with a folder of its own for temporary files. It has begun when this returns.
fn train_in(temporary: &Path, run: &Path, umask: &str) -> Running {
    let train = train(&example("digits"), run, &LONG);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]).arg(train.get_program()).args(train.get_args());
    command.env("TMPDIR", temporary).env_remove("MLFLOW_TRACKING_URI");
    let running = start(&mut command);
    wait_for_step(run, 1);
    running
}

#[test]
fn the_socket_of_train_is_for_its_user_alone_whatever_the_umask() {
    let folder = tempfile::tempdir().expect("a folder");
    for umask in ["022", "002", "000"] {
        let run = folder.path().join(umask);
        let _running = train_in(folder.path(), &run, umask);
        let found = sockets(folder.path());
        assert_eq!(found.len(), 1, "umask {umask}: {found:?}");
        assert_eq!((found[0].1, found[0].2), (0o700, Some(0o600)), "umask {umask}");
        fs::remove_dir_all(&found[0].0).expect("removed");
    }
}

#[test]
fn what_a_killed_train_has_left_is_removed_by_the_next_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (temporary, run) = (folder.path().join("temporary"), |name: &str| folder.path().join(name));
    fs::create_dir(&temporary).expect("a folder");
    drop(train_in(&temporary, &run("killed"), "022"));
    let [(abandoned, ..)] = &sockets(&temporary)[..] else { panic!("it has left its folder") };
    let _alive = train_in(&temporary, &run("alive"), "022");
    let before = sockets(&temporary);
    assert_eq!(before.len(), 2, "a folder that is not old is left alone");
    for (path, ..) in &before {
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        fs::File::open(path).expect("opens").set_modified(old).expect("set");
    }
    let short = ["--set", "train.steps=5"];
    report(&train(&example("digits"), &run("next"), &short).env("TMPDIR", &temporary).output().expect("starts"));
    let after: Vec<PathBuf> = sockets(&temporary).into_iter().map(|(path, ..)| path).collect();
    let alive = before.into_iter().map(|(path, ..)| path).filter(|path| path != abandoned);
    assert_eq!(after, alive.collect::<Vec<_>>());
}

/// Something that accepts connections and never says a word.
fn silence() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    (listener, address)
}

#[test]
fn the_status_of_a_coordinator_that_never_answers_is_an_error_in_time() {
    let (_listener, address) = silence();
    let done = start(trunkline().args(["status", &address])).wait();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("did not answer within 10 s"), "{said}");
}

#[test]
fn a_worker_waits_for_a_coordinator_that_never_answers_no_longer_than_it_says() {
    let (_listener, address) = silence();
    #[expect(clippy::disallowed_methods, reason = "how long the worker takes is what is asked")]
    let began = Instant::now();
    let done = start(trunkline().args(["worker", "--wait", "3", "--coordinator", &address])).wait();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("did not reply within 3s"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
