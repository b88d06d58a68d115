//! Vectors between processes of one machine, without the network: a region of memory that both map.
//!
//! A region has slots of one length. Each slot has one writer and a *generation*. The writer sets
//! the generation after it has written; 0 means "being written". A reader learns the generation
//! from a message, and compares it before and after it reads. If the slot then has another
//! generation, the reader was too slow, and what it read is dropped. That is right, since only
//! superseded work can be that late: the coordinator overwrites parameters two updates later, and
//! reuses a result's slot once the result has been used.
//!
//! The memory has no name in a file system (`memfd_create`). The other side opens it through
//! `/proc/PID/fd` of its creator. So nothing is left behind, whichever process dies first.
//!
//! A region is sealed: nobody can make it shorter, which would end the process that reads it. A
//! region that only its creator writes is sealed against other writers too.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io,
    os::fd::{AsRawFd, FromRawFd, IntoRawFd},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering, fence},
};

use memmap2::{MmapOptions, MmapRaw};
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals},
    io::Errno,
};

use crate::message::Slot;

/// The first page holds the generations of the slots.
const HEADER_BYTES: usize = 4096;
/// Slots start at multiples of this number of bytes.
const SLOT_ALIGNMENT_BYTES: usize = 4096;
/// The largest number of slots of a region.
pub const SLOTS_MAX: usize = HEADER_BYTES / size_of::<AtomicU64>();
/// The generation of a slot while its writer writes.
const BEING_WRITTEN: u64 = 0;
/// The start of the name that `/proc` shows for the memory of a region.
const MEMORY: &str = "/memfd:trunkline";

/// Who writes to a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// The process that creates it.
    Creator,
    /// A process that opens it.
    Opener,
}

/// A mapped region of `slots` vectors of `elements` f32 each.
#[derive(Debug)]
pub struct Region {
    map: MmapRaw,
    file: File,
    slots: usize,
    elements: usize,
    is_writable: bool,
}

/// The slot has another generation: the reader is late, or its peer is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("slot {slot} holds generation {found}, not {expected}")]
pub struct OtherGeneration {
    /// The slot.
    pub slot: u32,
    /// The generation of the slot.
    pub found: u64,
    /// The generation that the reader was told.
    pub expected: u64,
}

