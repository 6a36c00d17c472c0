//! The forms in which a tree is handed over: the boot image and directory listings.
//!
//! Both are little-endian records behind a magic number that carries the version. Reading checks every
//! length against what is there before it allocates, and every name against what a directory may hold,
//! so that bytes of any origin give a tree or an [`ImageError`].

use crate::{BlobId, StreamId, Times};
use alloc::{string::String, vec::Vec};
use core::fmt;
use weir_types::limits::Quota;

const IMAGE_MAGIC: &[u8; 8] = b"weirimg\x01";
const LISTING_MAGIC: &[u8; 8] = b"weirdir\x01";
/// Magic number, length of the whole listing, number of entries.
pub(crate) const LISTING_HEADER_BYTES: usize = 8 + 8 + 4;

/// Everything a file system starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// What the file system may hold.
    pub quota: Quota,
    /// The directories that the program finds open, in the order of their descriptors from 3 on.
    pub preopens: Vec<Preopen>,
    /// The nodes to create, in this order. Missing parents are created as directories. A later node
    /// replaces an earlier one of the same path, unless that is a directory; a directory takes what is
    /// already below it and hides what its listing has of the same name.
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
    /// Where in the tree, from its root; without `..`. The root itself (`""`) may be given a directory
    /// kind.
    pub path: String,
    /// Its timestamps.
    pub times: Times,
    /// Nothing at or below it can be changed (`EROFS`). Means nothing for streams.
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
    /// What it is.
    pub kind: NodeKind,
}

/// Bytes that are no image or no listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageError {
    /// Where in the bytes.
    pub offset: usize,
    /// What should have been there.
    pub expected: &'static str,
}

impl fmt::Display for ImageError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "byte {}: expected {}; the image was written by another version or is damaged",
            self.offset, self.expected
        )
    }
}

impl core::error::Error for ImageError {}

impl Image {
    /// Lays another image over this one: its quota, its nodes behind those that are here, and its preopened
    /// directories in place of those of the same names.
    pub fn lay_over(&mut self, over: Image) {
        self.quota = over.quota;
        self.nodes.extend(over.nodes);
        for preopen in over.preopens {
            match self.preopens.iter_mut().find(|known| known.name == preopen.name) {
                Some(known) => *known = preopen,
                None => self.preopens.push(preopen),
            }
        }
    }

    /// The bytes of this image.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::from(IMAGE_MAGIC));
        let quota = &self.quota;
        out.u64(quota.bytes_max);
        out.u64(quota.inodes_max);
        out.u32(quota.open_files_max);
        out.u32(quota.path_bytes_max);
        out.u32(quota.name_bytes_max);
        out.u32(quota.depth_max);
        out.u32(quota.symlinks_max);
        out.u64(quota.file_size_max);
        out.u32(self.preopens.len() as u32);
        for preopen in &self.preopens {
            out.bytes(preopen.name.as_bytes());
            match &preopen.target {
                PreopenTarget::Tree(path) => {
                    out.u8(0);
                    out.bytes(path.as_bytes());
                }
                PreopenTarget::Host(fd) => {
                    out.u8(1);
                    out.u32(*fd);
                }
            }
        }
        out.u32(self.nodes.len() as u32);
        for node in &self.nodes {
            out.bytes(node.path.as_bytes());
            out.times(node.times);
            out.u8(u8::from(node.read_only));
            out.kind(&node.kind);
        }
        out.0
    }

    /// Reads an image.
    ///
    /// # Errors
    /// Anything that [`Image::encode`] would not have written, with the place.
    pub fn decode(bytes: &[u8]) -> Result<Self, ImageError> {
        let mut from = Reader { bytes, offset: 0 };
        from.magic(IMAGE_MAGIC)?;
        let quota = Quota {
            bytes_max: from.u64()?,
            inodes_max: from.u64()?,
            open_files_max: from.u32()?,
            path_bytes_max: from.u32()?,
            name_bytes_max: from.u32()?,
            depth_max: from.u32()?,
            symlinks_max: from.u32()?,
            file_size_max: from.u64()?,
        };
        let mut image = Self { quota, ..Self::default() };
        for _ in 0..from.u32()? {
            let name = String::from(from.text()?);
            let target = match from.u8()? {
                0 => PreopenTarget::Tree(String::from(from.text()?)),
                1 => PreopenTarget::Host(from.u32()?),
                _ => return Err(from.expected("a kind of preopened directory")),
            };
            image.preopens.push(Preopen { name, target });
        }
        for _ in 0..from.u32()? {
            let path = String::from(from.text()?);
            let times = from.times()?;
            let read_only = match from.u8()? {
                flag @ 0..=1 => flag == 1,
                _ => return Err(from.expected("0 or 1")),
            };
            let kind = from.kind()?.to_owned();
            image.nodes.push(BootNode { path, times, read_only, kind });
        }
        from.end()?;
        Ok(image)
    }
}

