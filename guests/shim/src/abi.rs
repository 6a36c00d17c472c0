//! The functions of `wasi_snapshot_preview1` that concern descriptors and paths, under the names by
//! which the linker resolves a program's imports. Each decodes its arguments, asks what the
//! descriptor is, and either lets the file system answer or passes the call on: streams to the
//! standard imports, directories of the host to `weir_hostdir` with the program's own pointers.

use crate::host::{hostdir, wasi, weir};
use crate::program::{Iovs, Program};
use crate::state::{path, process};
use weir_vfs::p1::{Target, filestat_bytes};
use weir_vfs::{Errno, StreamId};

/// An errno as WASI returns it; 0 is success.
type Answer = u32;

const SUCCESS: Answer = 0;
/// Streams 0 to 2 are the standard ones; mapped streams come after them.
const STANDARD_STREAMS: u32 = 3;
const FD_READ: u64 = 1 << 1;
const FD_WRITE: u64 = 1 << 6;
/// Iovecs of one call that are looked at; a short read or write is always right.
const IOVS_MAX: u32 = 1024;

#[inline]
pub fn answer(result: Result<Answer, Errno>) -> Answer {
    match result {
        Ok(answer) => answer,
        Err(errno) => u32::from(errno.number()),
    }
}

fn unit(result: Result<(), Errno>) -> Answer {
    answer(result.map(|()| SUCCESS))
}

#[inline]
fn iovs(at: u32, count: u32) -> Iovs {
    Iovs { at, count: count.min(IOVS_MAX) }
}

#[inline]
fn stored(count: usize, out: u32) -> Answer {
    Program.store32(out, count as u32);
    SUCCESS
}

/// A path argument in slot 0 or 1.
pub fn arg(slot: usize, at: u32, len: u32) -> Result<&'static str, Errno> {
    path(slot, at, len, process().vfs.quota().path_bytes_max)
}

/// Defines functions whose every descriptor is either the tree's (or a stream, which the file system
/// answers with an errno) or the host's.
macro_rules! on_descriptor {
    ($($name:ident($fd:ident $(, $arg:ident: $type:ty)*) => |$process:ident| $own:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($fd: u32 $(, $arg: $type)*) -> Answer {
            let $process = process();
            match $process.target($fd) {
                Ok(Target::Host(host)) => hostdir::$name(host $(, $arg)*),
                Ok(_) => answer($own),
                Err(errno) => u32::from(errno.number()),
            }
        }
    )*};
}

on_descriptor! {
    fd_advise(fd, offset: u64, len: u64, advice: u32) => |process| match u8::try_from(advice) {
        Ok(advice) => process.fd_advise(fd, offset, len, advice).map(|()| SUCCESS),
        Err(_) => Err(Errno::Inval),
    };
    fd_allocate(fd, offset: u64, len: u64) => |process| process.fd_allocate(fd, offset, len).map(|()| SUCCESS);
    fd_datasync(fd) => |process| process.fd_datasync(fd).map(|()| SUCCESS);
    fd_fdstat_set_rights(fd, base: u64, inheriting: u64) => |process| {
        process.fd_fdstat_set_rights(fd, base, inheriting).map(|()| SUCCESS)
    };
    fd_filestat_set_size(fd, size: u64) => |process| process.fd_filestat_set_size(fd, size).map(|()| SUCCESS);
    fd_filestat_set_times(fd, accessed: u64, modified: u64, flags: u32) => |process| {
        process.fd_filestat_set_times(fd, accessed, modified, flags as u16).map(|()| SUCCESS)
    };
    fd_readdir(fd, buffer: u32, len: u32, cookie: u64, out: u32) => |process| {
        process.fd_readdir(&mut Program, fd, buffer as usize, len as usize, cookie).map(|used| stored(used, out))
    };
    fd_seek(fd, offset: i64, whence: u32, out: u32) => |process| match u8::try_from(whence) {
        Ok(whence) => process.fd_seek(fd, offset, whence).map(|at| { Program.store64(out, at); SUCCESS }),
        Err(_) => Err(Errno::Inval),
    };
    fd_sync(fd) => |process| process.fd_sync(fd).map(|()| SUCCESS);
    fd_tell(fd, out: u32) => |process| process.fd_tell(fd).map(|at| { Program.store64(out, at); SUCCESS });
    path_create_directory(fd, at: u32, len: u32) => |process| {
        arg(0, at, len).and_then(|path| process.path_create_directory(fd, path)).map(|()| SUCCESS)
    };
    path_filestat_get(fd, lookup: u32, at: u32, len: u32, out: u32) => |process| {
        arg(0, at, len).and_then(|path| process.path_filestat_get(fd, lookup, path)).map(|stat| {
            Program.copy_out(out, &filestat_bytes(&stat));
            SUCCESS
        })
    };
    path_filestat_set_times(fd, lookup: u32, at: u32, len: u32, accessed: u64, modified: u64, flags: u32) => |process| {
        arg(0, at, len)
            .and_then(|path| process.path_filestat_set_times(fd, lookup, path, accessed, modified, flags as u16))
            .map(|()| SUCCESS)
    };
    path_readlink(fd, at: u32, len: u32, buffer: u32, buffer_len: u32, out: u32) => |process| {
        arg(0, at, len)
            .and_then(|path| process.path_readlink(&mut Program, fd, path, buffer as usize, buffer_len as usize))
            .map(|used| stored(used, out))
    };
    path_unlink_file(fd, at: u32, len: u32) => |process| {
        arg(0, at, len).and_then(|path| process.path_unlink_file(fd, path)).map(|()| SUCCESS)
    };
}

