//! The worker's bench: takes what the connection hands it, in order, and answers with messages.

use std::{ops::Range, path::Path, sync::Arc, time::Instant};

use bytes::Bytes;
use datasets::{Plan, Store};
use proto::{
    address::Address,
    memory,
    message::{
        ChunkOf, LossSum, Ready, Refusal, RefusalKind, SharedMemory, Vector, Welcome, Work, WorkKind, WorkResult,
        WorkerMessage,
    },
    payload,
    shared_memory::Region,
};

use crate::{
    compute::{ComputeError, Computer, Loss},
    options::Options,
};

/// What the connection hands to the bench.
pub(crate) enum Task {
    /// The coordinator's welcome with its plan.
    SetUp { welcome: Box<Welcome>, plan: Vec<u8> },
    /// Parameters that came in chunks.
    Parameters { version: u64, vector: Vec<f32> },
    /// Something to compute.
    Work(Work),
}

/// Everything that stands once the coordinator's welcome is understood.
struct Stand {
    computer: Computer,
    shared: Option<Shared>,
    received: Option<(u64, Vec<f32>)>,
    version: Option<u64>,
    parameters: usize,
}

struct Shared {
    parameters: Region,
    results: Region,
}

/// A worker's place of work: empty until the coordinator's welcome is understood.
pub(crate) struct Bench {
    options: Options,
    stand: Option<Stand>,
}

impl Bench {
    pub(crate) fn new(options: Options) -> Bench {
        Bench { options, stand: None }
    }

    /// Does a task; gives what is to be sent.
    ///
    /// # Errors
    /// Why the worker can't take part any more.
    pub(crate) fn take(&mut self, task: Task) -> Result<Vec<WorkerMessage>, Refusal> {
        match task {
            Task::SetUp { welcome, plan } => {
                let stand = set_up(&self.options, &welcome, &plan)?;
                let fingerprint = stand
                    .computer
                    .network()
                    .fingerprint()
                    .map_err(|error| Refusal { kind: RefusalKind::Fingerprint, reason: error.to_string() })?;
                let ready = Ready {
                    fingerprint,
                    shared_memory: stand.shared.is_some(),
                    resident_bytes: memory::resident().peak_bytes,
                };
                self.stand = Some(stand);
                Ok(vec![WorkerMessage::Ready(ready)])
            }
            Task::Parameters { version, vector } => {
                if let Some(stand) = &mut self.stand {
                    stand.received = Some((version, vector));
                }
                Ok(Vec::new())
            }
            Task::Work(work) => self.work(&work),
        }
    }

    fn work(&mut self, work: &Work) -> Result<Vec<WorkerMessage>, Refusal> {
        let failure = |reason| vec![WorkerMessage::Failure { work: work.id, reason }];
        let Some(stand) = &mut self.stand else {
            return Ok(failure("work before the worker was ready".to_owned()));
        };
        match stand.compute(work) {
            Ok((result, inline)) => {
                let chunks = inline.into_iter().zip(0..).flat_map(|(bytes, index)| {
                    payload::chunks(ChunkOf::Result { work: work.id, index }, bytes).map(WorkerMessage::Chunk)
                });
                Ok(std::iter::once(WorkerMessage::Result(result)).chain(chunks).collect())
            }
            Err(Failed::Data(reason)) => Err(Refusal { kind: RefusalKind::Data, reason }),
            Err(Failed::Work(reason)) => Ok(failure(reason)),
        }
    }
}

enum Failed {
    Data(String),
    Work(String),
}

impl From<ComputeError> for Failed {
    fn from(error: ComputeError) -> Failed {
        match error {
            ComputeError::Data(error) => Failed::Data(error.to_string()),
            ComputeError::Model(error) => Failed::Work(error.to_string()),
        }
    }
}

impl Stand {
    fn compute(&mut self, work: &Work) -> Result<(WorkResult, Vec<Bytes>), Failed> {
        #[expect(clippy::disallowed_methods, reason = "a speed that is observed, never used")]
        let start = Instant::now();
        self.use_parameters(work.version)?;
        let mut result = WorkResult {
            work: work.id,
            node: work.node,
            losses: Vec::new(),
            sums: Vec::new(),
            vectors: Vec::new(),
            compute_us: 0,
        };
        let mut inline = Vec::new();
        match work.kind {
            WorkKind::Gradient => {
                let tasks = work.by_task.iter().flatten().map(|task| *task as usize);
                let spans: Vec<(Option<u32>, Range<usize>)> = match &work.by_task {
                    None => vec![(None, 0..self.parameters)],
                    Some(_) => {
                        tasks.map(|task| (Some(task as u32), self.computer.network().layout().span(task))).collect()
                    }
                };
                let (losses, vectors) = self.gradient(work, spans.len())?;
                result.losses = loss_sums(&losses);
                for (i, (task, span)) in spans.iter().enumerate() {
                    let slot = vectors.is_empty().then(|| work.slots[i]);
                    let (lo, hi) = (span.start as u64, span.end as u64);
                    result.vectors.push(Vector { node: work.node, task: *task, lo, hi, slot });
                }
                let bytes = |(vector, (_, span)): (Vec<f32>, &(_, Range<usize>))| {
                    let element = size_of::<f32>();
                    payload::vector_bytes(vector).slice(span.start * element..span.end * element)
                };
                inline = vectors.into_iter().zip(&spans).map(bytes).collect();
            }
            WorkKind::Evaluate => {
                for feed in &work.feeds {
                    let sums = self.computer.evaluate(*feed as usize, work.split, work.node)?;
                    result.sums.extend(sums.into_iter().map(|(task, sums)| (task as u32, sums)));
                }
            }
            WorkKind::Losses => result.losses = loss_sums(&self.computer.losses(work.step, work.node)?),
        }
        result.compute_us = start.elapsed().as_micros() as u64;
        Ok((result, inline))
    }

