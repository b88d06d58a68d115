//! What goes wrong in a world, and which run it has.

use std::time::Duration;

use coordinator::{
    run::{Chunks, Event, FeedWork, Mode, Settings, TaskGradients, WorkerJob},
    selection::Selection,
};

use super::{Happening, Shell, World};
use crate::{dice::Dice, model::Course};

impl World {
    pub(super) fn chaos(&mut self) {
        if self.faults_left == 0 {
            return self.workers.iter_mut().for_each(|worker| worker.slowness = 1);
        }
        self.faults_left -= 1;
        self.last_fault = self.now;
        let host = self.dice.below(self.workers.len() as u64) as usize;
        match self.dice.below(11) {
            0 | 1 if self.workers[host].alive => {
                self.tally.workers_killed += 1;
                self.leave(host);
                self.workers[host].alive = false;
                let delay = self.dice.micros(1000, 400_000);
                self.after(delay, Happening::WorkerUp { host });
            }
            2 => {
                self.tally.workers_stopped += 1;
                self.workers[host].stopped_until = self.now + self.dice.micros(10_000, 3_000_000);
            }
            3 => {
                self.tally.partitions += 1;
                self.workers[host].apart_until = self.now + self.dice.micros(10_000, 3_000_000);
            }
            4 => self.workers[host].slowness = self.dice.between(5, 200),
            5 => self.crash(false),
            6 => self.crash(true),
            7 => self.disk_slow_until = self.now + Duration::from_secs(2),
            8 => self.ask(Event::Save),
            9 => self.ask(Event::Interrupt),
            _ => {
                let incarnation = self.workers[host].incarnation;
                self.cut(host, incarnation);
            }
        }
        let until = [self.workers[host].stopped_until, self.workers[host].apart_until].into_iter().max();
        self.last_fault = self.last_fault.max(until.unwrap_or_default());
        let delay = self.dice.micros(1000, 80_000);
        self.after(delay, Happening::Chaos);
    }

    /// Somebody asks the coordinator for something.
    fn ask(&mut self, event: Event) {
        let Some(epoch) = self.coordinator.as_ref().map(Shell::epoch) else { return };
        match event {
            Event::Save => self.tally.saves_asked += 1,
            _ => self.tally.interrupted += 1,
        }
        self.after(Duration::ZERO, Happening::Done { epoch, event });
    }

    /// Whether a worker spoils its answer. Two workers never spoil the same answer.
    pub(super) fn spoils(&mut self, step: u64, job: &WorkerJob) -> bool {
        let spoils = self.faults_left > 0 && self.dice.chance(10);
        spoils && self.spoilt.insert((step, job.clone()))
    }
}

/// What a run of this world does.
pub(super) fn course(dice: &mut Dice, workers: usize) -> Course {
    let settings = settings(dice, workers);
    let odd = if dice.chance(30) { dice.between(1, u64::from(u32::MAX)) } else { 0 };
    let best = if dice.chance(80) { "checkpoint = { best = \"validation.loss\" }\n" } else { "" };
    let patience = dice.between(1, 4);
    let early = format!("early_stopping = {{ metric = \"validation.loss\", patience = {patience} }}\n");
    let train = format!("steps = 1\n{best}{}", if dice.chance(25) { &early } else { "" });
    let text = format!(
        "name = \"t\"\n[dataset.d]\npath = \"d.csv\"\n[task.t]\ndataset = \"d\"\ntarget = \"y\"\nkind = \"regression\"\n\
         [model]\ntrunk = {{ hidden = [4] }}\n[train]\n{train}"
    );
    let loaded = model::parse(&text, std::path::Path::new("t.toml"), &[]).expect("is right");
    Course { settings, selection: Selection::new(&loaded.experiment.train), odd }
}

fn settings(dice: &mut Dice, workers: usize) -> Settings {
    let feed = |dice: &mut Dice| FeedWork { tasks: dice.between(1, 3) as u32, cost: dice.between(1, 5) };
    let mode = match dice.below(3) {
        0 => Mode::PerTask { feeds: vec![feed(dice), feed(dice)], halves: dice.chance(50) },
        _ => Mode::Combined,
    };
    Settings {
        microbatches: dice.between(1, 9) as u32,
        steps: dice.between(4, 12),
        chunks: vec![Chunks { validation: dice.between(0, 3) as u32, test: 1 }, Chunks { validation: 2, test: 0 }],
        evaluate_every: Some(dice.between(1, 5)),
        save_every: Some(dice.between(1, 4)),
        min_workers: dice.between(1, workers.min(2) as u64) as usize,
        lease: Duration::from_secs(1),
        straggler_multiple: 4.0,
        patience_min: Duration::from_millis(20),
        result_slots: 4,
        task_gradients: (mode == Mode::Combined && dice.chance(30))
            .then(|| TaskGradients { every: dice.between(1, 4), feeds: vec![feed(dice), feed(dice)] }),
        mode,
        one_vector_per_microbatch: dice.chance(20),
        losses_before: dice.chance(30),
        losses_after: dice.chance(30),
        // Kills are random here, so a piece of work may lose many workers.
        tries_max: u32::MAX,
        skips_max: Some(u64::MAX),
    }
}
