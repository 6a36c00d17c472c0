//! The segment: everything that a pack carries, as one run of bytes inside its module.
//!
//! It begins with a [`Header`] that says where the other parts are: the boot image, the directory
//! listings, the bytes of files that are stored plain, the chunks of those that are compressed, and
//! the record of entry arguments and variables. The image names file contents as ranges of a few
//! blobs whose numbers are fixed here, so no table of files is read at the start:
//!
//! - [`PLAIN`]: a range of the segment itself.
//! - [`CHUNKED`]: a range of the bytes that the chunks hold one after another. Chunks have equal
//!   sizes before compression, so the chunk of an offset is a division away.
//! - [`PRUNED`]: a file that was left out. Its offset is its number in the list of pruned paths.
//! - from [`LISTINGS`] on: the listing that begins at 16 times the rest of the number.
//! - from [`REFERENCES`] on: a blob by reference, which the host has to provide.
//!
//! Packs are made by somebody, so nothing here trusts what a segment says: a range that does not lie
//! inside it is an error for the program that reads it.

use crate::{BlobId, Errno};
use alloc::{string::String, vec::Vec};

/// The first bytes of a segment.
pub const MAGIC: &[u8; 8] = b"weirpak\x01";
/// Bytes of the header.
pub const HEADER_BYTES: usize = 64;
/// Files of at least [`ALIGNED_BYTES_MIN`] begin at multiples of this many bytes, plain or in the chunks: a cache
/// line, with which copying 4 KiB takes a quarter less time on some processors.
pub const FILE_ALIGNMENT: usize = 64;
/// Smaller files lie close together.
pub const ALIGNED_BYTES_MIN: usize = 4096;
/// The first blob that the host provides; the first reference of a pack has this number.
pub const REFERENCES: u32 = 0x4000_0000;
/// Ranges of the segment itself.
pub const PLAIN: BlobId = BlobId(0x8000_0000);
/// Ranges of what the chunks hold.
pub const CHUNKED: BlobId = BlobId(0x8000_0001);
/// Files that were left out.
pub const PRUNED: BlobId = BlobId(0x8000_0002);
/// The first listing.
pub const LISTINGS: u32 = 0xc000_0000;
/// Listings begin at multiples of this.
pub const LISTING_ALIGNMENT: u32 = 16;
/// Decompressed chunks kept at most, in bytes. Default 32 MiB: an interpreter's whole library.
pub const CHUNKS_KEPT_BYTES: usize = 32 << 20;
/// The smallest and the largest size of a chunk, as powers of two: 4 KiB and 4 MiB.
pub const CHUNK_SHIFT_RANGE: core::ops::RangeInclusive<u32> = 12..=22;

/// How chunks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Codec {
    /// Not at all: everything is plain.
    None = 0,
    /// LZ4 blocks: decompression at a good part of memory speed.
    Lz4 = 1,
    /// Zstandard frames: half the size of LZ4, some times slower.
    Zstd = 2,
}

impl Codec {
    /// The word used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }
}

/// A part of the segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub offset: u32,
    /// Its bytes.
    pub len: u32,
}

/// Where everything is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The boot image.
    pub image: Span,
    /// Entry arguments and variables; empty without any.
    pub entry: Span,
    /// The paths of pruned files, one after another, each behind its length; empty without any.
    pub pruned: Span,
    /// Where each chunk is: `chunks` records of offset and length (two 32-bit numbers).
    pub index: u32,
    /// How many chunks there are.
    pub chunks: u32,
    /// The size of a chunk before compression, as a power of two.
    pub chunk_shift: u32,
    /// What the chunks hold, in bytes.
    pub chunked_bytes: u64,
    /// How chunks are compressed.
    pub codec: Codec,
}

