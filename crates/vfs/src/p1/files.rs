//! Functions on open descriptors of the tree.

use super::{
    FD_ADVISE, FD_ALLOCATE, FD_DATASYNC, FD_FILESTAT_GET, FD_FILESTAT_SET_SIZE, FD_FILESTAT_SET_TIMES, FD_READ,
    FD_READDIR, FD_SEEK, FD_SYNC, FD_TELL, FD_WRITE, FDFLAG_APPEND, Process, Slot, Spans, check, filetype, new_times,
};
use crate::{Errno, FileType, Memory, NodeId, Platform, Stat, Times};

/// Bytes of the WASI 0.1 record `dirent`.
const DIRENT_BYTES: usize = 24;

/// Bytes that one call reads or writes at most: what it returns is a 32-bit number.
const TRANSFER_MAX: usize = u32::MAX as usize >> 1;

#[allow(clippy::missing_errors_doc, reason = "the errors are those that WASI names")]
impl<P: Platform> Process<P> {
    /// The node behind a descriptor that has the rights.
    fn tree(&self, fd: u32, rights: u64) -> Result<NodeId, Errno> {
        let descriptor = self.table.get(fd)?;
        check(descriptor, rights)?;
        match descriptor.slot {
            Slot::Tree { node, .. } => Ok(node),
            _ => Err(Errno::Badf),
        }
    }

    /// The same, but a directory is `EBADF`, which is what wasmtime says to file functions on one.
    fn file(&self, fd: u32, rights: u64) -> Result<NodeId, Errno> {
        let node = self.tree(fd, 0)?;
        if self.vfs.kind(node)? == FileType::Directory {
            return Err(Errno::Badf);
        }
        self.tree(fd, rights)
    }

    /// `fd_advise`: checked, and otherwise of no effect.
    pub fn fd_advise(&mut self, fd: u32, _offset: u64, _len: u64, advice: u8) -> Result<(), Errno> {
        self.file(fd, FD_ADVISE)?;
        if advice > 5 { Err(Errno::Inval) } else { Ok(()) }
    }

    /// `fd_allocate`.
    pub fn fd_allocate(&mut self, fd: u32, offset: u64, len: u64) -> Result<(), Errno> {
        let node = self.file(fd, FD_ALLOCATE | FD_WRITE)?;
        self.vfs.allocate(node, offset, len)
    }

    /// `fd_datasync`. There is nothing to wait for. Directories are welcome: databases ask for them.
    pub fn fd_datasync(&mut self, fd: u32) -> Result<(), Errno> {
        self.synced(fd, FD_DATASYNC)
    }

    /// `fd_sync`. There is nothing to wait for. Directories are welcome: databases ask for them.
    pub fn fd_sync(&mut self, fd: u32) -> Result<(), Errno> {
        self.synced(fd, FD_SYNC)
    }

    fn synced(&mut self, fd: u32, right: u64) -> Result<(), Errno> {
        let node = self.tree(fd, 0)?;
        if self.vfs.kind(node)? != FileType::Directory {
            self.tree(fd, right)?;
        }
        self.vfs.settle();
        Ok(())
    }

    /// `fd_filestat_get`. A stream's descriptor has no node, so everything but its type is 0; it needs no
    /// right, because the standard streams have none but reading or writing, as under wasmtime.
    pub fn fd_filestat_get(&mut self, fd: u32) -> Result<Stat, Errno> {
        let descriptor = self.table.get(fd)?;
        match descriptor.slot {
            Slot::Tree { node, .. } => {
                check(descriptor, FD_FILESTAT_GET)?;
                self.vfs.stat(node)
            }
            Slot::Stream(_) => Ok(Stat { ino: 0, kind: FileType::Stream, links: 0, size: 0, times: Times::default() }),
            Slot::Host(_) | Slot::Free => Err(Errno::Badf),
        }
    }

