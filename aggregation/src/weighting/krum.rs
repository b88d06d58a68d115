//! `krum`: the mean of the `selected` gradients that are nearest to their neighbours (multi-Krum;
//! Blanchard et al., Machine learning with adversaries, NeurIPS 2017, section 4).
//!
//! A gradient's score is the sum of squared distances to its T - `byzantine` - 2 nearest others.
//! The lowest scores are selected. Two gradients that are each other's nearest can have equal
//! scores. Then the shorter one comes first, then the lower task number.

use super::method::{Failure, Method, Moment, Need, Needs, Outcome, State, Statistics};
use super::{Build, Built};
use crate::gramian::Gramian;
use settings::{Entry, Invalid, Reader};

const NAME: &str = "krum";

pub(super) const ENTRY: Entry<Build> = Entry::built_in(
    NAME,
    "the mean of the gradients that are nearest to their neighbours (Blanchard et al., NeurIPS 2017)",
    build,
);

#[derive(Debug)]
struct Krum {
    byzantine: usize,
    selected: usize,
}

fn build(reader: &mut Reader<'_>, tasks: Option<&[&str]>) -> Built {
    if let Some(tasks) = tasks.filter(|tasks| tasks.len() < 3) {
        let message = format!(
            "krum compares the distances between gradients and needs at least 3 tasks; there are {}",
            tasks.len()
        );
        return Err(Invalid::new("method", message));
    }
    let byzantine =
        reader.required_count("byzantine", 0.., "gradients that may be wrong; at most 3 below the number of tasks")?;
    let selected = reader.count("selected", 1, 1.., "how many of the nearest gradients are averaged")?;
    let (byzantine, selected) = (byzantine as usize, selected as usize);
    if let Some(tasks) = tasks {
        if tasks.len() < byzantine + 3 {
            return Err(Invalid::value(
                "byzantine",
                byzantine,
                format!("at least 3 below the number of tasks, {}", tasks.len()),
            ));
        }
        if tasks.len() < selected {
            return Err(Invalid::value("selected", selected, format!("at most the number of tasks ({})", tasks.len())));
        }
    }
    Ok(Box::new(Krum { byzantine, selected }))
}

impl Method for Krum {
    fn needs(&self) -> Needs {
        [Need::Gramian].into()
    }

    fn weigh(&self, _: &Moment<'_>, statistics: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        let gramian = statistics.gramian(NAME)?;
        let tasks = gramian.tasks();
        let order = nearest_first(gramian, self.byzantine);
        let selected = self.selected.min(tasks);
        let mut alpha = vec![0.0; tasks];
        order[..selected].iter().for_each(|&task| alpha[task] = 1.0 / selected as f64);
        Ok(Outcome::alpha(alpha))
    }
}

/// The rows of this Gramian, those with the lowest score first. A score is the sum of squared
/// distances to the n - `byzantine` - 2 nearest others, at least one.
pub(crate) fn nearest_first(gramian: &Gramian, byzantine: usize) -> Vec<usize> {
    let rows = gramian.tasks();
    // With few rows in a step, the score is the distance to the nearest one.
    let nearest = rows.saturating_sub(byzantine.saturating_add(2)).max(1);
    let score = |i: usize| {
        let distance = |j: usize| (gramian.at(i, i) + gramian.at(j, j) - 2.0 * gramian.at(i, j)).max(0.0);
        let mut distances: Vec<f64> = (0..rows).filter(|&j| j != i).map(distance).collect();
        distances.sort_by(f64::total_cmp);
        distances.iter().take(nearest).sum::<f64>()
    };
    let scores: Vec<f64> = (0..rows).map(score).collect();
    let mut order: Vec<usize> = (0..rows).collect();
    let length = |i: usize| gramian.at(i, i);
    order.sort_by(|&i, &j| scores[i].total_cmp(&scores[j]).then(length(i).total_cmp(&length(j))).then(i.cmp(&j)));
    order
}
