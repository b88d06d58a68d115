//! Vectors between processes of one machine, without the network: a region of memory that both map.
//!
//! A region has slots of one length. Each slot has a *generation*, which its one writer sets after
//! it has written: 0 means "being written". A reader names the generation that it was told of in a
//! control message; where the slot has another one, before or after the reading, the reader was too
//! slow and what it read counts for nothing. That can happen only to work that the coordinator no
//! longer waits for (it writes over parameters two updates later, and gives a result's slot away
//! again only when the result has been used), so dropping it is right.
//!
//! The memory has no name in any file system (`memfd_create`) and is opened by the other side
//! through its creator's `/proc/PID/fd`, so that nothing is left behind whatever process dies when.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io,
    os::fd::{AsRawFd, FromRawFd, IntoRawFd},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering, fence},
};

use memmap2::{MmapOptions, MmapRaw};

use crate::message::Slot;

/// The first page holds the generations of the slots.
const HEADER_BYTES: usize = 4096;
/// Slots start at multiples of this.
const SLOT_ALIGNMENT_BYTES: usize = 4096;
/// The most slots that a region has.
pub const SLOTS_MAX: usize = HEADER_BYTES / size_of::<AtomicU64>();
const BEING_WRITTEN: u64 = 0;
/// What the system calls the memory of a region.
const MEMORY: &str = "/memfd:trunkline";

/// A mapped region of `slots` vectors of `elements` f32 each.
#[derive(Debug)]
pub struct Region {
    map: MmapRaw,
    file: File,
    slots: usize,
    elements: usize,
}

/// The slot holds another generation: the reader is late, or its peer is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("slot {slot} holds generation {found}, not {expected}")]
pub struct OtherGeneration {
    /// The slot.
    pub slot: u32,
    /// What stands there.
    pub found: u64,
    /// What the reader was told.
    pub expected: u64,
}

impl Region {
    /// A new region, zeroed. Memory is taken as slots are written to.
    ///
    /// # Errors
    /// What the system says when it has no memory to give.
    ///
    /// # Panics
    /// For more than [`SLOTS_MAX`] slots.
    pub fn create(slots: usize, elements: usize) -> io::Result<Region> {
        let fd = rustix::fs::memfd_create("trunkline", rustix::fs::MemfdFlags::CLOEXEC)?;
        // SAFETY: the descriptor was just made and nobody else owns it.
        let file = unsafe { File::from_raw_fd(fd.into_raw_fd()) };
        file.set_len(region_bytes(slots, elements))?;
        Region::map(file, slots, elements)
    }

    /// Maps the region that another process has created.
    ///
    /// # Errors
    /// When there is no such region, or it is not of this size.
    pub fn open(path: &Path, slots: usize, elements: usize) -> io::Result<Region> {
        let wrong = |message| Err(io::Error::new(io::ErrorKind::InvalidData, message));
        // The path came from a peer, and the region is written to: nothing but shared memory is
        // opened.
        if !path.starts_with("/proc") || !fs::read_link(path)?.to_string_lossy().starts_with(MEMORY) {
            return wrong(format!("{} is no shared memory", path.display()));
        }
        if slots > SLOTS_MAX {
            return wrong(format!("{slots} slots, where {SLOTS_MAX} are the most"));
        }
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let bytes = file.metadata()?.len();
        let expected = region_bytes(slots, elements);
        if bytes != expected {
            return wrong(format!("shared memory of {bytes} bytes where {expected} were agreed on"));
        }
        Region::map(file, slots, elements)
    }

    fn map(file: File, slots: usize, elements: usize) -> io::Result<Region> {
        assert!(slots <= SLOTS_MAX, "a region has at most {SLOTS_MAX} slots");
        let map = MmapOptions::new().map_raw(&file)?;
        Ok(Region { map, file, slots, elements })
    }

    /// Where another process of this machine finds the region while this one lives.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }

