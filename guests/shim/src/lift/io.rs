//! Streams of wasi:io (WASI 0.2) in the place of those of 0.3, behind the same functions: each waits by itself, and
//! answers as a copy that is finished.

use crate::state::Single;
use alloc::vec::Vec;
use core::cell::UnsafeCell;

mod host {
    #[link(wasm_import_module = "wasi:io/streams@0.2.0")]
    unsafe extern "C" {
        #[link_name = "[method]input-stream.blocking-read"]
        pub fn blocking_read(stream: u32, len: u64, out: *mut [u32; 3]);
        #[link_name = "[method]output-stream.check-write"]
        pub fn check_write(stream: u32, out: *mut [u64; 2]);
        #[link_name = "[method]output-stream.write"]
        pub fn write(stream: u32, from: *const u8, len: usize, out: *mut [u32; 3]);
        #[link_name = "[method]output-stream.blocking-flush"]
        pub fn blocking_flush(stream: u32, out: *mut [u32; 3]);
        #[link_name = "[method]output-stream.subscribe"]
        pub safe fn subscribe(stream: u32) -> u32;
        #[link_name = "[resource-drop]input-stream"]
        pub safe fn drop_input(stream: u32);
        #[link_name = "[resource-drop]output-stream"]
        pub safe fn drop_output(stream: u32);
    }
    #[link(wasm_import_module = "wasi:io/poll@0.2.0")]
    unsafe extern "C" {
        #[link_name = "[method]pollable.block"]
        pub safe fn block(pollable: u32);
        #[link_name = "[resource-drop]pollable"]
        pub safe fn drop_pollable(pollable: u32);
    }
    #[link(wasm_import_module = "wasi:io/error@0.2.0")]
    unsafe extern "C" {
        #[link_name = "[resource-drop]error"]
        pub safe fn drop_error(error: u32);
    }
}

/// The other end is gone.
const DROPPED: u32 = 1;

static TROUBLE: Single<Option<&'static str>> = Single(UnsafeCell::new(None));

/// What went wrong on the host's side of a stream: half an input must not be taken for all of it.
pub fn trouble() -> Option<&'static str> {
    // SAFETY: see `Single`.
    unsafe { *TROUBLE.0.get() }
}

/// An error of a stream: that it is closed is none.
fn failed(kind: u32, error: u32, what: &'static str) {
    if kind == 0 {
        host::drop_error(error);
        // SAFETY: see `Single`.
        unsafe { *TROUBLE.0.get() = Some(what) };
    }
}

#[unsafe(export_name = "io:stream_read")]
extern "C" fn stream_read(stream: u32, to: *mut u8, len: usize) -> u32 {
    let mut out = [0; 3];
    // SAFETY: there is room for the result.
    unsafe { host::blocking_read(stream, len as u64, &mut out) };
    let [tag, at, count] = out;
    if tag & 0xff != 0 {
        failed(at & 0xff, count, "a stream that was to be read failed");
        return DROPPED;
    }
    if count == 0 {
        return 0;
    }
    let count = count as usize;
    // SAFETY: the host has put the list into memory of this allocator, and leaves it to the caller.
    let bytes = unsafe { Vec::from_raw_parts(at as usize as *mut u8, count, count) };
    let count = count.min(len);
    // SAFETY: there is room for `len` bytes.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, count) };
    (count as u32) << 4
}

/// How many bytes may be written; waits until there are some. `None` if there never are.
fn room(stream: u32) -> Option<usize> {
    loop {
        let mut out = [0; 2];
        // SAFETY: there is room for the result.
        unsafe { host::check_write(stream, &mut out) };
        let [tag, value] = out;
        if tag & 0xff != 0 {
            failed(value as u32 & 0xff, (value >> 32) as u32, "a stream that was to be written failed");
            return None;
        }
        if value > 0 {
            return Some(usize::try_from(value).unwrap_or(usize::MAX));
        }
        let pollable = host::subscribe(stream);
        host::block(pollable);
        host::drop_pollable(pollable);
    }
}

#[unsafe(export_name = "io:stream_write")]
extern "C" fn stream_write(stream: u32, from: *const u8, len: usize) -> u32 {
    let Some(room) = room(stream) else { return DROPPED };
    let len = len.min(room);
    let mut out = [0; 3];
    // SAFETY: there is room for the result, and the bytes are the caller's.
    unsafe { host::write(stream, from, len, &mut out) };
    let [tag, kind, error] = out;
    if tag & 0xff != 0 {
        failed(kind & 0xff, error, "a stream that was to be written failed");
        return DROPPED;
    }
    (len as u32) << 4
}

#[unsafe(export_name = "io:stream_drop_readable")]
extern "C" fn stream_drop_readable(stream: u32) {
    host::drop_input(stream);
}

#[unsafe(export_name = "io:stream_drop_writable")]
extern "C" fn stream_drop_writable(stream: u32) {
    let mut out = [0; 3];
    // SAFETY: there is room for the result.
    unsafe { host::blocking_flush(stream, &mut out) };
    let [tag, kind, error] = out;
    if tag & 0xff != 0 {
        failed(kind & 0xff, error, "a stream that was to be written failed");
    }
    host::drop_output(stream);
}
