//! From an experiment file to everything that a run needs before its first worker.

use std::{path::PathBuf, sync::Arc};

use aggregation::weighting::{Method, Need};
use datasets::{DataError, Plan, Prepared};
use experiment::{Experiment, ExperimentError, Loaded, Order, SplitName};
use model::{Device, ModelError, Network};

use crate::{checkpoint, resume::each_path, run::Chunks};

/// An experiment that can be trained.
pub struct Setup {
    /// The experiment and where it came from.
    pub loaded: Loaded,
    /// Plan, labels and a summary of the data.
    pub prepared: Prepared,
    /// The network, for layout and first parameters.
    pub network: Network,
    /// How tasks become one update.
    pub method: Box<dyn Method>,
    /// Updates to be done.
    pub steps: u64,
    /// The device that workers compute on.
    pub device: Device,
}

/// Why an experiment can't be trained: the user's to mend.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The experiment file.
    #[error(transparent)]
    Experiment(#[from] Box<ExperimentError>),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model or the device.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl Setup {
    /// Reads the data, fits the preprocessing, builds the network.
    ///
    /// # Errors
    /// [`SetupError`] names the place in the file, the table, the column or the row.
    pub fn prepare(loaded: Loaded, device: Device) -> Result<Setup, SetupError> {
        device.burn()?;
        let prepared = datasets::prepare(&loaded)?;
        let plan = &prepared.plan;
        let names: Vec<&str> = plan.shapes().tasks.iter().map(|task| task.name.as_str()).collect();
        let method = loaded.experiment.weighting.build(&names).map_err(|invalid| {
            let key = ["weighting", invalid.key.as_str()];
            Box::new(loaded.source.error_at(&key, invalid.to_string()))
        })?;
        refuse_without_halves(&loaded, method.as_ref(), plan)?;
        let feeds = 0..plan.feeds().len();
        let sizes = feeds.map(|feed| (plan.rows(feed, SplitName::Train), plan.batch_size(feed)));
        let steps = loaded.experiment.train.total_steps(sizes);
        let network = Network::new(&loaded.experiment, plan.shapes(), &Device::Flex)?;
        Ok(Setup { network, method, steps, device, prepared, loaded })
    }

    /// Chunks of the splits that are evaluated, by feed.
    pub fn chunks(&self) -> Vec<Chunks> {
        let plan = &self.prepared.plan;
        (0..plan.feeds().len())
            .map(|feed| Chunks {
                validation: plan.chunks(feed, SplitName::Validation),
                test: plan.chunks(feed, SplitName::Test),
            })
            .collect()
    }

    /// Pieces that a step's gradient can be divided into at most: microbatches, of each feed by itself in per-task mode.
    pub fn units(&self) -> u32 {
        let plan = &self.prepared.plan;
        let is_per_task = self.method.needs().iter().any(|need| need.is_per_task());
        plan.microbatches() * if is_per_task { plan.feeds().len() as u32 } else { 1 }
    }

    /// Rows of all feeds in a step.
    pub fn rows_per_step(&self) -> u64 {
        let plan = &self.prepared.plan;
        (0..plan.feeds().len()).map(|feed| u64::from(plan.batch_size(feed))).sum()
    }

    /// The folder that the experiment's paths start from, absolute.
    pub fn base(&self) -> PathBuf {
        std::path::absolute(&self.loaded.base).unwrap_or_else(|_| self.loaded.base.clone())
    }

    /// The experiment with absolute paths, which can be trained again from wherever it lies.
    pub fn resolved(&self) -> Experiment {
        let mut experiment = self.loaded.experiment.clone();
        let base = self.base();
        each_path(&mut experiment, |path| *path = base.join(&*path).to_string_lossy().into_owned());
        experiment
    }

    /// The plan as it is sent and saved.
    pub fn plan_json(&self) -> String {
        serde_json::to_string(&*self.prepared.plan).expect("a plan has text keys and serialises")
    }

    /// The sha256 of what the plan says of rows and labels, wherever the files lie.
    pub fn data_sha256(&self) -> String {
        let plan = &self.prepared.plan;
        let said = serde_json::to_vec(&(plan.feeds(), plan.tasks())).expect("a plan has text keys and serialises");
        checkpoint::sha256(&said)
    }

    /// Shares the plan.
    pub fn plan(&self) -> Arc<datasets::Plan> {
        Arc::clone(&self.prepared.plan)
    }
}

/// Refuses methods that need two independent halves of a batch where there are none.
fn refuse_without_halves(loaded: &Loaded, method: &dyn Method, plan: &Plan) -> Result<(), SetupError> {
    if !method.needs().contains(&Need::GramianCross) {
        return Ok(());
    }
    let name = loaded.experiment.weighting.method();
    let refuse = |key: &[&str], message: String| Err(Box::new(loaded.source.error_at(key, message)).into());
    if plan.microbatches() < 2 {
        let message =
            format!("the weighting `{name}` compares two halves of the batch: it needs at least 2 microbatches");
        return refuse(&["train", "microbatches"], message);
    }
    let mut feeds = plan.feeds().iter().zip(&plan.shapes().feeds);
    match feeds.find(|(feed, _)| feed.order == Order::File) {
        None => Ok(()),
        Some((_, shape)) => {
            let message = format!(
                "the weighting `{name}` compares two halves of the batch, which are alike only with `order = \"shuffled\"`"
            );
            refuse(&["dataset", &shape.dataset, "order"], message)
        }
    }
}
