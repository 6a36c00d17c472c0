//! wasi:filesystem 0.3. Results lie elsewhere than those of 0.2: an `error-code` and a `descriptor-type` may carry a text
//! here. Each function can be called as a synchronous one, with all its parameters, and as an asynchronous one, which
//! takes four of them and else one address.

use super::RETURNED;
use super::ends::{self, Errors, From};
use crate::abi::arg;
use crate::lift::p2::files::{
    self as p2, drop_descriptor, file_flags, metadata, same_object, span_of_link, stat_of, stream_of,
};
use crate::lift::p2::{give, put_byte};
use crate::program::Program;
use crate::state::process;
use weir_vfs::p1::{FD_READ, FD_WRITE};
use weir_vfs::{Errno, FileType, Stat};

/// `error-code` of 0.2 that there is none for here, and what is said instead.
const WOULD_BLOCK: u8 = 1;
const IO: u8 = 12;

/// The nearest `error-code`. They are those of 0.2 without `would-block`.
pub fn code(errno: Errno) -> u8 {
    match p2::code(errno) {
        0 => 0,
        WOULD_BLOCK => IO,
        later => later - 1,
    }
}

/// `descriptor-type`: those of 0.2 without the first, `unknown`.
pub fn kind(kind: FileType) -> u8 {
    p2::kind(kind) - 1
}

fn give_code<T>(out: u32, payload: u32, result: Result<T, Errno>, put: impl FnOnce(u32, T)) {
    give(out, payload, result, put, |at, errno| put_byte(at, code(errno)));
}

fn give_unit(out: u32, result: Result<(), Errno>) {
    give_code(out, 4, result, |_, ()| {});
}

/// A byte of a record in the program's memory.
fn byte(at: u32) -> u32 {
    let mut byte = [0];
    Program.copy_in(at, &mut byte);
    u32::from(byte[0])
}

fn word(at: u32) -> u32 {
    Program.load32(at)
}

/// A `new-timestamp` in memory: its case, seconds and nanoseconds.
fn time_at(at: u32) -> (u32, u64, u32) {
    (byte(at), Program.load64(at.wrapping_add(8)), word(at.wrapping_add(16)))
}

/// Functions with up to four parameters.
macro_rules! calls {
    ($($export:literal $lowered_export:literal $name:ident $lowered:ident($($arg:ident: $type:ty),*) -> $out:ident $act:expr;)*) => {$(
        #[unsafe(export_name = $export)]
        extern "C" fn $name($($arg: $type,)* $out: u32) {
            $act
        }

        #[unsafe(export_name = $lowered_export)]
        extern "C" fn $lowered($($arg: $type,)* out: u32) -> u32 {
            $name($($arg,)* out);
            RETURNED
        }
    )*};
}

calls! {
    "p3:wasi:filesystem/types#[method]descriptor.advise" "p3:wasi:filesystem/types#[async-lower][method]descriptor.advise"
        advise advise_async(fd: u32, offset: u64, len: u64, advice: u32) -> out
        give_unit(out, process().fd_advise(fd, offset, len, advice as u8));
    "p3:wasi:filesystem/types#[method]descriptor.sync-data" "p3:wasi:filesystem/types#[async-lower][method]descriptor.sync-data"
        sync_data sync_data_async(fd: u32) -> out
        give_unit(out, process().fd_datasync(fd));
    "p3:wasi:filesystem/types#[method]descriptor.sync" "p3:wasi:filesystem/types#[async-lower][method]descriptor.sync"
        sync sync_async(fd: u32) -> out
        give_unit(out, process().fd_sync(fd));
    "p3:wasi:filesystem/types#[method]descriptor.set-size" "p3:wasi:filesystem/types#[async-lower][method]descriptor.set-size"
        set_size set_size_async(fd: u32, size: u64) -> out
        give_unit(out, process().fd_filestat_set_size(fd, size));
    "p3:wasi:filesystem/types#[method]descriptor.create-directory-at" "p3:wasi:filesystem/types#[async-lower][method]descriptor.create-directory-at"
        create_directory_at create_directory_at_async(fd: u32, at: u32, len: u32) -> out
        give_unit(out, arg(0, at, len).and_then(|path| process().path_create_directory(fd, path)));
    "p3:wasi:filesystem/types#[method]descriptor.remove-directory-at" "p3:wasi:filesystem/types#[async-lower][method]descriptor.remove-directory-at"
        remove_directory_at remove_directory_at_async(fd: u32, at: u32, len: u32) -> out
        give_unit(out, arg(0, at, len).and_then(|path| process().path_remove_directory(fd, path)));
    "p3:wasi:filesystem/types#[method]descriptor.unlink-file-at" "p3:wasi:filesystem/types#[async-lower][method]descriptor.unlink-file-at"
        unlink_file_at unlink_file_at_async(fd: u32, at: u32, len: u32) -> out
        give_unit(out, arg(0, at, len).and_then(|path| process().path_unlink_file(fd, path)));
    "p3:wasi:filesystem/types#[method]descriptor.get-flags" "p3:wasi:filesystem/types#[async-lower][method]descriptor.get-flags"
        get_flags get_flags_async(fd: u32) -> out
        give_code(out, 4, file_flags(fd), |at, flags| put_byte(at, flags as u8));
    "p3:wasi:filesystem/types#[method]descriptor.get-type" "p3:wasi:filesystem/types#[async-lower][method]descriptor.get-type"
        get_type get_type_async(fd: u32) -> out
        give_code(out, 4, p2::type_of(fd), |at, found| put_byte(at, kind(found)));
    "p3:wasi:filesystem/types#[method]descriptor.stat" "p3:wasi:filesystem/types#[async-lower][method]descriptor.stat"
        stat stat_async(fd: u32) -> out
        give_code(out, 8, process().fd_filestat_get(fd), put_stat);
    "p3:wasi:filesystem/types#[method]descriptor.stat-at" "p3:wasi:filesystem/types#[async-lower][method]descriptor.stat-at"
        stat_at stat_at_async(fd: u32, how: u32, at: u32, len: u32) -> out
        give_code(out, 8, stat_of(fd, how, at, len), put_stat);
    "p3:wasi:filesystem/types#[method]descriptor.metadata-hash" "p3:wasi:filesystem/types#[async-lower][method]descriptor.metadata-hash"
        metadata_hash metadata_hash_async(fd: u32) -> out
        give_code(out, 8, process().fd_filestat_get(fd), metadata);
    "p3:wasi:filesystem/types#[method]descriptor.metadata-hash-at" "p3:wasi:filesystem/types#[async-lower][method]descriptor.metadata-hash-at"
        metadata_hash_at metadata_hash_at_async(fd: u32, how: u32, at: u32, len: u32) -> out
        give_code(out, 8, stat_of(fd, how, at, len), metadata);
    "p3:wasi:filesystem/types#[method]descriptor.readlink-at" "p3:wasi:filesystem/types#[async-lower][method]descriptor.readlink-at"
        readlink_at readlink_at_async(fd: u32, at: u32, len: u32) -> out
        give_code(out, 4, span_of_link(fd, at, len), p2::put_span);
}

