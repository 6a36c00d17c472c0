//! The file-system functions of WASI 0.1 over a [`Vfs`], at the level of values: numbers, `&str` paths
//! and spans of the caller's memory. Decoding pointers is the adapter's business.
//!
//! Rights are those that wasmtime reports, and every one of them is enforced once a program gives it up
//! with `fd_fdstat_set_rights`; what a program asks for in `path_open` only decides about reading and
//! writing, because real programs ask for whatever they like.
//!
//! Descriptors of streams and of the host live in the same table, so that numbers, renumbering and
//! closing are in one place. What else is done with them is the adapter's business: it asks
//! [`Process::target`] (or [`Process::allowed`]) first and comes here for [`Target::Tree`].

mod files;
mod flags;
mod paths;
mod table;

pub use flags::*;

use crate::image::{Image, PreopenTarget};
use crate::{BlobId, Errno, FileType, NodeId, Platform, Stat, StreamId, Times, Vfs};
use alloc::{boxed::Box, vec::Vec};
use table::{Descriptor, Slot, Table};

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

    /// Whether filling span `index` changes a span behind it: the caller's list itself may lie where it wants its bytes.
    /// What is read then ends with this span, short, which is always right.
    fn last_when_filled(&self, _index: usize) -> bool {
        false
    }
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
    /// A stream: reading, writing and polling are the adapter's.
    Stream(StreamId),
    /// A descriptor of the host with this number there: everything but closing and renumbering is the
    /// adapter's.
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
        let mut bytes = [0; 24];
        let (head, rights) = bytes.split_at_mut(8);
        head.copy_from_slice(&(u64::from(self.filetype) | u64::from(self.flags) << 16).to_le_bytes());
        let (base, inheriting) = rights.split_at_mut(8);
        base.copy_from_slice(&self.rights_base.to_le_bytes());
        inheriting.copy_from_slice(&self.rights_inheriting.to_le_bytes());
        bytes
    }
}

/// The device number that every node here has.
pub const DEVICE: u64 = 1;

/// The WASI 0.1 `filetype` of a node. A stream is `unknown`, as pipes are under wasmtime.
#[inline]
pub fn filetype(kind: FileType) -> u8 {
    match kind {
        FileType::Stream => 0,
        FileType::Directory => 3,
        FileType::File => 4,
        FileType::Symlink => 7,
    }
}

/// The 64 bytes of the WASI 0.1 record `filestat`.
pub fn filestat_bytes(stat: &Stat) -> [u8; 64] {
    let Times { accessed, modified, changed } = stat.times;
    let kind = u64::from(filetype(stat.kind));
    let fields = [DEVICE, stat.ino, kind, stat.links, stat.size, accessed, modified, changed];
    let mut bytes = [0; 64];
    for (place, field) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(fields) {
        *place = field.to_le_bytes();
    }
    bytes
}

/// A descriptor table over a file system.
#[derive(Debug)]
pub struct Process<P: Platform> {
    /// The file system.
    pub vfs: Vfs<P>,
    table: Table,
    /// Names of preopened directories.
    preopens: Vec<Box<str>>,
}

#[allow(clippy::missing_errors_doc, reason = "the errors are those that WASI names")]
impl<P: Platform> Process<P> {
    /// A table with the standard streams 0, 1 and 2 and no other.
    pub fn new(vfs: Vfs<P>) -> Self {
        // The standard streams must fit whatever the quota says.
        let table = Table::new(vfs.quota().open_files_max.max(3));
        let mut process = Self { vfs, table, preopens: Vec::new() };
        for fd in 0..3 {
            let rights = if fd == 0 { FD_READ } else { FD_WRITE } | POLL_FD_READWRITE;
            // The table is empty and has room for three, so this gives 0, 1 and 2.
            let _ = process.table.add(Descriptor::new(Slot::Stream(StreamId(fd)), rights, rights));
        }
        process
    }

