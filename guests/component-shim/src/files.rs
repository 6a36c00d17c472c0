//! Opened nodes: what wasi:filesystem 0.2 and 0.3 have in common. Values in, values out; `p2` and `p3` only
//! translate. It says the same as the host's own implementation for components (crates/engine).

use crate::state::with;
use alloc::borrow::ToOwned;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use weir_vfs::image::PreopenTarget;
use weir_vfs::{Errno, FileType, NodeId, OpenHow, SetTime, Stat};

/// Bytes moved by one call at most. A program may ask for more and gets less. Large enough that the call
/// itself does not show.
pub const TRANSFER_BYTES_MAX: usize = 256 << 10;

/// The directories that the program finds open, with their names.
pub fn preopens() -> Vec<(Descriptor, String)> {
    let named = with(|open| open.preopens.clone());
    let tree = named.into_iter().filter_map(|preopen| match preopen.target {
        PreopenTarget::Tree(path) => Some((preopen.name, path)),
        // A pack has no directories of a host.
        PreopenTarget::Host(_) => None,
    });
    // What cannot be opened is not there: packing sees to it that everything can.
    tree.filter_map(|(name, path)| directory(&path).ok().map(|descriptor| (descriptor, name))).collect()
}

fn directory(path: &str) -> Result<Descriptor, Errno> {
    let how = OpenHow { follow: true, directory: true, ..OpenHow::default() };
    let path = path.trim_start_matches('/');
    let node = Node::open(|tree| {
        let root = tree.root();
        tree.open_at(root, if path.is_empty() { "." } else { path }, how)
    })?;
    let access = Access { read: true, mutate: true, ..Access::default() };
    Ok(Descriptor { node: Rc::new(node), kind: FileType::Directory, access })
}

type Tree = weir_vfs::Vfs<crate::state::Inside>;

fn tree<R>(act: impl FnOnce(&mut Tree) -> R) -> R {
    with(|open| act(&mut open.tree))
}

/// An opened node; released when the last descriptor and stream on it are gone.
pub struct Node {
    id: NodeId,
}

impl Drop for Node {
    fn drop(&mut self) {
        with(|open| {
            open.nodes = open.nodes.saturating_sub(1);
            open.tree.release(self.id);
        });
    }
}

impl Node {
    fn open(act: impl FnOnce(&mut Tree) -> Result<NodeId, Errno>) -> Result<Self, Errno> {
        with(|open| {
            let id = act(&mut open.tree)?;
            if open.nodes >= open.tree.quota().open_files_max {
                open.tree.release(id);
                return Err(Errno::Mfile);
            }
            open.nodes += 1;
            Ok(Self { id })
        })
    }

    /// Reads into a buffer that is no larger than what the file has.
    pub fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, Errno> {
        // The sign of a file offset in POSIX: what is beyond it is no offset.
        if i64::try_from(offset).is_err() {
            return Err(Errno::Inval);
        }
        tree(|tree| {
            let rest = tree.size(self.id)?.saturating_sub(offset);
            let len = usize::try_from(rest).unwrap_or(usize::MAX).min(len).min(TRANSFER_BYTES_MAX);
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(len).map_err(|_| Errno::Nomem)?;
            bytes.resize(len, 0);
            let read = tree.read_at(self.id, offset, &mut bytes[..], 0, len)?;
            bytes.truncate(read);
            Ok(bytes)
        })
    }

    /// How many bytes the file has.
    pub fn size(&self) -> Result<u64, Errno> {
        tree(|tree| tree.size(self.id))
    }

    /// Writes at `offset`, or at the end; returns how many bytes, at least one of any.
    pub fn write(&self, offset: Option<u64>, bytes: &[u8]) -> Result<usize, Errno> {
        if offset.is_some_and(|offset| i64::try_from(offset).is_err()) {
            return Err(Errno::Inval);
        }
        let written = tree(|tree| match offset {
            Some(offset) => tree.write_at(self.id, offset, bytes, 0, bytes.len()),
            None => tree.append(self.id, bytes, 0, bytes.len()).map(|(written, _)| written),
        })?;
        if written == 0 && !bytes.is_empty() { Err(Errno::Nospc) } else { Ok(written) }
    }
}

/// What a descriptor was opened for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    pub read: bool,
    pub write: bool,
    /// Asked for on a directory. Reported, not enforced: programs in the wild do not ask for it.
    pub mutate: bool,
    /// Kept because a program may ask for it back; a tree in memory is always in sync.
    pub file_sync: bool,
    pub data_sync: bool,
    pub read_sync: bool,
}

