//! `poll_oneoff`: what is in the tree is always ready, clocks and standard streams are the host's.
//!
//! The host reads subscriptions from the program's memory and knows its own descriptors only. So the
//! subscriptions that concern it are written, translated, over the program's array for the time of
//! the call, and the array is put back afterwards; nobody else can look in between.

use crate::abi::answer;
use crate::host::wasi;
use crate::program::Program;
use crate::state::process;
use alloc::vec;
use alloc::vec::Vec;
use weir_vfs::p1::Target;
use weir_vfs::{Errno, StreamId};

const SUBSCRIPTION_BYTES: usize = 48;
const EVENT_BYTES: u32 = 32;
/// Subscriptions of one call at most.
const SUBSCRIPTIONS_MAX: u32 = 16_384;
/// What a subscription waits for.
const TAG_CLOCK: u8 = 0;
const TAG_READ: u8 = 1;
const TAG_WRITE: u8 = 2;

/// The two layouts of a subscription: `wasi_unstable` has one more word in that of a clock.
#[derive(Clone, Copy, PartialEq)]
pub enum Layout {
    Preview1,
    Unstable,
}

impl Layout {
    fn bytes(self) -> usize {
        match self {
            Layout::Preview1 => SUBSCRIPTION_BYTES,
            Layout::Unstable => 56,
        }
    }

    /// A subscription of this layout as one of preview 1.
    fn normal(self, record: &[u8]) -> [u8; SUBSCRIPTION_BYTES] {
        let mut normal = [0; SUBSCRIPTION_BYTES];
        if self == Layout::Unstable && record[8] == TAG_CLOCK {
            normal[..16].copy_from_slice(&record[..16]);
            normal[16..].copy_from_slice(&record[24..56]);
        } else {
            normal.copy_from_slice(&record[..SUBSCRIPTION_BYTES]);
        }
        normal
    }
}

#[unsafe(no_mangle)]
extern "C" fn poll_oneoff(subs: u32, events: u32, count: u32, out: u32) -> u32 {
    answer(poll(Layout::Preview1, subs, events, count, out))
}

struct Ready {
    userdata: [u8; 8],
    errno: u16,
    tag: u8,
    bytes: u64,
}

/// Answers what the file system knows, asks the host for the rest.
pub fn poll(layout: Layout, subs: u32, events: u32, count: u32, out: u32) -> Result<u32, Errno> {
    if count == 0 || count > SUBSCRIPTIONS_MAX {
        return Err(Errno::Inval);
    }
    // What was written before the program sleeps has the time from before it.
    process().vfs.settle();
    let mut array = vec![0; count as usize * layout.bytes()];
    Program.copy_in(subs, &mut array);
    let mut ready = Vec::new();
    let mut asked = Vec::new();
    for record in array.chunks_exact(layout.bytes()) {
        sort_out(layout.normal(record), &mut ready, &mut asked)?;
    }
    let mut stored = 0;
    if !asked.is_empty() {
        if !ready.is_empty() {
            asked.push(immediate_clock());
        }
        let errno = ask_host(subs, &array, &asked, events, out);
        if errno != 0 {
            return Ok(errno);
        }
        stored = Program.load32(out).min(asked.len() as u32);
        if !ready.is_empty() {
            stored = drop_clock(events, stored);
        }
    }
    for event in &ready {
        let mut record = [0; EVENT_BYTES as usize];
        record[..8].copy_from_slice(&event.userdata);
        record[8..10].copy_from_slice(&event.errno.to_le_bytes());
        record[10] = event.tag;
        record[16..24].copy_from_slice(&event.bytes.to_le_bytes());
        Program.copy_out(events.wrapping_add(stored * EVENT_BYTES), &record);
        stored += 1;
    }
    Program.store32(out, stored);
    Ok(0)
}

/// A subscription is either ready here and now or one for the host.
fn sort_out(
    mut record: [u8; SUBSCRIPTION_BYTES],
    ready: &mut Vec<Ready>,
    asked: &mut Vec<[u8; SUBSCRIPTION_BYTES]>,
) -> Result<(), Errno> {
    let tag = record[8];
    if tag == TAG_CLOCK {
        asked.push(record);
        return Ok(());
    }
    if tag != TAG_READ && tag != TAG_WRITE {
        return Err(Errno::Inval);
    }
    let mut userdata = [0; 8];
    userdata.copy_from_slice(&record[..8]);
    let fd = u32::from_le_bytes([record[16], record[17], record[18], record[19]]);
    let process = process();
    let (errno, bytes) = match process.target(fd) {
        Err(errno) => (errno.number(), 0),
        Ok(Target::Stream(StreamId(stream))) if stream < 3 => {
            record[16..20].copy_from_slice(&stream.to_le_bytes());
            asked.push(record);
            return Ok(());
        }
        Ok(Target::Tree(_)) => {
            let size = process.fd_filestat_get(fd).map_or(0, |stat| stat.size);
            let at = process.fd_tell(fd).unwrap_or(0);
            (0, if tag == TAG_READ { size.saturating_sub(at) } else { 1 })
        }
        // Mapped streams and files of the host: reading is the only way to know.
        Ok(Target::Stream(_) | Target::Host(_)) => (0, 1),
    };
    ready.push(Ready { userdata, errno, tag, bytes });
    Ok(())
}

const CLOCK_USERDATA: u64 = 0x7765_6972_2d6e_6f77;

/// A clock that is due at once, so that the host does not wait when something is ready already.
fn immediate_clock() -> [u8; SUBSCRIPTION_BYTES] {
    let mut record = [0; SUBSCRIPTION_BYTES];
    record[..8].copy_from_slice(&CLOCK_USERDATA.to_le_bytes());
    record[16..20].copy_from_slice(&1u32.to_le_bytes());
    record
}

fn ask_host(subs: u32, array: &[u8], asked: &[[u8; SUBSCRIPTION_BYTES]], events: u32, out: u32) -> u32 {
    for (index, record) in asked.iter().enumerate() {
        Program.copy_out(subs.wrapping_add((index * SUBSCRIPTION_BYTES) as u32), record);
    }
    let errno = wasi::poll_oneoff(subs, events, asked.len() as u32, out);
    // The events may lie over the subscriptions only if the program wants to lose these.
    let events_end = u64::from(events) + u64::from(asked.len() as u32 * EVENT_BYTES);
    let apart = u64::from(subs) + array.len() as u64 <= u64::from(events) || events_end <= u64::from(subs);
    if apart {
        Program.copy_out(subs, array);
    }
    errno
}

/// Takes the clock of `immediate_clock` out of the stored events.
fn drop_clock(events: u32, stored: u32) -> u32 {
    let mut kept = 0;
    for index in 0..stored {
        let at = events.wrapping_add(index * EVENT_BYTES);
        if Program.load64(at) == CLOCK_USERDATA {
            continue;
        }
        if kept != index {
            let mut record = [0; EVENT_BYTES as usize];
            Program.copy_in(at, &mut record);
            Program.copy_out(events.wrapping_add(kept * EVENT_BYTES), &record);
        }
        kept += 1;
    }
    kept
}
