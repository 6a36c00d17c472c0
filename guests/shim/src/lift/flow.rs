//! Streams of a lifted function, those of WASI 0.3 and by `io` those of wasi:io: bytes flow while the program runs. A read of the program waits until the
//! caller has written, a write until the caller has read, and never more is held here than one buffer of each.
//!
//! A file that is a stream is read from its beginning to its end. A program that asks for its size, or moves in it,
//! gets a file: what is still to come is read at once. That works as long as what it has read before is still kept.

use super::{Failure, Value, function, inside, io, outcome, prepare, run};
use crate::program::{Iovs, Program};
use crate::state::{Single, path, process};
use crate::{abi, lift::values};
use alloc::alloc::{Layout, alloc_zeroed};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use weir_vfs::lift::{Early, Function, Origin, Type};
use weir_vfs::p1::{FD_SEEK, FD_TELL, Spans, Target};
use weir_vfs::{Errno, NodeId, StreamId};

type Answer = u32;

mod linked {
    #[link(wasm_import_module = "weir:flow")]
    unsafe extern "C" {
        /// Both ends: the one to read in the lower 32 bits, the one to write in the upper.
        pub safe fn stream_new() -> i64;
        pub fn stream_read(stream: u32, to: *mut u8, len: usize) -> u32;
        pub fn stream_write(stream: u32, from: *const u8, len: usize) -> u32;
        pub safe fn stream_drop_readable(stream: u32);
        pub safe fn stream_drop_writable(stream: u32);
        /// As for streams.
        pub safe fn future_new() -> i64;
        pub safe fn future_write(future: u32, from: u32) -> u32;
        pub safe fn future_drop_writable(future: u32);
        pub safe fn set_new() -> u32;
        pub fn set_wait(set: u32, event: *mut [u32; 2]) -> u32;
        pub safe fn set_drop(set: u32);
        pub safe fn join(waitable: u32, set: u32);
        /// Gives the caller what is in the slots.
        pub safe fn task_return();
    }
}

const SUCCESS: Answer = 0;
const BADF: Answer = Errno::Badf.number() as u32;
const PIPE: Answer = Errno::Pipe.number() as u32;
/// What a copy answers that has to wait.
const BLOCKED: u32 = u32::MAX;
/// The state of a copy, in the lower four bits of its answer: the other end is gone.
const DROPPED: u32 = 1;
/// Bytes that are moved at once.
const BUFFER_BYTES: usize = 64 << 10;
const PAGE_BYTES: usize = 4096;
/// Bytes of a file's beginning that are kept, so that a program may still go back there.
const KEPT_BYTES: usize = 1 << 20;
/// Streams of files are numbered behind the standard ones.
const STANDARD: u32 = 3;
/// WASI's `filetype` of a regular file, and where in `fdstat` it and the rights are.
const REGULAR_FILE: u8 = 4;
const RIGHTS_AT: u32 = 8;

/// What the program reads.
struct Reads {
    stream: u32,
    buffer: Buffer,
    at: usize,
    ended: bool,
    /// Bytes that the program was given.
    given: u64,
    /// All of them, as long as there are few; nothing for stdin.
    kept: Option<Vec<u8>>,
    opened: bool,
}

/// What the program writes.
struct Writes {
    stream: u32,
    gone: bool,
    opened: bool,
    from: Origin,
}

enum End {
    Reads(Reads),
    Writes(Writes),
}

struct Flows {
    set: u32,
    /// Numbered from [`STANDARD`] on.
    ends: Vec<End>,
    stdin: Option<u32>,
    stdout: Option<u32>,
    stderr: Option<u32>,
    /// What is being written.
    piece: Buffer,
}

static FLOWS: Single<Flows> = Single(UnsafeCell::new(Flows {
    set: 0,
    ends: Vec::new(),
    stdin: None,
    stdout: None,
    stderr: None,
    piece: Buffer::NONE,
}));

