//! Ends of streams and futures. A stream that the program reads from a file, a directory or stdin has its end there; of one
//! that it makes it holds both ends, until it hands the one to read over to be written to a file or to stdout. Nothing is
//! buffered: bytes go from the program's memory to where they belong, or to where another task of the program waits.

use crate::lift::p2::files::entry_after;
use crate::lift::p2::streams::{self, BUFFER_BYTES, End, buffer};
use crate::lift::p2::{put_byte, put_bytes};
use crate::program::Program;
use crate::state::{Single, process};
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use weir_vfs::{Errno, NodeId};

/// The answer of a copy that has to wait.
const BLOCKED: u32 = u32::MAX;
/// The states of a copy that has not, in the lower four bits of its answer; above it is how much was copied.
const COMPLETED: u32 = 0;
const DROPPED: u32 = 1;
const CANCELLED: u32 = 2;
/// As much as an answer can say.
const COUNT_MAX: u32 = (1 << 28) - 1;
const STREAM_READ: u32 = 2;
const STREAM_WRITE: u32 = 3;
const FUTURE_READ: u32 = 4;
/// Bytes of a `directory-entry`, and where in it its name is.
const ENTRY_BYTES: u32 = 24;
const ENTRY_NAME: u32 = 16;

/// Something that has happened to an end.
#[derive(Clone, Copy)]
pub struct Event {
    pub code: u32,
    pub waitable: u32,
    pub payload: u32,
}

/// What a number of the program's stands for.
pub enum What {
    /// A set of what is waited for.
    Set,
    /// The end to read of a stream from outside the program, and the future that says how it ended.
    Source { from: From, future: u32 },
    /// The end to read of a stream of the program's own.
    Reader { pipe: u32 },
    /// The end to write.
    Writer { pipe: u32 },
    /// A stream of the program's own.
    Pipe(Pipe),
    /// The end to read of a future, which tells how a stream ended.
    Future(Future),
}

/// Where a stream comes from.
pub enum From {
    /// A stream as WASI 0.2 has it.
    Bytes(u32),
    /// A directory, and how far it is read.
    Listing(NodeId, u64),
    /// Nothing more comes.
    Nowhere,
}

/// What lies between the two ends of a stream of the program's own.
#[derive(Default)]
pub struct Pipe {
    /// The ends, as long as the program holds them.
    reader: Option<u32>,
    writer: Option<u32>,
    /// Memory that waits to be filled or to be read.
    read: Option<(u32, u32)>,
    write: Option<(u32, u32)>,
    /// Where the end to read was handed over to: a stream as WASI 0.2 has it, and the future that says how it ended.
    sink: Option<(u32, u32)>,
}

/// How a stream ended.
pub struct Future {
    outcome: Option<Result<(), Errno>>,
    /// Where it is waited for.
    at: Option<u32>,
    errors: Errors,
}

/// Which `error-code` a future has.
#[derive(Clone, Copy)]
pub enum Errors {
    Cli,
    Files,
}

struct Known {
    number: u32,
    what: What,
    /// The set that it is in; 0 for none.
    set: u32,
    event: Option<u32>,
}

/// Everything that has a number, in their order. None is used twice.
static ALL: Single<(Vec<Known>, u32)> = Single(UnsafeCell::new((Vec::new(), 0)));

#[allow(clippy::mut_from_ref, reason = "one thread; no reference outlives a step")]
fn all() -> &'static mut (Vec<Known>, u32) {
    // SAFETY: see `Single`.
    unsafe { &mut *ALL.0.get() }
}

pub fn add(what: What) -> u32 {
    let (known, last) = all();
    *last += 1;
    known.push(Known { number: *last, what, set: 0, event: None });
    *last
}

fn place(number: u32) -> Option<usize> {
    all().0.binary_search_by_key(&number, |known| known.number).ok()
}

fn known(number: u32) -> Option<&'static mut Known> {
    all().0.get_mut(place(number)?)
}

pub fn remove(number: u32) -> Option<What> {
    place(number).map(|at| all().0.remove(at).what)
}

fn pipe(number: u32) -> Option<&'static mut Pipe> {
    match &mut known(number)?.what {
        What::Pipe(pipe) => Some(pipe),
        _ => None,
    }
}

/// What the component model forbids ends the program, as a host would end it.
fn forbidden() -> ! {
    core::arch::wasm32::unreachable()
}

pub fn join(waitable: u32, set: u32) {
    match known(waitable) {
        Some(known) => known.set = set,
        None => forbidden(),
    }
}

