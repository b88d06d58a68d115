//! A hash of a process's arithmetic: processes with equal ones compute the same bits.

use aggregation::random::{Purpose, Stream};
use datasets::{Batch, Targets};
use experiment::Kind;
use sha2::{Digest, Sha256};

use crate::pass::{FeedInput, MicrobatchKey};
use crate::{ModelError, Network};

/// Rows of each feed that the probe computes: enough for the kernels that real batches use.
const ROWS: usize = 48;

impl Network {
    /// A hash of this process's arithmetic. Workers with equal fingerprints give the same bits.
    ///
    /// It is the SHA-256, in hexadecimal, of the crate's version, the device's kind, the
    /// processor's features, and the results of a forward and backward pass over made-up rows of
    /// the network's shapes. The parameters are left as they were.
    ///
    /// # Errors
    /// Those of a pass.
    pub fn fingerprint(&self) -> Result<String, ModelError> {
        let mut hash = Sha256::new();
        for part in [env!("CARGO_PKG_VERSION"), self.device().kind(), std::env::consts::ARCH, &processor()] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        for value in probe(self)? {
            hash.update(value.to_le_bytes());
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// The features of the processor that libraries choose their kernels by.
fn processor() -> String {
    #[cfg(target_arch = "x86_64")]
    let features = [
        ("avx", std::is_x86_feature_detected!("avx")),
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("fma", std::is_x86_feature_detected!("fma")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
        ("avx512bw", std::is_x86_feature_detected!("avx512bw")),
        ("avx512dq", std::is_x86_feature_detected!("avx512dq")),
        ("avx512vl", std::is_x86_feature_detected!("avx512vl")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let features: [(&str, bool); 0] = [];
    features.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect::<Vec<_>>().join("+")
}

/// The combined gradient and the losses of made-up rows with initial parameters.
fn probe(network: &Network) -> Result<Vec<f32>, ModelError> {
    let shapes = network.shapes();
    let mut twin = network.twin();
    twin.set_parameters(&twin.initial(0))?;
    let rows: Vec<_> = (0..shapes.feeds.len()).map(|feed| probe_rows(network, feed)).collect();
    let inputs: Vec<_> = rows.iter().enumerate().map(|(feed, rows)| FeedInput::new(feed, rows)).collect();
    let mut bits = vec![0.0; twin.layout().len()];
    let at = MicrobatchKey { seed: 0, step: 0, microbatch: 0 };
    let losses = twin.combined_gradient(at, &vec![1.0; shapes.tasks.len()], &inputs, &mut bits)?;
    bits.extend(losses.iter().map(|sum| sum.loss as f32));
    Ok(bits)
}

/// Made-up rows of one feed.
fn probe_rows(network: &Network, feed: usize) -> Batch {
    let shapes = network.shapes();
    let shape = &shapes.feeds[feed];
    let stream = |part: u64| Stream::new(0, Purpose::Probe, &[feed as u64, part]);
    let mut dense = vec![0.0; ROWS * shape.width];
    stream(0).fill_normal(0, &mut dense);
    let columns = shape.embeddings.len();
    let id = |at: usize| stream(1).u32_at(at as u64) % shape.embeddings[at % columns].rows as u32;
    let ids = (0..ROWS * columns).map(id).collect();
    let tasks = shapes.tasks.iter().enumerate().filter(|(_, task)| task.feed == feed);
    let targets = tasks.map(|(task, shape)| {
        let at = |i: usize| stream(2).u32_at(i as u64);
        let values = match shape.kind {
            Kind::Multiclass => (0..ROWS).map(|i| (at(i) as usize % shape.outputs) as f32).collect(),
            _ => (0..ROWS * shape.outputs).map(|i| (at(i) % 2) as f32).collect(),
        };
        Targets { task, values, labelled: vec![true; ROWS] }
    });
    Batch { rows: ROWS, dense, ids, targets: targets.collect() }
}
