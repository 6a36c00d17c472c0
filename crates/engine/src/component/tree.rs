//! The file tree of a component after its end, as `--save` reads it.

use super::files::{Files, HostPlatform};
use crate::error::{Error, Kind};
use crate::save::{NodeKind, Tree};
use weir_vfs::{Errno, FileType, NodeId, Vfs};

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;

/// The tree of a finished run.
pub(super) struct Saved<'a> {
    files: &'a Files,
}

impl<'a> Saved<'a> {
    pub fn new(files: &'a Files) -> Self {
        Self { files }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Vfs<HostPlatform>) -> Result<T, Errno>) -> Result<T, Error> {
        act(&mut self.files.lock().tree).map_err(|errno| Error::new(Kind::Save, errno.to_string()))
    }
}

impl Tree for Saved<'_> {
    fn lookup(&mut self, path: &str) -> Result<u32, Error> {
        let path = path.trim_start_matches('/');
        self.with(|tree| {
            let root = tree.root();
            tree.resolve(root, if path.is_empty() { "." } else { path }, true).map(|node| node.0)
        })
    }

    fn kind(&mut self, node: u32) -> Result<NodeKind, Error> {
        Ok(match self.with(|tree| tree.kind(NodeId(node)))? {
            FileType::Directory => NodeKind::Directory,
            FileType::File => NodeKind::File,
            FileType::Symlink => NodeKind::Symlink,
            FileType::Stream => NodeKind::Other,
        })
    }

    fn modified(&mut self, node: u32) -> Result<u64, Error> {
        self.with(|tree| tree.stat(NodeId(node)).map(|stat| stat.times.modified))
    }

    fn next(&mut self, node: u32, cookie: u64) -> Result<Option<(String, u32, u64)>, Error> {
        self.with(|tree| {
            let entry = tree.read_dir(NodeId(node), cookie)?;
            Ok(entry.map(|entry| (entry.name.to_owned(), entry.node.0, entry.next)))
        })
    }

    fn read(&mut self, node: u32, offset: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; READ_BYTES];
        let read = self.with(|tree| tree.load_at(NodeId(node), offset, &mut bytes))?;
        bytes.truncate(read);
        Ok(bytes)
    }

    fn readlink(&mut self, node: u32) -> Result<String, Error> {
        self.with(|tree| tree.readlink(NodeId(node)).map(str::to_owned))
    }
}
