//! A piece of a plan, of parameters or of a result's vector.

use crate::{
    invalid::{Invalid, required},
    v1,
};

/// A piece of something longer. Pieces come in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// What it is a piece of.
    pub of: ChunkOf,
    /// Where it starts, bytes.
    pub offset: u64,
    /// Length of the whole, bytes.
    pub total: u64,
    /// The bytes of the piece.
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

impl From<Chunk> for v1::Chunk {
    fn from(chunk: Chunk) -> v1::Chunk {
        use v1::chunk::Of;
        let of = match chunk.of {
            ChunkOf::Plan => Of::Plan(true),
            ChunkOf::Parameters(version) => Of::Parameters(version),
            ChunkOf::Result { work, index } => Of::Result(v1::ResultVector { work, index }),
        };
        v1::Chunk { of: Some(of), offset: chunk.offset, total: chunk.total, data: chunk.data }
    }
}

impl TryFrom<v1::Chunk> for Chunk {
    type Error = Invalid;

    fn try_from(chunk: v1::Chunk) -> Result<Chunk, Invalid> {
        use v1::chunk::Of;
        let of = match required(chunk.of, "of")? {
            Of::Plan(_) => ChunkOf::Plan,
            Of::Parameters(version) => ChunkOf::Parameters(version),
            Of::Result(v1::ResultVector { work, index }) => ChunkOf::Result { work, index },
        };
        Ok(Chunk { of, offset: chunk.offset, total: chunk.total, data: chunk.data })
    }
}