    /// `fd_filestat_set_size`. `EINVAL` without the right to write, as POSIX has it.
    pub fn fd_filestat_set_size(&mut self, fd: u32, size: u64) -> Result<(), Errno> {
        let node = self.file(fd, FD_FILESTAT_SET_SIZE)?;
        self.tree(fd, FD_WRITE).map_err(|_| Errno::Inval)?;
        self.vfs.set_size(node, size)
    }

    /// `fd_filestat_set_times`.
    pub fn fd_filestat_set_times(&mut self, fd: u32, atim: u64, mtim: u64, fst_flags: u16) -> Result<(), Errno> {
        let node = self.tree(fd, FD_FILESTAT_SET_TIMES)?;
        let (accessed, modified) = new_times(atim, mtim, fst_flags)?;
        self.vfs.set_times(node, accessed, modified)
    }

    /// `fd_read`.
    #[inline]
    pub fn fd_read<S: Spans + ?Sized>(&mut self, memory: &mut P::Memory, fd: u32, iovs: &S) -> Result<usize, Errno> {
        let Self { vfs, table, .. } = self;
        let descriptor = table.get_mut(fd)?;
        check(descriptor, FD_READ)?;
        let Slot::Tree { node, position } = &mut descriptor.slot else { return Err(Errno::Badf) };
        let start = *position;
        let read = fill(iovs, |done, at, len| vfs.read_at(*node, start.saturating_add(done), memory, at, len))?;
        *position = start.saturating_add(read as u64);
        Ok(read)
    }

    /// `fd_pread`.
    #[inline]
    pub fn fd_pread<S: Spans + ?Sized>(
        &mut self,
        memory: &mut P::Memory,
        fd: u32,
        iovs: &S,
        offset: u64,
    ) -> Result<usize, Errno> {
        let descriptor = self.table.get(fd)?;
        check(descriptor, FD_READ)?;
        match descriptor.slot {
            Slot::Tree { node, .. } => {
                fill(iovs, |done, at, len| self.vfs.read_at(node, offset.saturating_add(done), memory, at, len))
            }
            Slot::Stream(_) => Err(Errno::Spipe),
            Slot::Host(_) | Slot::Free => Err(Errno::Badf),
        }
    }

    /// `fd_write`.
    #[inline]
    pub fn fd_write<S: Spans + ?Sized>(&mut self, memory: &P::Memory, fd: u32, ciovs: &S) -> Result<usize, Errno> {
        let Self { vfs, table, .. } = self;
        let descriptor = table.get_mut(fd)?;
        check(descriptor, FD_WRITE)?;
        let append = descriptor.flags & FDFLAG_APPEND != 0;
        let Slot::Tree { node, position } = &mut descriptor.slot else { return Err(Errno::Badf) };
        let start = if append { vfs.size(*node)? } else { *position };
        let written = transfer(ciovs, |done, at, len| {
            let offset = start.checked_add(done).ok_or(Errno::Fbig)?;
            vfs.write_at(*node, offset, memory, at, len)
        })?;
        if written > 0 || !append {
            *position = start.saturating_add(written as u64);
        }
        Ok(written)
    }

    /// `fd_pwrite`. As under Linux, a descriptor that appends does so here, too.
    pub fn fd_pwrite<S: Spans + ?Sized>(
        &mut self,
        memory: &P::Memory,
        fd: u32,
        ciovs: &S,
        offset: u64,
    ) -> Result<usize, Errno> {
        let descriptor = self.table.get(fd)?;
        check(descriptor, FD_WRITE)?;
        let append = descriptor.flags & FDFLAG_APPEND != 0;
        match descriptor.slot {
            Slot::Tree { .. } if offset > i64::MAX as u64 => Err(Errno::Inval),
            Slot::Tree { node, .. } => {
                let start = if append { self.vfs.size(node)? } else { offset };
                transfer(ciovs, |done, at, len| {
                    let offset = start.checked_add(done).ok_or(Errno::Fbig)?;
                    self.vfs.write_at(node, offset, memory, at, len)
                })
            }
            Slot::Stream(_) => Err(Errno::Spipe),
            Slot::Host(_) | Slot::Free => Err(Errno::Badf),
        }
    }