impl Flows {
    #[allow(clippy::mut_from_ref, reason = "one thread; taken once per call from outside")]
    fn get() -> &'static mut Flows {
        // SAFETY: see `Single`.
        unsafe { &mut *FLOWS.0.get() }
    }

    fn add(&mut self, waitable: u32, end: End) -> u32 {
        linked::join(waitable, self.set);
        self.ends.push(end);
        STANDARD + self.ends.len() as u32 - 1
    }

    fn end(&mut self, number: u32) -> Option<&mut End> {
        self.ends.get_mut(number.checked_sub(STANDARD)? as usize)
    }
}

/// The answer of a copy, which may have to be waited for.
fn finished(set: u32, waitable: u32, answer: u32) -> u32 {
    if answer != BLOCKED {
        return answer;
    }
    loop {
        let mut event = [0; 2];
        // SAFETY: there is room for the waitable and its answer.
        unsafe { linked::set_wait(set, &mut event) };
        if event[0] == waitable {
            return event[1];
        }
    }
}

fn ends(both: i64) -> (u32, u32) {
    (both as u32, (both >> 32) as u32)
}

/// Calls a function that has streams. What an asynchronous one gives is told by `task_return`; the other ones give
/// where their result is.
#[unsafe(export_name = "flow:call")]
extern "C" fn flow_call() -> u32 {
    let function = function();
    let flows = Flows::get();
    flows.set = linked::set_new();
    let mut future = None;
    if !function.early.is_empty() {
        let handles = function.early.iter().map(|early| match early {
            Early::Flow(from) => flows.write_to(from),
            Early::Result => {
                let (readable, writable) = ends(linked::future_new());
                future = Some(writable);
                Value::Handle(readable)
            }
        });
        let given = Value::Record(handles.collect());
        give(&function, &Type::Record(alloc::vec![Type::Stream; function.early.len()]), &given);
    }
    let result = prepare(&function).and_then(|()| run(&function));
    let result = flows.close().map_err(Failure::new).and(result);
    let result = io::trouble().map_or(result, |message| Err(Failure::new(message)));
    let (ty, value) = outcome(&function, result);
    if !function.asynchronous {
        let Some(at) = values::to_memory(&ty, &value) else { core::arch::wasm32::unreachable() };
        return at;
    }
    match future {
        None => give(&function, &ty, &value),
        Some(future) => {
            let Some(at) = values::to_memory(&ty, &value) else { core::arch::wasm32::unreachable() };
            linked::join(future, flows.set);
            finished(flows.set, future, linked::future_write(future, at));
            linked::future_drop_writable(future);
        }
    }
    linked::set_drop(flows.set);
    0
}

/// Tells the caller what the function gives.
fn give(function: &Function, ty: &Type, value: &Value) {
    let mut slots = Vec::new();
    let flat = if function.given_in_memory {
        values::to_memory(ty, value).map(|at| slots.push(u64::from(at)))
    } else {
        values::to_flat(ty, value, &mut slots)
    };
    // SAFETY: see `Single`; the parameters were read before, or are not read any more.
    let out = unsafe { &mut *super::RETURNED.0.get() };
    match flat.and_then(|()| out.get_mut(..slots.len())) {
        Some(out) => out.copy_from_slice(&slots),
        None => core::arch::wasm32::unreachable(),
    }
    linked::task_return();
}

/// Where the linker's wrapper finds what is given.
#[unsafe(export_name = "flow:slots")]
extern "C" fn flow_slots() -> u32 {
    super::RETURNED.0.get() as u32
}

fn reads(stream: u32, kept: Option<Vec<u8>>) -> End {
    End::Reads(Reads { stream, buffer: Buffer::NONE, at: 0, ended: false, given: 0, kept, opened: false })
}

/// Lets stdin be this stream.
pub fn reads_stdin(stream: u32) {
    let flows = Flows::get();
    flows.stdin = Some(flows.add(stream, reads(stream, None)));
}

/// Lets what the program writes there go to this stream.
pub fn writes(stream: u32, from: &Origin) {
    Flows::get().writes(stream, from);
}

/// Gives the number under which a file of the tree is this stream.
pub fn reads_file(stream: u32) -> StreamId {
    StreamId(Flows::get().add(stream, reads(stream, Some(Vec::new()))))
}

