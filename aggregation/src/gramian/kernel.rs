//! The inner products of all rows with all rows, in one pass over their columns.
//!
//! The pass takes a few columns of all rows at a time, so that they stay in the first-level cache.
//! A tile of a few rows by a few rows stays in registers, and values are widened to f64 as they are
//! loaded. Threads take blocks of columns.
//!
//! The bits of a product depend on its two rows alone, not on the other rows, the threads or the
//! width of the vectors:
//!
//! - A block has eight partial sums, filled column by column in turn, which are added in a fixed
//!   tree.
//! - Blocks have a fixed size and are added in order.
//! - A product of two f32 is exact in f64, so fused and separate multiply-add give the same bits.

use std::ops::Range;

use rayon::prelude::*;

use crate::lanes::Level;

/// The number of partial sums of an inner product.
const LANES: usize = 8;

/// The number of columns of a block. One thread computes a block.
const BLOCK: usize = 1 << 16;

/// The number of columns in one pass, in groups of eight. Those of ten rows fit the first-level
/// cache.
const EIGHTS: usize = 1024 / LANES;

/// The inner products of left rows with right rows: [left, right], row by row.
pub(super) fn products(left: &[&[f32]], right: &[&[f32]]) -> Vec<f64> {
    added(left, right, |columns| {
        let mut block = PartialSums::new(left.len(), right.len(), false);
        block.add(Level::widest(), &part(left, &columns), &part(right, &columns));
        block
    })
}

/// The inner products of rows with themselves: [rows, rows], row by row. Those above the diagonal
/// are 0.
pub(super) fn products_below(rows: &[&[f32]]) -> Vec<f64> {
    added(rows, rows, |columns| {
        let mut block = PartialSums::new(rows.len(), rows.len(), true);
        let rows = part(rows, &columns);
        block.add(Level::widest(), &rows, &rows);
        block
    })
}

/// The products of all blocks, added in their order.
fn added(left: &[&[f32]], right: &[&[f32]], block: impl Fn(Range<usize>) -> PartialSums + Sync) -> Vec<f64> {
    let columns = left.first().map_or(0, |row| row.len());
    let blocks: Vec<Range<usize>> =
        (0..columns).step_by(BLOCK).map(|start| start..columns.min(start + BLOCK)).collect();
    let blocks: Vec<Vec<f64>> = match blocks.as_slice() {
        [only] => vec![block(only.clone()).products()],
        many => many.par_iter().map(|columns| block(columns.clone()).products()).collect(),
    };
    let mut sum = vec![0.0; left.len() * right.len()];
    blocks.iter().for_each(|block| sum.iter_mut().zip(block).for_each(|(sum, product)| *sum += product));
    sum
}

fn part<'a>(rows: &[&'a [f32]], columns: &Range<usize>) -> Vec<&'a [f32]> {
    rows.iter().map(|row| &row[columns.clone()]).collect()
}

/// The eight partial sums of every inner product over a block.
#[derive(Debug)]
struct PartialSums {
    /// The number of left rows.
    rows: usize,
    /// The number of right rows.
    columns: usize,
    sums: Vec<Eight>,
    /// Whether left and right rows are the same. Then products above the diagonal may be left out.
    symmetric: bool,
}

/// Eight numbers that fill one cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Eight([f64; LANES]);

/// A row in groups of eight.
type Eights<'a> = &'a [[f32; LANES]];

/// The rows in groups of eight, without the columns that are left over.
fn eights<'a>(rows: &[&'a [f32]]) -> Vec<Eights<'a>> {
    rows.iter().map(|row| row.as_chunks().0).collect()
}

/// The columns of a row that are left over, filled up with zeros.
fn last(row: &[f32]) -> [f32; LANES] {
    let rest = row.as_chunks::<LANES>().1;
    std::array::from_fn(|lane| rest.get(lane).copied().unwrap_or_default())
}

fn ones(rows: &[[f32; LANES]]) -> Vec<Eights<'_>> {
    rows.iter().map(std::slice::from_ref).collect()
}

impl PartialSums {
    fn new(rows: usize, columns: usize, symmetric: bool) -> Self {
        Self { rows, columns, sums: vec![Eight([0.0; LANES]); rows * columns], symmetric }
    }