impl Header {
    /// The bytes that a segment begins with.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let words = [
            self.image.offset,
            self.image.len,
            self.entry.offset,
            self.entry.len,
            self.pruned.offset,
            self.pruned.len,
            self.index,
            self.chunks,
            self.chunk_shift,
            self.codec as u32,
            self.chunked_bytes as u32,
            (self.chunked_bytes >> 32) as u32,
        ];
        let mut bytes = [0; HEADER_BYTES];
        let (magic, rest) = bytes.split_at_mut(MAGIC.len());
        magic.copy_from_slice(MAGIC);
        for (to, word) in rest.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The header of a segment; `None` if it is not one of this version.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let mut words = bytes.strip_prefix(MAGIC)?.chunks_exact(4).filter_map(word);
        let mut next = || words.next().unwrap_or(0);
        let mut span = || Span { offset: next(), len: next() };
        let (image, entry, pruned) = (span(), span(), span());
        let (index, chunks, chunk_shift, codec) = (next(), next(), next(), next());
        let codec = match codec {
            0 => Codec::None,
            1 => Codec::Lz4,
            2 => Codec::Zstd,
            _ => return None,
        };
        let chunked_bytes = u64::from(next()) | u64::from(next()) << 32;
        if chunks > 0 && !CHUNK_SHIFT_RANGE.contains(&chunk_shift) {
            return None;
        }
        Some(Self { image, entry, pruned, index, chunks, chunk_shift, chunked_bytes, codec })
    }

    /// Where the index has the record of a chunk.
    pub fn index_of(&self, chunk: u32) -> Option<u32> {
        (chunk < self.chunks).then_some(())?;
        self.index.checked_add(chunk.checked_mul(8)?)
    }

    /// How many bytes a chunk holds: all have the same size but the last.
    pub fn chunk_bytes(&self, chunk: u32) -> usize {
        let start = u64::from(chunk) << self.chunk_shift;
        self.chunked_bytes.saturating_sub(start).min(1 << self.chunk_shift) as usize
    }
}

/// Where a chunk is, from its record in the index.
pub fn chunk_span(record: [u8; 8]) -> Span {
    let value = u64::from_le_bytes(record);
    Span { offset: value as u32, len: (value >> 32) as u32 }
}

/// The blob of a listing at `offset` of the segment, which is a multiple of [`LISTING_ALIGNMENT`].
pub fn listing_blob(offset: u32) -> BlobId {
    BlobId(LISTINGS | (offset / LISTING_ALIGNMENT))
}

/// Where the bytes of a blob are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// With the host: a mount given at run time, or a reference.
    Host,
    /// In the segment, this far behind the offset that is read.
    Segment(u64),
    /// In the chunks.
    Chunks,
    /// Nowhere.
    Pruned,
}

/// Where the bytes of `blob` are.
#[inline]
pub fn place(blob: BlobId) -> Place {
    match blob {
        PLAIN => Place::Segment(0),
        CHUNKED => Place::Chunks,
        PRUNED => Place::Pruned,
        BlobId(number) if number >= LISTINGS => {
            Place::Segment(u64::from(number - LISTINGS) * u64::from(LISTING_ALIGNMENT))
        }
        BlobId(_) => Place::Host,
    }
}

/// Arguments and variables that a pack adds to those of its host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Arguments between the program's name and the host's further ones.
    pub args: Vec<String>,
    /// Variables, behind the host's, so that those win.
    pub env: Vec<(String, String)>,
}

impl Entry {
    /// The record: both counts, then every argument and `NAME=VALUE` with a NUL byte at its end.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&(self.args.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.env.len() as u32).to_le_bytes());
        for arg in &self.args {
            out.extend_from_slice(arg.as_bytes());
            out.push(0);
        }
        for (name, value) in &self.env {
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            out.extend_from_slice(value.as_bytes());
            out.push(0);
        }
        out
    }

    /// Reads a record.
    ///
    /// # Errors
    /// `Io` for bytes that are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Errno> {
        let (head, rest) = bytes.split_first_chunk::<8>().ok_or(Errno::Io)?;
        let counts = chunk_span(*head);
        let mut texts = rest.split(|byte| *byte == 0).map(|text| core::str::from_utf8(text).map_err(|_| Errno::Io));
        let mut next = || texts.next().ok_or(Errno::Io)?;
        let mut entry = Self::default();
        for _ in 0..counts.offset {
            entry.args.push(next()?.into());
        }
        for _ in 0..counts.len {
            let (name, value) = next()?.split_once('=').ok_or(Errno::Io)?;
            entry.env.push((name.into(), value.into()));
        }
        Ok(entry)
    }
}

/// The path with this number in a list of pruned paths.
pub fn pruned_path(list: &[u8], number: u64) -> Option<&str> {
    let mut rest = list;
    let mut left = number;
    loop {
        let (len, after) = rest.split_first_chunk::<4>()?;
        let (path, after) = after.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        if left == 0 {
            return core::str::from_utf8(path).ok();
        }
        (rest, left) = (after, left - 1);
    }
}

/// The list of pruned paths.
pub fn encode_pruned<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut out = Vec::new();
    for path in paths {
        out.extend_from_slice(&(path.len() as u32).to_le_bytes());
        out.extend_from_slice(path.as_bytes());
    }
    out
}

