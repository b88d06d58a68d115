//! Trunkline with parts of its own. The program has all of Trunkline's commands.

mod brier;
mod easiest_first;
mod residual;
mod softsign;
mod squared_hinge;

use std::process::ExitCode;

use residual::Residual;

fn main() -> ExitCode {
    let mut parts = trunkline::Catalogue::of(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    parts.modules.add("residual", "layers with a path around each (He et al. 2016)", |parts, device| {
        Ok(Box::new(Residual::new(parts, device)))
    });
    parts.activations.add("softsign", "`x / (1 + |x|)` (Bergstra et al. 2009)", softsign::read);
    parts.losses.add("squared_hinge", "squared hinge loss of a yes or no", squared_hinge::PART);
    parts.metrics.add("brier", "mean squared error of the probability (Brier 1950)", &brier::Brier);
    parts.weightings.add("easiest_first", "tasks with a small loss count more", easiest_first::read);
    trunkline::run(parts)
}
