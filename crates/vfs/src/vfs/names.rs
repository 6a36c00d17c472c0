//! Operations on paths: opening, creating, removing, renaming, linking.
//!
//! The order of the checks is that of Linux, so that programs see the errors they know.

use super::resolve::{Follow, Last, Place};
use super::{FileType, Kind, NodeId, OpenHow, ROOT, SetTime, Stat, Times, Vfs};
use crate::content::Content;
use crate::directory::Directory;
use crate::{Errno, Platform};
use alloc::{boxed::Box, string::String};

#[allow(clippy::missing_errors_doc, reason = "the errors are those of POSIX, named where they need explaining")]
impl<P: Platform> Vfs<P> {
    /// The node at `path` below `dir`, not retained.
    pub fn resolve(&mut self, dir: NodeId, path: &str, follow: bool) -> Result<NodeId, Errno> {
        self.existing(dir, path, Follow::when(follow))
    }

    /// What is known about the node at `path`.
    #[inline]
    pub fn stat_at(&mut self, dir: NodeId, path: &str, follow: bool) -> Result<Stat, Errno> {
        let node = self.existing(dir, path, Follow::when(follow))?;
        self.stat(node)
    }

    /// Sets timestamps of the node at `path`.
    pub fn set_times_at(
        &mut self,
        dir: NodeId,
        path: &str,
        follow: bool,
        accessed: SetTime,
        modified: SetTime,
    ) -> Result<(), Errno> {
        let node = self.existing(dir, path, Follow::when(follow))?;
        self.set_times(node, accessed, modified)
    }

    /// The target of a symbolic link.
    pub fn readlink_at(&mut self, dir: NodeId, path: &str) -> Result<&str, Errno> {
        let node = self.existing(dir, path, Follow::Slash)?;
        self.readlink(node)
    }

    /// The target of a symbolic link that is known by its node.
    pub fn readlink(&mut self, node: NodeId) -> Result<&str, Errno> {
        match &self.node(node)?.kind {
            Kind::Symlink { target, .. } => Ok(target),
            _ => Err(Errno::Inval),
        }
    }

    /// Opens, perhaps creates, the node at `path` below `dir` and retains it.
    ///
    /// # Errors
    /// `ELOOP` for a symbolic link that is not followed (`ENOTDIR` where a directory is asked for).
    pub fn open_at(&mut self, dir: NodeId, path: &str, how: OpenHow) -> Result<NodeId, Errno> {
        if how.directory && (how.create || how.exclusive || how.truncate) {
            return Err(Errno::Inval);
        }
        if !how.create {
            let node = self.existing(dir, path, Follow::when(how.follow))?;
            let node = self.open_existing(node, how)?;
            self.retain(node)?;
            return Ok(node);
        }
        let follow = match how {
            OpenHow { exclusive: false, follow: true, .. } => Follow::Create,
            _ => Follow::Never,
        };
        let place = self.place(dir, path, follow)?;
        let node = match place.node {
            _ if place.slash && place.last == Last::Name => return Err(Errno::Isdir),
            Some(_) if how.exclusive => return Err(Errno::Exist),
            Some(node) => self.open_existing(node, how)?,
            None => self.create(&place, Kind::File(Content::default()))?,
        };
        self.retain(node)?;
        Ok(node)
    }

    fn open_existing(&mut self, node: NodeId, how: OpenHow) -> Result<NodeId, Errno> {
        match self.kind(node)? {
            FileType::Symlink if how.directory => Err(Errno::Notdir),
            FileType::Symlink => Err(Errno::Loop),
            FileType::Directory if how.write || how.truncate || how.create => Err(Errno::Isdir),
            FileType::Directory => Ok(node),
            _ if how.directory => Err(Errno::Notdir),
            _ if (how.write || how.truncate) && self.is_read_only(node) => Err(Errno::Rofs),
            FileType::File if how.truncate => self.set_size(node, 0).map(|()| node),
            FileType::File => self.check_there(node).map(|()| node),
            FileType::Stream => Ok(node),
        }
    }

