//! What a host would be asked, answered inside: streams are values, arguments and variables are made of values, and
//! the tree's boot image and the files in it come from the parameters. Only clock and randomness may be the host's,
//! and only if the program can ask for them.

use super::State;
use crate::program::{Iovs, Program};
use alloc::vec::Vec;
use weir_vfs::Errno;
use weir_vfs::p1::Spans;

type Answer = u32;

const SUCCESS: Answer = 0;
const BADF: Answer = Errno::Badf.number() as u32;
const INVAL: Answer = Errno::Inval.number() as u32;
const NOTSUP: Answer = Errno::Notsup.number() as u32;
const STDIN: u32 = 0;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;
/// WASI's `filetype` of a pipe, and the rights to read and to write.
const UNKNOWN: u64 = 0;
const RIGHT_READ: u64 = 1 << 1;
const RIGHT_WRITE: u64 = 1 << 6;
const RIGHT_POLL: u64 = 1 << 27;
/// Bytes of WASI's records.
const SUBSCRIPTION_BYTES: u32 = 48;
const EVENT_BYTES: u32 = 32;

mod host {
    #[link(wasm_import_module = "wasi:clocks/monotonic-clock@0.2.0")]
    unsafe extern "C" {
        #[link_name = "now"]
        pub safe fn monotonic_now() -> u64;
    }
    #[link(wasm_import_module = "wasi:clocks/wall-clock@0.2.0")]
    unsafe extern "C" {
        /// Writes seconds (64 bits) and nanoseconds (32 bits).
        #[link_name = "now"]
        pub fn wall_now(out: *mut [u64; 2]);
    }
    #[link(wasm_import_module = "wasi:random/random@0.2.0")]
    unsafe extern "C" {
        #[link_name = "get-random-u64"]
        pub safe fn get_random_u64() -> u64;
    }
}

/// Copies bytes of what the parameters brought. There is no boot image to ask for: see `state`.
#[unsafe(export_name = "lift:blob_read")]
extern "C" fn blob_read(blob: u32, offset: u64, memory: u32, at: u32, len: u32) -> i32 {
    let state = State::get();
    let bytes = blob.checked_sub(1).and_then(|index| state.files.get(index as usize)).copied().unwrap_or_default();
    let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
    let piece = rest.get(..len as usize).unwrap_or(rest);
    if memory == 0 {
        Program.copy_out(at, piece);
    } else {
        // SAFETY: the shim asks for bytes into a buffer of its own of this length, which lies apart from these.
        unsafe { core::ptr::copy_nonoverlapping(piece.as_ptr(), at as usize as *mut u8, piece.len()) };
    }
    piece.len() as i32
}

#[unsafe(export_name = "lift:fd_read")]
pub extern "C" fn fd_read(fd: u32, iovs: u32, count: u32, out: u32) -> Answer {
    if fd != STDIN {
        return BADF;
    }
    let state = State::get();
    let spans = Iovs { at: iovs, count };
    let mut done = 0;
    for index in 0..spans.len() {
        let (at, len) = spans.get(index);
        let piece = state.stdin.get(..len).unwrap_or(state.stdin);
        let last = spans.last_when_filled(index);
        Program.copy_out(at as u32, piece);
        state.stdin = &state.stdin[piece.len()..];
        done += piece.len();
        if last {
            break;
        }
    }
    Program.store32(out, done as u32);
    SUCCESS
}

#[unsafe(export_name = "lift:fd_write")]
pub extern "C" fn fd_write(fd: u32, iovs: u32, count: u32, out: u32) -> Answer {
    let state = State::get();
    let kept = match fd {
        STDOUT => &mut state.stdout,
        STDERR => &mut state.stderr,
        _ => return BADF,
    };
    let spans = Iovs { at: iovs, count };
    let mut done = 0;
    for index in 0..spans.len() {
        let (at, len) = spans.get(index);
        done += len;
        if kept.bytes.len() + len > kept.max {
            continue;
        }
        if kept.bytes.try_reserve(len).is_err() {
            return u32::from(Errno::Nospc.number());
        }
        let start = kept.bytes.len();
        kept.bytes.resize(start + len, 0);
        Program.copy_in(at as u32, &mut kept.bytes[start..]);
    }
    Program.store32(out, done as u32);
    SUCCESS
}

#[unsafe(export_name = "lift:fd_fdstat_get")]
extern "C" fn fd_fdstat_get(fd: u32, out: u32) -> Answer {
    let rights = match fd {
        STDIN => RIGHT_READ,
        STDOUT | STDERR => RIGHT_WRITE,
        _ => return BADF,
    };
    Program.store64(out, UNKNOWN);
    Program.store64(out.wrapping_add(8), rights | RIGHT_POLL);
    Program.store64(out.wrapping_add(16), rights | RIGHT_POLL);
    SUCCESS
}

#[unsafe(export_name = "lift:fd_fdstat_set_flags")]
extern "C" fn fd_fdstat_set_flags(fd: u32, _flags: u32) -> Answer {
    if fd <= STDERR { SUCCESS } else { BADF }
}

#[unsafe(export_name = "lift:fd_filestat_get")]
extern "C" fn fd_filestat_get(fd: u32, out: u32) -> Answer {
    if fd > STDERR {
        return BADF;
    }
    (0..8).for_each(|word| Program.store64(out.wrapping_add(word * 8), 0));
    SUCCESS
}