/// `open-flags`.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenFlags {
    pub create: bool,
    pub directory: bool,
    pub exclusive: bool,
    pub truncate: bool,
}

/// An open descriptor of the tree.
#[derive(Clone)]
pub struct Descriptor {
    node: Rc<Node>,
    kind: FileType,
    access: Access,
}

impl Descriptor {
    fn dir(&self) -> Result<&Node, Errno> {
        if self.kind == FileType::Directory { Ok(&self.node) } else { Err(Errno::Notdir) }
    }

    fn file(&self) -> Result<&Rc<Node>, Errno> {
        match self.kind {
            FileType::Directory | FileType::Symlink => Err(Errno::Badf),
            FileType::Stream => Err(Errno::Spipe),
            FileType::File => Ok(&self.node),
        }
    }

    /// What to read from.
    pub fn reading(&self) -> Result<Rc<Node>, Errno> {
        match self.kind {
            FileType::Directory => Err(Errno::Isdir),
            _ if !self.access.read => Err(Errno::Badf),
            _ => self.contents(),
        }
    }

    /// What to write to.
    pub fn writing(&self) -> Result<Rc<Node>, Errno> {
        if self.access.write { self.contents() } else { Err(Errno::Badf) }
    }

    fn contents(&self) -> Result<Rc<Node>, Errno> {
        match self.kind {
            // A pack's tree has no streams in it: who mapped them is not there any more.
            FileType::Stream => Err(Errno::Nxio),
            _ => self.file().cloned(),
        }
    }

    pub fn read(&self, offset: u64, len: u64) -> Result<(Vec<u8>, bool), Errno> {
        let node = self.file()?;
        if !self.access.read {
            return Err(Errno::Badf);
        }
        let bytes = node.read(offset, usize::try_from(len).unwrap_or(usize::MAX))?;
        let at_end = bytes.is_empty() && (len > 0 || offset >= node.size()?);
        Ok((bytes, at_end))
    }

    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<u64, Errno> {
        let node = self.file()?;
        if !self.access.write {
            return Err(Errno::Badf);
        }
        Ok(node.write(Some(offset), bytes)? as u64)
    }

    pub fn advise(&self) -> Result<(), Errno> {
        self.file().map(|_| ())
    }

    pub fn kind(&self) -> FileType {
        self.kind
    }

    pub fn access(&self) -> Access {
        self.access
    }

    pub fn set_size(&self, size: u64) -> Result<(), Errno> {
        let node = self.file()?;
        if !self.access.write || i64::try_from(size).is_err() {
            return Err(Errno::Inval);
        }
        tree(|tree| tree.set_size(node.id, size))
    }

    pub fn set_times(&self, accessed: SetTime, modified: SetTime) -> Result<(), Errno> {
        tree(|tree| tree.set_times(self.node.id, accessed, modified))
    }

    pub fn stat(&self) -> Result<Stat, Errno> {
        tree(|tree| tree.stat(self.node.id))
    }

    pub fn stat_at(&self, follow: bool, path: &str) -> Result<Stat, Errno> {
        let dir = self.dir()?;
        check_path(path)?;
        tree(|tree| tree.stat_at(dir.id, path, follow))
    }

    pub fn set_times_at(&self, follow: bool, path: &str, accessed: SetTime, modified: SetTime) -> Result<(), Errno> {
        let dir = self.dir()?;
        check_path(path)?;
        tree(|tree| tree.set_times_at(dir.id, path, follow, accessed, modified))
    }

    pub fn open_at(&self, follow: bool, path: &str, flags: OpenFlags, asked: Access) -> Result<Self, Errno> {
        let dir = self.dir()?;
        check_path(path)?;
        let OpenFlags { create, directory, exclusive, truncate } = flags;
        if directory && (create || exclusive || truncate) {
            return Err(Errno::Inval);
        }
        // Creating and cutting are writing; what is opened for nothing is opened for reading.
        let write = asked.write || create || truncate;
        let how = OpenHow { follow, create, exclusive: create && exclusive, truncate, directory, write };
        let node = Rc::new(Node::open(|tree| tree.open_at(dir.id, path, how))?);
        let kind = tree(|tree| tree.kind(node.id))?;
        let is_dir = kind == FileType::Directory;
        let access = Access { read: asked.read || !asked.write, write, mutate: asked.mutate && is_dir, ..asked };
        Ok(Self { node, kind, access })
    }

