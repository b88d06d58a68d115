//! From an experiment file to everything that a run needs before its first worker.

mod settings;

use std::{path::PathBuf, sync::Arc};

use aggregation::weighting::{Method, Need};
use datasets::{DataError, Plan, Prepared};
use experiment::{Experiment, ExperimentError, Loaded, Order, SplitName};
use model::{Device, ModelError, Network};

use crate::{
    digest,
    run::{Chunks, FeedWork},
};

/// Where nobody says how often, gradients by task that the update does without take this part of a
/// run's arithmetic.
const UNASKED_PART: u64 = 100;
/// And none are computed where the vectors of a step are larger than this.
const UNASKED_BYTES_MAX: usize = 16 << 20;

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
        let method = loaded.experiment.weighting.build(&task_names(plan)).map_err(|invalid| {
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

    /// Whether the update is made of gradients by task.
    pub fn is_per_task(&self) -> bool {
        self.method.needs().iter().any(|need| need.is_per_task())
    }

    /// Pieces that a step's gradient can be divided into at most: microbatches, of each feed by
    /// itself in per-task mode.
    pub fn work_items(&self) -> u32 {
        let plan = &self.prepared.plan;
        plan.microbatches() * if self.is_per_task() { plan.feeds().len() as u32 } else { 1 }
    }

    /// The weighting, in its first state.
    ///
    /// # Panics
    /// It was built once when the setup was prepared.
    pub fn build_method(&self) -> Box<dyn Method> {
        let method = self.loaded.experiment.weighting.build(&task_names(&self.prepared.plan));
        method.expect("built once when the setup was prepared")
    }

    /// Steps between two that are written down with the inner products of the tasks' gradients,
    /// beside those that are written down anyway; `None`: no others.
    pub fn gramian_interval(&self) -> Option<u64> {
        let tasks = self.prepared.plan.shapes().tasks.len();
        match self.loaded.experiment.tracking.gramian_every {
            // One task has nothing to share.
            _ if tasks < 2 => None,
            Some(every) => (every > 0).then_some(every),
            None if self.is_per_task() => None,
            None => self.unasked_interval(tasks),
        }
    }

    /// The same where nobody says it and the update does without the tasks' gradients.
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

    /// Of a feed's rows in a step, through all of their tasks' layers.
    pub fn forward_multiply_adds(&self, feed: usize) -> u64 {
        let plan = &self.prepared.plan;
        self.network.multiply_adds(feed, &plan.feeds()[feed].tasks) * u64::from(plan.batch_size(feed))
    }

    /// What each feed's gradients by task mean: a forward pass of its rows, and a backward pass for
    /// each task, of about twice that.
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

    /// The experiment with absolute paths, which can be trained again from wherever it lies.
    pub fn resolved(&self) -> Experiment {
        let mut experiment = self.loaded.experiment.clone();
        let base = self.base();
        for path in experiment.datasets.values_mut().flat_map(|dataset| dataset.path.iter_mut()) {
            *path = base.join(&*path).to_string_lossy().into_owned();
        }
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