    /// The sums, [left, right].
    fn products(&self) -> Vec<f64> {
        let product = |(at, sum): (usize, &Eight)| {
            let Eight([a, b, c, d, e, f, g, h]) = sum;
            let wanted = !self.symmetric || at % self.columns <= at / self.columns;
            if wanted { ((a + e) + (c + g)) + ((b + f) + (d + h)) } else { 0.0 }
        };
        self.sums.iter().enumerate().map(product).collect()
    }

    /// Adds the products of left rows with right rows. All have one length. The columns that are
    /// left over are filled up with zeros.
    fn add(&mut self, level: Level, left: &[&[f32]], right: &[&[f32]]) {
        assert!(left.len() == self.rows && right.len() == self.columns);
        self.sweep(level, &eights(left), &eights(right));
        if left.first().is_some_and(|row| row.len() % LANES > 0) {
            let [left, right] = [left, right].map(|rows| rows.iter().copied().map(last).collect::<Vec<_>>());
            self.sweep(level, &ones(&left), &ones(&right));
        }
    }

    fn sweep(&mut self, level: Level, left: &[Eights<'_>], right: &[Eights<'_>]) {
        debug_assert!(level.is_there());
        match level {
            // SAFETY: the processor was seen to have the level.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::avx512(self, left, right) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::avx2(self, left, right) },
            // SAFETY: as above.
            _ => unsafe { sweep::<[f64; LANES], 2>(self, left, right) },
        }
    }
}

/// Eight numbers in registers.
///
/// # Safety
/// The processor has the registers.
trait Vector: Copy {
    unsafe fn widen(from: [f32; LANES]) -> Self;
    unsafe fn load(from: &Eight) -> Self;
    unsafe fn store(self, to: &mut Eight);
    /// `a * b + self`. The product is exact.
    unsafe fn plus_product(self, a: Self, b: Self) -> Self;
    /// A hint that this address will be read soon. Any address is allowed.
    fn prefetch(from: *const [f32; LANES]);
}

impl Vector for [f64; LANES] {
    #[inline(always)]
    unsafe fn widen(from: [f32; LANES]) -> Self {
        from.map(f64::from)
    }

    #[inline(always)]
    unsafe fn load(from: &Eight) -> Self {
        from.0
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut Eight) {
        to.0 = self;
    }

    #[inline(always)]
    unsafe fn plus_product(mut self, a: Self, b: Self) -> Self {
        for lane in 0..LANES {
            self[lane] += a[lane] * b[lane];
        }
        self
    }

    #[inline(always)]
    fn prefetch(_: *const [f32; LANES]) {}
}

/// Adds the products of left rows with right rows, in tiles of `TILE`, two or one row of each.
///
/// # Safety
/// The processor has V's registers.
#[inline(always)]
unsafe fn sweep<V: Vector, const TILE: usize>(block: &mut PartialSums, left: &[Eights<'_>], right: &[Eights<'_>]) {
    let eights = left.first().map_or(0, |row| row.len());
    for start in (0..eights).step_by(EIGHTS) {
        let at = start..eights.min(start + EIGHTS);
        let mut i = 0;
        while i < left.len() {
            let above = tile_of::<TILE>(left.len() - i);
            let rows = &left[i..i + above];
            // SAFETY: the caller's.
            unsafe {
                match above {
                    1 => band::<V, TILE, 1>(block, rows, right, i, &at),
                    2 => band::<V, TILE, 2>(block, rows, right, i, &at),
                    _ => band::<V, TILE, TILE>(block, rows, right, i, &at),
                }
            }
            i += above;
        }
    }
}

/// The number of rows that the next tile takes if this many are left.
fn tile_of<const TILE: usize>(rows: usize) -> usize {
    match rows {
        1 => 1,
        rows if rows < TILE => 2,
        _ => TILE,
    }
}

