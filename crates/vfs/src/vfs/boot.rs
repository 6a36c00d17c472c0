//! The start from a boot image. Nothing here reads a listing: what is laid over a mounted directory waits
//! there until the directory is listed.

use super::{Kind, NodeId, ROOT, Vfs};
use crate::content::Content;
use crate::directory::{Directory, hash_name};
use crate::image::{BootNode, Image, NodeKind, is_name};
use crate::{BlobId, Errno, Platform};
use alloc::{boxed::Box, vec::Vec};

/// A boot image longer than this is refused: it holds small files only, the others are blobs.
const IMAGE_BYTES_MAX: usize = 256 * 1024 * 1024;

impl<P: Platform> Vfs<P> {
    /// A file system with the tree of `image`.
    ///
    /// # Errors
    /// `EINVAL` for a path with `..` or NUL in it, `ENOTDIR` and `EISDIR` for nodes that contradict one
    /// another, `ENOSPC` for more nodes than the image's own quota allows.
    pub fn boot(platform: P, image: &Image) -> Result<Self, Errno> {
        let mut vfs = Self::new(platform, image.quota);
        for node in &image.nodes {
            vfs.boot_node(node)?;
        }
        Ok(vfs)
    }

    /// The directory at `path` from the root, made if there is nothing; for preopened directories.
    ///
    /// # Errors
    /// `EINVAL` for a path with `..` or NUL in it, `ENOTDIR` where it leads over something else.
    pub fn boot_directory(&mut self, path: &str) -> Result<NodeId, Errno> {
        let mut dir = ROOT;
        for name in path.split('/').filter(|name| !matches!(*name, "" | ".")) {
            dir = self.boot_child(dir, name)?;
        }
        Ok(dir)
    }

    /// The directory of this name, made if there is nothing.
    fn boot_child(&mut self, dir: NodeId, name: &str) -> Result<NodeId, Errno> {
        if !is_name(name) {
            return Err(Errno::Inval);
        }
        let hash = hash_name(self.hash_seed, name);
        if let Some(known) = self.directory(dir)?.get(name, hash) {
            self.directory(known)?;
            return Ok(known);
        }
        let mut directory = Directory::new(dir);
        directory.implied = true;
        let times = self.node(dir)?.times;
        let read_only = self.is_read_only(dir);
        let node = self.add_node(Kind::Directory(Box::new(directory)), times, read_only)?;
        self.boot_enter(dir, name, node)?;
        Ok(node)
    }

    /// Adds an entry without changing the times of the directory.
    fn boot_enter(&mut self, dir: NodeId, name: &str, node: NodeId) -> Result<(), Errno> {
        let times = self.node(dir)?.times;
        let hash = hash_name(self.hash_seed, name);
        self.enter(dir, name, hash, node, times.modified)?;
        self.node_mut(dir)?.times = times;
        Ok(())
    }

    fn boot_node(&mut self, boot: &BootNode) -> Result<(), Errno> {
        let path = boot.path.trim_matches('/');
        if let NodeKind::Directory(listing) = boot.kind {
            return self.boot_listed(path, listing, boot);
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if !is_name(name) {
            return Err(Errno::Inval);
        }
        let dir = self.boot_directory(parent)?;
        let hash = hash_name(self.hash_seed, name);
        if let Some(known) = self.directory(dir)?.get(name, hash) {
            if self.directory(known).is_ok() {
                return Err(Errno::Isdir);
            }
            self.directory_mut(dir)?.remove(name, hash);
            self.entries_live = self.entries_live.saturating_sub(1);
            self.node_mut(known)?.links = 0;
            self.drop_unused(known);
        }
        let kind = match &boot.kind {
            NodeKind::Directory(_) => return Err(Errno::Isdir),
            NodeKind::File { blob, offset, size } => Kind::File(Content::of_blob(*blob, *offset, *size)),
            NodeKind::Bytes(bytes) => Kind::File(self.content_of(bytes)?),
            NodeKind::Symlink(target) => Kind::Symlink { target: target.as_str().into(), charged: false },
            NodeKind::Stream(stream) => Kind::Stream(*stream),
        };
        let read_only = boot.read_only && !matches!(kind, Kind::Stream(_));
        let node = self.add_node(kind, boot.times, read_only)?;
        self.boot_enter(dir, name, node)
    }

    fn boot_listed(&mut self, path: &str, listing: Option<BlobId>, boot: &BootNode) -> Result<(), Errno> {
        let dir = self.boot_directory(path)?;
        let directory = self.directory_mut(dir)?;
        directory.implied = false;
        directory.listing = listing;
        let node = self.node_mut(dir)?;
        node.times = boot.times;
        node.read_only = boot.read_only;
        Ok(())
    }
}

/// Reads the whole boot image out of a blob.
///
/// # Errors
/// What the platform says, `EIO` for bytes that are no image.
pub fn load_image<P: Platform>(platform: &mut P, blob: BlobId) -> Result<Image, Errno> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut held = 0;
    loop {
        if held == bytes.len() {
            let more = held.clamp(64 * 1024, IMAGE_BYTES_MAX.saturating_sub(held).max(64 * 1024));
            if held >= IMAGE_BYTES_MAX {
                return Err(Errno::Fbig);
            }
            bytes.try_reserve_exact(more).map_err(|_| Errno::Nomem)?;
            bytes.resize(held + more, 0);
        }
        let Some(rest) = bytes.get_mut(held..) else { return Err(Errno::Io) };
        let room = rest.len();
        match platform.blob_load(blob, held as u64, rest)? {
            0 => break,
            read => held += read.min(room),
        }
    }
    Image::decode(bytes.get(..held).unwrap_or_default()).map_err(|_| Errno::Io)
}