/// The link count is behind the type, which may carry a text.
fn put_stat(at: u32, stat: Stat) {
    put_byte(at, kind(stat.kind));
    Program.store64(at.wrapping_add(16), stat.links);
    Program.store64(at.wrapping_add(24), stat.size);
    p2::put_times(at.wrapping_add(32), stat);
}

#[unsafe(export_name = "p3:wasi:filesystem/types#[method]descriptor.is-same-object")]
extern "C" fn is_same_object(fd: u32, other: u32) -> u32 {
    same_object(fd, other)
}

#[unsafe(export_name = "p3:wasi:filesystem/types#[async-lower][method]descriptor.is-same-object")]
extern "C" fn is_same_object_async(fd: u32, other: u32, out: u32) -> u32 {
    put_byte(out, same_object(fd, other) as u8);
    RETURNED
}

#[unsafe(export_name = "p3:wasi:filesystem/types#[method]descriptor.open-at")]
extern "C" fn open_at(fd: u32, how: u32, at: u32, len: u32, open: u32, asked: u32, out: u32) {
    let opened = p2::opened(fd, how, (at, len), open, asked);
    give_code(out, 4, opened, |at, handle| Program.store32(at, handle));
}

#[unsafe(export_name = "p3:wasi:filesystem/types#[async-lower][method]descriptor.open-at")]
extern "C" fn open_at_async(all: u32, out: u32) -> u32 {
    let (path, len) = (word(all.wrapping_add(8)), word(all.wrapping_add(12)));
    let (open, asked) = (byte(all.wrapping_add(16)), byte(all.wrapping_add(17)));
    open_at(word(all), byte(all.wrapping_add(4)), path, len, open, asked, out);
    RETURNED
}

#[unsafe(export_name = "p3:wasi:filesystem/types#[method]descriptor.set-times")]
extern "C" fn set_times(fd: u32, accessed: u32, a_s: u64, a_ns: u32, modified: u32, m_s: u64, m_ns: u32, out: u32) {
    let act = || {
        let (times, flags) = p2::new_times((accessed, a_s, a_ns), (modified, m_s, m_ns))?;
        process().fd_filestat_set_times(fd, times.0, times.1, flags)
    };
    give_unit(out, act());
}

#[unsafe(export_name = "p3:wasi:filesystem/types#[async-lower][method]descriptor.set-times")]
extern "C" fn set_times_async(all: u32, out: u32) -> u32 {
    let (accessed, modified) = (time_at(all.wrapping_add(8)), time_at(all.wrapping_add(32)));
    set_times(word(all), accessed.0, accessed.1, accessed.2, modified.0, modified.1, modified.2, out);
    RETURNED
}

#[unsafe(export_name = "p3:wasi:filesystem/types#[method]descriptor.set-times-at")]
#[allow(clippy::too_many_arguments, reason = "the function has them")]
extern "C" fn set_times_at(
    fd: u32,
    how: u32,
    at: u32,
    len: u32,
    accessed: u32,
    a_s: u64,
    a_ns: u32,
    modified: u32,
    m_s: u64,
    m_ns: u32,
    out: u32,
) {
    let act = || {
        let (times, flags) = p2::new_times((accessed, a_s, a_ns), (modified, m_s, m_ns))?;
        process().path_filestat_set_times(fd, how, arg(0, at, len)?, times.0, times.1, flags)
    };
    give_unit(out, act());
}