fn word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))
}

/// What chunks are read from.
pub trait Segment {
    /// Copies the bytes from `offset` into `out`.
    ///
    /// # Errors
    /// They do not lie inside the segment.
    fn load(&mut self, offset: u32, out: &mut [u8]) -> Result<(), Errno>;

    /// Decompresses a whole chunk into `out`, which has its size.
    ///
    /// # Errors
    /// The chunk is damaged.
    fn decompress(&mut self, codec: Codec, compressed: &[u8], out: &mut [u8]) -> Result<(), Errno>;
}

/// Decompressed chunks, as many as fit into a bound; the longest unused go first.
#[derive(Debug, Default)]
pub struct Chunks {
    kept: Vec<Kept>,
    bytes: usize,
    clock: u64,
    last: usize,
}

#[derive(Debug)]
struct Kept {
    chunk: u32,
    used: u64,
    bytes: Aligned,
}

/// Bytes that begin at a multiple of [`FILE_ALIGNMENT`].
#[derive(Debug)]
struct Aligned {
    bytes: Vec<u8>,
    start: usize,
}

impl Aligned {
    fn zeros(len: usize) -> Result<Self, Errno> {
        let mut bytes = zeros(len.saturating_add(FILE_ALIGNMENT - 1))?;
        // Says `usize::MAX` where it cannot tell.
        let start = bytes.as_ptr().align_offset(FILE_ALIGNMENT) % FILE_ALIGNMENT;
        bytes.truncate(start + len);
        Ok(Self { bytes, start })
    }

    fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    #[inline]
    fn after(&self, offset: usize) -> Result<&[u8], Errno> {
        self.bytes.get(self.start + offset..).ok_or(Errno::Io)
    }

    fn all_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }
}

impl Chunks {
    /// The bytes from `offset` on, up to the end of their chunk; empty at the end of everything.
    ///
    /// # Errors
    /// `Io` for a damaged pack, `Nomem` where there is no memory for the chunk.
    #[inline]
    pub fn at<S: Segment>(&mut self, segment: &mut S, header: &Header, offset: u64) -> Result<&[u8], Errno> {
        if offset >= header.chunked_bytes {
            return Ok(&[]);
        }
        let chunk = u32::try_from(offset >> header.chunk_shift).map_err(|_| Errno::Io)?;
        let within = (offset & ((1 << header.chunk_shift) - 1)) as usize;
        if self.kept.get(self.last).is_none_or(|kept| kept.chunk != chunk) {
            self.find(segment, header, chunk)?;
        }
        let kept = self.kept.get(self.last).ok_or(Errno::Io)?;
        kept.bytes.after(within)
    }

    /// The `len` bytes from `offset` on, if they lie in the chunk that was read last: the usual read.
    #[inline]
    pub fn held(&self, header: &Header, offset: u64, len: usize) -> Option<&[u8]> {
        let kept = self.kept.get(self.last)?;
        let within = (offset & ((1 << header.chunk_shift) - 1)) as usize + kept.bytes.start;
        if u64::from(kept.chunk) != offset >> header.chunk_shift {
            return None;
        }
        kept.bytes.bytes.get(within..within.wrapping_add(len))
    }

    #[cold]
    fn find<S: Segment>(&mut self, segment: &mut S, header: &Header, chunk: u32) -> Result<(), Errno> {
        self.clock += 1;
        if let Some(at) = self.kept.iter().position(|kept| kept.chunk == chunk) {
            self.last = at;
        } else {
            let bytes = read_chunk(segment, header, chunk)?;
            self.make_room(bytes.len());
            self.bytes += bytes.len();
            self.kept.try_reserve(1).map_err(|_| Errno::Nomem)?;
            self.last = self.kept.len();
            self.kept.push(Kept { chunk, used: 0, bytes });
        }
        if let Some(kept) = self.kept.get_mut(self.last) {
            kept.used = self.clock;
        }
        Ok(())
    }

    fn make_room(&mut self, more: usize) {
        while self.bytes + more > CHUNKS_KEPT_BYTES {
            let oldest = self.kept.iter().enumerate().min_by_key(|(_, kept)| kept.used).map(|(at, _)| at);
            let Some(at) = oldest else { return };
            self.bytes = self.bytes.saturating_sub(self.kept.swap_remove(at).bytes.len());
        }
    }
}

