//! The inner products of all rows with all rows, in one pass over their columns.
//!
//! Some columns of all rows are widened to f64 into a [`Panel`] that stays in the cache, and a tile of few rows by few rows is kept
//! in registers while it goes over them. Threads take blocks of columns.
//!
//! The bits depend on the two rows of a product alone, whatever rows share the pass and however many threads and whatever vectors there
//! are: a block has eight partial sums, column by column in turn, which are added in a fixed tree; blocks have a fixed size and are added
//! in order. A product of two f32 is exact in f64, so that fused and separate multiplication and addition give the same bits.

use std::ops::Range;

use rayon::prelude::*;

use crate::lanes::Level;

/// Partial sums of an inner product.
const LANES: usize = 8;

/// Columns of a block, which one thread takes.
const BLOCK: usize = 1 << 16;

/// Columns of a panel: ten rows and the values they come from fit the first cache.
const COLUMNS: usize = 384;

/// From row to row of a panel, in eights: one more than there are, so that rows don't fall on the same lines of the first cache.
const STRIDE: usize = COLUMNS / LANES + 1;

/// The inner products of left rows with right rows: [left, right], row by row.
pub(super) fn products(left: &[&[f32]], right: &[&[f32]]) -> Vec<f64> {
    added(left, right, |columns| {
        let mut block = Block::new(left.len(), right.len(), false);
        let (level, mut above, mut beside) = (Level::widest(), Panel::new(left.len()), Panel::new(right.len()));
        for columns in parts(columns, COLUMNS) {
            above.widen(level, left, &columns);
            beside.widen(level, right, &columns);
            block.add(level, &above, &beside);
        }
        block
    })
}

/// The inner products of rows with themselves: [rows, rows], row by row, those above the diagonal 0.
pub(super) fn products_below(rows: &[&[f32]]) -> Vec<f64> {
    added(rows, rows, |columns| {
        let mut block = Block::new(rows.len(), rows.len(), true);
        let (level, mut panel) = (Level::widest(), Panel::new(rows.len()));
        for columns in parts(columns, COLUMNS) {
            panel.widen(level, rows, &columns);
            block.add(level, &panel, &panel);
        }
        block
    })
}

/// The products of all blocks, added in their order.
fn added(left: &[&[f32]], right: &[&[f32]], block: impl Fn(Range<usize>) -> Block + Sync) -> Vec<f64> {
    let columns = left.first().map_or(0, |row| row.len());
    let blocks: Vec<Range<usize>> = parts(0..columns, BLOCK).collect();
    let of_block = |columns: &Range<usize>| block(columns.clone()).products(left.len(), right.len());
    let blocks: Vec<Vec<f64>> = match blocks.as_slice() {
        [only] => vec![of_block(only)],
        many => many.par_iter().map(of_block).collect(),
    };
    let mut sum = vec![0.0; left.len() * right.len()];
    blocks.iter().for_each(|block| sum.iter_mut().zip(block).for_each(|(sum, product)| *sum += product));
    sum
}

/// A range in parts of one length; the last may be shorter.
fn parts(range: Range<usize>, length: usize) -> impl Iterator<Item = Range<usize>> {
    range.clone().step_by(length).map(move |start| start..range.end.min(start + length))
}

/// The eight partial sums of every inner product over a block.
#[derive(Debug)]
struct Block {
    /// The numbers of left and right rows, made even.
    rows: usize,
    columns: usize,
    sums: Vec<Eight>,
    /// The left rows are the right rows too: products above the diagonal may be left out.
    symmetric: bool,
}

/// Some columns of all rows in f64: an even number of rows, a multiple of eight columns, zeros where nothing is.
#[derive(Debug)]
struct Panel {
    rows: usize,
    columns: usize,
    values: Vec<Eight>,
}

/// Eight numbers that begin where a line of the cache does.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Eight([f64; LANES]);

