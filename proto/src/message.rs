//! What a coordinator and a worker say to each other, as plain types without transport.

use aggregation::tree::Node;
use experiment::SplitName;
use objectives::TaskSums;

/// What every message carries: stale and duplicate messages are recognised by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The run's identity.
    pub run: String,
    /// How often a coordinator has taken up the run.
    pub epoch: u64,
    /// The worker's place in the run; a worker that comes back gets another.
    pub lease: u64,
    /// The step that the message belongs to.
    pub step: u64,
    /// The phase within the step.
    pub phase: u32,
}

/// From a worker to the coordinator.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkerMessage {
    /// The first message of a stream.
    Hello(Hello),
    /// The plan is understood and the worker's data are those of the run.
    Ready(Ready),
    /// Work is done.
    Result(WorkResult),
    /// A piece of a result's vector.
    Chunk(Chunk),
    /// Work could not be done; the worker goes on.
    Failure {
        /// The work's id.
        work: u64,
        /// Why, for people.
        reason: String,
    },
    /// The worker gives up its place.
    Leave(Refusal),
}

/// From the coordinator to a worker.
#[derive(Debug, Clone, PartialEq)]
pub enum CoordinatorMessage {
    /// The answer to [`Hello`]; the plan follows in chunks.
    Welcome(Box<Welcome>),
    /// The worker can't take part.
    Refused(Refusal),
    /// The worker takes part from now on.
    Accepted {
        /// The worker's number among those that take part.
        rank: u32,
    },
    /// A piece of the plan or of the parameters.
    Chunk(Chunk),
    /// Something to compute.
    Work(Work),
    /// The run is over.
    Finished {
        /// Why, for people.
        reason: String,
    },
}

/// Who a worker is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hello {
    /// Version of the program.
    pub version: String,
    /// Host name.
    pub host: String,
    /// Process id on that host.
    pub pid: u32,
    /// Kind of device, as `--device` names it.
    pub device: String,
    /// Threads that compute.
    pub threads: u32,
    /// Whether the worker came over a Unix domain socket.
    pub local: bool,
}

/// What a worker needs before it can compute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Welcome {
    /// The resolved experiment, TOML.
    pub experiment: String,
    /// The folder that relative paths start from.
    pub base: String,
    /// Length of the plan that follows in chunks, bytes.
    pub plan_bytes: u64,
    /// Time between two heartbeats, milliseconds.
    pub heartbeat_ms: u64,
    /// Silence after which a worker counts as lost, milliseconds.
    pub lease_ms: u64,
    /// Threads that every worker computes with.
    pub threads: u32,
    /// Partitions that the worker is likely to be asked for.
    pub shares: Vec<Share>,
    /// Where vectors can travel without the network.
    pub shared_memory: Option<SharedMemory>,
    /// Length of the flat parameter vector, elements.
    pub parameters: u64,
}

/// Partitions of a feed's training rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The feed's number.
    pub feed: u32,
    /// First partition.
    pub lo: u32,
    /// One past the last partition.
    pub hi: u32,
}

/// The memory regions that coordinator and worker both map; a slot holds one vector of the layout's
/// length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedMemory {
    /// The region of parameters, written by the coordinator.
    pub parameters_path: String,
    /// Its slots.
    pub parameters_slots: u32,
    /// The region of results, written by this worker.
    pub results_path: String,
    /// Its slots.
    pub results_slots: u32,
}

/// A worker's answer to [`Welcome`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ready {
    /// Hash over processor features, build and a probe of the computation.
    pub fingerprint: String,
    /// Whether the shared memory is mapped.
    pub shared_memory: bool,
    /// The worker's memory after loading, bytes.
    pub resident_bytes: u64,
}

/// A typed refusal: `kind` is stable, `reason` is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of refusal.
    pub kind: RefusalKind,
    /// Why, for people.
    pub reason: String,
}

/// Why a worker is not let in, or has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalKind {
    /// Another version of the program.
    Version,
    /// Another run, or a coordinator that was replaced.
    Stale,
    /// The worker's data are not those of the run.
    Data,
    /// The worker computes other bits.
    Fingerprint,
    /// The worker's device or thread count is not the run's.
    Device,
    /// The message can't be right.
    Protocol,
    /// What came is not what was sent: the line's fault, not the peer's.
    Damaged,
    /// The worker asked to go.
    Shutdown,
    /// What came is not the protocol, or its handshake failed.
    Handshake,
    /// No certificate, or one that is not trusted.
    Certificate,
    /// No join token, or a wrong one.
    Token,
    /// There are too many connections.
    Connections,
    /// A result that is not finite where its losses are.
    NotFinite,
    /// The worker was sent away for a fault of its own, not long ago.
    CoolDown,
}

