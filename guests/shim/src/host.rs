//! Everything that leaves the module. The standard imports take the program's own pointers: the
//! program's memory is the one that is exported. `weir` is there for mounts and mapped streams given
//! at run time, `hostdir` for directories of the host; a linked module that was granted neither does
//! not import them.

use crate::packed;
use crate::program::Program;
use alloc::vec::Vec;
use weir_vfs::pack::{Place, place};
use weir_vfs::{BlobId, Errno, Platform};

/// Standard functions that the shim passes on with the program's own pointers.
pub mod wasi {
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        pub safe fn args_get(array: u32, buffer: u32) -> u32;
        pub safe fn args_sizes_get(count: u32, size: u32) -> u32;
        pub safe fn environ_get(array: u32, buffer: u32) -> u32;
        pub safe fn environ_sizes_get(count: u32, size: u32) -> u32;
        pub safe fn clock_time_get(clock: u32, precision: u64, out: u32) -> u32;
        pub safe fn fd_read(fd: u32, iovs: u32, count: u32, out: u32) -> u32;
        pub safe fn fd_write(fd: u32, iovs: u32, count: u32, out: u32) -> u32;
        pub safe fn fd_fdstat_get(fd: u32, out: u32) -> u32;
        pub safe fn fd_fdstat_set_flags(fd: u32, flags: u32) -> u32;
        pub safe fn fd_filestat_get(fd: u32, out: u32) -> u32;
        pub safe fn poll_oneoff(subs: u32, events: u32, count: u32, out: u32) -> u32;
    }
}

/// weir's own narrow imports.
pub mod weir {
    #[link(wasm_import_module = "weir")]
    unsafe extern "C" {
        pub safe fn blob_read(blob: u32, offset: u64, memory: u32, at: u32, len: u32) -> i32;
        pub safe fn stream_read(stream: u32, iovs: u32, count: u32, out: u32) -> u32;
        pub safe fn stream_write(stream: u32, iovs: u32, count: u32, out: u32) -> u32;
    }
}

/// WASI 0.1 on real directories of the host, by its descriptors.
pub mod hostdir {
    #[link(wasm_import_module = "weir_hostdir")]
    unsafe extern "C" {
        pub safe fn fd_advise(fd: u32, offset: u64, len: u64, advice: u32) -> u32;
        pub safe fn fd_allocate(fd: u32, offset: u64, len: u64) -> u32;
        pub safe fn fd_close(fd: u32) -> u32;
        pub safe fn fd_datasync(fd: u32) -> u32;
        pub safe fn fd_fdstat_get(fd: u32, out: u32) -> u32;
        pub safe fn fd_fdstat_set_flags(fd: u32, flags: u32) -> u32;
        pub safe fn fd_fdstat_set_rights(fd: u32, base: u64, inheriting: u64) -> u32;
        pub safe fn fd_filestat_get(fd: u32, out: u32) -> u32;
        pub safe fn fd_filestat_set_size(fd: u32, size: u64) -> u32;
        pub safe fn fd_filestat_set_times(fd: u32, accessed: u64, modified: u64, flags: u32) -> u32;
        pub safe fn fd_pread(fd: u32, iovs: u32, count: u32, offset: u64, out: u32) -> u32;
        pub safe fn fd_pwrite(fd: u32, iovs: u32, count: u32, offset: u64, out: u32) -> u32;
        pub safe fn fd_read(fd: u32, iovs: u32, count: u32, out: u32) -> u32;
        pub safe fn fd_readdir(fd: u32, buffer: u32, len: u32, cookie: u64, out: u32) -> u32;
        pub safe fn fd_seek(fd: u32, offset: i64, whence: u32, out: u32) -> u32;
        pub safe fn fd_sync(fd: u32) -> u32;
        pub safe fn fd_tell(fd: u32, out: u32) -> u32;
        pub safe fn fd_write(fd: u32, iovs: u32, count: u32, out: u32) -> u32;
        pub safe fn path_create_directory(fd: u32, path: u32, len: u32) -> u32;
        pub safe fn path_filestat_get(fd: u32, lookup: u32, path: u32, len: u32, out: u32) -> u32;
        pub safe fn path_filestat_set_times(
            fd: u32,
            lookup: u32,
            path: u32,
            len: u32,
            accessed: u64,
            modified: u64,
            flags: u32,
        ) -> u32;
        pub safe fn path_link(
            fd: u32,
            lookup: u32,
            path: u32,
            len: u32,
            new_fd: u32,
            new_path: u32,
            new_len: u32,
        ) -> u32;
        pub safe fn path_open(
            fd: u32,
            lookup: u32,
            path: u32,
            len: u32,
            open: u32,
            base: u64,
            inheriting: u64,
            flags: u32,
            out: u32,
        ) -> u32;
        pub safe fn path_readlink(fd: u32, path: u32, len: u32, buffer: u32, buffer_len: u32, out: u32) -> u32;
        pub safe fn path_remove_directory(fd: u32, path: u32, len: u32) -> u32;
        pub safe fn path_rename(fd: u32, path: u32, len: u32, new_fd: u32, new_path: u32, new_len: u32) -> u32;
        pub safe fn path_symlink(target: u32, target_len: u32, fd: u32, path: u32, len: u32) -> u32;
        pub safe fn path_unlink_file(fd: u32, path: u32, len: u32) -> u32;
    }
}