impl Block {
    fn new(left: usize, right: usize, symmetric: bool) -> Self {
        let (rows, columns) = (left.next_multiple_of(2), right.next_multiple_of(2));
        Self { rows, columns, sums: vec![Eight([0.0; LANES]); rows * columns], symmetric }
    }

    /// The sums of so many left and right rows.
    fn products(&self, left: usize, right: usize) -> Vec<f64> {
        let product = |(i, j): (usize, usize)| {
            let Eight([a, b, c, d, e, f, g, h]) = self.sums[i * self.columns + j];
            let wanted = !self.symmetric || j <= i;
            if wanted { ((a + e) + (c + g)) + ((b + f) + (d + h)) } else { 0.0 }
        };
        (0..left).flat_map(|i| (0..right).map(move |j| (i, j))).map(product).collect()
    }

    fn add(&mut self, level: Level, left: &Panel, right: &Panel) {
        assert!(left.rows == self.rows && right.rows == self.columns && left.columns == right.columns);
        debug_assert!(level.is_there());
        match level {
            // SAFETY: the level was seen to be there.
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

impl Panel {
    fn new(rows: usize) -> Self {
        let rows = rows.next_multiple_of(2);
        Self { rows, columns: 0, values: vec![Eight([0.0; LANES]); rows * STRIDE] }
    }

    /// Takes some columns of the rows in.
    fn widen(&mut self, level: Level, rows: &[&[f32]], columns: &Range<usize>) {
        self.columns = columns.len().next_multiple_of(LANES);
        for (row, values) in rows.iter().zip(self.values.chunks_exact_mut(STRIDE)) {
            let (whole, rest) = row[columns.clone()].as_chunks::<LANES>();
            let (values, after) = values.split_at_mut(whole.len());
            debug_assert!(level.is_there());
            match level {
                // SAFETY: the level was seen to be there.
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => unsafe { x86::widen_avx512(whole, values) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => unsafe { x86::widen_avx2(whole, values) },
                // SAFETY: as above.
                _ => unsafe { widen::<[f64; LANES]>(whole, values) },
            }
            if !rest.is_empty() {
                after[0] = Eight(std::array::from_fn(|lane| rest.get(lane).map_or(0.0, |value| f64::from(*value))));
            }
        }
    }

    /// The columns of a row.
    fn row(&self, row: usize) -> &[Eight] {
        &self.values[row * STRIDE..][..self.columns / LANES]
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
    /// `a * b + self`, where a * b is exact.
    unsafe fn plus_product(self, a: Self, b: Self) -> Self;
    /// A hint that there will be read soon; any address will do.
    fn prefetch(from: *const f32);
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
    fn prefetch(_: *const f32) {}
}

/// # Safety
/// The processor has V's registers.
#[inline(always)]
unsafe fn widen<V: Vector>(from: &[[f32; LANES]], to: &mut [Eight]) {
    for (from, to) in from.iter().zip(to) {
        // Row after row the memory doesn't see what comes next: it is told a panel ahead.
        V::prefetch(from.as_ptr().wrapping_add(COLUMNS));
        // SAFETY: the caller's.
        unsafe { V::widen(*from).store(to) };
    }
}

/// Adds the products of one panel's rows with another's, in tiles of `TILE` rows by `TILE` rows, or two of the last.
///
/// # Safety
/// The processor has V's registers.
#[inline(always)]
unsafe fn sweep<V: Vector, const TILE: usize>(block: &mut Block, left: &Panel, right: &Panel) {
    let mut i = 0;
    while i < left.rows {
        let above = if left.rows - i >= TILE { TILE } else { 2 };
        let end = if block.symmetric { i + above } else { right.rows };
        let mut j = 0;
        while j < end {
            let beside = if right.rows - j >= TILE { TILE } else { 2 };
            // SAFETY: the caller's.
            unsafe {
                match (above == TILE, beside == TILE) {
                    (true, true) if block.symmetric && i == j => tile::<V, TILE, TILE, true>(block, left, right, i, j),
                    (true, true) => tile::<V, TILE, TILE, false>(block, left, right, i, j),
                    (true, false) => tile::<V, TILE, 2, false>(block, left, right, i, j),
                    (false, true) => tile::<V, 2, TILE, false>(block, left, right, i, j),
                    (false, false) => tile::<V, 2, 2, false>(block, left, right, i, j),
                }
            }
            j += beside;
        }
        i += above;
    }
}

/// Adds the products of L rows from `i` with R rows from `j`; with BELOW, where these are the same, those up to the diagonal.
///
/// # Safety
/// The processor has V's registers.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // loops over arrays of registers, which stay in registers
unsafe fn tile<V: Vector, const L: usize, const R: usize, const BELOW: bool>(
    block: &mut Block,
    left: &Panel,
    right: &Panel,
    i: usize,
    j: usize,
) {
    let width = block.columns;
    let sums = &mut block.sums[i * width + j..];
    let eights = left.columns / LANES;
    let above: [&[Eight]; L] = std::array::from_fn(|row| &left.row(i + row)[..eights]);
    let beside: [&[Eight]; R] = std::array::from_fn(|row| &right.row(j + row)[..eights]);
    // SAFETY: the caller's.
    unsafe {
        let mut tile = [[V::load(&sums[0]); R]; L];
        for row in 0..L {
            for column in 0..if BELOW { row + 1 } else { R } {
                tile[row][column] = V::load(&sums[row * width + column]);
            }
        }
        for at in 0..eights {
            let mut b = [V::load(&beside[0][at]); R];
            for column in 1..R {
                b[column] = V::load(&beside[column][at]);
            }
            for row in 0..L {
                let a = if BELOW { b[row] } else { V::load(&above[row][at]) };
                for column in 0..if BELOW { row + 1 } else { R } {
                    tile[row][column] = tile[row][column].plus_product(a, b[column]);
                }
            }
        }
        for row in 0..L {
            for column in 0..if BELOW { row + 1 } else { R } {
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

    use super::{Block, Eight, LANES, Panel, Vector, sweep, widen};

    /// # Safety
    /// The processor has AVX-512.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn avx512(block: &mut Block, left: &Panel, right: &Panel) {
        // Sixteen of 32 registers hold sums.
        // SAFETY: the caller's.
        unsafe { sweep::<__m512d, 4>(block, left, right) }
    }

    /// # Safety
    /// The processor has AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2(block: &mut Block, left: &Panel, right: &Panel) {
        // Eight of 16 registers hold sums.
        // SAFETY: the caller's.
        unsafe { sweep::<[__m256d; 2], 2>(block, left, right) }
    }

    /// # Safety
    /// The processor has AVX-512.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn widen_avx512(from: &[[f32; LANES]], to: &mut [Eight]) {
        // SAFETY: the caller's.
        unsafe { widen::<__m512d>(from, to) }
    }

    /// # Safety
    /// The processor has AVX2.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn widen_avx2(from: &[[f32; LANES]], to: &mut [Eight]) {
        // SAFETY: the caller's.
        unsafe { widen::<[__m256d; 2]>(from, to) }
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
        fn prefetch(from: *const f32) {
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
        fn prefetch(from: *const f32) {
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
        let mut block = Block::new(left.len(), right.len(), symmetric);
        let (mut above, mut beside) = (Panel::new(left.len()), Panel::new(right.len()));
        for columns in parts(0..left[0].len(), COLUMNS) {
            above.widen(level, left, &columns);
            beside.widen(level, right, &columns);
            block.add(level, &above, &beside);
        }
        block.products(left.len(), right.len())
    }

    #[test]
    fn a_product_has_the_same_bits_at_every_level_and_in_any_company() {
        for columns in [0, 1, 7, 8, 100, 512, 1003] {
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
