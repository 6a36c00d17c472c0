//! wasi:filesystem 0.2 over the functions of 0.1: a descriptor's handle is its number there, so that a program may use
//! both. Results are written as the canonical ABI lays them out.

use super::streams::{self, Source};
use super::{give, put_byte, put_bytes, realloc, shrink};
use crate::abi::arg;
use crate::program::Program;
use crate::state::{Single, process};
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use weir_vfs::p1::{FD_READ, FD_READDIR, FD_WRITE, OFLAG_DIRECTORY, Target};
use weir_vfs::{Errno, FileType, NodeId, Stat};

/// The first descriptor behind the standard streams.
const FIRST: u32 = 3;
/// Bytes that one read gives at most. A program may ask for more and gets less.
pub const TRANSFER_BYTES_MAX: u64 = 256 << 10;
const NANOSECONDS: u64 = 1_000_000_000;
/// `descriptor-flags`.
const READ: u32 = 1;
const WRITE: u32 = 1 << 1;
const MUTATE_DIRECTORY: u32 = 1 << 5;
/// WASI 0.1's `fstflags`: a time that is given, and the present one, for access; those for modification are 4 and 8.
const GIVEN: u16 = 1;
const NOW: u16 = 2;
const MODIFIED: u16 = 4;
/// Bytes of a tuple of a descriptor and its name, and where the name is.
const PREOPEN_BYTES: u32 = 12;

/// The nearest `error-code`; what has none is an IO error.
pub fn code(errno: Errno) -> u8 {
    match errno {
        Errno::Acces => 0,
        Errno::Again => 1,
        Errno::Already => 2,
        Errno::Badf => 3,
        Errno::Busy => 4,
        Errno::Deadlk => 5,
        Errno::Dquot => 6,
        Errno::Exist => 7,
        Errno::Fbig => 8,
        Errno::Ilseq => 9,
        Errno::Inprogress => 10,
        Errno::Intr => 11,
        Errno::Inval => 12,
        Errno::Isdir => 14,
        Errno::Loop => 15,
        Errno::Mlink => 16,
        Errno::Msgsize => 17,
        Errno::Nametoolong => 18,
        Errno::Nodev => 19,
        Errno::Noent => 20,
        Errno::Nolck => 21,
        Errno::Nomem | Errno::Mfile | Errno::Nfile => 22,
        Errno::Nospc => 23,
        Errno::Notdir => 24,
        Errno::Notempty => 25,
        Errno::Notrecoverable => 26,
        Errno::Notsup | Errno::Nosys => 27,
        Errno::Notty => 28,
        Errno::Nxio => 29,
        Errno::Overflow => 30,
        Errno::Perm | Errno::Notcapable => 31,
        Errno::Pipe => 32,
        Errno::Rofs => 33,
        Errno::Spipe => 34,
        Errno::Txtbsy => 35,
        Errno::Xdev => 36,
        _ => 13,
    }
}

/// `descriptor-type`.
pub fn kind(kind: FileType) -> u8 {
    match kind {
        FileType::Directory => 3,
        FileType::Stream => 4,
        FileType::Symlink => 5,
        FileType::File => 6,
    }
}

fn give_code<T>(out: u32, payload: u32, result: Result<T, Errno>, put: impl FnOnce(u32, T)) {
    give(out, payload, result, put, |at, errno| put_byte(at, code(errno)));
}

/// A result that says nothing but that it is well.
fn give_unit(out: u32, act: impl FnOnce() -> Result<(), Errno>) {
    give_code(out, 1, act(), |_, ()| {});
}

fn give_handle(out: u32, result: Result<u32, Errno>) {
    give_code(out, 4, result, |at, handle| Program.store32(at, handle));
}

/// The preopened directories, each opened anew: a program closes what it is given.
#[unsafe(export_name = "p2:wasi:filesystem/preopens#get-directories")]
pub extern "C" fn get_directories(out: u32) {
    let mut found = Vec::new();
    for fd in FIRST.. {
        let Ok(len) = process().fd_prestat_get(fd) else { break };
        let name = realloc(0, 0, 1, len as u32);
        let named = process().fd_prestat_dir_name(&mut Program, fd, name as usize, len);
        let opened = process().path_open(fd, 0, ".", OFLAG_DIRECTORY, FD_READ | FD_READDIR, 0, 0);
        if let (Ok(()), Ok(opened)) = (named, opened) {
            found.push((opened, name, len as u32));
        }
    }
    let list = realloc(0, 0, 4, found.len() as u32 * PREOPEN_BYTES);
    for (at, (fd, name, len)) in (list..).step_by(PREOPEN_BYTES as usize).zip(&found) {
        Program.store32(at, *fd);
        Program.store32(at.wrapping_add(4), *name);
        Program.store32(at.wrapping_add(8), *len);
    }
    Program.store32(out, list);
    Program.store32(out.wrapping_add(4), found.len() as u32);
}