fn zeros(len: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| Errno::Nomem)?;
    bytes.resize(len, 0);
    Ok(bytes)
}

fn read_chunk<S: Segment>(segment: &mut S, header: &Header, chunk: u32) -> Result<Aligned, Errno> {
    let mut record = [0; 8];
    segment.load(header.index_of(chunk).ok_or(Errno::Io)?, &mut record)?;
    let span = chunk_span(record);
    let size = header.chunk_bytes(chunk);
    // A chunk that would grow is kept as it is, so none is larger than what it holds.
    if span.len as usize > size {
        return Err(Errno::Io);
    }
    let mut bytes = Aligned::zeros(size)?;
    if span.len as usize == size {
        segment.load(span.offset, bytes.all_mut())?;
        return Ok(bytes);
    }
    let mut stored = zeros(span.len as usize)?;
    segment.load(span.offset, &mut stored)?;
    segment.decompress(header.codec, &stored, bytes.all_mut())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn header() -> Header {
        Header {
            image: Span { offset: 64, len: 5 },
            entry: Span { offset: 69, len: 7 },
            pruned: Span { offset: 80, len: 9 },
            index: 96,
            chunks: 3,
            chunk_shift: 12,
            chunked_bytes: 2 * 4096 + 10,
            codec: Codec::Zstd,
        }
    }

    #[test]
    fn round_trips() {
        assert_eq!(Header::decode(&header().encode()), Some(header()));
        let entry = Entry { args: vec!["a".into(), String::new()], env: vec![("K".into(), "v=w".into())] };
        assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
        let list = encode_pruned(["x", "", "a/b"].into_iter());
        assert_eq!([0, 1, 2].map(|number| pruned_path(&list, number)), [Some("x"), Some(""), Some("a/b")]);
        assert_eq!(pruned_path(&list, 3), None);
    }

    #[test]
    fn places_follow_from_numbers() {
        assert_eq!(place(PLAIN), Place::Segment(0));
        assert_eq!(place(listing_blob(160)), Place::Segment(160));
        assert_eq!(place(CHUNKED), Place::Chunks);
        assert_eq!(place(PRUNED), Place::Pruned);
        assert_eq!([BlobId(0), BlobId(REFERENCES)].map(place), [Place::Host; 2]);
    }

    /// Chunks that are each one byte long: their number.
    struct Numbers {
        decompressed: usize,
    }

    impl Segment for Numbers {
        fn load(&mut self, offset: u32, out: &mut [u8]) -> Result<(), Errno> {
            if offset >= 1000 {
                out.fill((offset - 1000) as u8);
                return Ok(());
            }
            let chunk = (offset - 96) / 8;
            out.copy_from_slice(&(u64::from(1000 + chunk) | 1 << 32).to_le_bytes());
            Ok(())
        }

        fn decompress(&mut self, codec: Codec, compressed: &[u8], out: &mut [u8]) -> Result<(), Errno> {
            assert_eq!(codec, Codec::Zstd);
            self.decompressed += 1;
            out.fill(compressed[0]);
            Ok(())
        }
    }

    #[test]
    fn chunks_are_kept_and_their_ends_are_respected() {
        let (mut segment, mut chunks) = (Numbers { decompressed: 0 }, Chunks::default());
        for _ in 0..2 {
            for (offset, expected) in [(0, 4096), (4095, 1), (4096, 4096), (8192 + 9, 1), (8192 + 10, 0)] {
                let bytes = chunks.at(&mut segment, &header(), offset).unwrap();
                assert_eq!(bytes.len(), expected);
                assert!(bytes.iter().all(|byte| u64::from(*byte) == offset / 4096));
            }
        }
        assert_eq!(segment.decompressed, 3);
    }

    #[test]
    fn any_header_is_survived() {
        for at in 0..HEADER_BYTES {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = header().encode();
                bytes[at] = value;
                let Some(header) = Header::decode(&bytes) else { continue };
                for offset in [0, 4096, 1 << 40, u64::MAX] {
                    struct Empty;
                    impl Segment for Empty {
                        fn load(&mut self, _: u32, _: &mut [u8]) -> Result<(), Errno> {
                            Err(Errno::Io)
                        }
                        fn decompress(&mut self, _: Codec, _: &[u8], _: &mut [u8]) -> Result<(), Errno> {
                            Err(Errno::Io)
                        }
                    }
                    let _ = Chunks::default().at(&mut Empty, &header, offset);
                }
            }
        }
    }
}
