//! Journal records as MLflow's metrics, params and tags, within MLflow's limits.

use indexmap::IndexMap;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::journal::{Number, Observation, Outcome, Record};

const METRICS_MAX: usize = 1000;
const PARAMS_MAX: usize = 100;
const TAGS_MAX: usize = 100;
/// Longest name of a metric, param or tag, in characters.
const KEY_MAX: usize = 250;
const PARAM_VALUE_MAX: usize = 6000;
const TAG_VALUE_MAX: usize = 5000;

/// The contents of one `log-batch` call.
#[derive(Debug, Default, Serialize)]
pub(super) struct MlflowBatch {
    pub metrics: Vec<MetricPoint>,
    pub params: Vec<NamedText>,
    pub tags: Vec<NamedText>,
}

/// A point of a metric. A value that is not finite is sent as text, as in the journal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct MetricPoint {
    pub key: String,
    pub value: Number,
    pub timestamp: u64,
    pub step: u64,
}

/// A param or a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct NamedText {
    pub key: String,
    pub value: String,
}

impl MlflowBatch {
    /// The number of its points, params and tags.
    pub fn len(&self) -> usize {
        self.metrics.len() + self.params.len() + self.tags.len()
    }

    /// The contents of some records, in as few batches as MLflow's limits allow.
    pub fn of(records: &[Record]) -> Vec<MlflowBatch> {
        let mut all = MlflowBatch::default();
        records.iter().for_each(|record| all.add(record));
        all.cut()
    }

    /// The batch in two halves, to find the items that the server refuses. `None` if it has fewer
    /// than two items.
    pub fn halves(mut self) -> Option<[MlflowBatch; 2]> {
        if self.len() < 2 {
            return None;
        }
        let mut left = MlflowBatch::default();
        for _ in 0..self.len() / 2 {
            if let Some(metric) = self.metrics.pop() {
                left.metrics.push(metric);
            } else if let Some(param) = self.params.pop() {
                left.params.push(param);
            } else {
                left.tags.extend(self.tags.pop());
            }
        }
        Some([left, self])
    }

    fn add(&mut self, record: &Record) {
        let time_ms = record.time_ms();
        match record {
            Record::Result { outcome: Outcome::Metrics { step, split, task, metrics }, .. } => {
                let mut path = vec![split.as_str()];
                path.extend(task.as_deref());
                self.add_metrics(&path, metrics, time_ms, *step);
            }
            Record::Result { outcome: Outcome::Parameters { parameters }, .. } => {
                self.params.extend(
                    parameters.iter().map(|(k, v)| NamedText { key: key(&[k]), value: cut(v, PARAM_VALUE_MAX) }),
                );
            }
            // The metrics of the step have the same numbers.
            Record::Result { outcome: Outcome::Weighting(_), .. } => {}
            Record::Result { outcome: Outcome::Tags { tags }, .. } => {
                tags.iter().for_each(|(name, value)| self.add_tag(name, value));
                tags.get("git.commit").into_iter().for_each(|commit| self.add_tag("mlflow.source.git.commit", commit));
            }
            Record::Result { outcome: Outcome::Summary { step, selected, parameters, parameters_sha256 }, .. } => {
                self.add_tag("trunkline.step", &step.to_string());
                self.add_tag("trunkline.selected", selected);
                self.add_tag("trunkline.parameters", &parameters.to_string());
                self.add_tag("trunkline.parameters_sha256", parameters_sha256);
            }
            Record::Observed { observation: Observation::Speed { step, rank, metrics }, .. } => {
                let worker = rank.map(|rank| format!("worker-{rank}"));
                // MLflow shows these beside its own metrics of the system.
                let mut path = vec!["system"];
                path.extend(worker.as_deref());
                self.add_metrics(&path, metrics, time_ms, *step);
            }
            // One number in a run does not make a curve.
            Record::Observed { observation: Observation::Finished { metrics, .. }, .. } => {
                metrics.iter().for_each(|(name, Number(value))| {
                    self.add_tag(&format!("trunkline.{name}"), &value.to_string());
                });
            }
            Record::Observed { observation: Observation::Launched { command, user, host }, .. } => {
                self.add_tag("mlflow.source.name", command);
                user.iter().for_each(|user| self.add_tag("mlflow.user", user));
                self.add_tag("trunkline.host", host);
            }
            Record::Observed { observation: Observation::Settings { settings }, .. } => {
                settings.iter().for_each(|(key, value)| self.add_tag(key, value));
            }
            Record::Observed { observation: Observation::Started { version, .. }, .. } => {
                self.add_tag("trunkline.version", version)
            }
            Record::Observed { .. } => {}
        }
    }

    fn add_metrics(&mut self, path: &[&str], metrics: &IndexMap<String, Number>, timestamp: u64, step: u64) {
        for (name, &value) in metrics {
            let mut path = path.to_vec();
            path.push(name);
            self.metrics.push(MetricPoint { key: key(&path), value, timestamp, step });
        }
    }

