//! Copies that some processors would make twenty times slower than they have to be.
//!
//! glibc copies 4 KiB and more with `rep movsb` on processors that say they are good at it. AMD's Zen 3 says so, and
//! takes 1,500 ns in place of 60 for 4 KiB, and 24 us in place of 1.4 for 64 KiB, where the target lies a few bytes
//! behind the source within its page (measured with glibc 2.36). Every `memory.copy` of a program and every read of a file is
//! such a copy, and where its ends lie is chance. The linker (see `build.rs`) sends the executable's copies through
//! here; those are made in pieces so small that the C library makes them with vectors, and all others go on to it.

#![allow(unsafe_code, reason = "memmove is a function on pointers")]

/// The C library uses `rep movsb` from here, or later.
const LEN_MIN: usize = 2048;
/// The most that it surely copies with vectors, in whole cache lines.
const PIECE: usize = LEN_MIN - 64;
const PAGE_BYTES: usize = 4096;
/// How far behind the source within a page a target is slow. Up to 31 bytes it is twenty times, up to about 350 some
/// times slower.
const BEHIND_MAX: usize = 384;

unsafe extern "C" {
    fn __real_memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8;
}

/// Whether the C library is slow at this copy. Such a copy has its ends apart, so it can be made from front to back.
#[inline]
fn slow(to: usize, from: usize, len: usize) -> bool {
    let behind = to.wrapping_sub(from);
    len >= LEN_MIN && (behind % PAGE_BYTES).wrapping_sub(1) < BEHIND_MAX && behind >= len
}

/// `memmove` of the C standard.
///
/// # Safety
/// As there: `len` bytes can be read and written.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if slow(to.addr(), from.addr(), len) {
        // SAFETY: the caller's promise, and `slow` says that `to` does not lie among what is copied.
        unsafe { copy_pieces(to, from, len) }
        return to;
    }
    // SAFETY: the caller's promise.
    unsafe { __real_memmove(to, from, len) }
}

/// `memcpy` of the C standard.
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: what `memcpy` promises is more than what `memmove` needs.
    unsafe { __wrap_memmove(to, from, len) }
}

/// Copies from front to back.
///
/// # Safety
/// `len` bytes can be read and written; `to` does not lie among the bytes from `from` on.
#[cold]
unsafe fn copy_pieces(to: *mut u8, from: *const u8, len: usize) {
    for at in (0..len).step_by(PIECE) {
        // SAFETY: `at` and what follows, up to `len`, are inside; nothing is written that is still to be read.
        unsafe { __real_memmove(to.add(at), from.add(at), PIECE.min(len - at)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_the_same_wherever_they_lie() {
        let from: Vec<u8> = (0..40_000u32).map(|at| (at * 31 % 251) as u8).collect();
        for len in [1, PIECE, PIECE + 1, LEN_MIN, 4095, 4096, 4097, 12_345] {
            for (to_at, from_at) in [(0, 0), (17, 1), (1, 0), (4097, 4096), (300, 100), (4000, 4096)] {
                let mut to = vec![0; 40_000];
                // SAFETY: both lie inside their vectors.
                unsafe { copy_pieces(to.as_mut_ptr().add(to_at), from.as_ptr().add(from_at), len) };
                assert_eq!(to[to_at..to_at + len], from[from_at..from_at + len], "{len} {to_at} {from_at}");
                assert!(to[..to_at].iter().chain(&to[to_at + len..]).all(|byte| *byte == 0));
            }
        }
    }

    #[test]
    fn ends_that_overlap_are_not_ours() {
        assert!(slow(0x9010, 0x2000, 4096));
        assert!(slow(0x2010, 0x9000, 4096), "the target lies before the source");
        assert!(!slow(0x2010, 0x2000, 4096), "the target lies among what is copied");
        assert!(!slow(0x3010, 0x2000, 0x1011));
        assert!(slow(0x3010, 0x2000, 0x1010));
        assert!(!slow(0x9000, 0x2000, 4096), "the same place in the page");
        assert!(!slow(0x9010, 0x2000, LEN_MIN - 1));
    }
}
