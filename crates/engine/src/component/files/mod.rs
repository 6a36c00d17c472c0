//! The file tree of a component: what wasi:filesystem 0.2 and 0.3 have in common, over one
//! [`Vfs`] per run. Values in, values out; the two adapters beside this file only translate.
//!
//! A descriptor of this tree is never a host file. Its host functions are registered under the very
//! interfaces that wasmtime-wasi generated, so no second version of wasi:filesystem exists in the
//! linker that could answer in its place.

pub(super) mod p2;
pub(super) mod p3;

use super::clocks::SharedClock;
use crate::blobs::Blobs;
use crate::places::Places;
use crate::ports::Ports;
use crate::trace::{Function, Trace};
use crate::uses::{PathUse, absolute};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi::filesystem::{Descriptor as HostDescriptor, WasiFilesystemCtx, WasiFilesystemCtxView};
use weir_vfs::image::{Image, Preopen, PreopenTarget};
use weir_vfs::{BlobId, Errno, FileType, NodeId, OpenHow, Platform, SetTime, Stat, StreamId, Vfs};

/// Bytes moved by one host call at most. A program may ask for more and gets less, so that it cannot
/// size an allocation of the host. Large enough that the call itself does not show.
pub(super) const TRANSFER_BYTES_MAX: usize = 256 << 10;

/// Paths outside everything granted that are remembered for the end of a failed run; a few say enough.
const MISSED_MAX: usize = 3;
/// Bytes of such a path that are kept.
const MISSED_BYTES_MAX: usize = 256;

/// What the tree needs from the run.
pub(crate) struct HostPlatform {
    pub blobs: Blobs,
    clock: SharedClock,
}

impl Platform for HostPlatform {
    type Memory = [u8];
    const CLOCK_IS_CHEAP: bool = true;

    fn now(&mut self) -> u64 {
        self.clock.wall()
    }

    fn blob_read(
        &mut self,
        blob: BlobId,
        offset: u64,
        memory: &mut [u8],
        at: usize,
        len: usize,
    ) -> Result<usize, Errno> {
        let out = memory.get_mut(at..).unwrap_or_default();
        let len = len.min(out.len());
        self.blobs.read(blob.0, offset, &mut out[..len])
    }

    fn blob_load(&mut self, blob: BlobId, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        self.blobs.read(blob.0, offset, out)
    }

    fn hash_seed(&mut self) -> u64 {
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(0u8)
    }
}

/// The tree and how much of it is open.
pub(crate) struct Open {
    pub tree: Vfs<HostPlatform>,
    nodes: u32,
    /// What was done with paths, if the run is observed.
    pub trace: Option<Trace>,
    /// The first paths that were looked for outside everything granted.
    pub missed: Vec<String>,
    /// The root was granted as a directory, so that nothing is outside.
    root_is_granted: bool,
}

impl Open {
    /// Records what was done with the node of a path, if the run is observed.
    fn used(&mut self, path: Option<&str>, act: impl FnOnce(&mut PathUse)) {
        if let (Some(trace), Some(path)) = (&mut self.trace, path) {
            trace.uses.on_path(path.to_owned(), act);
        }
    }

    /// Remembers a path that is not there, if it lies outside everything granted: it is absolute, or seen
    /// from a root that is there for single files alone.
    fn miss(&mut self, dir: NodeId, path: &str) {
        let loose = dir == self.tree.root() && !self.root_is_granted;
        if self.missed.len() >= MISSED_MAX || path.is_empty() || !(loose || path.starts_with('/')) {
            return;
        }
        let path = absolute("/", path.get(..MISSED_BYTES_MAX).unwrap_or(path));
        if !self.missed.contains(&path) {
            self.missed.push(path);
        }
    }
}

/// The file tree of one run, shared by its descriptors and streams.
#[derive(Clone)]
pub(crate) struct Files(Arc<Mutex<Open>>);

impl Files {
    /// The tree that `places` describe.
    pub fn boot(places: &mut Places, clock: SharedClock) -> Result<Self, Errno> {
        let image = std::mem::take(&mut places.image);
        let blobs = Blobs::new(Image::default(), std::mem::take(&mut places.sources), Vec::new());
        let tree = Vfs::boot(HostPlatform { blobs, clock }, &image)?;
        places.image.preopens = image.preopens;
        let root_is_granted = image.nodes.iter().any(|node| node.path.is_empty());
        Ok(Self(Arc::new(Mutex::new(Open { tree, nodes: 0, trace: None, missed: Vec::new(), root_is_granted }))))
    }

