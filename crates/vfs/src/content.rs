//! The contents of one regular file: a size, perhaps a range of a blob, and the chunks that were written.
//!
//! A chunk that was written hides the blob there; everything that is neither blob nor chunk is zeros.
//! Chunks are 16 KiB: small enough that a database which changes a 4 KiB page of a mounted file copies
//! no more than four, large enough that the work per chunk (some 10 ns) is lost in copying it (400 ns).
//! A chunk holds only the bytes up to its last written one and grows by doubling, so that a small file
//! costs what it holds and appending 64 bytes at a time costs the same per byte as appending 4 KiB.

use crate::Errno;
use crate::platform::{BlobId, Memory, Platform};
use alloc::{boxed::Box, vec::Vec};
use core::hash::{BuildHasherDefault, Hasher};
use hashbrown::HashMap;

const CHUNK_SHIFT: u32 = 14;
/// Bytes of a chunk.
pub(crate) const CHUNK: usize = 1 << CHUNK_SHIFT;
/// A chunk is charged with no fewer bytes than this, which is what keeping track of one costs. Else a
/// program could fill the host with files of one byte in each chunk at hardly any charge.
const CHUNK_CHARGE_MIN: u64 = 64;
/// How many empty places the dense list of chunks may gain at once; beyond it, chunks are sparse.
const DENSE_GAP_MAX: u64 = 4;

/// Bytes held against a limit.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) used: u64,
    pub(crate) max: u64,
}

impl Budget {
    /// Replaces a charge of `old` bytes by one of `new`.
    #[inline]
    pub(crate) fn recharge(&mut self, old: u64, new: u64) -> Result<(), Errno> {
        let used = self.used.saturating_sub(old).saturating_add(new);
        if new > old && used > self.max {
            return Err(Errno::Nospc);
        }
        self.used = used;
        Ok(())
    }

    pub(crate) fn give_back(&mut self, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
    }
}

/// Where read bytes go: the caller's memory or a slice of our own.
pub(crate) trait Sink<P: Platform> {
    fn put(&mut self, at: usize, bytes: &[u8]);
    fn zero(&mut self, at: usize, len: usize);
    fn blob(&mut self, platform: &mut P, blob: BlobId, offset: u64, at: usize, len: usize) -> Result<usize, Errno>;
}

/// The caller's memory as a [`Sink`].
pub(crate) struct ToCaller<'a, M: ?Sized>(pub(crate) &'a mut M);

impl<P: Platform> Sink<P> for ToCaller<'_, P::Memory> {
    #[inline]
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0.put(at, bytes);
    }

    #[inline]
    fn zero(&mut self, at: usize, len: usize) {
        self.0.zero(at, len);
    }

    #[inline]
    fn blob(&mut self, platform: &mut P, blob: BlobId, offset: u64, at: usize, len: usize) -> Result<usize, Errno> {
        platform.blob_read(blob, offset, self.0, at, len)
    }
}

/// A slice of our own as a [`Sink`].
pub(crate) struct ToSlice<'a>(pub(crate) &'a mut [u8]);

impl<P: Platform> Sink<P> for ToSlice<'_> {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        Memory::put(self.0, at, bytes);
    }

    fn zero(&mut self, at: usize, len: usize) {
        Memory::zero(self.0, at, len);
    }

    fn blob(&mut self, platform: &mut P, blob: BlobId, offset: u64, at: usize, len: usize) -> Result<usize, Errno> {
        match self.0.get_mut(at..at.saturating_add(len)) {
            Some(out) => platform.blob_load(blob, offset, out),
            None => Err(Errno::Fault),
        }
    }
}

/// A range of a blob that the file begins with.
#[derive(Clone, Copy, Debug)]
struct Base {
    blob: BlobId,
    offset: u64,
    len: u64,
}

/// The contents of one regular file.
#[derive(Debug, Default)]
pub(crate) struct Content {
    size: u64,
    /// Never longer than the file.
    base: Option<Base>,
    /// No chunk holds bytes beyond the file's end.
    chunks: Chunks,
}

/// Index of the chunk and place in it.
#[inline]
fn split(offset: u64) -> (u64, usize) {
    (offset >> CHUNK_SHIFT, (offset as usize) & (CHUNK - 1))
}

fn charge_of(len: usize) -> u64 {
    (len as u64).max(CHUNK_CHARGE_MIN)
}

impl Content {
    /// A file that is `size` bytes of `blob` from `offset` on.
    pub(crate) fn of_blob(blob: BlobId, offset: u64, size: u64) -> Self {
        let base = (size > 0).then_some(Base { blob, offset, len: size });
        Self { size, base, chunks: Chunks::default() }
    }