    /// Asks whether the bytes behind a file can be had at all, before the program counts on them.
    fn check_there(&mut self, node: NodeId) -> Result<(), Errno> {
        match &self.node(node)?.kind {
            Kind::File(content) => {
                content.base().map_or(Ok(()), |(blob, offset)| self.platform.blob_open(blob, offset))
            }
            _ => Ok(()),
        }
    }

    /// Refuses changes in read-only and in removed directories.
    fn check_changeable(&self, dir: NodeId) -> Result<(), Errno> {
        let node = self.node(dir)?;
        match node {
            _ if node.read_only => Err(Errno::Rofs),
            _ if node.links == 0 => Err(Errno::Noent),
            _ => Ok(()),
        }
    }

    /// Levels of directories above this one.
    fn depth(&self, dir: NodeId) -> Result<u32, Errno> {
        let mut depth = 0;
        let mut at = dir;
        while at != ROOT {
            let parent = self.directory(at)?.parent;
            if parent == at {
                break;
            }
            at = parent;
            depth += 1;
        }
        Ok(depth)
    }

    /// Makes a new node at a place where there is nothing.
    fn create(&mut self, place: &Place<'_>, kind: Kind) -> Result<NodeId, Errno> {
        self.check_changeable(place.dir)?;
        if self.entries_live >= self.quota.inodes_max {
            return Err(Errno::Nospc);
        }
        let now = self.now();
        let charge = kind.charge();
        self.budget.recharge(0, charge)?;
        let node = self.add_node(kind, Times::all(now), false).inspect_err(|_| self.budget.give_back(charge))?;
        if let Err(errno) = self.enter(place.dir, &place.name, place.hash, node, now) {
            self.drop_unused(node);
            return Err(errno);
        }
        Ok(node)
    }

    /// Adds a directory entry for a node. No quota is asked.
    pub(super) fn enter(&mut self, dir: NodeId, name: &str, hash: u32, node: NodeId, now: u64) -> Result<(), Errno> {
        let links = self.node(node)?.links.checked_add(1).ok_or(Errno::Mlink)?;
        self.directory_mut(dir)?.insert(name, hash, node)?;
        self.entries_live = self.entries_live.saturating_add(1);
        self.node_mut(node)?.links = links;
        self.touch(dir, now);
        Ok(())
    }

    /// Removes a directory entry and, if it was the last and nothing retains it, the node.
    fn remove(&mut self, place: &Place<'_>, now: u64) -> Result<(), Errno> {
        if let Some(node) = self.directory_mut(place.dir)?.remove(&place.name, place.hash) {
            self.entries_live = self.entries_live.saturating_sub(1);
            self.unlinked(node, now);
        }
        self.touch(place.dir, now);
        Ok(())
    }

    /// Notes that one directory entry for the node is gone.
    fn unlinked(&mut self, id: NodeId, now: u64) {
        if let Ok(node) = self.node_mut(id) {
            node.links = node.links.saturating_sub(1);
            node.times.changed = now;
            if let Kind::Directory(directory) = &mut node.kind {
                directory.parent = id;
            }
        }
        self.drop_unused(id);
    }

    fn touch(&mut self, dir: NodeId, now: u64) {
        if let Ok(node) = self.node_mut(dir) {
            node.times.modified = now;
            node.times.changed = now;
        }
    }

    /// Creates a directory.
    pub fn create_dir_at(&mut self, dir: NodeId, path: &str) -> Result<(), Errno> {
        let place = self.place(dir, path, Follow::Never)?;
        if place.node.is_some() {
            return Err(Errno::Exist);
        }
        if self.depth(place.dir)? >= self.quota.depth_max {
            return Err(Errno::Nametoolong);
        }
        let directory = Directory::new(place.dir);
        self.create(&place, Kind::Directory(Box::new(directory)))?;
        Ok(())
    }

