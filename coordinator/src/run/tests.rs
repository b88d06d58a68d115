//! The state machine alone, told stories.

mod doubt;
mod request;
mod trouble;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::prelude::*;

use super::*;

pub(super) fn settings(leaves: u32, steps: u64) -> Settings {
    Settings {
        leaves,
        steps,
        chunks: vec![Chunks { validation: 3, test: 5 }, Chunks { validation: 1, test: 0 }],
        evaluate_every: Some(2),
        save_every: Some(3),
        min_workers: 1,
        lease: Duration::from_secs(5),
        straggler_multiple: 3.0,
        patience_min: Duration::from_millis(100),
        result_slots: 2,
        mode: Mode::Combined,
        task_gradients: None,
        leaves_apart: false,
        losses_before: false,
        losses_after: false,
        tries_max: 3,
        skips_max: None,
    }
}

/// Two feeds with two tasks and one, of which the first costs three times as much.
fn feeds() -> Vec<FeedWork> {
    vec![FeedWork { tasks: 2, cost: 3 }, FeedWork { tasks: 1, cost: 1 }]
}

fn per_task(halves: bool) -> Mode {
    Mode::PerTask { feeds: feeds(), halves }
}

fn measuring(every: u64) -> Option<TaskGradients> {
    Some(TaskGradients { every, feeds: feeds() })
}

/// What a job takes a worker, in milliseconds.
const USUAL_MS: u64 = 200;

/// A shell that answers every effect at once, and workers that hold their work until told to answer.
struct Theatre {
    run: Run,
    now: Duration,
    held: BTreeMap<u64, (WorkerId, Assignment)>,
    /// What happened to the parameters, which must not depend on the workers.
    story: Vec<String>,
    covered: Vec<(WorkerId, Job)>,
    /// Workers that were put aside.
    aside: Vec<u64>,
    /// Workers none of whose answers is finite.
    bad: BTreeSet<u64>,
    /// Steps in which, with the true answers, losses before, gradients or losses after are not finite.
    not_finite: BTreeMap<u64, JobKind>,
    notices: Vec<Notice>,
    /// What a checkpoint would hold, and where in the story it was written.
    saved: Vec<(u64, bool, usize)>,
    outcome: Option<Outcome>,
}

impl Theatre {
    fn new(settings: Settings) -> Theatre {
        Theatre::of(Run::new(settings, 0))
    }

    fn of(run: Run) -> Theatre {
        Theatre {
            run,
            now: Duration::ZERO,
            held: BTreeMap::new(),
            story: Vec::new(),
            covered: Vec::new(),
            aside: Vec::new(),
            bad: BTreeSet::new(),
            not_finite: BTreeMap::new(),
            notices: Vec::new(),
            saved: Vec::new(),
            outcome: None,
        }
    }

    fn tell(&mut self, event: Event) {
        for effect in self.run.step(self.now, event) {
            match effect {
                Effect::Assign(worker, assignment) => {
                    // What the run has no use for any more, a worker may still hold.
                    assert!(self.run.ready().any(|id| id == worker), "work for a worker that is not there");
                    assert!(self.held.insert(assignment.work, (worker, assignment)).is_none(), "an id used twice");
                }
                Effect::Keep { worker, job, .. } => {
                    assert!(!self.covered.iter().any(|(_, covered)| *covered == job), "{job} counted twice");
                    self.covered.push((worker, job));
                }
                Effect::Drop { .. } => {}
                Effect::Clear => self.covered.clear(),
                Effect::Measure { step } => {
                    assert_eq!(self.leaves(), 2 * self.run.settings.leaves, "gradients without all microbatches");
                    self.conclude(step, format!("measure {step}"), Event::Measured { step });
                }
                Effect::Weigh { step } => {
                    assert_eq!(self.leaves(), self.run.settings.leaves, "losses without all microbatches");
                    self.conclude(step, format!("weigh {step}"), Event::Weighed { step });
                }
                Effect::Learn { step } => {
                    assert_eq!(self.leaves(), self.run.settings.leaves, "losses without all microbatches");
                    self.conclude(step, format!("learn {step}"), Event::Learned { step });
                }
                Effect::Update { step } => {
                    let feeds = if self.run.settings.mode == Mode::Combined { 1 } else { 2 };
                    assert_eq!(self.leaves(), feeds * self.run.settings.leaves, "a step without all its microbatches");
                    self.conclude(step, format!("update {step}"), Event::Updated { step });
                }
                Effect::Retract { jobs } => self.covered.retain(|(_, job)| !jobs.contains(job)),
                Effect::Skip { step } => {
                    self.story.push(format!("skip {step}"));
                    self.tell(Event::Skipped { step });
                }
                Effect::Commit { step } => self.story.push(format!("commit {step}")),
                Effect::Decide(evaluation) => {
                    self.story.push(format!("decide {evaluation:?} over {} chunks", self.leaves()));
                    self.tell(Event::Evaluated { stop: false });
                }
                Effect::Select => self.story.push("select".into()),
                Effect::Save { step } => {
                    self.story.push(format!("save {step}"));
                    self.saved.push((step, self.run.evaluation_due(), self.story.len()));
                    self.tell(Event::Saved);
                }
                Effect::Dismiss(worker, _) => self.held.retain(|_, (holder, _)| *holder != worker),
                Effect::PutAside { worker, .. } => {
                    self.held.retain(|_, (holder, _)| *holder != worker);
                    self.aside.push(worker.0);
                }
                Effect::Finish(outcome) => self.outcome = Some(outcome),
                Effect::Notice(notice) => self.notices.push(notice),
            }
        }
    }

