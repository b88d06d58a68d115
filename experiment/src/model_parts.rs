//! What loading an experiment needs from the crate that builds the model.

use settings::Invalid;

use crate::experiment::Experiment;

/// The crate that builds the model, seen from loading an experiment.
pub trait ModelParts {
    /// Checks the model of the experiment, the inputs and encoders of its datasets and the
    /// activations of its heads, and fills in the defaults of their parameters.
    ///
    /// # Errors
    /// [`Misfit`] if a kind is unknown, or a kind refuses a parameter.
    fn complete(&self, experiment: &mut Experiment) -> Result<(), Misfit>;
}

/// A refused part of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Misfit {
    /// The keys of the part, from the top of the file.
    pub path: Vec<String>,
    /// What is wrong with it.
    pub invalid: Invalid,
}

/// Accepts every model. For tools that build no model.
#[derive(Debug, Clone, Copy)]
pub struct UncheckedModel;

impl ModelParts for UncheckedModel {
    fn complete(&self, _experiment: &mut Experiment) -> Result<(), Misfit> {
        Ok(())
    }
}
