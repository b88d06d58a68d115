//! From an experiment file to everything that a run needs before its first worker.

mod settings;

use std::{path::PathBuf, sync::Arc};

use aggregation::weighting::{Method, Need};
use datasets::{DataError, Plan, Prepared, Watch};
use experiment::{Experiment, ExperimentError, Loaded, Order, SplitName};
use model::{Device, ModelError, Network};

use crate::{
    digest,
    run::{Chunks, FeedWork},
};

/// Default budget for per-task gradients that are only recorded: 1/100 of the run's multiply-adds.
const UNASKED_PART: u64 = 100;
/// By default no per-task gradients are recorded if those of a step are larger than this, bytes.
const UNASKED_BYTES_MAX: usize = 16 << 20;

/// An experiment that can be trained.
pub struct Setup {
    /// The experiment and the file that it comes from.
    pub loaded: Loaded,
    /// Plan, labels and a summary of the data.
    pub prepared: Prepared,
    /// The network, for the layout and the initial parameters.
    pub network: Network,
    /// How tasks become one update.
    pub method: Box<dyn Method>,
    /// Updates after which training ends.
    pub steps: u64,
    /// The device that workers compute on.
    pub device: Device,
}

/// Why an experiment can't be trained. The user can correct it.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The experiment file is wrong.
    #[error(transparent)]
    Experiment(#[from] Box<ExperimentError>),
    /// The data can't be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model or the device can't be used.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl Setup {
    /// Reads the data, fits the preprocessing, builds the network.
    ///
    /// # Errors
    /// [`SetupError`], which names the place in the file, the table, the column or the row.
    pub fn prepare(loaded: Loaded, device: Device) -> Result<Setup, SetupError> {
        Setup::prepare_watched(loaded, device, &|_| {})
    }

    /// [`Setup::prepare`], and `watch` is told how far the tables are read.
    ///
    /// # Errors
    /// As [`Setup::prepare`].
    pub fn prepare_watched(loaded: Loaded, device: Device, watch: Watch<'_>) -> Result<Setup, SetupError> {
        device.burn()?;
        let prepared = datasets::prepare_watched(&loaded, watch)?;
        let plan = &prepared.plan;
        let method = loaded
            .experiment
            .weighting
            .build(&task_names(plan))
            .map_err(|invalid| Box::new(loaded.source.refused(&["weighting"], invalid)))?;
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

    /// Whether the weighting needs per-task gradients.
    pub fn is_per_task(&self) -> bool {
        self.method.needs().iter().any(|need| need.is_per_task())
    }

    /// The most workers that have something to do in a step: the number of microbatches, times the
    /// number of feeds if the weighting needs per-task gradients.
    pub fn work_items(&self) -> u32 {
        let plan = &self.prepared.plan;
        plan.microbatches() * if self.is_per_task() { plan.feeds().len() as u32 } else { 1 }
    }

    /// The weighting in its initial state.
    ///
    /// # Panics
    /// Never: the same weighting was built when the setup was prepared.
    pub fn build_method(&self) -> Box<dyn Method> {
        let method = self.loaded.experiment.weighting.build(&task_names(&self.prepared.plan));
        method.expect("built once when the setup was prepared")
    }

    /// Steps between two for which per-task gradients are computed only to record their inner
    /// products. `None`: there are no such steps.
    pub fn gramian_interval(&self) -> Option<u64> {
        let tasks = self.prepared.plan.shapes().tasks.len();
        match self.loaded.experiment.tracking.gramian_every {
            // One task has no conflict with others.
            _ if tasks < 2 => None,
            Some(every) => (every > 0).then_some(every),
            None if self.is_per_task() => None,
            None => self.unasked_interval(tasks),
        }
    }

    /// The default of [`Setup::gramian_interval`] if the weighting needs no per-task gradients.
    fn unasked_interval(&self, tasks: usize) -> Option<u64> {
        let layout = self.network.layout();
        let elements: usize = (0..tasks).map(|task| layout.span(task).len()).sum();
        if elements * size_of::<f32>() > UNASKED_BYTES_MAX {
            return None;
        }
        let feeds = 0..self.prepared.plan.feeds().len();
        let update: u64 = feeds.map(|feed| 3 * self.forward_multiply_adds(feed)).sum();
        let by_task: u64 = self.feed_work().iter().map(|feed| feed.cost).sum();
        Some((UNASKED_PART * by_task).div_ceil(update.max(1)))
    }

    /// Multiply-adds of the forward pass of a feed's rows in a step, through the layers of all its
    /// tasks.
    pub fn forward_multiply_adds(&self, feed: usize) -> u64 {
        let plan = &self.prepared.plan;
        self.network.multiply_adds(feed, &plan.feeds()[feed].tasks) * u64::from(plan.batch_size(feed))
    }

    /// The work of computing each feed's per-task gradients: a forward pass of its rows, and a
    /// backward pass for each task, which takes about twice as long.
    pub fn feed_work(&self) -> Vec<FeedWork> {
        let plan = &self.prepared.plan;
        let feed = |(feed, tasks): (usize, &[usize])| {
            let alone = tasks.iter().map(|task| self.network.multiply_adds(feed, &[*task]));
            let row = self.network.multiply_adds(feed, tasks) + 2 * alone.sum::<u64>();
            FeedWork { tasks: tasks.len() as u32, cost: row * u64::from(plan.batch_size(feed)) }
        };
        plan.feeds().iter().map(|feed| &feed.tasks[..]).enumerate().map(feed).collect()
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

    /// The experiment with absolute paths, so that it can be trained from any folder.
    pub fn resolved(&self) -> Experiment {
        let mut experiment = self.loaded.experiment.clone();
        let base = self.base();
        for path in experiment.datasets.values_mut().flat_map(|dataset| dataset.paths_mut()) {
            *path = base.join(&*path).to_string_lossy().into_owned();
        }
        experiment
    }

    /// The plan as it is sent and saved.
    pub fn plan_json(&self) -> String {
        serde_json::to_string(&*self.prepared.plan).expect("a plan has text keys and serialises")
    }

    /// The sha256 of the plan's rows and labels. It does not depend on where the files are.
    pub fn data_sha256(&self) -> String {
        let plan = &self.prepared.plan;
        let said = serde_json::to_vec(&(plan.feeds(), plan.tasks())).expect("a plan has text keys and serialises");
        digest::sha256(&said)
    }

    /// Shares the plan.
    pub fn plan(&self) -> Arc<datasets::Plan> {
        Arc::clone(&self.prepared.plan)
    }
}

fn task_names(plan: &Plan) -> Vec<&str> {
    plan.shapes().tasks.iter().map(|task| task.name.as_str()).collect()
}

/// Refuses a method that needs two independent halves of a batch if there are none.
fn refuse_without_halves(loaded: &Loaded, method: &dyn Method, plan: &Plan) -> Result<(), SetupError> {
    if !method.needs().contains(&Need::GramianCross) {
        return Ok(());
    }
    let name = loaded.experiment.weighting.method();
    let refuse = |key: &[&str], message: String| Err(Box::new(loaded.source.error_at(key, message)).into());
    if plan.microbatches() < 2 {
        let message = format!("the weighting `{name}` compares two halves of the batch: give at least 2 microbatches");
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