    /// Ends a phase with what came: as it should, or with what is not finite of it.
    fn conclude(&mut self, step: u64, line: String, end: Event) {
        let is_wrong = |(worker, job): &&(WorkerId, Job)| {
            self.bad.contains(&worker.0) || self.not_finite.get(&step) == Some(&job.kind)
        };
        let wrong = self.covered.iter().filter(is_wrong).cloned();
        let unusable = wrong.map(|(worker, job)| Unusable { worker, fault: Fault::NotFinite(job.clone()), job });
        let answers: Vec<Unusable> = unusable.collect();
        if answers.is_empty() {
            self.story.push(line);
            return self.tell(end);
        }
        self.tell(Event::Unusable { step, reason: format!("step {step} is not finite"), answers });
    }

    fn leaves(&self) -> u32 {
        self.covered.iter().map(|(_, job)| job.node.hi - job.node.lo).sum()
    }

    fn join(&mut self, worker: u64) {
        self.tell(Event::Joined(WorkerId(worker)));
        self.tell(Event::Ready(WorkerId(worker)));
    }

    fn kill(&mut self, worker: u64) {
        self.held.retain(|_, (holder, _)| holder.0 != worker);
        self.tell(Event::Lost(WorkerId(worker), Loss::Disconnected));
    }

    fn answer(&mut self, work: u64) {
        let (worker, _) = self.held.remove(&work).unwrap();
        self.tell(Event::Result { worker, work });
    }

    fn fail(&mut self, work: u64) {
        let (worker, _) = self.held.remove(&work).unwrap();
        self.tell(Event::Failed { worker, work, reason: "no memory".into() });
    }

    /// Answers everything of the present step, after the usual time.
    fn answer_step(&mut self) {
        let step = self.run.done();
        self.now += Duration::from_millis(USUAL_MS);
        while self.run.done() == step {
            let work = *self.held.keys().next().unwrap();
            self.answer(work);
        }
    }

    /// Answers the evaluation that goes on, if any.
    fn answer_evaluation(&mut self) {
        while matches!(self.run.phase(), Phase::Evaluating(_)) {
            let work = *self.held.keys().next().unwrap();
            self.answer(work);
        }
    }

    /// Answers until a unit is in doubt.
    fn answer_step_until_doubt(&mut self) {
        while self.run.doubts.is_empty() {
            let work = *self.held.keys().next().unwrap();
            self.answer(work);
        }
    }

    /// Lets time pass, with signs of life of all workers.
    fn pass(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
        let workers: Vec<WorkerId> = self.run.ready().collect();
        workers.into_iter().for_each(|worker| self.tell(Event::Beat(worker)));
        self.tell(Event::Tick);
    }

    fn answer_all(&mut self) {
        while let Some(work) = self.held.keys().next().copied() {
            self.answer(work);
        }
    }
}

fn quiet_story(leaves: u32, steps: u64) -> Vec<String> {
    quiet_story_of(settings(leaves, steps))
}

fn quiet_story_of(settings: Settings) -> Vec<String> {
    story_with(settings, &BTreeMap::new())
}

fn story_with(settings: Settings, not_finite: &BTreeMap<u64, JobKind>) -> Vec<String> {
    let mut theatre = Theatre::new(settings);
    theatre.not_finite.clone_from(not_finite);
    theatre.join(1);
    theatre.answer_all();
    assert_eq!(theatre.outcome, Some(Outcome::Finished { early: false }));
    theatre.story
}

#[test]
fn a_quiet_run_updates_evaluates_saves_and_ends() {
    let expected = [
        "update 0",
        "commit 1",
        "update 1",
        "commit 2",
        "decide Progress over 4 chunks",
        "update 2",
        "commit 3",
        "decide Progress over 4 chunks",
        "save 3",
        "select",
        "decide Final(Validation) over 4 chunks",
        "decide Final(Test) over 5 chunks",
    ];
    assert_eq!(quiet_story(4, 3), expected);
}