    /// Removes an empty directory. A directory that is still retained lives on, but nothing can be
    /// created in it (`ENOENT`).
    pub fn remove_dir_at(&mut self, dir: NodeId, path: &str) -> Result<(), Errno> {
        let place = self.place(dir, path, Follow::Never)?;
        match place.last {
            Last::Dot => return Err(Errno::Inval),
            Last::DotDot => return Err(Errno::Notempty),
            Last::Name => {}
        }
        let node = place.node.ok_or(Errno::Noent)?;
        self.directory(node)?;
        self.check_removable(place.dir, node)?;
        self.check_empty(node)?;
        let now = self.now();
        self.remove(&place, now)
    }

    fn check_removable(&self, dir: NodeId, node: NodeId) -> Result<(), Errno> {
        let known = self.node(node)?;
        match known {
            _ if self.node(dir)?.read_only || known.read_only => Err(Errno::Rofs),
            _ if known.pinned => Err(Errno::Busy),
            _ => Ok(()),
        }
    }

    fn check_empty(&mut self, dir: NodeId) -> Result<(), Errno> {
        self.list(dir)?;
        if self.directory(dir)?.len() > 0 { Err(Errno::Notempty) } else { Ok(()) }
    }

    /// Removes a name of anything but a directory.
    pub fn unlink_at(&mut self, dir: NodeId, path: &str) -> Result<(), Errno> {
        let place = self.place(dir, path, Follow::Never)?;
        let node = place.node.ok_or(Errno::Noent)?;
        if self.kind(node)? == FileType::Directory {
            return Err(Errno::Isdir);
        }
        if place.slash {
            return Err(Errno::Notdir);
        }
        self.check_removable(place.dir, node)?;
        let now = self.now();
        self.remove(&place, now)
    }

    /// Creates a symbolic link to `target`, which is taken relative to the link's directory.
    ///
    /// # Errors
    /// `EPERM` for an absolute target, which nothing here could follow.
    pub fn symlink_at(&mut self, target: &str, dir: NodeId, path: &str) -> Result<(), Errno> {
        let place = self.place(dir, path, Follow::Never)?;
        match target.as_bytes().first() {
            None => return Err(Errno::Noent),
            Some(b'/') => return Err(Errno::Perm),
            Some(_) if target.len() > self.quota.path_bytes_max as usize => return Err(Errno::Nametoolong),
            Some(_) if target.contains('\0') => return Err(Errno::Inval),
            Some(_) => {}
        }
        if place.node.is_some() {
            return Err(Errno::Exist);
        }
        if place.slash {
            return Err(Errno::Noent);
        }
        self.check_changeable(place.dir)?;
        let mut copy = String::new();
        copy.try_reserve_exact(target.len()).map_err(|_| Errno::Nospc)?;
        copy.push_str(target);
        self.create(&place, Kind::Symlink { target: copy.into_boxed_str(), charged: true })?;
        Ok(())
    }

    /// Gives a file, symbolic link or stream another name.
    ///
    /// # Errors
    /// `EPERM` for directories; `EROFS` where the file or the new directory is read-only, so that a new
    /// name is no way around that.
    pub fn link_at(
        &mut self,
        old: NodeId,
        old_path: &str,
        follow: bool,
        new: NodeId,
        new_path: &str,
    ) -> Result<(), Errno> {
        let node = self.existing(old, old_path, Follow::when(follow))?;
        let place = self.place(new, new_path, Follow::Never)?;
        if place.node.is_some() {
            return Err(Errno::Exist);
        }
        if place.slash {
            return Err(Errno::Noent);
        }
        if self.kind(node)? == FileType::Directory {
            return Err(Errno::Perm);
        }
        self.check_changeable(place.dir)?;
        if self.is_read_only(node) {
            return Err(Errno::Rofs);
        }
        if self.entries_live >= self.quota.inodes_max {
            return Err(Errno::Nospc);
        }
        let now = self.now();
        self.enter(place.dir, &place.name, place.hash, node, now)?;
        self.node_mut(node)?.times.changed = now;
        Ok(())
    }

