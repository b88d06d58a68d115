//! `trunkline replay`: the weights that another weighting gives the steps that a run has recorded,
//! without training.
//!
//! The parameters stay those of the run. The command shows how the other weighting weighs the run's
//! gradients, not where it would have led. A weighting with a state learns from the recorded steps
//! alone.

mod shown;

use std::path::PathBuf;

use aggregation::{
    Gramian, Optimizer, Weighting,
    random::{Purpose, Stream},
    weighting::{Certificate, Method, Moment, Need, Observed, State, Statistics},
};
use coordinator::journal;
use experiment::arguments;
use serde::Serialize;
use serde_json::json;

use crate::{
    exit::Failure,
    recorded::{self, Recorded, numbers},
    run_dir,
    screen::{self, print, print_json, say},
    weighting,
};

/// Arguments of `trunkline replay`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folder of the run.
    run_dir: PathBuf,
    #[command(flatten)]
    weighting: weighting::Arguments,
    /// Print one JSON object with all recorded steps.
    #[arg(long)]
    json: bool,
}

/// A step is against a task if the cosine of the task's gradient with the update is below this.
/// Weights that solve for a right angle miss it by rounding (about 1e-16) and by the error of an
/// iterative solver. A millionth of the largest possible effect does no harm.
const AGAINST: f64 = -1e-6;

/// One recorded step under both weightings.
#[derive(Debug, Serialize)]
struct Step {
    step: u64,
    tasks: Vec<String>,
    #[serde(skip)]
    present: Vec<usize>,
    alpha: Vec<f64>,
    recorded_alpha: Option<Vec<f64>>,
    /// The inner products of the tasks' gradients with the direction of the update.
    products: Option<Vec<f64>>,
    recorded_products: Option<Vec<f64>>,
    /// The smallest cosine of a task's gradient with the direction of the update.
    min_cosine: Option<f64>,
    recorded_min_cosine: Option<f64>,
    certificate: Option<Certificate>,
}

/// How updates served the task that each served worst.
#[derive(Debug, Serialize)]
struct Worst {
    /// Steps whose smallest cosine is known. It is unknown without inner products or weights, and
    /// if the update was 0.
    steps: usize,
    /// The mean and the least of the smallest cosines.
    min_cosine_mean: f64,
    min_cosine_least: f64,
    /// Steps with one below [`AGAINST`], and the mean of those.
    steps_against: usize,
    against_mean: Option<f64>,
}

impl Worst {
    fn of(min_cosines: impl Iterator<Item = Option<f64>>) -> Option<Self> {
        let known: Vec<f64> = min_cosines.flatten().collect();
        let against: Vec<f64> = known.iter().copied().filter(|cosine| *cosine < AGAINST).collect();
        let mean = |cosines: &[f64]| cosines.iter().sum::<f64>() / cosines.len() as f64;
        (!known.is_empty()).then(|| Worst {
            steps: known.len(),
            min_cosine_mean: mean(&known),
            min_cosine_least: known.iter().copied().fold(1.0, f64::min),
            steps_against: against.len(),
            against_mean: (!against.is_empty()).then(|| mean(&against)),
        })
    }
}

/// Prints the weights of both weightings.
///
/// # Errors
/// The run has no records that the weighting can use.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    check(&arguments.weighting.weighting()?)?;
    let recorded = recorded::read(&arguments.run_dir)?;
    let tasks = recorded.tasks();
    let (weighting, method) = arguments.weighting.build(&tasks)?;
    if method.needs().contains(&Need::Gramian) {
        recorded.check_gramians(&arguments.run_dir)?;
    }
    let loaded = run_dir::experiment(&arguments.run_dir)?;
    let (seed, optimizer) = (loaded.experiment.seed, &loaded.experiment.train.optimizer);
    let mut replay = Replay { recorded: &recorded, method: method.as_ref(), optimizer, seed, state: None };
    let steps: Vec<Step> =
        recorded.records.iter().filter_map(|record| replay.step(record).transpose()).collect::<Result<_, _>>()?;
    if steps.is_empty() {
        return Err(Failure::Refused(format!(
            "{}: the run recorded no step's weighting; `tracking.weighting_every` says how often it does",
            arguments.run_dir.display()
        )));
    }
    let was = recorded.records[0].method.as_str();
    let worst = Worst::of(steps.iter().map(|step| step.min_cosine));
    let recorded_worst = Worst::of(steps.iter().map(|step| step.recorded_min_cosine));
    if arguments.json {
        let object = json!({
            "run_dir": arguments.run_dir, "method": weighting.method(), "recorded_method": was, "steps": steps,
            "against_below": AGAINST, "replayed": worst, "recorded": recorded_worst,
        });
        return print_json(&object).map_err(Failure::failed);
    }
    if !steps.iter().zip(1..).all(|(step, number)| step.step == number) {
        say("note: not every step is recorded (`tracking.weighting_every`, `tracking.gramian_every`); \
             a weighting with a state learns from the recorded ones alone");
    }
    let heading = format!("{weighting} on {} recorded steps of {was}", steps.len());
    let width = screen::width();
    print(&format!("{heading}; a task's weight as recorded -> replayed\n{}", shown::weights(&tasks, &steps, width)));
    if let Some(worst) = worst {
        print(&shown::worst(was, recorded_worst.as_ref(), &worst, width));
    }
    Ok(())
}

