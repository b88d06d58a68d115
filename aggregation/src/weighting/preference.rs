//! `preference`: how much each task counts, a parameter of methods whose papers have one.

use settings::{Invalid, Range, Reader};

/// Weights of the tasks, which add up to 1. They are equal by default.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Preference(Option<Vec<f64>>);

impl Preference {
    /// Reads `preference`: a number of at least 0 for each task, not all 0.
    pub fn read(reader: &mut Reader<'_>, tasks: Option<&[&str]>) -> Result<Self, Invalid> {
        let given = reader.optional_numbers(
            "preference",
            Range::NotNegative,
            "equal",
            "how much each task counts; not all 0",
        )?;
        if let Some(given) = &given {
            let refuse = |message: String| Err(Invalid::new("preference", message));
            if let Some(tasks) = tasks.filter(|tasks| tasks.len() != given.len()) {
                return refuse(format!(
                    "{} numbers are given for {} tasks ({})",
                    given.len(),
                    tasks.len(),
                    tasks.join(", ")
                ));
            }
            if given.iter().all(|value| *value == 0.0) {
                return refuse("at least one number must be above 0".to_owned());
            }
        }
        Ok(Self(given))
    }

    /// The present tasks' weights, scaled to add up to 1.
    pub fn of(&self, present: &[usize]) -> Vec<f64> {
        let equal = vec![1.0 / present.len() as f64; present.len()];
        let Some(given) = &self.0 else { return equal };
        let total: f64 = present.iter().map(|&task| given[task]).sum();
        if total > 0.0 { present.iter().map(|&task| given[task] / total).collect() } else { equal }
    }
}
