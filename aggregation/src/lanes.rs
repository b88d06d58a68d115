//! Loops over f32 slices, for the widest vectors that the processor has.
//!
//! The build is for baseline x86-64. `vectorised!` compiles a loop again for AVX2 and AVX-512, and
//! one of the three is chosen at run time. All three give the same bits:
//!
//! - A product and a sum are rounded together only if the loop says `mul_add`. A processor without
//!   the instruction calls a function.
//! - Loops that add up have a fixed number of partial sums.
//!
//! `levels_agree_bitwise` tests this.

// The compiler turns these loops over the lanes of several arrays into vector instructions.
#![allow(clippy::needless_range_loop)]

/// Instruction sets that a loop is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The instructions that every processor of the target has.
    Baseline,
    /// 256-bit vectors (AVX2), and FMA for loops that say `mul_add`.
    Avx2,
    /// 512-bit vectors (AVX-512).
    Avx512,
}

impl Level {
    /// All levels, narrow to wide.
    pub const ALL: [Level; 3] = [Level::Baseline, Level::Avx2, Level::Avx512];

    /// Whether this processor has the level.
    pub fn is_there(self) -> bool {
        match self {
            Level::Baseline => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => std::arch::is_x86_feature_detected!("avx512f"),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The widest level of this processor.
    pub fn widest() -> Self {
        Level::ALL.into_iter().rfind(|level| level.is_there()).unwrap_or(Level::Baseline)
    }
}

/// Defines a function that takes a [`Level`] first and runs its body compiled for that level.
///
/// The processor must have the level. [`Level::widest`] always has it.
macro_rules! vectorised {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name(level: $crate::lanes::Level, $($arg: $type),*) $(-> $out)? {
            #[inline(always)]
            fn body($($arg: $type),*) $(-> $out)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $type),*) $(-> $out)? {
                body($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f")]
            fn avx512($($arg: $type),*) $(-> $out)? {
                body($($arg),*)
            }
            debug_assert!(level.is_there());
            match level {
                // SAFETY: the processor was seen to have the level.
                #[cfg(target_arch = "x86_64")]
                $crate::lanes::Level::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: the processor was seen to have the level.
                #[cfg(target_arch = "x86_64")]
                $crate::lanes::Level::Avx2 => unsafe { avx2($($arg),*) },
                _ => body($($arg),*),
            }
        }
    };
}
pub(crate) use vectorised;

/// The number of partial sums of a sum over a slice.
const LANES: usize = 16;

vectorised! {
    /// `into[i] += other[i]`.
    pub(crate) fn add(into: &mut [f32], other: &[f32]) {
        for (into, other) in into.iter_mut().zip(other) {
            *into += other;
        }
    }
}

vectorised! {
    /// `out[i] = left[i] + right[i]`.
    pub(crate) fn sum(left: &[f32], right: &[f32], out: &mut [f32]) {
        for ((left, right), out) in left.iter().zip(right).zip(out) {
            *out = left + right;
        }
    }
}

vectorised! {
    /// `vector[i] *= factor`.
    pub(crate) fn scale(vector: &mut [f32], factor: f32) {
        for value in vector {
            *value *= factor;
        }
    }
}

vectorised! {
    /// The dot product in f64: sixteen partial sums over the elements, which are then added in a
    /// fixed tree.
    pub(crate) fn dot(left: &[f32], right: &[f32]) -> f64 {
        let mut partial = [0.0f64; LANES];
        let (left, left_rest) = left.as_chunks::<LANES>();
        let (right, right_rest) = right.as_chunks::<LANES>();
        for (left, right) in left.iter().zip(right) {
            for lane in 0..LANES {
                partial[lane] += f64::from(left[lane]) * f64::from(right[lane]);
            }
        }
        for (lane, (left, right)) in left_rest.iter().zip(right_rest).enumerate() {
            partial[lane] += f64::from(*left) * f64::from(*right);
        }
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                partial[lane] += partial[lane + width];
            }
            width /= 2;
        }
        partial[0]
    }
}

vectorised! {
    /// `out[i] = sum over t of alpha[t] * rows[t][i]`, added in order in f64, each product and sum
    /// rounded once.
    pub(crate) fn combine(rows: &[&[f32]], alpha: &[f64], out: &mut [f32]) {
        assert_eq!(rows.len(), alpha.len(), "one alpha a row");
        // A few columns at a time: their sums stay in registers.
        let mut start = 0;
        let (whole, rest) = out.as_chunks_mut::<64>();
        for out in whole {
            let mut sums = [0.0f64; 64];
            for (row, alpha) in rows.iter().zip(alpha) {
                let values: &[f32; 64] = row[start..start + 64].try_into().expect("there are 64");
                for lane in 0..64 {
                    sums[lane] = alpha.mul_add(f64::from(values[lane]), sums[lane]);
                }
            }
            *out = sums.map(|sum| sum as f32);
            start += 64;
        }
        for (at, out) in (start..).zip(rest) {
            *out = rows.iter().zip(alpha).fold(0.0, |sum, (row, alpha)| alpha.mul_add(f64::from(row[at]), sum)) as f32;
        }
    }
}

vectorised! {
    /// Whether all values are finite.
    pub fn finite(vector: &[f32]) -> bool {
        // The inner loop has no early exit, so that it vectorises. The outer one can stop early.
        vector.chunks(4096).all(|block| block.iter().fold(true, |all, value| all & (value.to_bits() & 0x7f80_0000 != 0x7f80_0000)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    fn normals(seed: u64, len: usize) -> Vec<f32> {
        let mut values = vec![0.0; len];
        Stream::new(seed, Purpose::Synthetic, &[]).fill_normal(0, &mut values);
        values
    }

    #[test]
    fn levels_agree_bitwise() {
        for len in [0, 1, 7, 16, 31, 1000, 4099] {
            let (left, right) = (normals(1, len), normals(2, len));
            let of = |level: Level| {
                let mut added = left.clone();
                add(level, &mut added, &right);
                let mut summed = vec![0.0; len];
                sum(level, &left, &right, &mut summed);
                scale(level, &mut summed, 0.3);
                let mut combined = vec![0.0; len];
                combine(level, &[&left, &right, &left], &[0.3, -7.7, 1.1], &mut combined);
                summed.extend(combined);
                let bits = |v: Vec<f32>| v.into_iter().map(f32::to_bits).collect::<Vec<_>>();
                (bits(added), bits(summed), dot(level, &left, &right).to_bits())
            };
            for level in Level::ALL.into_iter().filter(|level| level.is_there()) {
                assert_eq!(of(level), of(Level::Baseline), "{level:?}, {len} values");
            }
        }
    }

    #[test]
    fn one_value_that_is_not_finite_is_found_anywhere() {
        for at in [0, 15, 4095, 4096, 4999] {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut values = normals(3, 5000);
                assert!(finite(Level::widest(), &values));
                values[at] = bad;
                assert!(!finite(Level::widest(), &values));
            }
        }
    }
}
