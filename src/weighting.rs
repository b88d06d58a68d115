//! A weighting that is given on the command line.

use aggregation::{Weighting, weighting::Method};
use experiment::arguments;

use crate::exit::Failure;

/// Arguments of a command that uses a weighting.
#[derive(clap::Args)]
pub struct Arguments {
    /// Weighting, such as `upgrad`.
    #[arg(long)]
    method: String,
    /// Parameter of the weighting, such as `c=0.4`. It can be given several times.
    #[arg(long = "param", value_name = "KEY=VALUE")]
    parameters: Vec<String>,
}

impl Arguments {
    /// The weighting, and its method for these tasks.
    ///
    /// # Errors
    /// The weighting or a parameter is unknown, or does not fit the tasks.
    pub fn build(&self, tasks: &[&str]) -> Result<(Weighting, Box<dyn Method>), Failure> {
        let weighting = self.weighting()?;
        let method = weighting.build(tasks).map_err(|invalid| Failure::refused(arguments::explain(invalid)))?;
        Ok((weighting, method))
    }

    /// The weighting, for any tasks.
    ///
    /// # Errors
    /// The weighting or a parameter is unknown.
    pub fn weighting(&self) -> Result<Weighting, Failure> {
        let parameters = arguments::parameters(&self.parameters).map_err(Failure::refused)?;
        arguments::weighting(&self.method, parameters).map_err(Failure::refused)
    }
}
