//! Randomness from counters: every number is a function of (seed, purpose, indices, element),
//! computed on the host.
//!
//! A [`Stream`] stands for one (seed, purpose, indices). Any thread can ask for its elements in any
//! order. The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2,
//! 3", SC 2011).

// The compiler turns these loops over the lanes of several arrays into vector instructions.
#![allow(clippy::needless_range_loop)]

use crate::lanes::{Level, vectorised};

/// What numbers are for. The value is part of the counter, so numbers for two purposes never
/// coincide. A purpose's value never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Purpose {
    /// Initial values of parameters; indices: block.
    InitialWeights = 1,
    /// Dropout masks; indices: step, feed, microbatch, layer.
    Dropout = 2,
    /// The order of rows in an epoch; indices: feed, microbatch, epoch.
    Shuffle = 3,
    /// The rows that train, validate and test.
    Split = 4,
    /// The partition that a row is in.
    Partition = 5,
    /// Augmentation of inputs; indices: step, feed, microbatch.
    Augmentation = 6,
    /// Random choices of a weighting; indices: step.
    Weighting = 7,
    /// Data made for tests and benchmarks.
    Synthetic = 8,
    /// Probes of a worker's arithmetic.
    Probe = 9,
}

/// One Philox block: four words from a counter and a key.
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let mut c = counter;
    let mut k = key;
    for round in 0..10 {
        if round > 0 {
            k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
        }
        let first = u64::from(c[0]) * 0xD251_1F53;
        let second = u64::from(c[2]) * 0xCD9E_8D57;
        c = [(second >> 32) as u32 ^ c[1] ^ k[0], second as u32, (first >> 32) as u32 ^ c[3] ^ k[1], first as u32];
    }
    c
}

/// The numbers of one (seed, purpose, indices). Use one stream for one kind of number, because all
/// kinds share the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
    high: [u32; 2],
}

impl Stream {
    /// The stream of a seed, a purpose and any number of indices.
    pub fn new(seed: u64, purpose: Purpose, indices: &[u64]) -> Self {
        let count = u32::try_from(indices.len()).expect("a stream has a handful of indices");
        let first = Stream { key: [seed as u32, (seed >> 32) as u32], high: [purpose as u32, count] };
        indices.iter().fold(first, |stream, &index| {
            let [a, b, c, d] = stream.block(index);
            Stream { key: [a, b], high: [c, d] }
        })
    }

    /// The stream of these indices and one more.
    #[must_use]
    pub fn child(&self, index: u64) -> Self {
        // The last word differs from those of elements, so a child never has its parent's numbers.
        let [a, b, c, d] = philox([index as u32, (index >> 32) as u32, self.high[0], !self.high[1]], self.key);
        Stream { key: [a, b], high: [c, d] }
    }

    fn block(&self, index: u64) -> [u32; 4] {
        philox([index as u32, (index >> 32) as u32, self.high[0], self.high[1]], self.key)
    }

    /// 32 random bits.
    pub fn u32_at(&self, element: u64) -> u32 {
        self.block(element / 4)[(element % 4) as usize]
    }

    /// 64 random bits.
    pub fn u64_at(&self, element: u64) -> u64 {
        let block = self.block(element / 2);
        let at = 2 * (element % 2) as usize;
        u64::from(block[at]) | u64::from(block[at + 1]) << 32
    }

    /// A number in [0, 1), a multiple of 2^-24.
    pub fn uniform_at(&self, element: u64) -> f32 {
        uniform(self.u32_at(element))
    }

    /// A standard normal number, the same on every machine.
    pub fn normal_at(&self, element: u64) -> f32 {
        let block = self.block(element / 4);
        normals(block)[(element % 4) as usize]
    }

    /// `out[i] = uniform_at(start + i)`.
    pub fn fill_uniform(&self, start: u64, out: &mut [f32]) {
        let aligned = out.len().min(start.wrapping_neg() as usize % 4);
        let (head, rest) = out.split_at_mut(aligned);
        self.fill(start, head, |block| block.map(uniform));
        let first = (start + aligned as u64) / 4;
        let (wide, tail) = rest.as_chunks_mut::<{ 4 * BLOCKS }>();
        uniform_blocks(Level::widest(), self.key, self.high, first, wide);
        self.fill(start + (aligned + wide.len() * 4 * BLOCKS) as u64, tail, |block| block.map(uniform));
    }

    /// `out[i] = normal_at(start + i)`.
    pub fn fill_normal(&self, start: u64, out: &mut [f32]) {
        self.fill(start, out, normals);
    }

    fn fill(&self, start: u64, out: &mut [f32], make: impl Fn([u32; 4]) -> [f32; 4]) {
        let skip = (start % 4) as usize;
        let mut block = start / 4;
        let (head, rest) = out.split_at_mut(out.len().min((4 - skip) % 4));
        if !head.is_empty() {
            head.copy_from_slice(&make(self.block(block))[skip..skip + head.len()]);
        }
        if skip > 0 {
            block += 1;
        }
        for (i, four) in rest.chunks_mut(4).enumerate() {
            four.copy_from_slice(&make(self.block(block + i as u64))[..four.len()]);
        }
    }
}

/// The number of Philox blocks that are computed side by side in the lanes of a vector.
const BLOCKS: usize = 16;

