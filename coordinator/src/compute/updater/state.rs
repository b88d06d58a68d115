//! The parts of a checkpoint that the update saves and restores.

use aggregation::weighting::State;

use super::Updater;
use crate::checkpoint::{Checkpoint, SavedBlock, Tensor, Values};
use crate::selection::Plateaus;

/// The name in a checkpoint of the number of steps that the optimizer has done.
const OPTIMIZER_STEP: &str = "optimizer.step";

impl Updater {
    /// Puts the current parameters and the states of optimizer and weighting into a checkpoint.
    pub fn fill(&self, checkpoint: &mut Checkpoint) {
        checkpoint.parameters = self.parameters.read(checkpoint.step, <[f32]>::to_vec);
        let block = |b: &model::Block| SavedBlock { name: b.name.clone(), shape: b.shape.clone(), offset: b.offset };
        checkpoint.blocks = self.layout.blocks().iter().map(block).collect();
        let slots = self.state.slots.iter();
        checkpoint.optimizer = slots.map(|(name, values)| Tensor::new(name.clone(), values.clone())).collect();
        let numbers = self.weigher.numbers().iter().map(|(name, v)| Tensor::new(name.clone(), v.clone()));
        let vectors = self.weigher.vectors().iter().map(|(name, v)| Tensor::new(name.clone(), v.clone()));
        checkpoint.weighting = numbers.chain(vectors).collect();
        checkpoint.states.insert(OPTIMIZER_STEP.into(), self.state.step.to_string());
    }

    /// Restores the states of optimizer and weighting from a checkpoint. The parameters must be
    /// restored before. `plateaus` are those of the checkpoint's selection.
    ///
    /// # Errors
    /// The checkpoint does not fit this experiment's layout, optimizer or weighting. The text says
    /// what does not fit.
    pub fn restore(&mut self, checkpoint: &Checkpoint, plateaus: Plateaus) -> Result<(), String> {
        let ours = self.layout.blocks().iter().map(|block| (&block.name, &block.shape, block.offset));
        if !ours.eq(checkpoint.blocks.iter().map(|block| (&block.name, &block.shape, block.offset))) {
            return Err("its parameters have other names or shapes than the model".into());
        }
        for (name, slot) in &mut self.state.slots {
            let saved = checkpoint.optimizer.iter().find(|tensor| tensor.name == *name);
            match saved.map(|tensor| &tensor.values) {
                Some(Values::F32(values)) if values.len() == slot.len() => slot.copy_from_slice(values),
                _ => return Err(format!("its optimizer has no `{name}`, or one of another length")),
            }
        }
        let step = checkpoint.state(OPTIMIZER_STEP);
        self.state.step = step.ok_or_else(|| format!("it has no `{OPTIMIZER_STEP}`"))?;
        let mut weighting = State::default();
        for Tensor { name, values } in &checkpoint.weighting {
            match values {
                Values::F64(numbers) => drop(weighting.numbers.insert(name.clone(), numbers.clone())),
                Values::F32(vector) => drop(weighting.vectors.insert(name.clone(), vector.clone())),
            }
        }
        self.weigher.restore(weighting);
        (self.step, self.plateaus) = (checkpoint.step, plateaus);
        self.counts.clear();
        self.look_ahead();
        Ok(())
    }
}