    /// The tree, for as long as the guard lives. Never held across a wait.
    pub fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A descriptor of the directory at `path`, for a preopen.
    fn directory(&self, path: &str) -> Result<Descriptor, Errno> {
        let how = OpenHow { follow: true, directory: true, ..OpenHow::default() };
        let mut open = self.lock();
        let root = open.tree.root();
        let path = path.trim_start_matches('/');
        let id = open.tree.open_at(root, if path.is_empty() { "." } else { path }, how)?;
        drop(open);
        let access = Access { read: true, mutate: true, ..Access::default() };
        Ok(Descriptor { node: Arc::new(self.node(id, || absolute("/", path))?), kind: FileType::Directory, access })
    }

    /// Takes over an opened node; `path` is asked for if the run is observed.
    fn node(&self, id: NodeId, path: impl FnOnce() -> String) -> Result<Node, Errno> {
        let mut open = self.lock();
        if open.nodes >= open.tree.quota().open_files_max {
            open.tree.release(id);
            return Err(Errno::Mfile);
        }
        open.nodes += 1;
        let path = open.trace.is_some().then(path);
        Ok(Node { files: self.clone(), id, path })
    }
}

/// An opened node; released when the last descriptor and stream on it are gone.
pub(crate) struct Node {
    files: Files,
    id: NodeId,
    /// The absolute path by which it was opened, if the run is observed.
    path: Option<String>,
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut open = self.files.lock();
        open.nodes -= 1;
        open.tree.release(self.id);
    }
}

impl Node {
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        // The sign of a file offset in POSIX: what is beyond it is no offset.
        if i64::try_from(offset).is_err() {
            return Err(Errno::Inval);
        }
        let len = out.len();
        let mut open = self.files.lock();
        let read = open.tree.read_at(self.id, offset, out, 0, len)?;
        open.used(self.path.as_deref(), |known| known.read(offset, offset.saturating_add(read as u64)));
        Ok(read)
    }

    /// Reads into a buffer that is no larger than what the file has.
    fn read_vec(&self, offset: u64, len: usize) -> Result<Vec<u8>, Errno> {
        if i64::try_from(offset).is_err() {
            return Err(Errno::Inval);
        }
        let mut open = self.files.lock();
        let rest = open.tree.stat(self.id)?.size.saturating_sub(offset);
        let len = usize::try_from(rest).unwrap_or(usize::MAX).min(len).min(TRANSFER_BYTES_MAX);
        let mut bytes = vec![0; len];
        let read = open.tree.read_at(self.id, offset, &mut bytes[..], 0, len)?;
        bytes.truncate(read);
        open.used(self.path.as_deref(), |known| known.read(offset, offset.saturating_add(read as u64)));
        Ok(bytes)
    }

    fn size(&self) -> Result<u64, Errno> {
        Ok(self.files.lock().tree.stat(self.id)?.size)
    }

    /// Writes at `offset`, or at the end; returns how many bytes, at least one of any.
    fn write(&self, offset: Option<u64>, bytes: &[u8]) -> Result<usize, Errno> {
        if offset.is_some_and(|offset| i64::try_from(offset).is_err()) {
            return Err(Errno::Inval);
        }
        let mut open = self.files.lock();
        let written = match offset {
            Some(offset) => open.tree.write_at(self.id, offset, bytes, 0, bytes.len())?,
            None => open.tree.append(self.id, bytes, 0, bytes.len())?.0,
        };
        open.used(self.path.as_deref(), |known| known.written = true);
        if written == 0 && !bytes.is_empty() { Err(Errno::Nospc) } else { Ok(written) }
    }
}

/// What a descriptor was opened for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Access {
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
pub(super) struct OpenFlags {
    pub create: bool,
    pub directory: bool,
    pub exclusive: bool,
    pub truncate: bool,
}

/// An open descriptor of the tree.
#[derive(Clone)]
pub(super) struct Descriptor {
    node: Arc<Node>,
    kind: FileType,
    access: Access,
}

/// Where the bytes of a descriptor are.
pub(super) enum Contents {
    File(Arc<Node>),
    Stream(StreamId),
}

impl Descriptor {
    fn dir(&self) -> Result<&Node, Errno> {
        if self.kind == FileType::Directory { Ok(&self.node) } else { Err(Errno::Notdir) }
    }