/// Texts one after another, each with a NUL byte at its end, and an array of where they are.
fn put_texts(texts: &[Vec<u8>], mut array: u32, mut at: u32) -> Answer {
    for text in texts {
        Program.store32(array, at);
        Program.copy_out(at, text);
        Program.copy_out(at.wrapping_add(text.len() as u32), &[0]);
        at = at.wrapping_add(text.len() as u32 + 1);
        array = array.wrapping_add(4);
    }
    SUCCESS
}

fn put_sizes(texts: &[Vec<u8>], count: u32, size: u32) -> Answer {
    Program.store32(count, texts.len() as u32);
    Program.store32(size, texts.iter().map(|text| text.len() as u32 + 1).sum());
    SUCCESS
}

#[unsafe(export_name = "lift:args_sizes_get")]
extern "C" fn args_sizes_get(count: u32, size: u32) -> Answer {
    put_sizes(&State::get().args, count, size)
}

#[unsafe(export_name = "lift:args_get")]
extern "C" fn args_get(array: u32, buffer: u32) -> Answer {
    put_texts(&State::get().args, array, buffer)
}

#[unsafe(export_name = "lift:environ_sizes_get")]
extern "C" fn environ_sizes_get(count: u32, size: u32) -> Answer {
    put_sizes(&State::get().env, count, size)
}

#[unsafe(export_name = "lift:environ_get")]
extern "C" fn environ_get(array: u32, buffer: u32) -> Answer {
    put_texts(&State::get().env, array, buffer)
}

const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;
const CPU_TIMES: core::ops::RangeInclusive<u32> = 2..=3;
const NANOSECONDS: u64 = 1_000_000_000;

pub fn time(clock: u32) -> Option<u64> {
    match clock {
        REALTIME => {
            let mut time = [0; 2];
            // SAFETY: there is room for the record, seconds and nanoseconds, each at eight bytes.
            unsafe { host::wall_now(&mut time) };
            Some(time[0].wrapping_mul(NANOSECONDS).wrapping_add(time[1] & 0xffff_ffff))
        }
        clock => time_but_wall(clock),
    }
}

/// The clocks that do not need memory.
pub fn time_but_wall(clock: u32) -> Option<u64> {
    (clock == MONOTONIC || CPU_TIMES.contains(&clock)).then(|| host::monotonic_now())
}

/// Lets the host write seconds (64 bits) and nanoseconds (32 bits) to an address of the memory that it knows.
pub fn wall_now(at: u32) {
    // SAFETY: the address is of the program's memory, not of this one's.
    unsafe { host::wall_now(at as usize as *mut [u64; 2]) };
}

#[unsafe(export_name = "lift:clock_time_get")]
extern "C" fn clock_time_get(clock: u32, _precision: u64, out: u32) -> Answer {
    match time(clock) {
        Some(time) => {
            Program.store64(out, time);
            SUCCESS
        }
        None => INVAL,
    }
}

#[unsafe(export_name = "lift:clock_res_get")]
extern "C" fn clock_res_get(clock: u32, out: u32) -> Answer {
    if clock > *CPU_TIMES.end() {
        return INVAL;
    }
    Program.store64(out, 1);
    SUCCESS
}

/// Pinned randomness is a constant, which the count makes a sequence (SplitMix64).
pub fn random() -> u64 {
    let state = State::get();
    state.random = state.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = state.random;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    host::get_random_u64() ^ mixed ^ (mixed >> 31)
}

#[unsafe(export_name = "lift:random_get")]
pub extern "C" fn random_get(at: u32, len: u32) -> Answer {
    let mut done = 0;
    while done < len {
        let piece = (len - done).min(8);
        Program.copy_out(at.wrapping_add(done), &random().to_le_bytes()[..piece as usize]);
        done += piece;
    }
    SUCCESS
}

/// Streams are always ready. A clock that is waited for alone passes: here there is nothing to wait for.
#[unsafe(export_name = "lift:poll_oneoff")]
extern "C" fn poll_oneoff(subs: u32, events: u32, count: u32, out: u32) -> Answer {
    let stdin = State::get().stdin.len() as u64;
    let mut record = [0; SUBSCRIPTION_BYTES as usize];
    let mut stored = 0;
    let mut answer = |record: &[u8; SUBSCRIPTION_BYTES as usize], bytes: u64| {
        let mut event = [0; EVENT_BYTES as usize];
        event[..8].copy_from_slice(&record[..8]);
        event[10] = record[8];
        event[16..24].copy_from_slice(&bytes.to_le_bytes());
        Program.copy_out(events.wrapping_add(stored * EVENT_BYTES), &event);
        stored += 1;
    };
    for clocks in [false, true] {
        for index in 0..count {
            Program.copy_in(subs.wrapping_add(index * SUBSCRIPTION_BYTES), &mut record);
            if (record[8] == 0) == clocks {
                answer(&record, if clocks { 0 } else { stdin.max(1) });
            }
        }
    }
    Program.store32(out, stored);
    SUCCESS
}

#[unsafe(export_name = "lift:sched_yield")]
extern "C" fn sched_yield() -> Answer {
    SUCCESS
}

#[unsafe(export_name = "lift:proc_raise")]
extern "C" fn proc_raise(_signal: u32) -> Answer {
    NOTSUP
}