/// Something that has happened to a member of a set, if there is anything.
pub fn event_of(set: u32) -> Option<Event> {
    let found = all().0.iter_mut().find(|known| known.set == set && known.event.is_some())?;
    let code = match found.what {
        What::Writer { .. } => STREAM_WRITE,
        What::Future(_) => FUTURE_READ,
        _ => STREAM_READ,
    };
    Some(Event { code, waitable: found.number, payload: found.event.take()? })
}

fn happened(number: Option<u32>, payload: u32) {
    if let Some(known) = number.and_then(known) {
        known.event = Some(payload);
    }
}

/// A stream from outside, and the future that says how it ended.
pub fn source(from: Result<From, Errno>, errors: Errors) -> (u32, u32) {
    let future = future(errors);
    let stream = match from {
        Ok(from) => add(What::Source { from, future }),
        Err(errno) => {
            resolve(future, Err(errno));
            add(What::Source { from: From::Nowhere, future })
        }
    };
    (stream, future)
}

fn future(errors: Errors) -> u32 {
    add(What::Future(Future { outcome: None, at: None, errors }))
}

/// Says how a stream ended. The program may have dropped the future.
fn resolve(number: u32, outcome: Result<(), Errno>) {
    let Some(Known { what: What::Future(future), event, .. }) = known(number) else { return };
    match future.at.take() {
        Some(at) => {
            put_outcome(at, outcome, future.errors);
            *event = Some(COMPLETED);
        }
        None => future.outcome = Some(outcome),
    }
}

/// `result<_, error-code>`.
fn put_outcome(at: u32, outcome: Result<(), Errno>, errors: Errors) {
    put_byte(at, u8::from(outcome.is_err()));
    let Err(errno) = outcome else { return };
    match errors {
        Errors::Files => put_byte(at.wrapping_add(4), super::files::code(errno)),
        Errors::Cli => {
            let code = match errno {
                Errno::Ilseq => 1,
                Errno::Pipe => 2,
                _ => 0,
            };
            put_byte(at.wrapping_add(1), code);
        }
    }
}

/// Both ends: the one to read in the lower 32 bits, the one to write in the upper.
#[unsafe(export_name = "p3:stream-new")]
extern "C" fn stream_new() -> u64 {
    let pipe = add(What::Pipe(Pipe::default()));
    let (reader, writer) = (add(What::Reader { pipe }), add(What::Writer { pipe }));
    if let Some(pipe) = self::pipe(pipe) {
        (pipe.reader, pipe.writer) = (Some(reader), Some(writer));
    }
    u64::from(reader) | u64::from(writer) << 32
}

/// Hands the end to read over: what is written to it goes to `to`. Gives the future that says how that ended.
pub fn pour(reader: u32, to: Result<u32, Errno>, errors: Errors) -> u32 {
    let future = future(errors);
    let from = remove(reader);
    let to = match to {
        Ok(to) => to,
        Err(errno) => {
            resolve(future, Err(errno));
            if let Some(from) = from {
                dropped(from);
            }
            return future;
        }
    };
    match from {
        Some(What::Reader { pipe: number }) => {
            let Some(pipe) = pipe(number).filter(|pipe| pipe.read.is_none()) else { forbidden() };
            (pipe.reader, pipe.sink) = (None, Some((to, future)));
            let (writer, waiting) = (pipe.writer, pipe.write.take());
            if let Some((at, len)) = waiting {
                happened(writer, sink(number, at, len));
            }
            if writer.is_none() {
                finish(number);
            }
        }
        Some(What::Source { from: From::Bytes(from), future: other }) => {
            let (read, written) = through(from, to);
            streams::drop_stream(from);
            streams::drop_stream(to);
            resolve(other, read);
            resolve(future, written);
        }
        Some(What::Source { .. }) => {
            streams::drop_stream(to);
            resolve(future, Ok(()));
        }
        _ => forbidden(),
    }
    future
}

/// Moves everything, and says how reading and writing ended.
fn through(from: u32, to: u32) -> (Result<(), Errno>, Result<(), Errno>) {
    loop {
        let read = match streams::read_into(from, buffer(), BUFFER_BYTES) {
            Ok(read) => read,
            Err(End::Closed) => return (Ok(()), Ok(())),
            Err(End::Failed(errno)) => return (Err(errno), Ok(())),
        };
        if let Err(end) = streams::write_from(to, buffer(), read) {
            return (Ok(()), Err(errno_of(end)));
        }
    }
}

fn errno_of(end: End) -> Errno {
    match end {
        End::Failed(errno) => errno,
        End::Closed => Errno::Pipe,
    }
}