/// Reads up to this size go through the window: for larger ones the host call is a small part.
const SMALL_BYTES: usize = 1024;

/// A stretch of a blob in the shim's memory, so that a program which reads in small steps does not call
/// the host for each. Blobs never change, so what is in it stays right. It moves only when small reads
/// are near to one another: one that jumps about would pay for bytes that it does not want.
mod window {
    use super::{BlobId, Errno, Program, read as read_host};
    use crate::state::Single;
    use core::cell::UnsafeCell;

    const BYTES: usize = 16 << 10;

    struct Window {
        blob: BlobId,
        start: u64,
        held: usize,
        /// Where the last small read was.
        last: (BlobId, u64),
    }

    const NOTHING: BlobId = BlobId(u32::MAX);

    static WINDOW: Single<Window> =
        Single(UnsafeCell::new(Window { blob: NOTHING, start: 0, held: 0, last: (NOTHING, 0) }));

    /// Apart from the rest, so that the module does not carry its zeros.
    static HELD: Single<[u8; BYTES]> = Single(UnsafeCell::new([0; BYTES]));

    #[allow(clippy::mut_from_ref, reason = "one thread; taken once per call")]
    fn held() -> &'static mut [u8; BYTES] {
        // SAFETY: see `Single`.
        unsafe { &mut *HELD.0.get() }
    }

    /// Copies up to `len` bytes of `blob` from `offset` to address `at` of the program.
    #[inline]
    pub fn read(blob: BlobId, offset: u64, at: u32, len: usize) -> Result<usize, Errno> {
        // SAFETY: see `Single`; nothing called from here comes back to the window.
        let window = unsafe { &mut *WINDOW.0.get() };
        let within = offset.wrapping_sub(window.start);
        if window.blob == blob && within < window.held as u64 {
            let within = within as usize;
            let len = len.min(window.held - within);
            if let Some(bytes) = held().get(within..within + len) {
                Program.copy_out(at, bytes);
                return Ok(len);
            }
        }
        miss(window, blob, offset, at, len)
    }

    #[cold]
    fn miss(window: &mut Window, blob: BlobId, offset: u64, at: u32, len: usize) -> Result<usize, Errno> {
        let (last_blob, last_offset) = window.last;
        window.last = (blob, offset);
        if last_blob != blob || last_offset.abs_diff(offset) > BYTES as u64 {
            return read_host(blob, offset, 0, at, len);
        }
        window.blob = NOTHING;
        window.held = read_host(blob, offset, 1, held().as_mut_ptr() as u32, BYTES)?.min(BYTES);
        (window.blob, window.start) = (blob, offset);
        let len = len.min(window.held);
        Program.copy_out(at, held().get(..len).unwrap_or_default());
        Ok(len)
    }
}

/// Where the virtual file system runs: inside the program's module.
pub struct Inside;

/// Addresses 0 to 7 of the program hold the answer of `clock_time_get` for an instant and are put
/// back: the standard import writes to the program's memory, and WebAssembly code runs in one thread.
const SCRATCH: u32 = 0;

impl Platform for Inside {
    type Memory = Program;

    fn now(&mut self) -> u64 {
        if !Program.holds(8) {
            return 0;
        }
        let kept = Program.load64(SCRATCH);
        let errno = wasi::clock_time_get(0, 1_000_000, SCRATCH);
        let now = Program.load64(SCRATCH);
        Program.store64(SCRATCH, kept);
        if errno == 0 { now } else { 0 }
    }

