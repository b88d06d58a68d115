//! The journal's schema: what a line can be.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::Number;

/// The schema's number, written in the first record of a journal. It changes when a reader of an
/// older one would be wrong.
pub const SCHEMA: u32 = 1;

/// One line of the journal.
///
/// ```json
/// {"record":"result","time_ms":1795176191000,"kind":"metrics","step":600,"split":"test","task":"digit","metrics":{"loss":0.12,"accuracy":0.97}}
/// {"record":"observed","time_ms":1795176191007,"kind":"worker_lost","rank":1,"step":599,"reason":{"code":"lease_expired","message":"no heartbeat for 5 s"}}
/// ```
///
/// Members are added in later versions, so a reader ignores those that it does not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// A function of the experiment, the same in every run of it.
    Result {
        /// When the point was made, in milliseconds since the Unix epoch.
        time_ms: u64,
        /// What was found.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// Something about this run on these machines.
    Observed {
        /// When it was seen, in milliseconds since the Unix epoch.
        time_ms: u64,
        /// What was seen.
        #[serde(flatten)]
        observation: Observation,
    },
}

impl Record {
    /// A result found at `time_ms`.
    pub fn result(time_ms: u64, outcome: Outcome) -> Record {
        Record::Result { time_ms, outcome }
    }

    /// An observation made at `time_ms`.
    pub fn observed(time_ms: u64, observation: Observation) -> Record {
        Record::Observed { time_ms, observation }
    }

    /// When the record was made, in milliseconds since the Unix epoch.
    pub fn time_ms(&self) -> u64 {
        match self {
            Record::Result { time_ms, .. } | Record::Observed { time_ms, .. } => *time_ms,
        }
    }
}

/// What a run finds out: equal in every run of one experiment and build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// Metrics of one split at one step. Each (step, split, task, metric) is there once.
    Metrics {
        /// Updates done.
        step: u64,
        /// `train`, `validation` or `test`.
        split: String,
        /// The task; none for what is over all tasks (`loss`, `skill`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<String>,
        /// The values by metric.
        metrics: IndexMap<String, Number>,
    },
    /// The resolved experiment as flat keys (`train.batch_size`) and text, but for what no result
    /// depends on. See [`flatten`].
    Parameters {
        /// The values by key.
        parameters: IndexMap<String, String>,
    },
    /// Where the results come from: seed, commit, versions. A tag that is given again with another
    /// value replaces the first.
    Tags {
        /// The values by name.
        tags: IndexMap<String, String>,
    },
    /// How the tasks of one step were weighed; every `tracking.weighting_every` steps.
    Weighting(Weighting),
    /// The run's end.
    Summary {
        /// Updates done.
        step: u64,
        /// Which parameters the final metrics are of: `best` or `last`.
        selected: String,
        /// How many parameters the model has.
        parameters: u64,
        /// Over the little-endian f32 bytes of the last parameters in layout order.
        parameters_sha256: String,
    },
}

/// How the tasks of one step were weighed. Lists and the rows and columns of matrices are in the
/// order of `tasks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weighting {
    /// Updates done with this one.
    pub step: u64,
    /// The method.
    pub method: String,
    /// The model's learning rate in the step.
    pub learning_rate: Number,
    /// The tasks that had labelled rows.
    pub tasks: Vec<String>,
    /// Weight times mean training loss.
    pub losses: Vec<Number>,
    /// The factor of each task's gradient; none where the method gives no single one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<Vec<Number>>,
    /// The factors by shared block, where the method gives one for each (`gradvac` by layer or
    /// parameter).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha_by_block: Option<IndexMap<String, Vec<Number>>>,
    /// Inner products of the tasks' gradients over the shared blocks, `[tasks, tasks]`; none in a
    /// step without gradients by task: in combined mode there are some every
    /// `tracking.gramian_every` steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gramian: Option<Vec<Vec<Number>>>,
    /// Their cosines, `[tasks, tasks]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosines: Option<Vec<Vec<Number>>>,
    /// Inner products of each task's gradient with the direction of the update: below 0, the update
    /// raises that task's loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub products: Option<Vec<Number>>,
    /// The norm of that direction over the shared blocks, where there are products and no `alpha`,
    /// with which it follows from the Gramian.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction_norm: Option<Number>,
    /// How good the solver's answer is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
}

/// A solver's certificate: how far the answer may be from the best one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// `duality_gap` or `kkt_residual`.
    pub kind: String,
    /// Its value.
    pub value: Number,
}

