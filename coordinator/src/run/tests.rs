//! The state machine alone: each test tells it a story.

mod blame;
mod departure;
mod division;
mod request;
mod straggler;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::prelude::*;

use super::*;

pub(super) fn settings(microbatches: u32, steps: u64) -> Settings {
    Settings {
        microbatches,
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
        one_vector_per_microbatch: false,
        losses_before: false,
        losses_after: false,
        tries_max: 3,
        skips_max: None,
    }
}

/// A feed with two tasks and one with one task. The first costs three times as much.
fn feeds() -> Vec<FeedWork> {
    vec![FeedWork { tasks: 2, cost: 3 }, FeedWork { tasks: 1, cost: 1 }]
}

fn per_task(halves: bool) -> Mode {
    Mode::PerTask { feeds: feeds(), halves }
}

fn measuring(every: u64) -> Option<TaskGradients> {
    Some(TaskGradients { every, feeds: feeds() })
}

/// The usual duration of a job, milliseconds.
const USUAL_MS: u64 = 200;

/// A shell that answers every effect at once, and workers that answer when they are told to.
struct Theatre {
    run: Run,
    now: Duration,
    held: BTreeMap<u64, (WorkerId, Assignment)>,
    /// What happened to the parameters. It must not depend on the workers.
    story: Vec<String>,
    covered: Vec<(WorkerId, WorkerJob)>,
    /// Workers that were banned.
    banned: Vec<u64>,
    /// Workers that never answer with finite numbers.
    bad: BTreeSet<u64>,
    /// Steps that are not finite because of the model, with the kind of job in which that shows.
    not_finite: BTreeMap<u64, JobKind>,
    notices: Vec<Notice>,
    /// The step and due evaluation of each checkpoint, and its place in the story.
    saved: Vec<(u64, bool, usize)>,
    outcome: Option<RunOutcome>,
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
            banned: Vec::new(),
            bad: BTreeSet::new(),
            not_finite: BTreeMap::new(),
            notices: Vec::new(),
            saved: Vec::new(),
            outcome: None,
        }
    }

    fn tell(&mut self, event: Event) {
        let before = self.run.done();
        let effects = self.run.step(self.now, event);
        if self.run.done() > before {
            self.story.push(format!("commit {}", self.run.done()));
        }
        for effect in effects {
            match effect {
                Effect::Assign(worker, assignment) => {
                    // A worker may still compute what the run does not need any more.
                    assert!(self.run.ready().any(|id| id == worker), "work for a worker that is not there");
                    assert!(self.held.insert(assignment.work, (worker, assignment)).is_none(), "an id used twice");
                }
                Effect::Keep { worker, job, .. } => {
                    assert!(!self.covered.iter().any(|(_, covered)| *covered == job), "{job} counted twice");
                    self.covered.push((worker, job));
                }
                Effect::Drop { .. } => {}
                Effect::Clear => self.covered.clear(),
                Effect::ComputeGramian { step } => {
                    assert_eq!(
                        self.microbatches_covered(),
                        2 * self.run.settings.microbatches,
                        "gradients without all microbatches"
                    );
                    self.conclude(step, format!("measure {step}"), Event::GramianComputed { step });
                }
                Effect::ComputeWeights { step } => {
                    assert_eq!(
                        self.microbatches_covered(),
                        self.run.settings.microbatches,
                        "losses without all microbatches"
                    );
                    self.conclude(step, format!("weigh {step}"), Event::WeightsComputed { step });
                }
                Effect::UpdateWeighting { step } => {
                    assert_eq!(
                        self.microbatches_covered(),
                        self.run.settings.microbatches,
                        "losses without all microbatches"
                    );
                    self.conclude(step, format!("learn {step}"), Event::WeightingUpdated { step });
                }
                Effect::Update { step } => {
                    let feeds = if self.run.settings.mode == Mode::Combined { 1 } else { 2 };
                    assert_eq!(
                        self.microbatches_covered(),
                        feeds * self.run.settings.microbatches,
                        "a step without all its microbatches"
                    );
                    self.conclude(step, format!("update {step}"), Event::Updated { step });
                }
                Effect::Retract { jobs } => self.covered.retain(|(_, job)| !jobs.contains(job)),
                Effect::Skip { step } => {
                    self.story.push(format!("skip {step}"));
                    self.tell(Event::Skipped { step });
                }
                Effect::ComputeMetrics { evaluation, agreed } => {
                    let line = format!("decide {evaluation:?} over {} chunks", self.microbatches_covered());
                    if agreed {
                        self.story.push(line);
                        self.tell(Event::MetricsComputed { stop: false });
                    } else {
                        self.conclude(self.run.done(), line, Event::MetricsComputed { stop: false });
                    }
                }
                Effect::Select => self.story.push("select".into()),
                Effect::Save { step } => {
                    self.story.push(format!("save {step}"));
                    self.saved.push((step, self.run.evaluation_due(), self.story.len()));
                    self.tell(Event::Saved);
                }
                Effect::Dismiss(worker, _) => self.held.retain(|_, (holder, _)| *holder != worker),
                Effect::Ban { worker, .. } => {
                    self.held.retain(|_, (holder, _)| *holder != worker);
                    self.banned.push(worker.0);
                }
                Effect::Finish(outcome) => self.outcome = Some(outcome),
                Effect::Notice(notice) => self.notices.push(notice),
            }
        }
    }

    /// Ends a phase: with `end`, or with the answers that are not finite.
    fn conclude(&mut self, step: u64, line: String, end: Event) {
        let is_wrong = |(worker, job): &&(WorkerId, WorkerJob)| {
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

    fn microbatches_covered(&self) -> u32 {
        self.covered.iter().map(|(_, job)| job.node.hi - job.node.lo).sum()
    }

    fn join(&mut self, worker: u64) {
        self.tell(Event::Joined(WorkerId(worker)));
        self.tell(Event::Ready(WorkerId(worker)));
    }

    fn kill(&mut self, worker: u64) {
        self.held.retain(|_, (holder, _)| holder.0 != worker);
        self.tell(Event::Lost(WorkerId(worker), Departure::Disconnected));
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

    /// Answers until there is a suspect.
    fn answer_step_until_suspicion(&mut self) {
        while self.run.suspects.is_empty() {
            let work = *self.held.keys().next().unwrap();
            self.answer(work);
        }
    }

    /// Lets time pass, with heartbeats of all workers.
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

fn quiet_story(microbatches: u32, steps: u64) -> Vec<String> {
    quiet_story_of(settings(microbatches, steps))
}

fn quiet_story_of(settings: Settings) -> Vec<String> {
    story_with(settings, &BTreeMap::new())
}

fn story_with(settings: Settings, not_finite: &BTreeMap<u64, JobKind>) -> Vec<String> {
    let mut theatre = Theatre::new(settings);
    theatre.not_finite.clone_from(not_finite);
    theatre.join(1);
    theatre.answer_all();
    assert_eq!(theatre.outcome, Some(RunOutcome::Finished { early: false }));
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
fn task_gradients_come_before_the_work_for_the_update() {
    let settings = Settings { losses_before: true, task_gradients: measuring(2), ..settings(4, 3) };
    let mut story = quiet_story_of(settings.clone());
    assert_eq!(story[..4], ["measure 0", "weigh 0", "update 0", "commit 1"]);
    story.retain(|line| !["measure 0", "measure 2"].contains(&line.as_str()));
    assert_eq!(story, quiet_story_of(Settings { task_gradients: None, ..settings }));
}

#[test]
fn an_update_that_is_not_finite_ends_the_run() {
    let mut run = Run::new(settings(1, 3), 0);
    run.step(Duration::ZERO, Event::Joined(WorkerId(1)));
    run.step(Duration::ZERO, Event::Ready(WorkerId(1)));
    run.step(Duration::ZERO, Event::Result { worker: WorkerId(1), work: 1 });
    let effects = run.step(Duration::ZERO, Event::NotFinite { step: 0, reason: "the loss of task a".into() });
    assert_eq!(effects, [Effect::Finish(RunOutcome::Failed("the loss of task a".into()))]);
}

proptest! {
    /// The parameters have the same history, whichever workers join, die and answer in any order.
    #[test]
    fn the_story_is_the_same_whatever_the_workers_do(
        microbatches in 1u32..9,
        mode in prop::sample::select(vec![Mode::Combined, per_task(false), per_task(true)]),
        (losses_before, losses_after, one_vector_per_microbatch) in any::<(bool, bool, bool)>(),
        every in prop::option::of(1u64..4),
        moves in prop::collection::vec((0u8..10, any::<prop::sample::Index>()), 0..200),
    ) {
        let task_gradients = every.filter(|_| mode == Mode::Combined).and_then(measuring);
        let asked = Settings { mode, task_gradients, one_vector_per_microbatch, losses_before, losses_after, ..settings(microbatches, 4) };
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
        prop_assert_eq!(theatre.outcome, Some(RunOutcome::Finished { early: false }));
        prop_assert_eq!(theatre.story, quiet_story_of(settings));
    }
}