    fn file(&self) -> Result<&Arc<Node>, Errno> {
        match self.kind {
            FileType::Directory | FileType::Symlink => Err(Errno::Badf),
            FileType::Stream => Err(Errno::Spipe),
            FileType::File => Ok(&self.node),
        }
    }

    fn contents(&self) -> Result<Contents, Errno> {
        if self.kind != FileType::Stream {
            return self.file().cloned().map(Contents::File);
        }
        let stream = self.node.files.lock().tree.stream(self.node.id);
        stream.map(Contents::Stream).ok_or(Errno::Io)
    }

    /// What to read from.
    pub fn reading(&self) -> Result<Contents, Errno> {
        match self.kind {
            FileType::Directory => Err(Errno::Isdir),
            _ if !self.access.read => Err(Errno::Badf),
            _ => self.contents(),
        }
    }

    /// What to write to.
    pub fn writing(&self) -> Result<Contents, Errno> {
        if self.access.write { self.contents() } else { Err(Errno::Badf) }
    }

    pub fn read(&self, offset: u64, len: u64) -> Result<(Vec<u8>, bool), Errno> {
        let node = self.file()?;
        if !self.access.read {
            return Err(Errno::Badf);
        }
        let bytes = node.read_vec(offset, usize::try_from(len).unwrap_or(usize::MAX))?;
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
        let mut open = node.files.lock();
        open.tree.set_size(node.id, size)?;
        open.used(node.path.as_deref(), |known| known.written = true);
        Ok(())
    }

    pub fn set_times(&self, accessed: SetTime, modified: SetTime) -> Result<(), Errno> {
        self.node.files.lock().tree.set_times(self.node.id, accessed, modified)
    }

    pub fn stat(&self) -> Result<Stat, Errno> {
        self.node.files.lock().tree.stat(self.node.id)
    }

    /// Does something with a path, and records it if the run is observed.
    fn seen<T>(&self, function: &'static str, path: &str, act: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
        let result = act();
        let mut open = self.node.files.lock();
        if let Some(trace) = &mut open.trace {
            let errno = result.as_ref().err().map_or(0, |errno| errno.number());
            trace.touch(Function::Component(function), path, u32::MAX, errno);
        }
        let reads = matches!(function, "open-at" | "stat-at" | "readlink-at" | "read-directory");
        open.used(self.below(path).as_deref(), |known| match &result {
            // What was opened says itself as what.
            Ok(_) if function == "open-at" => {}
            Ok(_) if function == "read-directory" => known.listed += 1,
            Ok(_) if reads => known.asked += 1,
            Ok(_) => known.written = true,
            Err(Errno::Noent) => known.missed += 1,
            Err(_) => {}
        });
        if let Err(Errno::Noent | Errno::Perm) = result {
            open.miss(self.node.id, path);
        }
        drop(open);
        result
    }

    /// The absolute path of a path below this directory, if the run is observed.
    fn below(&self, path: &str) -> Option<String> {
        self.node.path.as_deref().map(|base| absolute(base, path))
    }

    pub fn stat_at(&self, follow: bool, path: &str) -> Result<Stat, Errno> {
        self.seen("stat-at", path, || {
            let dir = self.dir()?;
            check_path(path)?;
            dir.files.lock().tree.stat_at(dir.id, path, follow)
        })
    }

    pub fn set_times_at(&self, follow: bool, path: &str, accessed: SetTime, modified: SetTime) -> Result<(), Errno> {
        self.seen("set-times-at", path, || {
            let dir = self.dir()?;
            check_path(path)?;
            dir.files.lock().tree.set_times_at(dir.id, path, follow, accessed, modified)
        })
    }

    pub fn open_at(&self, follow: bool, path: &str, flags: OpenFlags, asked: Access) -> Result<Self, Errno> {
        self.seen("open-at", path, || {
            let dir = self.dir()?;
            check_path(path)?;
            let OpenFlags { create, directory, exclusive, truncate } = flags;
            if directory && (create || exclusive || truncate) {
                return Err(Errno::Inval);
            }
            // Creating and cutting are writing; what is opened for nothing is opened for reading.
            let write = asked.write || create || truncate;
            let how = OpenHow { follow, create, exclusive: create && exclusive, truncate, directory, write };
            let mut open = dir.files.lock();
            let id = open.tree.open_at(dir.id, path, how)?;
            let kind = open.tree.kind(id);
            drop(open);
            let node = Arc::new(dir.files.node(id, || self.below(path).unwrap_or_default())?);
            let kind = kind?;
            let is_dir = kind == FileType::Directory;
            dir.files.lock().used(node.path.as_deref(), |known| match is_dir {
                true => known.listed += 1,
                false => {
                    known.opened += 1;
                    known.written |= create || truncate;
                }
            });
            let access = Access { read: asked.read || !asked.write, write, mutate: asked.mutate && is_dir, ..asked };
            Ok(Self { node, kind, access })
        })
    }

