//! Compressing file contents by chunks. Files lie one after another in the chunks, so that small ones
//! share a chunk and its statistics; a read decompresses the chunks that it touches, no more.

use std::thread;
use weir_vfs::pack::{ALIGNED_BYTES_MIN, Codec, FILE_ALIGNMENT, Span};

/// The size of a chunk of zstd as a power of two: 1 MiB. Smaller ones cost more bytes (256 KiB: 3 % more
/// of a library of scripts), larger ones make the first touch slower for nothing.
const ZSTD_CHUNK_SHIFT: u32 = 20;
/// The size of a chunk of LZ4, whose matches reach 64 KiB back: 256 KiB.
const LZ4_CHUNK_SHIFT: u32 = 18;
/// The highest level that decompresses in the memory of any other. Packs are made once and read often.
const ZSTD_LEVEL: i32 = 19;
/// A file is compressed if that saves this part of it, one in 32.
const SAVED_PART_MIN: usize = 32;
/// Bytes looked at, at most, to see whether a file shrinks: the beginning and the middle.
const SAMPLE_BYTES: usize = 256 << 10;

/// Whether `bytes` shrink enough to be worth decompressing.
pub(super) fn worth_it(codec: Codec, bytes: &[u8]) -> bool {
    if codec == Codec::None {
        return false;
    }
    let middle = bytes.len() / 2;
    let samples = if bytes.len() <= 2 * SAMPLE_BYTES {
        vec![bytes]
    } else {
        vec![&bytes[..SAMPLE_BYTES], &bytes[middle..middle + SAMPLE_BYTES]]
    };
    let (mut before, mut after) = (0, 0);
    for sample in samples {
        before += sample.len();
        // A fast level tells as well as a slow one whether there is anything to be had.
        after += match codec {
            Codec::Zstd => zstd::bulk::compress(sample, 3).map_or(sample.len(), |bytes| bytes.len()),
            _ => lz4_flex::block::compress(sample).len(),
        };
    }
    // Tiny files have an overhead of their own in a sample, but none in a chunk.
    bytes.len() < 4096 || after + before / SAVED_PART_MIN <= before
}

/// Cuts contents into chunks and compresses them, several at a time.
pub(super) struct Compressor {
    codec: Codec,
    chunk_bytes: usize,
    pending: Vec<u8>,
    spans: Vec<Span>,
    bytes: u64,
    batch_bytes: usize,
    shrank: bool,
}

impl Compressor {
    pub fn new(codec: Codec) -> Self {
        let shift = if codec == Codec::Lz4 { LZ4_CHUNK_SHIFT } else { ZSTD_CHUNK_SHIFT };
        let threads = thread::available_parallelism().map_or(1, |count| count.get().min(16));
        let chunk_bytes = 1 << shift;
        let batch_bytes = chunk_bytes * threads * 4;
        Self { codec, chunk_bytes, pending: Vec::new(), spans: Vec::new(), bytes: 0, batch_bytes, shrank: false }
    }

    pub fn chunk_shift(&self) -> u32 {
        self.chunk_bytes.trailing_zeros()
    }

    /// Whether any chunk has to be decompressed.
    pub fn shrank(&self) -> bool {
        self.shrank
    }

    /// Adds contents and gives where they begin in what the chunks hold.
    pub fn add(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> u64 {
        if bytes.len() >= ALIGNED_BYTES_MIN {
            let aligned = self.bytes.next_multiple_of(FILE_ALIGNMENT as u64);
            self.pending.resize(self.pending.len() + (aligned - self.bytes) as usize, 0);
            self.bytes = aligned;
        }
        let at = self.bytes;
        self.bytes += bytes.len() as u64;
        for piece in bytes.chunks(self.batch_bytes) {
            self.pending.extend_from_slice(piece);
            if self.pending.len() >= self.batch_bytes {
                let rest = self.pending.len() % self.chunk_bytes;
                self.write(self.pending.len() - rest, out);
            }
        }
        at
    }

    /// Writes what is left; gives the chunks and how many bytes they hold.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> (Vec<Span>, u64) {
        self.write(self.pending.len(), out);
        (std::mem::take(&mut self.spans), self.bytes)
    }

    /// Compresses the first `len` pending bytes. The result does not depend on the number of threads.
    fn write(&mut self, len: usize, out: &mut Vec<u8>) {
        let (codec, pending) = (self.codec, &self.pending[..len]);
        let chunks: Vec<&[u8]> = pending.chunks(self.chunk_bytes).collect();
        let threads = (self.batch_bytes / self.chunk_bytes / 4).max(1);
        let share = chunks.len().div_ceil(threads).max(1);
        let compressed: Vec<Vec<u8>> = thread::scope(|scope| {
            let workers: Vec<_> = chunks
                .chunks(share)
                .map(|chunks| scope.spawn(|| chunks.iter().map(|chunk| compress(codec, chunk)).collect::<Vec<_>>()))
                .collect();
            let results = workers.into_iter().map(|worker| worker.join());
            results.flat_map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        for (chunk, before) in compressed.into_iter().zip(&chunks) {
            self.shrank |= chunk.len() < before.len();
            self.spans.push(Span { offset: out.len() as u32, len: chunk.len() as u32 });
            out.extend_from_slice(&chunk);
        }
        self.pending.drain(..len);
    }
}

/// A chunk as it is stored: as it is, where compressing does not make it shorter.
fn compress(codec: Codec, chunk: &[u8]) -> Vec<u8> {
    let compressed = match codec {
        Codec::None => None,
        Codec::Lz4 => Some(lz4_flex::block::compress(chunk)),
        Codec::Zstd => zstd::bulk::compress(chunk, ZSTD_LEVEL).ok(),
    };
    compressed.filter(|compressed| compressed.len() < chunk.len()).unwrap_or_else(|| chunk.to_vec())
}

/// The opposite of what [`Compressor`] does to one chunk.
pub(super) fn decompress(codec: Codec, stored: &[u8], size: usize) -> Option<Vec<u8>> {
    let bytes = match codec {
        _ if stored.len() == size => stored.to_vec(),
        Codec::None => return None,
        Codec::Lz4 => lz4_flex::block::decompress(stored, size).ok()?,
        Codec::Zstd => zstd::bulk::decompress(stored, size).ok()?,
    };
    (bytes.len() == size).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_begin_at_cache_lines() {
        let mut compressor = Compressor::new(Codec::Lz4);
        let mut out = Vec::new();
        let files = [vec![1; 5], vec![2; ALIGNED_BYTES_MIN], vec![3; 7], vec![4; 600_000], vec![5; 9]];
        let starts: Vec<u64> = files.iter().map(|file| compressor.add(file, &mut out)).collect();
        assert_eq!(starts, [0, 64, 64 + 4096, 64 + 4096 + 64, 64 + 4096 + 64 + 600_000]);
        let (spans, bytes) = compressor.finish(&mut out);
        let size = |at: usize| compressor.chunk_bytes.min(bytes as usize - at * compressor.chunk_bytes);
        let all: Vec<u8> = (0..spans.len())
            .flat_map(|at| {
                let stored = &out[spans[at].offset as usize..][..spans[at].len as usize];
                decompress(Codec::Lz4, stored, size(at)).unwrap_or_default()
            })
            .collect();
        for (file, start) in files.iter().zip(starts) {
            assert!(all[start as usize..][..file.len()] == **file);
        }
    }
}
