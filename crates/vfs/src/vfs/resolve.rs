//! From a path to a place in the tree.
//!
//! The rules are those of a sandbox: a path is relative to a directory and never leads above it, neither
//! by `..` nor through symbolic links, which are followed by the same rules; absolute paths and absolute
//! link targets are refused (`EPERM`). Because no directory has two names, counting the levels below the
//! base is enough to know where the border is. Plain paths are resolved without an allocation.

use super::{Kind, Node, NodeId, Vfs};
use crate::directory::component;
use crate::{Errno, Platform};
use alloc::{borrow::Cow, string::String};

/// When a symbolic link in the last place is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    /// Always.
    Yes,
    /// If the path ends in a slash, which asks for a directory.
    Slash,
    /// Unless the path ends in a slash: a file is to be created there, which cannot be.
    Create,
    /// Never: the name itself is meant.
    Never,
}

impl Follow {
    /// For operations that look at what is there.
    pub(super) fn when(follow: bool) -> Self {
        if follow { Self::Yes } else { Self::Slash }
    }
}

/// What the last component of a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    Name,
    Dot,
    DotDot,
}

/// Where a path leads: a name in a directory, and what has that name.
#[derive(Clone, Debug)]
pub(super) struct Place<'p> {
    pub(super) dir: NodeId,
    /// Empty unless `last` is [`Last::Name`].
    pub(super) name: Cow<'p, str>,
    pub(super) hash: u32,
    pub(super) last: Last,
    /// For `.` and `..` the directory itself.
    pub(super) node: Option<NodeId>,
    /// The path ended in a slash.
    pub(super) slash: bool,
}

/// What [`Vfs::quick`] could say.
pub(super) enum Quick {
    /// This node, which may be a symbolic link.
    Found(NodeId),
    /// The directory is there, the name is not.
    Missing,
    /// It takes a closer look.
    Unknown,
}

/// How far a path was followed.
enum Step<'p> {
    Done(Place<'p>),
    /// To a symbolic link in `dir`, with the rest of the path behind it.
    Link {
        dir: NodeId,
        depth: u32,
        link: NodeId,
        rest: &'p str,
    },
}

