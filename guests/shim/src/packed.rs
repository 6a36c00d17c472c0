//! The files that lie in the module itself, as one passive data segment. A read of a plain file is one
//! `memory.init` into the program's buffer; a compressed one is decompressed by chunks, which are kept.
//! A module that is no pack has a segment of no bytes, and nothing here is reached.

use crate::program::Program;
use crate::state::Single;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use weir_vfs::pack::{Chunks, Codec, Entry, HEADER_BYTES, Header, Segment, Span, pruned_path};
use weir_vfs::{Errno, Memory};

mod instruction {
    #[link(wasm_import_module = "weir:pack")]
    unsafe extern "C" {
        pub safe fn size() -> u32;
        pub safe fn init_program(at: u32, offset: u32, len: u32);
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

/// Whether the module is a pack.
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

/// Copies bytes of the segment straight into the program's memory and gives how many.
#[inline]
pub fn read_program(offset: u64, at: u32, len: usize) -> Result<usize, Errno> {
    let len = held(offset, len)?;
    instruction::init_program(at, offset as u32, len);
    Ok(len as usize)
}

/// Copies bytes of the segment into the shim's own memory and gives how many.
pub fn read_shim(offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
    let len = held(offset, out.len())?;
    // SAFETY: `out` is writable for `len` bytes, which lie inside the segment.
    unsafe { instruction::init_shim(out.as_mut_ptr(), offset as u32, len) };
    Ok(len as usize)
}

fn load(offset: u32, out: &mut [u8]) -> Result<(), Errno> {
    if read_shim(u64::from(offset), out)? == out.len() { Ok(()) } else { Err(Errno::Io) }
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

/// Passes what the chunks hold from `offset` on to `take`, piece by piece, until `len` bytes are there.
fn read_chunked(mut offset: u64, len: usize, mut take: impl FnMut(usize, &[u8])) -> Result<usize, Errno> {
    let Packed { header, chunks } = packed()?;
    let mut done = 0;
    while done < len {
        let bytes = match chunks.at(&mut OfModule, header, offset) {
            Ok(bytes) => bytes,
            // What was read is good; the next read begins with the error.
            Err(_) if done > 0 => break,
            Err(errno) => return Err(errno),
        };
        let piece = bytes.get(..len - done).unwrap_or(bytes);
        if piece.is_empty() {
            break;
        }
        take(done, piece);
        done += piece.len();
        offset += piece.len() as u64;
    }
    Ok(done)
}

/// As [`read_program`], of what the chunks hold.
#[inline]
pub fn read_chunked_program(offset: u64, at: u32, len: usize) -> Result<usize, Errno> {
    let Packed { header, chunks } = packed()?;
    if let Some(bytes) = chunks.held(header, offset, len) {
        Program.copy_out(at, bytes);
        return Ok(len);
    }
    read_chunks_program(offset, at, len)
}

#[inline(never)]
fn read_chunks_program(offset: u64, at: u32, len: usize) -> Result<usize, Errno> {
    read_chunked(offset, len, |done, piece| Program.put(at as usize + done, piece))
}

/// As [`read_shim`], of what the chunks hold.
pub fn read_chunked_shim(offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
    read_chunked(offset, out.len(), |done, piece| {
        if let Some(target) = out.get_mut(done..done + piece.len()) {
            target.copy_from_slice(piece);
        }
    })
}

/// The boot image.
pub fn image() -> Result<Vec<u8>, Errno> {
    load_span(packed()?.header.image)
}

/// Entry arguments and variables.
pub fn entry() -> Result<Entry, Errno> {
    Entry::decode(&entry_bytes()?)
}

/// What lies where entry arguments do; in a lifted program it is the record of its function.
pub fn entry_bytes() -> Result<Vec<u8>, Errno> {
    load_span(packed()?.header.entry)
}

/// Says on stderr that a file which the program opens was left out of the pack.
#[cold]
pub fn complain_of_pruned(number: u64) {
    let Ok(list) = packed().and_then(|packed| load_span(packed.header.pruned)) else { return };
    let path = pruned_path(&list, number).unwrap_or("a file");
    let rest = " was pruned from this pack (weir pack --prune): pack the program again without --prune, or with a \
                trace of a run that opens the file\n";
    crate::host::complain(&[": /", path, rest]);
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