/// The files that the program writes as streams.
pub fn written_files() -> impl Iterator<Item = (&'static str, StreamId)> {
    Flows::get().ends.iter().enumerate().filter_map(|(at, end)| match end {
        End::Writes(Writes { from: Origin::File(path), .. }) => Some((path.as_str(), StreamId(STANDARD + at as u32))),
        _ => None,
    })
}

impl Flows {
    /// A new stream of what the program writes there; gives the end that is read.
    fn write_to(&mut self, from: &Origin) -> Value {
        let (readable, writable) = ends(linked::stream_new());
        self.writes(writable, from);
        Value::Handle(readable)
    }

    fn writes(&mut self, stream: u32, from: &Origin) {
        let end = Writes { stream, gone: false, opened: false, from: from.clone() };
        let number = self.add(stream, End::Writes(end));
        match from {
            Origin::Stdout => self.stdout = Some(number),
            Origin::Stderr => self.stderr = Some(number),
            _ => {}
        }
    }

    /// Ends all streams. A file that the program put in a stream's place goes out now.
    fn close(&mut self) -> Result<(), String> {
        let set = self.set;
        let mut result = Ok(());
        for end in core::mem::take(&mut self.ends) {
            match end {
                End::Reads(reads) => linked::stream_drop_readable(reads.stream),
                End::Writes(mut writes) => {
                    if let Origin::File(path) = &writes.from
                        && !writes.opened
                    {
                        match put_there(path) {
                            Ok(bytes) => {
                                writes.write(set, &bytes);
                            }
                            Err(message) => result = Err(message),
                        }
                    }
                    linked::stream_drop_writable(writes.stream);
                }
            }
        }
        result
    }
}

/// The file that the program put in the place of a stream.
fn put_there(path: &str) -> Result<Vec<u8>, String> {
    let node = super::look_up(path)?;
    if process().vfs.stream(node).is_some() {
        return Err(format!("the program did not write /{path}"));
    }
    super::read_file(path)
}

/// Bytes on their way. They begin in the middle of a page: processors are slow at copies of which the one end lies a
/// little behind the other within its page, and where a program or a host has its buffers is mostly near a page's begin.
struct Buffer {
    bytes: Option<&'static mut [u8; BUFFER_BYTES]>,
    /// How many of them are held.
    len: usize,
}

impl Buffer {
    const NONE: Self = Self { bytes: None, len: 0 };

    fn all(&mut self) -> &mut [u8; BUFFER_BYTES] {
        self.bytes.get_or_insert_with(|| {
            let half = PAGE_BYTES / 2;
            let Ok(layout) = Layout::from_size_align(half + BUFFER_BYTES, PAGE_BYTES) else {
                core::arch::wasm32::unreachable()
            };
            // SAFETY: the layout is not empty.
            let start = unsafe { alloc_zeroed(layout) };
            if start.is_null() {
                core::arch::wasm32::unreachable()
            }
            // SAFETY: so many bytes are there behind the half of a page, nobody else has them, and they stay.
            unsafe { &mut *start.add(half).cast() }
        })
    }

    fn held(&self) -> &[u8] {
        self.bytes.as_deref().and_then(|bytes| bytes.get(..self.len)).unwrap_or_default()
    }
}

impl Writes {
    /// Gives how many bytes were taken: all, unless the reader went away.
    fn write(&mut self, set: u32, bytes: &[u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() && !self.gone {
            let rest = &bytes[done..];
            // SAFETY: the bytes stay where they are until the copy is finished.
            let answer = unsafe { linked::stream_write(self.stream, rest.as_ptr(), rest.len()) };
            let answer = finished(set, self.stream, answer);
            done += (answer >> 4) as usize;
            self.gone = answer & 0xf == DROPPED;
        }
        done
    }
}

impl Reads {
    /// What has come and was not given yet; waits for it. Nothing at the end.
    fn ready(&mut self, set: u32) -> &[u8] {
        while self.at == self.buffer.held().len() && !self.ended {
            let room = self.buffer.all();
            // SAFETY: the buffer stays where it is until the copy is finished.
            let answer = unsafe { linked::stream_read(self.stream, room.as_mut_ptr(), room.len()) };
            let answer = finished(set, self.stream, answer);
            self.buffer.len = (answer >> 4) as usize;
            self.at = 0;
            self.ended = answer & 0xf == DROPPED;
        }
        self.buffer.held().get(self.at..).unwrap_or_default()
    }