    #[inline]
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The blob that the file begins with, and where in it.
    pub(crate) fn base(&self) -> Option<(BlobId, u64)> {
        self.base.map(|base| (base.blob, base.offset))
    }

    /// What this file is charged with.
    pub(crate) fn charge(&self) -> u64 {
        self.chunks.charge()
    }

    /// Reads up to `len` bytes from `offset`; fewer only at the end of the file.
    #[inline]
    pub(crate) fn read<P: Platform, S: Sink<P>>(
        &self,
        platform: &mut P,
        offset: u64,
        sink: &mut S,
        at: usize,
        len: usize,
    ) -> Result<usize, Errno> {
        let left = self.size.saturating_sub(offset);
        let len = if (len as u64) < left { len } else { left as usize };
        if len == 0 {
            return Ok(0);
        }
        let (index, within) = split(offset);
        if let Some(bytes) = self.chunks.dense(index).and_then(|chunk| chunk.get(within..within.wrapping_add(len))) {
            sink.put(at, bytes);
            return Ok(len);
        }
        // The other usual read: of a blob that nothing was written over.
        if let Some(base) = self.base
            && self.chunks.is_empty()
            && offset.saturating_add(len as u64) <= base.len
            && let read = sink.blob(platform, base.blob, base.offset.saturating_add(offset), at, len)?
            && read == len
        {
            return Ok(len);
        }
        self.read_pieces(platform, offset, sink, at, len)
    }

    /// The general case of [`Content::read`]; `len` is within the file and not 0. Apart from it, so that the
    /// usual cases are small enough to be part of their callers: 20 ns of a read.
    #[inline(never)]
    fn read_pieces<P: Platform, S: Sink<P>>(
        &self,
        platform: &mut P,
        offset: u64,
        sink: &mut S,
        at: usize,
        len: usize,
    ) -> Result<usize, Errno> {
        if at.checked_add(len - 1).is_none() {
            return Err(Errno::Fault);
        }
        let mut done = 0;
        while done < len {
            let place = offset.saturating_add(done as u64);
            let (index, within) = split(place);
            let mut piece = (CHUNK - within).min(len - done);
            let to = at.wrapping_add(done);
            if let Some(chunk) = self.chunks.get(index) {
                let held = chunk.get(within..).unwrap_or_default();
                let held = held.get(..piece).unwrap_or(held);
                if !held.is_empty() {
                    sink.put(to, held);
                }
                if held.len() < piece {
                    sink.zero(to.wrapping_add(held.len()), piece - held.len());
                }
                done += piece;
                continue;
            }
            // One read of the blob for as many unwritten chunks as follow one another.
            let mut next = index;
            while done + piece < len {
                next = next.wrapping_add(1);
                if self.chunks.get(next).is_some() {
                    break;
                }
                piece = piece.saturating_add(CHUNK).min(len - done);
                if self.chunks.is_empty() {
                    piece = len - done;
                }
            }
            let read = match self.read_base(platform, place, sink, to, piece) {
                Err(_) if done > 0 => return Ok(done),
                result => result?,
            };
            done += read;
            if read < piece {
                // The blob is shorter than was said. What was read is good; the next read begins with the error.
                return if done == 0 { Err(Errno::Io) } else { Ok(done) };
            }
        }
        Ok(len)
    }

    /// Reads bytes no chunk hides: from the blob, zeros behind it.
    fn read_base<P: Platform, S: Sink<P>>(
        &self,
        platform: &mut P,
        place: u64,
        sink: &mut S,
        at: usize,
        len: usize,
    ) -> Result<usize, Errno> {
        let mut done = 0;
        if let Some(base) = self.base {
            let left = base.len.saturating_sub(place);
            let from_blob = if (len as u64) < left { len } else { left as usize };
            while done < from_blob {
                let offset = base.offset.saturating_add(place).saturating_add(done as u64);
                match sink.blob(platform, base.blob, offset, at.wrapping_add(done), from_blob - done) {
                    Ok(0) => return Ok(done),
                    Ok(read) => done += read.min(from_blob - done),
                    Err(_) if done > 0 => return Ok(done),
                    Err(errno) => return Err(errno),
                }
            }
        }
        if done < len {
            sink.zero(at.wrapping_add(done), len - done);
        }
        Ok(len)
    }

    /// Writes `len` bytes at `offset`; fewer only if something failed after the first were written.
    #[inline]
    pub(crate) fn write<P: Platform, M: Memory + ?Sized>(
        &mut self,
        platform: &mut P,
        budget: &mut Budget,
        offset: u64,
        memory: &M,
        at: usize,
        len: usize,
    ) -> Result<usize, Errno> {
        if len == 0 {
            return Ok(0);
        }
        let (index, within) = split(offset);
        // The usual small write: over bytes that are there already.
        if let Some(target) =
            self.chunks.dense_mut(index).and_then(|chunk| chunk.get_mut(within..within.wrapping_add(len)))
        {
            memory.get(at, target);
            return Ok(len);
        }
        self.write_pieces(platform, budget, offset, memory, at, len)
    }

