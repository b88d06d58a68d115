//! A method with its state, and the steps that it gets.

// Each test file is compiled by itself and uses a part of this.
#![allow(dead_code)]

use aggregation::random::{Purpose, Stream};
use aggregation::weighting::{Combination, Failure, Method, Moment, Observed, Outcome, State, Statistics};
use aggregation::{Gramian, Optimizer, Weighting, matrix};

/// A method in training. What it learns, it learns with plain SGD at rate 0.1.
pub struct Trial {
    pub method: Box<dyn Method>,
    pub state: State,
    pub tasks: usize,
    pub step: u64,
    pub epoch: u64,
    pub seed: u64,
    pub present: Vec<usize>,
    optimizer: Optimizer,
}

impl Trial {
    /// `text` as in the experiment file's `[weighting]`.
    pub fn new(text: &str, tasks: usize) -> Self {
        let weighting: Weighting = toml::from_str(text).expect(text);
        let names: Vec<String> = (0..tasks).map(|task| format!("t{task}")).collect();
        let method = weighting.build(&names.iter().map(String::as_str).collect::<Vec<_>>()).expect(text);
        let optimizer: Optimizer = toml::from_str("kind = \"sgd\"\nlearning_rate = 0.1").expect("is right");
        let state = method.state(tasks, 0);
        let present = (0..tasks).collect();
        Self { method, state, tasks, step: 0, epoch: 0, seed: 1, present, optimizer }
    }

    fn moment(&self) -> Moment<'_> {
        Moment {
            step: self.step,
            epoch: self.epoch,
            tasks: self.tasks,
            present: &self.present,
            optimizer: &self.optimizer,
            learning_rate: 0.1,
            stream: Stream::new(self.seed, Purpose::Weighting, &[self.step]),
        }
    }

    /// This step's outcome. The step number does not change.
    pub fn weigh(&mut self, statistics: &Statistics<'_>) -> Result<Outcome, Failure> {
        let mut state = std::mem::take(&mut self.state);
        let outcome = self.method.weigh(&self.moment(), statistics, &mut state);
        self.state = state;
        outcome
    }

    /// This step's outcome for gradients and losses.
    pub fn step<R: AsRef<[f32]>>(&mut self, rows: &[R], losses: &[f64]) -> Outcome {
        let rows: Vec<&[f32]> = rows.iter().map(AsRef::as_ref).collect();
        let gramian = Gramian::of_rows(&rows);
        let by_block = blocks(&rows);
        let statistics = Statistics {
            losses: Some(losses),
            gramian: Some(&gramian),
            gramian_by_block: Some(&by_block),
            gramian_cross: Some(&gramian),
            jacobian: Some(&rows),
        };
        self.weigh(&statistics).expect("has an answer")
    }

    /// The alpha for orthogonal gradients of these norms, with all losses 1.
    pub fn alpha_of_norms(&mut self, norms: &[f32]) -> Vec<f64> {
        let row = |task: usize| {
            let mut row = vec![0.0f32; norms.len()];
            row[task] = norms[task];
            row
        };
        let rows: Vec<Vec<f32>> = (0..norms.len()).map(row).collect();
        self.alpha(&rows, &vec![1.0; norms.len()])
    }

    /// The alpha for gradients and losses.
    pub fn alpha<R: AsRef<[f32]>>(&mut self, rows: &[R], losses: &[f64]) -> Vec<f64> {
        let outcome = self.step(rows, losses);
        outcome.combination.alpha().expect("is one alpha a task").to_vec()
    }

    /// The alpha for losses alone.
    pub fn alpha_of_losses(&mut self, losses: &[f64]) -> Vec<f64> {
        let statistics = Statistics { losses: Some(losses), ..Statistics::default() };
        let outcome = self.weigh(&statistics).expect("has an answer");
        outcome.combination.alpha().expect("is one alpha a task").to_vec()
    }

    /// The direction for gradients and losses.
    pub fn direction<R: AsRef<[f32]>>(&mut self, rows: &[R], losses: &[f64]) -> Vec<f32> {
        let outcome = self.step(rows, losses);
        let rows: Vec<&[f32]> = rows.iter().map(AsRef::as_ref).collect();
        direction(&rows, &outcome)
    }

    /// Gives the method the losses before and after the update. The next step begins.
    pub fn learn(&mut self, losses: &[f64], losses_after: &[f64]) {
        let mut state = std::mem::take(&mut self.state);
        let observed = Observed { losses, losses_after: Some(losses_after) };
        self.method.learn(&self.moment(), &observed, &mut state).expect("losses are in the domain");
        self.state = state;
        self.step += 1;
    }
}

/// Two blocks of one layer and one block of another, with the Gramian of each.
pub fn blocks(rows: &[&[f32]]) -> Vec<(&'static str, Gramian)> {
    let names = ["trunk.0.weight", "trunk.0.bias", "trunk.1.weight"];
    let gramian = |range: std::ops::Range<usize>| {
        Gramian::of_rows(&rows.iter().map(|row| &row[range.clone()]).collect::<Vec<_>>())
    };
    names.into_iter().zip(block_ranges(rows[0].len())).map(|(name, range)| (name, gramian(range))).collect()
}

fn block_ranges(columns: usize) -> [std::ops::Range<usize>; 3] {
    let (first, second) = (columns / 3, columns / 2);
    [0..first, first..second, second..columns]
}

/// The direction d of an outcome.
pub fn direction(rows: &[&[f32]], outcome: &Outcome) -> Vec<f32> {
    match &outcome.combination {
        Combination::Alpha(alpha) => matrix::combine(rows, alpha),
        Combination::AlphaByBlock(blocks) => {
            let part = |(range, alpha): (std::ops::Range<usize>, &Vec<f64>)| {
                matrix::combine(&rows.iter().map(|row| &row[range.clone()]).collect::<Vec<_>>(), alpha)
            };
            block_ranges(rows[0].len()).into_iter().zip(blocks).flat_map(part).collect()
        }
        Combination::Direction(direction) => direction.clone(),
    }
}
