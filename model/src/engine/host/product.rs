//! The three products of a dense layer, directly between slices of the flat vectors, without
//! copying or transposing.

use gemm::Parallelism;

/// The number of multiply-adds from which a product is split over threads. Splitting never changes
/// a sum's order, so never a bit.
const PARALLEL_FROM: usize = 128 * 128 * 128;

/// A matrix in a slice: element `[i, j]` is at `i * row_stride + j * column_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix that fills the slice.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "a matrix fills its slice");
        Self { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The transpose: rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// `count` columns from `first`.
    pub(crate) fn columns(self, first: usize, count: usize) -> Self {
        assert!(first + count <= self.columns, "the columns are the matrix's");
        let start = (first * self.column_stride).min(self.values.len());
        Self { values: &self.values[start..], columns: count, ..self }
    }
}

/// `out = left right`, or `out += left right` with `add`; `out` is row-major and holds exactly the
/// product.
pub(crate) fn multiply(out: &mut [f32], add: bool, left: Matrix<'_>, right: Matrix<'_>) {
    assert_eq!(left.columns, right.rows, "inner sizes agree");
    let (m, k, n) = (left.rows, left.columns, right.columns);
    assert_eq!(out.len(), m * n, "the product fills its slice");
    if k == 0 && !add {
        out.fill(0.0);
    }
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    for matrix in [left, right] {
        let last = (matrix.rows - 1) * matrix.row_stride + (matrix.columns - 1) * matrix.column_stride;
        assert!(last < matrix.values.len(), "the matrix lies in its slice");
    }
    let parallelism = match rayon::current_num_threads() {
        threads if threads > 1 && m * n * k >= PARALLEL_FROM => Parallelism::Rayon(threads),
        _ => Parallelism::None,
    };
    // SAFETY: the assertions above keep every element that gemm reads or writes inside the three
    // slices, and `out` is borrowed mutably, so it overlaps neither operand. Strides are at most a
    // slice's length, which fits isize.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            add,
            left.values.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.values.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0_f32,
            1.0_f32,
            false,
            false,
            false,
            parallelism,
        );
    }
}