impl<P: Platform> Vfs<P> {
    /// Where `path` leads from `base`.
    pub(super) fn place<'p>(&mut self, base: NodeId, path: &'p str, follow: Follow) -> Result<Place<'p>, Errno> {
        self.directory(base)?;
        if path.len() > self.quota.path_bytes_max as usize {
            return Err(Errno::Nametoolong);
        }
        match path.as_bytes().first() {
            None => return Err(Errno::Noent),
            Some(b'/') => return Err(Errno::Perm),
            Some(_) => {}
        }
        match self.step(base, 0, path, follow)? {
            Step::Done(place) => Ok(place),
            Step::Link { dir, depth, link, rest } => self.place_through_links(dir, depth, link, rest, follow),
        }
    }

    /// Goes on behind a symbolic link.
    fn place_through_links<'p>(
        &mut self,
        mut dir: NodeId,
        mut depth: u32,
        link: NodeId,
        rest: &str,
        follow: Follow,
    ) -> Result<Place<'p>, Errno> {
        if self.quota.symlinks_max == 0 {
            return Err(Errno::Loop);
        }
        let mut path = self.behind(link, rest)?;
        for followed in 1.. {
            match self.step(dir, depth, &path, follow)? {
                Step::Done(Place { dir, name, hash, last, node, slash }) => {
                    return Ok(Place { dir, name: Cow::Owned(name.into_owned()), hash, last, node, slash });
                }
                Step::Link { .. } if followed >= self.quota.symlinks_max => break,
                Step::Link { dir: next_dir, depth: next_depth, link, rest } => {
                    let next = self.behind(link, rest)?;
                    (dir, depth, path) = (next_dir, next_depth, next);
                }
            }
        }
        Err(Errno::Loop)
    }

    /// The path that stands in for a symbolic link and the rest behind it. Its length is bounded because
    /// targets are, and so is the number of links that are followed.
    fn behind(&self, link: NodeId, rest: &str) -> Result<String, Errno> {
        let Kind::Symlink { target, .. } = &self.node(link)?.kind else { return Err(Errno::Io) };
        match target.as_bytes().first() {
            None => return Err(Errno::Noent),
            Some(b'/') => return Err(Errno::Perm),
            Some(_) if target.len() > self.quota.path_bytes_max as usize => return Err(Errno::Nametoolong),
            Some(_) => {}
        }
        let mut path = String::new();
        path.try_reserve_exact(target.len().saturating_add(rest.len())).map_err(|_| Errno::Nomem)?;
        path.push_str(target);
        path.push_str(rest);
        Ok(path)
    }

    /// Follows a path to its end or to the first symbolic link that is to be followed. `dir` is a
    /// directory `depth` levels below the border.
    fn step<'p>(&mut self, mut dir: NodeId, mut depth: u32, path: &'p str, follow: Follow) -> Result<Step<'p>, Errno> {
        let bytes = path.as_bytes();
        let mut at = 0;
        loop {
            let (len, hash) = component(self.hash_seed, bytes.get(at..).unwrap_or_default());
            let end = at + len;
            let name = path.get(at..end).unwrap_or_default();
            let rest = path.get(end..).unwrap_or_default();
            at = end;
            while bytes.get(at) == Some(&b'/') {
                at += 1;
            }
            let is_last = at == bytes.len();
            let slash = at > end;
            let (found, last) = match name {
                "" | "." => (dir, Last::Dot),
                ".." => {
                    depth = depth.checked_sub(1).ok_or(Errno::Perm)?;
                    (self.directory(dir)?.parent, Last::DotDot)
                }
                _ => {
                    if name.len() > self.quota.name_bytes_max as usize {
                        return Err(Errno::Nametoolong);
                    }
                    let node = self.lookup(dir, name, hash)?;
                    let link = node.filter(|node| self.is_symlink(*node));
                    let follows = match follow {
                        _ if !is_last => true,
                        Follow::Yes => true,
                        Follow::Slash => slash,
                        Follow::Create => !slash,
                        Follow::Never => false,
                    };
                    if let Some(link) = link.filter(|_| follows) {
                        return Ok(Step::Link { dir, depth, link, rest });
                    }
                    if is_last {
                        if node.is_none() && name.contains('\0') {
                            return Err(Errno::Inval);
                        }
                        let name = Cow::Borrowed(name);
                        return Ok(Step::Done(Place { dir, name, hash, last: Last::Name, node, slash }));
                    }
                    let next = node.ok_or(if name.contains('\0') { Errno::Inval } else { Errno::Noent })?;
                    self.directory(next)?;
                    depth = depth.saturating_add(1);
                    (next, Last::Name)
                }
            };
            dir = found;
            if is_last {
                let name = Cow::Borrowed("");
                return Ok(Step::Done(Place { dir, name, hash: 0, last, node: Some(dir), slash }));
            }
        }
    }

    #[inline]
    fn is_symlink(&self, node: NodeId) -> bool {
        self.node(node).is_ok_and(|node| matches!(node.kind, Kind::Symlink { .. }))
    }

    /// The node with this name in a directory, after reading its listing if that is still outstanding.
    #[inline]
    pub(super) fn lookup(&mut self, dir: NodeId, name: &str, hash: u32) -> Result<Option<NodeId>, Errno> {
        let directory = self.directory(dir)?;
        if directory.listing.is_none() {
            return Ok(directory.get(name, hash));
        }
        self.list(dir)?;
        Ok(self.directory(dir)?.get(name, hash))
    }

    /// The node that must be at `path`: a trailing slash asks for a directory.
    #[inline]
    pub(super) fn existing(&mut self, base: NodeId, path: &str, follow: Follow) -> Result<NodeId, Errno> {
        match self.quick(base, path) {
            Quick::Found(node) if follow != Follow::Yes || !self.is_symlink(node) => Ok(node),
            Quick::Missing => Err(Errno::Noent),
            _ => self.existing_slow(base, path, follow),
        }
    }

    /// The answer for a path of nothing but names below listed directories, which most paths are; the
    /// general case takes twice as long.
    #[inline]
    pub(super) fn quick(&self, base: NodeId, path: &str) -> Quick {
        if path.len() > self.quota.path_bytes_max as usize {
            return Quick::Unknown;
        }
        let mut dir = base;
        let mut rest = path;
        loop {
            let (len, hash) = component(self.hash_seed, rest.as_bytes());
            let Some((name, behind)) = rest.split_at_checked(len) else { return Quick::Unknown };
            let Ok(Node { kind: Kind::Directory(directory), .. }) = self.node(dir) else { return Quick::Unknown };
            let named = !matches!(name, "" | "." | "..") && len <= self.quota.name_bytes_max as usize;
            if !named || directory.listing.is_some() {
                return Quick::Unknown;
            }
            match (directory.get(name, hash), behind.get(1..)) {
                (Some(node), None) => return Quick::Found(node),
                (Some(node), Some(more)) => (dir, rest) = (node, more),
                (None, None) if !name.contains('\0') => return Quick::Missing,
                (None, _) => return Quick::Unknown,
            }
        }
    }

    fn existing_slow(&mut self, base: NodeId, path: &str, follow: Follow) -> Result<NodeId, Errno> {
        let place = self.place(base, path, follow)?;
        let node = place.node.ok_or(Errno::Noent)?;
        if place.slash {
            self.directory(node)?;
        }
        Ok(node)
    }
}