    fn give(&mut self, len: usize) {
        if let Some(kept) = &mut self.kept {
            if kept.len() + len > KEPT_BYTES || kept.try_reserve(len).is_err() {
                self.kept = None;
            } else if let Some(bytes) = self.buffer.held().get(self.at..self.at + len) {
                kept.extend_from_slice(bytes);
            }
        }
        self.at += len;
        self.given += len as u64;
    }

    /// All bytes of the stream from its beginning, if that is still there.
    fn everything(&mut self, set: u32) -> Result<Vec<u8>, Errno> {
        let mut all = self.kept.take().ok_or(Errno::Spipe)?;
        loop {
            let len = self.ready(set).len();
            if len == 0 {
                return Ok(all);
            }
            all.try_reserve(len).map_err(|_| Errno::Nomem)?;
            all.extend_from_slice(self.ready(set));
            self.at += len;
        }
    }
}

fn read(number: u32, iovs: u32, count: u32, out: u32) -> Answer {
    let flows = Flows::get();
    let set = flows.set;
    let Some(End::Reads(reads)) = flows.end(number) else { return BADF };
    let spans = Iovs { at: iovs, count };
    let mut done = 0;
    for index in 0..spans.len() {
        let (at, len) = spans.get(index);
        // One wait at most: a read gives what there is.
        if len == 0 || (done > 0 && reads.at == reads.buffer.held().len()) {
            continue;
        }
        let ready = reads.ready(set);
        let piece = ready.get(..len).unwrap_or(ready);
        let last = spans.last_when_filled(index);
        Program.copy_out(at as u32, piece);
        let len = piece.len();
        reads.give(len);
        done += len;
        if last {
            break;
        }
    }
    Program.store32(out, done as u32);
    SUCCESS
}

fn write(number: u32, iovs: u32, count: u32, out: u32) -> Answer {
    let flows = Flows::get();
    let set = flows.set;
    if !matches!(flows.end(number), Some(End::Writes(_))) {
        return BADF;
    }
    let mut piece = core::mem::replace(&mut flows.piece, Buffer::NONE);
    let Some(End::Writes(writes)) = flows.end(number) else { return BADF };
    let spans = Iovs { at: iovs, count };
    piece.len = 0;
    let mut done = 0;
    for index in 0..spans.len() {
        let (mut at, mut len) = spans.get(index);
        while len > 0 && !writes.gone {
            let part = len.min(BUFFER_BYTES - piece.len);
            let start = piece.len;
            Program.copy_in(at as u32, &mut piece.all()[start..start + part]);
            piece.len += part;
            (at, len) = (at + part, len - part);
            if piece.len == BUFFER_BYTES {
                done += writes.write(set, piece.held());
                piece.len = 0;
            }
        }
    }
    done += writes.write(set, piece.held());
    let gone = writes.gone;
    flows.piece = piece;
    if gone && done == 0 {
        return PIPE;
    }
    Program.store32(out, done as u32);
    SUCCESS
}

#[unsafe(export_name = "flow:fd_read")]
extern "C" fn fd_read(fd: u32, iovs: u32, count: u32, out: u32) -> Answer {
    match Flows::get().stdin {
        Some(number) if fd == 0 => read(number, iovs, count, out),
        _ => inside::fd_read(fd, iovs, count, out),
    }
}

#[unsafe(export_name = "flow:fd_write")]
extern "C" fn fd_write(fd: u32, iovs: u32, count: u32, out: u32) -> Answer {
    let flows = Flows::get();
    let number = match fd {
        1 => flows.stdout,
        2 => flows.stderr,
        _ => None,
    };
    match number {
        Some(number) => write(number, iovs, count, out),
        None => inside::fd_write(fd, iovs, count, out),
    }
}

#[unsafe(export_name = "flow:stream_read")]
extern "C" fn stream_read(stream: u32, iovs: u32, count: u32, out: u32) -> Answer {
    read(stream, iovs, count, out)
}

#[unsafe(export_name = "flow:stream_write")]
extern "C" fn stream_write(stream: u32, iovs: u32, count: u32, out: u32) -> Answer {
    write(stream, iovs, count, out)
}

/// The stream that a descriptor reads.
fn read_by(fd: u32) -> Option<u32> {
    match process().target(fd) {
        Ok(Target::Stream(StreamId(number))) => {
            matches!(Flows::get().end(number), Some(End::Reads(_))).then_some(number)
        }
        _ => None,
    }
}

/// Lets a stream be a file, if all of it is still to be had.
fn becomes_file(number: u32) {
    let flows = Flows::get();
    let set = flows.set;
    let Some(End::Reads(reads)) = flows.end(number) else { return };
    let given = reads.given;
    if let Ok(bytes) = reads.everything(set) {
        let _ = process().stream_becomes_file(StreamId(number), &bytes, given);
    }
}

fn file_behind(fd: u32) {
    if let Some(number) = read_by(fd) {
        becomes_file(number);
    }
}

/// Defines what a program calls that needs a file: a stream becomes one first.
macro_rules! on_files {
    ($($export:literal $name:ident($fd:ident $(, $arg:ident: $type:ty)*);)*) => {$(
        #[unsafe(export_name = $export)]
        extern "C" fn $name($fd: u32 $(, $arg: $type)*) -> Answer {
            file_behind($fd);
            abi::$name($fd $(, $arg)*)
        }
    )*};
}

on_files! {
    "stream:fd_seek" fd_seek(fd, offset: i64, whence: u32, out: u32);
    "stream:fd_tell" fd_tell(fd, out: u32);
    "stream:fd_pread" fd_pread(fd, at: u32, count: u32, offset: u64, out: u32);
    "stream:fd_filestat_get" fd_filestat_get(fd, out: u32);
}

fn node_of(fd: u32, name: u32, len: u32) -> Option<NodeId> {
    let Ok(Target::Tree(dir)) = process().target(fd) else { return None };
    let name = path(0, name, len, process().vfs.quota().path_bytes_max).ok()?;
    process().vfs.resolve(dir, name, true).ok()
}

#[unsafe(export_name = "stream:path_filestat_get")]
extern "C" fn path_filestat_get(fd: u32, lookup: u32, at: u32, len: u32, out: u32) -> Answer {
    if let Some(StreamId(number)) = node_of(fd, at, len).and_then(|node| process().vfs.stream(node)) {
        becomes_file(number);
    }
    abi::path_filestat_get(fd, lookup, at, len, out)
}

/// A stream is read once: who opens it again finds a file.
#[unsafe(export_name = "stream:path_open")]
#[allow(clippy::too_many_arguments, reason = "the function has them")]
extern "C" fn path_open(
    fd: u32,
    lookup: u32,
    at: u32,
    len: u32,
    flags: u32,
    rights: u64,
    inheriting: u64,
    fd_flags: u32,
    out: u32,
) -> Answer {
    if let Some(StreamId(number)) = node_of(fd, at, len).and_then(|node| process().vfs.stream(node))
        && let Some(end) = Flows::get().end(number)
    {
        let opened = match end {
            End::Reads(reads) => &mut reads.opened,
            End::Writes(writes) => &mut writes.opened,
        };
        if core::mem::replace(opened, true) {
            becomes_file(number);
        }
    }
    abi::path_open(fd, lookup, at, len, flags, rights, inheriting, fd_flags, out)
}

/// A stream that can still become a file says that it is one.
#[unsafe(export_name = "stream:fd_fdstat_get")]
extern "C" fn fd_fdstat_get(fd: u32, out: u32) -> Answer {
    let answer = abi::fd_fdstat_get(fd, out);
    if answer == SUCCESS && fd >= STANDARD && read_by(fd).is_some() {
        Program.copy_out(out, &[REGULAR_FILE]);
        let rights = Program.load64(out.wrapping_add(RIGHTS_AT));
        Program.store64(out.wrapping_add(RIGHTS_AT), rights | FD_SEEK | FD_TELL);
    }
    answer
}
