//! The tree.

use crate::image::Image;
use crate::{Errno, Platform, StreamId};
use alloc::string::String;
use weir_types::limits::Quota;

/// A node of the tree. Valid as long as it is linked in the tree or retained; after that the number
/// may name another node (compare [`Stat::ino`] where that matters).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileType {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A stream: neither size nor seek; its bytes are the adapter's business.
    Stream,
}

/// Timestamps in nanoseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Last access. Reading does not change it, so that reads need no clock.
    pub accessed: u64,
    /// Last change of the contents.
    pub modified: u64,
    /// Last change of the contents or of anything in [`Stat`].
    pub changed: u64,
}

/// A new value for a timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetTime {
    /// Leave it.
    #[default]
    Keep,
    /// The current time.
    Now,
    /// This time, in nanoseconds since 1970-01-01 UTC.
    At(u64),
}

/// What is known about a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// A number that no other node of this file system has or ever had.
    pub ino: u64,
    /// What it is.
    pub kind: FileType,
    /// Directory entries that name it. 1 for every directory that is not removed.
    pub links: u64,
    /// Bytes of a file or of a link's target; a fixed number for directories; 0 for streams.
    pub size: u64,
    /// Timestamps.
    pub times: Times,
}

/// How [`Vfs::open_at`] opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenHow {
    /// Follow a symbolic link in the last place.
    pub follow: bool,
    /// Create a regular file if there is nothing.
    pub create: bool,
    /// With `create`: fail if there is something.
    pub exclusive: bool,
    /// Cut a regular file to no bytes.
    pub truncate: bool,
    /// Fail if it is no directory.
    pub directory: bool,
    /// It will be written. Refused for directories and read-only nodes.
    pub write: bool,
}

/// One entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirEntry<'a> {
    /// Its name; `.` and `..` come first.
    pub name: &'a str,
    /// The node it names.
    pub node: NodeId,
    /// The node's number.
    pub ino: u64,
    /// What the node is.
    pub kind: FileType,
    /// The cookie with which [`Vfs::read_dir`] gives the entry after this one.
    pub next: u64,
}

/// What a file system holds at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes held against [`Quota::bytes_max`].
    pub bytes: u64,
    /// Nodes held against [`Quota::inodes_max`].
    pub nodes: u64,
}

/// A position in a walk over a whole tree, see [`Vfs::walk`].
#[derive(Debug)]
pub struct Walk {
    _path: String,
}

/// One step of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkEntry<'a> {
    /// The path from where the walk began, without a leading slash; `""` for the beginning itself.
    pub path: &'a str,
    /// The node.
    pub node: NodeId,
    /// What is known about it.
    pub stat: Stat,
}

/// A virtual file system.
#[derive(Debug)]
pub struct Vfs<P: Platform> {
    platform: P,
    quota: Quota,
}

#[allow(clippy::missing_errors_doc, reason = "the errors are those of POSIX, named where they need explaining")]
impl<P: Platform> Vfs<P> {
    /// A file system with nothing but its root directory.
    pub fn new(platform: P, quota: Quota) -> Self {
        Self { platform, quota }
    }

    /// A file system with the tree of `image`.
    pub fn boot(platform: P, image: &Image) -> Result<Self, Errno> {
        Ok(Self::new(platform, image.quota))
    }

    /// The root directory.
    pub fn root(&self) -> NodeId {
        NodeId(0)
    }

    /// The platform.
    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// The platform.
    pub fn platform_mut(&mut self) -> &mut P {
        &mut self.platform
    }

    /// What this file system may hold.
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// What this file system holds.
    pub fn usage(&self) -> Usage {
        Usage::default()
    }

    /// Gives a file that was written the time of now, if that is still outstanding.
    ///
    /// Where the clock is not cheap ([`Platform::CLOCK_IS_CHEAP`]) a write only notes that the file
    /// changed, and the time is taken when anybody could see it: at the next operation on names or
    /// times, at the last release of the node, or when another file is written. So that a program
    /// cannot tell the difference, the adapter calls this before the program reads a clock or waits.
    pub fn settle(&mut self) {}

    /// The node at `path` below `dir`, not retained.
    pub fn resolve(&mut self, _dir: NodeId, _path: &str, _follow: bool) -> Result<NodeId, Errno> {
        Err(Errno::Nosys)
    }

    /// Opens, perhaps creates, the node at `path` below `dir` and retains it.
    pub fn open_at(&mut self, _dir: NodeId, _path: &str, _how: OpenHow) -> Result<NodeId, Errno> {
        Err(Errno::Nosys)
    }

