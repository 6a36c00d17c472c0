//! wasi:io 0.2 streams and errors, and the standard ones of wasi:cli. Nothing here waits: files are memory, and who
//! reads or writes a stream of the function is held up in the call itself. So everything is ready at all times.

use super::files::{TRANSFER_BYTES_MAX, close};
use super::{READY, give, put_byte, put_bytes, realloc, scratch, shrink};
use crate::abi;
use crate::program::Program;
use crate::state::{Single, process};
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use weir_vfs::{Errno, Memory, NodeId};

/// Bytes of memory of the program's that a splice goes through.
pub const BUFFER_BYTES: u32 = 64 << 10;

/// What a stream reads or writes.
#[derive(Clone, Copy)]
pub enum Source {
    /// A file from a position on, or always its end.
    Node { node: NodeId, position: Option<u64> },
    /// A descriptor of WASI 0.1.
    Descriptor(u32),
}

struct Stream {
    /// Nothing once it has ended or failed.
    source: Option<Source>,
    /// The program has dropped the descriptor, which is closed with the stream.
    last: Option<u32>,
}

/// `stream-error`.
pub enum End {
    Failed(Errno),
    Closed,
}

impl From<Errno> for End {
    fn from(errno: Errno) -> Self {
        if errno == Errno::Pipe { End::Closed } else { End::Failed(errno) }
    }
}

static STREAMS: Single<Vec<Option<Stream>>> = Single(UnsafeCell::new(Vec::new()));
static BUFFER: Single<u32> = Single(UnsafeCell::new(0));

#[allow(clippy::mut_from_ref, reason = "one thread; taken once per call")]
fn streams() -> &'static mut Vec<Option<Stream>> {
    // SAFETY: see `Single`.
    unsafe { &mut *STREAMS.0.get() }
}

/// Memory of the program's for bytes on their way, always the same.
pub fn buffer() -> u32 {
    // SAFETY: see `Single`.
    let buffer = unsafe { &mut *BUFFER.0.get() };
    if *buffer == 0 {
        *buffer = realloc(0, 0, 1, BUFFER_BYTES);
    }
    *buffer
}

/// The handle of a new stream.
pub fn add(source: Source) -> u32 {
    super::add(streams(), Stream { source: Some(source), last: None })
}

/// Whether a stream still needs the descriptor, and is going to close it.
pub fn keeps(fd: u32) -> bool {
    let user =
        streams().iter_mut().flatten().find(|stream| matches!(stream.source, Some(Source::Descriptor(of)) if of == fd));
    user.is_some_and(|stream| {
        stream.last = Some(fd);
        true
    })
}

fn source(stream: u32) -> Result<Source, End> {
    super::get(streams(), stream).and_then(|stream| stream.source).ok_or(End::Closed)
}

/// Moves on in a file, or ends the stream.
fn moved(stream: u32, result: Result<u32, End>) -> Result<u32, End> {
    let Some(known) = super::get(streams(), stream) else { return Err(End::Closed) };
    match (&result, &mut known.source) {
        (Ok(done), Some(Source::Node { position: Some(position), .. })) => *position += u64::from(*done),
        (Ok(_), _) => {}
        (Err(_), _) => settle(known),
    }
    result
}

/// Lets go of what a stream works on.
fn settle(stream: &mut Stream) {
    if let Some(Source::Node { node, .. }) = stream.source.take() {
        process().vfs.release(node);
    }
}

pub fn drop_stream(stream: u32) {
    if let Some(mut known) = super::remove(streams(), stream) {
        settle(&mut known);
        if let Some(fd) = known.last {
            close(fd);
        }
    }
}

/// Reads or writes bytes of the program's memory by a function of WASI 0.1.
fn by_descriptor(function: extern "C" fn(u32, u32, u32, u32) -> u32, fd: u32, at: u32, len: u32) -> Result<u32, End> {
    let span = scratch();
    Program.store32(span, at);
    Program.store32(span.wrapping_add(4), len);
    match function(fd, span, 1, span.wrapping_add(8)) {
        0 => Ok(Program.load32(span.wrapping_add(8))),
        errno => Err(u16::try_from(errno).ok().and_then(Errno::from_number).unwrap_or(Errno::Io).into()),
    }
}

