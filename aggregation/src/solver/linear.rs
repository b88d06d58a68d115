//! Dense linear algebra for a handful of tasks. Matrices are row by row in slices.

/// Solves A x = b for a positive definite A [n, n], or none where A is not (to rounding).
pub fn cholesky_solve(a: &[f64], b: &[f64]) -> Option<Vec<f64>> {
    let n = b.len();
    let mut l = a.to_vec();
    for j in 0..n {
        for k in 0..j {
            let factor = l[j * n + k];
            for i in j..n {
                l[i * n + j] -= l[i * n + k] * factor;
            }
        }
        let pivot = l[j * n + j];
        // Below rounding of the diagonal the column depends on those before it.
        if pivot.is_nan() || pivot <= 1e-15 * a[j * n + j].abs() || pivot <= 0.0 {
            return None;
        }
        let root = pivot.sqrt();
        for i in j..n {
            l[i * n + j] /= root;
        }
    }
    let mut x = b.to_vec();
    for i in 0..n {
        for k in 0..i {
            x[i] -= l[i * n + k] * x[k];
        }
        x[i] /= l[i * n + i];
    }
    for i in (0..n).rev() {
        for k in i + 1..n {
            x[i] -= l[k * n + i] * x[k];
        }
        x[i] /= l[i * n + i];
    }
    x.iter().all(|value| value.is_finite()).then_some(x)
}

/// The eigenvalues of a symmetric matrix, ascending, and its eigenvectors, one a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Eigen {
    /// Eigenvalues, ascending.
    pub values: Vec<f64>,
    /// `vectors[k]` belongs to `values[k]`; unit norm.
    pub vectors: Vec<Vec<f64>>,
}

/// Jacobi's method with cyclic sweeps (Golub and Van Loan, Matrix Computations, 8.5).
pub fn eigen(matrix: &[f64], n: usize) -> Eigen {
    let mut a = matrix.to_vec();
    let mut v = vec![0.0; n * n];
    (0..n).for_each(|i| v[i * n + i] = 1.0);
    for _ in 0..60 {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                let off = a[p * n + q];
                // A rotation by less than rounding changes nothing.
                if off.abs() <= f64::EPSILON * 0.01 * (a[p * n + p].abs() * a[q * n + q].abs()).sqrt() || off == 0.0 {
                    continue;
                }
                rotated = true;
                rotate(&mut a, &mut v, n, p, q);
            }
        }
        if !rotated {
            break;
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[i * n + i].total_cmp(&a[j * n + j]));
    Eigen {
        values: order.iter().map(|&i| a[i * n + i]).collect(),
        vectors: order.iter().map(|&i| (0..n).map(|k| v[k * n + i]).collect()).collect(),
    }
}

fn rotate(a: &mut [f64], v: &mut [f64], n: usize, p: usize, q: usize) {
    let off = a[p * n + q];
    let tau = (a[q * n + q] - a[p * n + p]) / (2.0 * off);
    let t = if tau.is_finite() { tau.signum() / (tau.abs() + tau.hypot(1.0)) } else { 0.0 };
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for k in 0..n {
        let (left, right) = (a[k * n + p], a[k * n + q]);
        a[k * n + p] = c * left - s * right;
        a[k * n + q] = s * left + c * right;
    }
    for k in 0..n {
        let (left, right) = (a[p * n + k], a[q * n + k]);
        a[p * n + k] = c * left - s * right;
        a[q * n + k] = s * left + c * right;
    }
    a[p * n + q] = 0.0;
    a[q * n + p] = 0.0;
    for k in 0..n {
        let (left, right) = (v[k * n + p], v[k * n + q]);
        v[k * n + p] = c * left - s * right;
        v[k * n + q] = s * left + c * right;
    }
}

impl Eigen {
    /// The largest eigenvalue that counts as 0: n times the rounding of the largest one.
    pub fn threshold(&self) -> f64 {
        self.values.last().copied().unwrap_or(0.0).max(0.0) * self.values.len() as f64 * f64::EPSILON
    }

    /// sum over the eigenvalues that count of f(value) v v^T x.
    pub fn apply(&self, x: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut out = vec![0.0; x.len()];
        let threshold = self.threshold();
        for (&value, vector) in self.values.iter().zip(&self.vectors) {
            if value > threshold {
                let factor = f(value) * crate::gramian::dot(vector, x);
                out.iter_mut().zip(vector).for_each(|(out, v)| *out += factor * v);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvectors_make_up_the_matrix() {
        let a = [4.0, 1.0, -2.0, 1.0, 3.0, 0.5, -2.0, 0.5, 5.0];
        let eigen = eigen(&a, 3);
        for i in 0..3 {
            let mut unit = [0.0; 3];
            unit[i] = 1.0;
            let column = eigen.apply(&unit, |value| value);
            (0..3).for_each(|j| assert!((column[j] - a[j * 3 + i]).abs() < 1e-13));
        }
        assert!(eigen.values.windows(2).all(|pair| pair[0] <= pair[1]));
    }

    #[test]
    fn a_singular_matrix_has_a_pseudo_inverse() {
        let eigen = eigen(&[1.0, 1.0, 1.0, 1.0], 2);
        let x = eigen.apply(&[1.0, 1.0], |value| 1.0 / value);
        assert!((x[0] - 0.5).abs() < 1e-15 && (x[1] - 0.5).abs() < 1e-15, "{x:?}");
    }

    #[test]
    fn cholesky_solves_and_tells_a_singular_matrix() {
        let x = cholesky_solve(&[4.0, 2.0, 2.0, 3.0], &[8.0, 7.0]).expect("is positive definite");
        assert!((x[0] - 1.25).abs() < 1e-15 && (x[1] - 1.5).abs() < 1e-15);
        assert_eq!(cholesky_solve(&[1.0, 1.0, 1.0, 1.0], &[1.0, 1.0]), None);
    }
}
