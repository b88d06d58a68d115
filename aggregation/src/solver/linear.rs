//! Dense linear algebra for a few tasks. Matrices are slices, row by row.

/// Solves A x = b for a positive definite A [n, n]. `None` if A is not positive definite, to
/// rounding.
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
        // A pivot below the rounding of the diagonal means that the column depends on those before
        // it.
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

/// pinv(A) b for a positive semidefinite A [n, n]: by Cholesky's factors if A is regular, by its
/// eigenvalues otherwise.
pub fn pseudo_solve(a: &[f64], b: &[f64]) -> Vec<f64> {
    let eigen = eigen(a, b.len());
    let regular = eigen.values.first().is_some_and(|least| *least > eigen.threshold());
    let direct = if regular { cholesky_solve(a, b) } else { None };
    direct.unwrap_or_else(|| eigen.apply(b, |value| 1.0 / value))
}

/// The eigenvalues of a symmetric matrix, ascending, and its eigenvectors, one in each row.
#[derive(Debug, Clone, PartialEq)]
pub struct Eigen {
    /// Eigenvalues, ascending.
    pub values: Vec<f64>,
    /// The eigenvectors. `vectors[k]` belongs to `values[k]` and has unit norm.
    pub vectors: Vec<Vec<f64>>,
}

/// The eigenvalues and eigenvectors of a symmetric matrix: Householder's reduction to a tridiagonal
/// matrix, then the implicit QL method (EISPACK's `tred2` and `tql2`; Wilkinson and Reinsch,
/// Handbook for Automatic Computation II, 1971, contributions II/2 and II/3). Rows are first put in
/// ascending order of the diagonal, because matrices with very different rows then lose the least
/// precision.
pub fn eigen(matrix: &[f64], n: usize) -> Eigen {
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| matrix[i * n + i].total_cmp(&matrix[j * n + j]));
    let mut v: Vec<f64> = order.iter().flat_map(|&i| order.iter().map(move |&j| matrix[i * n + j])).collect();
    let (mut d, mut e) = (vec![0.0; n], vec![0.0; n]);
    if n > 0 {
        tridiagonalise(&mut v, &mut d, &mut e);
        implicit_ql(&mut v, &mut d, &mut e);
    }
    let mut place = vec![0; n];
    order.iter().enumerate().for_each(|(at, &i)| place[i] = at);
    let mut ascending: Vec<usize> = (0..n).collect();
    ascending.sort_by(|&i, &j| d[i].total_cmp(&d[j]));
    Eigen {
        values: ascending.iter().map(|&k| d[k]).collect(),
        vectors: ascending.iter().map(|&k| place.iter().map(|&at| v[at * n + k]).collect()).collect(),
    }
}

/// Makes the symmetric matrix `v` tridiagonal: `d` is the diagonal, `e` the entries beside it (from
/// place 1), and `v` becomes the rotation.
fn tridiagonalise(v: &mut [f64], d: &mut [f64], e: &mut [f64]) {
    let n = d.len();
    d.copy_from_slice(&v[(n - 1) * n..]);
    for i in (1..n).rev() {
        let scale: f64 = d[..i].iter().map(|value| value.abs()).sum();
        let mut h = 0.0;
        if scale == 0.0 {
            e[i] = d[i - 1];
            for j in 0..i {
                d[j] = v[(i - 1) * n + j];
                v[i * n + j] = 0.0;
                v[j * n + i] = 0.0;
            }
        } else {
            for value in &mut d[..i] {
                *value /= scale;
                h += *value * *value;
            }
            let f = d[i - 1];
            let g = if f > 0.0 { -h.sqrt() } else { h.sqrt() };
            e[i] = scale * g;
            h -= f * g;
            d[i - 1] = f - g;
            reflect(v, d, e, i, h);
        }
        d[i] = h;
    }
    accumulate(v, d);
    e[0] = 0.0;
}

