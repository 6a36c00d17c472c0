//! The numbers of WASI 0.1: rights and flags, and which rights a descriptor gets.

use crate::{Errno, FileType, SetTime};

macro_rules! rights {
    ($($name:ident = $bit:literal, $doc:literal;)*) => {
        $(#[doc = concat!("The right ", $doc, ".")] pub const $name: u64 = 1 << $bit;)*
    };
}

rights! {
    FD_DATASYNC = 0, "to call `fd_datasync`";
    FD_READ = 1, "to read";
    FD_SEEK = 2, "to call `fd_seek`";
    FD_FDSTAT_SET_FLAGS = 3, "to call `fd_fdstat_set_flags`";
    FD_SYNC = 4, "to call `fd_sync`";
    FD_TELL = 5, "to call `fd_tell`";
    FD_WRITE = 6, "to write";
    FD_ADVISE = 7, "to call `fd_advise`";
    FD_ALLOCATE = 8, "to call `fd_allocate`";
    PATH_CREATE_DIRECTORY = 9, "to call `path_create_directory`";
    PATH_CREATE_FILE = 10, "to call `path_open` with `creat`";
    PATH_LINK_SOURCE = 11, "to call `path_link` with this as the old directory";
    PATH_LINK_TARGET = 12, "to call `path_link` with this as the new directory";
    PATH_OPEN = 13, "to call `path_open`";
    FD_READDIR = 14, "to call `fd_readdir`";
    PATH_READLINK = 15, "to call `path_readlink`";
    PATH_RENAME_SOURCE = 16, "to call `path_rename` with this as the old directory";
    PATH_RENAME_TARGET = 17, "to call `path_rename` with this as the new directory";
    PATH_FILESTAT_GET = 18, "to call `path_filestat_get`";
    PATH_FILESTAT_SET_SIZE = 19, "to call `path_open` with `trunc`";
    PATH_FILESTAT_SET_TIMES = 20, "to call `path_filestat_set_times`";
    FD_FILESTAT_GET = 21, "to call `fd_filestat_get`";
    FD_FILESTAT_SET_SIZE = 22, "to call `fd_filestat_set_size`";
    FD_FILESTAT_SET_TIMES = 23, "to call `fd_filestat_set_times`";
    PATH_SYMLINK = 24, "to call `path_symlink`";
    PATH_REMOVE_DIRECTORY = 25, "to call `path_remove_directory`";
    PATH_UNLINK_FILE = 26, "to call `path_unlink_file`";
    POLL_FD_READWRITE = 27, "to wait for it in `poll_oneoff`";
    SOCK_SHUTDOWN = 28, "to call `sock_shutdown`";
    SOCK_ACCEPT = 29, "to call `sock_accept`";
}

/// All rights there are.
pub const RIGHTS_ALL: u64 = (1 << 30) - 1;

/// What a preopened directory has: what wasmtime reports, because programs have learned to expect it.
pub const PREOPEN_BASE: u64 = PATH_CREATE_DIRECTORY
    | PATH_CREATE_FILE
    | PATH_LINK_SOURCE
    | PATH_LINK_TARGET
    | PATH_OPEN
    | FD_READDIR
    | PATH_READLINK
    | PATH_RENAME_SOURCE
    | PATH_RENAME_TARGET
    | PATH_SYMLINK
    | PATH_REMOVE_DIRECTORY
    | PATH_UNLINK_FILE
    | PATH_FILESTAT_GET
    | PATH_FILESTAT_SET_TIMES
    | FD_FILESTAT_GET
    | FD_FILESTAT_SET_TIMES;

/// What can be opened through a preopened directory.
pub const PREOPEN_INHERITING: u64 = PREOPEN_BASE
    | FD_DATASYNC
    | FD_READ
    | FD_SEEK
    | FD_FDSTAT_SET_FLAGS
    | FD_SYNC
    | FD_TELL
    | FD_WRITE
    | FD_ADVISE
    | FD_ALLOCATE
    | FD_FILESTAT_SET_SIZE
    | POLL_FD_READWRITE;

/// Rights of a descriptor that is opened with or without reading and writing through a directory that
/// passes `inheriting` on. As under wasmtime an open gives every right that fits the node, whatever else
/// was asked for; only what was given up on the directory is missing.
pub(super) fn rights_of(kind: FileType, read: bool, write: bool, inheriting: u64) -> u64 {
    let mut rights = RIGHTS_ALL & !(PREOPEN_INHERITING & !inheriting);
    if kind == FileType::Directory {
        rights &= !(FD_SEEK | FD_FILESTAT_SET_SIZE | PATH_FILESTAT_SET_SIZE | FD_WRITE);
    }
    if !read {
        rights &= !(FD_READ | FD_READDIR);
    }
    if !write {
        rights &= !FD_WRITE;
    }
    rights
}

/// `lookupflags`: follow a symbolic link in the last place.
pub const SYMLINK_FOLLOW: u32 = 1;

/// `oflags`: create a file that does not exist.
pub const OFLAG_CREAT: u16 = 1;
/// `oflags`: fail if it is no directory.
pub const OFLAG_DIRECTORY: u16 = 2;
/// `oflags`: fail if it exists.
pub const OFLAG_EXCL: u16 = 4;
/// `oflags`: cut to no bytes.
pub const OFLAG_TRUNC: u16 = 8;

/// `fdflags`: write at the end.
pub const FDFLAG_APPEND: u16 = 1;
/// `fdflags`: synchronized data; every write here is.
pub const FDFLAG_DSYNC: u16 = 2;
/// `fdflags`: do not wait; files here never do.
pub const FDFLAG_NONBLOCK: u16 = 4;
/// `fdflags`: synchronized reads.
pub const FDFLAG_RSYNC: u16 = 8;
/// `fdflags`: synchronized data and metadata.
pub const FDFLAG_SYNC: u16 = 16;

/// Refuses flags that WASI does not know.
pub(super) fn known<T: Into<u64>>(flags: T, last: T) -> Result<(), Errno> {
    let all = last.into().wrapping_mul(2).wrapping_sub(1);
    if flags.into() & !all == 0 { Ok(()) } else { Err(Errno::Inval) }
}

/// The two new times that `fstflags` asks for.
///
/// # Errors
/// `EINVAL` for unknown flags, and for a time that is to be both given and the current one.
pub fn new_times(atim: u64, mtim: u64, flags: u16) -> Result<(SetTime, SetTime), Errno> {
    known(flags, 8)?;
    let choose = |time, given, now| match (flags & given != 0, flags & now != 0) {
        (true, true) => Err(Errno::Inval),
        (true, false) => Ok(SetTime::At(time)),
        (false, true) => Ok(SetTime::Now),
        (false, false) => Ok(SetTime::Keep),
    };
    Ok((choose(atim, 1, 2)?, choose(mtim, 4, 8)?))
}