/// Refuses a weighting that needs more than what runs record.
fn check(weighting: &Weighting) -> Result<(), Failure> {
    let Some(what) = weighting.needs().into_iter().find_map(unrecorded) else { return Ok(()) };
    let is_served = |weighting: Weighting| weighting.needs().into_iter().all(|need| unrecorded(need).is_none());
    let with_defaults = |name: &&str| arguments::weighting(name, Default::default()).is_ok_and(is_served);
    let names: Vec<&str> = Weighting::names().into_iter().filter(with_defaults).collect();
    Err(Failure::Refused(format!(
        "{weighting} can't be replayed: it needs {what}, and a run records losses and the Gramian alone\n = these can be replayed: {}",
        names.join(", ")
    )))
}

/// The name of something that a method may need, if runs don't record it.
fn unrecorded(need: Need) -> Option<&'static str> {
    match need {
        Need::Jacobian => Some("the per-task gradients"),
        Need::GramianByBlock => Some("a Gramian for each block"),
        Need::GramianCross => Some("inner products between the halves of a batch"),
        Need::LossesAfter => Some("losses after the update"),
        Need::LossesBefore | Need::LossesWith | Need::Gramian => None,
    }
}

struct Replay<'a> {
    recorded: &'a Recorded,
    method: &'a dyn Method,
    optimizer: &'a Optimizer,
    seed: u64,
    state: Option<State>,
}

impl Replay<'_> {
    /// The weights for one record; `None` if it lacks what the method needs.
    fn step(&mut self, record: &journal::WeightingRecord) -> Result<Option<Step>, Failure> {
        let gramian = recorded::gramian(record);
        if gramian.is_none() && self.method.needs().contains(&Need::Gramian) {
            return Ok(None);
        }
        let tasks = self.recorded.tasks().len();
        let present = self.recorded.present(record)?;
        let losses = numbers(&record.losses);
        let step = record.step.saturating_sub(1);
        let moment = Moment {
            step,
            epoch: step / self.recorded.plan.steps_per_epoch(),
            tasks,
            present: &present,
            optimizer: self.optimizer,
            learning_rate: record.learning_rate.0,
            stream: Stream::new(self.seed, Purpose::Weighting, &[step]),
        };
        let statistics = Statistics { losses: Some(&losses), gramian: gramian.as_ref(), ..Statistics::default() };
        let state = self.state.get_or_insert_with(|| self.method.state(tasks, 0));
        let failed = |failure| Failure::Failed(format!("step {}: {failure}", record.step));
        let outcome = self.method.weigh(&moment, &statistics, state).map_err(failed)?;
        let observed = Observed { losses: &losses, losses_after: None };
        self.method.learn(&moment, &observed, state).map_err(failed)?;
        let alpha = outcome.combination.alpha();
        let alpha = alpha.ok_or_else(|| {
            Failure::Failed(format!("step {}: the weighting has no single weight for each task", record.step))
        })?;
        let products = gramian.as_ref().map(|gramian| gramian.times(alpha));
        let recorded_alpha = record.alpha.as_deref().map(numbers);
        let recorded_min_cosine = match (&gramian, &recorded_alpha) {
            (Some(gramian), Some(alpha)) => min_cosine(gramian, alpha),
            (Some(gramian), None) => recorded_min_cosine(gramian, record),
            (None, _) => None,
        };
        Ok(Some(Step {
            step: record.step,
            tasks: record.tasks.clone(),
            alpha: alpha.to_vec(),
            products,
            min_cosine: gramian.as_ref().and_then(|gramian| min_cosine(gramian, alpha)),
            recorded_min_cosine,
            recorded_alpha,
            recorded_products: record.products.as_deref().map(numbers),
            certificate: outcome.certificate,
            present,
        }))
    }
}

/// The smallest cosine of a gradient with the sum of all gradients by these weights.
fn min_cosine(gramian: &Gramian, alpha: &[f64]) -> Option<f64> {
    gramian.cosines_with(alpha).into_iter().flatten().reduce(f64::min)
}

/// The smallest cosine of a gradient with a recorded direction that is not a weighted sum.
fn recorded_min_cosine(gramian: &Gramian, record: &journal::WeightingRecord) -> Option<f64> {
    let (products, length) = (record.products.as_ref()?, record.direction_norm?.0);
    let cosines = products.iter().zip(gramian.norms()).filter(|(_, norm)| *norm > 0.0);
    (length > 0.0).then(|| cosines.map(|(product, norm)| product.0 / norm / length).reduce(f64::min))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_negative_by_rounding_is_not_against_a_task() {
        let worst = Worst::of([Some(-1e-17), None, Some(-2e-6), Some(-0.5), Some(0.3)].into_iter()).expect("known");
        assert_eq!((worst.steps, worst.steps_against, worst.min_cosine_least), (4, 2, -0.5));
        assert!((worst.min_cosine_mean - -0.200002 / 4.0).abs() < 1e-15, "{worst:?}");
        assert!((worst.against_mean.expect("two are") - -0.500002 / 2.0).abs() < 1e-15, "{worst:?}");
        assert!(Worst::of([None].into_iter()).is_none());
    }

    #[test]
    fn the_smallest_cosine_is_that_of_the_task_that_is_served_worst() {
        let gramian = Gramian::new(3, vec![1.0, -0.6, 0.0, -0.6, 1.0, 0.0, 0.0, 0.0, 0.0]);
        let expected = (-0.6 + 0.2) / (1.0f64 + 0.04 - 2.0 * 0.2 * 0.6).sqrt();
        let found = min_cosine(&gramian, &[1.0, 0.2, 5.0]).expect("known");
        assert!((found - expected).abs() < 1e-15, "{found}, not {expected}");
        // Halfway between: at a right angle to one, up to rounding.
        let found = min_cosine(&gramian, &[1.0, 0.6, 0.0]).expect("known");
        assert!(found.abs() < 1e-15, "{found}");
        assert_eq!(min_cosine(&gramian, &[0.0, 0.0, 1.0]), None);
    }
}
