//! Workers that are lost, fall silent or fail.

use super::*;

#[test]
fn a_worker_lost_in_mid_step_leaves_its_nodes_to_the_others() {
    let mut theatre = Theatre::new(settings(4, 2));
    theatre.join(1);
    theatre.answer(1);
    theatre.join(2);
    theatre.answer_all();
    assert_eq!(theatre.story, quiet_story(4, 2));

    let mut theatre = Theatre::new(settings(4, 2));
    theatre.tell(Event::Joined(WorkerId(2)));
    theatre.join(1);
    theatre.tell(Event::Ready(WorkerId(2)));
    theatre.kill(1);
    assert!(theatre.held.values().all(|(worker, _)| *worker == WorkerId(2)));
    theatre.answer_all();
    assert_eq!(theatre.story, quiet_story(4, 2));
    assert!(theatre.notices.iter().any(|n| matches!(n, Notice::WorkerLost { reissued: 1, .. })));
}

#[test]
fn the_last_worker_lost_makes_the_run_wait_for_the_next() {
    let mut theatre = Theatre::new(settings(4, 2));
    theatre.join(1);
    theatre.kill(1);
    assert!(theatre.notices.iter().any(|n| matches!(n, Notice::Waiting { workers: 0, needed: 1 })));
    theatre.join(2);
    theatre.answer_all();
    assert_eq!(theatre.story, quiet_story(4, 2));
}

#[test]
fn a_result_that_nobody_waits_for_is_dropped() {
    let mut theatre = Theatre::new(settings(4, 2));
    theatre.join(1);
    let late = *theatre.held.keys().next().unwrap();
    theatre.kill(1);
    theatre.join(2);
    let effects = theatre.run.step(theatre.now, Event::Result { worker: WorkerId(1), work: late });
    assert_eq!(effects, [Effect::Drop { worker: WorkerId(1), work: late }]);
    let stolen = *theatre.held.keys().next().unwrap();
    let effects = theatre.run.step(theatre.now, Event::Result { worker: WorkerId(7), work: stolen });
    assert_eq!(effects, [Effect::Drop { worker: WorkerId(7), work: stolen }]);
}

#[test]
fn a_silent_worker_is_dismissed_after_the_lease_and_not_before() {
    let mut theatre = Theatre::new(settings(4, 2));
    theatre.join(1);
    theatre.now = Duration::from_secs(5);
    theatre.tell(Event::Tick);
    assert_eq!(theatre.run.ready().count(), 1);
    theatre.now = Duration::from_millis(5001);
    theatre.tell(Event::Tick);
    assert_eq!(theatre.run.ready().count(), 0);
}

#[test]
fn a_worker_that_never_answers_is_dismissed_and_the_next_does_its_work() {
    let mut theatre = Theatre::new(settings(4, 3));
    theatre.join(1);
    theatre.answer_step();
    // The limit is four leases and twenty times the usual 200 ms for all its work. Heartbeats go
    // on.
    (0..22).for_each(|_| theatre.pass(1000));
    assert_eq!(theatre.run.ready().count(), 1, "too soon");
    (0..6).for_each(|_| theatre.pass(1000));
    assert_eq!(theatre.run.ready().count(), 0);
    let lost = theatre.notices.iter().find_map(|notice| match notice {
        Notice::WorkerLost { departure, reissued, .. } => Some((departure.clone(), *reissued)),
        _ => None,
    });
    assert!(matches!(lost, Some((Departure::Unanswered(_), 1))), "{lost:?}");
    theatre.join(2);
    theatre.answer_all();
    assert_eq!(theatre.story, quiet_story(4, 3));
}

#[test]
fn work_that_fails_three_times_ends_the_run_and_is_named() {
    let mut theatre = Theatre::new(settings(2, 1));
    theatre.join(1);
    for _ in 0..3 {
        let (work, (worker, _)) = theatre.held.pop_first().unwrap();
        theatre.tell(Event::Failed { worker, work, reason: "no memory".into() });
    }
    let Some(RunOutcome::Failed(reason)) = theatre.outcome else { panic!("still running") };
    assert_eq!(reason, "the gradient of microbatches [0, 2) failed 3 times, the last time with: no memory");
}

#[test]
fn work_whose_workers_die_three_times_ends_the_run_and_is_named() {
    let mut theatre = Theatre::new(settings(4, 1));
    (1..=2).for_each(|worker| theatre.join(worker));
    for worker in 2..5 {
        theatre.kill(1);
        theatre.kill(worker);
        theatre.join(worker + 1);
    }
    let Some(RunOutcome::Failed(reason)) = theatre.outcome else { panic!("still running") };
    assert_eq!(
        reason,
        "3 workers in a row failed or were lost while they computed the gradient of microbatches [0, 4)"
    );
}

#[test]
fn a_worker_that_fails_at_everything_does_not_end_the_run_while_another_is_there() {
    for bad in [1, 2] {
        let mut theatre = Theatre::new(settings(4, 4));
        (1..=2).for_each(|worker| theatre.join(worker));
        while let Some((work, (worker, _))) = theatre.held.first_key_value() {
            let (work, is_bad) = (*work, worker.0 == bad);
            if is_bad { theatre.fail(work) } else { theatre.answer(work) }
        }
        assert_eq!(theatre.outcome, Some(RunOutcome::Finished { early: false }), "worker {bad} fails");
        assert_eq!(theatre.story, quiet_story(4, 4));
    }
}