#[unsafe(export_name = "p2:wasi:filesystem/types#[resource-drop]descriptor")]
pub extern "C" fn drop_descriptor(fd: u32) {
    if !streams::keeps(fd) {
        close(fd);
    }
}

pub fn close(fd: u32) {
    // Nothing is lost that was not written: files are memory.
    let _ = process().fd_close(fd);
}

/// A stream of a descriptor. It reads or writes the node itself, which outlives the descriptor; a stream of the
/// function only by its descriptor.
pub fn stream_of(fd: u32, right: u64, position: Option<u64>) -> Result<u32, Errno> {
    let source = match process().target(fd)? {
        Target::Tree(node) => {
            if process().vfs.kind(node)? == FileType::Directory {
                return Err(if right == FD_READ { Errno::Isdir } else { Errno::Badf });
            }
            process().allowed(fd, right)?;
            process().vfs.retain(node)?;
            Source::Node { node, position }
        }
        Target::Stream(_) => process().allowed(fd, right).map(|_| Source::Descriptor(fd))?,
        Target::Host(_) => return Err(Errno::Badf),
    };
    Ok(streams::add(source))
}

#[unsafe(export_name = "p2:wasi:filesystem/types#[method]descriptor.read-via-stream")]
extern "C" fn read_via_stream(fd: u32, offset: u64, out: u32) {
    give_handle(out, stream_of(fd, FD_READ, Some(offset)));
}

#[unsafe(export_name = "p2:wasi:filesystem/types#[method]descriptor.write-via-stream")]
extern "C" fn write_via_stream(fd: u32, offset: u64, out: u32) {
    give_handle(out, stream_of(fd, FD_WRITE, Some(offset)));
}

#[unsafe(export_name = "p2:wasi:filesystem/types#[method]descriptor.append-via-stream")]
extern "C" fn append_via_stream(fd: u32, out: u32) {
    give_handle(out, stream_of(fd, FD_WRITE, None));
}

/// Functions that say nothing but whether it is well.
macro_rules! units {
    ($($export:literal $name:ident($($arg:ident: $type:ty),*) $act:expr;)*) => {$(
        #[unsafe(export_name = $export)]
        #[allow(clippy::too_many_arguments, reason = "the function has them")]
        extern "C" fn $name($($arg: $type,)* out: u32) {
            give_unit(out, || $act);
        }
    )*};
}

