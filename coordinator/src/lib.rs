//! The coordinator: state machine, server, checkpoints, journal, tracking.

pub mod checkpoint;
pub mod folder;
pub mod journal;
pub mod tracking;
