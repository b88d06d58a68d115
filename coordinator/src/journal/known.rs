//! The results that a journal has already. A resumed run writes none of them twice.

use std::collections::{BTreeMap, HashMap};

use indexmap::{IndexMap, IndexSet};

use super::{Number, Outcome, WeightingRecord};

/// A result that is not equal to the recorded one.
#[derive(Debug)]
pub(super) struct Difference {
    pub what: String,
    pub recorded: String,
    pub found: String,
}

/// Index of the results in a journal that was opened again. It is empty for a new journal, and
/// appending does not add to it.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The number of updates done at which the run goes on. Earlier results are not computed again,
    /// and are not held.
    from: u64,
    names: IndexSet<String>,
    /// Values by step, split, task and metric. Names are indices into `names`: a long run has
    /// millions of points and few names.
    metrics: HashMap<(u64, u32, u32, u32), f64>,
    parameters: IndexMap<String, String>,
    tags: IndexMap<String, String>,
    weightings: BTreeMap<u64, WeightingRecord>,
    summary: Option<Outcome>,
}

/// The split with the metrics of the selected step. That step may be before the one at which the
/// run goes on.
const SELECTED: &str = "test";

impl Known {
    /// An empty index for a run that goes on after `from` updates.
    pub fn from(from: u64) -> Known {
        Known { from, ..Known::default() }
    }

    /// Adds a result that was read from the journal.
    pub fn insert(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Metrics { step, split, .. } if step < self.from && split != SELECTED => {}
            Outcome::Metrics { step, split, task, metrics } => {
                let split = self.intern(&split);
                let task = self.intern(task.as_deref().unwrap_or_default());
                for (metric, Number(value)) in metrics {
                    let metric = self.intern(&metric);
                    self.metrics.insert((step, split, task, metric), value);
                }
            }
            Outcome::Parameters { parameters } => self.parameters.extend(parameters),
            Outcome::Tags { tags } => self.tags.extend(tags),
            Outcome::Weighting(weighting) if weighting.step < self.from => {}
            Outcome::Weighting(weighting) => drop(self.weightings.insert(weighting.step, weighting)),
            summary @ Outcome::Summary { .. } => self.summary = Some(summary),
        }
    }

    /// The part of `outcome` that is not in the journal yet. `None` if all of it is.
    ///
    /// # Errors
    /// A part of it is not equal to the recorded result.
    pub fn missing(&self, outcome: &Outcome) -> Result<Option<Outcome>, Difference> {
        match outcome {
            Outcome::Metrics { step, split, task, metrics } => {
                let mut new = IndexMap::new();
                for (metric, &found) in metrics {
                    match self.metric(*step, split, task.as_deref(), metric) {
                        None => drop(new.insert(metric.clone(), found)),
                        Some(recorded) if recorded.same(found) => {}
                        Some(recorded) => {
                            let of_task = task.as_ref().map(|t| format!(".{t}")).unwrap_or_default();
                            return Err(difference(
                                format!("{split}{of_task}.{metric} of step {step}"),
                                &recorded,
                                &found,
                            ));
                        }
                    }
                }
                Ok((!new.is_empty()).then(|| Outcome::Metrics {
                    step: *step,
                    split: split.clone(),
                    task: task.clone(),
                    metrics: new,
                }))
            }
            Outcome::Parameters { parameters } => {
                let mut new = IndexMap::new();
                for (key, found) in parameters {
                    match self.parameters.get(key) {
                        None => drop(new.insert(key.clone(), found.clone())),
                        Some(recorded) if recorded == found => {}
                        Some(recorded) => return Err(difference(format!("parameter {key}"), recorded, found)),
                    }
                }
                Ok((!new.is_empty()).then_some(Outcome::Parameters { parameters: new }))
            }
            Outcome::Tags { tags } => {
                let new: IndexMap<_, _> = tags
                    .iter()
                    .filter(|(name, value)| self.tags.get(*name) != Some(value))
                    .map(|(n, v)| (n.clone(), v.clone()))
                    .collect();
                Ok((!new.is_empty()).then_some(Outcome::Tags { tags: new }))
            }
            Outcome::Weighting(found) => match self.weightings.get(&found.step) {
                None => Ok(Some(outcome.clone())),
                Some(recorded) if recorded == found => Ok(None),
                Some(recorded) => {
                    let what = format!("weighting of step {}", found.step);
                    Err(difference(what, &format!("{recorded:?}"), &format!("{found:?}")))
                }
            },
            Outcome::Summary { .. } => match &self.summary {
                None => Ok(Some(outcome.clone())),
                Some(recorded) if recorded == outcome => Ok(None),
                Some(recorded) => Err(Difference {
                    what: "the summary".into(),
                    recorded: format!("{recorded:?}"),
                    found: format!("{outcome:?}"),
                }),
            },
        }
    }

    /// Whether the index has no results.
    pub fn is_empty(&self) -> bool {
        self.metrics.is_empty()
            && self.parameters.is_empty()
            && self.tags.is_empty()
            && self.weightings.is_empty()
            && self.summary.is_none()
    }

    fn metric(&self, step: u64, split: &str, task: Option<&str>, metric: &str) -> Option<Number> {
        let id = |name: &str| self.names.get_index_of(name).map(|i| i as u32);
        self.metrics.get(&(step, id(split)?, id(task.unwrap_or_default())?, id(metric)?)).map(|&v| Number(v))
    }

    fn intern(&mut self, name: &str) -> u32 {
        let index = self.names.get_index_of(name).unwrap_or_else(|| self.names.insert_full(name.to_owned()).0);
        u32::try_from(index).expect("an experiment has fewer than 2^32 names")
    }
}

fn difference(what: String, recorded: &impl std::fmt::Display, found: &impl std::fmt::Display) -> Difference {
    Difference { what, recorded: recorded.to_string(), found: found.to_string() }
}