units! {
    "p2:wasi:filesystem/types#[method]descriptor.advise" advise(fd: u32, offset: u64, len: u64, advice: u32)
        process().fd_advise(fd, offset, len, advice as u8);
    "p2:wasi:filesystem/types#[method]descriptor.sync-data" sync_data(fd: u32)
        process().fd_datasync(fd);
    "p2:wasi:filesystem/types#[method]descriptor.sync" sync(fd: u32)
        process().fd_sync(fd);
    "p2:wasi:filesystem/types#[method]descriptor.set-size" set_size(fd: u32, size: u64)
        process().fd_filestat_set_size(fd, size);
    "p2:wasi:filesystem/types#[method]descriptor.set-times" set_times(
        fd: u32, accessed: u32, a_seconds: u64, a_nanos: u32, modified: u32, m_seconds: u64, m_nanos: u32
    ) {
        let ((accessed, modified), flags) = new_times((accessed, a_seconds, a_nanos), (modified, m_seconds, m_nanos))?;
        process().fd_filestat_set_times(fd, accessed, modified, flags)
    };
    "p2:wasi:filesystem/types#[method]descriptor.set-times-at" set_times_at(
        fd: u32, how: u32, at: u32, len: u32,
        accessed: u32, a_seconds: u64, a_nanos: u32, modified: u32, m_seconds: u64, m_nanos: u32
    ) {
        let ((accessed, modified), flags) = new_times((accessed, a_seconds, a_nanos), (modified, m_seconds, m_nanos))?;
        process().path_filestat_set_times(fd, how, arg(0, at, len)?, accessed, modified, flags)
    };
    "p2:wasi:filesystem/types#[method]descriptor.create-directory-at" create_directory_at(fd: u32, at: u32, len: u32)
        process().path_create_directory(fd, arg(0, at, len)?);
    "p2:wasi:filesystem/types#[method]descriptor.remove-directory-at" remove_directory_at(fd: u32, at: u32, len: u32)
        process().path_remove_directory(fd, arg(0, at, len)?);
    "p2:wasi:filesystem/types#[method]descriptor.unlink-file-at" unlink_file_at(fd: u32, at: u32, len: u32)
        process().path_unlink_file(fd, arg(0, at, len)?);
    "p2:wasi:filesystem/types#[method]descriptor.link-at" link_at(
        fd: u32, how: u32, at: u32, len: u32, new: u32, new_at: u32, new_len: u32
    )
        process().path_link(fd, how, arg(0, at, len)?, new, arg(1, new_at, new_len)?);
    "p2:wasi:filesystem/types#[method]descriptor.rename-at" rename_at(
        fd: u32, at: u32, len: u32, new: u32, new_at: u32, new_len: u32
    )
        process().path_rename(fd, arg(0, at, len)?, new, arg(1, new_at, new_len)?);
    "p2:wasi:filesystem/types#[method]descriptor.symlink-at" symlink_at(
        fd: u32, target: u32, target_len: u32, at: u32, len: u32
    )
        process().path_symlink(arg(0, target, target_len)?, fd, arg(1, at, len)?);
}

/// Two times, each a `new-timestamp` by its parts, and what they are as `fstflags`.
pub fn new_times(accessed: (u32, u64, u32), modified: (u32, u64, u32)) -> Result<((u64, u64), u16), Errno> {
    let (accessed, a_flag) = new_time(accessed.0, accessed.1, accessed.2)?;
    let (modified, m_flag) = new_time(modified.0, modified.1, modified.2)?;
    Ok(((accessed, modified), a_flag | m_flag * MODIFIED))
}

/// A `new-timestamp`: the time, and what it is as a flag of access.
fn new_time(case: u32, seconds: u64, nanos: u32) -> Result<(u64, u16), Errno> {
    Ok(match case {
        0 => (0, 0),
        1 => (0, NOW),
        _ => {
            let time = seconds.checked_mul(NANOSECONDS).and_then(|time| time.checked_add(u64::from(nanos)));
            (time.ok_or(Errno::Overflow)?, GIVEN)
        }
    })
}

#[unsafe(export_name = "p2:wasi:filesystem/types#[method]descriptor.get-flags")]
extern "C" fn get_flags(fd: u32, out: u32) {
    give_code(out, 1, file_flags(fd), |at, flags| put_byte(at, flags as u8));
}

/// `descriptor-flags`.
pub fn file_flags(fd: u32) -> Result<u32, Errno> {
    process().fd_fdstat_get(fd).map(|stat| {
        let has = |right: u64, flag: u32| if stat.rights_base & right != 0 { flag } else { 0 };
        let directory = matches!(process().target(fd), Ok(Target::Tree(node))
            if matches!(process().vfs.kind(node), Ok(FileType::Directory)));
        has(FD_READ | FD_READDIR, READ) | has(FD_WRITE, WRITE) | if directory { MUTATE_DIRECTORY } else { 0 }
    })
}

#[unsafe(export_name = "p2:wasi:filesystem/types#[method]descriptor.get-type")]
extern "C" fn get_type(fd: u32, out: u32) {
    give_code(out, 1, type_of(fd), |at, found| put_byte(at, kind(found)));
}

pub fn type_of(fd: u32) -> Result<FileType, Errno> {
    match process().target(fd)? {
        Target::Tree(node) => process().vfs.kind(node),
        _ => Ok(FileType::Stream),
    }
}

fn put_stat(at: u32, stat: Stat) {
    put_byte(at, kind(stat.kind));
    Program.store64(at.wrapping_add(8), stat.links);
    Program.store64(at.wrapping_add(16), stat.size);
    put_times(at.wrapping_add(24), stat);
}