/// One reflection of the leading [i, i] part of `v` by the vector in `d`. `h` is half of that
/// vector's squared norm.
fn reflect(v: &mut [f64], d: &mut [f64], e: &mut [f64], i: usize, h: f64) {
    let n = d.len();
    e[..i].fill(0.0);
    for j in 0..i {
        let f = d[j];
        v[j * n + i] = f;
        let mut g = e[j] + v[j * n + j] * f;
        for k in j + 1..i {
            g += v[k * n + j] * d[k];
            e[k] += v[k * n + j] * f;
        }
        e[j] = g;
    }
    let mut f = 0.0;
    for j in 0..i {
        e[j] /= h;
        f += e[j] * d[j];
    }
    let half = f / (h + h);
    for j in 0..i {
        e[j] -= half * d[j];
    }
    for j in 0..i {
        let (f, g) = (d[j], e[j]);
        for k in j..i {
            v[k * n + j] -= f * e[k] + g * d[k];
        }
        d[j] = v[(i - 1) * n + j];
        v[i * n + j] = 0.0;
    }
}

/// Multiplies the reflections, which `v` holds, and moves the diagonal into `d`.
fn accumulate(v: &mut [f64], d: &mut [f64]) {
    let n = d.len();
    for i in 0..n - 1 {
        v[(n - 1) * n + i] = v[i * n + i];
        v[i * n + i] = 1.0;
        let h = d[i + 1];
        if h != 0.0 {
            for k in 0..=i {
                d[k] = v[k * n + i + 1] / h;
            }
            for j in 0..=i {
                let g: f64 = (0..=i).map(|k| v[k * n + i + 1] * v[k * n + j]).sum();
                for k in 0..=i {
                    v[k * n + j] -= g * d[k];
                }
            }
        }
        for k in 0..=i {
            v[k * n + i + 1] = 0.0;
        }
    }
    for j in 0..n {
        d[j] = v[(n - 1) * n + j];
        v[(n - 1) * n + j] = 0.0;
    }
    v[n * n - 1] = 1.0;
}

/// Rotates the tridiagonal matrix (`d`, `e`) until it is diagonal, and `v` with it. The columns of
/// `v` become the eigenvectors.
fn implicit_ql(v: &mut [f64], d: &mut [f64], e: &mut [f64]) {
    let n = d.len();
    e.rotate_left(1);
    let (mut shift, mut largest) = (0.0, 0.0f64);
    for l in 0..n {
        largest = largest.max(d[l].abs() + e[l].abs());
        let small = |e: &[f64], m: usize| e[m].abs() <= f64::EPSILON * largest;
        let m = (l..n - 1).find(|&m| small(e, m)).unwrap_or(n - 1);
        // Three rotations are enough for most values. The bound is far above what was ever seen.
        for _ in 0..if m > l { 100 } else { 0 } {
            shift += ql_step(v, d, e, l, m);
            if small(e, l) {
                break;
            }
        }
        d[l] += shift;
        e[l] = 0.0;
    }
}

/// One QL step on the places from `l` to `m`. Returns the shift that it takes off the diagonal.
fn ql_step(v: &mut [f64], d: &mut [f64], e: &mut [f64], l: usize, m: usize) -> f64 {
    let n = d.len();
    let mut g = d[l];
    let mut p = (d[l + 1] - g) / (2.0 * e[l]);
    let mut r = libm::copysign(libm::hypot(p, 1.0), p);
    d[l] = e[l] / (p + r);
    d[l + 1] = e[l] * (p + r);
    let next = d[l + 1];
    let h = g - d[l];
    d[l + 2..].iter_mut().for_each(|value| *value -= h);
    p = d[m];
    let (mut c, mut c2, mut c3, mut s, mut s2) = (1.0, 1.0, 1.0, 0.0, 0.0);
    let beside = e[l + 1];
    for i in (l..m).rev() {
        (c3, c2, s2) = (c2, c, s);
        g = c * e[i];
        let h = c * p;
        r = libm::hypot(p, e[i]);
        e[i + 1] = s * r;
        s = e[i] / r;
        c = p / r;
        p = c * d[i] - s * g;
        d[i + 1] = h + s * (c * g + s * d[i]);
        for row in v.chunks_exact_mut(n) {
            let h = row[i + 1];
            row[i + 1] = s * row[i] + c * h;
            row[i] = c * row[i] - s * h;
        }
    }
    p = -s * s2 * c3 * beside * e[l] / next;
    e[l] = s * p;
    d[l] = c * p;
    h
}

impl Eigen {
    /// The largest eigenvalue that counts as 0: n times the rounding of the largest eigenvalue.
    pub fn threshold(&self) -> f64 {
        self.values.last().copied().unwrap_or(0.0).max(0.0) * self.values.len() as f64 * f64::EPSILON
    }

    /// The sum of f(value) v v^T x over the eigenvalues that do not count as 0.
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
