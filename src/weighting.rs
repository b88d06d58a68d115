//! A weighting that is chosen on the command line instead of in a file.

use aggregation::{Weighting, weighting::Method};
use experiment::arguments;

use crate::exit::Failure;

/// Arguments of a command that asks a weighting.
#[derive(clap::Args)]
pub struct Arguments {
    /// The weighting, such as `upgrad`.
    #[arg(long)]
    method: String,
    /// A parameter of the weighting, such as `c=0.4`.
    #[arg(long = "param", value_name = "KEY=VALUE")]
    parameters: Vec<String>,
}

impl Arguments {
    /// The weighting, and its method for these tasks.
    pub fn build(&self, tasks: &[&str]) -> Result<(Weighting, Box<dyn Method>), Failure> {
        let weighting = self.weighting()?;
        let unfit = |invalid| Failure::refused(arguments::explain(invalid, weighting.parameters()));
        let method = weighting.build(tasks).map_err(unfit)?;
        Ok((weighting, method))
    }

    /// The weighting, whatever the tasks.
    pub fn weighting(&self) -> Result<Weighting, Failure> {
        let parameters = arguments::parameters(&self.parameters).map_err(Failure::refused)?;
        arguments::weighting(&self.method, parameters).map_err(Failure::refused)
    }
}
