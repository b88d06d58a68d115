//! What loading an experiment asks of the crate that builds the model.

use settings::Invalid;

use crate::experiment::Experiment;

/// The crate that builds the model, as loading an experiment needs it.
pub trait ModelParts {
    /// Checks the model of the experiment, the inputs and encoders of its datasets and the
    /// activations of its heads, and fills in the defaults of their parameters.
    ///
    /// # Errors
    /// [`Misfit`] for a kind that there is not, and for what a kind refuses of its parameters.
    fn complete(&self, experiment: &mut Experiment) -> Result<(), Misfit>;
}

/// A refused part of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Misfit {
    /// The keys of the part, from the top of the file.
    pub path: Vec<String>,
    /// What is refused of it.
    pub invalid: Invalid,
}

/// Takes every model as it is. It is for tools that build none.
#[derive(Debug, Clone, Copy)]
pub struct UncheckedModel;

impl ModelParts for UncheckedModel {
    fn complete(&self, _experiment: &mut Experiment) -> Result<(), Misfit> {
        Ok(())
    }
}