    /// Loss sums and `count` vectors; no vectors where they went into the slots of shared memory.
    fn gradient(&mut self, work: &Work, count: usize) -> Result<(Vec<Loss>, Vec<Vec<f32>>), Failed> {
        let computer = &mut self.computer;
        if let Some(shared) = self.shared.as_ref().filter(|_| work.slots.len() == count) {
            let losses = shared.results.write_all(&work.slots, |vectors| compute(computer, work, vectors))?;
            return Ok((losses, Vec::new()));
        }
        let mut vectors = vec![vec![0.0; self.parameters]; count];
        let mut places: Vec<&mut [f32]> = vectors.iter_mut().map(Vec::as_mut_slice).collect();
        let losses = compute(computer, work, &mut places)?;
        Ok((losses, vectors))
    }

    fn use_parameters(&mut self, version: u64) -> Result<(), Failed> {
        if self.version == Some(version) {
            return Ok(());
        }
        // Until they are whole they are of no version.
        self.version = None;
        if let Some(shared) = &self.shared {
            let slot = (version % shared.parameters.slots() as u64) as u32;
            let computer = &mut self.computer;
            shared
                .parameters
                .read(slot, version + 1, |parameters| computer.set_parameters(parameters))
                .map_err(|other| Failed::Work(other.to_string()))?
                .map_err(ComputeError::from)?;
        } else {
            match &self.received {
                Some((received, vector)) if *received == version => {
                    self.computer.set_parameters(vector).map_err(ComputeError::from)?;
                }
                _ => return Err(Failed::Work(format!("parameters of version {version} did not come"))),
            }
        }
        self.version = Some(version);
        Ok(())
    }
}

/// The vectors of a piece of work: one for all tasks together, or one for each that is asked for.
fn compute(computer: &mut Computer, work: &Work, vectors: &mut [&mut [f32]]) -> Result<Vec<Loss>, ComputeError> {
    match (&work.by_task, &work.feeds[..]) {
        (Some(tasks), &[feed]) => {
            let tasks: Vec<usize> = tasks.iter().map(|task| *task as usize).collect();
            computer.gradients((work.step, feed as usize), work.node, &tasks, &work.scales, vectors)
        }
        _ => computer.gradient(work.step, work.node, &work.scales, vectors[0]),
    }
}

fn loss_sums(losses: &[Loss]) -> Vec<LossSum> {
    let sums = losses.iter().enumerate();
    sums.map(|(task, loss)| LossSum { task: task as u32, loss: loss.loss, rows: loss.rows }).collect()
}

fn set_up(options: &Options, welcome: &Welcome, plan: &[u8]) -> Result<Stand, Refusal> {
    let refuse = |kind, reason: String| Refusal { kind, reason };
    let protocol = |reason: String| refuse(RefusalKind::Protocol, reason);
    let loaded =
        model::parse(&welcome.experiment, Path::new("experiment.toml"), &[]).map_err(|e| protocol(e.to_string()))?;
    let experiment = loaded.experiment;
    let plan: Plan = serde_json::from_slice(plan).map_err(|e| protocol(format!("the plan: {e}")))?;
    let threads = options.threads.unwrap_or(welcome.threads);
    let no_device = |e: model::ModelError| refuse(RefusalKind::Device, e.to_string());
    let device: model::Device = options.device.parse().map_err(no_device)?;
    model::device::configure(threads as usize).map_err(no_device)?;
    let data = |e: datasets::DataError| refuse(RefusalKind::Data, e.to_string());
    let store = match &options.data_root {
        Some(root) => Store::open_within(Arc::new(plan), root),
        None => Store::open(Arc::new(plan), Path::new(&welcome.base)),
    };
    let store = store.map_err(data)?;
    for share in &welcome.shares {
        store.load_partitions(share.feed as usize, share.lo..share.hi).map_err(data)?;
    }
    let computer = Computer::new(&experiment, store, &device).map_err(|e| protocol(e.to_string()))?;
    let parameters = computer.network().layout().len();
    if parameters as u64 != welcome.parameters {
        let reason = format!("this worker's model has {parameters} parameters, the run's {}", welcome.parameters);
        return Err(protocol(reason));
    }
    // A coordinator elsewhere has no memory to share, whatever it says.
    let offered = welcome.shared_memory.as_ref().filter(|_| matches!(options.coordinator, Address::Unix(_)));
    let shared = offered.and_then(|shared| map(shared, parameters));
    Ok(Stand { computer, shared, received: None, version: None, parameters })
}

/// Maps the coordinator's memory; a worker that can't (in a container, say) gets vectors over the
/// stream.
fn map(shared: &SharedMemory, parameters: usize) -> Option<Shared> {
    let open = |path: &str, slots: u32| Region::open(Path::new(path), slots as usize, parameters);
    let regions = open(&shared.parameters_path, shared.parameters_slots)
        .and_then(|parameters| Ok(Shared { parameters, results: open(&shared.results_path, shared.results_slots)? }));
    regions.inspect_err(|error| tracing::warn!(%error, "no shared memory: vectors travel over the stream")).ok()
}
