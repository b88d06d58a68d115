//! Solvers over Gramians of a few tasks, in f64, shared by all weightings. Each returns a
//! certificate with its answer.
//!
//! - [`nonnegative`]: a convex quadratic over non-negative vectors. The others build on it.
//! - [`simplex`]: the shortest vector in the convex hull of the gradients.
//! - [`cone`]: the projection on the dual cone of the gradients.
//! - [`fixed_point`]: G a = a^(-p).
//! - [`linear`]: eigenvalues, pseudo-inverse, Cholesky.
//!
//! All of them scale rows to unit norm first, so one problem can have gradients with norms from
//! 1e-10 to 1e15.

pub mod cone;
pub mod fixed_point;
pub mod linear;
pub mod nonnegative;
pub mod simplex;
