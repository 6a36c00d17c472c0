//! What the file system needs from where it runs: the caller's memory, a clock, and immutable blobs.
//! Nothing else; there is no way out of this crate but through these two traits.

use crate::Errno;
use alloc::vec::Vec;

/// Immutable bytes known to the [`Platform`] under a number. Which numbers exist is agreed between the
/// platform and the boot image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId(pub u32);

/// A stream known to the adapter under a number. This crate only carries the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u32);

/// The caller's memory, where read bytes go to and written bytes come from.
///
/// Addresses are the caller's own. What happens beyond its bounds is the implementation's business:
/// inside a module the access traps, as WASI demands; a slice drops the bytes and reads zeros.
pub trait Memory {
    /// Copies `bytes` to address `at`.
    fn put(&mut self, at: usize, bytes: &[u8]);

    /// Fills `len` bytes at address `at` with zeros.
    fn zero(&mut self, at: usize, len: usize);

    /// Copies `out.len()` bytes from address `at`.
    fn get(&self, at: usize, out: &mut [u8]);

    /// Appends `len` bytes from address `at` to `out`, whose capacity already suffices.
    ///
    /// An implementation that can fill spare capacity directly saves one pass over the bytes.
    #[inline]
    fn append_to(&self, at: usize, len: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start.saturating_add(len), 0);
        if let Some(tail) = out.get_mut(start..) {
            self.get(at, tail);
        }
    }
}

impl Memory for [u8] {
    #[inline]
    fn put(&mut self, at: usize, bytes: &[u8]) {
        let target = self.get_mut(at..).unwrap_or_default();
        let len = target.len().min(bytes.len());
        if let (Some(to), Some(from)) = (target.get_mut(..len), bytes.get(..len)) {
            to.copy_from_slice(from);
        }
    }

    #[inline]
    fn zero(&mut self, at: usize, len: usize) {
        let target = self.get_mut(at..).unwrap_or_default();
        let len = len.min(target.len());
        if let Some(target) = target.get_mut(..len) {
            target.fill(0);
        }
    }

    #[inline]
    fn get(&self, at: usize, out: &mut [u8]) {
        let source = <[u8]>::get(self, at..).unwrap_or_default();
        let len = source.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..len), source.get(..len)) {
            to.copy_from_slice(from);
        }
        if let Some(rest) = out.get_mut(len..) {
            rest.fill(0);
        }
    }

    #[inline]
    fn append_to(&self, at: usize, len: usize, out: &mut Vec<u8>) {
        let source = <[u8]>::get(self, at..).unwrap_or_default();
        let held = len.min(source.len());
        out.extend_from_slice(source.get(..held).unwrap_or_default());
        out.resize(out.len().saturating_add(len - held), 0);
    }
}

/// Where the file system runs.
pub trait Platform {
    /// The caller's memory. In the host `[u8]`.
    type Memory: Memory + ?Sized;

    /// True where [`Platform::now`] costs no more than a small write (the host). Otherwise the time of
    /// a write is taken late, see [`Vfs::settle`](crate::Vfs::settle).
    const CLOCK_IS_CHEAP: bool = false;

    /// The time in nanoseconds since 1970-01-01 UTC.
    fn now(&mut self) -> u64;

    /// Copies up to `len` bytes of a blob from `offset` straight into the caller's memory and returns
    /// how many; 0 only at the end of the blob.
    ///
    /// # Errors
    /// Whatever kept the bytes from being read; the program sees it.
    fn blob_read(
        &mut self,
        blob: BlobId,
        offset: u64,
        memory: &mut Self::Memory,
        at: usize,
        len: usize,
    ) -> Result<usize, Errno>;

    /// Copies up to `out.len()` bytes of a blob from `offset` into the file system's own memory (for
    /// copy-on-write and listings) and returns how many; 0 only at the end of the blob.
    ///
    /// # Errors
    /// Whatever kept the bytes from being read; the program sees it.
    fn blob_load(&mut self, blob: BlobId, offset: u64, out: &mut [u8]) -> Result<usize, Errno>;

    /// Told that a file which begins with the bytes of `blob` from `offset` is about to be opened.
    ///
    /// # Errors
    /// Those bytes cannot be had, and the program should know before it has a descriptor.
    fn blob_open(&mut self, blob: BlobId, offset: u64) -> Result<(), Errno> {
        let _ = (blob, offset);
        Ok(())
    }

    /// Where the hashing of names starts. A host that serves several programs gives a random number,
    /// so that no program can prepare names that collide.
    fn hash_seed(&mut self) -> u64 {
        0
    }
}
