//! Reading packs: what is in them, and the way back to files and program. Packs come from anywhere, so
//! every number is held against what is there, and a tree is checked before anybody writes it out.

use super::carried::{Carried, with_record};
use super::compress::decompress;
use super::error::{PackError, PackErrorKind};
use super::manifest::{MANIFEST_SECTION, Manifest, ORIGINAL_SECTION};
use super::options::Reference;
use super::original;
use crate::builtin::SHIM;
use crate::component::parts;
use crate::link::{Carry, LinkOptions, Linked, Purpose, link_carrying};
use std::borrow::Cow;
use std::collections::BTreeMap;
use wasmparser::{DataKind, Parser, Payload};
use weir_types::Digest;
use weir_types::tree::Mount;
use weir_vfs::image::{Image, NodeKind, PreopenTarget, decode_listing};
use weir_vfs::pack::{
    CHUNK_SHIFT_RANGE, CHUNKED, Entry, HEADER_BYTES, Header, MAGIC, PLAIN, PRUNED, Place, REFERENCES, Span, chunk_span,
    place,
};
use weir_vfs::{BlobId, Times};

/// Nodes in the tree of a pack at most; as many as a file system may have.
const NODES_MAX: usize = 1_000_000;
/// Directories below one another at most.
const DEPTH_MAX: usize = 512;

/// A pack, taken apart.
#[derive(Clone, Debug)]
pub struct Pack<'a> {
    bytes: &'a [u8],
    segment: &'a [u8],
    header: Header,
    image: Image,
    original: Original<'a>,
    /// What the pack says of itself.
    pub manifest: Manifest,
}

/// One node of a pack's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedEntry {
    /// Its path from the root of the tree, without a leading slash; empty for the root.
    pub path: String,
    /// When it was last changed, in nanoseconds since 1970-01-01 UTC.
    pub modified: u64,
    /// What it is.
    pub node: PackedNode,
}

/// What a node of a pack's tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackedNode {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Its bytes.
        size: u64,
        /// Where these are.
        stored: Stored,
    },
    /// A symbolic link with this target.
    Symlink(String),
}

/// Where the bytes of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// In the pack as they are, from this offset of the segment.
    Plain(u64),
    /// In the pack's chunks, from this offset of what they hold.
    Chunked(u64),
    /// Elsewhere, under this digest.
    Referenced(Reference),
    /// Nowhere: left out.
    Pruned,
}

