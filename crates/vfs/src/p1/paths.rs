//! Functions on paths below a directory's descriptor.

use super::{
    Descriptor, FD_FILESTAT_SET_SIZE, FD_READ, FD_READDIR, FD_WRITE, FDFLAG_SYNC, OFLAG_CREAT, OFLAG_DIRECTORY,
    OFLAG_EXCL, OFLAG_TRUNC, PATH_CREATE_DIRECTORY, PATH_CREATE_FILE, PATH_FILESTAT_GET, PATH_FILESTAT_SET_SIZE,
    PATH_FILESTAT_SET_TIMES, PATH_LINK_SOURCE, PATH_LINK_TARGET, PATH_OPEN, PATH_READLINK, PATH_REMOVE_DIRECTORY,
    PATH_RENAME_SOURCE, PATH_RENAME_TARGET, PATH_SYMLINK, PATH_UNLINK_FILE, Process, SYMLINK_FOLLOW, Slot, check,
    known, new_times, rights_of, stream_rights,
};
use crate::{Errno, FileType, Memory, NodeId, OpenHow, Platform, Stat};

/// Whether a lookup follows a symbolic link in the last place.
fn follows(lookup: u32) -> Result<bool, Errno> {
    known(lookup, SYMLINK_FOLLOW)?;
    Ok(lookup & SYMLINK_FOLLOW != 0)
}

#[allow(clippy::missing_errors_doc, reason = "the errors are those that WASI names")]
impl<P: Platform> Process<P> {
    /// The directory of a descriptor with these rights; anything else in the tree is `ENOTDIR`.
    #[inline]
    fn base(&self, fd: u32, rights: u64) -> Result<NodeId, Errno> {
        let descriptor = self.table.get(fd)?;
        match descriptor.slot {
            Slot::Tree { node, .. } => {
                if self.vfs.kind(node)? != FileType::Directory {
                    return Err(Errno::Notdir);
                }
                check(descriptor, rights)?;
                Ok(node)
            }
            Slot::Stream(_) => Err(Errno::Notdir),
            Slot::Host(_) | Slot::Free => Err(Errno::Badf),
        }
    }

    /// `path_create_directory`.
    pub fn path_create_directory(&mut self, fd: u32, path: &str) -> Result<(), Errno> {
        let dir = self.base(fd, PATH_CREATE_DIRECTORY)?;
        self.vfs.create_dir_at(dir, path)
    }

    /// `path_filestat_get`.
    #[inline]
    pub fn path_filestat_get(&mut self, fd: u32, lookup: u32, path: &str) -> Result<Stat, Errno> {
        let dir = self.base(fd, PATH_FILESTAT_GET)?;
        self.vfs.stat_at(dir, path, follows(lookup)?)
    }

    /// `path_filestat_set_times`.
    pub fn path_filestat_set_times(
        &mut self,
        fd: u32,
        lookup: u32,
        path: &str,
        atim: u64,
        mtim: u64,
        fst_flags: u16,
    ) -> Result<(), Errno> {
        let dir = self.base(fd, PATH_FILESTAT_SET_TIMES)?;
        let (accessed, modified) = new_times(atim, mtim, fst_flags)?;
        self.vfs.set_times_at(dir, path, follows(lookup)?, accessed, modified)
    }

    /// `path_link`.
    pub fn path_link(
        &mut self,
        old_fd: u32,
        old_lookup: u32,
        old_path: &str,
        new_fd: u32,
        new_path: &str,
    ) -> Result<(), Errno> {
        let old = self.base(old_fd, PATH_LINK_SOURCE)?;
        let new = self.base(new_fd, PATH_LINK_TARGET)?;
        // A name in a directory that passes more on must not give more than the old one did.
        self.check_no_gain(old_fd, new_fd)?;
        self.vfs.link_at(old, old_path, follows(old_lookup)?, new, new_path)
    }

    /// Refuses to carry something from a directory into one through which more can be done with it.
    fn check_no_gain(&self, old_fd: u32, new_fd: u32) -> Result<(), Errno> {
        let (old, new) = (self.table.get(old_fd)?.inheriting(), self.table.get(new_fd)?.inheriting());
        if new & !old == 0 { Ok(()) } else { Err(Errno::Perm) }
    }

