//! The gRPC contract between a coordinator and its workers, and the only place that converts to and
//! from it.
//!
//! [`v1`] is generated from `trunkline/v1/trunkline.proto`. [`message`] has the same content as
//! plain Rust types, which the state machine and the worker use. [`convert`] converts between the
//! two and refuses messages that can't be right.
//!
//! Vectors travel in chunks of the stream ([`payload`]), or through [`shared_memory`] between
//! processes of one machine. A [`checksum`] finds messages that the network has damaged. [`tls`]
//! and [`token`] prove who a peer is.

use std::time::Duration;

pub mod address;
pub mod checksum;
pub mod codec;
pub mod convert;
pub mod invalid;
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

/// The largest message that either side ever accepts, bytes. The largest messages that do not
/// travel in chunks are evaluation sums. A coordinator accepts no larger ones than its
/// experiment's.
pub const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// The room for what is around a chunk's data in a message, bytes.
pub const ENVELOPE_BYTES_MAX: usize = 64 << 10;

/// The metadata key that holds the [`message::RefusalKind`] of a refused call.
pub const REFUSAL: &str = "trunkline-refusal";

/// The longest text in a worker's message (a name, a reason or a hash), bytes.
pub const TEXT_BYTES_MAX: usize = 4096;

/// The most parts that a worker may have added.
pub const PARTS_MAX: usize = 1024;

/// The longest name of a host, bytes.
pub const HOST_BYTES_MAX: usize = 255;

/// How long a worker is refused after it was dropped for a fault of its own.
pub const COOL_DOWN: Duration = Duration::from_secs(60);

/// What a coordinator may have on its way to a worker that the worker has not read, by stream,
/// bytes.
pub const STREAM_WINDOW_BYTES: u32 = 16 << 20;

/// What a coordinator may have on its way to a worker that the worker has not read, by connection,
/// bytes.
pub const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;
