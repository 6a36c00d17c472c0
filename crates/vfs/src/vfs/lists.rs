//! Listing directories, reading outstanding listings, and walking whole trees.

use super::{DirEntry, FileType, Kind, NodeId, Stat, Vfs};
use crate::content::Content;
use crate::directory::{Directory, hash_name};
use crate::image::{self, EntryRef, KindRef, Listing};
use crate::{BlobId, Errno, Platform};
use alloc::{boxed::Box, string::String, vec::Vec};

/// How much of a listing is asked for at first. Most listings are shorter.
const LISTING_FIRST_BYTES: usize = 8 * 1024;

#[allow(clippy::missing_errors_doc, reason = "the errors are those of POSIX, named where they need explaining")]
impl<P: Platform> Vfs<P> {
    /// Reads the listing of a directory if that is still outstanding.
    ///
    /// A failure leaves it outstanding, so that the next try may succeed and nobody ever sees an empty
    /// directory instead.
    #[inline]
    pub(super) fn list(&mut self, dir: NodeId) -> Result<(), Errno> {
        match self.directory(dir)?.listing {
            None => Ok(()),
            Some(blob) => self.list_from(dir, blob),
        }
    }

    #[cold]
    fn list_from(&mut self, dir: NodeId, blob: BlobId) -> Result<(), Errno> {
        // A listing that contains itself must end somewhere.
        let mut depth = 0u32;
        let mut at = dir;
        while self.directory(at)?.parent != at {
            at = self.directory(at)?.parent;
            depth = depth.saturating_add(1);
        }
        if depth > self.quota.depth_max {
            return Err(Errno::Nametoolong);
        }
        let bytes = self.load_listing(blob)?;
        let (count, name_bytes) = measure(&bytes).map_err(|_| Errno::Io)?;
        if self.nodes_live.saturating_add(count as u64) > self.quota.inodes_max {
            return Err(Errno::Nospc);
        }
        let missing = count.saturating_sub(self.nodes.capacity() - self.nodes.len());
        if missing > 0 {
            self.nodes.try_reserve(count).map_err(|_| Errno::Nomem)?;
        }
        let read_only = self.is_read_only(dir);
        self.directory_mut(dir)?.reserve(count, name_bytes)?;
        let mut listing = Listing::new(&bytes).map_err(|_| Errno::Io)?;
        while let Some(entry) = listing.next().map_err(|_| Errno::Io)? {
            self.add_listed(dir, &entry, read_only)?;
        }
        self.directory_mut(dir)?.listing = None;
        Ok(())
    }

