//! Solvers over Gramians of a few tasks, in f64, written once for all weightings. Each ends with a
//! certificate.
//!
//! - [`nonnegative`]: a convex quadratic over non-negative vectors; the others stand on it;
//! - [`simplex`]: the shortest vector in the convex hull of the gradients;
//! - [`cone`]: the projection on the dual cone of the gradients;
//! - [`fixed_point`]: G a = a^(-p);
//! - [`linear`]: eigenvalues, pseudo-inverse, Cholesky.
//!
//! All of them scale rows to unit norm first, so that gradients of norms from 1e-10 to 1e15 can
//! meet in one problem.

pub mod cone;
pub mod fixed_point;
pub mod linear;
pub mod nonnegative;
pub mod simplex;
