//! A world of one run: virtual time, messages, and what goes wrong at random.

mod chaos;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use coordinator::run::{Assignment, Departure, Event, JobKind, WorkerId, WorkerJob};

use self::chaos::course;
use super::{
    dice::Dice,
    faulty_disk::{Fault, FaultyDisk},
    model::{Course, Model, Quiet, Sum, What, quiet},
    shell::{Finished, Mutation, Shell, Started},
    tally::Tally,
};

/// The most virtual time that a run takes once nothing goes wrong any more.
const PROGRESS_WITHIN: Duration = Duration::from_secs(60);

/// An invariant does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

pub fn violated<T>(what: impl Into<String>) -> Result<T, Violation> {
    Err(Violation(what.into()))
}

/// A message from a worker, with the coordinator and lease that it is for.
#[derive(Debug, Clone)]
struct ToCoordinator {
    epoch: u64,
    lease: WorkerId,
    body: Said,
}

#[derive(Debug, Clone)]
enum Said {
    Ready,
    Beat,
    Result { work: u64, sum: Sum, spoilt: bool },
    Failure { work: u64 },
    Gone,
}

/// A piece of work with everything that it needs.
#[derive(Debug, Clone)]
pub struct Work {
    pub assignment: Assignment,
    pub step: u64,
    pub model: Model,
}

#[derive(Debug, Clone)]
enum Happening {
    Hello { host: usize, incarnation: u64 },
    ToCoordinator(ToCoordinator),
    Welcome { host: usize, incarnation: u64, epoch: u64, lease: WorkerId },
    Work { host: usize, epoch: u64, lease: WorkerId, work: Box<Work> },
    Cut { host: usize, incarnation: u64 },
    Computed { host: usize, incarnation: u64 },
    Beat { host: usize, incarnation: u64 },
    WorkerUp { host: usize },
    CoordinatorUp,
    Done { epoch: u64, event: Event },
    Tick { epoch: u64 },
    Chaos,
}

/// A worker that never answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hostile {
    /// It fails at all work.
    Fails,
    /// Its connection breaks whenever it has work, and it joins anew.
    Breaks,
}

#[derive(Debug, Default)]
struct Worker {
    /// Counts starts and connections, so that what belongs to an old one is recognised.
    incarnation: u64,
    alive: bool,
    session: Option<(u64, WorkerId)>,
    queue: VecDeque<Work>,
    busy: bool,
    /// The time until which it is stopped (SIGSTOP).
    stopped_until: Duration,
    /// The time until which its network is cut.
    apart_until: Duration,
    /// How many times slower it is than others.
    slowness: u64,
    hostile: Option<Hostile>,
}

/// A coordinator, workers, a network and a disk.
pub struct World {
    dice: Dice,
    now: Duration,
    queue: BTreeMap<(Duration, u64), Happening>,
    sequence: u64,
    course: Course,
    quiet: Quiet,
    mutation: Option<Mutation>,
    path: PathBuf,
    coordinator: Option<Shell>,
    workers: Vec<Worker>,
    faults_left: u64,
    last_fault: Duration,
    disk_slow_until: Duration,
    last_disk: Option<Arc<FaultyDisk>>,
    /// The epochs of all coordinators so far.
    epochs: BTreeSet<u64>,
    /// The newest checkpoint that was reported as written.
    saved: u64,
    /// Jobs for which an answer was spoilt. The next answer for the same job is right.
    spoilt: BTreeSet<(u64, WorkerJob)>,
    tally: Tally,
}