impl Region {
    /// Creates a zeroed region. The system takes memory for it only as slots are written.
    ///
    /// # Errors
    /// The system's error if there is no memory.
    ///
    /// # Panics
    /// If there are more than [`SLOTS_MAX`] slots.
    pub fn create(writer: Writer, slots: usize, elements: usize) -> io::Result<Region> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("trunkline", flags)?;
        // SAFETY: the descriptor was just made and nobody else owns it.
        let file = unsafe { File::from_raw_fd(fd.into_raw_fd()) };
        file.set_len(region_bytes(slots, elements))?;
        let region = Region::map(file, slots, elements, true)?;
        fcntl_add_seals(&region.file, SealFlags::SHRINK | SealFlags::GROW)?;
        if writer == Writer::Creator {
            // Linux before 5.1 does not know this seal. There, workers keep to the rule unforced.
            match fcntl_add_seals(&region.file, SealFlags::FUTURE_WRITE) {
                Err(Errno::INVAL) => {}
                sealed => sealed?,
            }
        }
        fcntl_add_seals(&region.file, SealFlags::SEAL)?;
        Ok(region)
    }

    /// Maps a region that another process has created. This process may write to it if `writer` is
    /// [`Writer::Opener`].
    ///
    /// # Errors
    /// If there is no such region, or it has another size.
    pub fn open(writer: Writer, path: &Path, slots: usize, elements: usize) -> io::Result<Region> {
        let wrong = |message| Err(io::Error::new(io::ErrorKind::InvalidData, message));
        // The path came from a peer, and this process may write to the region. So nothing but
        // shared memory may be opened.
        if !path.starts_with("/proc") || !fs::read_link(path)?.to_string_lossy().starts_with(MEMORY) {
            return wrong(format!("{} is not shared memory", path.display()));
        }
        if slots > SLOTS_MAX {
            return wrong(format!("the region has {slots} slots, more than the {SLOTS_MAX} that are allowed"));
        }
        let is_writable = writer == Writer::Opener;
        let file = OpenOptions::new().read(true).write(is_writable).open(path)?;
        if !fcntl_get_seals(&file)?.contains(SealFlags::SHRINK) {
            return wrong("the shared memory may become shorter while it is read".into());
        }
        let bytes = file.metadata()?.len();
        let expected = region_bytes(slots, elements);
        if bytes != expected {
            return wrong(format!("the shared memory has {bytes} bytes, and {expected} were announced"));
        }
        Region::map(file, slots, elements, is_writable)
    }

    fn map(file: File, slots: usize, elements: usize, is_writable: bool) -> io::Result<Region> {
        assert!(slots <= SLOTS_MAX, "a region has at most {SLOTS_MAX} slots");
        let options = MmapOptions::new();
        let map = if is_writable { options.map_raw(&file)? } else { options.map_raw_read_only(&file)? };
        Ok(Region { map, file, slots, elements, is_writable })
    }

    /// The path by which other processes of this machine open the region while this one lives.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }

    /// Number of slots.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Writes a slot and gives it `generation`. The caller makes sure that a slot has one writer at
    /// a time.
    ///
    /// # Panics
    /// If the generation is 0, the region has no such slot, or this process only reads it.
    pub fn write<R>(&self, slot: u32, generation: u64, fill: impl FnOnce(&mut [f32]) -> R) -> R {
        assert!(self.is_writable, "this process only reads the region");
        assert_ne!(generation, BEING_WRITTEN, "generations start at 1");
        self.generation(slot).store(BEING_WRITTEN, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // SAFETY: `vector` checks the bounds, and any bits are an f32. The protocol gives a slot
        // one writer. A reader that overlaps with it finds another generation and drops what it
        // read.
        let filled = fill(unsafe { std::slice::from_raw_parts_mut(self.vector(slot), self.elements) });
        self.generation(slot).store(generation, Ordering::Release);
        filled
    }

    /// Writes several slots at once, as [`Region::write`] writes one.
    ///
    /// # Panics
    /// If a slot is named twice, a generation is 0, the region has no such slot, or this process
    /// only reads it.
    pub fn write_all<R>(&self, slots: &[Slot], fill: impl FnOnce(&mut [&mut [f32]]) -> R) -> R {
        assert!(self.is_writable, "this process only reads the region");
        let indices: BTreeSet<u32> = slots.iter().map(|slot| slot.index).collect();
        assert_eq!(indices.len(), slots.len(), "a slot is named twice");
        for slot in slots {
            assert_ne!(slot.generation, BEING_WRITTEN, "generations start at 1");
            self.generation(slot.index).store(BEING_WRITTEN, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        // SAFETY: as in `write`. All slots are different, so the slices do not overlap.
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
    /// [`OtherGeneration`] if the slot was written again before `read` ended.
    pub fn read<R>(&self, slot: u32, generation: u64, read: impl FnOnce(&[f32]) -> R) -> Result<R, OtherGeneration> {
        let check = || {
            let found = self.generation(slot).load(Ordering::Acquire);
            (found == generation).then_some(()).ok_or(OtherGeneration { slot, found, expected: generation })
        };
        check()?;
        // SAFETY: as in `write`. The generation is checked again below.
        let value = read(unsafe { std::slice::from_raw_parts(self.vector(slot), self.elements) });
        fence(Ordering::SeqCst);
        check()?;
        Ok(value)
    }

    /// Borrows a slot that was written with `generation`. Only the side that decides when the slot
    /// may be written again can do this: the slot must not be reused while it is borrowed.
    ///
    /// # Errors
    /// [`OtherGeneration`] if the writer has not written the slot with this generation.
    pub fn hold(&self, slot: u32, generation: u64) -> Result<&[f32], OtherGeneration> {
        if slot as usize >= self.slots {
            return Err(OtherGeneration { slot, found: BEING_WRITTEN, expected: generation });
        }
        self.read(slot, generation, |_| ())?;
        // SAFETY: `vector` checks the bounds, any bits are an f32, and the writer waits until the
        // slot is given to it again.
        Ok(unsafe { std::slice::from_raw_parts(self.vector(slot), self.elements) })
    }

    fn generation(&self, slot: u32) -> &AtomicU64 {
        assert!((slot as usize) < self.slots, "slot {slot} of {}", self.slots);
        // SAFETY: the header page holds SLOTS_MAX aligned counters, and a region has at most
        // SLOTS_MAX slots.
        unsafe { &*self.map.as_mut_ptr().cast::<AtomicU64>().add(slot as usize) }
    }

    fn vector(&self, slot: u32) -> *mut f32 {
        assert!((slot as usize) < self.slots, "slot {slot} of {}", self.slots);
        let offset = HEADER_BYTES + slot as usize * slot_bytes(self.elements);
        // SAFETY: the map has `region_bytes` bytes: `open` has compared them with the file's size.
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
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn a_reader_gets_the_vector_that_was_written() {
        let ours = Region::create(Writer::Creator, 2, 1000).unwrap();
        let theirs = Region::open(Writer::Creator, &ours.path(), 2, 1000).unwrap();
        ours.write(1, 5, |vector| vector.fill(2.5));
        assert_eq!(theirs.read(1, 5, |vector| vector.to_vec()), Ok(vec![2.5; 1000]));
    }

    #[test]
    fn a_slot_that_was_written_again_is_not_read() {
        let region = Region::create(Writer::Creator, 1, 4).unwrap();
        region.write(0, 1, |vector| vector.fill(1.0));
        region.write(0, 2, |vector| vector.fill(2.0));
        let late = region.read(0, 1, <[f32]>::to_vec);
        assert_eq!(late, Err(OtherGeneration { slot: 0, found: 2, expected: 1 }));
    }

    #[test]
    fn a_file_that_is_not_shared_memory_is_not_opened() {
        let file = std::env::temp_dir().join(format!("trunkline-region-{}", std::process::id()));
        std::fs::write(&file, vec![0; region_bytes(1, 4) as usize]).unwrap();
        let held = File::open(&file).unwrap();
        let through_proc = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), held.as_raw_fd()));
        for path in [&file, &through_proc] {
            assert!(
                Region::open(Writer::Creator, path, 1, 4).unwrap_err().to_string().contains("is not shared memory")
            );
        }
        std::fs::remove_file(&file).unwrap();
        let ours = Region::create(Writer::Creator, 1, 4).unwrap();
        assert!(Region::open(Writer::Creator, &ours.path(), SLOTS_MAX + 1, 4).is_err());
    }

    #[test]
    fn a_region_of_another_size_is_refused() {
        let region = Region::create(Writer::Creator, 1, 4).unwrap();
        assert!(Region::open(Writer::Creator, &region.path(), 2, 4).is_err());
    }

    #[test]
    fn what_only_its_creator_writes_nobody_else_can_write() {
        let ours = Region::create(Writer::Creator, 1, 4).unwrap();
        ours.write(0, 1, |vector| vector.fill(1.0));
        let other = Region::open(Writer::Opener, &ours.path(), 1, 4);
        assert_eq!(other.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let file = OpenOptions::new().write(true).open(ours.path()).unwrap();
        assert!(file.write_at(&[7; 64], HEADER_BYTES as u64).is_err());
        ours.write(0, 2, |vector| vector.fill(2.0));
        let theirs = Region::open(Writer::Creator, &ours.path(), 1, 4).unwrap();
        assert_eq!(theirs.read(0, 2, <[f32]>::to_vec), Ok(vec![2.0; 4]));
    }

    #[test]
    fn no_region_changes_its_length() {
        for writer in [Writer::Creator, Writer::Opener] {
            let ours = Region::create(writer, 2, 4).unwrap();
            let file = OpenOptions::new().write(true).open(ours.path()).unwrap();
            assert!([0, 4096, 1 << 20].into_iter().all(|bytes| file.set_len(bytes).is_err()));
        }
        let results = Region::create(Writer::Opener, 1, 4).unwrap();
        let theirs = Region::open(Writer::Opener, &results.path(), 1, 4).unwrap();
        theirs.write(0, 3, |vector| vector.fill(3.0));
        assert_eq!(results.read(0, 3, <[f32]>::to_vec), Ok(vec![3.0; 4]));
    }

    #[test]
    fn memory_that_may_become_shorter_is_not_mapped() {
        let fd = rustix::fs::memfd_create("trunkline", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        // SAFETY: the descriptor was just made and nobody else owns it.
        let file = unsafe { File::from_raw_fd(fd.into_raw_fd()) };
        file.set_len(region_bytes(1, 4)).unwrap();
        let path = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
        let refused = Region::open(Writer::Creator, &path, 1, 4).unwrap_err();
        assert!(refused.to_string().contains("may become shorter"), "{refused}");
    }
}
