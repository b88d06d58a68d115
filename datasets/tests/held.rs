//! What a worker holds while workers come and go.

mod support;

use datasets::Store;
use support::{Case, experiment, table};

const MICROBATCHES: u32 = 8;
/// The number of steps between two changes. Unused partitions are kept for fewer steps.
const STEPS: u64 = 120;

#[test]
fn twenty_changes_of_workers_leave_at_most_two_divisions_in_memory() {
    let case = Case::new(&[("t.csv", &table(4000))]);
    let prepared = case.prepare(&format!("{}[train]\nmicrobatches = {MICROBATCHES}\n", experiment("")));
    let store = case.store(&prepared);
    let others = Store::open(prepared.plan.clone(), case.path()).expect("opened");
    let whole: u64 =
        (0..MICROBATCHES).map(|v| prepared.plan.partition_rows(0, v)).sum::<u64>() * prepared.plan.row_bytes(0);
    let share = whole / u64::from(MICROBATCHES / 2);
    let mut step = 0;
    for change in 0..20 {
        let first = change * 3 % MICROBATCHES;
        let own = [first, (first + 1) % MICROBATCHES];
        for _ in 0..STEPS {
            store.forget_unused(step);
            for v in own {
                let batch = store.batch(0, step, v).expect("drawn");
                assert!(
                    step % 40 != 0 || batch == others.batch(0, step, v).expect("drawn"),
                    "other rows in step {step}"
                );
            }
            assert!(store.resident_bytes() <= 2 * share + share / 10, "step {step}: {}", store.resident_bytes());
            step += 1;
        }
        let mut held: Vec<u32> = store.loaded().iter().map(|(_, v)| *v).collect();
        held.sort_unstable();
        let mut expected = own.to_vec();
        expected.sort_unstable();
        assert_eq!(held, expected, "change {change}");
    }
    assert!(others.resident_bytes() > 3 * share, "without forgetting nearly all rows stay");
}

#[test]
fn partitions_that_were_loaded_before_the_first_step_are_not_dropped_by_it() {
    let case = Case::new(&[("t.csv", &table(400))]);
    let prepared = case.prepare(&experiment(""));
    let store = case.store(&prepared);
    store.load_partitions(0, 0..2).expect("loaded");
    store.forget_unused(10_000);
    assert_eq!(store.loaded(), [(0, 0), (0, 1)]);
    store.forget_unused(20_000);
    assert_eq!(store.loaded(), []);
}
