//! The parameter layout: one flat f32 vector of named blocks.
//!
//! Everything that leaves the model is a slice of this vector: parameters, gradients, optimizer
//! state, the vectors on the wire and in checkpoints. A block's name never changes
//! (`trunk.0.weight`, `head.digit.0.bias`, `encoder.FEED.0.weight`,
//! `encoder.FEED.embedding.COLUMN.weight`). Linear weights are stored `[out, in]`. Blocks are
//! adjacent: encoders first, then the trunk, then the heads.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A named part of the parameter vector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The name, which is unique in the layout.
    pub name: String,
    /// The shape. The product of its sizes is the block's length.
    pub shape: Vec<usize>,
    /// The first place in the flat vector.
    pub offset: usize,
    /// The tasks (by index, in the file's order) whose loss depends on the block.
    pub tasks: BTreeSet<usize>,
    /// Whether the optimizer changes it.
    pub trainable: bool,
}

impl Block {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().fold(1, |length, side| length.saturating_mul(*side))
    }

    /// Whether the block has no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Places in the flat vector.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len()
    }

    /// Whether two or more tasks reach the block.
    pub fn is_shared(&self) -> bool {
        self.tasks.len() >= 2
    }
}

/// All blocks, in the order of the flat vector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    blocks: Vec<Block>,
    len: usize,
}

impl Layout {
    /// The blocks in order.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Length of the flat vector.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no parameter.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The block of that name.
    pub fn block(&self, name: &str) -> Option<&Block> {
        self.blocks.iter().find(|block| block.name == name)
    }

    /// The ranges of all blocks in order (LAMB's trust ratios are by block).
    pub fn ranges(&self) -> Vec<Range<usize>> {
        self.blocks.iter().map(Block::range).collect()
    }

    /// The ranges of the shared blocks (two tasks or more) in order. Adjacent ranges are joined.
    pub fn shared(&self) -> Vec<Range<usize>> {
        joined(self.blocks.iter().filter(|block| block.is_shared()))
    }

    /// The ranges that only `task` reaches, in order. Adjacent ranges are joined.
    pub fn own(&self, task: usize) -> Vec<Range<usize>> {
        joined(self.blocks.iter().filter(|block| block.tasks.len() == 1 && block.tasks.contains(&task)))
    }

    /// The ranges that `task` reaches, shared or not, in order. Adjacent ranges are joined.
    pub fn reached(&self, task: usize) -> Vec<Range<usize>> {
        joined(self.blocks.iter().filter(|block| block.tasks.contains(&task)))
    }

    /// The shortest range of the vector that holds every block that `task` reaches.
    pub fn span(&self, task: usize) -> Range<usize> {
        let reached = self.reached(task);
        let start = reached.first().map_or(0, |range| range.start);
        start..reached.last().map_or(start, |range| range.end)
    }

    /// Appends a trainable block.
    pub(crate) fn push(&mut self, name: String, shape: Vec<usize>, tasks: BTreeSet<usize>) -> Range<usize> {
        let block = Block { name, shape, offset: self.len, tasks, trainable: true };
        self.len = self.len.saturating_add(block.len());
        let range = block.range();
        self.blocks.push(block);
        range
    }
}

fn joined<'a>(blocks: impl Iterator<Item = &'a Block>) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for block in blocks.filter(|block| !block.is_empty()) {
        match ranges.last_mut() {
            Some(last) if last.end == block.offset => last.end += block.len(),
            _ => ranges.push(block.range()),
        }
    }
    ranges
}
