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

/// Lets `call` store the 64 bytes of a filestat at `out`, then makes the older 56 of them. What the
/// program has behind those is put back.
fn narrowed(out: u32, call: impl FnOnce(u32) -> u32) -> u32 {
    let behind = out.wrapping_add(56);
    let kept = Program.load64(behind);
    let errno = call(out);
    if errno == 0 {
        let links = Program.load64(out.wrapping_add(24)).min(u64::from(u32::MAX)) as u32;
        Program.store32(out.wrapping_add(20), links);
        for at in [32, 40, 48, 56] {
            let word = Program.load64(out.wrapping_add(at));
            Program.store64(out.wrapping_add(at - 8), word);
        }
    }
    Program.store64(behind, kept);
    errno
}
