//! The gRPC contract between a coordinator and its workers, and the only place that converts to and
//! from it.
//!
//! [`v1`] is generated from `trunkline/v1/trunkline.proto`; [`message`] has the same content as
//! plain Rust types, which the state machine and the worker use; [`convert`] goes from one to the
//! other and refuses what can't be right. Where a vector's elements travel is decided by
//! [`payload`]: in chunks of the stream, or through [`shared_memory`] between processes of one
//! machine. What a line does to a message is noticed by its [`checksum`]. How peers prove who they
//! are is in [`tls`] and [`token`].

use std::time::Duration;

pub mod address;
pub mod checksum;
pub mod convert;
pub mod memory;
pub mod message;
pub mod payload;
pub mod shared_memory;
pub mod tls;
pub mod token;

/// Generated from `trunkline/v1/trunkline.proto`.
#[allow(missing_docs, clippy::all, rust_2018_idioms)]
pub mod v1 {
    tonic::include_proto!("trunkline.v1");
}

/// The encoded descriptors of [`v1`], for the reflection service.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The most bytes that one [`v1::Chunk`] carries.
pub const CHUNK_BYTES: usize = 1 << 20;

/// The largest message that either side takes; evaluation sums are the largest that are not
/// chunked.
pub const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// The metadata key under which a call that is refused carries the [`message::RefusalKind`].
pub const REFUSAL: &str = "trunkline-refusal";

/// The longest text of a worker's message, in bytes: names, reasons, hashes.
pub const TEXT_BYTES_MAX: usize = 4096;

/// How long a worker that was sent away for a fault of its own is kept out.
pub const COOL_DOWN: Duration = Duration::from_secs(60);

/// Flow-control window of one stream, in bytes.
pub const STREAM_WINDOW_BYTES: u32 = 16 << 20;

/// Flow-control window of one connection, in bytes.
pub const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;