/// Adds the products of L left rows, the first of which is row `i`, with right rows. If both are
/// the same rows, it stops at the diagonal.
///
/// # Safety
/// The processor has V's registers.
#[inline(always)]
unsafe fn band<V: Vector, const TILE: usize, const L: usize>(
    block: &mut PartialSums,
    left: &[Eights<'_>],
    right: &[Eights<'_>],
    i: usize,
    at: &Range<usize>,
) {
    let end = if block.symmetric { i } else { right.len() };
    let mut j = 0;
    // SAFETY: the caller's.
    unsafe {
        while j < end {
            let beside = tile_of::<TILE>(end - j);
            let rows = &right[j..j + beside];
            match beside {
                1 => tile::<V, L, 1, false>(block, left, rows, (i, j), at),
                2 => tile::<V, L, 2, false>(block, left, rows, (i, j), at),
                _ => tile::<V, L, TILE, false>(block, left, rows, (i, j), at),
            }
            j += beside;
        }
        if block.symmetric {
            tile::<V, L, L, true>(block, left, left, (i, i), at);
        }
    }
}

/// Adds the products of L rows with R rows, whose first sum is at `place`. With DIAGONAL both are
/// the same rows, and it stops at the diagonal.
///
/// # Safety
/// The processor has V's registers.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // loops over arrays of registers, which stay in registers
unsafe fn tile<V: Vector, const L: usize, const R: usize, const DIAGONAL: bool>(
    block: &mut PartialSums,
    left: &[Eights<'_>],
    right: &[Eights<'_>],
    (i, j): (usize, usize),
    at: &Range<usize>,
) {
    let width = block.columns;
    let sums = &mut block.sums[i * width + j..];
    let left: [Eights<'_>; L] = std::array::from_fn(|row| &left[row][at.clone()]);
    let right: [Eights<'_>; R] = std::array::from_fn(|row| &right[row][at.clone()]);
    // SAFETY: the caller's.
    unsafe {
        let mut tile = [[V::load(&sums[0]); R]; L];
        for row in 0..L {
            for column in 0..if DIAGONAL { row + 1 } else { R } {
                tile[row][column] = V::load(&sums[row * width + column]);
            }
        }
        for at in 0..at.len() {
            let mut b = [V::widen(right[0][at]); R];
            for column in 0..R {
                b[column] = V::widen(right[column][at]);
                if DIAGONAL {
                    // Each row is read once here. The processor can't foresee the next row, so it
                    // gets a hint.
                    V::prefetch(right[column].as_ptr().wrapping_add(at + EIGHTS));
                }
            }
            for row in 0..L {
                let a = if DIAGONAL { b[row] } else { V::widen(left[row][at]) };
                for column in 0..if DIAGONAL { row + 1 } else { R } {
                    tile[row][column] = tile[row][column].plus_product(a, b[column]);
                }
            }
        }
        for row in 0..L {
            for column in 0..if DIAGONAL { row + 1 } else { R } {
                tile[row][column].store(&mut sums[row * width + column]);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128, __m256, __m256d, __m512d, _MM_HINT_T0, _mm_prefetch, _mm256_cvtps_pd, _mm256_fmadd_pd, _mm256_load_pd,
        _mm256_store_pd, _mm512_cvtps_pd, _mm512_fmadd_pd, _mm512_load_pd, _mm512_store_pd,
    };

    use std::mem::transmute;

    use super::{Eight, Eights, LANES, PartialSums, Vector, sweep};

    /// # Safety
    /// The processor has AVX-512.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn avx512(block: &mut PartialSums, left: &[Eights<'_>], right: &[Eights<'_>]) {
        // Sixteen of 32 registers hold sums.
        // SAFETY: the caller's.
        unsafe { sweep::<__m512d, 4>(block, left, right) }
    }

    /// # Safety
    /// The processor has AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2(block: &mut PartialSums, left: &[Eights<'_>], right: &[Eights<'_>]) {
        // Eight of 16 registers hold sums.
        // SAFETY: the caller's.
        unsafe { sweep::<[__m256d; 2], 2>(block, left, right) }
    }

    impl Vector for __m512d {
        #[inline(always)]
        unsafe fn widen(from: [f32; LANES]) -> Self {
            // SAFETY: the caller's; eight f32 are as long as their register.
            unsafe { _mm512_cvtps_pd(transmute::<[f32; LANES], __m256>(from)) }
        }

        #[inline(always)]
        unsafe fn load(from: &Eight) -> Self {
            // SAFETY: the caller's; eight numbers are aligned.
            unsafe { _mm512_load_pd(from.0.as_ptr()) }
        }

        #[inline(always)]
        unsafe fn store(self, to: &mut Eight) {
            // SAFETY: as above.
            unsafe { _mm512_store_pd(to.0.as_mut_ptr(), self) }
        }

        #[inline(always)]
        unsafe fn plus_product(self, a: Self, b: Self) -> Self {
            // SAFETY: the caller's.
            unsafe { _mm512_fmadd_pd(a, b, self) }
        }

        #[inline(always)]
        fn prefetch(from: *const [f32; LANES]) {
            // SAFETY: a hint reads nothing, and every x86-64 has the instruction.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
        }
    }

    impl Vector for [__m256d; 2] {
        #[inline(always)]
        unsafe fn widen(from: [f32; LANES]) -> Self {
            // SAFETY: the caller's; twice four f32 are as long as their registers.
            unsafe { transmute::<[f32; LANES], [__m128; 2]>(from).map(|half| _mm256_cvtps_pd(half)) }
        }

        #[inline(always)]
        unsafe fn load(from: &Eight) -> Self {
            let [low, high] = [&from.0[..4], &from.0[4..]];
            // SAFETY: the caller's; eight numbers are aligned.
            unsafe { [_mm256_load_pd(low.as_ptr()), _mm256_load_pd(high.as_ptr())] }
        }

        #[inline(always)]
        unsafe fn store(self, to: &mut Eight) {
            let (low, high) = to.0.split_at_mut(4);
            // SAFETY: as above.
            unsafe {
                _mm256_store_pd(low.as_mut_ptr(), self[0]);
                _mm256_store_pd(high.as_mut_ptr(), self[1]);
            }
        }

        #[inline(always)]
        unsafe fn plus_product(self, a: Self, b: Self) -> Self {
            // SAFETY: the caller's.
            unsafe { [_mm256_fmadd_pd(a[0], b[0], self[0]), _mm256_fmadd_pd(a[1], b[1], self[1])] }
        }

        #[inline(always)]
        fn prefetch(from: *const [f32; LANES]) {
            // SAFETY: a hint reads nothing, and every x86-64 has the instruction.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    fn block(level: Level, left: &[&[f32]], right: &[&[f32]], symmetric: bool) -> Vec<f64> {
        let mut block = PartialSums::new(left.len(), right.len(), symmetric);
        block.add(level, left, right);
        block.products()
    }

    #[test]
    fn a_product_has_the_same_bits_at_every_level_and_in_any_company() {
        for columns in [0, 1, 7, 8, 100, 1024, 2053] {
            let row = |number: u64| {
                let mut row = vec![0.0f32; columns];
                Stream::new(number, Purpose::Synthetic, &[]).fill_normal(0, &mut row);
                row
            };
            let rows: Vec<Vec<f32>> = (0..11).map(row).collect();
            let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
            for count in 1..=rows.len() {
                let some = &rows[..count];
                for level in Level::ALL.into_iter().filter(|level| level.is_there()) {
                    let (below, cross) = (block(level, some, some, true), block(level, some, &rows, false));
                    for (i, j) in (0..count).flat_map(|i| (0..=i).map(move |j| (i, j))) {
                        let alone = block(Level::Baseline, &rows[i..=i], &rows[j..=j], false)[0].to_bits();
                        let bits = [below[i * count + j], cross[i * rows.len() + j]].map(f64::to_bits);
                        assert_eq!(bits, [alone; 2], "{level:?}, {count} rows, {columns} columns");
                    }
                }
            }
        }
    }

    #[test]
    fn threads_do_not_show() {
        let columns = 3 * BLOCK + 100;
        let mut row = vec![0.0f32; columns];
        Stream::new(1, Purpose::Synthetic, &[]).fill_normal(0, &mut row);
        let whole = products(&[&row], &[&row])[0];
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads are there");
        for threads in [1, 2, 5] {
            assert_eq!(pool(threads).install(|| products(&[&row], &[&row]))[0].to_bits(), whole.to_bits());
        }
        let blocks: f64 = row.chunks(BLOCK).map(|block| products(&[block], &[block])[0]).sum();
        assert_eq!(blocks.to_bits(), whole.to_bits());
    }

    #[test]
    fn products_are_those_of_exact_arithmetic() {
        let up: Vec<f32> = (0..1000).map(|i| i as f32).collect();
        let ones = vec![1.0f32; 1000];
        assert_eq!(products(&[&up], &[&ones, &up]), [499_500.0, 332_833_500.0]);
        assert_eq!(products_below(&[&ones, &up]), [1000.0, 0.0, 499_500.0, 332_833_500.0]);
        assert_eq!(products(&[&[]], &[&[]]), [0.0]);
    }
}
