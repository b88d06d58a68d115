//! The ground of all parts: how a part reads its parameters, and how a binary knows the parts that
//! it has.
//!
//! A part is a weighting, an optimizer, a loss, a trunk and so on. Its file reads its own [`Table`]
//! of the experiment with a [`Reader`], so that keys, ranges and defaults stand in that file alone.
//! A [`Registry`] holds the parts of one kind: those that are built in, and those that a
//! researcher's binary adds before it starts.

pub mod catalogue;
pub mod registry;
pub mod table;

pub use registry::{AddError, Entry, Registry};
pub use table::{Invalid, Range, Reader, Table, Value};
