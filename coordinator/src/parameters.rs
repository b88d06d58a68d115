//! The current parameters, and the next ones beside them.
//!
//! Version v (v updates done) stands in slot `v % SLOTS` of a region that local workers map, with the
//! generation v + 1. The next version is built in the other slot while the current one stays readable,
//! for work that has to be done again; it becomes current when the step commits.

use std::io;

use bytes::Bytes;
use proto::shared_memory::Region;

/// Two: the current parameters and the next.
pub const SLOTS: u32 = 2;

/// The parameters of a run, by version.
#[derive(Debug)]
pub struct Parameters {
    region: Region,
    elements: usize,
}

impl Parameters {
    /// Holds `parameters` as `version`.
    ///
    /// # Errors
    /// When the system has no memory to give.
    pub fn new(version: u64, parameters: &[f32]) -> io::Result<Parameters> {
        let region = Region::create(SLOTS as usize, parameters.len())?;
        let held = Parameters { region, elements: parameters.len() };
        held.set(version, parameters);
        Ok(held)
    }

    /// How many parameters there are.
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// Where a local worker finds them.
    pub fn path(&self) -> String {
        self.region.path().to_string_lossy().into_owned()
    }

    /// Makes `parameters` those of `version`, in the place of whatever stood in its slot.
    pub fn set(&self, version: u64, parameters: &[f32]) {
        self.region.write(slot(version), version + 1, |into| into.copy_from_slice(parameters));
    }

    /// Reads a version.
    ///
    /// # Panics
    /// When it is not held: only the current version and, during an update, the next one are.
    pub fn read<R>(&self, version: u64, read: impl FnOnce(&[f32]) -> R) -> R {
        let value = self.region.read(slot(version), version + 1, read);
        value.unwrap_or_else(|other| panic!("parameters of version {version} are not held: {other}"))
    }

    /// Builds version `version + 1` from `version`; nobody reads it before it is announced.
    pub fn build_next<R>(&self, version: u64, build: impl FnOnce(&[f32], &mut [f32]) -> R) -> R {
        let next = version + 1;
        self.read(version, |current| self.region.write(slot(next), next + 1, |into| build(current, into)))
    }

    /// The bytes of a version, for workers on other machines.
    pub fn bytes(&self, version: u64) -> Bytes {
        self.read(version, |parameters| Bytes::copy_from_slice(bytemuck::cast_slice(parameters)))
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
}
