//! What a checkpoint keeps of the update, and how it is taken up again.

use aggregation::weighting::State;

use super::Updater;
use crate::checkpoint::{Block, Checkpoint, Tensor, Values};

/// The state's name in a checkpoint.
const OPTIMIZER_STEP: &str = "optimizer.step";

impl Updater {
    /// Puts parameters and states into a checkpoint of the current step.
    pub fn fill(&self, checkpoint: &mut Checkpoint) {
        checkpoint.parameters = self.parameters.read(checkpoint.step, <[f32]>::to_vec);
        let block = |b: &model::Block| Block { name: b.name.clone(), shape: b.shape.clone(), offset: b.offset };
        checkpoint.blocks = self.layout.blocks().iter().map(block).collect();
        let slots = self.state.slots.iter();
        checkpoint.optimizer = slots.map(|(name, values)| Tensor::new(name.clone(), values.clone())).collect();
        let numbers = self.weigher.numbers().iter().map(|(name, v)| Tensor::new(name.clone(), v.clone()));
        let vectors = self.weigher.vectors().iter().map(|(name, v)| Tensor::new(name.clone(), v.clone()));
        checkpoint.weighting = numbers.chain(vectors).collect();
        checkpoint.states.insert(OPTIMIZER_STEP.into(), self.state.step.to_string());
    }

    /// Takes up the states of a checkpoint, whose parameters stand already.
    ///
    /// # Errors
    /// What does not fit this experiment's layout, optimizer or weighting.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), String> {
        let ours = self.layout.blocks().iter().map(|block| (&block.name, &block.shape, block.offset));
        if !ours.eq(checkpoint.blocks.iter().map(|block| (&block.name, &block.shape, block.offset))) {
            return Err("its parameters have other names or shapes than the model".into());
        }
        for (name, slot) in &mut self.state.slots {
            let saved = checkpoint.optimizer.iter().find(|tensor| tensor.name == *name);
            match saved.map(|tensor| &tensor.values) {
                Some(Values::F32(values)) if values.len() == slot.len() => slot.copy_from_slice(values),
                _ => return Err(format!("the optimizer's `{name}` is not in it, or has another length")),
            }
        }
        let step = checkpoint.state(OPTIMIZER_STEP);
        self.state.step = step.ok_or_else(|| format!("`{OPTIMIZER_STEP}` is not in it"))?;
        let mut weighting = State::default();
        for Tensor { name, values } in &checkpoint.weighting {
            match values {
                Values::F64(numbers) => drop(weighting.numbers.insert(name.clone(), numbers.clone())),
                Values::F32(vector) => drop(weighting.vectors.insert(name.clone(), vector.clone())),
            }
        }
        self.weigher.restore(weighting);
        self.step = checkpoint.step;
        self.counts.clear();
        self.look_ahead();
        Ok(())
    }
}