pub fn read_into(stream: u32, at: u32, len: u32) -> Result<u32, End> {
    let result = match source(stream)? {
        Source::Node { node, position } => {
            let position = position.unwrap_or(0);
            process().vfs.read_at(node, position, &mut Program, at as usize, len as usize).map_err(End::from)
        }
        Source::Descriptor(fd) => return moved(stream, ended(by_descriptor(abi::fd_read, fd, at, len), len)),
    };
    moved(stream, ended(result.map(|read| read as u32), len))
}

/// Nothing read where something was asked for is the end.
fn ended(result: Result<u32, End>, len: u32) -> Result<u32, End> {
    match result {
        Ok(0) if len > 0 => Err(End::Closed),
        other => other,
    }
}

/// How much a read is going to give at most.
fn room(stream: u32, len: u64) -> Result<u32, End> {
    let left = match source(stream)? {
        Source::Node { node, position } => {
            process().vfs.size(node).unwrap_or(0).saturating_sub(position.unwrap_or(0)).max(1)
        }
        Source::Descriptor(_) => u64::from(BUFFER_BYTES),
    };
    Ok(len.min(left).min(TRANSFER_BYTES_MAX) as u32)
}

pub fn write_from(stream: u32, at: u32, len: u32) -> Result<(), End> {
    let mut done = 0;
    while done < len {
        let (at, len) = (at.wrapping_add(done), len - done);
        let result = match source(stream)? {
            Source::Node { node, position } => {
                let vfs = &mut process().vfs;
                let written = match position {
                    Some(position) => vfs.write_at(node, position, &Program, at as usize, len as usize),
                    None => vfs.append(node, &Program, at as usize, len as usize).map(|(written, _)| written),
                };
                written.map(|written| written as u32).map_err(End::from)
            }
            Source::Descriptor(fd) => by_descriptor(abi::fd_write, fd, at, len),
        };
        let result = match result {
            Ok(0) => Err(End::Failed(Errno::Nospc)),
            other => other,
        };
        done += moved(stream, result)?;
    }
    source(stream).map(|_| ())
}

/// A result with a `stream-error`. The handle of an error is the number of what went wrong.
fn give_end<T>(out: u32, payload: u32, result: Result<T, End>, put: impl FnOnce(u32, T)) {
    give(out, payload, result, put, |at, end| match end {
        End::Failed(errno) => {
            put_byte(at, 0);
            Program.store32(at.wrapping_add(4), u32::from(errno.number()));
        }
        End::Closed => put_byte(at, 1),
    });
}

#[unsafe(export_name = "p2:wasi:io/streams#[method]input-stream.read")]
extern "C" fn read(stream: u32, len: u64, out: u32) {
    let read = room(stream, len).and_then(|room| {
        if room == 0 {
            return Ok((1, 0));
        }
        let at = realloc(0, 0, 1, room);
        let done = read_into(stream, at, room)?;
        Ok((shrink(at, room, done), done))
    });
    give_end(out, 4, read, |at, (start, len)| {
        Program.store32(at, start);
        Program.store32(at.wrapping_add(4), len);
    });
}

#[unsafe(export_name = "p2:wasi:io/streams#[method]input-stream.blocking-read")]
extern "C" fn blocking_read(stream: u32, len: u64, out: u32) {
    read(stream, len, out);
}

#[unsafe(export_name = "p2:wasi:io/streams#[method]input-stream.skip")]
extern "C" fn skip(stream: u32, len: u64, out: u32) {
    let skipped = read_into(stream, buffer(), len.min(u64::from(BUFFER_BYTES)) as u32);
    give_end(out, 8, skipped, |at, skipped| Program.store64(at, u64::from(skipped)));
}

#[unsafe(export_name = "p2:wasi:io/streams#[method]input-stream.blocking-skip")]
extern "C" fn blocking_skip(stream: u32, len: u64, out: u32) {
    skip(stream, len, out);
}

#[unsafe(export_name = "p2:wasi:io/streams#[method]input-stream.subscribe")]
extern "C" fn subscribe_input(_stream: u32) -> u32 {
    READY
}

#[unsafe(export_name = "p2:wasi:io/streams#[resource-drop]input-stream")]
extern "C" fn drop_input(stream: u32) {
    drop_stream(stream);
}