impl RefusalKind {
    /// All kinds with their stable names.
    pub const ALL: [(RefusalKind, &'static str); 14] = [
        (RefusalKind::Version, "version"),
        (RefusalKind::Stale, "stale"),
        (RefusalKind::Data, "data"),
        (RefusalKind::Fingerprint, "fingerprint"),
        (RefusalKind::Device, "device"),
        (RefusalKind::Protocol, "protocol"),
        (RefusalKind::Damaged, "damaged"),
        (RefusalKind::Shutdown, "shutdown"),
        (RefusalKind::Handshake, "handshake"),
        (RefusalKind::Certificate, "certificate"),
        (RefusalKind::Token, "token"),
        (RefusalKind::Connections, "connections"),
        (RefusalKind::NotFinite, "not_finite"),
        (RefusalKind::CoolDown, "cool_down"),
    ];

    /// The name on the wire and in the journal.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("protocol", |(_, name)| name)
    }

    /// The kind with that name.
    pub fn from_name(name: &str) -> Option<RefusalKind> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }
}

/// What is to be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkKind {
    /// Gradient sums and loss sums of training microbatches.
    Gradient,
    /// Loss sums alone of training microbatches.
    Losses,
    /// Loss and metric sums of chunks of a split.
    Evaluate,
}

/// Something for one worker to compute: a pure function of the parameters and this.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// Identity within the run; never used twice.
    pub id: u64,
    /// What is to be computed.
    pub kind: WorkKind,
    /// Version of the parameters: the number of updates done.
    pub version: u64,
    /// The step whose training rows are read.
    pub step: u64,
    /// Feeds that take part, by number.
    pub feeds: Vec<u32>,
    /// Microbatches (or chunks, for an evaluation) as a node of the canonical tree.
    pub node: Node,
    /// By task: alpha * weight / labelled rows of the whole batch; zero for a task without rows.
    pub scales: Vec<f32>,
    /// A gradient vector for each of these tasks; `None`: one for all tasks together.
    pub by_task: Option<Vec<u32>>,
    /// The split that an evaluation reads.
    pub split: SplitName,
    /// Where the vectors go in shared memory, one slot each; none: in chunks.
    pub slots: Vec<Slot>,
}

/// A place in shared memory; the generation tells an old use from the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Number of the slot.
    pub index: u32,
    /// Number of this use of it.
    pub generation: u64,
}

/// What a worker computed.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkResult {
    /// The work's id.
    pub work: u64,
    /// The work's node.
    pub node: Node,
    /// Loss sums of training microbatches.
    pub losses: Vec<LossSum>,
    /// Sums of an evaluation, by task.
    pub sums: Vec<(u32, TaskSums)>,
    /// The vectors of gradient sums, for work that gives some.
    pub vectors: Vec<Vector>,
    /// Time that the computation took, microseconds.
    pub compute_us: u64,
}

/// Names a vector and says where its elements are. Elements are f32, little-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vector {
    /// The node that it sums over.
    pub node: Node,
    /// The task it belongs to; `None`: all tasks, combined.
    pub task: Option<u32>,
    /// First element in the layout.
    pub lo: u64,
    /// One past the last element in the layout.
    pub hi: u64,
    /// Where it is in shared memory; `None`: chunks follow.
    pub slot: Option<Slot>,
}

/// The sum of one task's losses over labelled rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossSum {
    /// The task's number.
    pub task: u32,
    /// Sum of the rows' losses, without the task's weight.
    pub loss: f64,
    /// Rows that have a label.
    pub rows: u64,
}

/// A piece of something longer; pieces come in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// What it is a piece of.
    pub of: ChunkOf,
    /// Where it starts, bytes.
    pub offset: u64,
    /// Length of the whole, bytes.
    pub total: u64,
    /// The piece.
    pub data: bytes::Bytes,
}

/// What a chunk is a piece of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChunkOf {
    /// The plan.
    Plan,
    /// Parameters of a version.
    Parameters(u64),
    /// One of the vectors of a work's result.
    Result {
        /// The work's id.
        work: u64,
        /// The vector's number in the result.
        index: u32,
    },
}

/// A sign of life.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beat {
    /// The run's identity.
    pub run: String,
    /// The coordinator's epoch.
    pub epoch: u64,
    /// The worker's lease.
    pub lease: u64,
    /// Number of the beat.
    pub sequence: u64,
    /// The worker's memory, bytes.
    pub resident_bytes: u64,
    /// How many messages have come to the worker on its stream.
    pub heard: u64,
    /// Whether it computes, or has something to send.
    pub busy: bool,
}