#[unsafe(no_mangle)]
extern "C" fn path_remove_directory(fd: u32, at: u32, len: u32) -> Answer {
    let process = process();
    answer(process.target(fd).and_then(|target| match target {
        // `rmdir("a/")` removes a directory everywhere but in wasmtime-wasi, which says EINVAL.
        Target::Host(host) => Ok(hostdir::path_remove_directory(host, at, without_slashes(at, len))),
        Target::Tree(_) | Target::Stream(_) => {
            arg(0, at, len).and_then(|path| process.path_remove_directory(fd, path)).map(|()| SUCCESS)
        }
    }))
}

/// The length of a path without the slashes at its end; a path of slashes stays as it is.
fn without_slashes(at: u32, len: u32) -> u32 {
    let mut kept = len;
    let mut last = [b'/'];
    while kept > 0 {
        Program.copy_in(at.wrapping_add(kept - 1), &mut last);
        if last != [b'/'] {
            return kept;
        }
        kept -= 1;
    }
    len
}

/// Reading and writing first ask the file system, which says `Badf` at once of what is not its own:
/// the usual call looks its descriptor up once.
#[unsafe(no_mangle)]
pub extern "C" fn fd_read(fd: u32, at: u32, count: u32, out: u32) -> Answer {
    match process().fd_read(&mut Program, fd, &iovs(at, count)) {
        Ok(read) => stored(read, out),
        Err(Errno::Badf) => answer(read_elsewhere(fd, at, count, out)),
        Err(errno) => u32::from(errno.number()),
    }
}

