//! The ground of all parts: how a part reads its parameters, and how a binary knows the parts that
//! it has.
//!
//! A part is a weighting, an optimizer, a loss, a trunk and so on. The experiment names it in a
//! [`Component`]: a bare name, or a table with `kind` and parameters. The part's file reads its own
//! parameters with a [`Reader`]. Keys, ranges, defaults and documentation stand in that file alone.
//! What it refuses is an [`Invalid`], which knows the key.
//!
//! A [`Registry`] holds the parts of one kind: the built-in ones, and those that a researcher's
//! binary adds before it starts. It also describes them: [`mod@reference`] makes the tables of the
//! documentation from these descriptions.

pub mod catalogue;
pub mod component;
pub mod invalid;
pub mod range;
pub mod reader;
pub mod reference;
pub mod registry;
pub mod table;

pub use component::Component;
pub use invalid::{Invalid, Problem};
pub use range::Range;
pub use reader::{Parameter, Preset, Reader};
pub use registry::{AddError, Description, Entry, Registry};
pub use table::{Table, Value};