    /// Renames; what was at the new place goes away at the same moment.
    ///
    /// # Errors
    /// `EINVAL` for a directory into itself, `EBUSY` for `.`, `..` and roots.
    pub fn rename_at(&mut self, old: NodeId, old_path: &str, new: NodeId, new_path: &str) -> Result<(), Errno> {
        let from = self.place(old, old_path, Follow::Never)?;
        let to = self.place(new, new_path, Follow::Never)?;
        if from.last != Last::Name || to.last != Last::Name {
            return Err(Errno::Busy);
        }
        let node = from.node.ok_or(Errno::Noent)?;
        let is_directory = self.kind(node)? == FileType::Directory;
        if (from.slash || to.slash) && !is_directory {
            return Err(Errno::Notdir);
        }
        if from.dir != to.dir && self.is_within(to.dir, node)? {
            return Err(Errno::Inval);
        }
        if let Some(target) = to.node
            && from.dir != to.dir
            && self.is_within(from.dir, target)?
        {
            return Err(Errno::Notempty);
        }
        if to.node == Some(node) {
            return Ok(());
        }
        self.check_removable(from.dir, node)?;
        self.check_changeable(to.dir)?;
        if let Some(target) = to.node {
            self.check_replaceable(&to, target, is_directory)?;
        }
        if is_directory && from.dir != to.dir {
            self.check_depth(&from, &to, node)?;
        }
        self.rename_checked(&from, &to, node)
    }

    /// True if `dir` is `node` or below it.
    fn is_within(&self, dir: NodeId, node: NodeId) -> Result<bool, Errno> {
        let mut at = dir;
        loop {
            if at == node {
                return Ok(true);
            }
            let parent = self.directory(at)?.parent;
            if parent == at {
                return Ok(false);
            }
            at = parent;
        }
    }

    fn check_replaceable(&mut self, to: &Place<'_>, target: NodeId, by_directory: bool) -> Result<(), Errno> {
        match (self.kind(target)?, by_directory) {
            (FileType::Directory, false) => return Err(Errno::Isdir),
            (FileType::Directory, true) => {
                self.check_removable(to.dir, target)?;
                return self.check_empty(target);
            }
            (_, true) => return Err(Errno::Notdir),
            (_, false) => {}
        }
        self.check_removable(to.dir, target)
    }

    /// Refuses to move a directory so far down that something in it would be too deep.
    fn check_depth(&mut self, from: &Place<'_>, to: &Place<'_>, node: NodeId) -> Result<(), Errno> {
        let (old, new) = (self.depth(from.dir)?, self.depth(to.dir)?);
        if new <= old {
            return Ok(());
        }
        let height = self.height(node)?;
        if new.saturating_add(1).saturating_add(height) > self.quota.depth_max {
            return Err(Errno::Nametoolong);
        }
        Ok(())
    }

    fn rename_checked(&mut self, from: &Place<'_>, to: &Place<'_>, node: NodeId) -> Result<(), Errno> {
        let now = self.now();
        match to.node {
            Some(target) => {
                self.directory_mut(to.dir)?.replace(&to.name, to.hash, node);
                self.unlinked(target, now);
            }
            None => {
                self.directory_mut(to.dir)?.insert(&to.name, to.hash, node)?;
                self.entries_live = self.entries_live.saturating_add(1);
            }
        }
        if self.directory_mut(from.dir)?.remove(&from.name, from.hash).is_some() {
            self.entries_live = self.entries_live.saturating_sub(1);
        }
        let known = self.node_mut(node)?;
        known.times.changed = now;
        if let Kind::Directory(directory) = &mut known.kind {
            directory.parent = to.dir;
        }
        self.touch(from.dir, now);
        self.touch(to.dir, now);
        Ok(())
    }
}