#[test]
fn microbatches_are_divided_evenly_into_nodes() {
    let workers: Vec<WorkerId> = (1..=3).map(WorkerId).collect();
    let ranges =
        |leaves| divide(&settings(leaves, 1), &workers).into_iter().map(|share| share.range).collect::<Vec<_>>();
    assert_eq!(ranges(8), [0..3, 3..5, 5..8]);
    assert_eq!(ranges(2).len(), 2);
}

#[test]
fn microbatches_of_feeds_are_divided_by_cost_so_that_a_worker_has_few_feeds() {
    let workers: Vec<WorkerId> = (1..=2).map(WorkerId).collect();
    let settings = Settings { mode: per_task(false), ..settings(4, 1) };
    let share = |worker, feed, range| Share { worker: workers[worker], feed: Some(feed), range };
    assert_eq!(divide(&settings, &workers), [share(0, 0, 0..3), share(1, 0, 3..4), share(1, 1, 0..4)]);
    let many: Vec<WorkerId> = (1..=7).map(WorkerId).collect();
    let leaves: u32 = divide(&settings, &many).iter().map(|share| share.range.end - share.range.start).sum();
    assert_eq!(leaves, 8);
}

#[test]
fn where_halves_are_wanted_nobody_gets_the_root() {
    let mut theatre = Theatre::new(Settings { mode: per_task(true), ..settings(4, 1) });
    theatre.join(1);
    let nodes: Vec<(u32, u32)> = theatre.held.values().map(|(_, a)| (a.job.node.lo, a.job.node.hi)).collect();
    assert_eq!(nodes, [(0, 2), (2, 4), (0, 2), (2, 4)]);
    let slots: Vec<usize> = theatre.held.values().map(|(_, assignment)| assignment.slots.len()).collect();
    assert_eq!(slots, [2, 0, 0, 0], "two vectors take both slots, the others travel in chunks");
}

#[test]
fn where_microbatches_are_wanted_apart_each_is_a_piece_of_work_and_speed_gives_nobody_more() {
    let mut theatre = Theatre::new(Settings { leaves_apart: true, ..settings(40, 4) });
    theatre.join(1);
    theatre.join(2);
    // The first worker got all of the first step, so many at a time.
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
            // The second one takes its time.
            theatre.now += Duration::from_millis(if worker == 1 { 1 } else { 50 });
            theatre.answer(work);
        }
        theatre.answer_evaluation();
        assert_eq!(answered, [20, 20]);
    }
}

#[test]
fn losses_are_asked_for_before_the_gradient_and_after_the_update() {
    let settings = Settings { losses_before: true, losses_after: true, ..settings(2, 1) };
    let story = quiet_story_of(settings);
    assert_eq!(story[..4], ["weigh 0", "update 0", "learn 0", "commit 1"]);
}

#[test]
fn losses_after_the_update_are_those_of_the_next_parameters() {
    let mut theatre = Theatre::new(Settings { losses_after: true, ..settings(2, 2) });
    theatre.join(1);
    theatre.answer(1);
    let (_, after) = theatre.held.values().next().unwrap();
    assert_eq!((after.job.kind, after.version, theatre.run.done()), (JobKind::Losses, 1, 0));
}

#[test]
fn gradients_by_task_are_asked_for_before_all_that_the_update_is_made_of() {
    let settings = Settings { losses_before: true, task_gradients: measuring(2), ..settings(4, 3) };
    let mut story = quiet_story_of(settings.clone());
    assert_eq!(story[..4], ["measure 0", "weigh 0", "update 0", "commit 1"]);
    story.retain(|line| !["measure 0", "measure 2"].contains(&line.as_str()));
    assert_eq!(story, quiet_story_of(Settings { task_gradients: None, ..settings }));
}