    /// `fd_seek`.
    pub fn fd_seek(&mut self, fd: u32, offset: i64, whence: u8) -> Result<u64, Errno> {
        let descriptor = self.table.get_mut(fd)?;
        let needed = if whence == 1 && offset == 0 { FD_TELL } else { FD_SEEK };
        let rights = descriptor.rights();
        let Slot::Tree { node, position: place } = &mut descriptor.slot else { return Err(Errno::Spipe) };
        let size = self.vfs.size(*node).map_err(|_| Errno::Badf)?;
        if rights & needed == 0 {
            return Err(Errno::Notcapable);
        }
        let from = match whence {
            0 => 0,
            1 => *place,
            2 => size,
            _ => return Err(Errno::Inval),
        };
        let to = from.checked_add_signed(offset).filter(|to| i64::try_from(*to).is_ok()).ok_or(Errno::Inval)?;
        *place = to;
        Ok(to)
    }

    /// `fd_tell`.
    pub fn fd_tell(&mut self, fd: u32) -> Result<u64, Errno> {
        self.fd_seek(fd, 0, 1)
    }

    /// `fd_readdir`: how many bytes of the buffer were used. All of it means that there is more, of which
    /// the last record may be a part.
    pub fn fd_readdir(
        &mut self,
        memory: &mut P::Memory,
        fd: u32,
        at: usize,
        len: usize,
        cookie: u64,
    ) -> Result<usize, Errno> {
        let node = self.tree(fd, 0)?;
        if self.vfs.kind(node)? != FileType::Directory {
            return Err(Errno::Notdir);
        }
        self.tree(fd, FD_READDIR).map_err(|_| Errno::Notcapable)?;
        at.checked_add(len.saturating_sub(1)).ok_or(Errno::Fault)?;
        let mut used = 0;
        self.vfs.visit_dir(node, cookie, |entry| {
            let mut head = [0; DIRENT_BYTES];
            let (words, rest) = head.split_at_mut(16);
            let (next, ino) = words.split_at_mut(8);
            next.copy_from_slice(&entry.next.to_le_bytes());
            ino.copy_from_slice(&entry.ino.to_le_bytes());
            let tail = entry.name.len() as u64 | u64::from(filetype(entry.kind)) << 32;
            rest.copy_from_slice(&tail.to_le_bytes());
            for part in [&head, entry.name.as_bytes()] {
                let room = len - used;
                memory.put(at.wrapping_add(used), part.get(..room).unwrap_or(part));
                used += part.len().min(room);
                if used == len {
                    return false;
                }
            }
            true
        })?;
        Ok(used)
    }
}

/// [`over`] the spans, whose bytes are changed.
#[inline]
fn fill<S: Spans + ?Sized>(
    spans: &S,
    step: impl FnMut(u64, usize, usize) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    over(spans, |index| spans.last_when_filled(index), step)
}

/// [`over`] the spans, whose bytes are only looked at.
#[inline]
fn transfer<S: Spans + ?Sized>(
    spans: &S,
    step: impl FnMut(u64, usize, usize) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    over(spans, |_| false, step)
}

/// Runs `step(done, at, len)` over the spans until one is the last or is not done fully. What was done before an error
/// counts, the error does not.
#[inline]
fn over<S: Spans + ?Sized>(
    spans: &S,
    is_last: impl Fn(usize) -> bool,
    mut step: impl FnMut(u64, usize, usize) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let mut done = 0usize;
    let mut stepped = false;
    for index in 0..spans.len() {
        let (at, len) = spans.get(index);
        if len == 0 {
            continue;
        }
        let len = len.min(TRANSFER_MAX - done);
        let last = is_last(index);
        stepped = true;
        match step(done as u64, at, len) {
            Ok(now) if now < len => return Ok(done + now),
            Ok(now) => done += now,
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => break,
        }
        if last || done == TRANSFER_MAX {
            break;
        }
    }
    if !stepped {
        // Nothing to do, but what cannot be read or written at all still says so.
        step(0, 0, 0)?;
    }
    Ok(done)
}
