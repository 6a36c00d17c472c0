//! The file-system functions of WASI 0.1 over a [`Vfs`](crate::Vfs), at the level of values: numbers,
//! `&str` paths and spans of the caller's memory. Decoding pointers is the adapter's business.

use crate::image::Image;
use crate::{Errno, FileType, NodeId, Platform, SetTime, Stat, StreamId, Vfs};
use alloc::vec::Vec;

/// A list of spans of the caller's memory (`iovs`, `ciovs`).
pub trait Spans {
    /// How many spans.
    fn len(&self) -> usize;

    /// True if there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Address and length of span `index`, which is less than [`Spans::len`].
    fn get(&self, index: usize) -> (usize, usize);
}

impl Spans for [(usize, usize)] {
    fn len(&self) -> usize {
        <[(usize, usize)]>::len(self)
    }

    fn get(&self, index: usize) -> (usize, usize) {
        <[(usize, usize)]>::get(self, index).copied().unwrap_or_default()
    }
}

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A node of the tree: the functions of [`Process`] serve it.
    Tree(NodeId),
    /// A stream: reading, writing, polling and fdstat are the adapter's.
    Stream(StreamId),
    /// A descriptor of the host with this number there: everything but closing and renumbering is the adapter's.
    Host(u32),
}

/// What `fd_fdstat_get` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fdstat {
    /// `filetype`.
    pub filetype: u8,
    /// `fdflags`.
    pub flags: u16,
    /// Rights of the descriptor.
    pub rights_base: u64,
    /// Rights that descriptors opened through it can get.
    pub rights_inheriting: u64,
}

impl Fdstat {
    /// The 24 bytes of the WASI 0.1 record `fdstat`.
    pub fn to_bytes(&self) -> [u8; 24] {
        [0; 24]
    }
}

/// The WASI 0.1 `filetype` of a node. A stream is `unknown`, as pipes are under wasmtime.
pub fn filetype(kind: FileType) -> u8 {
    match kind {
        FileType::Stream => 0,
        FileType::Directory => 3,
        FileType::File => 4,
        FileType::Symlink => 7,
    }
}

/// The 64 bytes of the WASI 0.1 record `filestat`.
pub fn filestat_bytes(_stat: &Stat) -> [u8; 64] {
    [0; 64]
}

/// A descriptor table over a file system.
#[derive(Debug)]
pub struct Process<P: Platform> {
    /// The file system.
    pub vfs: Vfs<P>,
}

#[allow(clippy::missing_errors_doc, reason = "the errors are those that WASI names")]
impl<P: Platform> Process<P> {
    /// A table with the host's descriptors 0, 1 and 2 and no other.
    pub fn new(vfs: Vfs<P>) -> Self {
        Self { vfs }
    }

    /// The file system and the preopened directories of `image`, behind the host's descriptors 0, 1 and 2.
    pub fn boot(platform: P, image: &Image) -> Result<Self, Errno> {
        Ok(Self::new(Vfs::boot(platform, image)?))
    }

    /// What the descriptor is.
    #[inline]
    pub fn target(&self, _fd: u32) -> Result<Target, Errno> {
        Err(Errno::Nosys)
    }

    /// Adds a descriptor for a descriptor that the host opened.
    pub fn add_host(&mut self, _host_fd: u32) -> Result<u32, Errno> {
        Err(Errno::Nosys)
    }

    /// Adds a descriptor for a stream, with the rights to read and/or write it.
    pub fn add_stream(&mut self, _stream: StreamId, _read: bool, _write: bool) -> Result<u32, Errno> {
        Err(Errno::Nosys)
    }