    /// Number of slots.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Writes a slot and gives it `generation`, which must not be 0.
    ///
    /// A slot has one writer at a time: the caller sees to it.
    pub fn write<R>(&self, slot: u32, generation: u64, fill: impl FnOnce(&mut [f32]) -> R) -> R {
        assert_ne!(generation, BEING_WRITTEN, "generations start at 1");
        self.generation(slot).store(BEING_WRITTEN, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // SAFETY: in bounds by `vector`; any bits are an f32; the protocol gives a slot one writer,
        // and a reader that overlaps with it finds another generation and drops what it read.
        let filled = fill(unsafe { std::slice::from_raw_parts_mut(self.vector(slot), self.elements) });
        self.generation(slot).store(generation, Ordering::Release);
        filled
    }

    /// Writes several slots at once, each as [`Region::write`] does.
    ///
    /// # Panics
    /// Where a slot is named twice, or is not of this region.
    pub fn write_all<R>(&self, slots: &[Slot], fill: impl FnOnce(&mut [&mut [f32]]) -> R) -> R {
        let indices: BTreeSet<u32> = slots.iter().map(|slot| slot.index).collect();
        assert_eq!(indices.len(), slots.len(), "a slot is named twice");
        for slot in slots {
            assert_ne!(slot.generation, BEING_WRITTEN, "generations start at 1");
            self.generation(slot.index).store(BEING_WRITTEN, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        // SAFETY: as in `write`; the slots are different ones, so the slices do not overlap.
        let vector = |slot: &Slot| unsafe { std::slice::from_raw_parts_mut(self.vector(slot.index), self.elements) };
        let mut vectors: Vec<&mut [f32]> = slots.iter().map(vector).collect();
        let filled = fill(&mut vectors);
        for slot in slots {
            self.generation(slot.index).store(slot.generation, Ordering::Release);
        }
        filled
    }

    /// Reads a slot that was written with `generation`.
    ///
    /// # Errors
    /// [`OtherGeneration`] where the slot has been written again; what `read` gave is dropped then.
    pub fn read<R>(&self, slot: u32, generation: u64, read: impl FnOnce(&[f32]) -> R) -> Result<R, OtherGeneration> {
        let check = || {
            let found = self.generation(slot).load(Ordering::Acquire);
            (found == generation).then_some(()).ok_or(OtherGeneration { slot, found, expected: generation })
        };
        check()?;
        // SAFETY: as in `write`; checked again below.
        let value = read(unsafe { std::slice::from_raw_parts(self.vector(slot), self.elements) });
        fence(Ordering::SeqCst);
        check()?;
        Ok(value)
    }

    /// A slot that was written with `generation`, for the side that says when it may be written
    /// again: what it has not given away stays as it is.
    ///
    /// # Errors
    /// [`OtherGeneration`] where the writer has not written what it said.
    pub fn hold(&self, slot: u32, generation: u64) -> Result<&[f32], OtherGeneration> {
        if slot as usize >= self.slots {
            return Err(OtherGeneration { slot, found: BEING_WRITTEN, expected: generation });
        }
        self.read(slot, generation, |_| ())?;
        // SAFETY: in bounds by `vector`; any bits are an f32; the writer waits for the holder.
        Ok(unsafe { std::slice::from_raw_parts(self.vector(slot), self.elements) })
    }

    fn generation(&self, slot: u32) -> &AtomicU64 {
        assert!((slot as usize) < self.slots, "slot {slot} of {}", self.slots);
        // SAFETY: the header page holds SLOTS_MAX aligned counters, and slots are at most that
        // many.
        unsafe { &*self.map.as_mut_ptr().cast::<AtomicU64>().add(slot as usize) }
    }

    fn vector(&self, slot: u32) -> *mut f32 {
        assert!((slot as usize) < self.slots, "slot {slot} of {}", self.slots);
        let offset = HEADER_BYTES + slot as usize * slot_bytes(self.elements);
        // SAFETY: the map has `region_bytes` bytes, which `open` has checked against the file.
        unsafe { self.map.as_mut_ptr().add(offset).cast() }
    }
}

fn slot_bytes(elements: usize) -> usize {
    (elements * size_of::<f32>()).next_multiple_of(SLOT_ALIGNMENT_BYTES)
}

fn region_bytes(slots: usize, elements: usize) -> u64 {
    (HEADER_BYTES + slots * slot_bytes(elements)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_writes_the_other_reads() {
        let ours = Region::create(2, 1000).unwrap();
        let theirs = Region::open(&ours.path(), 2, 1000).unwrap();
        ours.write(1, 5, |vector| vector.fill(2.5));
        assert_eq!(theirs.read(1, 5, |vector| vector.to_vec()), Ok(vec![2.5; 1000]));
    }

    #[test]
    fn a_slot_that_was_written_again_is_not_read() {
        let region = Region::create(1, 4).unwrap();
        region.write(0, 1, |vector| vector.fill(1.0));
        region.write(0, 2, |vector| vector.fill(2.0));
        let late = region.read(0, 1, <[f32]>::to_vec);
        assert_eq!(late, Err(OtherGeneration { slot: 0, found: 2, expected: 1 }));
    }

    #[test]
    fn a_file_that_is_no_shared_memory_is_not_opened() {
        let file = std::env::temp_dir().join(format!("trunkline-region-{}", std::process::id()));
        std::fs::write(&file, vec![0; region_bytes(1, 4) as usize]).unwrap();
        let held = File::open(&file).unwrap();
        let through_proc = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), held.as_raw_fd()));
        for path in [&file, &through_proc] {
            assert!(Region::open(path, 1, 4).unwrap_err().to_string().contains("no shared memory"));
        }
        std::fs::remove_file(&file).unwrap();
        let ours = Region::create(1, 4).unwrap();
        assert!(Region::open(&ours.path(), SLOTS_MAX + 1, 4).is_err());
    }

    #[test]
    fn a_region_of_another_size_is_refused() {
        let region = Region::create(1, 4).unwrap();
        assert!(Region::open(&region.path(), 2, 4).is_err());
    }
}