    #[inline]
    fn blob_read(&mut self, blob: BlobId, offset: u64, _: &mut Program, at: usize, len: usize) -> Result<usize, Errno> {
        match place(blob) {
            Place::Segment(start) => packed::read_program(start.wrapping_add(offset), at as u32, len),
            elsewhere => read_elsewhere(elsewhere, blob, offset, at as u32, len),
        }
    }

    fn blob_load(&mut self, blob: BlobId, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        match place(blob) {
            Place::Host => read(blob, offset, 1, out.as_mut_ptr() as u32, out.len()),
            Place::Segment(start) => packed::read_shim(start.wrapping_add(offset), out),
            Place::Chunks => packed::read_chunked_shim(offset, out),
            Place::Pruned => Err(Errno::Io),
        }
    }

    fn blob_open(&mut self, blob: BlobId, offset: u64) -> Result<(), Errno> {
        if place(blob) == Place::Pruned {
            packed::complain_of_pruned(offset);
            return Err(Errno::Io);
        }
        Ok(())
    }
}

/// A read that is more than one instruction; apart, so that the one which is not stays small.
#[inline(never)]
fn read_elsewhere(place: Place, blob: BlobId, offset: u64, at: u32, len: usize) -> Result<usize, Errno> {
    match place {
        Place::Host if len <= SMALL_BYTES => window::read(blob, offset, at, len),
        Place::Host => read(blob, offset, 0, at, len),
        Place::Segment(start) => packed::read_program(start.wrapping_add(offset), at, len),
        Place::Chunks => packed::read_chunked_program(offset, at, len),
        Place::Pruned => Err(Errno::Io),
    }
}

/// Lends the first `len` bytes of the program's memory to `act` and puts them back: the standard imports
/// work on the program's memory, and WebAssembly code runs in one thread. A program with less has none to lend.
fn borrowing<T>(len: u32, act: impl FnOnce() -> T) -> Option<T> {
    if !Program.holds(u64::from(len)) {
        return None;
    }
    let mut kept = Vec::from([0; SCRATCH_BYTES_MIN]);
    kept.resize(len as usize, 0);
    Program.copy_in(0, &mut kept);
    let result = act();
    Program.copy_out(0, &kept);
    Some(result)
}

const SCRATCH_BYTES_MIN: usize = 16;
/// Bytes of arguments among which the program's name is looked for.
const ARGS_BYTES_MAX: u32 = 16_384;

/// The name under which the host runs the program.
fn program_name() -> Option<Vec<u8>> {
    let (count, size) = borrowing(8, || {
        let errno = wasi::args_sizes_get(0, 4);
        (if errno == 0 { Program.load32(0) } else { 0 }, Program.load32(4))
    })?;
    let needed = count.checked_mul(4)?.checked_add(size)?;
    if count == 0 || needed > ARGS_BYTES_MAX {
        return None;
    }
    borrowing(needed, || {
        if wasi::args_get(0, count * 4) != 0 {
            return None;
        }
        let start = Program.load32(0);
        let mut name = Vec::from([0]);
        name.resize(needed.checked_sub(start)? as usize, 0);
        Program.copy_in(start, &mut name);
        let end = name.iter().position(|byte| *byte == 0)?;
        name.truncate(end);
        Some(name)
    })?
}

/// Writes a message to stderr that begins with the name of the program.
pub fn complain(parts: &[&str]) {
    let mut message = Vec::from(*b"weir: ");
    message.extend(program_name().as_deref().unwrap_or(b"the pack"));
    for part in parts {
        message.extend_from_slice(part.as_bytes());
    }
    let len = message.len() as u32;
    borrowing(16 + len, || {
        Program.copy_out(16, &message);
        Program.store32(0, 16);
        Program.store32(4, len);
        wasi::fd_write(2, 0, 1, 8)
    });
}

#[inline]
fn read(blob: BlobId, offset: u64, memory: u32, at: u32, len: usize) -> Result<usize, Errno> {
    match weir::blob_read(blob.0, offset, memory, at, len as u32) {
        read if read >= 0 => Ok(read as usize),
        errno => Err(u16::try_from(-errno).ok().and_then(Errno::from_number).unwrap_or(Errno::Io)),
    }
}
