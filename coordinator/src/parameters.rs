//! The current parameters, and the next ones beside them.
//!
//! Workers know the parameters after so many steps by a version, v. They are in slot `v % SLOTS` of
//! a region that local workers map, with the generation v + 1. The next parameters are built in the
//! other slot while the current ones stay readable, because work may have to be done again. They
//! become current when the step is done.
//!
//! A version is the number of steps done plus the number of steps skipped. So parameters that were
//! built and then undone never share their version with others.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use proto::shared_memory::{Region, Writer};

/// Two: the current parameters and the next.
pub const SLOTS: u32 = 2;

/// The parameters of a run, by steps done.
#[derive(Debug)]
pub struct Parameters {
    region: Region,
    elements: usize,
    skipped: AtomicU64,
}

impl Parameters {
    /// Holds `parameters` as those after `step` steps.
    ///
    /// # Errors
    /// If the system has no memory left.
    pub fn new(step: u64, parameters: &[f32]) -> io::Result<Parameters> {
        let region = Region::create(Writer::Creator, SLOTS as usize, parameters.len())?;
        let held = Parameters { region, elements: parameters.len(), skipped: AtomicU64::new(0) };
        held.set(step, parameters);
        Ok(held)
    }

    /// How many parameters there are.
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// The path at which local workers find the parameters.
    pub fn path(&self) -> String {
        self.region.path().to_string_lossy().into_owned()
    }

    /// The version by which workers know the parameters after `step` steps.
    pub fn version(&self, step: u64) -> u64 {
        step + self.skipped.load(Ordering::Acquire)
    }

    /// Makes `parameters` those after `step` steps. They replace what was in their slot.
    pub fn set(&self, step: u64, parameters: &[f32]) {
        self.write(step, |into| into.copy_from_slice(parameters));
    }

    /// Reads the parameters after `step` steps.
    ///
    /// # Panics
    /// If they are not held. The current ones are, and during an update the next ones.
    pub fn read<R>(&self, step: u64, read: impl FnOnce(&[f32]) -> R) -> R {
        let version = self.version(step);
        let value = self.region.read(slot(version), version + 1, read);
        value.unwrap_or_else(|other| panic!("parameters of step {step} are not held: {other}"))
    }

    /// Builds the parameters of the step after `step`. Nobody reads them before they are announced.
    pub fn build_next<R>(&self, step: u64, build: impl FnOnce(&[f32], &mut [f32]) -> R) -> R {
        self.read(step, |current| self.write(step + 1, |into| build(current, into)))
    }

    /// Skips a step: the parameters before it become those after it, under another version.
    pub fn skip(&self, step: u64) {
        // Two versions later is the same slot, so nothing has to be copied.
        const { assert!(SLOTS == 2) };
        self.skipped.fetch_add(1, Ordering::AcqRel);
        self.write(step + 1, |_| ());
    }

    /// The bytes of the parameters after `step` steps, for workers on other machines.
    pub fn bytes(&self, step: u64) -> Bytes {
        self.read(step, |parameters| Bytes::copy_from_slice(bytemuck::cast_slice(parameters)))
    }

    fn write<R>(&self, step: u64, fill: impl FnOnce(&mut [f32]) -> R) -> R {
        let version = self.version(step);
        self.region.write(slot(version), version + 1, fill)
    }
}

fn slot(version: u64) -> u32 {
    (version % u64::from(SLOTS)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_version_is_built_beside_the_current_one() {
        let held = Parameters::new(4, &[1.0, 2.0]).unwrap();
        held.build_next(4, |current, next| next.iter_mut().zip(current).for_each(|(n, c)| *n = c + 1.0));
        assert_eq!(held.read(4, <[f32]>::to_vec), [1.0, 2.0]);
        assert_eq!(held.read(5, <[f32]>::to_vec), [2.0, 3.0]);
        assert_eq!(held.bytes(5)[..4], 2.0f32.to_le_bytes());
    }

    #[test]
    fn a_step_that_is_skipped_leaves_the_parameters_under_a_version_that_was_never_seen() {
        let held = Parameters::new(4, &[1.0, 2.0]).unwrap();
        let before = held.version(4);
        held.build_next(4, |_, next| next.fill(f32::NAN));
        let given_up = held.version(5);
        held.skip(4);
        assert_eq!(held.read(5, <[f32]>::to_vec), [1.0, 2.0]);
        assert!(held.version(5) > given_up && given_up > before);
        held.build_next(5, |current, next| next.copy_from_slice(&[current[1], current[0]]));
        assert_eq!((held.read(5, <[f32]>::to_vec), held.read(6, <[f32]>::to_vec)), (vec![1.0, 2.0], vec![2.0, 1.0]));
    }
}