    pub fn create_dir_at(&self, path: &str) -> Result<(), Errno> {
        self.seen("create-directory-at", path, || {
            let dir = self.dir()?;
            check_path(path)?;
            dir.files.lock().tree.create_dir_at(dir.id, path)
        })
    }

    pub fn remove_dir_at(&self, path: &str) -> Result<(), Errno> {
        self.seen("remove-directory-at", path, || {
            let dir = self.dir()?;
            check_path(path)?;
            let tree = &mut dir.files.lock().tree;
            let removed = tree.remove_dir_at(dir.id, path);
            if removed != Err(Errno::Notdir) || !path.ends_with('/') {
                return removed;
            }
            // Behind a link that leads out, nobody is told what is there.
            let how = OpenHow { follow: true, directory: true, ..OpenHow::default() };
            match tree.open_at(dir.id, path, how) {
                Ok(node) => tree.release(node),
                Err(Errno::Perm) => return Err(Errno::Perm),
                Err(_) => {}
            }
            removed
        })
    }

    pub fn unlink_at(&self, path: &str) -> Result<(), Errno> {
        self.seen("unlink-file-at", path, || {
            let dir = self.dir()?;
            check_path(path)?;
            dir.files.lock().tree.unlink_at(dir.id, path)
        })
    }

    pub fn symlink_at(&self, target: &str, path: &str) -> Result<(), Errno> {
        self.seen("symlink-at", path, || {
            let dir = self.dir()?;
            // A link to an absolute path could only lead out.
            check_path(target)?;
            check_path(path)?;
            dir.files.lock().tree.symlink_at(target, dir.id, path)
        })
    }

    pub fn readlink_at(&self, path: &str) -> Result<String, Errno> {
        self.seen("readlink-at", path, || {
            let dir = self.dir()?;
            check_path(path)?;
            let mut open = dir.files.lock();
            let target = open.tree.readlink_at(dir.id, path)?;
            if target.starts_with('/') { Err(Errno::Perm) } else { Ok(target.to_owned()) }
        })
    }

    pub fn link_at(&self, follow: bool, path: &str, new: &Self, new_path: &str) -> Result<(), Errno> {
        self.seen("link-at", path, || {
            let (old_dir, new_dir) = (self.dir()?, new.dir()?);
            if follow {
                return Err(Errno::Inval);
            }
            check_path(path)?;
            check_path(new_path)?;
            let mut open = old_dir.files.lock();
            open.tree.link_at(old_dir.id, path, false, new_dir.id, new_path)?;
            open.used(new.below(new_path).as_deref(), |known| known.written = true);
            Ok(())
        })
    }

    pub fn rename_at(&self, path: &str, new: &Self, new_path: &str) -> Result<(), Errno> {
        self.seen("rename-at", path, || {
            let (old_dir, new_dir) = (self.dir()?, new.dir()?);
            check_path(path)?;
            check_path(new_path)?;
            let mut open = old_dir.files.lock();
            open.tree.rename_at(old_dir.id, path, new_dir.id, new_path)?;
            open.used(new.below(new_path).as_deref(), |known| known.written = true);
            Ok(())
        })
    }

    pub fn is_same(&self, other: &Self) -> Result<bool, Errno> {
        Ok(self.stat()?.ino == other.stat()?.ino)
    }