/// What happened on the way: another run of the experiment has others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Observation {
    /// A coordinator took the run up: the first record of a journal, and the first after each
    /// resume.
    Started {
        /// [`SCHEMA`] of the program that writes.
        schema: u32,
        /// The program's version.
        version: String,
        /// The coordinator's epoch.
        epoch: u64,
        /// The step that a resumed run goes on from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resumed_from: Option<u64>,
    },
    /// What the experiment says of the machines and of tracking, which no result depends on, as
    /// flat keys and text.
    Settings {
        /// The values by key (`cluster.workers`).
        settings: IndexMap<String, String>,
    },
    /// Measured values: rows a second, seconds, bytes. The names end in their unit.
    Speed {
        /// Updates done.
        step: u64,
        /// The worker; none for the whole run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rank: Option<u32>,
        /// The values by name.
        metrics: IndexMap<String, Number>,
    },
    /// A worker joined.
    WorkerJoined {
        /// Its rank.
        rank: u32,
        /// Updates done.
        step: u64,
        /// How it calls itself (host and process).
        name: String,
    },
    /// A worker is gone; its work is handed to others.
    WorkerLost {
        /// The rank that it joined with; none where it never took part.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rank: Option<u32>,
        /// Updates done.
        step: u64,
        /// Why.
        reason: Reason,
    },
    /// A worker was not let in.
    WorkerRefused {
        /// How it calls itself.
        name: String,
        /// Why.
        reason: Reason,
    },
    /// Peers were turned away before they could take part, all for the same reason.
    TurnedAway {
        /// Where the last one came from.
        peer: String,
        /// Why.
        reason: Reason,
        /// How many since the last such record.
        count: u64,
        /// How many since the coordinator took the run up.
        total: u64,
    },
    /// A checkpoint is on disk.
    CheckpointWritten {
        /// Updates done.
        step: u64,
        /// How long writing took.
        took_ms: u64,
    },
    /// A checkpoint could not be used.
    CheckpointPassedOver {
        /// Its folder, relative to the run folder.
        path: String,
        /// Why.
        reason: Reason,
    },
    /// Anything else worth knowing later.
    Event {
        /// What happened, in snake case.
        name: String,
        /// Updates done, where that matters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<u64>,
        /// The same in words.
        message: String,
    },
    /// Something that a person should look at; the run goes on.
    Warning {
        /// What it is.
        reason: Reason,
    },
    /// The coordinator is done with the run: the last record before it exits, unless it was killed.
    Finished {
        /// How it ended.
        status: Status,
        /// Updates done.
        step: u64,
        /// Why, unless it is finished.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// Measured over the whole run: `seconds`, `rows_per_second`, `peak_rss_bytes`...
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        metrics: IndexMap<String, Number>,
    },
}

/// Why something was refused, lost or passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The typed reason, in snake case, for programs.
    pub code: String,
    /// The same in words, with the data.
    pub message: String,
}

impl Reason {
    /// A reason from its code and words.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Reason {
        Reason { code: code.into(), message: message.into() }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All steps are done.
    Finished,
    /// It stopped with an error.
    Failed,
    /// A person or the system asked it to stop.
    Interrupted,
}

/// Turns any serialisable value into flat keys and text, as [`Outcome::Parameters`] and MLflow hold
/// parameters.
///
/// Objects nest with dots (`train.optimizer.kind`), lists of plain values are written as JSON
/// (`[128,64]`), other lists nest by index, and what is null is left out.
pub fn flatten(value: &impl Serialize) -> Result<IndexMap<String, String>, serde_json::Error> {
    let mut flat = IndexMap::new();
    flatten_into("", &serde_json::to_value(value)?, &mut flat);
    Ok(flat)
}

fn flatten_into(key: &str, value: &serde_json::Value, flat: &mut IndexMap<String, String>) {
    use serde_json::Value;
    let nested = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match value {
        Value::Null => {}
        Value::Object(members) => members.iter().for_each(|(name, v)| flatten_into(&nested(name), v, flat)),
        Value::Array(items) if items.iter().any(|v| v.is_object() || v.is_array()) => {
            items.iter().enumerate().for_each(|(i, v)| flatten_into(&nested(&i.to_string()), v, flat));
        }
        Value::String(text) => drop(flat.insert(key.to_owned(), text.clone())),
        plain => drop(flat.insert(key.to_owned(), plain.to_string())),
    }
}