    fn load_listing(&mut self, blob: BlobId) -> Result<Vec<u8>, Errno> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(LISTING_FIRST_BYTES).map_err(|_| Errno::Nomem)?;
        bytes.resize(LISTING_FIRST_BYTES, 0);
        let mut held = 0;
        let mut total = image::LISTING_HEADER_BYTES;
        let mut header_read = false;
        while held < total {
            let Some(rest) = bytes.get_mut(held..).filter(|rest| !rest.is_empty()) else { return Err(Errno::Io) };
            let room = rest.len();
            match self.platform.blob_load(blob, held as u64, rest)? {
                0 => return Err(Errno::Io),
                read => held += read.min(room),
            }
            if !header_read && held >= total {
                let said = image::listing_bytes(&bytes).map_err(|_| Errno::Io)?;
                total = usize::try_from(said).map_err(|_| Errno::Io)?.max(total);
                header_read = true;
            }
            // The buffer at most doubles, so that a listing that lies about its length costs nothing.
            if held == bytes.len() && held < total {
                let more = held.min(total - held);
                bytes.try_reserve_exact(more).map_err(|_| Errno::Nomem)?;
                bytes.resize(held + more, 0);
            }
        }
        bytes.truncate(total);
        Ok(bytes)
    }

    /// Adds one entry of a listing, unless there is something of that name already.
    fn add_listed(&mut self, dir: NodeId, entry: &EntryRef<'_>, read_only: bool) -> Result<(), Errno> {
        let hash = hash_name(self.hash_seed, entry.name);
        if let Some(known) = self.directory(dir)?.get(entry.name, hash) {
            // A directory that was only made to hold something takes over what the listing says.
            if let KindRef::Directory(listing) = entry.kind
                && let Kind::Directory(directory) = &mut self.node_mut(known)?.kind
                && directory.implied
            {
                directory.implied = false;
                directory.listing = listing;
                self.node_mut(known)?.times = entry.times;
            }
            return Ok(());
        }
        let kind = match entry.kind {
            KindRef::Directory(listing) => {
                let mut directory = Directory::new(dir);
                directory.listing = listing;
                Kind::Directory(Box::new(directory))
            }
            KindRef::File { blob, offset, size } => Kind::File(Content::of_blob(blob, offset, size)),
            KindRef::Bytes(bytes) => Kind::File(self.content_of(bytes)?),
            KindRef::Symlink(target) => Kind::Symlink { target: target.into(), charged: false },
            KindRef::Stream(stream) => Kind::Stream(stream),
        };
        let node = self.add_node(kind, entry.times, read_only)?;
        let entered = self.directory_mut(dir)?.insert(entry.name, hash, node);
        match entered {
            Ok(()) => {
                self.node_mut(node)?.links = 1;
                self.entries_live = self.entries_live.saturating_add(1);
            }
            Err(_) => self.drop_unused(node),
        }
        entered
    }

    /// A file with these bytes, which are charged but not refused: they were granted.
    pub(super) fn content_of(&mut self, bytes: &[u8]) -> Result<Content, Errno> {
        let mut content = Content::default();
        let max = core::mem::replace(&mut self.budget.max, u64::MAX);
        let written = content.write(&mut self.platform, &mut self.budget, 0, bytes, 0, bytes.len());
        self.budget.max = max;
        if written? < bytes.len() { Err(Errno::Nomem) } else { Ok(content) }
    }

    /// Calls `visit` with the entries of a directory from `cookie` on (0 to begin) until it says false
    /// or there are no more.
    ///
    /// Cookies stay good while entries come and go: no entry that stays is skipped or given twice.
    pub fn visit_dir(
        &mut self,
        dir: NodeId,
        cookie: u64,
        mut visit: impl FnMut(DirEntry<'_>) -> bool,
    ) -> Result<(), Errno> {
        self.list(dir)?;
        let directory = self.directory(dir)?;
        if cookie == 0 {
            let ino = self.node(dir)?.ino;
            if !visit(DirEntry { name: ".", node: dir, ino, kind: FileType::Directory, next: 1 }) {
                return Ok(());
            }
        }
        if cookie <= 1 {
            let parent = directory.parent;
            let ino = self.node(parent)?.ino;
            if !visit(DirEntry { name: "..", node: parent, ino, kind: FileType::Directory, next: 2 }) {
                return Ok(());
            }
        }
        for (name, node, next) in directory.iter_from(cookie) {
            let ino = self.node(node)?.ino;
            let kind = self.kind(node)?;
            if !visit(DirEntry { name, node, ino, kind, next }) {
                break;
            }
        }
        Ok(())
    }

    /// The first entry of a directory at or after `cookie` (0 to begin); `None` at the end.
    pub fn read_dir(&mut self, dir: NodeId, cookie: u64) -> Result<Option<DirEntry<'_>>, Errno> {
        self.list(dir)?;
        let directory = self.directory(dir)?;
        let (name, node, next) = match cookie {
            0 => (".", dir, 1),
            1 => ("..", directory.parent, 2),
            _ => match directory.iter_from(cookie).next() {
                Some(entry) => entry,
                None => return Ok(None),
            },
        };
        let (ino, kind) = (self.node(node)?.ino, self.kind(node)?);
        Ok(Some(DirEntry { name, node, ino, kind, next }))
    }

    /// Levels of directories below this one, as far as they were listed.
    pub(super) fn height(&self, dir: NodeId) -> Result<u32, Errno> {
        let mut height = 0u32;
        let mut level = Vec::from([dir]);
        loop {
            let mut below = Vec::new();
            for dir in level {
                let nodes = self.directory(dir)?.iter_from(0).map(|(_, node, _)| node);
                below.extend(nodes.filter(|node| self.kind(*node) == Ok(FileType::Directory)));
            }
            if below.is_empty() {
                return Ok(height);
            }
            height = height.saturating_add(1);
            level = below;
        }
    }

    /// Begins a walk over everything at and below `node`, parents before children.
    pub fn walk(&self, node: NodeId) -> Walk {
        Walk { start: Some(node), path: String::new(), levels: Vec::new() }
    }

    /// The next step of a walk; `None` at its end. After an error the walk goes on behind what failed.
    pub fn walk_next<'w>(&mut self, walk: &'w mut Walk) -> Result<Option<WalkEntry<'w>>, Errno> {
        if let Some(node) = walk.start.take() {
            let stat = self.stat(node)?;
            if stat.kind == FileType::Directory {
                walk.levels.push(Level { dir: node, cookie: 2, path_len: 0 });
            }
            return Ok(Some(WalkEntry { path: &walk.path, node, stat }));
        }
        while let Some(level) = walk.levels.last_mut() {
            let (dir, cookie, path_len) = (level.dir, level.cookie, level.path_len);
            let entry = match self.read_dir(dir, cookie) {
                Ok(Some(entry)) => entry,
                Ok(None) => {
                    walk.levels.pop();
                    continue;
                }
                Err(errno) => {
                    walk.levels.pop();
                    return Err(errno);
                }
            };
            level.cookie = entry.next;
            walk.path.truncate(path_len);
            if path_len > 0 {
                walk.path.push('/');
            }
            walk.path.push_str(entry.name);
            let node = entry.node;
            let stat = self.stat(node)?;
            if stat.kind == FileType::Directory {
                walk.levels.push(Level { dir: node, cookie: 2, path_len: walk.path.len() });
            }
            return Ok(Some(WalkEntry { path: &walk.path, node, stat }));
        }
        Ok(None)
    }
}

/// Entries of a listing and the bytes of their names, after checking all of it.
fn measure(bytes: &[u8]) -> Result<(usize, usize), image::ImageError> {
    let mut listing = Listing::new(bytes)?;
    let count = listing.left() as usize;
    let mut name_bytes = 0usize;
    while let Some(entry) = listing.next()? {
        name_bytes = name_bytes.saturating_add(entry.name.len());
    }
    Ok((count, name_bytes))
}

/// A position in a walk over a whole tree, see [`Vfs::walk`].
#[derive(Clone, Debug)]
pub struct Walk {
    start: Option<NodeId>,
    path: String,
    levels: Vec<Level>,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    dir: NodeId,
    cookie: u64,
    path_len: usize,
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
