//! Reading, writing and cutting regular files.

use super::{Kind, Node, NodeId, Vfs};
use crate::content::{Content, Sink, ToCaller, ToSlice};
use crate::{Errno, Platform, StreamId};

/// Offsets beyond are refused: POSIX counts them in signed numbers, and so do most programs.
const OFFSET_MAX: u64 = i64::MAX as u64;

/// What file operations say of a node that is no regular file.
fn no_file(kind: &Kind) -> Errno {
    match kind {
        Kind::Directory(_) => Errno::Isdir,
        Kind::Free(_) => Errno::Badf,
        Kind::Symlink { .. } => Errno::Inval,
        Kind::File(_) | Kind::Stream(_) => Errno::Spipe,
    }
}

#[allow(clippy::missing_errors_doc, reason = "the errors are those of POSIX, named where they need explaining")]
impl<P: Platform> Vfs<P> {
    fn content(&self, node: NodeId) -> Result<&Content, Errno> {
        match &self.node(node)?.kind {
            Kind::File(content) => Ok(content),
            other => Err(no_file(other)),
        }
    }

    /// The size of a regular file, without its times.
    #[inline]
    pub fn size(&self, node: NodeId) -> Result<u64, Errno> {
        Ok(self.content(node)?.size())
    }

    #[inline]
    fn read_into<S: Sink<P>>(
        &mut self,
        node: NodeId,
        offset: u64,
        sink: &mut S,
        at: usize,
        len: usize,
    ) -> Result<usize, Errno> {
        if offset > OFFSET_MAX {
            return Err(Errno::Inval);
        }
        match &self.nodes.get(node.0 as usize).ok_or(Errno::Badf)?.kind {
            Kind::File(content) => content.read(&mut self.platform, offset, sink, at, len),
            other => Err(no_file(other)),
        }
    }

    /// Reads up to `len` bytes from `offset` into the caller's memory. Fewer only at the end of the
    /// file, or where a blob turns out shorter than was said.
    #[inline]
    pub fn read_at(
        &mut self,
        node: NodeId,
        offset: u64,
        memory: &mut P::Memory,
        at: usize,
        len: usize,
    ) -> Result<usize, Errno> {
        self.read_into(node, offset, &mut ToCaller(memory), at, len)
    }

    /// Reads bytes from `offset` into a slice of one's own. Fewer only at the end of the file.
    pub fn load_at(&mut self, node: NodeId, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        let len = out.len();
        self.read_into(node, offset, &mut ToSlice(out), 0, len)
    }

    /// Lets the node of a stream be a file with these bytes; gives the node.
    ///
    /// # Errors
    /// `Noent` if no node is this stream, `Nomem` without room for the bytes.
    pub fn stream_becomes_file(&mut self, stream: StreamId, bytes: &[u8]) -> Result<NodeId, Errno> {
        let is_it = |node: &Node| matches!(node.kind, Kind::Stream(found) if found == stream);
        let index = self.nodes.iter().position(is_it).ok_or(Errno::Noent)?;
        let content = self.content_of(bytes)?;
        let node = self.nodes.get_mut(index).ok_or(Errno::Noent)?;
        node.kind = Kind::File(content);
        Ok(NodeId(index as u32))
    }

    /// Writes up to `len` bytes of the caller's memory at `offset`. Fewer only when a quota is met.
    #[inline]
    pub fn write_at(
        &mut self,
        node: NodeId,
        offset: u64,
        memory: &P::Memory,
        at: usize,
        len: usize,
    ) -> Result<usize, Errno> {
        let size_max = self.quota.file_size_max.min(OFFSET_MAX);
        let known = self.nodes.get_mut(node.0 as usize).ok_or(Errno::Badf)?;
        let read_only = known.read_only;
        let content = match &mut known.kind {
            Kind::File(content) if !read_only => content,
            Kind::File(_) => return Err(Errno::Rofs),
            other => return Err(no_file(other)),
        };
        if len == 0 {
            return Ok(0);
        }
        let room = size_max.checked_sub(offset).filter(|room| *room > 0).ok_or(Errno::Fbig)?;
        let len = if (len as u64) < room { len } else { room as usize };
        let written = content.write(&mut self.platform, &mut self.budget, offset, memory, at, len)?;
        self.written(node);
        Ok(written)
    }

    /// Writes at the end of the file; returns how many bytes, and where the file ends now.
    pub fn append(&mut self, node: NodeId, memory: &P::Memory, at: usize, len: usize) -> Result<(usize, u64), Errno> {
        let end = self.size(node)?;
        let written = self.write_at(node, end, memory, at, len)?;
        Ok((written, end.saturating_add(written as u64)))
    }

    /// Cuts or extends (with zeros) a file.
    pub fn set_size(&mut self, node: NodeId, size: u64) -> Result<(), Errno> {
        self.content(node)?;
        if size > self.quota.file_size_max.min(OFFSET_MAX) {
            return Err(Errno::Fbig);
        }
        let known = self.nodes.get_mut(node.0 as usize).ok_or(Errno::Badf)?;
        if known.read_only {
            return Err(Errno::Rofs);
        }
        if let Kind::File(content) = &mut known.kind {
            content.set_size(&mut self.budget, size);
        }
        self.written(node);
        Ok(())
    }

    /// Extends a file with zeros so that it reaches to `offset + len` at least.
    ///
    /// # Errors
    /// `ENOSPC` where the quota could not hold the new bytes; they are not set aside, though.
    pub fn allocate(&mut self, node: NodeId, offset: u64, len: u64) -> Result<(), Errno> {
        let size = self.size(node)?;
        if self.node(node)?.read_only {
            return Err(Errno::Rofs);
        }
        if len == 0 {
            return Err(Errno::Inval);
        }
        let end = offset.checked_add(len).ok_or(Errno::Fbig)?;
        if end > self.quota.file_size_max.min(OFFSET_MAX) {
            return Err(Errno::Fbig);
        }
        if end.saturating_sub(size.max(offset)) > self.budget.max.saturating_sub(self.budget.used) {
            return Err(Errno::Nospc);
        }
        if end > size { self.set_size(node, end) } else { Ok(()) }
    }
}