/// The bytes of a directory listing.
pub fn encode_listing(entries: &[ListingEntry]) -> Vec<u8> {
    let mut out = Writer(Vec::from(LISTING_MAGIC));
    out.u64(0);
    out.u32(entries.len() as u32);
    for entry in entries {
        out.bytes(entry.name.as_bytes());
        out.times(entry.times);
        out.kind(&entry.kind);
    }
    let total = (out.0.len() as u64).to_le_bytes();
    if let Some(place) = out.0.get_mut(8..16) {
        place.copy_from_slice(&total);
    }
    out.0
}

/// Reads a directory listing.
///
/// # Errors
/// Anything that [`encode_listing`] would not have written, with the place.
pub fn decode_listing(bytes: &[u8]) -> Result<Vec<ListingEntry>, ImageError> {
    let mut listing = Listing::new(bytes)?;
    let mut entries = Vec::new();
    while let Some(entry) = listing.next()? {
        entries.push(ListingEntry { name: String::from(entry.name), times: entry.times, kind: entry.kind.to_owned() });
    }
    Ok(entries)
}

/// How many bytes the listing that begins with these bytes has.
pub(crate) fn listing_bytes(header: &[u8]) -> Result<u64, ImageError> {
    let mut from = Reader { bytes: header, offset: 0 };
    from.magic(LISTING_MAGIC)?;
    from.u64()
}

/// A listing being read, without copying anything.
pub(crate) struct Listing<'a> {
    from: Reader<'a>,
    left: u32,
}

/// One entry of a listing being read.
pub(crate) struct EntryRef<'a> {
    pub(crate) name: &'a str,
    pub(crate) times: Times,
    pub(crate) kind: KindRef<'a>,
}

/// A [`NodeKind`] being read.
pub(crate) enum KindRef<'a> {
    Directory(Option<BlobId>),
    File { blob: BlobId, offset: u64, size: u64 },
    Bytes(&'a [u8]),
    Symlink(&'a str),
    Stream(StreamId),
}

impl<'a> Listing<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let mut from = Reader { bytes, offset: 0 };
        from.magic(LISTING_MAGIC)?;
        if from.u64()? != bytes.len() as u64 {
            return Err(from.expected("the length of the listing"));
        }
        let left = from.u32()?;
        Ok(Self { from, left })
    }

    /// Entries that are still to be read, as the header says.
    pub(crate) fn left(&self) -> u32 {
        self.left
    }

    /// The next entry; `None` behind the last.
    pub(crate) fn next(&mut self) -> Result<Option<EntryRef<'a>>, ImageError> {
        let Some(left) = self.left.checked_sub(1) else {
            self.from.end()?;
            return Ok(None);
        };
        self.left = left;
        let name = self.from.text()?;
        if !is_name(name) {
            return Err(self.from.expected("a name"));
        }
        let times = self.from.times()?;
        let kind = self.from.kind()?;
        Ok(Some(EntryRef { name, times, kind }))
    }
}

/// True for what may stand in a directory.
pub(crate) fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.bytes().any(|byte| byte == b'/' || byte == 0)
}

