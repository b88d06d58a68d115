//! weighting
