//! Whole runs of the real state machine, journal and checkpoints with simulated workers, network,
//! disk and time. Other things go wrong in each of 10,000 seeds. `SIMULATION_SEED=n` replays one.

#![allow(clippy::print_stdout)] // a summary of what happened in all seeds

#[path = "simulation/dice.rs"]
mod dice;
mod faulty_disk;
#[path = "simulation/model.rs"]
mod model;
#[path = "simulation/shell.rs"]
mod shell;
#[path = "simulation/tally.rs"]
mod tally;
#[path = "simulation/world.rs"]
mod world;

use std::path::Path;

use shell::Mutation;
use tally::Tally;
use world::{Violation, World};

const SEEDS: u64 = 10_000;
/// A mistake has to be found in this many seeds.
const MUTATION_SEEDS: u64 = 3_000;

fn simulate(seed: u64, mutation: Option<Mutation>, folder: &Path) -> Result<Tally, Violation> {
    let path = folder.join(seed.to_string());
    let outcome = World::new(seed, mutation, path.clone()).run();
    let _ = std::fs::remove_dir_all(path);
    outcome
}

/// Every second seed from `first`: what happened, and which failed.
fn simulate_half(first: u64, folder: &Path) -> (Tally, Vec<(u64, Violation)>) {
    let (mut tally, mut failed) = (Tally::default(), Vec::new());
    for seed in (first..SEEDS).step_by(2) {
        match simulate(seed, None, folder) {
            Ok(happened) => tally = tally.plus(happened),
            Err(violation) => failed.push((seed, violation)),
        }
    }
    (tally, failed)
}

/// A temporary folder, in memory if possible.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

#[test]
fn whatever_goes_wrong_the_run_ends_in_the_bits_of_the_quiet_run() {
    let folder = folder();
    if let Ok(seed) = std::env::var("SIMULATION_SEED") {
        let seed = seed.parse().expect("SIMULATION_SEED is a whole number");
        let outcome = simulate(seed, None, folder.path());
        let tally = outcome.unwrap_or_else(|violation| panic!("seed {seed}: {violation:?}"));
        return println!("seed {seed}: {tally:?}");
    }
    let ((tally, mut failed), (other, more)) = std::thread::scope(|scope| {
        let odd = scope.spawn(|| simulate_half(1, folder.path()));
        (simulate_half(0, folder.path()), odd.join().expect("does not panic"))
    });
    failed.extend(more);
    let tally = tally.plus(other);
    println!("{SEEDS} seeds: {tally:?}");
    assert!(failed.is_empty(), "{} of {SEEDS} seeds; the first: {:?}", failed.len(), &failed[..failed.len().min(5)]);
    assert!(tally.least() > 1000, "something hardly ever happens: {tally:?}");
    assert!(tally.best_owed > 50, "the disk hardly ever lacks room for the best: {tally:?}");
}

fn is_found(mutation: Mutation) -> Violation {
    let folder = folder();
    let found = (0..MUTATION_SEEDS).find_map(|seed| simulate(seed, Some(mutation), folder.path()).err());
    found.unwrap_or_else(|| panic!("{mutation:?} is not found in {MUTATION_SEEDS} seeds"))
}

#[test]
fn a_result_that_is_counted_twice_is_found() {
    is_found(Mutation::CountDropped);
}

#[test]
fn sums_in_the_order_of_arrival_are_found() {
    let Violation(what) = is_found(Mutation::AddAsTheyCome);
    assert!(what.contains("other bits") || what.contains(" and not "), "{what}");
}

#[test]
fn a_sync_that_is_left_out_is_found() {
    is_found(Mutation::SkipSync);
}

#[test]
fn a_message_for_a_coordinator_that_was_replaced_is_found_where_it_counts() {
    is_found(Mutation::AcceptOtherEpochs);
}

#[test]
fn a_state_that_is_missing_in_checkpoints_is_found() {
    is_found(Mutation::ForgetWeighting);
}

#[test]
fn a_best_checkpoint_that_is_forgotten_on_a_full_disk_is_found() {
    let Violation(what) = is_found(Mutation::ForgetBest);
    assert!(what.contains("passed over") || what.contains("as the best"), "{what}");
}

#[test]
fn an_answer_that_is_not_finite_and_is_believed_at_once_is_found() {
    is_found(Mutation::BelieveNotFinite);
}