/// How the program gets out again.
#[derive(Clone, Copy, Debug)]
enum Original<'a> {
    /// A module: what linking changed.
    Record(&'a [u8]),
    /// A component: the program as it is.
    Whole(&'a [u8]),
}

impl<'a> Pack<'a> {
    /// Looks whether `bytes` are a pack, and takes it apart.
    ///
    /// # Errors
    /// It is a pack, but a damaged one.
    pub fn open(bytes: &'a [u8]) -> Result<Option<Self>, PackError> {
        let Some((manifest, original)) = sections(bytes) else { return Ok(None) };
        let manifest = Manifest::decode(manifest)?;
        let missing = |what: &'static str| move || PackError::damaged(what);
        let (segment, original) = if Parser::is_component(bytes) {
            let parts = parts(bytes).ok_or_else(missing("it does not hold one program and its files"))?;
            (parts.segment, Original::Whole(parts.program))
        } else {
            let segment = segment_of(bytes).ok_or_else(missing("it carries no files"))?;
            (segment, Original::Record(original.ok_or_else(missing("it does not hold its program"))?))
        };
        let header = segment.first_chunk::<HEADER_BYTES>().and_then(Header::decode);
        let header = header.ok_or_else(|| PackError::damaged("its header is of another version"))?;
        let image = span(segment, header.image)?;
        let image = Image::decode(image).map_err(PackError::damaged)?;
        Ok(Some(Self { bytes, segment, header, image, original, manifest }))
    }

    /// The names of the directories that the program finds open, with their paths from the root.
    pub fn preopens(&self) -> Vec<Mount> {
        let preopens = self.image.preopens.iter().filter_map(|preopen| match &preopen.target {
            PreopenTarget::Tree(path) => {
                let path = path.trim_matches('/').to_owned();
                Some(Mount { guest: preopen.name.clone(), path, directory: true })
            }
            PreopenTarget::Host(_) => None,
        });
        preopens.collect()
    }

    /// The blobs that the pack names, in the order of their numbers.
    ///
    /// # Errors
    /// A digest that is none.
    pub fn references(&self) -> Result<Vec<Reference>, PackError> {
        let parse = |(digest, size): &(String, u64)| {
            let digest =
                Digest::from_hex(digest).ok_or_else(|| PackError::damaged(format!("{digest:?} is no digest")))?;
            Ok(Reference { digest, size: *size })
        };
        self.manifest.references.iter().map(parse).collect()
    }

    /// Every node, sorted by path. No two have the same path, and only directories hold something.
    ///
    /// # Errors
    /// The tree is damaged, or no tree that a disk could hold.
    pub fn entries(&self) -> Result<Vec<PackedEntry>, PackError> {
        let references = self.references()?;
        let mut nodes = BTreeMap::new();
        let mut work: Vec<(String, Times, NodeKind, usize)> = Vec::new();
        for node in &self.image.nodes {
            let path = node.path.trim_matches('/').to_owned();
            if path.split('/').any(|name| matches!(name, ".." | ".") || name.contains('\0')) {
                return Err(PackError::damaged(format!("the path {path:?} is none")));
            }
            for (at, _) in path.match_indices('/') {
                let parent = (path[..at].to_owned(), (0, PackedNode::Directory));
                nodes.entry(parent.0).or_insert(parent.1);
            }
            work.push((path, node.times, node.kind.clone(), 0));
        }
        // From the back, so that the last given comes last; each directory's entries follow it.
        work.reverse();
        while let Some((path, times, kind, depth)) = work.pop() {
            if nodes.len() >= NODES_MAX || depth > DEPTH_MAX {
                return Err(PackError::damaged("its tree has no end"));
            }
            let node = self.node(&kind, &references, &path)?;
            if let NodeKind::Directory(Some(listing)) = kind {
                for entry in self.listing(listing)? {
                    let below = if path.is_empty() { entry.name } else { format!("{path}/{}", entry.name) };
                    work.push((below, entry.times, entry.kind, depth + 1));
                }
            }
            match nodes.get(&path) {
                Some((_, PackedNode::Directory)) if node == PackedNode::Directory => {}
                None => {}
                Some(_) => return Err(PackError::damaged(format!("{path:?} is there twice"))),
            }
            nodes.insert(path, (times.modified, node));
        }
        refuse_nodes_below_others(&nodes)?;
        let entries = nodes.into_iter().map(|(path, (modified, node))| PackedEntry { path, modified, node });
        Ok(entries.collect())
    }

    fn listing(&self, blob: BlobId) -> Result<Vec<weir_vfs::image::ListingEntry>, PackError> {
        let Place::Segment(start) = place(blob) else { return Err(PackError::damaged("a directory has no listing")) };
        let rest = usize::try_from(start).ok().and_then(|start| self.segment.get(start..)).unwrap_or(&[]);
        // The length stands behind the magic number.
        let len = rest.get(8..16).and_then(|len| len.first_chunk()).map_or(0, |len| u64::from_le_bytes(*len));
        let bytes = usize::try_from(len).ok().and_then(|len| rest.get(..len)).unwrap_or(&[]);
        decode_listing(bytes).map_err(PackError::damaged)
    }

    fn node(&self, kind: &NodeKind, references: &[Reference], path: &str) -> Result<PackedNode, PackError> {
        let wrong = |what: &str| PackError::damaged(format!("{path:?} {what}"));
        Ok(match kind {
            NodeKind::Directory(_) => PackedNode::Directory,
            NodeKind::Symlink(target) => PackedNode::Symlink(target.clone()),
            NodeKind::Bytes(_) | NodeKind::Stream(_) => return Err(wrong("is of a kind that packs do not have")),
            NodeKind::File { blob, offset, size } => {
                let stored = match *blob {
                    PLAIN => Stored::Plain(*offset),
                    CHUNKED => Stored::Chunked(*offset),
                    PRUNED => Stored::Pruned,
                    BlobId(number) => {
                        let reference = number.checked_sub(REFERENCES).and_then(|at| references.get(at as usize));
                        Stored::Referenced(*reference.ok_or_else(|| wrong("has no bytes anywhere"))?)
                    }
                };
                PackedNode::File { size: *size, stored }
            }
        })
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// They are not in the pack ([`PackErrorKind::Absent`]), or damaged.
    pub fn read(&self, size: u64, stored: Stored) -> Result<Vec<u8>, PackError> {
        let absent = |what: &str| Err(PackError::new(PackErrorKind::Absent, what));
        match stored {
            Stored::Pruned => absent("it was pruned from the pack"),
            Stored::Referenced(_) => absent("it is not in the pack but in the store"),
            Stored::Plain(offset) => {
                let end = offset.checked_add(size).and_then(|end| usize::try_from(end).ok());
                let bytes = end.and_then(|end| self.segment.get(offset as usize..end));
                Ok(bytes.ok_or_else(|| PackError::damaged("a file lies beyond its end"))?.to_vec())
            }
            Stored::Chunked(offset) => self.read_chunked(size, offset),
        }
    }

    /// How many bytes a file takes in the pack: those of its chunks, in proportion.
    pub fn stored_bytes(&self, size: u64, stored: Stored) -> u64 {
        match stored {
            Stored::Plain(_) => size,
            Stored::Pruned | Stored::Referenced(_) => 0,
            Stored::Chunked(mut offset) => {
                let (mut left, mut sum) = (size, 0);
                while left > 0 {
                    let Some((chunk, within)) = self.chunk_of(offset) else { break };
                    let whole = self.header.chunk_bytes(chunk) as u64;
                    let part = left.min(whole.saturating_sub(within));
                    if part == 0 {
                        break;
                    }
                    let held = self.chunk_span(chunk).map_or(0, |span| u64::from(span.len));
                    sum += (part * held).div_ceil(whole);
                    (offset, left) = (offset + part, left - part);
                }
                sum
            }
        }
    }

    fn chunk_of(&self, offset: u64) -> Option<(u32, u64)> {
        CHUNK_SHIFT_RANGE.contains(&self.header.chunk_shift).then_some(())?;
        let chunk = u32::try_from(offset >> self.header.chunk_shift).ok()?;
        Some((chunk, offset & ((1 << self.header.chunk_shift) - 1)))
    }

    fn chunk_span(&self, chunk: u32) -> Option<Span> {
        let at = self.header.index_of(chunk)? as usize;
        let record = self.segment.get(at..)?.first_chunk::<8>()?;
        Some(chunk_span(*record))
    }

    fn read_chunked(&self, size: u64, mut offset: u64) -> Result<Vec<u8>, PackError> {
        let beyond = || PackError::damaged("a file lies beyond its chunks");
        let mut out = Vec::new();
        if offset.checked_add(size).is_none_or(|end| end > self.header.chunked_bytes) {
            return Err(beyond());
        }
        while (out.len() as u64) < size {
            let (chunk, within) = self.chunk_of(offset).ok_or_else(beyond)?;
            let stored = span(self.segment, self.chunk_span(chunk).ok_or_else(beyond)?)?;
            let whole = self.header.chunk_bytes(chunk);
            let bytes = decompress(self.header.codec, stored, whole);
            let bytes = bytes.ok_or_else(|| PackError::damaged(format!("chunk {chunk} does not decompress")))?;
            let rest = bytes.get(within as usize..).filter(|rest| !rest.is_empty()).ok_or_else(beyond)?;
            let piece = rest.len().min((size - out.len() as u64) as usize);
            out.extend_from_slice(&rest[..piece]);
            offset += piece as u64;
        }
        Ok(out)
    }

    /// The program, byte for byte as it was before it was packed.
    ///
    /// # Errors
    /// The pack is damaged.
    pub fn program(&self) -> Result<Vec<u8>, PackError> {
        let program = match self.original {
            Original::Record(record) => original::restore(self.bytes, record)?,
            Original::Whole(program) => program.to_vec(),
        };
        let digest = blake3::hash(&program).to_hex();
        if digest.as_str() != self.manifest.program.blake3 {
            return Err(PackError::damaged("its program does not have the digest that the pack says"));
        }
        Ok(program)
    }

    /// The program and what it carries.
    pub(crate) fn carried(&self) -> Result<Carried, PackError> {
        if !self.manifest.references.is_empty() {
            let what = "the pack's files are there by reference, and a function has no way to get them: pack it again \
                        with them inside";
            return Err(PackError::new(PackErrorKind::Program, what));
        }
        let segment = self.segment.to_vec();
        Ok(Carried { program: self.program()?, segment, codec: self.header.codec, entry: self.entry()? })
    }

    /// The arguments and variables of the pack.
    fn entry(&self) -> Result<Entry, PackError> {
        match span(self.segment, self.header.entry)? {
            [] => Ok(Entry::default()),
            bytes => Entry::decode(bytes).map_err(|_| PackError::damaged("its arguments cannot be read")),
        }
    }

    /// Links the program and the pack's files anew, for a run that grants more than the pack has. The pack's
    /// own variables of the names in `given` are left out, because the run has others.
    ///
    /// # Errors
    /// The pack is damaged, or a component, to which nothing can be granted later.
    pub fn link(&self, options: &LinkOptions, given: &[&str]) -> Result<Linked, PackError> {
        if let Original::Whole(_) = self.original {
            return Err(PackError::new(PackErrorKind::Program, "the pack is a component, which cannot be linked anew"));
        }
        let program = self.program()?;
        let mut entry = self.entry()?;
        let known = entry.env.len();
        entry.env.retain(|(name, _)| !given.contains(&name.as_str()));
        let segment = if entry.env.len() == known {
            Cow::Borrowed(self.segment)
        } else {
            Cow::Owned(with_record(self.segment, &entry.encode()))
        };
        let entry = self.header.entry.len > 0;
        let carry = Carry { segment: &segment, codec: self.header.codec, entry, purpose: Purpose::Run };
        Ok(link_carrying(&program, SHIM, options, Some(carry))?)
    }
}

fn span(segment: &[u8], span: Span) -> Result<&[u8], PackError> {
    let (start, len) = (span.offset as usize, span.len as usize);
    let bytes = start.checked_add(len).and_then(|end| segment.get(start..end));
    bytes.ok_or_else(|| PackError::damaged("a part of it lies beyond its end"))
}

fn refuse_nodes_below_others(nodes: &BTreeMap<String, (u64, PackedNode)>) -> Result<(), PackError> {
    for path in nodes.keys() {
        if let Some((parent, _)) = path.rsplit_once('/')
            && !matches!(nodes.get(parent), Some((_, PackedNode::Directory)))
        {
            return Err(PackError::damaged(format!("{path:?} lies in something that is no directory")));
        }
    }
    Ok(())
}

/// The manifest and the record of the program, which stand at the top level.
fn sections(bytes: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let (mut manifest, mut original, mut depth) = (None, None, 0);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.ok()? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::CustomSection(section) if depth == 0 => match section.name() {
                MANIFEST_SECTION => manifest = Some(section.data()),
                ORIGINAL_SECTION => original = Some(section.data()),
                _ => {}
            },
            _ => {}
        }
    }
    manifest.map(|manifest| (manifest, original))
}

/// The segment: the last passive data segment that begins as one.
fn segment_of(bytes: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::DataSection(section) = payload.ok()? {
            for data in section {
                let data = data.ok()?;
                if matches!(data.kind, DataKind::Passive) && data.data.starts_with(MAGIC) {
                    found = Some(data.data);
                }
            }
        }
    }
    found
}