    fn write_pieces<P: Platform, M: Memory + ?Sized>(
        &mut self,
        platform: &mut P,
        budget: &mut Budget,
        offset: u64,
        memory: &M,
        at: usize,
        len: usize,
    ) -> Result<usize, Errno> {
        if at.checked_add(len - 1).is_none() {
            return Err(Errno::Fault);
        }
        let mut done = 0;
        while done < len {
            let place = offset.checked_add(done as u64).ok_or(Errno::Fbig)?;
            let (index, within) = split(place);
            let piece = (CHUNK - within).min(len - done);
            match self.write_piece(platform, budget, index, within, memory, at.wrapping_add(done), piece) {
                Ok(()) => done += piece,
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => return Ok(done),
            }
            self.size = self.size.max(place.saturating_add(piece as u64));
        }
        Ok(len)
    }

    /// Writes inside one chunk, making it first if needed.
    #[allow(clippy::too_many_arguments, reason = "one internal caller; a struct would only rename them")]
    fn write_piece<P: Platform, M: Memory + ?Sized>(
        &mut self,
        platform: &mut P,
        budget: &mut Budget,
        index: u64,
        within: usize,
        memory: &M,
        at: usize,
        len: usize,
    ) -> Result<(), Errno> {
        let end = within + len;
        let follows_full =
            index.checked_sub(1).and_then(|before| self.chunks.get(before)).is_some_and(|chunk| chunk.len() == CHUNK);
        if self.chunks.get(index).is_none() {
            let chunk = self.copy_base(platform, budget, index, within, end)?;
            let charge = charge_of(chunk.len());
            if let Err(errno) = self.chunks.insert(index, chunk) {
                budget.give_back(charge);
                return Err(errno);
            }
        }
        let Some(chunk) = self.chunks.get_mut(index) else { return Err(Errno::Io) };
        let held = chunk.len();
        if end > held {
            budget.recharge(charge_of(held), charge_of(end))?;
            if grow(chunk, end, follows_full).is_err() {
                budget.give_back(charge_of(end) - charge_of(held));
                return Err(Errno::Nospc);
            }
            chunk.resize(held.max(within), 0);
        }
        let overlap = chunk.len().min(end) - within;
        if let Some(target) = chunk.get_mut(within..within + overlap) {
            memory.get(at, target);
        }
        if overlap < len {
            memory.append_to(at.wrapping_add(overlap), len - overlap, chunk);
            chunk.resize(end, 0);
        }
        Ok(())
    }

    /// A new chunk, with the bytes of the blob unless those are about to be overwritten; charged.
    fn copy_base<P: Platform>(
        &self,
        platform: &mut P,
        budget: &mut Budget,
        index: u64,
        within: usize,
        end: usize,
    ) -> Result<Vec<u8>, Errno> {
        let mut chunk = Vec::new();
        let start = index << CHUNK_SHIFT;
        let base = self.base.filter(|base| base.len > start);
        let covered = base.map_or(0, |base| (base.len - start).min(CHUNK as u64) as usize);
        let wanted = if within == 0 && end >= covered { 0 } else { covered };
        budget.recharge(0, charge_of(wanted))?;
        let result = base.filter(|_| wanted > 0).map_or(Ok(()), |base| {
            chunk.try_reserve_exact(wanted.max(end)).map_err(|_| Errno::Nospc)?;
            chunk.resize(wanted, 0);
            let mut done = 0;
            while let Some(rest) = chunk.get_mut(done..).filter(|rest| !rest.is_empty()) {
                let offset = base.offset.saturating_add(start).saturating_add(done as u64);
                match platform.blob_load(base.blob, offset, rest)? {
                    0 => return Err(Errno::Io),
                    read => done += read.min(rest.len()),
                }
            }
            Ok(())
        });
        if let Err(errno) = result {
            budget.give_back(charge_of(wanted));
            return Err(errno);
        }
        Ok(chunk)
    }

    /// Cuts or extends the file. Bytes that come back after a cut are zeros, also over a blob.
    pub(crate) fn set_size(&mut self, budget: &mut Budget, size: u64) {
        if size < self.size {
            if let Some(base) = &mut self.base {
                base.len = base.len.min(size);
            }
            self.base = self.base.filter(|base| base.len > 0);
            let (index, within) = split(size);
            budget.give_back(self.chunks.truncate(index, within));
        }
        self.size = size;
    }
}

