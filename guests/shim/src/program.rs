//! The program's memory as seen from the shim's own. Each function here is replaced by the linker
//! with one instruction on memory 0; an address outside traps there, as WASI asks for pointers that
//! must be followed.

use alloc::vec::Vec;
use weir_vfs::Memory;
use weir_vfs::p1::Spans;

#[link(wasm_import_module = "weir:program")]
unsafe extern "C" {
    safe fn load32(at: u32) -> u32;
    safe fn load64(at: u32) -> u64;
    safe fn store32(at: u32, value: u32);
    safe fn store64(at: u32, value: u64);
    fn copy_out(to_program: u32, from_shim: *const u8, len: usize);
    fn copy_in(to_shim: *mut u8, from_program: u32, len: usize);
    #[cfg(feature = "lift")]
    safe fn copy_within(to: u32, from: u32, len: u32);
    safe fn fill(at: u32, byte: u32, len: usize);
    safe fn memory_size() -> u32;
}

/// The program's memory.
pub struct Program;

impl Program {
    #[inline]
    pub fn load32(&self, at: u32) -> u32 {
        load32(at)
    }

    #[inline]
    pub fn load64(&self, at: u32) -> u64 {
        load64(at)
    }

    #[inline]
    pub fn store32(&self, at: u32, value: u32) {
        store32(at, value);
    }

    #[inline]
    pub fn store64(&self, at: u32, value: u64) {
        store64(at, value);
    }

    /// Whether the memory has at least `len` bytes.
    pub fn holds(&self, len: u64) -> bool {
        u64::from(memory_size()) << 16 >= len
    }

    #[inline]
    pub fn copy_in(&self, at: u32, out: &mut [u8]) {
        // SAFETY: `out` is writable for its length; the other side is checked by the instruction.
        unsafe { copy_in(out.as_mut_ptr(), at, out.len()) }
    }

    /// Copies between two places, which may lie over one another.
    #[cfg(feature = "lift")]
    #[inline]
    pub fn move_within(&self, to: u32, from: u32, len: u32) {
        copy_within(to, from, len);
    }

    #[inline]
    pub fn copy_out(&self, at: u32, bytes: &[u8]) {
        // SAFETY: `bytes` is readable for its length; the other side is checked by the instruction.
        unsafe { copy_out(at, bytes.as_ptr(), bytes.len()) }
    }
}

impl Memory for Program {
    #[inline]
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.copy_out(at as u32, bytes);
    }

    #[inline]
    fn zero(&mut self, at: usize, len: usize) {
        fill(at as u32, 0, len);
    }

    #[inline]
    fn get(&self, at: usize, out: &mut [u8]) {
        self.copy_in(at as u32, out);
    }

    #[inline]
    fn append_to(&self, at: usize, len: usize, out: &mut Vec<u8>) {
        let start = out.len();
        if out.capacity() - start < len {
            out.reserve(len);
        }
        // SAFETY: the spare capacity holds `len` bytes, and the copy fills them all or traps.
        unsafe {
            copy_in(out.as_mut_ptr().add(start), at as u32, len);
            out.set_len(start + len);
        }
    }
}

/// An iovec array in the program's memory.
#[derive(Clone, Copy)]
pub struct Iovs {
    pub at: u32,
    pub count: u32,
}

impl Spans for Iovs {
    #[inline]
    fn len(&self) -> usize {
        self.count as usize
    }

    #[inline]
    fn get(&self, index: usize) -> (usize, usize) {
        let entry = self.at.wrapping_add(index as u32 * 8);
        (load32(entry) as usize, load32(entry.wrapping_add(4)) as usize)
    }

    #[inline]
    fn last_when_filled(&self, index: usize) -> bool {
        if self.count == 1 {
            return false;
        }
        let (at, len) = self.get(index);
        let behind = u64::from(self.at) + (index as u64 + 1) * 8..u64::from(self.at) + u64::from(self.count) * 8;
        !behind.is_empty() && (at as u64) < behind.end && behind.start < at as u64 + len as u64
    }
}
