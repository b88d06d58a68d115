//! The tasks' gradients of a step in per-task mode: from the workers' vectors to the statistics that a weighting needs, and from its answer to
//! one gradient.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use aggregation::{Gramian, gramian::inner, matrix::combine, tree::Node, weighting::Combination};
use model::Layout;
use rayon::prelude::*;

use super::reduce::{Missing, sum_into};

/// The vectors of one task: the range of the layout that they hold, and who sums over which microbatches.
#[derive(Debug, Default)]
pub(super) struct TaskVectors<'a> {
    pub(super) span: Range<usize>,
    pub(super) nodes: BTreeMap<Node, &'a [f32]>,
}

/// The vectors of a step by task.
pub(super) type ByTask<'a> = BTreeMap<usize, TaskVectors<'a>>;

/// J over the shared blocks: a row for each task, in the order of `present`. A row that one worker has summed up is not copied.
///
/// # Errors
/// [`Missing`] where the vectors do not cover the node.
pub(super) fn rows<'a>(
    layout: &Layout,
    present: &[usize],
    vectors: &ByTask<'a>,
    node: Node,
) -> Result<Vec<Cow<'a, [f32]>>, Missing> {
    let shared = layout.shared();
    let row = |task: &usize| {
        let task = vectors.get(task).ok_or(Missing(node))?;
        if let ([range], Some(vector)) = (&shared[..], task.nodes.get(&node))
            && task.span.start <= range.start
            && range.end <= task.span.end
        {
            return Ok(Cow::Borrowed(&vector[within(range, &task.span)]));
        }
        let mut row = vec![0.0; shared.iter().map(Range::len).sum()];
        let mut start = 0;
        for range in &shared {
            // Where the task does not reach, the row is zero.
            let reached = range.start.max(task.span.start)..range.end.min(task.span.end);
            if reached.start < reached.end {
                let at = start + reached.start - range.start;
                let sum = &mut row[at..at + reached.len()];
                sum_into(node, &task.nodes, within(&reached, &task.span), sum)?;
            }
            start += range.len();
        }
        Ok(Cow::Owned(row))
    };
    present.par_iter().map(row).collect()
}

fn within(range: &Range<usize>, span: &Range<usize>) -> Range<usize> {
    range.start - span.start..range.end - span.start
}

/// The shared blocks' names and their columns in J, in the order of the layout.
pub(super) fn shared_blocks(layout: &Layout) -> Vec<(&str, Range<usize>)> {
    let mut end = 0;
    let shared = layout.blocks().iter().filter(|block| block.is_shared());
    shared
        .map(|block| {
            let start = end;
            end += block.len();
            (block.name.as_str(), start..end)
        })
        .collect()
}

/// The Gramian of each shared block.
pub(super) fn gramian_by_block<'a>(layout: &'a Layout, rows: &[&[f32]]) -> Vec<(&'a str, Gramian)> {
    let of = |(name, columns): (&'a str, Range<usize>)| {
        let rows: Vec<&[f32]> = rows.iter().map(|row| &row[columns.clone()]).collect();
        (name, Gramian::of_rows(&rows))
    };
    shared_blocks(layout).into_iter().map(of).collect()
}

/// The inner products of the averaged gradients of two halves, of whose labelled rows `left` and `right` are the shares by task:
/// the rows are gradient sums over the rows of both halves.
pub(super) fn gramian_cross(rows: [&[Cow<'_, [f32]>]; 2], shares: [&[f64]; 2]) -> Gramian {
    let [left, right] = rows.map(|rows| rows.iter().map(|row| &**row).collect::<Vec<&[f32]>>());
    let sums = Gramian::cross(&left, &right);
    let tasks = left.len();
    let average = |product: f64, share: f64| if share > 0.0 { product / share } else { 0.0 };
    let value = |i: usize, j: usize| average(sums.at(i, j), shares[0][i] * shares[1][j]);
    Gramian::new(tasks, (0..tasks * tasks).map(|at| value(at / tasks, at % tasks)).collect())
}

/// The direction over the shared blocks that a combination names.
pub(super) fn direction(layout: &Layout, rows: &[&[f32]], combination: Combination) -> Vec<f32> {
    match combination {
        Combination::Alpha(alpha) => combine(rows, &alpha),
        Combination::Direction(direction) => direction,
        Combination::AlphaByBlock(alphas) => {
            let part = |(alpha, (_, columns)): (&Vec<f64>, (&str, Range<usize>))| {
                let rows: Vec<&[f32]> = rows.iter().map(|row| &row[columns.clone()]).collect();
                combine(&rows, alpha)
            };
            alphas.iter().zip(shared_blocks(layout)).flat_map(part).collect()
        }
    }
}

/// The inner product of each task's gradient with the direction.
pub(super) fn products(rows: &[&[f32]], direction: &[f32]) -> Vec<f64> {
    rows.iter().map(|row| inner(row, direction)).collect()
}

/// Writes the whole gradient: the direction into the shared blocks, each present task's own sums into its own blocks, zero into
/// those of the others.
///
/// # Errors
/// [`Missing`] where the vectors do not cover the node.
pub(super) fn spread(
    layout: &Layout,
    direction: &[f32],
    vectors: &ByTask<'_>,
    present: &[usize],
    node: Node,
    gradient: &mut [f32],
) -> Result<(), Missing> {
    let mut start = 0;
    for range in layout.shared() {
        gradient[range.clone()].copy_from_slice(&direction[start..start + range.len()]);
        start += range.len();
    }
    let there: BTreeSet<usize> = present.iter().copied().collect();
    for block in layout.blocks().iter().filter(|block| !block.is_shared()) {
        let own = &mut gradient[block.range()];
        let task = block.tasks.first().filter(|task| there.contains(task)).and_then(|task| vectors.get(task));
        match task {
            Some(task) => sum_into(node, &task.nodes, within(&block.range(), &task.span), own)?,
            None => own.fill(0.0),
        }
    }
    Ok(())
}
