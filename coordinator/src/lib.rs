//! The coordinator: state machine, server, checkpoints, journal, tracking.