/// Three options of a time, each of them some.
pub fn put_times(at: u32, stat: Stat) {
    let times = [stat.times.accessed, stat.times.modified, stat.times.changed];
    for (at, time) in (at..).step_by(24).zip(times) {
        put_byte(at, 1);
        Program.store64(at.wrapping_add(8), time / NANOSECONDS);
        Program.store32(at.wrapping_add(16), (time % NANOSECONDS) as u32);
    }
}

#[unsafe(export_name = "p2:wasi:filesystem/types#[method]descriptor.stat")]
extern "C" fn stat(fd: u32, out: u32) {
    give_code(out, 8, process().fd_filestat_get(fd), put_stat);
}

pub fn stat_of(fd: u32, how: u32, at: u32, len: u32) -> Result<Stat, Errno> {
    process().path_filestat_get(fd, how, arg(0, at, len)?)
}

#[unsafe(export_name = "p2:wasi:filesystem/types#[method]descriptor.stat-at")]
extern "C" fn stat_at(fd: u32, how: u32, at: u32, len: u32, out: u32) {
    give_code(out, 8, stat_of(fd, how, at, len), put_stat);
}

/// 128 bits that name a node, and say nothing of its contents: programs use them as an inode number. The finalizer of
/// SplitMix64 gives no two numbers the same.
pub fn metadata(at: u32, stat: Stat) {
    let mix = |number: u64| {
        let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ number >> 31
    };
    let lower = mix(stat.ino);
    Program.store64(at, lower);
    Program.store64(at.wrapping_add(8), mix(lower));
}

#[unsafe(export_name = "p2:wasi:filesystem/types#[method]descriptor.metadata-hash")]
extern "C" fn metadata_hash(fd: u32, out: u32) {
    give_code(out, 8, process().fd_filestat_get(fd), metadata);
}

#[unsafe(export_name = "p2:wasi:filesystem/types#[method]descriptor.metadata-hash-at")]
extern "C" fn metadata_hash_at(fd: u32, how: u32, at: u32, len: u32, out: u32) {
    give_code(out, 8, stat_of(fd, how, at, len), metadata);
}

#[unsafe(export_name = "p2:wasi:filesystem/types#[method]descriptor.is-same-object")]
extern "C" fn is_same_object(fd: u32, other: u32) -> u32 {
    same_object(fd, other)
}

pub fn same_object(fd: u32, other: u32) -> u32 {
    match (process().fd_filestat_get(fd), process().fd_filestat_get(other)) {
        (Ok(one), Ok(other)) => u32::from(one.ino == other.ino),
        _ => 0,
    }
}

/// `path-flags` and `open-flags` have the numbers of 0.1.
#[unsafe(export_name = "p2:wasi:filesystem/types#[method]descriptor.open-at")]
extern "C" fn open_at(fd: u32, how: u32, at: u32, len: u32, open: u32, asked: u32, out: u32) {
    give_handle(out, opened(fd, how, (at, len), open, asked));
}

pub fn opened(fd: u32, how: u32, (at, len): (u32, u32), open: u32, asked: u32) -> Result<u32, Errno> {
    let read = if asked & READ != 0 { FD_READ | FD_READDIR } else { 0 };
    let write = if asked & WRITE != 0 { FD_WRITE } else { 0 };
    process().path_open(fd, how, arg(0, at, len)?, open as u16, read | write, 0, 0)
}

#[unsafe(export_name = "p2:wasi:filesystem/types#[method]descriptor.readlink-at")]
extern "C" fn readlink_at(fd: u32, at: u32, len: u32, out: u32) {
    give_code(out, 4, span_of_link(fd, at, len), put_span);
}

/// The target of a link, in memory that the program gives.
pub fn span_of_link(fd: u32, at: u32, len: u32) -> Result<(u32, u32), Errno> {
    arg(0, at, len).and_then(|path| {
        let room = process().vfs.quota().path_bytes_max;
        let buffer = realloc(0, 0, 1, room);
        let used = process().path_readlink(&mut Program, fd, path, buffer as usize, room as usize)?;
        Ok((shrink(buffer, room, used as u32), used as u32))
    })
}

pub fn put_span(at: u32, (start, len): (u32, u32)) {
    Program.store32(at, start);
    Program.store32(at.wrapping_add(4), len);
}

