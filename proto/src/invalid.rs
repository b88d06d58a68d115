//! Messages from a peer that can't be understood, and the checks that find them.

use crate::{checksum, message::RefusalKind};

/// Why a message from a peer can't be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Its checksum is wrong.
    #[error(transparent)]
    Damaged(#[from] checksum::Damaged),
    /// A required field is missing.
    #[error("message without `{0}`")]
    Missing(&'static str),
    /// A number that names nothing.
    #[error("`{field}` has the unknown value {value}")]
    Unknown {
        /// The field.
        field: &'static str,
        /// The value in the message.
        value: i64,
    },
    /// A range that is empty, or ends before it begins.
    #[error("[{lo}, {hi}) is not a range: it is empty, or ends before it begins")]
    Range {
        /// First element.
        lo: u64,
        /// One past the last element.
        hi: u64,
    },
    /// A text longer than [`crate::TEXT_BYTES_MAX`].
    #[error("a text has {bytes} bytes, more than the {max} that are allowed", max = crate::TEXT_BYTES_MAX)]
    Text {
        /// Its length, bytes.
        bytes: usize,
    },
    /// A host's name longer than [`crate::HOST_BYTES_MAX`].
    #[error("a host's name has {bytes} bytes, more than the {max} that are allowed", max = crate::HOST_BYTES_MAX)]
    Host {
        /// Its length, bytes.
        bytes: usize,
    },
    /// More added parts than [`crate::PARTS_MAX`].
    #[error("a worker names {count} parts, more than the {max} that are allowed", max = crate::PARTS_MAX)]
    Parts {
        /// Number of parts.
        count: usize,
    },
}

impl Invalid {
    /// The kind of refusal that the sender of such a message gets.
    pub fn refusal(&self) -> RefusalKind {
        match self {
            Invalid::Damaged(_) => RefusalKind::Damaged,
            _ => RefusalKind::Protocol,
        }
    }
}

/// Checks the length of a worker's text: the coordinator keeps it and writes it to the journal.
pub(crate) fn text_in(text: String) -> Result<String, Invalid> {
    if text.len() > crate::TEXT_BYTES_MAX { Err(Invalid::Text { bytes: text.len() }) } else { Ok(text) }
}

/// The value of a field that must be there.
pub(crate) fn required<T>(value: Option<T>, field: &'static str) -> Result<T, Invalid> {
    value.ok_or(Invalid::Missing(field))
}
