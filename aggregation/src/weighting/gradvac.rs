//! `gradvac`: each gradient is turned towards the others, in random order, until its cosine to them
//! is at least a moving target (Wang et al., Gradient vaccine, ICLR 2021, algorithm 1). It is
//! computed on coefficients over G.
//!
//! If cos < target: g_i += g_j norm(g_i) (target sqrt(1 - cos^2) - cos sqrt(1 - target^2)) /
//! (norm(g_j) sqrt(1 - target^2)). The target starts at 0 and moves by target = (1 - beta) target +
//! beta cos. `granularity` chooses the parameters that cosines are taken over: all shared ones
//! (`whole`), those of a layer (`layer`: blocks whose names agree up to the last dot), or one block
//! (`parameter`).

use super::method::{Combination, Failure, Method, Moment, Need, Needs, Outcome, State, Statistics};
use super::pcgrad::others;
use super::{Build, Built};
use crate::gramian::{Gramian, dot};
use crate::random::Stream;
use settings::{Entry, Range, Reader};

const NAME: &str = "gradvac";

pub(super) const ENTRY: Entry<Build> =
    Entry::built_in(NAME, "cosines raised to moving targets (Wang et al., ICLR 2021)", build);

#[derive(Debug)]
struct GradVac {
    beta: f64,
    granularity: &'static str,
}

fn build(reader: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    let beta = reader.number("beta", 0.5, Range::Closed(0.0, 1.0), "rate at which the target follows the cosine")?;
    let granularity = reader.name(
        "granularity",
        "whole",
        &["whole", "layer", "parameter"],
        "what cosines are taken over: all shared parameters, a layer or one block",
    )?;
    Ok(Box::new(GradVac { beta, granularity }))
}

impl GradVac {
    /// The weights from one Gramian. `group` names the group of parameters, which has its own
    /// targets.
    fn turn(&self, moment: &Moment<'_>, gramian: &Gramian, group: &str, stream: Stream, state: &mut State) -> Vec<f64> {
        let (tasks, norms) = (gramian.tasks(), gramian.norms());
        let targets = state.numbers_or(&format!("gradvac.target.{group}"), || vec![0.0; moment.tasks * moment.tasks]);
        let mut alpha = vec![0.0; tasks];
        for i in 0..tasks {
            let mut own = vec![0.0; tasks];
            own[i] = 1.0;
            for j in others(i, tasks, stream.child(moment.present[i] as u64)) {
                let norm = gramian.quadratic(&own).sqrt();
                if norm == 0.0 || norms[j] == 0.0 {
                    continue;
                }
                let cosine = (dot(gramian.row(j), &own) / norm / norms[j]).clamp(-1.0, 1.0);
                let target = &mut targets[moment.present[i] * moment.tasks + moment.present[j]];
                let height = (1.0 - *target * *target).max(0.0).sqrt();
                if cosine < *target && height > 1e-8 {
                    let turn = *target * (1.0 - cosine * cosine).sqrt() - cosine * height;
                    own[j] += norm / norms[j] * (turn / height);
                }
                *target = (1.0 - self.beta) * *target + self.beta * cosine;
            }
            alpha.iter_mut().zip(own).for_each(|(alpha, own)| *alpha += own);
        }
        alpha
    }
}

/// The layer of a block: its name up to the last dot.
fn layer(block: &str) -> &str {
    block.rsplit_once('.').map_or(block, |(layer, _)| layer)
}

impl Method for GradVac {
    fn needs(&self) -> Needs {
        [if self.granularity == "whole" { Need::Gramian } else { Need::GramianByBlock }].into()
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, state: &mut State) -> Result<Outcome, Failure> {
        if self.granularity == "whole" {
            return Ok(Outcome::alpha(self.turn(moment, statistics.gramian(NAME)?, "whole", moment.stream, state)));
        }
        let missing = Failure::Missing { method: NAME, need: Need::GramianByBlock };
        let blocks = statistics.gramian_by_block.ok_or(missing)?;
        let group = |name: &'_ str| if self.granularity == "layer" { layer(name).to_owned() } else { name.to_owned() };
        let mut groups: Vec<(String, Gramian)> = Vec::new();
        let mut of_block = Vec::new();
        for (name, gramian) in blocks {
            let name = group(name);
            match groups.iter().position(|(known, _)| *known == name) {
                Some(at) => {
                    groups[at].1 = groups[at].1.clone().plus(gramian);
                    of_block.push(at);
                }
                None => {
                    groups.push((name, gramian.clone()));
                    of_block.push(groups.len() - 1);
                }
            }
        }
        let turned = |(at, (name, gramian)): (usize, &(String, Gramian))| {
            self.turn(moment, gramian, name, moment.stream.child(u64::MAX - at as u64), state)
        };
        let by_group: Vec<Vec<f64>> = groups.iter().enumerate().map(turned).collect();
        let combination = Combination::AlphaByBlock(of_block.into_iter().map(|at| by_group[at].clone()).collect());
        Ok(Outcome { combination, certificate: None })
    }
}
