//! What people ask of a run, and runs that are resumed.

use super::*;

#[test]
fn an_interrupt_while_task_gradients_are_computed_gives_up_the_step() {
    let mut theatre = Theatre::new(Settings { task_gradients: measuring(1), ..settings(4, 9) });
    theatre.join(1);
    assert_eq!(theatre.run.phase(), &Phase::TaskGradients(PhaseWork::Divided));
    theatre.tell(Event::Interrupt);
    assert_eq!((theatre.outcome, theatre.story), (Some(RunOutcome::Interrupted), vec!["save 0".to_owned()]));
}

#[test]
fn an_interrupt_gives_up_the_step_and_saves_what_stands() {
    let mut theatre = Theatre::new(settings(4, 9));
    theatre.join(1);
    theatre.answer(1);
    theatre.tell(Event::Interrupt);
    assert_eq!(theatre.outcome, Some(RunOutcome::Interrupted));
    assert_eq!(theatre.story, ["update 0", "commit 1", "save 1"]);
}

#[test]
fn a_run_that_is_to_end_needs_a_worker_only_for_the_losses_after_its_update() {
    for losses_after in [false, true] {
        let mut run = Run::new(Settings { losses_after, ..settings(2, 9) }, 0);
        let mut tell = |event| {
            run.step(Duration::ZERO, event);
            (*run.phase(), run.ends_without_workers())
        };
        tell(Event::Joined(WorkerId(1)));
        assert_eq!(tell(Event::Ready(WorkerId(1))), (Phase::Gradient(PhaseWork::Divided), false));
        assert_eq!(tell(Event::Result { worker: WorkerId(1), work: 1 }), (Phase::Updating, false));
        assert_eq!(tell(Event::Interrupt), (Phase::Updating, !losses_after));
        if losses_after {
            assert_eq!(
                tell(Event::Updated { step: 0 }),
                (Phase::LossesAfter { work: PhaseWork::Divided, abandoned: None }, false)
            );
            assert_eq!(tell(Event::Result { worker: WorkerId(1), work: 2 }), (Phase::UpdatingWeighting, true));
            assert_eq!(tell(Event::WeightingUpdated { step: 0 }), (Phase::Saving { evaluation_due: false }, true));
        } else {
            assert_eq!(tell(Event::Updated { step: 0 }), (Phase::Saving { evaluation_due: false }, true));
        }
    }
}

/// The story of a run that is resumed from a checkpoint.
fn resumed(settings: Settings, step: u64, evaluation_due: bool) -> Vec<String> {
    let mut theatre = Theatre::of(Run::new(settings, step).resumed(evaluation_due, false));
    theatre.join(1);
    theatre.answer_all();
    assert_eq!(theatre.outcome, Some(RunOutcome::Finished { early: false }));
    theatre.story
}

#[test]
fn a_run_resumed_from_a_checkpoint_tells_the_rest_of_the_story() {
    let mut theatre = Theatre::new(settings(4, 7));
    theatre.join(1);
    theatre.answer_all();
    assert_eq!(theatre.saved.len(), 3);
    for (step, evaluation_due, place) in &theatre.saved {
        let mut rest = resumed(settings(4, 7), *step, *evaluation_due);
        if *step == 7 {
            assert_eq!(rest.remove(0), "save 7", "the shell knows that it is there");
        }
        assert_eq!(rest, theatre.story[*place..], "from step {step}");
    }
}

#[test]
fn an_evaluation_that_an_interrupt_gave_up_is_repeated() {
    let mut theatre = Theatre::new(settings(1, 4));
    theatre.join(1);
    theatre.answer(1);
    theatre.answer(2);
    assert_eq!(theatre.run.phase(), &Phase::Evaluating(Evaluation::Progress));
    theatre.tell(Event::Interrupt);
    assert_eq!(theatre.outcome, Some(RunOutcome::Interrupted));
    assert_eq!(theatre.saved.last().map(|(step, due, _)| (*step, *due)), Some((2, true)));
    let mut told = theatre.story;
    assert_eq!(told.pop().as_deref(), Some("save 2"));
    told.extend(resumed(settings(1, 4), 2, true));
    assert_eq!(told, quiet_story(1, 4));
}

