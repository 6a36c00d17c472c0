//! The tree: nodes in one arena, and what can be done with a node that is known.
//!
//! Nodes refer to one another by number, so that dropping a deep tree is no recursion and nothing can
//! form a cycle of ownership. Operations on paths are in [`names`], resolution in [`resolve`], listing in
//! [`lists`], file contents in [`files`], the start from an image in [`boot`].

mod boot;
mod files;
mod lists;
mod names;
mod resolve;

pub use boot::load_image;
pub use lists::{Walk, WalkEntry};

use crate::content::{Budget, Content};
use crate::directory::Directory;
use crate::{Errno, Platform, StreamId};
use alloc::{boxed::Box, vec::Vec};
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

impl Times {
    /// The same time for all.
    pub fn all(time: u64) -> Self {
        Self { accessed: time, modified: time, changed: time }
    }
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
    /// Directory entries that name it. 1 for every directory that is not removed, which is what file
    /// systems say that do not count subdirectories.
    pub links: u64,
    /// Bytes of a file or of a link's target; [`DIRECTORY_SIZE`] for directories; 0 for streams.
    pub size: u64,
    /// Timestamps.
    pub times: Times,
}

/// What [`Stat::size`] says of a directory.
pub const DIRECTORY_SIZE: u64 = 4096;

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

#[derive(Debug)]
enum Kind {
    /// An unused place in the arena, with the number of the next one.
    Free(Option<NodeId>),
    Directory(Box<Directory>),
    File(Content),
    Symlink {
        target: Box<str>,
        /// The program made it, so its bytes are charged.
        charged: bool,
    },
    Stream(StreamId),
}

impl Kind {
    /// Bytes that the node is charged with.
    fn charge(&self) -> u64 {
        match self {
            Kind::File(content) => content.charge(),
            Kind::Symlink { target, charged: true } => target.len() as u64,
            _ => 0,
        }
    }
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    ino: u64,
    times: Times,
    /// Directory entries that name it; 1 for the root.
    links: u32,
    /// How often it is retained.
    opens: u32,
    /// Nothing at or below it can be changed.
    read_only: bool,
    /// A root of the tree: it can be neither removed nor renamed.
    pinned: bool,
}

/// A virtual file system.
#[derive(Debug)]
pub struct Vfs<P: Platform> {
    platform: P,
    nodes: Vec<Node>,
    free: Option<NodeId>,
    /// A file that was written and has not got the time of that yet.
    unsettled: Option<NodeId>,
    budget: Budget,
    quota: Quota,
    nodes_live: u64,
    /// Directory entries, which hard links can make more than nodes.
    entries_live: u64,
    ino_next: u64,
    hash_seed: u64,
}

const ROOT: NodeId = NodeId(0);

#[allow(clippy::missing_errors_doc, reason = "the errors are those of POSIX, named where they need explaining")]
impl<P: Platform> Vfs<P> {
    /// A file system with nothing but its root directory.
    pub fn new(mut platform: P, quota: Quota) -> Self {
        let now = platform.now();
        let hash_seed = platform.hash_seed();
        let root = Node {
            kind: Kind::Directory(Box::new(Directory::new(ROOT))),
            ino: 1,
            times: Times::all(now),
            links: 1,
            opens: 0,
            read_only: false,
            pinned: true,
        };
        let budget = Budget { used: 0, max: quota.bytes_max };
        Self {
            platform,
            nodes: Vec::from([root]),
            free: None,
            unsettled: None,
            budget,
            quota,
            nodes_live: 1,
            entries_live: 0,
            ino_next: 2,
            hash_seed,
        }
    }

    /// The root directory.
    pub fn root(&self) -> NodeId {
        ROOT
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
        Usage { bytes: self.budget.used, nodes: self.nodes_live }
    }

    /// Gives a file that was written the time of now, if that is still outstanding.
    ///
    /// Where the clock is not cheap ([`Platform::CLOCK_IS_CHEAP`]) a write only notes that the file
    /// changed, and the time is taken when anybody could see it: at the next operation on names or
    /// times, at the last release of the node, or when another file is written. So that a program
    /// cannot tell the difference, the adapter calls this before the program reads a clock or waits.
    #[inline]
    pub fn settle(&mut self) {
        if self.unsettled.is_some() {
            self.now();
        }
    }

    /// The time, after giving it to a file that still waits for it.
    fn now(&mut self) -> u64 {
        let now = self.platform.now();
        if let Some(node) = self.unsettled.take().and_then(|id| self.nodes.get_mut(id.0 as usize)) {
            node.times.modified = now;
            node.times.changed = now;
        }
        now
    }

    /// Notes that the contents of a file changed.
    #[inline]
    fn written(&mut self, id: NodeId) {
        if P::CLOCK_IS_CHEAP || self.unsettled != Some(id) {
            self.settle();
            self.unsettled = Some(id);
        }
        if P::CLOCK_IS_CHEAP {
            self.settle();
        }
    }

    #[inline]
    fn node(&self, id: NodeId) -> Result<&Node, Errno> {
        self.nodes.get(id.0 as usize).ok_or(Errno::Badf)
    }