    /// `path_open`. Opening a stream node gives a [`Target::Stream`](super::Target::Stream) descriptor.
    ///
    /// Of the rights that are asked for, only reading and writing count; without either it is reading,
    /// and with `creat` or `trunc` writing, too. No more is given than the directory passes on.
    #[allow(clippy::too_many_arguments, reason = "the function has them")]
    pub fn path_open(
        &mut self,
        fd: u32,
        lookup: u32,
        path: &str,
        oflags: u16,
        rights_base: u64,
        _rights_inheriting: u64,
        fdflags: u16,
    ) -> Result<u32, Errno> {
        let follow = follows(lookup)?;
        known(oflags, OFLAG_TRUNC)?;
        known(fdflags, FDFLAG_SYNC)?;
        let (create, truncate) = (oflags & OFLAG_CREAT != 0, oflags & OFLAG_TRUNC != 0);
        let mut read = rights_base & (FD_READ | FD_READDIR) != 0;
        let mut write = rights_base & FD_WRITE != 0;
        let asked_write = write;
        if !read && !write {
            read = true;
            write = create || truncate;
        }
        let dir = self.base(fd, PATH_OPEN | if create { PATH_CREATE_FILE } else { 0 })?;
        let parent = self.table.get(fd)?;
        let inheriting = parent.inheriting();
        let may_cut = inheriting & FD_FILESTAT_SET_SIZE != 0 || parent.rights() & PATH_FILESTAT_SET_SIZE != 0;
        if (asked_write && inheriting & FD_WRITE == 0) || (truncate && !(may_cut && inheriting & FD_WRITE != 0)) {
            return Err(Errno::Notcapable);
        }
        write &= inheriting & FD_WRITE != 0;
        self.table.check_room()?;
        let how = OpenHow {
            follow,
            create,
            exclusive: oflags & OFLAG_EXCL != 0,
            truncate,
            directory: oflags & OFLAG_DIRECTORY != 0,
            write: asked_write,
        };
        let node = self.vfs.open_at(dir, path, how)?;
        let descriptor = self.describe(node, read, write, inheriting, fdflags)?;
        let added = self.table.add(descriptor);
        if added.is_err() && self.vfs.stream(node).is_none() {
            self.vfs.release(node);
        }
        added
    }

    /// The descriptor of a node that was just opened. A stream is not kept open by its node.
    fn describe(
        &mut self,
        node: NodeId,
        read: bool,
        write: bool,
        inheriting: u64,
        flags: u16,
    ) -> Result<Descriptor, Errno> {
        let kind = self.vfs.kind(node)?;
        let descriptor = match self.vfs.stream(node) {
            Some(stream) => {
                self.vfs.release(node);
                let rights = stream_rights(read, write);
                Descriptor::new(Slot::Stream(stream), rights, rights)
            }
            None => {
                let rights = rights_of(kind, read, write, inheriting);
                let passed_on = if kind == FileType::Directory { inheriting } else { rights };
                Descriptor::new(Slot::Tree { node, position: 0 }, rights, passed_on)
            }
        };
        Ok(Descriptor { flags, ..descriptor })
    }

    /// `path_readlink`: how many bytes of the buffer were used; what does not fit is left out.
    pub fn path_readlink(
        &mut self,
        memory: &mut P::Memory,
        fd: u32,
        path: &str,
        at: usize,
        len: usize,
    ) -> Result<usize, Errno> {
        let dir = self.base(fd, PATH_READLINK)?;
        let target = self.vfs.readlink_at(dir, path)?.as_bytes();
        let target = target.get(..len).unwrap_or(target);
        memory.put(at, target);
        Ok(target.len())
    }

    /// `path_remove_directory`.
    pub fn path_remove_directory(&mut self, fd: u32, path: &str) -> Result<(), Errno> {
        let dir = self.base(fd, PATH_REMOVE_DIRECTORY)?;
        self.vfs.remove_dir_at(dir, path)
    }

    /// `path_rename`.
    pub fn path_rename(&mut self, old_fd: u32, old_path: &str, new_fd: u32, new_path: &str) -> Result<(), Errno> {
        let old = self.base(old_fd, PATH_RENAME_SOURCE)?;
        let new = self.base(new_fd, PATH_RENAME_TARGET)?;
        self.check_no_gain(old_fd, new_fd)?;
        self.vfs.rename_at(old, old_path, new, new_path)
    }

    /// `path_symlink`.
    pub fn path_symlink(&mut self, target: &str, fd: u32, path: &str) -> Result<(), Errno> {
        let dir = self.base(fd, PATH_SYMLINK)?;
        self.vfs.symlink_at(target, dir, path)
    }

    /// `path_unlink_file`.
    pub fn path_unlink_file(&mut self, fd: u32, path: &str) -> Result<(), Errno> {
        let dir = self.base(fd, PATH_UNLINK_FILE)?;
        self.vfs.unlink_at(dir, path)
    }
}