    /// Keeps a node, even if it is removed from the tree, until it is released as often.
    pub fn retain(&mut self, _node: NodeId) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// Takes back one [`Vfs::retain`] or [`Vfs::open_at`].
    pub fn release(&mut self, _node: NodeId) {}

    /// What the node is.
    pub fn kind(&self, _node: NodeId) -> Result<FileType, Errno> {
        Err(Errno::Nosys)
    }

    /// The stream of a stream node.
    pub fn stream(&self, _node: NodeId) -> Option<StreamId> {
        None
    }

    /// What is known about the node.
    pub fn stat(&mut self, _node: NodeId) -> Result<Stat, Errno> {
        Err(Errno::Nosys)
    }

    /// What is known about the node at `path`.
    pub fn stat_at(&mut self, _dir: NodeId, _path: &str, _follow: bool) -> Result<Stat, Errno> {
        Err(Errno::Nosys)
    }

    /// Reads up to `len` bytes from `offset` into the caller's memory. Fewer only at the end of the file.
    pub fn read_at(
        &mut self,
        _node: NodeId,
        _offset: u64,
        _memory: &mut P::Memory,
        _at: usize,
        _len: usize,
    ) -> Result<usize, Errno> {
        Err(Errno::Nosys)
    }

    /// Reads bytes from `offset` into a slice of one's own. Fewer only at the end of the file.
    pub fn load_at(&mut self, _node: NodeId, _offset: u64, _out: &mut [u8]) -> Result<usize, Errno> {
        Err(Errno::Nosys)
    }

    /// Writes up to `len` bytes of the caller's memory at `offset`. Fewer only when a quota is met.
    pub fn write_at(
        &mut self,
        _node: NodeId,
        _offset: u64,
        _memory: &P::Memory,
        _at: usize,
        _len: usize,
    ) -> Result<usize, Errno> {
        Err(Errno::Nosys)
    }

    /// Writes at the end of the file; returns how many bytes, and where the file ends now.
    pub fn append(
        &mut self,
        _node: NodeId,
        _memory: &P::Memory,
        _at: usize,
        _len: usize,
    ) -> Result<(usize, u64), Errno> {
        Err(Errno::Nosys)
    }

    /// Cuts or extends (with zeros) a file.
    pub fn set_size(&mut self, _node: NodeId, _size: u64) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// Extends a file with zeros so that it reaches to `offset + len` at least.
    pub fn allocate(&mut self, _node: NodeId, _offset: u64, _len: u64) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// Sets timestamps.
    pub fn set_times(&mut self, _node: NodeId, _accessed: SetTime, _modified: SetTime) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// Sets timestamps of the node at `path`.
    pub fn set_times_at(
        &mut self,
        _dir: NodeId,
        _path: &str,
        _follow: bool,
        _accessed: SetTime,
        _modified: SetTime,
    ) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// Creates a directory.
    pub fn create_dir_at(&mut self, _dir: NodeId, _path: &str) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// Removes an empty directory.
    pub fn remove_dir_at(&mut self, _dir: NodeId, _path: &str) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// Removes a name of anything but a directory.
    pub fn unlink_at(&mut self, _dir: NodeId, _path: &str) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// Renames; what was at the new place goes away at the same moment.
    pub fn rename_at(&mut self, _old: NodeId, _old_path: &str, _new: NodeId, _new_path: &str) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// Gives a file, symbolic link or stream another name.
    pub fn link_at(
        &mut self,
        _old: NodeId,
        _old_path: &str,
        _follow: bool,
        _new: NodeId,
        _new_path: &str,
    ) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// Creates a symbolic link to `target`, which is taken relative to the link's directory.
    pub fn symlink_at(&mut self, _target: &str, _dir: NodeId, _path: &str) -> Result<(), Errno> {
        Err(Errno::Nosys)
    }

    /// The target of a symbolic link.
    pub fn readlink_at(&mut self, _dir: NodeId, _path: &str) -> Result<&str, Errno> {
        Err(Errno::Nosys)
    }

    /// The first entry of a directory at or after `cookie` (0 to begin); `None` at the end.
    ///
    /// Cookies stay good while entries come and go: no entry that stays is skipped or given twice.
    pub fn read_dir(&mut self, _dir: NodeId, _cookie: u64) -> Result<Option<DirEntry<'_>>, Errno> {
        Err(Errno::Nosys)
    }

    /// Begins a walk over everything at and below `node`, parents before children.
    pub fn walk(&self, _node: NodeId) -> Walk {
        Walk { _path: String::new() }
    }

    /// The next step of a walk; `None` at its end. After an error the walk goes on behind what failed.
    pub fn walk_next<'w>(&mut self, _walk: &'w mut Walk) -> Result<Option<WalkEntry<'w>>, Errno> {
        Err(Errno::Nosys)
    }
}
