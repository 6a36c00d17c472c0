//! Making the segment: file contents first, then what says where they are. The order of everything
//! follows from the sorted tree alone, so the same tree gives the same bytes.

use super::compress::{Compressor, worth_it};
use super::error::{PackError, PackErrorKind};
use super::options::{Contents, PackOptions, PackReport, Reference};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use weir_types::Digest;
use weir_types::tree::{Entry, Node, Tree, resolve};
use weir_vfs::image::{BootNode, Image, ListingEntry, NodeKind, Preopen, PreopenTarget, encode_listing};
use weir_vfs::pack::{
    ALIGNED_BYTES_MIN, CHUNKED, Codec, FILE_ALIGNMENT, HEADER_BYTES, Header, LISTING_ALIGNMENT, PLAIN, PRUNED,
    REFERENCES, Span, encode_pruned, listing_blob,
};
use weir_vfs::{BlobId, Times};

/// Bytes of a segment at most: more does not fit into any module.
const SEGMENT_BYTES_MAX: usize = 1 << 30;
/// Symbolic links followed when a traced path is looked up.
const LINKS_MAX: u32 = 40;

/// A finished segment.
pub(super) struct Segment {
    pub bytes: Vec<u8>,
    pub report: PackReport,
    pub references: Vec<Reference>,
    pub preopens: Vec<String>,
    pub codec: Codec,
}

/// Where the bytes of a file are: a blob and an offset in it.
type Place = (BlobId, u64);

struct Writer<'a> {
    options: &'a PackOptions,
    bytes: Vec<u8>,
    compressor: Compressor,
    /// The places of contents that are here already.
    known: HashMap<Digest, Place>,
    referenced: HashMap<Digest, u32>,
    references: Vec<Reference>,
    pruned: Vec<&'a str>,
    report: PackReport,
}

/// Makes the segment of `tree`.
pub(super) fn segment(tree: &Tree, contents: &mut dyn Contents, options: &PackOptions) -> Result<Segment, PackError> {
    let kept = options.prune.as_ref().map(|opened| kept_files(tree, opened));
    let mut writer = Writer {
        options,
        bytes: vec![0; HEADER_BYTES],
        compressor: Compressor::new(options.codec),
        known: HashMap::new(),
        referenced: HashMap::new(),
        references: Vec::new(),
        pruned: Vec::new(),
        report: PackReport::default(),
    };
    let mut places = HashMap::new();
    for (number, entry) in tree.entries.iter().enumerate() {
        if let Node::File { size, .. } = entry.node {
            let inside = kept.as_ref().is_none_or(|kept| kept.contains(entry.path.as_str()));
            places.insert(entry.path.as_str(), writer.file(number, entry, size, inside, contents)?);
        }
    }
    let chunks = writer.chunks()?;
    let nodes = writer.listings(tree, &places)?;
    let preopens = preopens(tree);
    let names = preopens.iter().map(|preopen| preopen.name.clone()).collect();
    let image = Image { quota: Default::default(), preopens, nodes }.encode();
    let image = writer.append(&image)?;
    let entry = match &options.entry {
        entry if entry.args.is_empty() && entry.env.is_empty() => Span::default(),
        entry => writer.append(&entry.encode())?,
    };
    let pruned = encode_pruned(writer.pruned.iter().copied());
    let pruned = writer.append(&pruned)?;
    let header = Header { image, entry, pruned, ..chunks };
    writer.bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
    writer.report.segment_bytes = writer.bytes.len() as u64;
    Ok(Segment {
        bytes: writer.bytes,
        report: writer.report,
        references: writer.references,
        preopens: names,
        codec: header.codec,
    })
}

/// The files behind the paths that a trace saw opened.
fn kept_files<'a>(tree: &'a Tree, opened: &BTreeSet<String>) -> BTreeSet<&'a str> {
    let nodes: BTreeMap<&str, &Node> = tree.entries.iter().map(|entry| (entry.path.as_str(), &entry.node)).collect();
    let find = |path: &str| match nodes.get(path) {
        Some(Node::Symlink(target)) => Some(target.as_str()),
        _ => None,
    };
    let found = opened.iter().filter_map(|path| {
        let resolved = resolve(path, LINKS_MAX, find)?;
        nodes.get_key_value(resolved.as_str()).map(|(path, _)| *path)
    });
    found.collect()
}

fn preopens(tree: &Tree) -> Vec<Preopen> {
    let directory = |path: &str| PreopenTarget::Tree(path.into());
    let mut preopens: Vec<Preopen> = tree
        .mounts
        .iter()
        .filter(|mount| mount.directory)
        .map(|mount| Preopen { name: mount.guest.clone(), target: directory(&mount.path) })
        .collect();
    let covered = |path: &str| {
        tree.mounts.iter().filter(|mount| mount.directory).any(|mount| {
            mount.path.is_empty() || path.strip_prefix(mount.path.as_str()).is_some_and(|rest| rest.starts_with('/'))
        })
    };
    if tree.mounts.iter().any(|mount| !mount.directory && !covered(&mount.path)) {
        preopens.push(Preopen { name: "/".into(), target: directory("") });
    }
    preopens
}