    /// Adds a preopened directory.
    pub fn add_preopen(&mut self, _name: &str, _target: Target) -> Result<u32, Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_advise`.
    pub fn fd_advise(&mut self, _fd: u32, _offset: u64, _len: u64, _advice: u8) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_allocate`.
    pub fn fd_allocate(&mut self, _fd: u32, _offset: u64, _len: u64) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_close`. What it returns tells the adapter whether there is something of its own to close.
    pub fn fd_close(&mut self, _fd: u32) -> Result<Target, Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_datasync`.
    pub fn fd_datasync(&mut self, _fd: u32) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_fdstat_get`.
    pub fn fd_fdstat_get(&mut self, _fd: u32) -> Result<Fdstat, Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_fdstat_set_flags`.
    pub fn fd_fdstat_set_flags(&mut self, _fd: u32, _flags: u16) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_fdstat_set_rights`: rights can only be given up.
    pub fn fd_fdstat_set_rights(&mut self, _fd: u32, _base: u64, _inheriting: u64) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_filestat_get`.
    pub fn fd_filestat_get(&mut self, _fd: u32) -> Result<Stat, Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_filestat_set_size`.
    pub fn fd_filestat_set_size(&mut self, _fd: u32, _size: u64) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_filestat_set_times`.
    pub fn fd_filestat_set_times(&mut self, _fd: u32, _atim: u64, _mtim: u64, _fst_flags: u16) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_pread`.
    pub fn fd_pread<S: Spans + ?Sized>(
        &mut self,
        _memory: &mut P::Memory,
        _fd: u32,
        _iovs: &S,
        _offset: u64,
    ) -> Result<usize, Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_prestat_get`: the length of the preopened directory's name.
    pub fn fd_prestat_get(&self, _fd: u32) -> Result<usize, Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_prestat_dir_name`.
    pub fn fd_prestat_dir_name(
        &self,
        _memory: &mut P::Memory,
        _fd: u32,
        _at: usize,
        _len: usize,
    ) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_pwrite`.
    pub fn fd_pwrite<S: Spans + ?Sized>(
        &mut self,
        _memory: &P::Memory,
        _fd: u32,
        _ciovs: &S,
        _offset: u64,
    ) -> Result<usize, Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_read`.
    pub fn fd_read<S: Spans + ?Sized>(
        &mut self,
        _memory: &mut P::Memory,
        _fd: u32,
        _iovs: &S,
    ) -> Result<usize, Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_readdir`: how many bytes of the buffer were used.
    pub fn fd_readdir(
        &mut self,
        _memory: &mut P::Memory,
        _fd: u32,
        _at: usize,
        _len: usize,
        _cookie: u64,
    ) -> Result<usize, Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_renumber`. What it returns is what was at `to`, for the adapter to close its own part of.
    pub fn fd_renumber(&mut self, _from: u32, _to: u32) -> Result<Option<Target>, Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_seek`.
    pub fn fd_seek(&mut self, _fd: u32, _offset: i64, _whence: u8) -> Result<u64, Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_sync`.
    pub fn fd_sync(&mut self, _fd: u32) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_tell`.
    pub fn fd_tell(&mut self, _fd: u32) -> Result<u64, Errno> {
        Err(Errno::Nosys)
    }

    /// `fd_write`.
    pub fn fd_write<S: Spans + ?Sized>(&mut self, _memory: &P::Memory, _fd: u32, _ciovs: &S) -> Result<usize, Errno> {
        Err(Errno::Nosys)
    }

    /// `path_create_directory`.
    pub fn path_create_directory(&mut self, _fd: u32, _path: &str) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// `path_filestat_get`.
    pub fn path_filestat_get(&mut self, _fd: u32, _lookup: u32, _path: &str) -> Result<Stat, Errno> {
        Err(Errno::Nosys)
    }

    /// `path_filestat_set_times`.
    pub fn path_filestat_set_times(
        &mut self,
        _fd: u32,
        _lookup: u32,
        _path: &str,
        _atim: u64,
        _mtim: u64,
        _fst_flags: u16,
    ) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// `path_link`.
    pub fn path_link(
        &mut self,
        _old_fd: u32,
        _old_lookup: u32,
        _old_path: &str,
        _new_fd: u32,
        _new_path: &str,
    ) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// `path_open`. Opening a stream node gives a [`Target::Stream`] descriptor.
    #[allow(clippy::too_many_arguments, reason = "the function has them")]
    pub fn path_open(
        &mut self,
        _fd: u32,
        _lookup: u32,
        _path: &str,
        _oflags: u16,
        _rights_base: u64,
        _rights_inheriting: u64,
        _fdflags: u16,
    ) -> Result<u32, Errno> {
        Err(Errno::Nosys)
    }

    /// `path_readlink`: how many bytes of the buffer were used.
    pub fn path_readlink(
        &mut self,
        _memory: &mut P::Memory,
        _fd: u32,
        _path: &str,
        _at: usize,
        _len: usize,
    ) -> Result<usize, Errno> {
        Err(Errno::Nosys)
    }

    /// `path_remove_directory`.
    pub fn path_remove_directory(&mut self, _fd: u32, _path: &str) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// `path_rename`.
    pub fn path_rename(&mut self, _old_fd: u32, _old_path: &str, _new_fd: u32, _new_path: &str) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// `path_symlink`.
    pub fn path_symlink(&mut self, _target: &str, _fd: u32, _path: &str) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// `path_unlink_file`.
    pub fn path_unlink_file(&mut self, _fd: u32, _path: &str) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// All descriptors that are open, lowest first.
    pub fn open_fds(&self) -> Vec<u32> {
        Vec::new()
    }

    /// The two timestamps that `fst_flags` asks for.
    pub fn set_times_of(_atim: u64, _mtim: u64, _fst_flags: u16) -> Result<(SetTime, SetTime), Errno> {
        Err(Errno::Nosys)
    }
}