#[unsafe(export_name = "p2:wasi:filesystem/types#[method]descriptor.read")]
extern "C" fn read(fd: u32, len: u64, offset: u64, out: u32) {
    let read = file(fd, FD_READ).and_then(|node| {
        let rest = process().vfs.size(node)?.saturating_sub(offset);
        let room = rest.min(len).min(TRANSFER_BYTES_MAX) as u32;
        let buffer = realloc(0, 0, 1, room);
        let done = process().vfs.read_at(node, offset, &mut Program, buffer as usize, room as usize)? as u32;
        Ok((shrink(buffer, room, done), done, done == 0 && (len > 0 || rest == 0)))
    });
    give_code(out, 4, read, |at, (start, len, ended)| {
        put_span(at, (start, len));
        put_byte(at.wrapping_add(8), u8::from(ended));
    });
}

#[unsafe(export_name = "p2:wasi:filesystem/types#[method]descriptor.write")]
extern "C" fn write(fd: u32, at: u32, len: u32, offset: u64, out: u32) {
    let written =
        file(fd, FD_WRITE).and_then(|node| process().vfs.write_at(node, offset, &Program, at as usize, len as usize));
    give_code(out, 8, written, |at, written| Program.store64(at, written as u64));
}

/// The file of a descriptor that has the right.
fn file(fd: u32, right: u64) -> Result<NodeId, Errno> {
    match process().target(fd)? {
        Target::Tree(node) if process().vfs.kind(node)? == FileType::File => {
            process().allowed(fd, right)?;
            Ok(node)
        }
        Target::Stream(_) => Err(Errno::Spipe),
        _ => Err(Errno::Badf),
    }
}

/// A walk over a directory: which, and how far it is.
type Listing = Option<(NodeId, u64)>;

static LISTINGS: Single<Vec<Listing>> = Single(UnsafeCell::new(Vec::new()));

#[allow(clippy::mut_from_ref, reason = "one thread; taken once per call")]
fn listings() -> &'static mut Vec<Listing> {
    // SAFETY: see `Single`.
    unsafe { &mut *LISTINGS.0.get() }
}

#[unsafe(export_name = "p2:wasi:filesystem/types#[method]descriptor.read-directory")]
extern "C" fn read_directory(fd: u32, out: u32) {
    give_handle(out, directory(fd).map(|node| super::add(listings(), (node, 0))));
}

/// The directory of a descriptor that may list it, retained.
pub fn directory(fd: u32) -> Result<NodeId, Errno> {
    match process().target(fd)? {
        Target::Tree(node) if process().vfs.kind(node)? == FileType::Directory => {
            process().allowed(fd, FD_READDIR)?;
            process().vfs.retain(node)?;
            Ok(node)
        }
        _ => Err(Errno::Notdir),
    }
}

#[unsafe(export_name = "p2:wasi:filesystem/types#[method]directory-entry-stream.read-directory-entry")]
extern "C" fn read_directory_entry(listing: u32, out: u32) {
    give_code(out, 4, next_entry(listing), |at, entry| {
        put_byte(at, u8::from(entry.is_some()));
        if let Some((found, name)) = entry {
            put_byte(at.wrapping_add(4), kind(found));
            put_span(at.wrapping_add(8), (put_bytes(name.as_bytes()), name.len() as u32));
        }
    });
}

fn next_entry(listing: u32) -> Result<Option<(FileType, String)>, Errno> {
    let Some((node, cookie)) = super::get(listings(), listing) else { return Err(Errno::Badf) };
    entry_after(*node, cookie)
}

/// The next entry of a directory, and how far it is read then.
pub fn entry_after(node: NodeId, cookie: &mut u64) -> Result<Option<(FileType, String)>, Errno> {
    while let Some(entry) = process().vfs.read_dir(node, *cookie)? {
        *cookie = entry.next;
        if !matches!(entry.name, "." | "..") {
            return Ok(Some((entry.kind, entry.name.into())));
        }
    }
    Ok(None)
}

#[unsafe(export_name = "p2:wasi:filesystem/types#[resource-drop]directory-entry-stream")]
extern "C" fn drop_listing(listing: u32) {
    if let Some((node, _)) = super::remove(listings(), listing) {
        process().vfs.release(node);
    }
}

/// An option; the handle of an error is the number of what went wrong.
#[unsafe(export_name = "p2:wasi:filesystem/types#filesystem-error-code")]
extern "C" fn filesystem_error_code(error: u32, out: u32) {
    let errno = u16::try_from(error).ok().and_then(Errno::from_number);
    put_byte(out, u8::from(errno.is_some()));
    put_byte(out.wrapping_add(1), errno.map_or(0, code));
}
