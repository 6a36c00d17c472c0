//! `wasi_unstable`, the name of WASI 0.1 until 2019, where it differs: the order of `whence`, a
//! narrower link count in `filestat`, and one more word in the subscription of a clock.

use crate::abi::answer;
use crate::poll::{Layout, poll};
use crate::program::Program;

unsafe extern "C" {
    safe fn fd_seek(fd: u32, offset: i64, whence: u32, out: u32) -> u32;
    safe fn fd_filestat_get(fd: u32, out: u32) -> u32;
    safe fn path_filestat_get(fd: u32, lookup: u32, path: u32, len: u32, out: u32) -> u32;
}

#[unsafe(export_name = "unstable:fd_seek")]
extern "C" fn unstable_fd_seek(fd: u32, offset: i64, whence: u32, out: u32) -> u32 {
    // current, end, set there; set, current, end here. Anything else stays wrong.
    let whence = match whence {
        0 => 1,
        1 => 2,
        2 => 0,
        other => other,
    };
    fd_seek(fd, offset, whence, out)
}

#[unsafe(export_name = "unstable:fd_filestat_get")]
extern "C" fn unstable_fd_filestat_get(fd: u32, out: u32) -> u32 {
    narrowed(out, |out| fd_filestat_get(fd, out))
}

#[unsafe(export_name = "unstable:path_filestat_get")]
extern "C" fn unstable_path_filestat_get(fd: u32, lookup: u32, path: u32, len: u32, out: u32) -> u32 {
    narrowed(out, |out| path_filestat_get(fd, lookup, path, len, out))
}

#[unsafe(export_name = "unstable:poll_oneoff")]
extern "C" fn unstable_poll_oneoff(subs: u32, events: u32, count: u32, out: u32) -> u32 {
    answer(poll(Layout::Unstable, subs, events, count, out))
}

/// Lets `call` store the 64 bytes of a filestat, then makes the older 56 of them at `out`. What the
/// program has in the eight bytes more is put back; where the record is the last that fits in the
/// memory, these are the ones before it.
fn narrowed(out: u32, call: impl FnOnce(u32) -> u32) -> u32 {
    let fits = Program.holds(u64::from(out) + NEW_BYTES as u64);
    let (at, more) = if fits { (out, out.wrapping_add(56)) } else { (out.wrapping_sub(8), out.wrapping_sub(8)) };
    let kept = Program.load64(more);
    let errno = call(at);
    if errno == 0 {
        let mut record = [0; NEW_BYTES];
        Program.copy_in(at, &mut record);
        let links = Program.load64(at.wrapping_add(24)).min(u64::from(u32::MAX)) as u32;
        record[20..24].copy_from_slice(&links.to_le_bytes());
        record.copy_within(32.., 24);
        Program.copy_out(out, &record[..56]);
    }
    Program.store64(more, kept);
    errno
}

/// Bytes of a filestat of preview 1.
const NEW_BYTES: usize = 64;