#[test]
fn work_that_fails_is_tried_by_one_worker_after_the_other_until_all_have_failed() {
    let mut theatre = Theatre::new(settings(1, 1));
    (1..=4).for_each(|worker| theatre.join(worker));
    let mut tried = Vec::new();
    while let Some((work, (worker, _))) = theatre.held.first_key_value() {
        tried.push(worker.0);
        let work = *work;
        theatre.fail(work);
    }
    assert_eq!(tried, [1, 2, 3, 4]);
    assert!(matches!(theatre.outcome, Some(RunOutcome::Failed(_))));
}

/// The next piece of work with its worker. Workers that are bad are quicker than all others.
fn next_work(theatre: &Theatre, is_bad: impl Fn(u64) -> bool) -> Option<(u64, u64)> {
    let held = |bad: bool| theatre.held.iter().find(|(_, (worker, _))| is_bad(worker.0) == bad);
    held(true).or_else(|| held(false)).map(|(work, (worker, _))| (*work, worker.0))
}

#[test]
fn one_participant_with_many_streams_that_fail_ends_no_run_that_others_can_do() {
    for streams in 1..=6 {
        let mut theatre = Theatre::new(settings(8, 12));
        // They are there first.
        (1..=streams + 2).for_each(|worker| theatre.join(worker));
        let is_bad = |worker: u64| worker <= streams;
        let mut failures = 0;
        while let Some((work, worker)) = next_work(&theatre, is_bad) {
            failures += u64::from(is_bad(worker));
            if is_bad(worker) { theatre.fail(work) } else { theatre.answer(work) }
        }
        assert_eq!(theatre.outcome, Some(RunOutcome::Finished { early: false }), "{streams} streams");
        assert_eq!(theatre.story, quiet_story(8, 12));
        let aside = theatre.notices.iter().filter(|notice| matches!(notice, Notice::PutAside { .. })).count() as u64;
        // A stream may have more than one piece of work when it is put aside.
        assert!(aside >= streams && (3 * streams..5 * streams).contains(&failures), "{aside}, {failures}");
    }
}

#[test]
fn a_worker_that_was_dismissed_and_is_back_may_do_what_others_failed_at() {
    let mut theatre = Theatre::new(settings(4, 2));
    (1..=4).for_each(|worker| theatre.join(worker));
    while let Some((work, 2..)) = next_work(&theatre, |worker| worker > 1) {
        theatre.fail(work);
    }
    theatre.now += Duration::from_secs(6);
    (2..=4).for_each(|worker| theatre.tell(Event::Beat(WorkerId(worker))));
    theatre.tell(Event::Tick);
    assert_eq!(theatre.run.ready().count(), 3, "the one that fails at nothing is dismissed");
    theatre.join(5);
    while let Some((work, worker)) = next_work(&theatre, |worker| worker < 5) {
        if worker < 5 { theatre.fail(work) } else { theatre.answer(work) }
    }
    assert_eq!(theatre.outcome, Some(RunOutcome::Finished { early: false }));
    assert_eq!(theatre.story, quiet_story(4, 2));
}

#[test]
fn streams_that_join_again_and_again_and_break_end_no_run_that_others_can_do() {
    let mut theatre = Theatre::new(settings(8, 6));
    (1..=5).for_each(|worker| theatre.join(worker));
    let mut last = 5;
    while let Some((work, worker)) = next_work(&theatre, |worker| worker > 2) {
        if worker > 2 {
            theatre.kill(worker);
            last += 1;
            theatre.join(last);
        } else {
            theatre.answer(work);
        }
    }
    assert!(last > 20, "{last} leases");
    assert_eq!(theatre.outcome, Some(RunOutcome::Finished { early: false }));
    assert_eq!(theatre.story, quiet_story(8, 6));
}

#[test]
fn a_worker_that_was_put_aside_is_tried_again_after_a_while() {
    let mut theatre = Theatre::new(settings(8, 1000));
    (1..=2).for_each(|worker| theatre.join(worker));
    let step = |theatre: &mut Theatre| {
        let step = theatre.run.done();
        let mut failures = 0;
        while theatre.run.done() == step || matches!(theatre.run.phase(), Phase::Evaluating(_)) {
            let Some((work, worker)) = next_work(theatre, |worker| worker == 1) else { break };
            failures += u32::from(worker == 1);
            if worker == 1 { theatre.fail(work) } else { theatre.answer(work) }
        }
        failures
    };
    let of_steps = |theatre: &mut Theatre| (0..20).map(|_| step(theatre)).sum::<u32>();
    assert!((3..5).contains(&of_steps(&mut theatre)));
    assert_eq!(of_steps(&mut theatre), 0);
    theatre.now += PUT_ASIDE;
    assert!((1..5).contains(&of_steps(&mut theatre)));
    assert_eq!(of_steps(&mut theatre), 0);
}
