//! The gRPC contract and the only place that converts to and from it.