    fn add_tag(&mut self, name: &str, value: &str) {
        self.tags.push(NamedText { key: key(&[name]), value: cut(value, TAG_VALUE_MAX) });
    }

    /// Cuts it into batches within MLflow's limits. Params and tags come first, so that a run can
    /// be recognised before it has curves.
    fn cut(self) -> Vec<MlflowBatch> {
        let params =
            self.params.chunks(PARAMS_MAX).map(|p| MlflowBatch { params: p.to_vec(), ..MlflowBatch::default() });
        let tags = self.tags.chunks(TAGS_MAX).map(|t| MlflowBatch { tags: t.to_vec(), ..MlflowBatch::default() });
        let metrics =
            self.metrics.chunks(METRICS_MAX).map(|m| MlflowBatch { metrics: m.to_vec(), ..MlflowBatch::default() });
        params.chain(tags).chain(metrics).collect()
    }
}

/// A name that MLflow accepts: letters, digits and `_ - . : space`, parts joined with `/`, at most
/// 250 characters.
///
/// A name that had to be changed ends in a hash of the original, so that two names never become the
/// same.
fn key(parts: &[&str]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | ' ');
    let part = |part: &&str| match *part {
        "" | "." | ".." => "_".to_owned(),
        text => text.chars().map(|c| if plain(c) { c } else { '_' }).collect(),
    };
    let key = parts.iter().map(part).collect::<Vec<String>>().join("/");
    if key == parts.join("/") && parts.iter().all(|p| !p.contains('/')) && key.len() <= KEY_MAX {
        return key;
    }
    let hash: String = Sha256::digest(parts.join("\0")).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{hash}", &key[..key.len().min(KEY_MAX - 9)])
}

/// The text cut to `max` characters. A text that was cut ends in three dots.
fn cut(value: &str, max: usize) -> String {
    if value.chars().count() <= max {
        return value.to_owned();
    }
    value.chars().take(max - 3).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(task: &str, n: usize) -> Record {
        let metrics = (0..n).map(|i| (format!("m{i}"), Number(i as f64))).collect();
        Record::result(5, Outcome::Metrics { step: 3, split: "test".into(), task: Some(task.into()), metrics })
    }

    fn text(n: usize, value: &str) -> IndexMap<String, String> {
        (0..n).map(|i| (format!("k{i}"), value.to_owned())).collect()
    }

    #[test]
    fn batches_keep_within_the_limits_and_lose_nothing() {
        let records = [
            Record::result(1, Outcome::Parameters { parameters: text(250, &"é".repeat(7000)) }),
            Record::result(1, Outcome::Tags { tags: text(101, &"t".repeat(9000)) }),
            metrics("a", 1500),
            metrics("b", 501),
        ];
        let batches = MlflowBatch::of(&records);
        assert!(
            batches
                .iter()
                .all(|b| b.metrics.len() <= 1000 && b.params.len() <= 100 && b.tags.len() <= 100 && b.len() <= 1000)
        );
        let count = |of: fn(&MlflowBatch) -> usize| batches.iter().map(of).sum::<usize>();
        assert_eq!((count(|b| b.params.len()), count(|b| b.tags.len()), count(|b| b.metrics.len())), (250, 101, 2001));
        assert_eq!(batches[0].params[0].value.chars().count(), 6000);
        assert!(batches[0].params[0].value.ends_with("é..."));
        assert_eq!(batches[3].tags[0].value.len(), 5000);
    }

    #[test]
    fn halving_down_to_one_item_keeps_every_item() {
        let mut waiting =
            MlflowBatch::of(&[metrics("a", 5), Record::result(1, Outcome::Parameters { parameters: text(3, "v") })]);
        let mut single = 0;
        while let Some(batch) = waiting.pop() {
            single += usize::from(batch.len() == 1);
            waiting.extend(batch.halves().into_iter().flatten());
        }
        assert_eq!(single, 8);
    }

    #[test]
    fn names_are_those_that_mlflow_takes_and_stay_apart() {
        assert_eq!(key(&["validation", "digit", "accuracy"]), "validation/digit/accuracy");
        let odd = ["a/b", "a_b", "a%b", "..", "", "_", "é"].map(|task| key(&["test", task, "loss"]));
        assert_eq!(odd[1], "test/a_b/loss");
        assert!(odd[0].starts_with("test/a_b/loss-") && odd[3].starts_with("test/_/loss-"), "{odd:?}");
        let distinct: std::collections::BTreeSet<_> = odd.iter().collect();
        assert_eq!(distinct.len(), odd.len(), "{odd:?}");
        assert_eq!(key(&[&"x".repeat(400)]).len(), KEY_MAX);
    }

    #[test]
    fn a_point_that_json_has_no_number_for_is_sent_as_text() {
        let metric = MetricPoint { key: "a".into(), value: Number(f64::NEG_INFINITY), timestamp: 1, step: 2 };
        assert_eq!(
            serde_json::to_string(&metric).expect("serialises"),
            r#"{"key":"a","value":"-Infinity","timestamp":1,"step":2}"#
        );
    }
}