#[test]
fn early_stopping_is_remembered() {
    let mut theatre = Theatre::of(Run::new(settings(1, 9), 4).resumed(false, true));
    theatre.join(1);
    theatre.answer_all();
    assert_eq!(theatre.outcome, Some(RunOutcome::Finished { early: true }));
    assert_eq!(theatre.run.done(), 4);
}

#[test]
fn a_requested_checkpoint_is_written_as_soon_as_the_parameters_are_complete() {
    let mut theatre = Theatre::new(settings(1, 4));
    theatre.tell(Event::Save);
    theatre.join(1);
    theatre.answer(1);
    theatre.tell(Event::Save);
    theatre.answer(2);
    assert_eq!(theatre.run.phase(), &Phase::Evaluating(Evaluation::Progress));
    theatre.tell(Event::Save);
    theatre.answer_all();
    let saved: Vec<(u64, bool)> = theatre.saved.iter().map(|(step, due, _)| (*step, *due)).collect();
    // The evaluation in progress is due if the run is resumed from that checkpoint.
    assert_eq!(saved, [(0, false), (1, false), (2, true), (3, false), (4, false)]);
    theatre.story.retain(|line| !["save 0", "save 1", "save 2"].contains(&line.as_str()));
    assert_eq!(theatre.story, quiet_story(1, 4));
}

/// A run that waits for the losses after its first update.
fn waits_for_losses_after(min_workers: usize) -> Theatre {
    let mut theatre = Theatre::new(Settings { losses_after: true, min_workers, ..settings(2, 9) });
    (1..=2).for_each(|worker| theatre.join(worker));
    while matches!(theatre.run.phase(), Phase::Gradient(_)) {
        let work = *theatre.held.keys().next().unwrap();
        theatre.answer(work);
    }
    assert!(matches!(theatre.run.phase(), Phase::LossesAfter { .. }));
    theatre
}

#[test]
fn an_interrupt_after_the_update_waits_for_its_losses_with_as_many_workers_as_there_are() {
    let mut theatre = waits_for_losses_after(2);
    theatre.kill(2);
    theatre.tell(Event::Interrupt);
    theatre.answer_all();
    assert_eq!(theatre.outcome, Some(RunOutcome::Interrupted));
    assert_eq!(theatre.story, ["update 0", "learn 0", "commit 1", "save 1"]);
}

#[test]
fn an_interrupt_after_the_update_without_workers_for_its_losses_ends_the_run_after_a_lease() {
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
        let Some(RunOutcome::Failed(reason)) = &theatre.outcome else { panic!("{:?}", theatre.outcome) };
        assert_eq!(
            reason,
            "asked to stop in step 0, which can't be ended: no worker is there to compute the losses after the update"
        );
        assert_eq!(theatre.story, ["update 0"]);
    }
}

#[test]
fn a_checkpoint_requested_while_an_evaluation_waits_for_workers_is_written_at_once() {
    let mut theatre = Theatre::new(settings(1, 4));
    theatre.join(1);
    theatre.answer(1);
    theatre.answer(2);
    theatre.kill(1);
    assert_eq!(theatre.run.phase(), &Phase::Evaluating(Evaluation::Progress));
    theatre.tell(Event::Save);
    assert_eq!(theatre.saved.last().map(|(step, due, _)| (*step, *due)), Some((2, true)));
    // A run that is resumed from there has the same end.
    let mut told = theatre.story.clone();
    assert_eq!(told.pop().as_deref(), Some("save 2"));
    told.extend(resumed(settings(1, 4), 2, true));
    assert_eq!(told, quiet_story(1, 4));
    theatre.join(2);
    theatre.answer_all();
    assert_eq!(theatre.outcome, Some(RunOutcome::Finished { early: false }));
}