#[test]
fn gradients_by_task_are_divided_as_the_update_is() {
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
fn a_worker_that_lives_and_never_answers_is_sent_away_and_its_work_is_done_by_the_next() {
    let mut theatre = Theatre::new(settings(4, 3));
    theatre.join(1);
    theatre.answer_step();
    // Four leases and twenty times the usual 200 ms for all that it holds; signs of life come all the while.
    (0..22).for_each(|_| theatre.pass(1000));
    assert_eq!(theatre.run.ready().count(), 1, "too soon");
    (0..6).for_each(|_| theatre.pass(1000));
    assert_eq!(theatre.run.ready().count(), 0);
    let lost = theatre.notices.iter().find_map(|notice| match notice {
        Notice::WorkerLost { loss, reissued, .. } => Some((loss.clone(), *reissued)),
        _ => None,
    });
    assert!(matches!(lost, Some((Loss::Unanswered(_), 1))), "{lost:?}");
    theatre.join(2);
    theatre.answer_all();
    assert_eq!(theatre.story, quiet_story(4, 3));
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

#[test]
fn work_that_fails_three_times_ends_the_run_and_is_named() {
    let mut theatre = Theatre::new(settings(2, 1));
    theatre.join(1);
    for _ in 0..3 {
        let (work, (worker, _)) = theatre.held.pop_first().unwrap();
        theatre.tell(Event::Failed { worker, work, reason: "no memory".into() });
    }
    let Some(Outcome::Failed(reason)) = theatre.outcome else { panic!("still running") };
    assert_eq!(reason, "the gradient of microbatches [0, 2) failed 3 times, the last time with: no memory");
}

#[test]
fn a_unit_whose_workers_die_three_times_ends_the_run_and_is_named() {
    let mut theatre = Theatre::new(settings(4, 1));
    (1..=2).for_each(|worker| theatre.join(worker));
    for worker in 2..5 {
        theatre.kill(1);
        theatre.kill(worker);
        theatre.join(worker + 1);
    }
    let Some(Outcome::Failed(reason)) = theatre.outcome else { panic!("still running") };
    assert_eq!(
        reason,
        "3 workers in a row failed or were lost while they computed the gradient of microbatches [0, 4)"
    );
}

/// Two workers at the beginning of the third step, of which the second has answered.
fn one_waits_for_the_other() -> Theatre {
    let mut theatre = Theatre::new(Settings { evaluate_every: None, ..settings(4, 9) });
    (1..=2).for_each(|worker| theatre.join(worker));
    // The first step was divided when only one was there.
    theatre.answer_step();
    theatre.answer_step();
    let work = *theatre.held.iter().find(|(_, (worker, _))| *worker == WorkerId(2)).map(|(work, _)| work).unwrap();
    theatre.answer(work);
    theatre
}

#[test]
fn what_is_late_goes_to_an_idle_worker_too_and_the_first_answer_counts() {
    for first in [WorkerId(1), WorkerId(2)] {
        let mut theatre = one_waits_for_the_other();
        theatre.pass(4 * USUAL_MS);
        assert_eq!(theatre.held.len(), 2, "not late yet, or handed out already: {:?}", theatre.held);
        let jobs: Vec<&Job> = theatre.held.values().map(|(_, assignment)| &assignment.job).collect();
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
fn what_takes_its_usual_time_is_not_late() {
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
    assert_eq!(theatre.outcome, Some(Outcome::Finished { early: false }));
}

#[test]
fn an_update_that_is_not_finite_ends_the_run() {
    let mut run = Run::new(settings(1, 3), 0);
    run.step(Duration::ZERO, Event::Joined(WorkerId(1)));
    run.step(Duration::ZERO, Event::Ready(WorkerId(1)));
    run.step(Duration::ZERO, Event::Result { worker: WorkerId(1), work: 1 });
    let effects = run.step(Duration::ZERO, Event::NotFinite { step: 0, reason: "the loss of task a".into() });
    assert_eq!(effects, [Effect::Finish(Outcome::Failed("the loss of task a".into()))]);
}

proptest! {
    /// Whoever comes, dies and answers in whatever order: the parameters have the same history.
    #[test]
    fn the_story_is_the_same_whatever_the_workers_do(
        leaves in 1u32..9,
        mode in prop::sample::select(vec![Mode::Combined, per_task(false), per_task(true)]),
        (losses_before, losses_after, leaves_apart) in any::<(bool, bool, bool)>(),
        every in prop::option::of(1u64..4),
        moves in prop::collection::vec((0u8..10, any::<prop::sample::Index>()), 0..200),
    ) {
        let task_gradients = every.filter(|_| mode == Mode::Combined).and_then(measuring);
        let asked = Settings { mode, task_gradients, leaves_apart, losses_before, losses_after, ..settings(leaves, 4) };
        let settings = Settings { tries_max: u32::MAX, ..asked };
        let mut theatre = Theatre::new(settings.clone());
        let mut last = 0;
        for (kind, choice) in moves {
            match kind {
                0 => {
                    last += 1;
                    theatre.join(last);
                }
                2 => theatre.pass(choice.index(900) as u64),
                3 => {
                    let works: Vec<u64> = theatre.held.keys().copied().collect();
                    if !works.is_empty() {
                        theatre.fail(*choice.get(&works));
                    }
                }
                1 => {
                    let ready: Vec<WorkerId> = theatre.run.ready().collect();
                    if !ready.is_empty() {
                        theatre.kill(choice.get(&ready).0);
                    }
                }
                _ => {
                    let works: Vec<u64> = theatre.held.keys().copied().collect();
                    if !works.is_empty() {
                        theatre.answer(*choice.get(&works));
                    }
                }
            }
        }
        theatre.join(last + 1);
        theatre.answer_all();
        prop_assert_eq!(theatre.outcome, Some(Outcome::Finished { early: false }));
        prop_assert_eq!(theatre.story, quiet_story_of(settings));
    }
}
