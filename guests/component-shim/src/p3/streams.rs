//! The shim's ends of streams. Each stream has a task that waits until the program is at the other end
//! and only then touches the file: a program sees what is in the file when it reads, not what was there
//! when it opened the stream, and streams that nobody uses hold no buffer.
//!
//! A transfer of no bytes is how one end of a stream waits for the other without moving anything.

use super::bindings::{exports::wasi::filesystem::types, wit_future, wit_stream};
use super::convert::{code, descriptor_type};
use super::{Done, ErrorCode};
use crate::files::{Descriptor, Listing, Node, TRANSFER_BYTES_MAX};
use alloc::{rc::Rc, vec::Vec};
use core::cell::{Cell, RefCell};
use weir_vfs::Errno;
use wit_bindgen::{FutureWriter, StreamReader, StreamResult, StreamWriter, spawn_local};

/// Streams that the program has open at once at most. Each is a task.
const STREAMS_MAX: u32 = 4096;

/// Entries of a directory handed over at once.
const ENTRIES_MAX: usize = 256;

/// Bytes of the first transfer of a stream; those that move more grow from here.
const TRANSFER_BYTES_FIRST: usize = 16 << 10;

struct Shared {
    streams: Cell<u32>,
    /// The buffer of the last transfer to a file, for the next one. One is enough: a transfer ends in the turn
    /// in which it began, because the other end was there.
    spare: RefCell<Vec<u8>>,
}

// SAFETY: a component runs in one thread.
unsafe impl Sync for Shared {}

static SHARED: Shared = Shared { streams: Cell::new(0), spare: RefCell::new(Vec::new()) };

/// One of the streams that may be open.
struct Slot;

impl Slot {
    fn take() -> Result<Self, Errno> {
        let streams = SHARED.streams.get();
        if streams >= STREAMS_MAX {
            return Err(Errno::Mfile);
        }
        SHARED.streams.set(streams + 1);
        Ok(Self)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        SHARED.streams.set(SHARED.streams.get() - 1);
    }
}

/// A buffer for `len` bytes, empty.
fn buffer(len: usize) -> Result<Vec<u8>, Errno> {
    let mut buffer = SHARED.spare.take();
    buffer.clear();
    buffer.try_reserve_exact(len).map_err(|_| Errno::Nomem)?;
    Ok(buffer)
}

fn give_back(buffer: Vec<u8>) {
    SHARED.spare.replace(buffer);
}

/// The promise of a result beside a stream.
struct Promise(FutureWriter<Result<(), ErrorCode>>);

impl Promise {
    fn new() -> (Self, Done) {
        let (writer, reader) = wit_future::new(|| Ok(()));
        (Self(writer), reader)
    }

    /// Keeps the promise. Nobody may be interested.
    async fn keep(self, result: Result<(), Errno>) {
        let _ = self.0.write(result.map_err(code)).await;
    }
}

/// `read-via-stream`.
pub fn read(descriptor: &Descriptor, offset: u64) -> (StreamReader<u8>, Done) {
    let (writer, reader) = wit_stream::new();
    let (promise, done) = Promise::new();
    let source = descriptor.reading().and_then(|node| Ok((node, Slot::take()?)));
    spawn_local(async move {
        let result = match source {
            Ok((node, _slot)) => fill(writer, &node, offset).await,
            Err(errno) => {
                drop(writer);
                Err(errno)
            }
        };
        promise.keep(result).await;
    });
    (reader, done)
}

/// Whether the other end is gone.
fn is_gone(result: StreamResult) -> bool {
    !matches!(result, StreamResult::Complete(_))
}

async fn fill(mut writer: StreamWriter<u8>, node: &Rc<Node>, mut offset: u64) -> Result<(), Errno> {
    let mut len = TRANSFER_BYTES_FIRST;
    loop {
        let (ready, _) = writer.write(Vec::new()).await;
        if is_gone(ready) {
            return Ok(());
        }
        let bytes = node.read(offset, len)?;
        let held = bytes.len();
        if held == 0 {
            return Ok(());
        }
        let (result, rest) = writer.write(bytes).await;
        let taken = held - rest.remaining();
        if is_gone(result) {
            return Ok(());
        }
        offset = offset.saturating_add(taken as u64);
        // What was not taken is read again, when it is wanted.
        len = if taken == held { (len * 2).min(TRANSFER_BYTES_MAX) } else { taken.next_multiple_of(512).max(512) };
    }
}

/// `write-via-stream` from `offset` on, or `append-via-stream`.
pub fn write(descriptor: &Descriptor, data: StreamReader<u8>, offset: Option<u64>) -> Done {
    let (promise, done) = Promise::new();
    let target = descriptor.writing().and_then(|node| Ok((node, Slot::take()?)));
    spawn_local(async move {
        let result = match target {
            Ok((node, _slot)) => drain(data, &node, offset).await,
            Err(errno) => {
                drop(data);
                Err(errno)
            }
        };
        promise.keep(result).await;
    });
    done
}

async fn drain(mut data: StreamReader<u8>, node: &Rc<Node>, mut offset: Option<u64>) -> Result<(), Errno> {
    let mut len = TRANSFER_BYTES_FIRST;
    loop {
        let (ready, _) = data.read(Vec::new()).await;
        if is_gone(ready) {
            return Ok(());
        }
        let (result, bytes) = data.read(buffer(len)?).await;
        let taken = bytes.len();
        let written = write_all(node, &mut offset, &bytes);
        give_back(bytes);
        written?;
        if is_gone(result) {
            return Ok(());
        }
        if taken >= len {
            len = (len * 2).min(TRANSFER_BYTES_MAX);
        }
    }
}

fn write_all(node: &Node, offset: &mut Option<u64>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let written = node.write(*offset, bytes)?;
        *offset = offset.map(|offset| offset.saturating_add(written as u64));
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// `read-directory`.
pub fn list(descriptor: &Descriptor) -> (StreamReader<types::DirectoryEntry>, Done) {
    let (writer, reader) = wit_stream::new();
    let (promise, done) = Promise::new();
    let source = descriptor.listing().and_then(|listing| Ok((listing, Slot::take()?)));
    spawn_local(async move {
        let result = match source {
            Ok((listing, _slot)) => fill_entries(writer, listing).await,
            Err(errno) => {
                drop(writer);
                Err(errno)
            }
        };
        promise.keep(result).await;
    });
    (reader, done)
}

async fn fill_entries(mut writer: StreamWriter<types::DirectoryEntry>, mut listing: Listing) -> Result<(), Errno> {
    loop {
        let (ready, _) = writer.write(Vec::new()).await;
        if is_gone(ready) {
            return Ok(());
        }
        let mut entries = Vec::new();
        let mut failed = None;
        while entries.len() < ENTRIES_MAX {
            match listing.next() {
                Ok(Some((name, kind))) => entries.push(types::DirectoryEntry { type_: descriptor_type(kind), name }),
                Ok(None) => break,
                Err(errno) => {
                    failed = Some(errno);
                    break;
                }
            }
        }
        let whole = entries.len() == ENTRIES_MAX;
        let unwanted = writer.write_all(entries).await;
        match failed {
            Some(errno) => return Err(errno),
            None if !whole || !unwanted.is_empty() => return Ok(()),
            None => {}
        }
    }
}