/// Makes room for `end` bytes: by doubling, or the whole chunk at once where the file is being written
/// from front to back.
fn grow(chunk: &mut Vec<u8>, end: usize, whole: bool) -> Result<(), alloc::collections::TryReserveError> {
    if end <= chunk.capacity() {
        return Ok(());
    }
    let wanted = if whole { CHUNK } else { end.max(chunk.capacity().saturating_mul(2)).clamp(64, CHUNK) };
    chunk.try_reserve_exact(wanted.saturating_sub(chunk.len()))
}

/// Hashes chunk numbers; they come from one program and only hurt itself.
#[derive(Debug, Default)]
struct IndexHasher(u64);

impl Hasher for IndexHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let product = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ (product >> 32);
    }
}

type Sparse = HashMap<u64, Vec<u8>, BuildHasherDefault<IndexHasher>>;

/// The written chunks: a dense list from the front, and a table for those far behind its end.
#[derive(Debug, Default)]
struct Chunks {
    dense: Vec<Option<Vec<u8>>>,
    /// Only numbers beyond `dense`; never an empty table.
    sparse: Option<Box<Sparse>>,
}

impl Chunks {
    #[inline]
    fn is_empty(&self) -> bool {
        self.dense.is_empty() && self.sparse.is_none()
    }

    #[inline]
    fn dense(&self, index: u64) -> Option<&Vec<u8>> {
        self.dense.get(usize::try_from(index).ok()?)?.as_ref()
    }

    #[inline]
    fn dense_mut(&mut self, index: u64) -> Option<&mut Vec<u8>> {
        self.dense.get_mut(usize::try_from(index).ok()?)?.as_mut()
    }

    fn get(&self, index: u64) -> Option<&Vec<u8>> {
        if index < self.dense.len() as u64 {
            return self.dense(index);
        }
        self.sparse.as_ref()?.get(&index)
    }

    fn get_mut(&mut self, index: u64) -> Option<&mut Vec<u8>> {
        if index < self.dense.len() as u64 {
            return self.dense_mut(index);
        }
        self.sparse.as_mut()?.get_mut(&index)
    }

    /// Adds a chunk that is not there.
    fn insert(&mut self, index: u64, chunk: Vec<u8>) -> Result<(), Errno> {
        let end = self.dense.len() as u64;
        if index.saturating_sub(end) > DENSE_GAP_MAX {
            let sparse = self.sparse.get_or_insert_default();
            let room = sparse.try_reserve(1).map_err(|_| Errno::Nospc);
            if room.is_ok() {
                sparse.insert(index, chunk);
            }
            self.drop_empty_sparse();
            return room;
        }
        if index >= end {
            let more = (index - end + 1) as usize;
            self.dense.try_reserve(more).map_err(|_| Errno::Nospc)?;
            for number in end..=index {
                let known = self.sparse.as_mut().and_then(|sparse| sparse.remove(&number));
                self.dense.push(known);
            }
        }
        if let Some(place) = self.dense.get_mut(index as usize) {
            *place = Some(chunk);
        }
        // Chunks that the dense list has reached now belong to it.
        while let Some(known) = self.sparse.as_mut().and_then(|sparse| sparse.remove(&(self.dense.len() as u64))) {
            self.dense.push(Some(known));
        }
        self.drop_empty_sparse();
        Ok(())
    }

    fn drop_empty_sparse(&mut self) {
        if self.sparse.as_ref().is_some_and(|sparse| sparse.is_empty()) {
            self.sparse = None;
        }
    }

    /// Drops everything from byte `within` of chunk `index` on; returns the charge that went with it.
    fn truncate(&mut self, index: u64, within: usize) -> u64 {
        let mut freed = 0;
        let keep = if within > 0 { index.saturating_add(1) } else { index };
        if within > 0
            && let Some(chunk) = self.get_mut(index)
            && chunk.len() > within
        {
            freed += charge_of(chunk.len()) - charge_of(within);
            chunk.truncate(within);
            chunk.shrink_to(within);
        }
        let dense_keep = usize::try_from(keep).unwrap_or(usize::MAX);
        if dense_keep < self.dense.len() {
            freed += self.dense.drain(dense_keep..).flatten().map(|chunk| charge_of(chunk.len())).sum::<u64>();
            self.dense.shrink_to(dense_keep);
        }
        if let Some(sparse) = &mut self.sparse {
            sparse.retain(|number, chunk| {
                let stays = *number < keep;
                freed += if stays { 0 } else { charge_of(chunk.len()) };
                stays
            });
        }
        self.drop_empty_sparse();
        freed
    }

    fn charge(&self) -> u64 {
        let dense = self.dense.iter().flatten().map(|chunk| charge_of(chunk.len())).sum::<u64>();
        let sparse = self.sparse.iter().flat_map(|sparse| sparse.values()).map(|chunk| charge_of(chunk.len()));
        dense.saturating_add(sparse.sum())
    }
}
