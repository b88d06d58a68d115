//! Losses and metrics: pure functions of a task's outputs and labels.
