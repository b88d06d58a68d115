//! `trunkline replay`: what another weighting would have made of the steps that a run has recorded, without training.
//!
//! The parameters are those of the run: what is shown is how the other method weighs the same gradients, not where it would have led. A method with
//! a state learns from the recorded steps alone.

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
    exit::{Failure, print, say},
    recorded::{self, Recorded, numbers},
    table, weighting,
};

/// Arguments of `trunkline replay`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The run's folder.
    run_dir: PathBuf,
    #[command(flatten)]
    weighting: weighting::Arguments,
    /// Print one JSON object with all recorded steps.
    #[arg(long)]
    json: bool,
}

/// So many steps are shown to people.
const ROWS_MAX: usize = 12;

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
    certificate: Option<Certificate>,
}

/// Replays.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    check(&arguments.weighting.weighting()?)?;
    let recorded = recorded::read(&arguments.run_dir)?;
    let tasks = recorded.tasks();
    let (weighting, method) = arguments.weighting.build(&tasks)?;
    if method.needs().contains(&Need::Gramian) {
        recorded.check_gramians(&arguments.run_dir)?;
    }
    let loaded = experiment::load(&arguments.run_dir.join("experiment.toml"), &[]).map_err(Failure::refused)?;
    let (seed, optimizer) = (loaded.experiment.seed, &loaded.experiment.train.optimizer);
    let mut replay = Replay { recorded: &recorded, method: method.as_ref(), optimizer, seed, state: None };
    let steps: Vec<Step> =
        recorded.records.iter().filter_map(|record| replay.step(record).transpose()).collect::<Result<_, _>>()?;
    if steps.is_empty() {
        return Err(Failure::Refused(format!("{}: no step's weighting is recorded", arguments.run_dir.display())));
    }
    let was = recorded.records[0].method.as_str();
    if arguments.json {
        let object = json!({
            "run_dir": arguments.run_dir, "method": weighting.method(), "recorded_method": was, "steps": steps,
        });
        print(&object.to_string());
        return Ok(());
    }
    if !steps.iter().zip(1..).all(|(step, number)| step.step == number) {
        say("note: not every step has a record that serves (`tracking.weighting_every`, `tracking.gramian_every`); \
             a method with a state learns from those that do");
    }
    print(&describe(&weighting, was, &tasks, &steps));
    Ok(())
}

/// Refuses what records can't serve.
fn check(weighting: &Weighting) -> Result<(), Failure> {
    let Some(what) = weighting.needs().into_iter().find_map(unrecorded) else { return Ok(()) };
    let is_served = |weighting: Weighting| weighting.needs().into_iter().all(|need| unrecorded(need).is_none());
    let with_defaults = |name: &&str| arguments::weighting(name, Default::default()).is_ok_and(is_served);
    let names: Vec<&str> = Weighting::names().into_iter().filter(with_defaults).collect();
    Err(Failure::Refused(format!(
        "{weighting} needs {what}; a run records losses and the inner products of whole gradients\n = with their defaults can be replayed: {}",
        names.join(", ")
    )))
}

/// What a run does not record of what a method may need.
fn unrecorded(need: Need) -> Option<&'static str> {
    match need {
        Need::Jacobian => Some("the gradients themselves"),
        Need::GramianByBlock => Some("inner products by block"),
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
    /// The weights of one record; none where it lacks what the method needs.
    fn step(&mut self, record: &journal::Weighting) -> Result<Option<Step>, Failure> {
        let gramian = recorded::gramian(record)?;
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
        let alpha = alpha.ok_or_else(|| Failure::Failed(format!("step {}: no single weight a task", record.step)))?;
        let products = gramian.as_ref().map(|gramian: &Gramian| gramian.times(alpha));
        Ok(Some(Step {
            step: record.step,
            tasks: record.tasks.clone(),
            alpha: alpha.to_vec(),
            recorded_alpha: record.alpha.as_deref().map(numbers),
            products,
            recorded_products: record.products.as_deref().map(numbers),
            certificate: outcome.certificate,
            present,
        }))
    }
}

fn describe(weighting: &Weighting, was: &str, tasks: &[&str], steps: &[Step]) -> String {
    let header: Vec<String> =
        ["step".to_owned()].into_iter().chain(tasks.iter().map(|task| format!("{task}: {was} -> replay"))).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut rows = table::new(&header);
    let last = steps.len() - 1;
    let shown = ROWS_MAX.min(steps.len());
    for row in 0..shown {
        let step = &steps[if shown == 1 { 0 } else { row * last / (shown - 1) }];
        let cell = |task: usize| match step.present.iter().position(|present| *present == task) {
            None => "-".to_owned(),
            Some(at) => {
                let recorded = step.recorded_alpha.as_ref().map(|alpha| format!("{:.4}", alpha[at]));
                format!("{} -> {:.4}", recorded.unwrap_or_else(|| "-".to_owned()), step.alpha[at])
            }
        };
        rows.add_row(std::iter::once(step.step.to_string()).chain((0..tasks.len()).map(cell)));
    }
    let mut text = format!("{rows}\n{weighting} on {} recorded steps of {was}", steps.len());
    let harming = |products: fn(&Step) -> Option<&Vec<f64>>| {
        let known = || steps.iter().filter_map(products);
        let harmed = known().filter(|products| products.iter().any(|product| *product < 0.0)).count();
        (known().count() > 0).then(|| format!("{harmed} of {}", known().count()))
    };
    if let Some(replayed) = harming(|step| step.products.as_ref()) {
        let was = harming(|step| step.recorded_products.as_ref()).unwrap_or_else(|| "an unknown number".to_owned());
        text += &format!(
            "; steps in which the update is against a task's gradient: {was} as recorded, {replayed} replayed"
        );
    }
    text
}
