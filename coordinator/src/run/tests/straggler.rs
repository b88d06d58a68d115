//! Workers that are slow.

use super::*;

/// Two workers at the beginning of the third step. The second has answered.
fn one_waits_for_the_other() -> Theatre {
    let mut theatre = Theatre::new(Settings { evaluate_every: None, ..settings(4, 9) });
    (1..=2).for_each(|worker| theatre.join(worker));
    // The first step was divided when only one worker was there.
    theatre.answer_step();
    theatre.answer_step();
    let work = *theatre.held.iter().find(|(_, (worker, _))| *worker == WorkerId(2)).map(|(work, _)| work).unwrap();
    theatre.answer(work);
    theatre
}

#[test]
fn late_work_goes_to_an_idle_worker_too_and_the_first_answer_counts() {
    for first in [WorkerId(1), WorkerId(2)] {
        let mut theatre = one_waits_for_the_other();
        theatre.pass(4 * USUAL_MS);
        assert_eq!(theatre.held.len(), 2, "not late yet, or handed out already: {:?}", theatre.held);
        let jobs: Vec<&WorkerJob> = theatre.held.values().map(|(_, assignment)| &assignment.job).collect();
        assert_eq!(jobs[0], jobs[1]);
        let work = |theatre: &Theatre, id| *theatre.held.iter().find(|(_, (worker, _))| *worker == id).unwrap().0;
        let (counts, late) = (work(&theatre, first), work(&theatre, WorkerId(3 - first.0)));
        theatre.answer(counts);
        assert!(theatre.story.contains(&"commit 3".to_owned()));
        let other = WorkerId(3 - first.0);
        let effects = theatre.run.step(theatre.now, Event::Result { worker: other, work: late });
        assert_eq!(effects[0], Effect::Drop { worker: other, work: late });
    }
}

#[test]
fn work_that_takes_its_usual_time_is_not_late() {
    let mut theatre = one_waits_for_the_other();
    theatre.pass(2 * USUAL_MS);
    assert_eq!(theatre.held.len(), 1);
}

#[test]
fn a_straggler_that_dies_leaves_nothing_to_be_done_twice() {
    let mut theatre = one_waits_for_the_other();
    theatre.pass(4 * USUAL_MS);
    theatre.kill(1);
    assert_eq!(theatre.held.len(), 1);
    theatre.answer_all();
    assert_eq!(theatre.outcome, Some(RunOutcome::Finished { early: false }));
}

#[test]
fn late_work_does_not_go_to_a_worker_that_failed_at_it() {
    let mut theatre = Theatre::new(Settings { evaluate_every: None, ..settings(1, 9) });
    (1..=2).for_each(|worker| theatre.join(worker));
    theatre.answer_step();
    let (work, (failed, _)) = theatre.held.first_key_value().map(|(work, held)| (*work, held.clone())).unwrap();
    theatre.fail(work);
    theatre.pass(9 * USUAL_MS);
    let holders: Vec<WorkerId> = theatre.held.values().map(|(worker, _)| *worker).collect();
    assert_eq!(holders, [WorkerId(3 - failed.0)]);
}

/// Lets workers compute, one piece after the other, a microbatch in so many milliseconds; answers
/// how long the steps took, and the most pieces that each held.
fn play(theatre: &mut Theatre, unit_ms: &BTreeMap<WorkerId, u64>) -> (Vec<u64>, BTreeMap<WorkerId, usize>) {
    let mut busy: BTreeMap<WorkerId, (u64, Duration)> = BTreeMap::new();
    let (mut took, mut began, mut held_max) = (Vec::new(), theatre.now, BTreeMap::new());
    while theatre.outcome.is_none() {
        for (worker, unit_ms) in unit_ms {
            if let Some((work, _)) = busy.get(worker).copied().filter(|(_, done)| *done <= theatre.now) {
                busy.remove(worker);
                theatre.answer(work);
            }
            let mut held = theatre.held.iter().filter(|(_, (holder, _))| holder == worker);
            let count = held.clone().count();
            held_max.entry(*worker).and_modify(|most: &mut usize| *most = count.max(*most)).or_insert(count);
            if !busy.contains_key(worker)
                && let Some((work, (_, assignment))) = held.next()
            {
                let takes = Duration::from_millis(unit_ms * u64::from(assignment.job.node.len()));
                busy.insert(*worker, (*work, theatre.now + takes));
            }
        }
        if theatre.run.done() > took.len() as u64 {
            took.push((theatre.now - began).as_millis() as u64);
            began = theatre.now;
        }
        theatre.pass(10);
    }
    (took, held_max)
}

#[test]
fn a_much_slower_worker_is_measured_and_delays_no_step() {
    let endless = Settings { evaluate_every: None, min_workers: 2, ..settings(4, 40) };
    for slow in [1, 2] {
        let mut theatre = Theatre::new(Settings { chunks: Vec::new(), ..endless.clone() });
        (1..=2).for_each(|worker| theatre.join(worker));
        let unit_ms = (1..=2).map(|worker| (WorkerId(worker), if worker == slow { 1000 } else { 100 })).collect();
        let (took, held_max) = play(&mut theatre, &unit_ms);
        // The fast worker alone takes 400 ms.
        assert!(took[20..].iter().all(|took| *took <= 450), "{took:?}");
        assert!(took.iter().sum::<u64>() < 40 * 500, "{took:?}");
        assert_eq!(held_max[&WorkerId(slow)], 1, "its work piles up");
    }
}

#[test]
fn a_worker_gets_work_again_once_it_has_answered_what_others_were_asked_for_too() {
    let mut theatre = one_waits_for_the_other();
    theatre.pass(4 * USUAL_MS);
    let of = |theatre: &Theatre, id| {
        theatre
            .held
            .iter()
            .filter(|(_, (worker, _))| *worker == WorkerId(id))
            .map(|(work, _)| *work)
            .collect::<Vec<_>>()
    };
    let late = of(&theatre, 1);
    let helps = of(&theatre, 2);
    theatre.answer(helps[0]);
    assert_eq!(theatre.run.done(), 3);
    assert_eq!(of(&theatre, 1), late);
    theatre.answer(late[0]);
    theatre.answer_step();
    assert_eq!(of(&theatre, 1).len(), 1);
}