    pub fn listing(&self) -> Result<Listing, Errno> {
        self.seen("read-directory", ".", || {
            self.dir()?;
            Ok(Listing { node: self.node.clone(), cookie: 0 })
        })
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
pub(super) struct Listing {
    node: Arc<Node>,
    cookie: u64,
}

impl Listing {
    /// The next entry.
    pub fn next(&mut self) -> Result<Option<(String, FileType)>, Errno> {
        let mut open = self.node.files.lock();
        loop {
            let Some(entry) = open.tree.read_dir(self.node.id, self.cookie)? else { return Ok(None) };
            self.cookie = entry.next;
            if entry.name != "." && entry.name != ".." {
                return Ok(Some((entry.name.to_owned(), entry.kind)));
            }
        }
    }
}

/// 128 bits that name a node. They stand for its identity alone, not for its contents: programs use
/// them as an inode number, which must not change when a file is written.
fn identity_hash(stat: &Stat) -> (u64, u64) {
    let hash = blake3::hash(&stat.ino.to_le_bytes());
    let word = |at: usize| hash.as_bytes()[at..at + 8].iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    (word(0), word(8))
}

/// Nanoseconds since 1970 of a timestamp; nothing before that and beyond the year 2554.
fn nanoseconds(seconds: u64, nanoseconds: u32) -> Result<u64, Errno> {
    seconds.checked_mul(1_000_000_000).and_then(|time| time.checked_add(nanoseconds.into())).ok_or(Errno::Overflow)
}

/// What the host functions of wasi:filesystem work on: the tree, and wasmtime-wasi's own file system
/// for directories of the host that were granted.
pub(crate) struct FilesView<'a> {
    pub files: &'a Files,
    pub preopens: &'a [Preopen],
    pub ports: &'a Arc<Ports>,
    pub table: &'a mut ResourceTable,
    pub host: &'a mut WasiFilesystemCtx,
}

/// Names [`FilesView`] to the linker.
pub(crate) struct WeirFiles;

impl HasData for WeirFiles {
    type Data<'a> = FilesView<'a>;
}

impl FilesView<'_> {
    fn host(&mut self) -> WasiFilesystemCtxView<'_> {
        WasiFilesystemCtxView { ctx: self.host, table: self.table }
    }

    /// The descriptor behind `resource` if it is one of the tree; otherwise it is the host's, and
    /// whoever asks hands the call on to wasmtime-wasi (which also refuses what is neither).
    fn tree(&self, resource: &Resource<HostDescriptor>) -> Option<Descriptor> {
        self.table.get(&Resource::<Descriptor>::new_borrow(resource.rep())).ok().cloned()
    }

    fn push(&mut self, descriptor: Descriptor) -> wasmtime::Result<Resource<HostDescriptor>> {
        Ok(Resource::new_own(self.table.push(descriptor)?.rep()))
    }

    /// Removes a descriptor of the tree; false if it is the host's.
    fn remove(&mut self, resource: &Resource<HostDescriptor>) -> wasmtime::Result<bool> {
        if self.tree(resource).is_none() {
            return Ok(false);
        }
        self.table.delete(Resource::<Descriptor>::new_own(resource.rep()))?;
        Ok(true)
    }

    /// The preopened directories in the order of the grants.
    fn directories(
        &mut self,
        host: Vec<(Resource<HostDescriptor>, String)>,
    ) -> wasmtime::Result<Vec<(Resource<HostDescriptor>, String)>> {
        let mut host = host.into_iter();
        let mut directories = Vec::with_capacity(self.preopens.len());
        for preopen in self.preopens {
            match &preopen.target {
                PreopenTarget::Host(_) => directories.extend(host.next()),
                PreopenTarget::Tree(path) => {
                    let descriptor = self.files.directory(path).map_err(|errno| {
                        wasmtime::Error::msg(format!("cannot open the granted directory {}: {errno}", preopen.name))
                    })?;
                    directories.push((self.push(descriptor)?, preopen.name.clone()));
                }
            }
        }
        Ok(directories)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_types::grants::Clock;
    use weir_vfs::Times;
    use weir_vfs::image::{BootNode, NodeKind};

    /// `/open` can be written, `/fixed` cannot; both have a file `a` with the text `text`.
    fn files() -> Files {
        let node = |path: &str, read_only: bool, kind: NodeKind| BootNode {
            path: path.into(),
            times: Times::default(),
            read_only,
            kind,
        };
        let nodes = vec![
            node("open", false, NodeKind::Directory(None)),
            node("open/a", false, NodeKind::Bytes(b"text".to_vec())),
            node("open/deep", false, NodeKind::Directory(None)),
            node("fixed", true, NodeKind::Directory(None)),
            node("fixed/a", true, NodeKind::Bytes(b"text".to_vec())),
            node("outside", false, NodeKind::Bytes(b"secret".to_vec())),
        ];
        let mut places = Places {
            image: Image { nodes, ..Image::default() },
            sources: Vec::new(),
            references: Vec::new(),
            streams: Vec::new(),
            host_dirs: Vec::new(),
        };
        Files::boot(&mut places, SharedClock::new(Clock::Fixed(1_000_000_000))).unwrap()
    }

    const READ: Access =
        Access { read: true, write: false, mutate: false, file_sync: false, data_sync: false, read_sync: false };
    const READ_WRITE: Access = Access { write: true, ..READ };
    const OLD: OpenFlags = OpenFlags { create: false, directory: false, exclusive: false, truncate: false };

    /// Whether opening fails with one of these.
    fn refuses(dir: &Descriptor, path: &str, flags: OpenFlags, access: Access, errnos: &[Errno]) {
        for follow in [false, true] {
            let result = dir.open_at(follow, path, flags, access).map(|_| ());
            assert!(result.is_err_and(|errno| errnos.contains(&errno)), "{path} {follow} {result:?}");
        }
    }

    #[test]
    fn ghsa_vqjp_4c8c_hfgg_a_trailing_slash_leads_nowhere_else() {
        let dir = files().directory("open").unwrap();
        dir.symlink_at("..", "up").unwrap();
        dir.symlink_at("../outside", "file").unwrap();
        dir.symlink_at("deep/../..", "winding").unwrap();
        const OUT: &[Errno] = &[Errno::Perm, Errno::Notcapable, Errno::Notdir, Errno::Loop];
        for path in ["up/", "up//", "up/.", "file/", "winding/", "../", "up/outside", "deep/../../outside", "/open/a"] {
            refuses(&dir, path, OLD, READ, OUT);
            assert!(dir.stat_at(true, path).is_err(), "{path}");
            assert!(dir.readlink_at(path).is_err(), "{path}");
            assert!(dir.unlink_at(path).is_err() && dir.remove_dir_at(path).is_err(), "{path}");
            assert!(dir.create_dir_at(&format!("{path}/new")).is_err(), "{path}");
            assert!(dir.link_at(false, path, &dir, "new").is_err(), "{path}");
            assert!(dir.rename_at("a", &dir, &format!("{path}/new")).is_err(), "{path}");
        }
        for path in ["up/", "up//", "file/", "winding/"] {
            assert_eq!(dir.remove_dir_at(path), Err(Errno::Perm), "{path}");
        }
        dir.symlink_at("deep", "inside").unwrap();
        assert_eq!((dir.remove_dir_at("inside/"), dir.remove_dir_at("a/")), (Err(Errno::Notdir), Err(Errno::Notdir)));
        assert_eq!(dir.symlink_at("/outside", "absolute"), Err(Errno::Perm));
        assert_eq!(files().directory("").unwrap().stat_at(false, "outside").unwrap().size, 6);
    }

    #[test]
    fn ghsa_4ch3_9j33_3pmj_nothing_is_linked_or_moved_into_or_out_of_what_is_fixed() {
        let files = files();
        let (open, fixed) = (files.directory("open").unwrap(), files.directory("fixed").unwrap());
        const FIXED: &[Errno] = &[Errno::Rofs, Errno::Perm, Errno::Xdev];
        for result in [
            fixed.link_at(false, "a", &open, "b"),
            open.link_at(false, "a", &fixed, "b"),
            fixed.link_at(false, "a", &fixed, "b"),
            fixed.rename_at("a", &open, "b"),
            open.rename_at("a", &fixed, "b"),
            fixed.rename_at("a", &fixed, "b"),
            fixed.create_dir_at("b"),
            fixed.symlink_at("a", "b"),
            fixed.unlink_at("a"),
            fixed.set_times_at(false, "a", SetTime::Now, SetTime::Now),
        ] {
            assert!(result.is_err_and(|errno| FIXED.contains(&errno)), "{result:?}");
        }
        assert_eq!(open.stat_at(false, "b").map(|_| ()), Err(Errno::Noent));
        assert_eq!(fixed.stat_at(false, "a").unwrap().links, 1);
    }

    #[test]
    fn ghsa_2r75_cxrj_cmph_cutting_needs_the_right_to_write() {
        let files = files();
        let fixed = files.directory("fixed").unwrap();
        let cut = OpenFlags { truncate: true, ..OLD };
        for access in [READ, READ_WRITE, Access::default()] {
            refuses(&fixed, "a", cut, access, &[Errno::Rofs, Errno::Perm]);
        }
        refuses(&fixed, "b", OpenFlags { create: true, ..OLD }, READ, &[Errno::Rofs, Errno::Perm]);
        let kept = fixed.open_at(false, "a", OLD, READ).unwrap();
        assert_eq!(kept.set_size(0), Err(Errno::Inval));
        assert_eq!(kept.read(0, 100), Ok((b"text".to_vec(), false)));
        let open = files.directory("open").unwrap();
        let only_read = open.open_at(false, "a", OLD, READ).unwrap();
        assert_eq!((only_read.set_size(0), only_read.write(0, b"x")), (Err(Errno::Inval), Err(Errno::Badf)));
        // Asking to cut is asking to write.
        assert!(open.open_at(false, "a", cut, READ).unwrap().access().write);
    }

    #[test]
    fn ghsa_x84v_gj2h_g759_a_read_allocates_no_more_than_there_is() {
        let dir = files().directory("open").unwrap();
        let file = dir.open_at(false, "a", OLD, READ_WRITE).unwrap();
        assert_eq!(file.read(0, u64::MAX), Ok((b"text".to_vec(), false)));
        assert_eq!(file.read(4, u64::MAX), Ok((Vec::new(), true)));
        assert_eq!((file.read(0, 0), file.read(4, 0)), (Ok((Vec::new(), false)), Ok((Vec::new(), true))));
        assert_eq!(file.read(u64::MAX, 1), Err(Errno::Inval));
        // A file of a terabyte of holes is read in bounded pieces.
        file.set_size(1 << 40).unwrap();
        assert_eq!(file.read(8, u64::MAX).unwrap().0.len(), TRANSFER_BYTES_MAX);
    }

    #[test]
    fn what_is_looked_for_outside_the_grants_is_remembered() {
        let files = files();
        let (root, open) = (files.directory("").unwrap(), files.directory("open").unwrap());
        for (dir, path) in [(&root, "tmp/x"), (&root, "tmp/x"), (&open, "none"), (&open, "/etc/y"), (&open, "a")] {
            let _ = dir.stat_at(true, path);
        }
        assert_eq!(files.lock().missed, ["/tmp/x", "/etc/y"]);
    }

    #[test]
    fn what_an_observed_run_does_with_files_is_recorded() {
        let files = files();
        files.lock().trace = Some(Trace::default());
        let dir = files.directory("open").unwrap();
        let file = dir.open_at(false, "a", OLD, READ).unwrap();
        file.read(1, 2).unwrap();
        dir.open_at(false, "deep/../deep", OLD, READ).unwrap();
        dir.listing().unwrap();
        dir.stat_at(false, "a").unwrap();
        dir.stat_at(false, "none").unwrap_err();
        let new = dir.open_at(false, "new", OpenFlags { create: true, ..OLD }, READ_WRITE).unwrap();
        new.write(0, b"x").unwrap();
        dir.rename_at("new", &dir, "deep/moved").unwrap();
        let trace = files.lock().trace.take().unwrap();
        let used = |path: &str| trace.uses.paths[path].clone();
        let read = PathUse { opened: 1, asked: 1, reads: vec![(1, 3)], ..PathUse::default() };
        assert_eq!(used("/open/a"), read);
        assert_eq!(used("/open/deep"), PathUse { listed: 1, ..PathUse::default() });
        assert_eq!(used("/open"), PathUse { listed: 1, ..PathUse::default() });
        assert_eq!(used("/open/none"), PathUse { missed: 1, ..PathUse::default() });
        assert_eq!(used("/open/new"), PathUse { opened: 1, written: true, ..PathUse::default() });
        assert!(used("/open/deep/moved").written);
    }

    #[test]
    fn descriptors_are_counted_and_given_back() {
        let files = files();
        let most = files.lock().tree.quota().open_files_max as usize;
        let dir = files.directory("open").unwrap();
        let held: Vec<_> = (1..most).map(|_| dir.open_at(false, "a", OLD, READ).unwrap()).collect();
        assert_eq!(dir.open_at(false, "a", OLD, READ).map(|_| ()), Err(Errno::Mfile));
        let copy = held[0].clone();
        drop(held);
        assert_eq!(files.lock().nodes, 2);
        drop(copy);
        assert!(dir.open_at(false, "a", OLD, READ).is_ok());
        assert_eq!(files.lock().nodes, 1);
    }
}
