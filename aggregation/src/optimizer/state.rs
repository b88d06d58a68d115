//! The state that an optimizer keeps between steps.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Named vectors, each as long as the parameters, and the number of updates done.
///
/// The names are PyTorch's (`momentum_buffer`, `exp_avg`, `exp_avg_sq`, ...). Checkpoints have the
/// vectors under these names.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OptimizerState {
    /// The vectors, in a fixed order.
    pub slots: Vec<(String, Vec<f32>)>,
    /// Updates done.
    pub step: u64,
}

/// The part of an [`OptimizerState`] that belongs to a range of the parameters.
#[derive(Debug)]
pub struct StatePart<'a> {
    /// The range of the flat vector.
    pub range: Range<usize>,
    pub(super) slots: Vec<&'a mut [f32]>,
}

impl OptimizerState {
    /// The part of one range.
    ///
    /// # Panics
    /// If the range is outside of the parameters.
    pub fn part(&mut self, range: Range<usize>) -> StatePart<'_> {
        let slots = self.slots.iter_mut().map(|(_, slot)| &mut slot[range.clone()]).collect();
        StatePart { range, slots }
    }

    /// The parts between ascending cuts, for threads. Cuts 0, 10, 25 give the parts 0..10 and
    /// 10..25.
    ///
    /// # Panics
    /// If the cuts don't ascend or are outside of the parameters.
    pub fn parts(&mut self, cuts: &[usize]) -> Vec<StatePart<'_>> {
        let mut parts: Vec<StatePart<'_>> = cuts
            .windows(2)
            .map(|cut| StatePart { range: cut[0]..cut[1], slots: Vec::with_capacity(self.slots.len()) })
            .collect();
        for (_, slot) in &mut self.slots {
            let mut rest = &mut slot[cuts.first().copied().unwrap_or(0)..];
            for part in &mut parts {
                let (head, tail) = rest.split_at_mut(part.range.len());
                part.slots.push(head);
                rest = tail;
            }
        }
        parts
    }
}

impl StatePart<'_> {
    /// The first `N` slots of the part.
    ///
    /// # Panics
    /// If the state has fewer slots, because another optimizer made it.
    pub fn slots<const N: usize>(&mut self) -> [&mut [f32]; N] {
        let mut slots = self.slots.iter_mut();
        std::array::from_fn(|_| &mut **slots.next().expect("the state was made by this optimizer"))
    }

    /// The last slot.
    ///
    /// # Panics
    /// If the state has no slots, because another optimizer made it.
    pub fn last(&mut self) -> &mut [f32] {
        self.slots.last_mut().expect("the state was made by this optimizer")
    }

    /// The slots of a range inside the part. The range counts places of the flat vector.
    ///
    /// # Panics
    /// If the range is not inside the part.
    pub fn inner(&mut self, range: &Range<usize>) -> StatePart<'_> {
        let (from, to) = (range.start - self.range.start, range.end - self.range.start);
        StatePart { range: range.clone(), slots: self.slots.iter_mut().map(|slot| &mut slot[from..to]).collect() }
    }
}