#[unsafe(export_name = "p3:wasi:filesystem/types#[async-lower][method]descriptor.set-times-at")]
extern "C" fn set_times_at_async(all: u32, out: u32) -> u32 {
    let (how, at, len) = (byte(all.wrapping_add(4)), word(all.wrapping_add(8)), word(all.wrapping_add(12)));
    let (accessed, modified) = (time_at(all.wrapping_add(16)), time_at(all.wrapping_add(40)));
    set_times_at(word(all), how, at, len, accessed.0, accessed.1, accessed.2, modified.0, modified.1, modified.2, out);
    RETURNED
}

#[unsafe(export_name = "p3:wasi:filesystem/types#[method]descriptor.link-at")]
#[allow(clippy::too_many_arguments, reason = "the function has them")]
extern "C" fn link_at(fd: u32, how: u32, at: u32, len: u32, new: u32, new_at: u32, new_len: u32, out: u32) {
    let act = || process().path_link(fd, how, arg(0, at, len)?, new, arg(1, new_at, new_len)?);
    give_unit(out, act());
}

#[unsafe(export_name = "p3:wasi:filesystem/types#[async-lower][method]descriptor.link-at")]
extern "C" fn link_at_async(all: u32, out: u32) -> u32 {
    let [at, len, new, new_at, new_len] = [8, 12, 16, 20, 24].map(|offset| word(all.wrapping_add(offset)));
    link_at(word(all), byte(all.wrapping_add(4)), at, len, new, new_at, new_len, out);
    RETURNED
}

#[unsafe(export_name = "p3:wasi:filesystem/types#[method]descriptor.rename-at")]
extern "C" fn rename_at(fd: u32, at: u32, len: u32, new: u32, new_at: u32, new_len: u32, out: u32) {
    let act = || process().path_rename(fd, arg(0, at, len)?, new, arg(1, new_at, new_len)?);
    give_unit(out, act());
}

#[unsafe(export_name = "p3:wasi:filesystem/types#[async-lower][method]descriptor.rename-at")]
extern "C" fn rename_at_async(all: u32, out: u32) -> u32 {
    let [at, len, new, new_at, new_len] = [4, 8, 12, 16, 20].map(|offset| word(all.wrapping_add(offset)));
    rename_at(word(all), at, len, new, new_at, new_len, out);
    RETURNED
}

#[unsafe(export_name = "p3:wasi:filesystem/types#[method]descriptor.symlink-at")]
extern "C" fn symlink_at(fd: u32, target: u32, target_len: u32, at: u32, len: u32, out: u32) {
    let act = || process().path_symlink(arg(0, target, target_len)?, fd, arg(1, at, len)?);
    give_unit(out, act());
}

#[unsafe(export_name = "p3:wasi:filesystem/types#[async-lower][method]descriptor.symlink-at")]
extern "C" fn symlink_at_async(all: u32, out: u32) -> u32 {
    let [target, target_len, at, len] = [4, 8, 12, 16].map(|offset| word(all.wrapping_add(offset)));
    symlink_at(word(all), target, target_len, at, len, out);
    RETURNED
}

fn put_pair(out: u32, (stream, future): (u32, u32)) {
    Program.store32(out, stream);
    Program.store32(out.wrapping_add(4), future);
}

#[unsafe(export_name = "p3:wasi:filesystem/types#[method]descriptor.read-via-stream")]
extern "C" fn read_via_stream(fd: u32, offset: u64, out: u32) {
    put_pair(out, ends::source(stream_of(fd, FD_READ, Some(offset)).map(From::Bytes), Errors::Files));
}

#[unsafe(export_name = "p3:wasi:filesystem/types#[method]descriptor.write-via-stream")]
extern "C" fn write_via_stream(fd: u32, reader: u32, offset: u64) -> u32 {
    ends::pour(reader, stream_of(fd, FD_WRITE, Some(offset)), Errors::Files)
}

#[unsafe(export_name = "p3:wasi:filesystem/types#[method]descriptor.append-via-stream")]
extern "C" fn append_via_stream(fd: u32, reader: u32) -> u32 {
    ends::pour(reader, stream_of(fd, FD_WRITE, None), Errors::Files)
}

#[unsafe(export_name = "p3:wasi:filesystem/types#[method]descriptor.read-directory")]
extern "C" fn read_directory(fd: u32, out: u32) {
    let listing = p2::directory(fd).map(|node| From::Listing(node, 0));
    put_pair(out, ends::source(listing, Errors::Files));
}

#[unsafe(export_name = "p3:wasi:filesystem/types#[resource-drop]descriptor")]
extern "C" fn drop_fd(fd: u32) {
    drop_descriptor(fd);
}

#[unsafe(export_name = "p3:wasi:filesystem/preopens#get-directories")]
extern "C" fn get_directories(out: u32) {
    p2::get_directories(out);
}
