//! Memory for the small things of a call. What a call makes of its record and parameters is small and lives as long as
//! the instance does: it comes from one block beside the shim's other data, so that a short call changes few pages,
//! which the engine has to put back one by one. What is large, or comes later, is dlmalloc's.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use dlmalloc::GlobalDlmalloc;

/// Enough for most functions, and little enough that it fits beside the shim's own variables.
const ARENA_BYTES: usize = 3 << 10;
/// Larger ones would use it up.
const SMALL_BYTES: usize = 512;

/// The shim's allocator.
#[repr(C)]
pub struct Arena {
    /// Where the free part of the block begins.
    next: UnsafeCell<usize>,
    block: UnsafeCell<[u64; ARENA_BYTES / 8]>,
}

// SAFETY: see `state::Single`.
unsafe impl Sync for Arena {}

impl Arena {
    pub const NEW: Self = Self { next: UnsafeCell::new(0), block: UnsafeCell::new([0; ARENA_BYTES / 8]) };

    #[inline(never)]
    unsafe fn take(&self, layout: Layout) -> *mut u8 {
        // SAFETY: one thread, and nothing else is called meanwhile.
        let next = unsafe { &mut *self.next.get() };
        let start = next.next_multiple_of(layout.align());
        let small = layout.size() <= SMALL_BYTES && layout.align() <= align_of::<u64>();
        if !small || start + layout.size() > ARENA_BYTES {
            // SAFETY: the caller's promise.
            return unsafe { GlobalDlmalloc.alloc(layout) };
        }
        *next = start + layout.size();
        self.block.get().cast::<u8>().wrapping_add(start)
    }

    /// Where in the block it lies.
    fn place(&self, at: *mut u8) -> Option<usize> {
        let place = (at as usize).wrapping_sub(self.block.get() as usize);
        (place < ARENA_BYTES).then_some(place)
    }

    #[inline(never)]
    unsafe fn resize(&self, at: *mut u8, layout: Layout, new_len: usize) -> *mut u8 {
        let Some(place) = self.place(at) else {
            // SAFETY: the caller's promise; it was not handed out here.
            return unsafe { GlobalDlmalloc.realloc(at, layout, new_len) };
        };
        if self.resize_last(place, layout.size(), new_len) {
            return at;
        }
        // SAFETY: the caller's promise: the alignment is that of a layout, and the length is not too long for one.
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(new_len, layout.align())) };
        if !new.is_null() {
            // SAFETY: both are at least so long, and apart.
            unsafe { core::ptr::copy_nonoverlapping(at, new, layout.size().min(new_len)) };
        }
        new
    }

    #[inline(never)]
    unsafe fn give_back(&self, at: *mut u8, layout: Layout) {
        match self.place(at) {
            Some(place) => {
                self.resize_last(place, layout.size(), 0);
            }
            // SAFETY: the caller's promise; it was not handed out here.
            None => unsafe { GlobalDlmalloc.dealloc(at, layout) },
        }
    }

    /// Makes the last piece of the block longer or shorter; `false` if it is not the last one, or there is no room.
    fn resize_last(&self, place: usize, len: usize, new_len: usize) -> bool {
        // SAFETY: as above.
        let next = unsafe { &mut *self.next.get() };
        let fits = place + len == *next && new_len <= SMALL_BYTES && place + new_len <= ARENA_BYTES;
        if fits {
            *next = place + new_len;
        }
        fits
    }
}

// SAFETY: pieces of the block are handed out once, aligned, and taken back only if they are the last one; everything
// else is dlmalloc's, which is told of its own pieces only.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.take(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.give_back(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_len: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.resize(at, layout, new_len) }
    }
}
