//! The files that lie in the component itself, as one passive data segment. A read of a plain file is one
//! `memory.init`; a compressed one is decompressed by chunks, which are kept.

use crate::state::Single;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use weir_vfs::Errno;
use weir_vfs::pack::{Chunks, Codec, Entry, HEADER_BYTES, Header, Segment, Span, pruned_path};

mod instruction {
    #[link(wasm_import_module = "weir:pack")]
    unsafe extern "C" {
        pub safe fn size() -> u32;
        pub fn init_shim(to: *mut u8, offset: u32, len: u32);
    }
    // Resolved to one of the codecs below, so that the other one is not linked.
    #[link(wasm_import_module = "weir:codec")]
    unsafe extern "C" {
        pub fn decode(from: *const u8, len: usize, to: *mut u8, to_len: usize) -> u32;
    }
}

struct Packed {
    header: Header,
    chunks: Chunks,
}

static PACKED: Single<Option<Packed>> = Single(UnsafeCell::new(None));

#[allow(clippy::mut_from_ref, reason = "one thread; taken once per call, and nothing called from here comes back")]
fn packed() -> Result<&'static mut Packed, Errno> {
    // SAFETY: see `Single`.
    let packed = unsafe { &mut *PACKED.0.get() };
    match packed {
        Some(packed) => Ok(packed),
        None => Ok(packed.insert(Packed { header: header()?, chunks: Chunks::default() })),
    }
}

/// Whether there are files.
pub fn is_pack() -> bool {
    instruction::size() > 0
}

fn header() -> Result<Header, Errno> {
    let mut bytes = [0; HEADER_BYTES];
    load(0, &mut bytes)?;
    Header::decode(&bytes).ok_or(Errno::Io)
}

/// How many of `len` bytes there are from `offset`.
#[inline]
fn held(offset: u64, len: usize) -> Result<u32, Errno> {
    let left = u64::from(instruction::size()).checked_sub(offset).ok_or(Errno::Io)?;
    Ok(left.min(len as u64) as u32)
}

/// Copies bytes of the segment into `out` and gives how many.
pub fn read(offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
    let len = held(offset, out.len())?;
    // SAFETY: `out` is writable for `len` bytes, which lie inside the segment.
    unsafe { instruction::init_shim(out.as_mut_ptr(), offset as u32, len) };
    Ok(len as usize)
}

fn load(offset: u32, out: &mut [u8]) -> Result<(), Errno> {
    if read(u64::from(offset), out)? == out.len() { Ok(()) } else { Err(Errno::Io) }
}

fn load_span(span: Span) -> Result<Vec<u8>, Errno> {
    let len = held(u64::from(span.offset), span.len as usize)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len as usize).map_err(|_| Errno::Nomem)?;
    bytes.resize(len as usize, 0);
    load(span.offset, &mut bytes)?;
    Ok(bytes)
}

struct OfModule;

impl Segment for OfModule {
    fn load(&mut self, offset: u32, out: &mut [u8]) -> Result<(), Errno> {
        load(offset, out)
    }

    fn decompress(&mut self, _: Codec, compressed: &[u8], out: &mut [u8]) -> Result<(), Errno> {
        // SAFETY: both slices are what they say; see `codec`.
        let done = unsafe { instruction::decode(compressed.as_ptr(), compressed.len(), out.as_mut_ptr(), out.len()) };
        if done == 1 { Ok(()) } else { Err(Errno::Io) }
    }
}

/// As [`read`], of what the chunks hold.
pub fn read_chunked(mut offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
    let Packed { header, chunks } = packed()?;
    let mut done = 0;
    while let Some(rest) = out.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let bytes = match chunks.at(&mut OfModule, header, offset) {
            Ok([]) => break,
            Ok(bytes) => bytes,
            // What was read is good; the next read begins with the error.
            Err(_) if done > 0 => break,
            Err(errno) => return Err(errno),
        };
        let len = bytes.len().min(rest.len());
        if let (Some(to), Some(from)) = (rest.get_mut(..len), bytes.get(..len)) {
            to.copy_from_slice(from);
        }
        done += len;
        offset += len as u64;
    }
    Ok(done)
}

/// The boot image.
pub fn image() -> Result<Vec<u8>, Errno> {
    load_span(packed()?.header.image)
}

/// Entry arguments and variables.
pub fn entry() -> Result<Entry, Errno> {
    Entry::decode(&load_span(packed()?.header.entry)?)
}

/// Says on stderr that a file which the program opens was left out of the pack.
#[cold]
pub fn complain_of_pruned(number: u64) {
    let Ok(list) = packed().and_then(|packed| load_span(packed.header.pruned)) else { return };
    let path = pruned_path(&list, number).unwrap_or("a file");
    let rest = " was pruned from this pack (weir pack --prune): pack the program again without --prune, or with a \
                trace of a run that opens the file\n";
    crate::state::complain(&[": /", path, rest]);
}

/// The decompressors. The linker keeps the one that the pack was made with.
mod codec {
    use core::slice;

    fn slices<'a>(from: *const u8, len: usize, to: *mut u8, to_len: usize) -> (&'a [u8], &'a mut [u8]) {
        // SAFETY: called through `instruction::decode` alone, with two slices that do not overlap.
        unsafe { (slice::from_raw_parts(from, len), slice::from_raw_parts_mut(to, to_len)) }
    }

    #[unsafe(export_name = "codec:lz4")]
    extern "C" fn lz4(from: *const u8, len: usize, to: *mut u8, to_len: usize) -> u32 {
        let (from, to) = slices(from, len, to, to_len);
        u32::from(lz4_flex::block::decompress_into(from, to).is_ok_and(|read| read == to_len))
    }

    #[unsafe(export_name = "codec:zstd")]
    extern "C" fn zstd(from: *const u8, len: usize, to: *mut u8, to_len: usize) -> u32 {
        let (from, to) = slices(from, len, to, to_len);
        let mut decoder = ruzstd::decoding::FrameDecoder::new();
        u32::from(decoder.decode_all(from, to).is_ok_and(|read| read == to_len))
    }
}