    /// The file system and the preopened directories of `image`, behind the standard streams 0, 1 and 2. Each preopened directory of the tree is a root: it can be neither removed nor renamed.
    pub fn boot(platform: P, image: &Image) -> Result<Self, Errno> {
        let mut process = Self::new(Vfs::boot(platform, image)?);
        for preopen in &image.preopens {
            let target = match &preopen.target {
                PreopenTarget::Tree(path) => {
                    let node = process.vfs.boot_directory(path)?;
                    process.vfs.pin(node)?;
                    Target::Tree(node)
                }
                PreopenTarget::Host(fd) => Target::Host(*fd),
            };
            process.add_preopen(&preopen.name, target)?;
        }
        Ok(process)
    }

    /// [`Process::boot`] with the image that is in a blob.
    pub fn boot_from(mut platform: P, blob: BlobId) -> Result<Self, Errno> {
        let image = crate::load_image(&mut platform, blob)?;
        Self::boot(platform, &image)
    }

    /// What the descriptor is.
    #[inline]
    pub fn target(&self, fd: u32) -> Result<Target, Errno> {
        self.table.get(fd)?.target()
    }

    /// What the descriptor is, if it has all of `rights`: `EBADF` without the rights to read or write,
    /// `ENOTCAPABLE` without another.
    #[inline]
    pub fn allowed(&self, fd: u32, rights: u64) -> Result<Target, Errno> {
        let descriptor = self.table.get(fd)?;
        check(descriptor, rights)?;
        descriptor.target()
    }

    /// Adds a descriptor for one that the host opened.
    pub fn add_host(&mut self, host_fd: u32) -> Result<u32, Errno> {
        self.table.add(Descriptor::new(Slot::Host(host_fd), RIGHTS_ALL, RIGHTS_ALL))
    }

    /// Lets a stream, of which `position` bytes were read, be a file from now on, with all bytes from its beginning.
    /// Descriptors stay where they are.
    ///
    /// # Errors
    /// `Noent` if no node of the tree is this stream, `Nomem` without room for the bytes.
    pub fn stream_becomes_file(&mut self, stream: StreamId, bytes: &[u8], position: u64) -> Result<(), Errno> {
        let node = self.vfs.stream_becomes_file(stream, bytes)?;
        for descriptor in self.table.all_mut().filter(|known| known.slot == Slot::Stream(stream)) {
            self.vfs.retain(node)?;
            let rights = flags::rights_of(FileType::File, true, false, u64::MAX);
            let flags = descriptor.flags;
            *descriptor = Descriptor { flags, ..Descriptor::new(Slot::Tree { node, position }, rights, rights) };
        }
        Ok(())
    }

    /// Adds a descriptor for a stream.
    pub fn add_stream(&mut self, stream: StreamId, read: bool, write: bool) -> Result<u32, Errno> {
        let rights = stream_rights(read, write);
        self.table.add(Descriptor::new(Slot::Stream(stream), rights, rights))
    }

    /// Adds a preopened directory, retaining the node of the tree.
    pub fn add_preopen(&mut self, name: &str, target: Target) -> Result<u32, Errno> {
        self.table.check_room()?;
        let number = u16::try_from(self.preopens.len()).map_err(|_| Errno::Nfile)?;
        let slot = match target {
            Target::Tree(node) => {
                self.vfs.retain(node)?;
                Slot::Tree { node, position: 0 }
            }
            Target::Stream(stream) => Slot::Stream(stream),
            Target::Host(fd) => Slot::Host(fd),
        };
        let descriptor = Descriptor::new(slot, PREOPEN_BASE, PREOPEN_INHERITING);
        self.preopens.push(name.into());
        self.table.add(Descriptor { preopen: Some(number), ..descriptor })
    }

    /// All descriptors that are open, lowest first.
    pub fn open_fds(&self) -> impl Iterator<Item = u32> {
        self.table.open_fds()
    }

    /// `fd_close`. What it returns tells the adapter whether there is something of its own to close.
    pub fn fd_close(&mut self, fd: u32) -> Result<Target, Errno> {
        let descriptor = self.table.remove(fd)?;
        self.let_go(&descriptor)
    }

