//! Who gets which part of a step.

use super::*;

#[test]
fn microbatches_are_divided_evenly_into_nodes() {
    let workers: Vec<WorkerId> = (1..=3).map(WorkerId).collect();
    let ranges = |microbatches| {
        divide(&settings(microbatches, 1), &workers).into_iter().map(|share| share.range).collect::<Vec<_>>()
    };
    assert_eq!(ranges(8), [0..3, 3..5, 5..8]);
    assert_eq!(ranges(2).len(), 2);
}

#[test]
fn microbatches_of_feeds_are_divided_by_cost_so_that_a_worker_has_few_feeds() {
    let workers: Vec<WorkerId> = (1..=2).map(WorkerId).collect();
    let settings = Settings { mode: per_task(false), ..settings(4, 1) };
    let share = |worker, feed, range| WorkerShare { worker: workers[worker], feed: Some(feed), range };
    assert_eq!(divide(&settings, &workers), [share(0, 0, 0..3), share(1, 0, 3..4), share(1, 1, 0..4)]);
    let many: Vec<WorkerId> = (1..=7).map(WorkerId).collect();
    let microbatches: u32 = divide(&settings, &many).iter().map(|share| share.range.end - share.range.start).sum();
    assert_eq!(microbatches, 8);
}

#[test]
fn no_worker_gets_the_root_if_halves_are_needed() {
    let mut theatre = Theatre::new(Settings { mode: per_task(true), ..settings(4, 1) });
    theatre.join(1);
    let nodes: Vec<(u32, u32)> = theatre.held.values().map(|(_, a)| (a.job.node.lo, a.job.node.hi)).collect();
    assert_eq!(nodes, [(0, 2), (2, 4), (0, 2), (2, 4)]);
    let slots: Vec<usize> = theatre.held.values().map(|(_, assignment)| assignment.slots.len()).collect();
    assert_eq!(slots, [2, 0, 0, 0], "two vectors take both slots, the others travel in chunks");
}

#[test]
fn with_one_vector_per_microbatch_each_is_a_piece_of_work_and_speed_does_not_count() {
    let mut theatre = Theatre::new(Settings { one_vector_per_microbatch: true, ..settings(40, 4) });
    theatre.join(1);
    theatre.join(2);
    // The first worker got all of the first step, in pieces.
    assert_eq!(theatre.held.len(), 16);
    theatre.answer_step();
    for _ in 0..2 {
        let mut answered = [0, 0];
        let step = theatre.run.done();
        while theatre.run.done() == step {
            let (work, worker, node) =
                theatre.held.iter().map(|(work, (w, a))| (*work, w.0, a.job.node)).next().unwrap();
            assert_eq!(node.len(), 1);
            answered[worker as usize - 1] += 1;
            // The second worker is slow.
            theatre.now += Duration::from_millis(if worker == 1 { 1 } else { 50 });
            theatre.answer(work);
        }
        theatre.answer_evaluation();
        assert_eq!(answered, [20, 20]);
    }
}

#[test]
fn task_gradients_are_divided_as_the_update_is() {
    let mut theatre = Theatre::new(Settings { min_workers: 2, task_gradients: measuring(1), ..settings(4, 1) });
    (1..=2).for_each(|worker| theatre.join(worker));
    let held = |theatre: &Theatre| -> Vec<(u64, JobKind, (u32, u32))> {
        let jobs = theatre.held.values().map(|(worker, a)| (worker.0, a.job.kind, (a.job.node.lo, a.job.node.hi)));
        jobs.collect()
    };
    let of = |feed| JobKind::TaskGradients { feed };
    let first = [(1, of(0), (0, 2)), (1, of(1), (0, 2)), (2, of(0), (2, 4)), (2, of(1), (2, 4))];
    assert_eq!(held(&theatre), first);
    (1..=4).for_each(|work| theatre.answer(work));
    let update = JobKind::Gradient { feed: None };
    assert_eq!(held(&theatre), [(1, update, (0, 2)), (2, update, (2, 4))]);
}

#[test]
fn too_few_workers_are_waited_for() {
    let mut theatre = Theatre::new(Settings { min_workers: 2, ..settings(4, 1) });
    theatre.join(1);
    assert!(theatre.held.is_empty());
    theatre.join(2);
    assert_eq!(theatre.held.len(), 2);
}

#[test]
fn more_workers_than_microbatches_leave_some_idle_and_say_so() {
    let mut theatre = Theatre::new(Settings { min_workers: 3, ..settings(2, 1) });
    (1..=3).for_each(|worker| theatre.join(worker));
    assert_eq!(theatre.held.len(), 2);
    assert!(theatre.notices.contains(&Notice::Idle { idle: 1 }));
}
