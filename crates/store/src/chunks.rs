//! Cutting a program where its own bytes say so.
//!
//! A pack by reference is a program with a list of its files, and a change of one file changes some numbers in it. Cut
//! by content, two versions of it share every piece but those around the changes, however much has moved. Packs with
//! their files inside are not cut: they are one layer, which other tools can read.

use crate::error::{Error, Kind, Result};
use crate::limits::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, CHUNK_CUT_BITS};
use crate::store::{BlobRef, Store};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Read};
use weir_types::Digest;

/// A program and its pieces, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunked {
    pub(crate) whole: BlobRef,
    pub(crate) chunks: Vec<BlobRef>,
}

/// Cuts what `input` gives and hands over each piece.
///
/// # Errors
/// `input` fails, or `take` does.
pub(crate) fn split(input: &mut dyn Read, take: &mut dyn FnMut(BlobRef, &[u8]) -> Result<()>) -> Result<Chunked> {
    /// Several pieces at once, so that little is moved.
    const BUFFER_BYTES: usize = 4 * CHUNK_BYTES_MAX;
    let gear = gear();
    let (mut buffer, mut start, mut ended) = (Vec::new(), 0, false);
    let (mut whole, mut chunks, mut size) = (blake3::Hasher::new(), Vec::new(), 0u64);
    loop {
        if buffer.len() - start < CHUNK_BYTES_MAX && !ended {
            buffer.drain(..start);
            start = 0;
            let wanted = BUFFER_BYTES - buffer.len();
            let read = input.take(wanted as u64).read_to_end(&mut buffer);
            let read = read.map_err(|error| Error::new(Kind::Program, format!("cannot read the program: {error}")))?;
            ended = read < wanted;
        }
        let rest = &buffer[start..];
        if rest.is_empty() {
            break;
        }
        let piece = &rest[..cut(rest, &gear)];
        let blob = BlobRef { digest: Digest(*blake3::hash(piece).as_bytes()), size: piece.len() as u64 };
        whole.update(piece);
        size += blob.size;
        take(blob, piece)?;
        chunks.push(blob);
        start += piece.len();
    }
    Ok(Chunked { whole: BlobRef { digest: Digest(*whole.finalize().as_bytes()), size }, chunks })
}

/// How long the first piece is. Where a cut falls depends on the 64 bytes before it and on nothing else, so cuts find
/// back to each other behind a change.
fn cut(bytes: &[u8], gear: &[u64; 256]) -> usize {
    let mask = ((1u64 << CHUNK_CUT_BITS) - 1) << (64 - CHUNK_CUT_BITS);
    let mut hash = 0u64;
    for (at, byte) in bytes.iter().enumerate().take(CHUNK_BYTES_MAX).skip(CHUNK_BYTES_MIN - 64) {
        hash = (hash << 1).wrapping_add(gear[usize::from(*byte)]);
        if at >= CHUNK_BYTES_MIN && hash & mask == 0 {
            return at + 1;
        }
    }
    bytes.len().min(CHUNK_BYTES_MAX)
}

/// A fixed number for each byte value. They are part of the format only in so far as other ones share nothing.
fn gear() -> [u64; 256] {
    let mut bytes = [0; 2048];
    blake3::Hasher::new().update(b"weir cuts 1").finalize_xof().fill(&mut bytes);
    let mut numbers = bytes.chunks_exact(8).map(|bytes| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
    std::array::from_fn(|_| numbers.next().unwrap_or_default())
}

/// Puts the pieces of a program into the store; tells those that were not there before.
///
/// # Errors
/// The program cannot be read, or the store not be written.
pub(crate) fn put(
    store: &Store,
    program: &mut dyn Read,
    wanted: Option<&BTreeSet<Digest>>,
) -> Result<(Chunked, Vec<Digest>)> {
    let mut added = Vec::new();
    let chunked = split(program, &mut |blob, bytes| {
        if wanted.is_none_or(|wanted| wanted.contains(&blob.digest)) && !store.contains(&blob.digest) {
            store.put_checked(&mut &*bytes, Some(&blob))?;
            added.push(blob.digest);
        }
        Ok(())
    })?;
    Ok((chunked, added))
}

/// Puts a program together from its pieces in the store. `false`: one of them is not there.
///
/// # Errors
/// The pieces are not those of this program, or the store cannot be written.
pub(crate) fn join(store: &Store, program: &Chunked) -> Result<bool> {
    let mut pieces = Pieces { store, rest: program.chunks.iter(), current: None, missing: false };
    let joined = store.put_checked(&mut pieces, Some(&program.whole));
    match (pieces.missing, joined) {
        (true, _) => Ok(false),
        (false, joined) => joined.map(|_| true),
    }
}

struct Pieces<'a> {
    store: &'a Store,
    rest: std::slice::Iter<'a, BlobRef>,
    current: Option<File>,
    missing: bool,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            if let Some(file) = &mut self.current {
                let count = file.read(buffer)?;
                if count > 0 || buffer.is_empty() {
                    return Ok(count);
                }
            }
            let Some(blob) = self.rest.next() else { return Ok(0) };
            let path = self.store.find(&blob.digest).map_err(std::io::Error::other)?;
            // A piece may also go between being found and being opened: another pull tidies up.
            let opened = path.ok_or_else(|| ErrorKind::NotFound.into()).and_then(File::open);
            self.missing = opened.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound);
            self.current = Some(opened?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noise(seed: u64, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    fn digests(bytes: &[u8]) -> BTreeSet<Digest> {
        let chunked = split(&mut &*bytes, &mut |_, _| Ok(())).unwrap();
        assert_eq!(chunked.chunks.iter().map(|chunk| chunk.size).sum::<u64>(), bytes.len() as u64);
        assert_eq!(chunked.whole.digest.0, *blake3::hash(bytes).as_bytes());
        chunked.chunks.iter().map(|chunk| chunk.digest).collect()
    }

    #[test]
    fn a_change_touches_few_pieces() {
        let old = noise(1, 20 << 20);
        let mut new = old.clone();
        new.splice(3_000_000..3_000_002, *b"other");
        new[12_000_000] ^= 1;
        let (old, new) = (digests(&old), digests(&new));
        assert!(old.len() > 20, "{}", old.len());
        assert!(new.difference(&old).count() <= 4, "{} of {}", new.difference(&old).count(), new.len());
    }

    #[test]
    fn bytes_without_a_cut_are_cut_anyway() {
        let zeros = vec![0; CHUNK_BYTES_MAX * 2 + 5];
        let mut sizes = Vec::new();
        split(&mut &*zeros, &mut |blob, _| {
            sizes.push(blob.size as usize);
            Ok(())
        })
        .unwrap();
        assert_eq!(sizes, [CHUNK_BYTES_MAX, CHUNK_BYTES_MAX, 5]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn pieces_go_round(size in 0usize..3_000_000, seed in 0u64..4) {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::at(folder.path()).unwrap();
            let bytes = noise(seed, size);
            let (chunked, added) = put(&store, &mut &*bytes, None).unwrap();
            prop_assert!(join(&store, &chunked).unwrap());
            prop_assert_eq!(store.bytes(&chunked.whole.digest).unwrap().unwrap(), bytes);
            prop_assert!(put(&store, &mut &*store.bytes(&chunked.whole.digest).unwrap().unwrap(), None).unwrap().1.is_empty());
            if added.len() > 1 {
                store.remove_blob(&added[0]);
                prop_assert!(!join(&store, &chunked).unwrap());
            }
        }
    }
}
