//! Two hundred kills: a random worker every half second, in one run after the other. Each run gives
//! the bits and results of an undisturbed run.

mod support;

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use aggregation::random::{Purpose, Stream};
use rustix::process::{Pid, Signal};
use support::{Recovery, Running, bits, children, example, is_alive, last_step, report, results, train, wait_at_most};

const KILLS: u64 = 200;
const RHYTHM: Duration = Duration::from_millis(500);
/// Enough steps for some seconds.
const LONG: [&str; 6] =
    ["--set", "train.steps=3000", "--set", "train.evaluate_every=200", "--set", "model.trunk.hidden=[512, 256]"];

#[test]
fn two_hundred_kills_one_every_half_second_change_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let quiet = folder.path().join("quiet");
    let expected = report(&train(&example("digits"), &quiet, &LONG).output().expect("starts"));
    let expected = (bits(&expected), results(&quiet));
    let draws = Stream::new(200, Purpose::Shuffle, &[]);
    let mut recovery = Recovery::of("a random worker killed every half second, to the next step");
    let (mut kills, mut runs) = (0, 0);
    #[expect(clippy::disallowed_methods, reason = "the rhythm of the kills")]
    let mut next = Instant::now();
    while kills < KILLS {
        let run = folder.path().join(format!("run-{runs}"));
        let mut command = train(&example("digits"), &run, &LONG);
        let mut running = Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts"));
        let coordinator = running.0.id();
        let mut has_ended = || running.0.try_wait().expect("can be asked").is_some();
        while kills < KILLS && !has_ended() {
            next += RHYTHM;
            #[expect(clippy::disallowed_methods, reason = "the rhythm of the kills")]
            let wait = next.saturating_duration_since(Instant::now());
            // The run may end before the next kill is due.
            if wait_at_most(wait, || has_ended().then_some(())).is_some() {
                break;
            }
            let workers: Vec<u32> = children(coordinator).into_iter().filter(|worker| is_alive(*worker)).collect();
            let Some(victim) = workers.get(draws.u32_at(kills) as usize % workers.len().max(1)) else { continue };
            let before = last_step(&run);
            let pid = Pid::from_raw(*victim as i32).expect("a process");
            // The worker may have ended with the run just before the kill.
            if rustix::process::kill_process(pid, Signal::KILL).is_err() {
                continue;
            }
            kills += 1;
            recovery.wait_for("a step, or the end", || (last_step(&run) > before || has_ended()).then_some(()));
        }
        let done = wait_at_most(Duration::from_secs(120), || running.0.try_wait().expect("can be asked"));
        assert!(done.is_some(), "run {runs} does not end");
        let done = report(&running.wait());
        assert_eq!((&expected.0, &expected.1), (&bits(&done), &results(&run)), "run {runs}");
        std::fs::remove_dir_all(&run).expect("removes");
        runs += 1;
    }
    eprintln!("{kills} kills in {runs} runs");
}