impl World {
    /// The world of a seed, with `path` as the run folder.
    pub fn new(seed: u64, mutation: Option<Mutation>, path: PathBuf) -> World {
        let mut dice = Dice::new(seed);
        let workers = dice.between(1, 5) as usize;
        let mut course = course(&mut dice, workers);
        let streams = if dice.chance(15) { dice.between(1, 5) as usize } else { 0 };
        let hostile = dice.pick(&[Hostile::Fails, Hostile::Breaks]);
        let hosts = workers + streams;
        if streams > 0 {
            // Nothing else goes wrong, and nobody is dismissed because of a message that is late.
            // So nothing but the hostile workers could end the run.
            (course.settings.tries_max, course.settings.min_workers) = (3, hosts);
            course.settings.lease = Duration::from_secs(30);
        }
        let worker = |host| Worker { slowness: 1, hostile: (host >= workers).then_some(hostile), ..Worker::default() };
        let mut world = World {
            faults_left: if streams > 0 { 0 } else { dice.between(0, 16) },
            dice,
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            sequence: 0,
            quiet: quiet(&course),
            course,
            mutation,
            path,
            coordinator: None,
            workers: (0..hosts).map(worker).collect(),
            last_fault: Duration::ZERO,
            disk_slow_until: Duration::ZERO,
            last_disk: None,
            epochs: BTreeSet::new(),
            saved: 0,
            spoilt: BTreeSet::new(),
            tally: Tally::default(),
        };
        world.after(Duration::ZERO, Happening::CoordinatorUp);
        for host in 0..hosts {
            let delay = world.dice.micros(0, 200_000);
            world.after(delay, Happening::WorkerUp { host });
        }
        world.after(Duration::from_millis(5), Happening::Chaos);
        world
    }

    /// Lets time pass until the run is over.
    pub fn run(mut self) -> Result<Tally, Violation> {
        while let Some(((at, _), happening)) = self.queue.pop_first() {
            self.now = at;
            if self.now > self.last_fault + PROGRESS_WITHIN {
                return violated(format!("no end {PROGRESS_WITHIN:?} after the last fault"));
            }
            self.happen(happening)?;
            if self.coordinator.as_ref().is_some_and(|shell| shell.disk.is_dead()) {
                self.crash(false);
            }
            match self.coordinator.as_mut().and_then(Shell::finished) {
                None => {}
                Some(Finished::Well) => {
                    let Some(shell) = self.coordinator.take() else { continue };
                    self.tally = self.tally.plus(shell.tally);
                    shell.check_best(&self.quiet)?;
                    return shell.check_journal(&self.quiet).map(|()| self.tally);
                }
                Some(Finished::Badly(reason)) => return violated(format!("the run failed: {reason}")),
                Some(Finished::Early) => self.end_coordinator(false),
                Some(Finished::DiskRefused) => self.crash(false),
            }
        }
        violated("nothing happens any more")
    }