/// Writes to where the other end was handed over to.
fn sink(number: u32, at: u32, len: u32) -> u32 {
    let Some(Pipe { sink: Some((to, future)), .. }) = pipe(number) else { return DROPPED };
    let (to, future) = (*to, *future);
    match streams::write_from(to, at, len) {
        Ok(()) => COMPLETED | len << 4,
        Err(end) => {
            if let Some(pipe) = pipe(number) {
                pipe.sink = None;
            }
            streams::drop_stream(to);
            resolve(future, Err(errno_of(end)));
            DROPPED
        }
    }
}

/// The program writes no more to what it handed over.
fn finish(number: u32) {
    if let Some(What::Pipe(Pipe { sink: Some((to, future)), .. })) = remove(number) {
        streams::drop_stream(to);
        resolve(future, Ok(()));
    }
}

fn write(writer: u32, at: u32, len: u32) -> u32 {
    let Some(Known { what: What::Writer { pipe: number }, .. }) = known(writer) else { forbidden() };
    let (number, len) = (*number, len.min(COUNT_MAX));
    let Some(pipe) = pipe(number) else { return DROPPED };
    match (pipe.sink, pipe.reader, pipe.read.take()) {
        (Some(_), ..) => sink(number, at, len),
        (None, None, _) => DROPPED,
        (None, reader, Some((to, room))) => {
            let moved = between(to, at, room.min(len));
            happened(reader, moved);
            moved
        }
        (None, Some(_), None) => {
            pipe.write = Some((at, len));
            BLOCKED
        }
    }
}

fn read(reader: u32, at: u32, len: u32) -> u32 {
    let len = len.min(COUNT_MAX);
    match known(reader).map(|known| &mut known.what) {
        Some(What::Source { from, future }) => {
            let future = *future;
            match read_source(from, at, len) {
                Ok(Some(read)) => COMPLETED | read << 4,
                Ok(None) => ended(reader, future, Ok(())),
                Err(errno) => ended(reader, future, Err(errno)),
            }
        }
        Some(What::Reader { pipe: number }) => {
            let Some(pipe) = pipe(*number) else { return DROPPED };
            match (pipe.writer, pipe.write.take()) {
                (writer, Some((from, given))) => {
                    let moved = between(at, from, given.min(len));
                    happened(writer, moved);
                    moved
                }
                (None, None) => DROPPED,
                (Some(_), None) => {
                    pipe.read = Some((at, len));
                    BLOCKED
                }
            }
        }
        _ => forbidden(),
    }
}

/// Bytes from one task of the program to another.
fn between(to: u32, from: u32, len: u32) -> u32 {
    Program.move_within(to, from, len);
    COMPLETED | len << 4
}

fn ended(reader: u32, future: u32, outcome: Result<(), Errno>) -> u32 {
    if let Some(Known { what: What::Source { from, .. }, .. }) = known(reader) {
        close(core::mem::replace(from, From::Nowhere));
    }
    resolve(future, outcome);
    DROPPED
}

/// Bytes or entries that were read; nothing at the end.
fn read_source(from: &mut From, at: u32, len: u32) -> Result<Option<u32>, Errno> {
    match from {
        From::Nowhere => Ok(None),
        From::Bytes(_) if len == 0 => Ok(Some(0)),
        From::Bytes(stream) => match streams::read_into(*stream, at, len) {
            Ok(read) => Ok(Some(read)),
            Err(End::Closed) => Ok(None),
            Err(End::Failed(errno)) => Err(errno),
        },
        From::Listing(node, cookie) => {
            let mut count = 0;
            while count < len {
                let Some((kind, name)) = entry_after(*node, cookie)? else { break };
                let at = at.wrapping_add(count * ENTRY_BYTES);
                put_byte(at, super::files::kind(kind));
                Program.store32(at.wrapping_add(ENTRY_NAME), put_bytes(name.as_bytes()));
                Program.store32(at.wrapping_add(ENTRY_NAME + 4), name.len() as u32);
                count += 1;
            }
            Ok((count > 0 || len == 0).then_some(count))
        }
    }
}

fn close(from: From) {
    match from {
        From::Bytes(stream) => streams::drop_stream(stream),
        From::Listing(node, _) => process().vfs.release(node),
        From::Nowhere => {}
    }
}

/// What becomes of an end that the program has no more.
fn dropped(what: What) {
    match what {
        What::Source { from, future } => {
            close(from);
            resolve(future, Ok(()));
        }
        What::Reader { pipe: number } => {
            let Some(pipe) = pipe(number) else { return };
            pipe.reader = None;
            match (pipe.writer, pipe.write.take()) {
                (None, _) => drop(remove(number)),
                (writer, Some(_)) => happened(writer, DROPPED),
                (Some(_), None) => {}
            }
        }
        What::Writer { pipe: number } => {
            let Some(pipe) = pipe(number) else { return };
            pipe.writer = None;
            match (pipe.reader, pipe.read.take()) {
                (None, _) => finish(number),
                (reader, Some(_)) => happened(reader, DROPPED),
                (Some(_), None) => {}
            }
        }
        What::Set | What::Pipe(_) | What::Future(_) => {}
    }
}

