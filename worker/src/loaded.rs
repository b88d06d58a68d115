//! What a worker has loaded: its data, its model, the parameters, and the memory that it shares
//! with the coordinator.

use std::{ops::Range, path::Path, sync::Arc, time::Instant};

use bytes::Bytes;
use datasets::{Plan, Store};
use model::Network;
use objectives::LossSum;
use proto::{
    address::Address,
    message::{Refusal, RefusalKind, SharedMemory, Vector, Welcome, Work, WorkKind, WorkResult},
    payload,
    shared_memory::{Region, Writer},
};

use crate::{
    asked,
    compute::{ComputeError, Computer},
    options::Options,
};

/// Everything that a worker computes with.
pub(crate) struct Loaded {
    computer: Computer,
    shared: Option<Shared>,
    /// Parameters that came in chunks, with their version.
    received: Option<(u64, Vec<f32>)>,
    /// The version of the parameters that the network has.
    version: Option<u64>,
    /// Length of the flat parameter vector, elements.
    parameters: usize,
}

/// Memory that the coordinator maps too.
struct Shared {
    parameters: Region,
    results: Region,
}

/// Why work was not done.
pub(crate) enum Failed {
    /// The data are not those of the run: the worker must leave.
    Data(String),
    /// This piece of work failed; the worker can go on.
    Work(String),
    /// No coordinator asks for such work: the worker must leave.
    Asked(String),
}

impl From<ComputeError> for Failed {
    fn from(error: ComputeError) -> Failed {
        match error {
            ComputeError::Data(error) => Failed::Data(error.to_string()),
            ComputeError::Model(error) => Failed::Work(error.to_string()),
        }
    }
}

impl Loaded {
    /// Loads the data of the worker's partitions and builds the model. `plan` is the JSON text of a
    /// [`Plan`].
    ///
    /// # Errors
    /// The reason why the worker can't join: its device, its data, or a message that is wrong.
    pub(crate) fn load(options: &Options, welcome: &Welcome, plan: &[u8]) -> Result<Loaded, Refusal> {
        let refuse = |kind, reason: String| Refusal { kind, reason };
        let protocol = |reason: String| refuse(RefusalKind::Protocol, reason);
        let loaded = model::parse(&welcome.experiment, Path::new("experiment.toml"), &[])
            .map_err(|e| protocol(e.to_string()))?;
        let plan: Plan = serde_json::from_slice(plan).map_err(|e| protocol(format!("can't read the plan: {e}")))?;
        if welcome.threads != loaded.experiment.cluster.threads {
            let (said, experiment) = (welcome.threads, loaded.experiment.cluster.threads);
            return Err(protocol(format!("a welcome with {said} threads, and an experiment with {experiment}")));
        }
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
        let computer = Computer::new(&loaded.experiment, store, &device).map_err(|e| protocol(e.to_string()))?;
        let parameters = computer.network().layout().len();
        if parameters as u64 != welcome.parameters {
            let reason =
                format!("this worker's model has {parameters} parameters, the run's has {}", welcome.parameters);
            return Err(protocol(reason));
        }
        // A coordinator on another machine can't share memory, so an offer from one is ignored.
        let offered = welcome.shared_memory.as_ref().filter(|_| matches!(options.coordinator, Address::Unix(_)));
        let shared = offered.and_then(|offered| Shared::map(offered, parameters));
        Ok(Loaded { computer, shared, received: None, version: None, parameters })
    }

    /// The model.
    pub(crate) fn network(&self) -> &Network {
        self.computer.network()
    }

    /// Whether vectors travel through shared memory.
    pub(crate) fn has_shared_memory(&self) -> bool {
        self.shared.is_some()
    }

    /// Keeps parameters that came in chunks.
    pub(crate) fn receive_parameters(&mut self, version: u64, parameters: Vec<f32>) {
        self.received = Some((version, parameters));
    }

