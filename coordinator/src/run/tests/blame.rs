//! Answers that can't be used, and steps that are not finite.

use experiment::SplitName;

use super::*;

const GRADIENT: JobKind = JobKind::Gradient { feed: None };

#[test]
fn a_worker_whose_answer_is_not_finite_is_banned_if_another_answer_is_finite() {
    for bad in [1, 2] {
        let mut theatre = Theatre::new(settings(4, 3));
        theatre.bad.insert(bad);
        theatre.join(1);
        theatre.join(2);
        theatre.join(3);
        theatre.answer_all();
        assert_eq!(theatre.banned, [bad]);
        assert_eq!(theatre.story, quiet_story(4, 3));
        let doubted = theatre.notices.iter().filter(|notice| matches!(notice, Notice::Suspected { .. })).count();
        assert_eq!(doubted, 1, "one piece of work is enough");
    }
}

#[test]
fn several_bad_workers_are_found_one_after_the_other() {
    let mut theatre = Theatre::new(settings(8, 2));
    theatre.bad.extend([1, 3]);
    (1..=5).for_each(|worker| theatre.join(worker));
    // The first suspect job goes to the worker with the least work and the lowest number, which is
    // not the other bad one.
    theatre.answer_all();
    theatre.banned.sort_unstable();
    assert_eq!((theatre.banned.clone(), theatre.story.clone()), (vec![1, 3], quiet_story(8, 2)));
}

#[test]
fn a_step_that_two_workers_find_not_finite_ends_the_run_with_nobody_banned() {
    for workers in 1..=3 {
        let mut theatre = Theatre::new(settings(4, 3));
        theatre.not_finite.insert(1, GRADIENT);
        (1..=workers).for_each(|worker| theatre.join(worker));
        theatre.answer_all();
        assert_eq!(theatre.outcome, Some(RunOutcome::Failed("step 1 is not finite".into())));
        assert!(theatre.banned.is_empty());
    }
}

#[test]
fn suspect_work_does_not_go_to_the_worker_that_answered_it() {
    let mut theatre = Theatre::new(settings(2, 1));
    theatre.bad.insert(1);
    theatre.join(1);
    theatre.join(2);
    theatre.answer_step_until_suspicion();
    let (_, (worker, _)) = theatre.held.first_key_value().unwrap();
    assert_eq!(worker.0, 2);
    // The job is late and the other worker is idle. It is not asked, because its answer is suspect.
    for _ in 0..10 {
        theatre.pass(1000);
    }
    assert!(theatre.held.values().all(|(worker, _)| worker.0 == 2));
    // The second worker dies, so the first one has to be asked.
    theatre.kill(2);
    assert!(theatre.held.values().all(|(worker, _)| worker.0 == 1));
}

#[test]
fn steps_that_are_not_finite_are_skipped_if_the_experiment_says_so() {
    let skipping = Settings { skips_max: Some(2), losses_before: true, losses_after: true, ..settings(4, 6) };
    for kind in [GRADIENT, JobKind::Losses] {
        let mut theatre = Theatre::new(skipping.clone());
        theatre.not_finite = BTreeMap::from([(1, kind), (2, kind), (4, kind)]);
        (1..=3).for_each(|worker| theatre.join(worker));
        theatre.answer_all();
        assert_eq!(theatre.outcome, Some(RunOutcome::Finished { early: false }));
        assert_eq!(theatre.run.skipped(), Skipped { all: 3, in_a_row: 0 });
        assert_eq!(theatre.story, story_with(skipping.clone(), &theatre.not_finite));
        let skips: Vec<&String> = theatre.story.iter().filter(|line| line.starts_with("skip")).collect();
        assert_eq!(skips, ["skip 1", "skip 2", "skip 4"]);
    }
}

#[test]
fn too_many_skipped_steps_in_a_row_end_the_run() {
    let mut theatre = Theatre::new(Settings { skips_max: Some(2), ..settings(4, 6) });
    theatre.not_finite = (1..5).map(|step| (step, GRADIENT)).collect();
    theatre.join(1);
    theatre.answer_all();
    let Some(RunOutcome::Failed(reason)) = theatre.outcome else { panic!("it ends") };
    assert_eq!(reason, "step 3 is not finite; 2 steps in a row were skipped before it");
    // Skipped steps are counted through a resume too.
    let mut run = Theatre::of(Run::new(settings(4, 6), 2).having_skipped(Skipped { all: 2, in_a_row: 2 }));
    run.run.settings.skips_max = Some(2);
    run.not_finite.insert(2, GRADIENT);
    run.join(1);
    run.answer_all();
    assert!(matches!(run.outcome, Some(RunOutcome::Failed(_))));
}

#[test]
fn an_interrupt_while_an_answer_is_suspect_gives_up_the_step() {
    let mut theatre = Theatre::new(settings(2, 3));
    theatre.bad.insert(1);
    theatre.join(1);
    theatre.join(2);
    theatre.answer_step_until_suspicion();
    theatre.tell(Event::Interrupt);
    assert_eq!(theatre.outcome, Some(RunOutcome::Interrupted));
    assert_eq!(theatre.story, ["save 0"]);
}

/// A run that evaluates with two workers. The first has a part of the work.
fn evaluating() -> Theatre {
    let mut theatre = Theatre::new(settings(2, 3));
    (1..=2).for_each(|worker| theatre.join(worker));
    theatre.answer_step();
    theatre.answer_step();
    assert_eq!(theatre.run.phase(), &Phase::Evaluating(Evaluation::Progress));
    assert!(theatre.held.values().any(|(worker, _)| worker.0 == 1));
    theatre
}

const VALIDATION: JobKind = JobKind::Evaluate { feed: 0, split: SplitName::Validation };

#[test]
fn a_worker_whose_evaluation_is_not_finite_is_banned_if_another_one_is_finite() {
    let mut theatre = evaluating();
    theatre.bad.insert(1);
    theatre.answer_all();
    assert_eq!((theatre.banned, theatre.story), (vec![1], quiet_story(2, 3)));
}

#[test]
fn an_evaluation_counts_if_two_workers_find_it_not_finite() {
    for workers in 1..=3 {
        let mut theatre = Theatre::new(settings(4, 3));
        theatre.not_finite.insert(2, VALIDATION);
        (1..=workers).for_each(|worker| theatre.join(worker));
        theatre.answer_all();
        assert_eq!(theatre.outcome, Some(RunOutcome::Finished { early: false }));
        assert_eq!((theatre.banned, theatre.story), (vec![], quiet_story(4, 3)));
        assert!(theatre.notices.iter().any(|notice| matches!(notice, Notice::Suspected { .. })));
    }
}

#[test]
fn a_worker_that_hides_behind_an_evaluation_that_is_not_finite_is_found_all_the_same() {
    let mut theatre = evaluating();
    theatre.join(3);
    theatre.not_finite.insert(2, JobKind::Evaluate { feed: 1, split: SplitName::Validation });
    theatre.bad.insert(1);
    theatre.answer_all();
    assert_eq!((theatre.banned, theatre.story), (vec![1], quiet_story(2, 3)));
}

#[test]
fn an_interrupt_while_an_evaluation_is_suspect_gives_it_up() {
    let mut theatre = evaluating();
    theatre.bad.insert(1);
    theatre.answer_step_until_suspicion();
    assert_eq!(theatre.run.phase(), &Phase::Evaluating(Evaluation::Progress));
    theatre.tell(Event::Interrupt);
    assert_eq!(theatre.outcome, Some(RunOutcome::Interrupted));
    assert_eq!(theatre.saved.last().map(|(step, due, _)| (*step, *due)), Some((2, true)));
}
