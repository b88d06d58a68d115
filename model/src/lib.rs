//! The network: encoders, trunk, heads, losses, metrics and the parameter layout.