    /// `fd_renumber`. What it returns is what was at `to`, for the adapter to close its own part of;
    /// nothing if the two numbers are the same.
    pub fn fd_renumber(&mut self, from: u32, to: u32) -> Result<Option<Target>, Errno> {
        self.table.get(from)?;
        if from == to {
            return Ok(None);
        }
        let replaced = self.table.renumber(from, to)?;
        self.let_go(&replaced).map(Some)
    }

    fn let_go(&mut self, descriptor: &Descriptor) -> Result<Target, Errno> {
        if let Slot::Tree { node, .. } = descriptor.slot {
            self.vfs.release(node);
        }
        descriptor.target()
    }

    /// `fd_prestat_get`: the length of the preopened directory's name.
    pub fn fd_prestat_get(&self, fd: u32) -> Result<usize, Errno> {
        Ok(self.preopen_name(fd)?.ok_or(Errno::Badf)?.len())
    }

    fn preopen_name(&self, fd: u32) -> Result<Option<&str>, Errno> {
        let number = self.table.get(fd)?.preopen;
        Ok(number.and_then(|number| self.preopens.get(usize::from(number))).map(|name| &**name))
    }

    /// `fd_prestat_dir_name`.
    pub fn fd_prestat_dir_name(&self, memory: &mut P::Memory, fd: u32, at: usize, len: usize) -> Result<(), Errno> {
        use crate::Memory;
        let name = self.preopen_name(fd)?.ok_or(Errno::Notdir)?;
        if name.len() > len {
            return Err(Errno::Nametoolong);
        }
        memory.put(at, name.as_bytes());
        Ok(())
    }

    /// `fd_fdstat_get`; of the host's descriptors only the rights are known here.
    pub fn fd_fdstat_get(&self, fd: u32) -> Result<Fdstat, Errno> {
        let descriptor = self.table.get(fd)?;
        let kind = match descriptor.slot {
            Slot::Tree { node, .. } => self.vfs.kind(node)?,
            _ => FileType::Stream,
        };
        let flags = descriptor.flags;
        let rights_inheriting = descriptor.inheriting();
        Ok(Fdstat { filetype: filetype(kind), flags, rights_base: descriptor.rights(), rights_inheriting })
    }

    /// `fd_fdstat_set_flags`. Synchronized writing can be asked for at will: every write here is.
    pub fn fd_fdstat_set_flags(&mut self, fd: u32, flags: u16) -> Result<(), Errno> {
        let descriptor = self.table.get(fd)?;
        known(flags, FDFLAG_SYNC)?;
        if let Slot::Tree { node, .. } = descriptor.slot
            && self.vfs.kind(node)? == FileType::Directory
        {
            return Err(Errno::Badf);
        }
        if !matches!(descriptor.slot, Slot::Stream(_)) {
            check(descriptor, FD_FDSTAT_SET_FLAGS)?;
        }
        self.table.get_mut(fd)?.flags = flags;
        Ok(())
    }

    /// `fd_fdstat_set_rights`: rights can only be given up.
    pub fn fd_fdstat_set_rights(&mut self, fd: u32, base: u64, inheriting: u64) -> Result<(), Errno> {
        let descriptor = self.table.get_mut(fd)?;
        if base & !descriptor.rights() != 0 || inheriting & !descriptor.inheriting() != 0 {
            return Err(Errno::Notcapable);
        }
        descriptor.set_rights(base, inheriting);
        Ok(())
    }
}

/// Rights of a stream's descriptor.
fn stream_rights(read: bool, write: bool) -> u64 {
    let read = if read { FD_READ } else { 0 };
    let write = if write { FD_WRITE } else { 0 };
    read | write | POLL_FD_READWRITE | FD_FILESTAT_GET | FD_FDSTAT_SET_FLAGS
}

/// Refuses if a right is missing: `EBADF` for reading and writing, which is what POSIX programs know,
/// `ENOTCAPABLE` for the others.
#[inline]
fn check(descriptor: &Descriptor, rights: u64) -> Result<(), Errno> {
    let missing = rights & !descriptor.rights();
    if missing == 0 {
        Ok(())
    } else if missing & (FD_READ | FD_WRITE) != 0 {
        Err(Errno::Badf)
    } else {
        Err(Errno::Notcapable)
    }
}