    #[inline]
    fn node_mut(&mut self, id: NodeId) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(id.0 as usize).ok_or(Errno::Badf)
    }

    fn directory(&self, id: NodeId) -> Result<&Directory, Errno> {
        match &self.node(id)?.kind {
            Kind::Directory(directory) => Ok(directory),
            Kind::Free(_) => Err(Errno::Badf),
            _ => Err(Errno::Notdir),
        }
    }

    fn directory_mut(&mut self, id: NodeId) -> Result<&mut Directory, Errno> {
        match &mut self.node_mut(id)?.kind {
            Kind::Directory(directory) => Ok(directory),
            Kind::Free(_) => Err(Errno::Badf),
            _ => Err(Errno::Notdir),
        }
    }

    /// Adds a node that nothing names yet. What it is charged with is charged already.
    fn add_node(&mut self, kind: Kind, times: Times, read_only: bool) -> Result<NodeId, Errno> {
        if self.nodes_live >= self.quota.inodes_max {
            return Err(Errno::Nospc);
        }
        let ino = self.ino_next;
        let node = Node { kind, ino, times, links: 0, opens: 0, read_only, pinned: false };
        let id = match self.free {
            Some(id) => {
                let place = self.node_mut(id)?;
                let Kind::Free(next) = place.kind else { return Err(Errno::Io) };
                *place = node;
                self.free = next;
                id
            }
            None => {
                let id = u32::try_from(self.nodes.len()).ok().filter(|id| *id < u32::MAX).ok_or(Errno::Nospc)?;
                self.nodes.try_reserve(1).map_err(|_| Errno::Nospc)?;
                self.nodes.push(node);
                NodeId(id)
            }
        };
        self.ino_next = ino.saturating_add(1);
        self.nodes_live = self.nodes_live.saturating_add(1);
        Ok(id)
    }

    /// Frees the node if nothing names and nothing retains it.
    fn drop_unused(&mut self, id: NodeId) {
        let free = self.free;
        let Ok(node) = self.node_mut(id) else { return };
        if node.links > 0 || node.opens > 0 || matches!(node.kind, Kind::Free(_)) {
            return;
        }
        let kind = core::mem::replace(&mut node.kind, Kind::Free(free));
        self.budget.give_back(kind.charge());
        if self.unsettled == Some(id) {
            self.unsettled = None;
        }
        self.free = Some(id);
        self.nodes_live = self.nodes_live.saturating_sub(1);
    }

    /// Keeps a node, even if it is removed from the tree, until it is released as often.
    pub fn retain(&mut self, node: NodeId) -> Result<(), Errno> {
        let node = self.node_mut(node)?;
        if matches!(node.kind, Kind::Free(_)) {
            return Err(Errno::Badf);
        }
        node.opens = node.opens.checked_add(1).ok_or(Errno::Nfile)?;
        Ok(())
    }

    /// Takes back one [`Vfs::retain`] or [`Vfs::open_at`].
    pub fn release(&mut self, node: NodeId) {
        let Ok(known) = self.node_mut(node) else { return };
        known.opens = known.opens.saturating_sub(1);
        let (opens, links) = (known.opens, known.links);
        if opens == 0 {
            if links == 0 {
                self.drop_unused(node);
            } else if self.unsettled == Some(node) {
                self.settle();
            }
        }
    }

    /// Makes a node a root: it can be neither removed nor renamed from now on (`EBUSY`).
    pub fn pin(&mut self, node: NodeId) -> Result<(), Errno> {
        self.node_mut(node)?.pinned = true;
        Ok(())
    }

    /// What the node is.
    #[inline]
    pub fn kind(&self, node: NodeId) -> Result<FileType, Errno> {
        match &self.node(node)?.kind {
            Kind::Directory(_) => Ok(FileType::Directory),
            Kind::File(_) => Ok(FileType::File),
            Kind::Symlink { .. } => Ok(FileType::Symlink),
            Kind::Stream(_) => Ok(FileType::Stream),
            Kind::Free(_) => Err(Errno::Badf),
        }
    }

    /// The stream of a stream node.
    pub fn stream(&self, node: NodeId) -> Option<StreamId> {
        match self.node(node).ok()?.kind {
            Kind::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    /// True if nothing at or below the node can be changed.
    pub fn is_read_only(&self, node: NodeId) -> bool {
        self.node(node).is_ok_and(|node| node.read_only)
    }

    /// What is known about the node.
    pub fn stat(&mut self, node: NodeId) -> Result<Stat, Errno> {
        if self.unsettled == Some(node) {
            self.settle();
        }
        let kind = self.kind(node)?;
        let node = self.node(node)?;
        let size = match &node.kind {
            Kind::Directory(_) => DIRECTORY_SIZE,
            Kind::File(content) => content.size(),
            Kind::Symlink { target, .. } => target.len() as u64,
            Kind::Stream(_) | Kind::Free(_) => 0,
        };
        Ok(Stat { ino: node.ino, kind, links: u64::from(node.links), size, times: node.times })
    }

    /// Sets timestamps.
    pub fn set_times(&mut self, node: NodeId, accessed: SetTime, modified: SetTime) -> Result<(), Errno> {
        if self.node(node)?.read_only {
            return Err(Errno::Rofs);
        }
        if (accessed, modified) == (SetTime::Keep, SetTime::Keep) {
            return Ok(());
        }
        let now = self.now();
        let times = &mut self.node_mut(node)?.times;
        for (time, new) in [(&mut times.accessed, accessed), (&mut times.modified, modified)] {
            match new {
                SetTime::Keep => {}
                SetTime::Now => *time = now,
                SetTime::At(at) => *time = at,
            }
        }
        times.changed = now;
        Ok(())
    }
}
