//! The journal's schema: the records that a line can hold.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::Number;

/// The schema's number, which is in the first record of a journal. It changes when a reader of an
/// older schema would misread a journal.
pub const SCHEMA: u32 = 1;

/// One line of the journal.
///
/// ```json
/// {"record":"result","time_ms":1795176191000,"kind":"metrics","step":600,"split":"test","task":"digit","metrics":{"loss":0.12,"accuracy":0.97}}
/// {"record":"observed","time_ms":1795176191007,"kind":"worker_lost","rank":1,"step":599,"reason":{"code":"lease_expired","message":"no heartbeat for 5 s"}}
/// ```
///
/// Later versions add members. A reader ignores members that it does not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// A result, which is the same in every run of the experiment.
    Result {
        /// When the point was made, in milliseconds since the Unix epoch.
        time_ms: u64,
        /// What was found.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// An observation of this run on these machines.
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

/// A result: equal in every run of one experiment and build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// Metrics of one split at one step. A journal has each (step, split, task, metric) once.
    Metrics {
        /// Updates done.
        step: u64,
        /// `train`, `validation` or `test`.
        split: String,
        /// The task. `None` for metrics over all tasks (`loss`, `skill`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<String>,
        /// The values by metric.
        metrics: IndexMap<String, Number>,
    },
    /// The part of the resolved experiment that results depend on, as flat keys
    /// (`train.batch_size`) and text. See [`flatten`].
    Parameters {
        /// The values by key.
        parameters: IndexMap<String, String>,
    },
    /// The origin of the results: seed, commit, versions. A later value of a tag replaces the
    /// earlier one.
    Tags {
        /// The values by name.
        tags: IndexMap<String, String>,
    },
    /// How the tasks of one step were weighted. Recorded every `tracking.weighting_every` steps.
    Weighting(WeightingRecord),
    /// The run's end.
    Summary {
        /// Updates done.
        step: u64,
        /// The parameters that the final metrics are of: `best` or `last`.
        selected: String,
        /// How many parameters the model has.
        parameters: u64,
        /// The sha256 of the little-endian f32 bytes of the last parameters in layout order.
        parameters_sha256: String,
    },
}

/// How the tasks of one step were weighted. Lists, and rows and columns of matrices, are in the
/// order of `tasks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightingRecord {
    /// Updates done, including this one.
    pub step: u64,
    /// The method's name.
    pub method: String,
    /// The model's learning rate in the step.
    pub learning_rate: Number,
    /// The tasks that had labelled rows.
    pub tasks: Vec<String>,
    /// Task weight times mean training loss.
    pub losses: Vec<Number>,
    /// The factor of each task's gradient. `None` if the method gives no single factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<Vec<Number>>,
    /// The factors by shared block, if the method gives one for each block (`gradvac` by layer or
    /// parameter).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha_by_block: Option<IndexMap<String, Vec<Number>>>,
    /// Inner products of the per-task gradients over the shared blocks, `[tasks, tasks]`. `None` in
    /// a step without per-task gradients. In combined mode they are computed every
    /// `tracking.gramian_every` steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gramian: Option<Vec<Vec<Number>>>,
    /// Cosines of the per-task gradients over the shared blocks, `[tasks, tasks]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosines: Option<Vec<Vec<Number>>>,
    /// Inner products of each task's gradient with the direction of the update. If one is below 0,
    /// the update raises that task's loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub products: Option<Vec<Number>>,
    /// The L2 norm of the direction of the update over the shared blocks, if there are `products`
    /// and no `alpha`. With `alpha` it follows from the Gramian.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction_norm: Option<Number>,
    /// How far the solver's answer may be from the best one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateRecord>,
}

/// A solver's certificate: how far the answer may be from the best one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertificateRecord {
    /// `duality_gap` or `kkt_residual`.
    pub kind: String,
    /// Its value.
    pub value: Number,
}

/// An observation: another run of the experiment has others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Observation {
    /// A coordinator took over the run. It is the first record of a journal, and the first after
    /// each resume.
    Started {
        /// [`SCHEMA`] of the program that writes the journal.
        schema: u32,
        /// The program's version.
        version: String,
        /// The coordinator's epoch.
        epoch: u64,
        /// The step that a resumed run goes on from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resumed_from: Option<u64>,
    },
    /// How the coordinator was started. It follows the record that it started.
    Launched {
        /// The command line.
        command: String,
        /// The user's name, if the environment has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// The name of the machine.
        host: String,
    },
    /// The part of the experiment that no result depends on (machines, tracking), as flat keys and
    /// text.
    Settings {
        /// The values by key (`cluster.workers`).
        settings: IndexMap<String, String>,
    },
    /// Measured values: rows a second, seconds, bytes. Their names end in the unit.
    Speed {
        /// Updates done.
        step: u64,
        /// The worker's rank. `None` for the whole run.
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
        /// The worker's own name (host and process).
        name: String,
    },
    /// A worker is gone. Its work is given to others.
    WorkerLost {
        /// The rank that it joined with. `None` if it never took part.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rank: Option<u32>,
        /// Updates done.
        step: u64,
        /// The reason.
        reason: Reason,
    },
    /// A worker was refused.
    WorkerRefused {
        /// The worker's own name.
        name: String,
        /// The reason.
        reason: Reason,
    },
    /// Peers were refused before they could take part, all for the same reason.
    TurnedAway {
        /// The address of the last of them.
        peer: String,
        /// The reason.
        reason: Reason,
        /// How many were refused since the last such record.
        count: u64,
        /// How many were refused since the coordinator took over the run.
        total: u64,
    },
    /// A checkpoint is on disk.
    CheckpointWritten {
        /// Updates done.
        step: u64,
        /// How long writing took, in milliseconds.
        took_ms: u64,
    },
    /// A checkpoint could not be used.
    CheckpointPassedOver {
        /// Its folder, relative to the run folder.
        path: String,
        /// The reason.
        reason: Reason,
    },
    /// Anything else that may be useful later.
    Event {
        /// What happened, in snake case.
        name: String,
        /// Updates done, if they matter.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<u64>,
        /// What happened, in words.
        message: String,
    },
    /// Something that a person should look at. The run goes on.
    Warning {
        /// What is wrong.
        reason: Reason,
    },
    /// The coordinator ends. It is its last record, unless it was killed.
    Finished {
        /// How it ended.
        status: Status,
        /// Updates done.
        step: u64,
        /// Why the run ended before its last step. `None` if it is finished.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// Values measured over the whole run: `seconds`, `rows_per_second`, `peak_rss_bytes` and
        /// others.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        metrics: IndexMap<String, Number>,
    },
}

/// Why something was refused, lost or passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The typed reason, in snake case, for programs.
    pub code: String,
    /// The reason in words, with the data.
    pub message: String,
}

impl Reason {
    /// A reason from its code and its words.
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
    /// The run stopped with an error.
    Failed,
    /// A person or the system asked it to stop.
    Interrupted,
}

/// Turns any serialisable value into flat keys and text, for [`Outcome::Parameters`] and MLflow.
///
/// Keys of nested objects are joined with dots (`train.optimizer.kind`). Lists of plain values are
/// written as JSON (`[128,64]`), other lists nest by index, and nulls are left out.
///
/// # Errors
/// The value can't be serialised as JSON.
pub fn flatten(value: &impl Serialize) -> Result<IndexMap<String, String>, serde_json::Error> {
    let mut flat = IndexMap::new();
    // By way of text: a value made from an `f32` would show 0.1 as 0.10000000149011612.
    flatten_into("", &serde_json::from_str(&serde_json::to_string(value)?)?, &mut flat);
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
