//! Checks that an answer belongs to its work and has the right shape. The computing thread relies
//! on that.

use aggregation::tree::Node;
use datasets::Prepared;
use experiment::TaskShape;
use proto::message::{Envelope, Vector, WorkKind, WorkResult};

use super::connection::Asked;

/// What is wrong with a worker's answer, if anything is.
pub(super) fn fault(asked: &Asked, envelope: &Envelope, result: &WorkResult, prepared: &Prepared) -> Option<String> {
    let shapes = prepared.plan.shapes();
    if (envelope.step, envelope.phase) != (asked.step, asked.phase) {
        let (step, phase) = (envelope.step, envelope.phase);
        return Some(format!(
            "a result of step {step}, phase {phase}, for work of step {}, phase {}",
            asked.step, asked.phase
        ));
    }
    if result.node != asked.node || result.vectors.iter().any(|vector| vector.node != asked.node) {
        return Some("a result for another node than was asked for".into());
    }
    let announced = |vector: &Vector| (vector.task, vector.lo as usize..vector.hi as usize);
    if !result.vectors.iter().map(announced).eq(asked.vectors.iter().cloned()) {
        return Some("vectors of other tasks or lengths than were asked for".into());
    }
    let is_evaluation = asked.kind == WorkKind::Evaluate;
    let losses = if is_evaluation { 0 } else { shapes.tasks.len() };
    if !result.losses.iter().map(|sum| sum.task).eq(0..losses) {
        return Some("loss sums of other tasks than were asked for".into());
    }
    let is_asked = |(_, task): &(usize, &TaskShape)| is_evaluation && asked.feeds.contains(&(task.feed as u32));
    let tasks = shapes.tasks.iter().enumerate().filter(is_asked).map(|(number, _)| number as u32);
    if !result.sums.iter().map(|(task, _)| *task).eq(tasks) {
        return Some("metric sums of other tasks than were asked for".into());
    }
    result.sums.iter().find_map(|(task, sums)| {
        let (number, task) = (*task as usize, &shapes.tasks[*task as usize]);
        if !task.measures().fits(sums) {
            return Some(format!("metric sums of task `{}` that its kind can't have", task.name));
        }
        let planned = prepared.labels.labelled_in_chunks(number, asked.split, asked.node.lo..asked.node.hi);
        let (Node { lo, hi }, split) = (asked.node, asked.split.name());
        (sums.rows != planned).then(|| {
            let (name, rows) = (&task.name, sums.rows);
            format!("it counted {rows} labels of task `{name}` in {split} chunks [{lo}, {hi}), where {planned} are")
        })
    })
}