impl KindRef<'_> {
    fn to_owned(&self) -> NodeKind {
        match *self {
            KindRef::Directory(listing) => NodeKind::Directory(listing),
            KindRef::File { blob, offset, size } => NodeKind::File { blob, offset, size },
            KindRef::Bytes(bytes) => NodeKind::Bytes(Vec::from(bytes)),
            KindRef::Symlink(target) => NodeKind::Symlink(String::from(target)),
            KindRef::Stream(stream) => NodeKind::Stream(stream),
        }
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
    }

    fn times(&mut self, times: Times) {
        self.u64(times.accessed);
        self.u64(times.modified);
        self.u64(times.changed);
    }

    fn kind(&mut self, kind: &NodeKind) {
        match kind {
            NodeKind::Directory(None) => self.u8(0),
            NodeKind::Directory(Some(listing)) => {
                self.u8(1);
                self.u32(listing.0);
            }
            NodeKind::File { blob, offset, size } => {
                self.u8(2);
                self.u32(blob.0);
                self.u64(*offset);
                self.u64(*size);
            }
            NodeKind::Bytes(bytes) => {
                self.u8(3);
                self.bytes(bytes);
            }
            NodeKind::Symlink(target) => {
                self.u8(4);
                self.bytes(target.as_bytes());
            }
            NodeKind::Stream(stream) => {
                self.u8(5);
                self.u32(stream.0);
            }
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn expected(&self, expected: &'static str) -> ImageError {
        ImageError { offset: self.offset, expected }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], ImageError> {
        let end = self.offset.checked_add(len).ok_or(self.expected("more bytes"))?;
        let taken = self.bytes.get(self.offset..end).ok_or(self.expected("more bytes"))?;
        self.offset = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ImageError> {
        let taken = self.take(N)?;
        taken.first_chunk().copied().ok_or(self.expected("more bytes"))
    }

    fn magic(&mut self, magic: &[u8; 8]) -> Result<(), ImageError> {
        if self.array::<8>()? == *magic {
            return Ok(());
        }
        Err(ImageError { offset: 0, expected: "the magic number of this version" })
    }

    fn u8(&mut self) -> Result<u8, ImageError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, ImageError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, ImageError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn slice(&mut self) -> Result<&'a [u8], ImageError> {
        let len = self.u32()?;
        self.take(usize::try_from(len).map_err(|_| self.expected("fewer bytes"))?)
    }

    fn text(&mut self) -> Result<&'a str, ImageError> {
        let bytes = self.slice()?;
        core::str::from_utf8(bytes).map_err(|_| self.expected("UTF-8"))
    }

    fn times(&mut self) -> Result<Times, ImageError> {
        Ok(Times { accessed: self.u64()?, modified: self.u64()?, changed: self.u64()? })
    }

    fn kind(&mut self) -> Result<KindRef<'a>, ImageError> {
        Ok(match self.u8()? {
            0 => KindRef::Directory(None),
            1 => KindRef::Directory(Some(BlobId(self.u32()?))),
            2 => {
                let (blob, offset, size) = (BlobId(self.u32()?), self.u64()?, self.u64()?);
                if offset.checked_add(size).is_none() {
                    return Err(self.expected("a range of a blob"));
                }
                KindRef::File { blob, offset, size }
            }
            3 => KindRef::Bytes(self.slice()?),
            4 => KindRef::Symlink(self.text()?),
            5 => KindRef::Stream(StreamId(self.u32()?)),
            _ => return Err(self.expected("a kind of node")),
        })
    }

    fn end(&self) -> Result<(), ImageError> {
        if self.offset == self.bytes.len() { Ok(()) } else { Err(self.expected("the end")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn kinds() -> Vec<NodeKind> {
        vec![
            NodeKind::Directory(None),
            NodeKind::Directory(Some(BlobId(7))),
            NodeKind::File { blob: BlobId(u32::MAX), offset: 1 << 40, size: u64::MAX >> 1 },
            NodeKind::Bytes(vec![1, 2, 3]),
            NodeKind::Symlink("a/b".into()),
            NodeKind::Stream(StreamId(3)),
        ]
    }

    fn sample() -> Image {
        let times = Times { accessed: 1, modified: 2, changed: 3 };
        let node = |kind| BootNode { path: "x/y".into(), times, read_only: true, kind };
        Image {
            quota: Quota { depth_max: 3, ..Quota::default() },
            preopens: vec![
                Preopen { name: "/data".into(), target: PreopenTarget::Tree("data".into()) },
                Preopen { name: ".".into(), target: PreopenTarget::Host(9) },
            ],
            nodes: kinds().into_iter().map(node).collect(),
        }
    }

    fn listing() -> Vec<ListingEntry> {
        let times = Times::all(5);
        kinds()
            .into_iter()
            .zip(["a", "b", "c", "d", "e", "f"])
            .map(|(kind, name)| ListingEntry { name: name.into(), times, kind })
            .collect()
    }

    #[test]
    fn round_trips() {
        assert_eq!(Image::decode(&sample().encode()), Ok(sample()));
        assert_eq!(Image::decode(&Image::default().encode()), Ok(Image::default()));
        assert_eq!(decode_listing(&encode_listing(&listing())), Ok(listing()));
        assert_eq!(decode_listing(&encode_listing(&[])), Ok(vec![]));
    }

    #[test]
    fn every_truncation_and_every_changed_byte_is_survived() {
        let image = sample().encode();
        let bytes = encode_listing(&listing());
        for end in 0..image.len() {
            assert!(Image::decode(&image[..end]).is_err());
        }
        for end in 0..bytes.len() {
            assert!(decode_listing(&bytes[..end]).is_err());
        }
        for value in [0, 1, 0x7f, 0xff] {
            for at in 0..image.len() {
                let mut damaged = image.clone();
                damaged[at] = value;
                let _ = Image::decode(&damaged);
            }
            for at in 0..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                let _ = decode_listing(&damaged);
            }
        }
    }

    #[test]
    fn names_that_no_directory_holds_are_refused() {
        for name in ["", ".", "..", "a/b", "a\0"] {
            let entry = ListingEntry { name: name.into(), times: Times::default(), kind: NodeKind::Directory(None) };
            assert!(decode_listing(&encode_listing(&[entry])).is_err(), "{name:?}");
        }
    }
}
