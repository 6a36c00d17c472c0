//! The program's memory as a host call sees it: bounds are checked once per access, and a pointer
//! outside is a trap, as the WASI 0.1 documents ask.

use crate::sys::{Failure, Outcome};
use wasmtime::Error;

/// The program's memory during one host call.
pub(crate) struct Guest<'a>(pub &'a mut [u8]);

impl Guest<'_> {
    /// The `len` bytes at `at`, to be written.
    pub fn slice_mut(&mut self, at: u32, len: u32) -> Outcome<&mut [u8]> {
        let start = at as usize;
        let size = self.0.len();
        self.0.get_mut(start..start + len as usize).ok_or_else(|| outside(at, len, size))
    }

    /// The `len` bytes at `at`.
    pub fn slice(&self, at: u32, len: u32) -> Outcome<&[u8]> {
        let start = at as usize;
        self.0.get(start..start + len as usize).ok_or_else(|| outside(at, len, self.0.len()))
    }

    fn array<const N: usize>(&self, at: u32) -> Outcome<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.slice(at, N as u32)?);
        Ok(bytes)
    }

    pub fn u32(&self, at: u32) -> Outcome<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    pub fn put(&mut self, at: u32, bytes: &[u8]) -> Outcome {
        self.slice_mut(at, bytes.len() as u32)?.copy_from_slice(bytes);
        Ok(())
    }

    pub fn put_u32(&mut self, at: u32, value: u32) -> Outcome {
        self.put(at, &value.to_le_bytes())
    }

    pub fn put_u64(&mut self, at: u32, value: u64) -> Outcome {
        self.put(at, &value.to_le_bytes())
    }

    /// The (address, length) pairs of an iovec array, at most `IOV_MAX` of them: more is allowed
    /// by WASI but the host would have to keep them all; a short read or write is always correct.
    pub fn spans(&self, at: u32, count: u32) -> Outcome<Vec<(u32, u32)>> {
        let count = count.min(IOV_MAX);
        (0..count)
            .map(|index| {
                let entry = at.checked_add(index * 8).ok_or_else(|| outside(at, count * 8, self.0.len()))?;
                let end = entry.checked_add(4).ok_or_else(|| outside(at, count * 8, self.0.len()))?;
                Ok((self.u32(entry)?, self.u32(end)?))
            })
            .collect()
    }
}

/// Buffers taken in one call; the usual limit of Unix kernels.
const IOV_MAX: u32 = 1024;

fn outside(at: u32, len: u32, size: usize) -> Failure {
    Failure::Stop(Error::msg(format!(
        "the program passed a pointer outside its memory to a WASI function: {len} bytes at {at:#x}, memory has {size:#x}"
    )))
}
