//! The forms in which a tree is handed over: the boot image and directory listings.

use crate::{BlobId, Errno, StreamId, Times};
use alloc::{string::String, vec::Vec};
use weir_types::limits::Quota;

/// Everything a file system starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// What the file system may hold.
    pub quota: Quota,
    /// The directories that the program finds open, in the order of their descriptors from 3 on.
    pub preopens: Vec<Preopen>,
    /// The nodes to create, in this order. Missing parents are created as directories.
    pub nodes: Vec<BootNode>,
}

/// A directory that the program finds open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preopen {
    /// The name under which the program sees it, exactly as given.
    pub name: String,
    /// What it is.
    pub target: PreopenTarget,
}

/// What a preopened directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreopenTarget {
    /// The directory at this path of the tree (`""` or `"/"` is the root); created if missing.
    Tree(String),
    /// A descriptor of the host.
    Host(u32),
}

/// A node to create at boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootNode {
    /// Where in the tree, from its root, without `.` and `..`. The root itself (`""`) may be given a
    /// directory kind.
    pub path: String,
    /// Its timestamps.
    pub times: Times,
    /// Nothing at or below it can be changed (meaningful for directories and files).
    pub read_only: bool,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node of a boot image or an entry of a listing is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory. With a blob, its entries are the listing in that blob, read at first need.
    Directory(Option<BlobId>),
    /// A regular file of `size` bytes, which are those of `blob` from `offset`.
    File {
        /// Where the bytes are.
        blob: BlobId,
        /// Where in the blob they begin.
        offset: u64,
        /// How many they are.
        size: u64,
    },
    /// A regular file with these bytes.
    Bytes(Vec<u8>),
    /// A symbolic link with this target.
    Symlink(String),
    /// A stream.
    Stream(StreamId),
}

/// One entry of a directory listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingEntry {
    /// The name in the directory.
    pub name: String,
    /// Its timestamps.
    pub times: Times,
    /// What it is. [`NodeKind::Bytes`] and [`NodeKind::Stream`] are allowed, too.
    pub kind: NodeKind,
}

impl Image {
    /// The bytes of this image.
    pub fn encode(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Reads an image.
    ///
    /// # Errors
    /// [`Errno::Inval`] for anything that [`Image::encode`] would not have written.
    pub fn decode(_bytes: &[u8]) -> Result<Self, Errno> {
        Err(Errno::Nosys)
    }
}

/// The bytes of a directory listing.
pub fn encode_listing(_entries: &[ListingEntry]) -> Vec<u8> {
    Vec::new()
}

/// Reads a directory listing.
///
/// # Errors
/// [`Errno::Inval`] for anything that [`encode_listing`] would not have written.
pub fn decode_listing(_bytes: &[u8]) -> Result<Vec<ListingEntry>, Errno> {
    Err(Errno::Nosys)
}
