//! `trimmed_mean`: for each coordinate, the mean without the `trim` largest and the `trim` smallest
//! values (Yin et al., Byzantine-robust distributed learning, ICML 2018, definition 2).

use super::method::{Failure, Method, Moment, Need, Needs, Outcome, State, Statistics};
use super::{Build, Built};
use crate::trimmed;
use settings::{Entry, Invalid, Reader};

const NAME: &str = "trimmed_mean";

pub(super) const ENTRY: Entry<Build> = Entry::built_in(
    NAME,
    "the mean of each coordinate without its largest and smallest values (Yin et al., ICML 2018)",
    build,
);

#[derive(Debug)]
struct TrimmedMean {
    trim: usize,
}

fn build(reader: &mut Reader<'_>, tasks: Option<&[&str]>) -> Built {
    let trim = reader.required_count("trim", 0.., "values left out at each end; below half of the number of tasks")?;
    let trim = trim as usize;
    if let Some(tasks) = tasks
        && tasks.len() <= 2 * trim
    {
        return Err(Invalid::value("trim", trim, format!("below half of the number of tasks ({})", tasks.len())));
    }
    Ok(Box::new(TrimmedMean { trim }))
}

impl Method for TrimmedMean {
    fn needs(&self) -> Needs {
        [Need::Jacobian].into()
    }

    fn weigh(&self, _: &Moment<'_>, statistics: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        let rows = statistics.jacobian(NAME)?;
        // If tasks are absent from the step, at least one value is left.
        let trim = self.trim.min((rows.len() - 1) / 2);
        Ok(Outcome::direction(trimmed::mean(rows, trim, 1.0)))
    }
}
