//! The sizes that the data give to the model, as they follow from the plan.

use experiment::{EmbeddingShape, FeedShape, InputShape, Shapes, TaskShape};

use crate::encoding::Encoding;
use crate::plan::{FeedPlan, Written};
use crate::target::{TargetEncoding, TaskPlan};

/// The shapes of a plan.
pub(crate) fn of(plan: &Written) -> Shapes {
    Shapes {
        feeds: plan.feeds.iter().map(|feed| feed_shape(plan, feed)).collect(),
        tasks: plan.tasks.iter().map(task_shape).collect(),
    }
}

fn feed_shape(plan: &Written, feed: &FeedPlan) -> FeedShape {
    let embeddings = feed.features.iter().filter_map(|feature| match &feature.encoding {
        Encoding::Embedding { width, .. } => Some(EmbeddingShape {
            column: feature.column.clone(),
            rows: feature.encoding.embedding_rows().expect("an embedding has rows"),
            width: *width,
        }),
        _ => None,
    });
    FeedShape {
        name: feed.name.clone(),
        dataset: plan.tables[feed.table].name.clone(),
        width: feed.dense_width(),
        embeddings: embeddings.collect(),
        input: InputShape::Table,
    }
}

fn task_shape(task: &TaskPlan) -> TaskShape {
    let (offset, scale, log1p) = match &task.encoding {
        TargetEncoding::Scaled { offset, scale, log1p } => (offset.clone(), scale.clone(), *log1p),
        _ => (vec![0.0; task.outputs()], vec![1.0; task.outputs()], false),
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
        class_weights: task.class_weights.clone(),
        offset,
        scale,
        log1p,
        baseline_loss: task.baseline_loss.iter().map(|(split, loss)| (*split, loss.0)).collect(),
        metrics: task.metrics.clone(),
        loss: task.loss.clone(),
        weight: task.weight,
        head: task.head.clone(),
    }
}