#[unsafe(export_name = "p2:wasi:io/streams#[method]output-stream.check-write")]
extern "C" fn check_write(stream: u32, out: u32) {
    give_end(out, 8, source(stream), |at, _| Program.store64(at, TRANSFER_BYTES_MAX));
}

/// Functions that write bytes and say whether it is well.
macro_rules! writes {
    ($($export:literal $name:ident($stream:ident $(, $arg:ident: $type:ty)*) $act:expr;)*) => {$(
        #[unsafe(export_name = $export)]
        extern "C" fn $name($stream: u32 $(, $arg: $type)*, out: u32) {
            give_end(out, 4, $act, |_, ()| {});
        }
    )*};
}

writes! {
    "p2:wasi:io/streams#[method]output-stream.write" write(stream, at: u32, len: u32)
        write_from(stream, at, len);
    "p2:wasi:io/streams#[method]output-stream.blocking-write-and-flush" write_and_flush(stream, at: u32, len: u32)
        write_from(stream, at, len);
    "p2:wasi:io/streams#[method]output-stream.flush" flush(stream)
        source(stream).map(|_| ());
    "p2:wasi:io/streams#[method]output-stream.blocking-flush" blocking_flush(stream)
        source(stream).map(|_| ());
    "p2:wasi:io/streams#[method]output-stream.write-zeroes" write_zeroes(stream, len: u64)
        zeroes(stream, len);
    "p2:wasi:io/streams#[method]output-stream.blocking-write-zeroes-and-flush" write_zeroes_and_flush(stream, len: u64)
        zeroes(stream, len);
}

fn zeroes(stream: u32, len: u64) -> Result<(), End> {
    Program.zero(buffer() as usize, BUFFER_BYTES as usize);
    let mut left = len;
    while left > 0 {
        let piece = left.min(u64::from(BUFFER_BYTES));
        write_from(stream, buffer(), piece as u32)?;
        left -= piece;
    }
    source(stream).map(|_| ())
}

#[unsafe(export_name = "p2:wasi:io/streams#[method]output-stream.subscribe")]
extern "C" fn subscribe_output(_stream: u32) -> u32 {
    READY
}

#[unsafe(export_name = "p2:wasi:io/streams#[resource-drop]output-stream")]
extern "C" fn drop_output(stream: u32) {
    drop_stream(stream);
}

#[unsafe(export_name = "p2:wasi:io/streams#[method]output-stream.splice")]
extern "C" fn splice(stream: u32, from: u32, len: u64, out: u32) {
    let len = len.min(u64::from(BUFFER_BYTES)) as u32;
    let moved = source(stream).and_then(|_| {
        let read = read_into(from, buffer(), len)?;
        write_from(stream, buffer(), read).map(|()| read)
    });
    give_end(out, 8, moved, |at, moved| Program.store64(at, u64::from(moved)));
}

#[unsafe(export_name = "p2:wasi:io/streams#[method]output-stream.blocking-splice")]
extern "C" fn blocking_splice(stream: u32, from: u32, len: u64, out: u32) {
    splice(stream, from, len, out);
}

#[unsafe(export_name = "p2:wasi:io/error#[method]error.to-debug-string")]
extern "C" fn to_debug_string(error: u32, out: u32) {
    let errno = u16::try_from(error).ok().and_then(Errno::from_number);
    let name = errno.map_or("error", Errno::name);
    Program.store32(out, put_bytes(name.as_bytes()));
    Program.store32(out.wrapping_add(4), name.len() as u32);
}

#[unsafe(export_name = "p2:wasi:io/error#[resource-drop]error")]
extern "C" fn drop_error(_error: u32) {}

#[unsafe(export_name = "p2:wasi:cli/stdin#get-stdin")]
extern "C" fn get_stdin() -> u32 {
    add(Source::Descriptor(0))
}

#[unsafe(export_name = "p2:wasi:cli/stdout#get-stdout")]
extern "C" fn get_stdout() -> u32 {
    add(Source::Descriptor(1))
}

#[unsafe(export_name = "p2:wasi:cli/stderr#get-stderr")]
extern "C" fn get_stderr() -> u32 {
    add(Source::Descriptor(2))
}