    fn after(&mut self, delay: Duration, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((self.now + delay, self.sequence), happening);
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::CoordinatorUp => self.start_coordinator()?,
            Happening::WorkerUp { host } => self.start_worker(host),
            Happening::Hello { host, incarnation } => self.on_hello(host, incarnation)?,
            Happening::ToCoordinator(message) => self.on_message(message)?,
            Happening::Welcome { host, incarnation, epoch, lease } => {
                let worker = &mut self.workers[host];
                if worker.alive && worker.incarnation == incarnation && worker.session.is_none() {
                    worker.session = Some((epoch, lease));
                    self.say(host, Said::Ready);
                    self.after(Duration::ZERO, Happening::Beat { host, incarnation });
                }
            }
            Happening::Work { host, epoch, lease, work } => {
                if self.workers[host].alive && self.workers[host].session == Some((epoch, lease)) {
                    self.workers[host].queue.push_back(*work);
                    self.compute(host);
                }
            }
            Happening::Computed { host, incarnation } => self.on_computed(host, incarnation),
            Happening::Beat { host, incarnation } => {
                let worker = &self.workers[host];
                if worker.alive && worker.incarnation == incarnation && worker.session.is_some() {
                    if worker.stopped_until <= self.now {
                        self.say(host, Said::Beat);
                    }
                    self.after(Duration::from_millis(200), Happening::Beat { host, incarnation });
                }
            }
            Happening::Cut { host, incarnation } => self.cut(host, incarnation),
            Happening::Done { epoch, event } => self.tell(epoch, event)?,
            Happening::Tick { epoch } => {
                self.tell(epoch, Event::Tick)?;
                if self.coordinator.as_ref().is_some_and(|shell| shell.epoch() == epoch) {
                    self.after(Duration::from_millis(50), Happening::Tick { epoch });
                }
            }
            Happening::Chaos => self.chaos(),
        }
        Ok(())
    }

    // The coordinator.

    fn start_coordinator(&mut self) -> Result<(), Violation> {
        if self.coordinator.is_some() {
            return Ok(());
        }
        let disk = Arc::new(self.disk());
        if let Some(before) = self.last_disk.replace(Arc::clone(&disk)) {
            disk.inherit(&before);
        }
        match Shell::start(&self.path, &disk, &self.course, self.mutation) {
            Started::Up(shell) => {
                let (epoch, step) = (shell.epoch(), shell.done());
                if let Some(last) = self.epochs.last().filter(|last| **last >= epoch) {
                    return violated(format!("epoch {epoch} after epoch {last}"));
                }
                if shell.model() != self.quiet.models[step as usize] {
                    return violated(format!("resumed at step {step} with other parameters"));
                }
                if shell.skipped() != self.quiet.skipped[step as usize] {
                    return violated(format!("resumed at step {step} with another count of skipped steps"));
                }
                let (best, due) = shell.best();
                if best.map(|(best, _)| *best) != self.quiet.best(step, due) {
                    return violated(format!("resumed at step {step} with another best: {best:?}"));
                }
                if best.is_some_and(|(best, parameters)| *parameters != self.quiet.models[*best as usize].theta) {
                    return violated(format!("resumed at step {step} with other best parameters"));
                }
                if step < self.saved {
                    return violated(format!("resumed at step {step}: the checkpoint of step {} is lost", self.saved));
                }
                self.tally.resumed += u64::from(step > 0);
                self.epochs.insert(epoch);
                self.coordinator = Some(*shell);
                self.after(Duration::from_millis(50), Happening::Tick { epoch });
            }
            Started::DiskRefused => {
                let delay = self.dice.micros(1000, 300_000);
                self.after(delay, Happening::CoordinatorUp);
            }
            Started::Wrong(reason) => return violated(format!("the run can't be taken up: {reason}")),
        }
        Ok(())
    }

    /// A disk that may fail once.
    fn disk(&mut self) -> FaultyDisk {
        if self.faults_left == 0 || !self.dice.chance(40) {
            return FaultyDisk::sound();
        }
        self.faults_left -= 1;
        self.tally.disks_failed += 1;
        let more = self.dice.between(0, 12);
        let fault = self.dice.pick(&[Fault::Full(more), Fault::Killed, Fault::PowerLost]);
        FaultyDisk::new(self.dice.between(1, 150), fault)
    }

    /// The coordinator's process ends at once. If the power fails, what was not synced is lost.
    fn crash(&mut self, power: bool) {
        if self.coordinator.is_some() {
            self.tally.coordinators_killed += u64::from(!power);
            self.tally.powers_lost += u64::from(power);
            self.end_coordinator(power);
        }
    }

    /// The coordinator's process ends, and the next one is started after a while.
    fn end_coordinator(&mut self, power: bool) {
        let Some(shell) = self.coordinator.take() else { return };
        self.tally = self.tally.plus(shell.tally);
        if power {
            shell.disk.lose_power();
        }
        drop(shell);
        self.last_fault = self.now;
        for host in 0..self.workers.len() {
            let incarnation = self.workers[host].incarnation;
            let delay = self.dice.micros(100, 20_000);
            self.after(delay, Happening::Cut { host, incarnation });
        }
        let delay = self.dice.micros(1000, 500_000);
        self.after(delay, Happening::CoordinatorUp);
    }

    fn on_hello(&mut self, host: usize, incarnation: u64) -> Result<(), Violation> {
        if self.workers[host].incarnation != incarnation || !self.workers[host].alive {
            return Ok(());
        }
        let Some(shell) = &mut self.coordinator else {
            let delay = self.dice.micros(10_000, 100_000);
            self.after(delay, Happening::Cut { host, incarnation });
            return Ok(());
        };
        let (epoch, lease) = (shell.epoch(), shell.welcome(host));
        let delay = self.delay();
        self.after(delay, Happening::Welcome { host, incarnation, epoch, lease });
        self.tell(epoch, Event::Joined(lease))
    }

    fn on_message(&mut self, message: ToCoordinator) -> Result<(), Violation> {
        let ToCoordinator { epoch, lease, body } = message;
        let Some(shell) = &mut self.coordinator else { return Ok(()) };
        // The machine does not hear messages for another coordinator or of dismissed workers.
        let known = shell.epoch() == epoch && shell.knows(lease);
        if !known && self.mutation != Some(Mutation::AcceptOtherEpochs) {
            return Ok(());
        }
        let epoch = shell.epoch();
        match body {
            Said::Ready => self.tell(epoch, Event::Ready(lease)),
            Said::Beat => self.tell(epoch, Event::Beat(lease)),
            Said::Gone => {
                shell.forget(lease);
                self.tell(epoch, Event::Lost(lease, Departure::Disconnected))
            }
            Said::Failure { work } => {
                self.tell(epoch, Event::Failed { worker: lease, work, reason: "no memory".into() })
            }
            Said::Result { work, sum, spoilt } => {
                shell.arrive(lease, work, sum, spoilt);
                self.tell(epoch, Event::Result { worker: lease, work })
            }
        }
    }

    /// Tells the coordinator, and sends what it has to say.
    fn tell(&mut self, epoch: u64, event: Event) -> Result<(), Violation> {
        let Some(shell) = self.coordinator.as_mut().filter(|shell| shell.epoch() == epoch) else { return Ok(()) };
        shell.tell(self.now, event, &self.quiet)?;
        let (work, done, dismissed) = shell.take_out();
        let saved = shell.saved();
        self.saved = self.saved.max(saved);
        for (host, lease, work) in work {
            let delay = self.delay();
            self.send(host, delay, Happening::Work { host, epoch, lease, work: Box::new(work) });
        }
        for event in done {
            let slow = matches!(event, Event::Saved) && self.now < self.disk_slow_until;
            let delay = if slow { self.dice.micros(100_000, 900_000) } else { self.dice.micros(50, 2000) };
            self.after(delay, Happening::Done { epoch, event });
        }
        for host in dismissed {
            let incarnation = self.workers[host].incarnation;
            let delay = self.delay();
            self.after(delay, Happening::Cut { host, incarnation });
        }
        Ok(())
    }

    // Workers.

    fn start_worker(&mut self, host: usize) {
        let worker = &mut self.workers[host];
        if worker.alive {
            return;
        }
        worker.alive = true;
        worker.incarnation += 1;
        self.connect(host);
    }

    fn connect(&mut self, host: usize) {
        let incarnation = self.workers[host].incarnation;
        let delay = self.delay() + self.dice.micros(100, 30_000);
        self.after(delay, Happening::Hello { host, incarnation });
    }

    /// A connection breaks. The worker looks for the coordinator anew, and the coordinator is told.
    fn cut(&mut self, host: usize, incarnation: u64) {
        let worker = &mut self.workers[host];
        if worker.incarnation != incarnation || !worker.alive {
            return;
        }
        self.leave(host);
        self.connect(host);
    }

    fn leave(&mut self, host: usize) {
        self.say(host, Said::Gone);
        let worker = &mut self.workers[host];
        worker.incarnation += 1;
        worker.session = None;
        worker.queue.clear();
        worker.busy = false;
    }

    fn compute(&mut self, host: usize) {
        let worker = &self.workers[host];
        let Some(work) = worker.queue.front().filter(|_| !worker.busy) else { return };
        let leaves = u64::from(work.assignment.job.node.len());
        let (slowness, incarnation) = (worker.slowness, worker.incarnation);
        let stopped = worker.stopped_until.saturating_sub(self.now);
        self.workers[host].busy = true;
        let takes = self.dice.micros(1000 * leaves, 3000 * leaves) * slowness as u32;
        self.after(stopped + takes, Happening::Computed { host, incarnation });
    }

    fn on_computed(&mut self, host: usize, incarnation: u64) {
        let worker = &mut self.workers[host];
        if worker.incarnation != incarnation || !worker.alive {
            return;
        }
        let stopped = worker.stopped_until.saturating_sub(self.now);
        if stopped > Duration::ZERO {
            return self.after(stopped, Happening::Computed { host, incarnation });
        }
        worker.busy = false;
        if worker.hostile == Some(Hostile::Breaks) {
            self.tally.hostile_deeds += 1;
            return self.cut(host, incarnation);
        }
        let fails = worker.hostile == Some(Hostile::Fails);
        if let Some(Work { assignment, step, model }) = worker.queue.pop_front() {
            let what = match assignment.job.kind {
                JobKind::Gradient { feed } => What::Gradient(feed),
                JobKind::TaskGradients { feed } => What::TaskGradients(feed),
                JobKind::Losses => What::Losses,
                JobKind::Evaluate { feed, .. } => What::Validation(feed),
            };
            let mut sum = model.sum(what, step, assignment.job.node);
            let spoilt = self.spoils(step, &assignment.job);
            if spoilt {
                sum[1] = f32::INFINITY;
            }
            let work = assignment.work;
            let failure = fails || self.faults_left > 0 && self.dice.chance(5);
            self.tally.works_failed += u64::from(failure && !fails);
            self.tally.hostile_deeds += u64::from(fails);
            self.say(host, if failure { Said::Failure { work } } else { Said::Result { work, sum, spoilt } });
        }
        self.compute(host);
    }

    /// Sends a message of a worker's session. The network may delay, double or lose it.
    fn say(&mut self, host: usize, body: Said) {
        let Some((epoch, lease)) = self.workers[host].session else { return };
        let message = ToCoordinator { epoch, lease, body };
        if self.faults_left > 0 && self.dice.chance(3) {
            self.tally.messages_doubled += 1;
            let delay = self.delay();
            self.send(host, delay, Happening::ToCoordinator(message.clone()));
        }
        let late = matches!(message.body, Said::Gone) && self.dice.chance(20);
        let delay = if late { self.dice.micros(1000, 1_000_000) } else { self.delay() };
        self.send(host, delay, Happening::ToCoordinator(message));
    }

    /// Sends a message between a worker and the coordinator. If it is lost, the connection breaks.
    fn send(&mut self, host: usize, delay: Duration, happening: Happening) {
        let worker = &self.workers[host];
        let lost = self.now < worker.apart_until || (self.faults_left > 0 && self.dice.chance(1));
        // Whatever the network does, the system reports a broken connection in the end.
        let gone = matches!(&happening, Happening::ToCoordinator(ToCoordinator { body: Said::Gone, .. }));
        if !lost || gone {
            return self.after(delay, happening);
        }
        let incarnation = self.workers[host].incarnation;
        self.tally.messages_lost += 1;
        self.last_fault = self.now;
        let delay = self.dice.micros(1000, 2_000_000);
        self.after(delay, Happening::Cut { host, incarnation });
    }

    fn delay(&mut self) -> Duration {
        match self.dice.below(100) {
            0 => self.dice.micros(1000, 1_000_000),
            1..5 => self.dice.micros(1000, 50_000),
            _ => self.dice.micros(50, 1500),
        }
    }
}
