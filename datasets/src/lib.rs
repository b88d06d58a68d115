//! Tables read through polars: schema, splits, preprocessing, sampling order, batches.