    pub fn create_dir_at(&self, path: &str) -> Result<(), Errno> {
        let dir = self.dir()?;
        check_path(path)?;
        tree(|tree| tree.create_dir_at(dir.id, path))
    }

    pub fn remove_dir_at(&self, path: &str) -> Result<(), Errno> {
        let dir = self.dir()?;
        check_path(path)?;
        tree(|tree| tree.remove_dir_at(dir.id, path))
    }

    pub fn unlink_at(&self, path: &str) -> Result<(), Errno> {
        let dir = self.dir()?;
        check_path(path)?;
        tree(|tree| tree.unlink_at(dir.id, path))
    }

    pub fn symlink_at(&self, target: &str, path: &str) -> Result<(), Errno> {
        let dir = self.dir()?;
        // A link to an absolute path could only lead out.
        check_path(target)?;
        check_path(path)?;
        tree(|tree| tree.symlink_at(target, dir.id, path))
    }

    pub fn readlink_at(&self, path: &str) -> Result<String, Errno> {
        let dir = self.dir()?;
        check_path(path)?;
        tree(|tree| {
            let target = tree.readlink_at(dir.id, path)?;
            if target.starts_with('/') { Err(Errno::Perm) } else { Ok(target.to_owned()) }
        })
    }

    pub fn link_at(&self, follow: bool, path: &str, new: &Self, new_path: &str) -> Result<(), Errno> {
        let (old_dir, new_dir) = (self.dir()?, new.dir()?);
        if follow {
            return Err(Errno::Inval);
        }
        check_path(path)?;
        check_path(new_path)?;
        tree(|tree| tree.link_at(old_dir.id, path, false, new_dir.id, new_path))
    }

    pub fn rename_at(&self, path: &str, new: &Self, new_path: &str) -> Result<(), Errno> {
        let (old_dir, new_dir) = (self.dir()?, new.dir()?);
        check_path(path)?;
        check_path(new_path)?;
        tree(|tree| tree.rename_at(old_dir.id, path, new_dir.id, new_path))
    }

    pub fn is_same(&self, other: &Self) -> Result<bool, Errno> {
        Ok(self.stat()?.ino == other.stat()?.ino)
    }

    pub fn listing(&self) -> Result<Listing, Errno> {
        self.dir()?;
        Ok(Listing { node: self.node.clone(), cookie: 0 })
    }
}

/// An absolute path is never below a descriptor, an empty one names nothing.
fn check_path(path: &str) -> Result<(), Errno> {
    match path.as_bytes() {
        [] => Err(Errno::Noent),
        [b'/', ..] => Err(Errno::Perm),
        bytes if bytes.contains(&0) => Err(Errno::Inval),
        _ => Ok(()),
    }
}

/// A walk over the entries of a directory, without `.` and `..`.
pub struct Listing {
    node: Rc<Node>,
    cookie: u64,
}

impl Listing {
    /// The next entry.
    pub fn next(&mut self) -> Result<Option<(String, FileType)>, Errno> {
        tree(|tree| {
            loop {
                let Some(entry) = tree.read_dir(self.node.id, self.cookie)? else { return Ok(None) };
                self.cookie = entry.next;
                if entry.name != "." && entry.name != ".." {
                    return Ok(Some((entry.name.to_owned(), entry.kind)));
                }
            }
        })
    }
}

/// 128 bits that name a node. They stand for its identity alone, not for its contents: programs use
/// them as an inode number, which must not change when a file is written.
pub fn identity_hash(stat: &Stat) -> (u64, u64) {
    // The finalizer of SplitMix64: neighbouring numbers give unlike ones, and no two give the same.
    let mix = |number: u64| {
        let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ number >> 31
    };
    let lower = mix(stat.ino.wrapping_add(0x9e37_79b9_7f4a_7c15));
    (lower, mix(lower.wrapping_add(0x9e37_79b9_7f4a_7c15)))
}

/// Nanoseconds since 1970 of a timestamp; nothing before that and beyond the year 2554.
pub fn nanoseconds(seconds: u64, nanoseconds: u32) -> Result<u64, Errno> {
    seconds.checked_mul(1_000_000_000).and_then(|time| time.checked_add(nanoseconds.into())).ok_or(Errno::Overflow)
}