impl<'a> Writer<'a> {
    /// Puts the bytes of a file where they belong.
    fn file(
        &mut self,
        number: usize,
        entry: &'a Entry,
        size: u64,
        inside: bool,
        contents: &mut dyn Contents,
    ) -> Result<Place, PackError> {
        self.report.files += 1;
        self.report.file_bytes += size;
        if size == 0 {
            return Ok((PLAIN, 0));
        }
        let failed = |what: String| PackError::new(PackErrorKind::File, what);
        let by_reference = self.options.by_reference && (self.options.prune.is_none() || !inside);
        if by_reference {
            let digest = contents.reference(number).map_err(failed)?;
            let next = self.references.len() as u32;
            let known = *self.referenced.entry(digest).or_insert(next);
            if known == next {
                self.references.push(Reference { digest, size });
            }
            self.report.referenced += 1;
            return Ok((BlobId(REFERENCES + known), 0));
        }
        if !inside {
            self.pruned.push(&entry.path);
            self.report.pruned += 1;
            self.report.pruned_bytes += size;
            return Ok((PRUNED, self.pruned.len() as u64 - 1));
        }
        let bytes = contents.read(number).map_err(failed)?;
        if bytes.len() as u64 != size {
            let what = format!("{}: it changed while it was being packed: pack again", entry.path);
            return Err(PackError::new(PackErrorKind::File, what));
        }
        let digest = Digest(*blake3::hash(&bytes).as_bytes());
        if let Some(place) = self.known.get(&digest) {
            self.report.duplicates += 1;
            return Ok(*place);
        }
        let place = if worth_it(self.options.codec, &bytes) {
            (CHUNKED, self.compressor.add(&bytes, &mut self.bytes))
        } else {
            if size >= ALIGNED_BYTES_MIN as u64 {
                self.align(FILE_ALIGNMENT);
            }
            (PLAIN, u64::from(self.append(&bytes)?.offset))
        };
        self.check_size()?;
        self.known.insert(digest, place);
        Ok(place)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<Span, PackError> {
        let span = Span { offset: self.bytes.len() as u32, len: bytes.len() as u32 };
        self.bytes.extend_from_slice(bytes);
        self.check_size()?;
        Ok(span)
    }

    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn check_size(&self) -> Result<(), PackError> {
        if self.bytes.len() <= SEGMENT_BYTES_MAX {
            return Ok(());
        }
        let what = "the files are larger than 1 GiB, the most that a module may have: \
                    compress them, leave out what is not used by a trace, or pack them by reference";
        Err(PackError::new(PackErrorKind::TooLarge, what))
    }

    /// Finishes the chunks and writes their index; gives a header that is complete in what concerns them.
    fn chunks(&mut self) -> Result<Header, PackError> {
        let (spans, chunked_bytes) = self.compressor.finish(&mut self.bytes);
        let mut index = Vec::with_capacity(spans.len() * 8);
        for span in &spans {
            index.extend_from_slice(&span.offset.to_le_bytes());
            index.extend_from_slice(&span.len.to_le_bytes());
        }
        let index = self.append(&index)?.offset;
        let codec = if self.compressor.shrank() { self.options.codec } else { Codec::None };
        let (image, entry, pruned) = Default::default();
        let (chunks, chunk_shift) = (spans.len() as u32, self.compressor.chunk_shift());
        self.report.chunked_bytes = chunked_bytes;
        Ok(Header { image, entry, pruned, index, chunks, chunk_shift, chunked_bytes, codec })
    }

    /// Writes the listings, the deepest first, and gives the nodes of the boot image.
    fn listings(&mut self, tree: &Tree, places: &HashMap<&str, Place>) -> Result<Vec<BootNode>, PackError> {
        let roots: BTreeSet<&str> = tree.mounts.iter().map(|mount| mount.path.as_str()).collect();
        let mut waiting: BTreeMap<&str, Vec<ListingEntry>> = BTreeMap::new();
        let mut boot = Vec::new();
        // Sorted by path, so from the back everything comes before the directory that holds it.
        for entry in tree.entries.iter().rev() {
            let times = Times::all(entry.modified);
            let kind = match &entry.node {
                Node::Symlink(target) => NodeKind::Symlink(target.clone()),
                Node::File { size, .. } => {
                    let (blob, offset) = places.get(entry.path.as_str()).copied().unwrap_or((PLAIN, 0));
                    NodeKind::File { blob, offset, size: *size }
                }
                Node::Directory => NodeKind::Directory(self.listing(waiting.remove(entry.path.as_str()))?),
            };
            let (parent, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
            if roots.contains(entry.path.as_str()) {
                boot.push(BootNode { path: entry.path.clone(), times, read_only: false, kind });
            } else {
                waiting.entry(parent).or_default().push(ListingEntry { name: name.into(), times, kind });
            }
        }
        // Parents first, so that a place inside a mounted directory lands in it.
        boot.sort_by(|a, b| {
            let depth = |node: &BootNode| node.path.matches('/').count() + usize::from(!node.path.is_empty());
            (depth(a), &a.path).cmp(&(depth(b), &b.path))
        });
        Ok(boot)
    }

    fn listing(&mut self, entries: Option<Vec<ListingEntry>>) -> Result<Option<BlobId>, PackError> {
        let Some(mut entries) = entries else { return Ok(None) };
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        self.align(LISTING_ALIGNMENT as usize);
        let span = self.append(&encode_listing(&entries))?;
        self.report.listing_bytes += u64::from(span.len);
        Ok(Some(listing_blob(span.offset)))
    }
}
