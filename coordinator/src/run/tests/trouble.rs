//! Workers that fail, that are slow, and that are gone when the run is asked to stop.

use super::*;

#[test]
fn a_worker_that_fails_at_everything_does_not_end_the_run_while_another_is_there() {
    for bad in [1, 2] {
        let mut theatre = Theatre::new(settings(4, 4));
        (1..=2).for_each(|worker| theatre.join(worker));
        while let Some((work, (worker, _))) = theatre.held.first_key_value() {
            let (work, is_bad) = (*work, worker.0 == bad);
            if is_bad { theatre.fail(work) } else { theatre.answer(work) }
        }
        assert_eq!(theatre.outcome, Some(Outcome::Finished { early: false }), "worker {bad} fails");
        assert_eq!(theatre.story, quiet_story(4, 4));
    }
}

#[test]
fn work_that_fails_is_tried_by_one_worker_after_the_other() {
    let mut theatre = Theatre::new(settings(1, 1));
    (1..=4).for_each(|worker| theatre.join(worker));
    let mut tried = Vec::new();
    while let Some((work, (worker, _))) = theatre.held.first_key_value() {
        tried.push(worker.0);
        let work = *work;
        theatre.fail(work);
    }
    assert_eq!(tried, [1, 2, 3]);
    assert!(matches!(theatre.outcome, Some(Outcome::Failed(_))));
}

#[test]
fn what_is_late_does_not_go_to_a_worker_that_has_failed_at_it() {
    let mut theatre = Theatre::new(Settings { evaluate_every: None, ..settings(1, 9) });
    (1..=2).for_each(|worker| theatre.join(worker));
    theatre.answer_step();
    let (work, (failed, _)) = theatre.held.first_key_value().map(|(work, held)| (*work, held.clone())).unwrap();
    theatre.fail(work);
    theatre.pass(9 * USUAL_MS);
    let holders: Vec<WorkerId> = theatre.held.values().map(|(worker, _)| *worker).collect();
    assert_eq!(holders, [WorkerId(3 - failed.0)]);
}

/// Lets workers compute, one piece after the other, a microbatch in so many milliseconds; answers how long the steps took, and the most
/// pieces that each held.
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
fn a_worker_that_is_much_slower_is_found_out_and_holds_nobody_up() {
    let endless = Settings { evaluate_every: None, min_workers: 2, ..settings(4, 40) };
    for slow in [1, 2] {
        let mut theatre = Theatre::new(Settings { chunks: Vec::new(), ..endless.clone() });
        (1..=2).for_each(|worker| theatre.join(worker));
        let unit_ms = (1..=2).map(|worker| (WorkerId(worker), if worker == slow { 1000 } else { 100 })).collect();
        let (took, held_max) = play(&mut theatre, &unit_ms);
        // The quick one alone takes 400 ms.
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

/// A run whose first step is updated, and waits for the losses after it.
fn waits_for_losses_after(min_workers: usize) -> Theatre {
    let mut theatre = Theatre::new(Settings { losses_after: true, min_workers, ..settings(2, 9) });
    (1..=2).for_each(|worker| theatre.join(worker));
    while theatre.run.phase() == &Phase::Gradient {
        let work = *theatre.held.keys().next().unwrap();
        theatre.answer(work);
    }
    assert_eq!(theatre.run.phase(), &Phase::LossesAfter);
    theatre
}

#[test]
fn an_interrupt_after_the_update_waits_for_its_losses_with_as_many_workers_as_there_are() {
    let mut theatre = waits_for_losses_after(2);
    theatre.kill(2);
    theatre.tell(Event::Interrupt);
    theatre.answer_all();
    assert_eq!(theatre.outcome, Some(Outcome::Interrupted));
    assert_eq!(theatre.story, ["update 0", "learn 0", "commit 1", "save 1"]);
}

#[test]
fn an_interrupt_after_the_update_with_nobody_to_ask_for_its_losses_ends_the_run_after_a_lease() {
    for before in [true, false] {
        let mut theatre = waits_for_losses_after(1);
        if before {
            theatre.tell(Event::Interrupt);
        }
        (1..=2).for_each(|worker| theatre.kill(worker));
        if !before {
            theatre.tell(Event::Interrupt);
        }
        theatre.pass(50);
        theatre.pass(4900);
        assert_eq!(theatre.outcome, None, "one may come back");
        theatre.pass(200);
        let Some(Outcome::Failed(reason)) = &theatre.outcome else { panic!("{:?}", theatre.outcome) };
        assert_eq!(
            reason,
            "asked to stop in step 0, which can't be ended: no worker is there to compute the losses after the update"
        );
        assert_eq!(theatre.story, ["update 0"]);
    }
}
