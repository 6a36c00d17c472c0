//! What the host asks after the program has ended: the tree, to copy results out. Paths, names and
//! contents go through one buffer in the shim's memory. Negative answers are errnos.

use crate::state::process;
use core::cell::UnsafeCell;
use weir_vfs::p1::filetype;
use weir_vfs::{Errno, NodeId};

const BUFFER_BYTES: usize = 65_536;

struct Buffer(UnsafeCell<[u8; BUFFER_BYTES]>);

// SAFETY: one thread; each function below takes the buffer once.
unsafe impl Sync for Buffer {}

static BUFFER: Buffer = Buffer(UnsafeCell::new([0; BUFFER_BYTES]));

#[allow(clippy::mut_from_ref, reason = "one thread, taken once per call")]
fn buffer() -> &'static mut [u8; BUFFER_BYTES] {
    // SAFETY: see `Buffer`.
    unsafe { &mut *BUFFER.0.get() }
}

fn answer(result: Result<usize, Errno>) -> i32 {
    match result {
        Ok(len) => len as i32,
        Err(errno) => -i32::from(errno.number()),
    }
}

/// Where the buffer is in the shim's memory.
#[unsafe(no_mangle)]
extern "C" fn weir_buffer() -> u32 {
    BUFFER.0.get() as u32
}

/// The node at the path in the buffer, links followed.
#[unsafe(no_mangle)]
extern "C" fn weir_lookup(len: u32) -> i64 {
    let Some(Ok(path)) = buffer().get(..len as usize).map(core::str::from_utf8) else {
        return -i64::from(Errno::Ilseq.number());
    };
    let vfs = &mut process().vfs;
    // An absolute path starts at the root, like any other here.
    let path = path.trim_matches('/');
    let found = if path.is_empty() { Ok(vfs.root()) } else { vfs.resolve(vfs.root(), path, true) };
    match found {
        Ok(node) => i64::from(node.0),
        Err(errno) => -i64::from(errno.number()),
    }
}

/// Puts file type (byte 0), size (8..16) and modification time (16..24) into the buffer.
#[unsafe(no_mangle)]
extern "C" fn weir_stat(node: u32) -> i32 {
    answer(process().vfs.stat(NodeId(node)).map(|stat| {
        let record = buffer();
        record[0] = filetype(stat.kind);
        record[8..16].copy_from_slice(&stat.size.to_le_bytes());
        record[16..24].copy_from_slice(&stat.times.modified.to_le_bytes());
        24
    }))
}

/// Puts the entry of a directory after `cookie` into the buffer: the next cookie (8 bytes), the node
/// (4 bytes), the name. Gives the length of all that, 0 at the end.
#[unsafe(no_mangle)]
extern "C" fn weir_next(node: u32, cookie: u64) -> i32 {
    answer(process().vfs.read_dir(NodeId(node), cookie).map(|entry| {
        let Some(entry) = entry else { return 0 };
        let record = buffer();
        let name = &entry.name.as_bytes()[..entry.name.len().min(BUFFER_BYTES - 12)];
        record[..8].copy_from_slice(&entry.next.to_le_bytes());
        record[8..12].copy_from_slice(&entry.node.0.to_le_bytes());
        record[12..12 + name.len()].copy_from_slice(name);
        12 + name.len()
    }))
}

/// Puts bytes of a file into the buffer, as many as fit; gives how many, 0 at the end.
#[unsafe(no_mangle)]
extern "C" fn weir_read(node: u32, offset: u64) -> i32 {
    answer(process().vfs.load_at(NodeId(node), offset, buffer()))
}

/// Puts the target of a symbolic link into the buffer and gives its length.
#[unsafe(no_mangle)]
extern "C" fn weir_readlink(node: u32) -> i32 {
    answer(process().vfs.readlink(NodeId(node)).map(|target| {
        let target = &target.as_bytes()[..target.len().min(BUFFER_BYTES)];
        buffer()[..target.len()].copy_from_slice(target);
        target.len()
    }))
}
