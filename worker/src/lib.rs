//! The worker: connects, loads its part of the data, computes, sends sums.
