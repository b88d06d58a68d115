//! Per-task gradients of a step: from the workers' vectors to the statistics of a weighting, and
//! from its answer to the combined gradient.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use aggregation::{Gramian, clip, gramian::inner, matrix::combine_into, tree::Node, weighting::Combination};
use model::Layout;
use rayon::prelude::*;

use super::reduce::{Missing, sum_into};

/// The vectors of one task.
#[derive(Debug, Default)]
pub(super) struct TaskVectors<'a> {
    /// The range of the layout that the vectors hold.
    pub(super) span: Range<usize>,
    /// A vector of gradient sums for each node of the microbatches.
    pub(super) nodes: BTreeMap<Node, &'a [f32]>,
}

/// The vectors of a step, by task.
pub(super) type ByTask<'a> = BTreeMap<usize, TaskVectors<'a>>;

/// The Jacobian J over the shared blocks, `[present tasks, shared parameters]`: one row for each
/// task in the order of `present`. A row that one worker has summed is not copied.
///
/// # Errors
/// [`Missing`] if the vectors do not cover the node.
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
            // The row stays zero in blocks that the task does not reach.
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

/// The part `range` of the layout, relative to the start of `span`.
fn within(range: &Range<usize>, span: &Range<usize>) -> Range<usize> {
    range.start - span.start..range.end - span.start
}

/// The names of the shared blocks and their columns in J, in layout order.
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

/// The Gramian of each shared block, `[tasks, tasks]`, with the block's name.
pub(super) fn gramian_by_block<'a>(layout: &'a Layout, rows: &[&[f32]]) -> Vec<(&'a str, Gramian)> {
    let of = |(name, columns): (&'a str, Range<usize>)| {
        let rows: Vec<&[f32]> = rows.iter().map(|row| &row[columns.clone()]).collect();
        (name, Gramian::of_rows(&rows))
    };
    shared_blocks(layout).into_iter().map(of).collect()
}

/// Inner products between the mean gradients of two halves of the microbatches, `[tasks, tasks]`.
///
/// `rows` are each half's per-task gradients, scaled for the whole batch. `shares` are each half's
/// shares of the labelled rows by task, in [0, 1]. A task without rows in a half has zeros.
pub(super) fn gramian_cross(rows: [&[Cow<'_, [f32]>]; 2], shares: [&[f64]; 2]) -> Gramian {
    let [left, right] = rows.map(|rows| rows.iter().map(|row| &**row).collect::<Vec<&[f32]>>());
    let sums = Gramian::cross(&left, &right);
    let tasks = left.len();
    let average = |product: f64, share: f64| if share > 0.0 { product / share } else { 0.0 };
    let value = |i: usize, j: usize| average(sums.at(i, j), shares[0][i] * shares[1][j]);
    Gramian::new(tasks, (0..tasks * tasks).map(|at| value(at / tasks, at % tasks)).collect())
}

/// Whether all gradients are finite.
///
/// The diagonal of a Gramian is enough: a sum of squares of f32 does not overflow in f64.
pub(super) fn are_finite(rows: &[&[f32]], gramian: Option<&Gramian>) -> bool {
    match gramian {
        Some(gramian) => (0..rows.len()).all(|task| gramian.at(task, task).is_finite()),
        None => rows.par_iter().all(|row| clip::all_finite(row)),
    }
}

/// Writes the combined direction into the shared blocks of `combined_gradient`.
pub(super) fn write_direction(
    layout: &Layout,
    rows: &[&[f32]],
    combination: &Combination,
    combined_gradient: &mut [f32],
) {
    let mut combined = |range: Range<usize>, columns: Range<usize>, alpha: &[f64]| {
        let rows: Vec<&[f32]> = rows.iter().map(|row| &row[columns.clone()]).collect();
        combine_into(&rows, alpha, &mut combined_gradient[range]);
    };
    match combination {
        Combination::Alpha(alpha) => {
            shared_columns(layout).for_each(|(range, columns)| combined(range, columns, alpha));
        }
        Combination::AlphaByBlock(alphas) => {
            let ranges = layout.blocks().iter().filter(|block| block.is_shared()).map(model::Block::range);
            let blocks = ranges.zip(shared_blocks(layout));
            blocks.zip(alphas).for_each(|((range, (_, columns)), alpha)| combined(range, columns, alpha));
        }
        Combination::Direction(direction) => {
            let parts = shared_columns(layout);
            parts.for_each(|(range, columns)| combined_gradient[range].copy_from_slice(&direction[columns]));
        }
    }
}

/// The shared ranges of the layout, and their columns in J.
fn shared_columns(layout: &Layout) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let mut end = 0;
    layout.shared().into_iter().map(move |range| {
        let start = end;
        end += range.len();
        (range, start..end)
    })
}

/// The inner product of each task's gradient with the direction in the shared blocks of
/// `combined_gradient`, and the direction's norm.
pub(super) fn products(layout: &Layout, rows: &[&[f32]], combined_gradient: &[f32]) -> (Vec<f64>, f64) {
    let direction = match &layout.shared()[..] {
        [range] => Cow::Borrowed(&combined_gradient[range.clone()]),
        ranges => Cow::Owned(ranges.iter().flat_map(|range| &combined_gradient[range.clone()]).copied().collect()),
    };
    let products = rows.par_iter().map(|row| inner(row, &direction)).collect();
    (products, inner(&direction, &direction).sqrt())
}

/// Writes each present task's sums into the blocks of `combined_gradient` that only this task
/// reaches. The blocks of absent tasks become zero.
///
/// # Errors
/// [`Missing`] if the vectors do not cover the node.
pub(super) fn write_own(
    layout: &Layout,
    vectors: &ByTask<'_>,
    present: &[usize],
    node: Node,
    combined_gradient: &mut [f32],
) -> Result<(), Missing> {
    let there: BTreeSet<usize> = present.iter().copied().collect();
    for block in layout.blocks().iter().filter(|block| !block.is_shared()) {
        let own = &mut combined_gradient[block.range()];
        let task = block.tasks.first().filter(|task| there.contains(task)).and_then(|task| vectors.get(task));
        match task {
            Some(task) => sum_into(node, &task.nodes, within(&block.range(), &task.span), own)?,
            None => own.fill(0.0),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gradient_that_is_not_finite_is_found_with_and_without_a_gramian() {
        let whole = vec![f32::MAX; 1000];
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut other = whole.clone();
            other[777] = wrong;
            for (rows, expected) in [([&whole[..], &whole], true), ([&whole, &other], false)] {
                assert_eq!(are_finite(&rows, None), expected, "{wrong}");
                assert_eq!(are_finite(&rows, Some(&Gramian::of_rows(&rows))), expected, "{wrong}");
            }
        }
    }
}