#[cold]
fn read_elsewhere(fd: u32, at: u32, count: u32, out: u32) -> Result<Answer, Errno> {
    match process().target(fd)? {
        Target::Tree(_) => Err(Errno::Badf),
        Target::Stream(StreamId(stream)) if stream < STANDARD_STREAMS => Ok(wasi::fd_read(stream, at, count, out)),
        Target::Stream(StreamId(stream)) => {
            allowed(fd, FD_READ)?;
            Ok(weir::stream_read(stream, at, count, out))
        }
        Target::Host(host) => Ok(hostdir::fd_read(host, at, count, out)),
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn fd_write(fd: u32, at: u32, count: u32, out: u32) -> Answer {
    match process().fd_write(&Program, fd, &iovs(at, count)) {
        Ok(written) => stored(written, out),
        Err(Errno::Badf) => answer(write_elsewhere(fd, at, count, out)),
        Err(errno) => u32::from(errno.number()),
    }
}

#[cold]
fn write_elsewhere(fd: u32, at: u32, count: u32, out: u32) -> Result<Answer, Errno> {
    match process().target(fd)? {
        Target::Tree(_) => Err(Errno::Badf),
        Target::Stream(StreamId(stream)) if stream < STANDARD_STREAMS => Ok(wasi::fd_write(stream, at, count, out)),
        Target::Stream(StreamId(stream)) => {
            allowed(fd, FD_WRITE)?;
            Ok(weir::stream_write(stream, at, count, out))
        }
        Target::Host(host) => Ok(hostdir::fd_write(host, at, count, out)),
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn fd_pread(fd: u32, at: u32, count: u32, offset: u64, out: u32) -> Answer {
    match process().fd_pread(&mut Program, fd, &iovs(at, count), offset) {
        Ok(read) => stored(read, out),
        Err(errno) => elsewhere(fd, errno, move |host| hostdir::fd_pread(host, at, count, offset, out)),
    }
}

#[unsafe(no_mangle)]
extern "C" fn fd_pwrite(fd: u32, at: u32, count: u32, offset: u64, out: u32) -> Answer {
    match process().fd_pwrite(&Program, fd, &iovs(at, count), offset) {
        Ok(written) => stored(written, out),
        Err(errno) => elsewhere(fd, errno, move |host| hostdir::fd_pwrite(host, at, count, offset, out)),
    }
}

/// The host's answer for a descriptor of its own, else the errno as it was.
#[cold]
fn elsewhere(fd: u32, errno: Errno, call: impl FnOnce(u32) -> Answer) -> Answer {
    match process().target(fd) {
        Ok(Target::Host(host)) => call(host),
        _ => u32::from(errno.number()),
    }
}

/// The host's clock. What was written before the program looks at the time was written before it.
#[unsafe(no_mangle)]
extern "C" fn clock_time_get(clock: u32, precision: u64, out: u32) -> Answer {
    process().vfs.settle();
    wasi::clock_time_get(clock, precision, out)
}

/// Whether the descriptor of a mapped stream was opened for this.
fn allowed(fd: u32, right: u64) -> Result<(), Errno> {
    let rights = process().fd_fdstat_get(fd)?.rights_base;
    if rights & right != 0 { Ok(()) } else { Err(Errno::Badf) }
}

#[unsafe(no_mangle)]
extern "C" fn fd_close(fd: u32) -> Answer {
    answer(process().fd_close(fd).map(close_target))
}

#[unsafe(no_mangle)]
extern "C" fn fd_renumber(from: u32, to: u32) -> Answer {
    answer(process().fd_renumber(from, to).map(|replaced| replaced.map_or(SUCCESS, close_target)))
}

/// Closes the host's part of a descriptor that is gone. Streams stay: other descriptors may be the
/// same stream, and the host closes them at the end.
fn close_target(target: Target) -> Answer {
    match target {
        Target::Host(host) => hostdir::fd_close(host),
        Target::Tree(_) | Target::Stream(_) => SUCCESS,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn fd_fdstat_get(fd: u32, out: u32) -> Answer {
    let process = process();
    answer(process.target(fd).and_then(|target| match target {
        Target::Stream(StreamId(stream)) if stream < STANDARD_STREAMS => Ok(wasi::fd_fdstat_get(stream, out)),
        Target::Host(host) => Ok(hostdir::fd_fdstat_get(host, out)),
        Target::Tree(_) | Target::Stream(_) => {
            Program.copy_out(out, &process.fd_fdstat_get(fd)?.to_bytes());
            Ok(SUCCESS)
        }
    }))
}

#[unsafe(no_mangle)]
extern "C" fn fd_fdstat_set_flags(fd: u32, flags: u32) -> Answer {
    let process = process();
    answer(process.target(fd).and_then(|target| match target {
        Target::Stream(StreamId(stream)) if stream < STANDARD_STREAMS => Ok(wasi::fd_fdstat_set_flags(stream, flags)),
        Target::Host(host) => Ok(hostdir::fd_fdstat_set_flags(host, flags)),
        Target::Tree(_) | Target::Stream(_) => {
            let flags = u16::try_from(flags).map_err(|_| Errno::Inval)?;
            process.fd_fdstat_set_flags(fd, flags).map(|()| SUCCESS)
        }
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn fd_filestat_get(fd: u32, out: u32) -> Answer {
    let process = process();
    answer(process.target(fd).and_then(|target| match target {
        Target::Stream(StreamId(stream)) if stream < STANDARD_STREAMS => Ok(wasi::fd_filestat_get(stream, out)),
        Target::Host(host) => Ok(hostdir::fd_filestat_get(host, out)),
        Target::Tree(_) | Target::Stream(_) => {
            Program.copy_out(out, &filestat_bytes(&process.fd_filestat_get(fd)?));
            Ok(SUCCESS)
        }
    }))
}

#[unsafe(no_mangle)]
extern "C" fn fd_prestat_get(fd: u32, out: u32) -> Answer {
    answer(process().fd_prestat_get(fd).map(|name_len| {
        // The tag of a directory, the only kind of prestat there is.
        Program.store32(out, 0);
        Program.store32(out.wrapping_add(4), name_len as u32);
        SUCCESS
    }))
}

#[unsafe(no_mangle)]
extern "C" fn fd_prestat_dir_name(fd: u32, at: u32, len: u32) -> Answer {
    unit(process().fd_prestat_dir_name(&mut Program, fd, at as usize, len as usize))
}

#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "WASI's signature")]
pub extern "C" fn path_open(
    fd: u32,
    lookup: u32,
    at: u32,
    len: u32,
    open: u32,
    base: u64,
    inheriting: u64,
    flags: u32,
    out: u32,
) -> Answer {
    let process = process();
    answer(process.target(fd).and_then(|target| {
        let opened = match target {
            Target::Host(host) => match hostdir::path_open(host, lookup, at, len, open, base, inheriting, flags, out) {
                SUCCESS => {
                    let opened = Program.load32(out);
                    process.add_host(opened).inspect_err(|_| {
                        hostdir::fd_close(opened);
                    })?
                }
                errno => return Ok(errno),
            },
            Target::Tree(_) | Target::Stream(_) => {
                let path = arg(0, at, len)?;
                let open = u16::try_from(open).map_err(|_| Errno::Inval)?;
                let flags = u16::try_from(flags).map_err(|_| Errno::Inval)?;
                process.path_open(fd, lookup, path, open, base, inheriting, flags)?
            }
        };
        Ok(stored(opened as usize, out))
    }))
}

#[unsafe(no_mangle)]
extern "C" fn path_link(fd: u32, lookup: u32, at: u32, len: u32, new_fd: u32, new_at: u32, new_len: u32) -> Answer {
    let process = process();
    answer(both(fd, new_fd).and_then(|hosts| match hosts {
        Some((old, new)) => Ok(hostdir::path_link(old, lookup, at, len, new, new_at, new_len)),
        None => {
            let (old, new) = (arg(0, at, len)?, arg(1, new_at, new_len)?);
            process.path_link(fd, lookup, old, new_fd, new).map(|()| SUCCESS)
        }
    }))
}

#[unsafe(no_mangle)]
extern "C" fn path_rename(fd: u32, at: u32, len: u32, new_fd: u32, new_at: u32, new_len: u32) -> Answer {
    let process = process();
    answer(both(fd, new_fd).and_then(|hosts| match hosts {
        Some((old, new)) => Ok(hostdir::path_rename(old, at, len, new, new_at, new_len)),
        None => {
            let (old, new) = (arg(0, at, len)?, arg(1, new_at, new_len)?);
            process.path_rename(fd, old, new_fd, new).map(|()| SUCCESS)
        }
    }))
}

/// The two descriptors if both are the host's, `None` if neither is; a name cannot move between the two.
fn both(old: u32, new: u32) -> Result<Option<(u32, u32)>, Errno> {
    let process = process();
    match (process.target(old)?, process.target(new)?) {
        (Target::Host(old), Target::Host(new)) => Ok(Some((old, new))),
        (Target::Host(_), _) | (_, Target::Host(_)) => Err(Errno::Xdev),
        _ => Ok(None),
    }
}

#[unsafe(no_mangle)]
extern "C" fn path_symlink(target_at: u32, target_len: u32, fd: u32, at: u32, len: u32) -> Answer {
    let process = process();
    answer(process.target(fd).and_then(|target| match target {
        Target::Host(host) => Ok(hostdir::path_symlink(target_at, target_len, host, at, len)),
        Target::Tree(_) | Target::Stream(_) => {
            let (target, path) = (arg(0, target_at, target_len)?, arg(1, at, len)?);
            process.path_symlink(target, fd, path).map(|()| SUCCESS)
        }
    }))
}

/// Nothing in a file system is a socket; a descriptor that is not open is said to be so first.
fn no_socket(fd: u32) -> Answer {
    answer(process().target(fd).and(Err(Errno::Notsock)))
}

#[unsafe(no_mangle)]
extern "C" fn sock_accept(fd: u32, _flags: u32, _out: u32) -> Answer {
    no_socket(fd)
}

#[unsafe(no_mangle)]
extern "C" fn sock_recv(fd: u32, _iovs: u32, _count: u32, _flags: u32, _out: u32, _out_flags: u32) -> Answer {
    no_socket(fd)
}

#[unsafe(no_mangle)]
extern "C" fn sock_send(fd: u32, _iovs: u32, _count: u32, _flags: u32, _out: u32) -> Answer {
    no_socket(fd)
}

#[unsafe(no_mangle)]
extern "C" fn sock_shutdown(fd: u32, _how: u32) -> Answer {
    no_socket(fd)
}