/// Takes back a copy that waits; one that has happened already is told of instead.
fn cancel(number: u32) -> u32 {
    let Some(known) = known(number) else { forbidden() };
    if let Some(happened) = known.event.take() {
        return happened;
    }
    let waiting = match &mut known.what {
        What::Reader { pipe: number } => pipe(*number).and_then(|pipe| pipe.read.take()).is_some(),
        What::Writer { pipe: number } => pipe(*number).and_then(|pipe| pipe.write.take()).is_some(),
        What::Future(future) => future.at.take().is_some(),
        _ => false,
    };
    if waiting { CANCELLED } else { forbidden() }
}

/// The answer of a function that waits by itself: nothing else runs that could bring what it waits for.
fn at_once(answer: u32) -> u32 {
    if answer == BLOCKED { forbidden() } else { answer }
}

#[unsafe(export_name = "p3:stream-read")]
extern "C" fn stream_read(reader: u32, at: u32, len: u32) -> u32 {
    read(reader, at, len)
}

#[unsafe(export_name = "p3:sync:stream-read")]
extern "C" fn stream_read_sync(reader: u32, at: u32, len: u32) -> u32 {
    at_once(read(reader, at, len))
}

#[unsafe(export_name = "p3:stream-write")]
extern "C" fn stream_write(writer: u32, at: u32, len: u32) -> u32 {
    write(writer, at, len)
}

#[unsafe(export_name = "p3:sync:stream-write")]
extern "C" fn stream_write_sync(writer: u32, at: u32, len: u32) -> u32 {
    at_once(write(writer, at, len))
}

#[unsafe(export_name = "p3:stream-cancel-read")]
extern "C" fn stream_cancel_read(reader: u32) -> u32 {
    cancel(reader)
}

#[unsafe(export_name = "p3:stream-cancel-write")]
extern "C" fn stream_cancel_write(writer: u32) -> u32 {
    cancel(writer)
}

#[unsafe(export_name = "p3:stream-drop-readable")]
extern "C" fn stream_drop_readable(reader: u32) {
    remove(reader).map_or_else(|| forbidden(), dropped);
}

#[unsafe(export_name = "p3:stream-drop-writable")]
extern "C" fn stream_drop_writable(writer: u32) {
    remove(writer).map_or_else(|| forbidden(), dropped);
}

fn read_future(number: u32, at: u32) -> u32 {
    let Some(Known { what: What::Future(future), .. }) = known(number) else { forbidden() };
    match future.outcome.take() {
        Some(outcome) => {
            put_outcome(at, outcome, future.errors);
            COMPLETED
        }
        None => {
            future.at = Some(at);
            BLOCKED
        }
    }
}

#[unsafe(export_name = "p3:future-read")]
extern "C" fn future_read(future: u32, at: u32) -> u32 {
    read_future(future, at)
}

#[unsafe(export_name = "p3:sync:future-read")]
extern "C" fn future_read_sync(future: u32, at: u32) -> u32 {
    at_once(read_future(future, at))
}

#[unsafe(export_name = "p3:future-cancel-read")]
extern "C" fn future_cancel_read(future: u32) -> u32 {
    cancel(future)
}

#[unsafe(export_name = "p3:future-drop-readable")]
extern "C" fn future_drop_readable(future: u32) {
    remove(future);
}

/// A stream of the function or of the call, as wasi:cli gives it.
fn standard(fd: u32, out: u32) {
    let (stream, future) = source(Ok(From::Bytes(streams::add(streams::Source::Descriptor(fd)))), Errors::Cli);
    Program.store32(out, stream);
    Program.store32(out.wrapping_add(4), future);
}

#[unsafe(export_name = "p3:wasi:cli/stdin#read-via-stream")]
extern "C" fn stdin(out: u32) {
    standard(0, out);
}

#[unsafe(export_name = "p3:wasi:cli/stdout#write-via-stream")]
extern "C" fn stdout(reader: u32) -> u32 {
    pour(reader, Ok(streams::add(streams::Source::Descriptor(1))), Errors::Cli)
}

#[unsafe(export_name = "p3:wasi:cli/stderr#write-via-stream")]
extern "C" fn stderr(reader: u32) -> u32 {
    pour(reader, Ok(streams::add(streams::Source::Descriptor(2))), Errors::Cli)
}