vectorised! {
    /// The uniform numbers of many blocks from `first` on. They equal those of [`philox`] one by
    /// one.
    fn uniform_blocks(key: [u32; 2], high: [u32; 2], first: u64, out: &mut [[f32; 4 * BLOCKS]]) {
        for (chunk, out) in out.iter_mut().enumerate() {
            let start = first + (chunk * BLOCKS) as u64;
            let mut c = [[0u32; BLOCKS]; 4];
            for lane in 0..BLOCKS {
                let index = start + lane as u64;
                c[0][lane] = index as u32;
                c[1][lane] = (index >> 32) as u32;
                c[2][lane] = high[0];
                c[3][lane] = high[1];
            }
            let mut k = key;
            for round in 0..10 {
                if round > 0 {
                    k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
                }
                for lane in 0..BLOCKS {
                    let a = u64::from(c[0][lane]) * 0xD251_1F53;
                    let b = u64::from(c[2][lane]) * 0xCD9E_8D57;
                    c[0][lane] = (b >> 32) as u32 ^ c[1][lane] ^ k[0];
                    c[1][lane] = b as u32;
                    c[2][lane] = (a >> 32) as u32 ^ c[3][lane] ^ k[1];
                    c[3][lane] = a as u32;
                }
            }
            for lane in 0..BLOCKS {
                for word in 0..4 {
                    out[4 * lane + word] = uniform(c[word][lane]);
                }
            }
        }
    }
}

#[inline(always)]
fn uniform(bits: u32) -> f32 {
    (bits >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// The Box-Muller transform of two pairs, in f64 with `libm`, which gives the same bits on every
/// machine.
fn normals(block: [u32; 4]) -> [f32; 4] {
    let pair = |a: u32, b: u32| {
        let open = (f64::from(a) + 1.0) / 4_294_967_296.0;
        let angle = std::f64::consts::TAU * (f64::from(b) / 4_294_967_296.0);
        let radius = libm::sqrt(-2.0 * libm::log(open));
        [(radius * libm::cos(angle)) as f32, (radius * libm::sin(angle)) as f32]
    };
    let [a, b] = pair(block[0], block[1]);
    let [c, d] = pair(block[2], block[3]);
    [a, b, c, d]
}

/// A random permutation of [0, n). Each place is computed by itself, without a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permutation {
    n: u64,
    rows: u64,
    columns: u64,
    /// The keys of a Feistel network over a rectangle of rows x columns places, n or a few more.
    keys: [u64; 2 * ROUNDS],
}

/// Double rounds of the network. A few would be enough for large rectangles; small ones mix slowly.
const ROUNDS: usize = 8;

impl Permutation {
    /// The permutation of `n` places that `stream` stands for.
    ///
    /// # Panics
    /// If `n` is 0 or above 2^62.
    pub fn new(n: u64, stream: Stream) -> Self {
        assert!((1..=1 << 62).contains(&n), "a permutation is of 1 to 2^62 places");
        let rows = n.isqrt().max(1);
        let columns = n.div_ceil(rows);
        Self { n, rows, columns, keys: std::array::from_fn(|round| stream.u64_at(round as u64)) }
    }

    /// The number of places.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        self.n
    }

    /// The value at place `i`; a bijection of [0, n).
    ///
    /// # Panics
    /// If `i` is not below n.
    pub fn at(&self, i: u64) -> u64 {
        assert!(i < self.n, "place {i} of {}", self.n);
        self.walk(i, Self::forward)
    }

    /// The place of the value `x`: `at(position_of(x)) == x`.
    ///
    /// # Panics
    /// If `x` is not below n.
    pub fn position_of(&self, x: u64) -> u64 {
        assert!(x < self.n, "value {x} of {}", self.n);
        self.walk(x, Self::backward)
    }

    /// Applies the network until the place is in [0, n). The network is a bijection of the
    /// rectangle, so this is a bijection of [0, n). The rectangle has at most rows - 1 places more
    /// than n, so one application is nearly always enough.
    fn walk(&self, start: u64, network: fn(&Self, u64, u64) -> (u64, u64)) -> u64 {
        let mut place = start;
        loop {
            let (row, column) = network(self, place / self.columns, place % self.columns);
            place = row * self.columns + column;
            if place < self.n {
                return place;
            }
        }
    }

    fn forward(&self, mut row: u64, mut column: u64) -> (u64, u64) {
        for keys in self.keys.chunks_exact(2) {
            row = add_mod(row, scatter(column, keys[0], self.rows), self.rows);
            column = add_mod(column, scatter(row, keys[1], self.columns), self.columns);
        }
        (row, column)
    }

    fn backward(&self, mut row: u64, mut column: u64) -> (u64, u64) {
        for keys in self.keys.chunks_exact(2).rev() {
            column = sub_mod(column, scatter(row, keys[1], self.columns), self.columns);
            row = sub_mod(row, scatter(column, keys[0], self.rows), self.rows);
        }
        (row, column)
    }
}

/// A pseudo-random function of `value` and `key`, in [0, below).
fn scatter(value: u64, key: u64, below: u64) -> u64 {
    // The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014) between two uses of the key.
    let mut x = value.wrapping_add(key);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) ^ key.rotate_left(32);
    x ^= x >> 31;
    ((u128::from(x) * u128::from(below)) >> 64) as u64
}

fn add_mod(a: u64, b: u64, n: u64) -> u64 {
    let sum = a + b;
    if sum < n { sum } else { sum - n }
}

fn sub_mod(a: u64, b: u64, n: u64) -> u64 {
    if a >= b { a - b } else { a + n - b }
}
