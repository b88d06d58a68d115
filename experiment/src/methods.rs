//! Checks that robust sum and weighting fit the rest of the experiment.

use aggregation::weighting::Need;

use crate::experiment::Experiment;
use crate::fault::Fault;
use crate::model_parts::Misfit;

/// Checks that the robust sum fits the number of microbatches and the weighting.
pub(crate) fn check_robust(experiment: &Experiment) -> Result<(), Fault> {
    let Some(robust) = &experiment.train.robust else { return Ok(()) };
    let path = ["train", "robust"];
    if experiment.weighting.needs().contains(&Need::GramianCross) {
        let method = experiment.weighting.method();
        let message = format!(
            "`{method}` needs the gradients of two halves of the microbatches, of which there is no robust sum"
        );
        return Err(Fault::value(&path, message).help("leave `robust` out, or choose another `weighting.method`"));
    }
    robust.check(experiment.train.microbatches).map_err(|invalid| Fault::from(invalid).under("robust").under("train"))
}

/// Checks that the weighting fits the tasks, if their names are known without the data.
pub(crate) fn check_weighting(experiment: &Experiment) -> Result<(), Fault> {
    if experiment.has_templates() {
        return Ok(());
    }
    let tasks: Vec<&str> = experiment.tasks.keys().map(String::as_str).collect();
    experiment.weighting.build(&tasks).map(drop).map_err(|invalid| Fault::from(invalid).under("weighting"))
}

/// A part that the model refuses, as a fault of its key.
pub(crate) fn misfit(Misfit { path, invalid }: Misfit) -> Fault {
    path.into_iter().rfold(Fault::from(invalid), Fault::under)
}
