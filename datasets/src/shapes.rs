//! The sizes that a task's labels give to the model, as they follow from the plan.

use experiment::{TaskShape, Units};

use crate::target::{TargetEncoding, TaskPlan};

/// The shape of a task.
pub(crate) fn task(task: &TaskPlan) -> TaskShape {
    let units = match &task.encoding {
        TargetEncoding::Scaled { offset, scale, log1p } => {
            Units { offset: offset.clone(), scale: scale.clone(), log1p: *log1p }
        }
        _ => Units::default(),
    };
    let classes = match &task.encoding {
        TargetEncoding::Scaled { .. } => Vec::new(),
        TargetEncoding::Classes(classes) | TargetEncoding::Binary(classes) => classes.names(),
        TargetEncoding::Indicators => task.columns.clone(),
    };
    TaskShape {
        name: task.name.clone(),
        template: task.template.clone(),
        feed: task.feed,
        kind: task.kind,
        outputs: task.outputs(),
        classes,
        units,
        baseline_loss: task.baseline_loss.iter().map(|(split, loss)| (*split, loss.0)).collect(),
        metrics: task.metrics.clone(),
        loss: task.loss.clone(),
        weight: task.weight,
        head: task.head.clone(),
    }
}