    /// Computes a piece of work. Returns the result and the bytes of those vectors that were not
    /// written to shared memory.
    ///
    /// # Errors
    /// [`Failed`] says whether the worker can go on.
    pub(crate) fn compute(&mut self, work: &Work) -> Result<(WorkResult, Vec<Bytes>), Failed> {
        #[expect(clippy::disallowed_methods, reason = "the duration is only recorded")]
        let start = Instant::now();
        let slots = self.shared.as_ref().map(|shared| shared.results.slots());
        if let Some(fault) = asked::fault(work, self.computer.store().plan(), slots) {
            return Err(Failed::Asked(fault));
        }
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
            WorkKind::Gradient => inline = self.gradient(work, &mut result)?,
            WorkKind::Evaluate => {
                for feed in &work.feeds {
                    let sums = self.computer.evaluate(*feed as usize, work.split, work.node)?;
                    result.sums.extend(sums.into_iter().map(|(task, sums)| (task as u32, sums)));
                }
            }
            WorkKind::Losses => result.losses = self.computer.losses(work.step, work.node)?,
        }
        result.compute_us = start.elapsed().as_micros() as u64;
        Ok((result, inline))
    }

    /// Adds loss sums and vectors to the result. Returns the bytes of vectors that were not written
    /// to shared memory.
    fn gradient(&mut self, work: &Work, result: &mut WorkResult) -> Result<Vec<Bytes>, Failed> {
        let spans: Vec<(Option<u32>, Range<usize>)> = match &work.by_task {
            None => vec![(None, 0..self.parameters)],
            Some(tasks) => {
                let layout = self.computer.network().layout();
                tasks.iter().map(|&task| (Some(task), layout.span(task as usize))).collect()
            }
        };
        let (losses, vectors) = self.vectors(work, spans.len())?;
        result.losses = losses;
        for (i, (task, span)) in spans.iter().enumerate() {
            let slot = vectors.is_empty().then(|| work.slots[i]);
            let (lo, hi) = (span.start as u64, span.end as u64);
            result.vectors.push(Vector { node: work.node, task: *task, lo, hi, slot });
        }
        let element = size_of::<f32>();
        let bytes = |(vector, (_, span)): (Vec<f32>, &(_, Range<usize>))| {
            payload::vector_bytes(vector).slice(span.start * element..span.end * element)
        };
        Ok(vectors.into_iter().zip(&spans).map(bytes).collect())
    }

    /// Computes loss sums and `count` vectors. The vectors go into the work's slots of shared
    /// memory, if it names one for each; otherwise they are returned.
    fn vectors(&mut self, work: &Work, count: usize) -> Result<(Vec<LossSum>, Vec<Vec<f32>>), Failed> {
        let computer = &mut self.computer;
        if let Some(shared) = self.shared.as_ref().filter(|_| work.slots.len() == count) {
            let losses = shared.results.write_all(&work.slots, |vectors| compute_into(computer, work, vectors))?;
            return Ok((losses, Vec::new()));
        }
        let mut vectors = vec![vec![0.0; self.parameters]; count];
        let mut places: Vec<&mut [f32]> = vectors.iter_mut().map(Vec::as_mut_slice).collect();
        let losses = compute_into(computer, work, &mut places)?;
        Ok((losses, vectors))
    }

    /// Gives the network the parameters of this version.
    fn use_parameters(&mut self, version: u64) -> Result<(), Failed> {
        if self.version == Some(version) {
            return Ok(());
        }
        // If copying fails half-way, the network's parameters belong to no version.
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
                Some((received, parameters)) if *received == version => {
                    self.computer.set_parameters(parameters).map_err(ComputeError::from)?;
                }
                _ => return Err(Failed::Work(format!("no parameters of version {version} were received"))),
            }
        }
        self.version = Some(version);
        Ok(())
    }
}

impl Shared {
    /// Maps the coordinator's memory. A worker that can't map it (in a container, for example)
    /// sends and receives vectors over the stream.
    fn map(offered: &SharedMemory, parameters: usize) -> Option<Shared> {
        let open = |writer, path: &str, slots: u32| Region::open(writer, Path::new(path), slots as usize, parameters);
        let theirs = open(Writer::Creator, &offered.parameters_path, offered.parameters_slots);
        let regions = theirs.and_then(|parameters| {
            let results = open(Writer::Opener, &offered.results_path, offered.results_slots)?;
            Ok(Shared { parameters, results })
        });
        regions.inspect_err(|error| tracing::warn!(%error, "no shared memory: vectors travel over the stream")).ok()
    }
}

/// Writes the vectors of a piece of work: one for all tasks together, or one for each task that it
/// names.
fn compute_into(
    computer: &mut Computer,
    work: &Work,
    vectors: &mut [&mut [f32]],
) -> Result<Vec<LossSum>, ComputeError> {
    match (&work.by_task, &work.feeds[..]) {
        (Some(tasks), &[feed]) => {
            let tasks: Vec<usize> = tasks.iter().map(|task| *task as usize).collect();
            computer.task_gradients((work.step, feed as usize), work.node, &tasks, &work.scales, vectors)
        }
        _ => computer.combined_gradient(work.step, work.node, &work.scales, vectors[0]),
    }
}
