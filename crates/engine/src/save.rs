//! `--save`: copying a file or a tree out of a program's file system when it has ended well.
//!
//! Everything is written aside first and moved into place by one rename, so the target is either as
//! it was or complete. A directory that holds anything is never replaced; that is refused before the
//! program runs. Symbolic links are copied as links; streams and device nodes are left out.

use crate::blocking::to_the_end;
use crate::error::{Error, Kind};
use crate::state::RunState;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use wasmtime::{Instance, Memory, Store, TypedFunc};

/// One path to copy out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Save {
    /// The path inside.
    pub guest: String,
    /// The path outside.
    pub host: PathBuf,
}

/// Directories below one another when saving; the file system's own limit is lower.
const DEPTH_MAX: usize = 4096;

/// What stands at a node of a program's file tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    Directory,
    File,
    Symlink,
    Other,
}

/// A program's file tree after its end, to be read.
pub(crate) trait Tree {
    /// The node at a path, links followed.
    fn lookup(&mut self, path: &str) -> Result<u32, Error>;
    fn kind(&mut self, node: u32) -> Result<NodeKind, Error>;
    /// The modification time in nanoseconds since 1970.
    fn modified(&mut self, node: u32) -> Result<u64, Error>;
    /// Name and node of the entry after `cookie`, and the cookie to go on with.
    fn next(&mut self, node: u32, cookie: u64) -> Result<Option<(String, u32, u64)>, Error>;
    /// Up to some KiB of a file's bytes from `offset`; empty at the end.
    fn read(&mut self, node: u32, offset: u64) -> Result<Vec<u8>, Error>;
    fn readlink(&mut self, node: u32) -> Result<String, Error>;
}

/// Refuses targets that could not be written, are no files or would overwrite a directory, before anything runs.
pub(crate) fn check_targets(saves: &[Save]) -> Result<(), Error> {
    let mut targets = Vec::new();
    for save in saves {
        let target = &real_target(save)?;
        let parent = parent_of(target);
        if !parent.is_dir() {
            return Err(refused(save, format!("{} is no directory", parent.display())));
        }
        let occupied = fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_some());
        if occupied {
            return Err(refused(
                save,
                format!("{} is a directory that is not empty; name a new one", target.display()),
            ));
        }
        let name = target.file_name().unwrap_or_default();
        let place = parent.canonicalize().map_err(|error| refused(save, error.to_string()))?.join(name);
        if targets.contains(&place) {
            return Err(refused(
                save,
                format!("another one is saved to {}, too; name another place", target.display()),
            ));
        }
        targets.push(place);
    }
    Ok(())
}

/// Where a save ends up: behind a link, never in its place.
fn real_target(save: &Save) -> Result<PathBuf, Error> {
    let target = &save.host;
    let Ok(meta) = fs::symlink_metadata(target) else { return Ok(target.clone()) };
    let real = match meta.is_symlink() {
        true => fs::canonicalize(target)
            .map_err(|_| refused(save, format!("{} is a link that leads nowhere", target.display())))?,
        false => target.clone(),
    };
    let kind = fs::metadata(&real).map_err(|error| refused(save, error.to_string()))?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        let what = format!("{} is a device, pipe or socket: name a file, or grant it as a stream", target.display());
        return Err(refused(save, what));
    }
    Ok(real)
}

/// Copies out everything asked for; each of `saves` is complete or untouched.
pub(crate) fn save_all(tree: &mut dyn Tree, saves: &[Save]) -> Result<(), Error> {
    saves.iter().try_for_each(|save| save_one(tree, save))
}

fn save_one(tree: &mut dyn Tree, save: &Save) -> Result<(), Error> {
    let target = real_target(save)?;
    let node = tree.lookup(&save.guest).map_err(|error| refused(save, error.to_string()))?;
    let aside = tempfile::Builder::new()
        .prefix(".weir-save-")
        .tempdir_in(parent_of(&target))
        .map_err(|error| refused(save, error.to_string()))?;
    let copy = aside.path().join("copy");
    copy_node(tree, node, &copy, 0).map_err(|error| refused(save, error.to_string()))?;
    keep_mode(&copy, &target).map_err(|error| refused(save, error.to_string()))?;
    // An empty directory in the way is replaced; rename refuses a full one by itself.
    fs::rename(&copy, &target).map_err(|error| refused(save, error.to_string()))
}

/// A file that is replaced hands its permissions on: the program knows of none, and a script that was
/// executable stays so.
fn keep_mode(copy: &Path, target: &Path) -> std::io::Result<()> {
    let is_file = |path: &Path| fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file);
    match (is_file(copy), is_file(target)) {
        (Some(_), Some(old)) => fs::set_permissions(copy, old.permissions()),
        _ => Ok(()),
    }
}

fn copy_node(tree: &mut dyn Tree, node: u32, target: &Path, depth: usize) -> Result<(), Error> {
    let outside = |error: std::io::Error| Error::new(Kind::Save, format!("{}: {error}", target.display()));
    if depth > DEPTH_MAX {
        return Err(Error::new(Kind::Save, "directories are nested too deeply"));
    }
    match tree.kind(node)? {
        NodeKind::File => {
            let mut file = fs::File::create_new(target).map_err(outside)?;
            let mut offset = 0;
            loop {
                let bytes = tree.read(node, offset)?;
                if bytes.is_empty() {
                    break;
                }
                offset += bytes.len() as u64;
                // Holes stay holes, however large the program made the file.
                if bytes.iter().all(|byte| *byte == 0) {
                    file.seek(SeekFrom::Start(offset)).map_err(outside)?;
                } else {
                    file.write_all(&bytes).map_err(outside)?;
                }
            }
            file.set_len(offset).map_err(outside)?;
            let modified = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(tree.modified(node)?);
            file.set_modified(modified).map_err(outside)?;
        }
        NodeKind::Directory => {
            fs::create_dir(target).map_err(outside)?;
            let mut cookie = 0;
            while let Some((name, child, next)) = tree.next(node, cookie)? {
                cookie = next;
                if name != "." && name != ".." {
                    copy_node(tree, child, &target.join(checked_name(&name)?), depth + 1)?;
                }
            }
        }
        NodeKind::Symlink => std::os::unix::fs::symlink(tree.readlink(node)?, target).map_err(outside)?,
        NodeKind::Other => {}
    }
    Ok(())
}

/// A name from inside is one path component outside, whatever the program's side says.
fn checked_name(name: &str) -> Result<&str, Error> {
    if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
        return Err(Error::new(
            Kind::Save,
            format!("the program's file tree has the name {name:?}, which cannot be saved"),
        ));
    }
    Ok(name)
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn refused(save: &Save, why: String) -> Error {
    Error::new(Kind::Save, format!("cannot save {} as {}: {why}", save.guest, save.host.display()))
}

/// The tree of a linked program, through the shim's control functions. A broken answer is an error:
/// the shim runs inside the sandbox and is not trusted.
pub(crate) struct LinkedTree<'a> {
    store: &'a mut Store<RunState>,
    memory: Memory,
    buffer: usize,
    lookup: TypedFunc<u32, i64>,
    stat: TypedFunc<u32, i32>,
    next: TypedFunc<(u32, u64), i32>,
    read: TypedFunc<(u32, u64), i32>,
    readlink: TypedFunc<u32, i32>,
}

/// Bytes of the buffer through which the shim and the host exchange paths and contents.
const BUFFER_BYTES: usize = 65_536;

impl<'a> LinkedTree<'a> {
    pub fn new(store: &'a mut Store<RunState>, instance: &Instance) -> Result<Self, Error> {
        let none = || Error::new(Kind::Save, "the program has no virtual file system: nothing can be saved");
        let memory = instance.get_memory(&mut *store, "weir_memory").ok_or_else(none)?;
        let buffer = instance
            .get_typed_func::<(), i32>(&mut *store, "weir_buffer")
            .and_then(|function| to_the_end(function.call_async(&mut *store, ())))
            .map_err(|_| none())?;
        Ok(Self {
            memory,
            buffer: buffer as u32 as usize,
            lookup: instance.get_typed_func(&mut *store, "weir_lookup").map_err(|_| none())?,
            stat: instance.get_typed_func(&mut *store, "weir_stat").map_err(|_| none())?,
            next: instance.get_typed_func(&mut *store, "weir_next").map_err(|_| none())?,
            read: instance.get_typed_func(&mut *store, "weir_read").map_err(|_| none())?,
            readlink: instance.get_typed_func(&mut *store, "weir_readlink").map_err(|_| none())?,
            store,
        })
    }

    fn buffer(&mut self, len: usize) -> Result<&mut [u8], Error> {
        let end = self.buffer + len.min(BUFFER_BYTES);
        self.memory.data_mut(&mut *self.store).get_mut(self.buffer..end).ok_or_else(broken)
    }

    fn checked(&mut self, answer: wasmtime::Result<i32>) -> Result<usize, Error> {
        let answer =
            answer.map_err(|error| Error::new(Kind::Save, format!("the program's file system failed: {error}")))?;
        usize::try_from(answer).map_err(|_| errno_error(-i64::from(answer)))
    }

    fn text(&mut self, start: usize, len: usize) -> Result<String, Error> {
        let bytes = self.buffer(start + len)?.get(start..).ok_or_else(broken)?.to_vec();
        String::from_utf8(bytes).map_err(|_| broken())
    }

    fn stat(&mut self, node: u32) -> Result<(u8, u64), Error> {
        let answer = to_the_end(self.stat.call_async(&mut *self.store, node));
        self.checked(answer)?;
        let record = self.buffer(24)?;
        Ok((record[0], word(&record[16..24])))
    }
}

impl Tree for LinkedTree<'_> {
    fn lookup(&mut self, path: &str) -> Result<u32, Error> {
        if path.len() > BUFFER_BYTES {
            return Err(Error::new(Kind::Save, "the path is too long"));
        }
        self.buffer(path.len())?.copy_from_slice(path.as_bytes());
        let answer = to_the_end(self.lookup.call_async(&mut *self.store, path.len() as u32))
            .map_err(|error| Error::new(Kind::Save, format!("the program's file system failed: {error}")))?;
        u32::try_from(answer).map_err(|_| errno_error(-answer))
    }

    fn kind(&mut self, node: u32) -> Result<NodeKind, Error> {
        // The numbers are WASI file types.
        Ok(match self.stat(node)?.0 {
            3 => NodeKind::Directory,
            4 => NodeKind::File,
            7 => NodeKind::Symlink,
            _ => NodeKind::Other,
        })
    }

    fn modified(&mut self, node: u32) -> Result<u64, Error> {
        Ok(self.stat(node)?.1)
    }

    fn next(&mut self, node: u32, cookie: u64) -> Result<Option<(String, u32, u64)>, Error> {
        let answer = to_the_end(self.next.call_async(&mut *self.store, (node, cookie)));
        let len = self.checked(answer)?;
        if len == 0 {
            return Ok(None);
        }
        if len < 12 {
            return Err(broken());
        }
        let head = self.buffer(12)?;
        let (next, child) = (word(&head[..8]), word(&head[8..12]) as u32);
        let name = self.text(12, len - 12)?;
        Ok(Some((name, child, next)))
    }

    fn read(&mut self, node: u32, offset: u64) -> Result<Vec<u8>, Error> {
        let answer = to_the_end(self.read.call_async(&mut *self.store, (node, offset)));
        let len = self.checked(answer)?;
        Ok(self.buffer(len)?.to_vec())
    }

    fn readlink(&mut self, node: u32) -> Result<String, Error> {
        let answer = to_the_end(self.readlink.call_async(&mut *self.store, node));
        let len = self.checked(answer)?;
        self.text(0, len)
    }
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn broken() -> Error {
    Error::new(Kind::Save, "the program's file system gave an answer that makes no sense")
}

fn errno_error(number: i64) -> Error {
    let errno = u16::try_from(number).ok().and_then(weir_vfs::Errno::from_number);
    Error::new(Kind::Save, errno.map_or_else(|| format!("errno {number}"), |errno| errno.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    /// One file: a megabyte of zeros, a word, and zeros to the end.
    struct OneFile;

    const SIZE: u64 = 8 << 20;

    impl Tree for OneFile {
        fn lookup(&mut self, _: &str) -> Result<u32, Error> {
            Ok(0)
        }

        fn kind(&mut self, _: u32) -> Result<NodeKind, Error> {
            Ok(NodeKind::File)
        }

        fn modified(&mut self, _: u32) -> Result<u64, Error> {
            Ok(0)
        }

        fn next(&mut self, _: u32, _: u64) -> Result<Option<(String, u32, u64)>, Error> {
            Ok(None)
        }

        fn read(&mut self, _: u32, offset: u64) -> Result<Vec<u8>, Error> {
            let mut bytes = vec![0; (SIZE - offset).min(65_536) as usize];
            if offset == 1 << 20 {
                bytes[..4].copy_from_slice(b"word");
            }
            Ok(bytes)
        }

        fn readlink(&mut self, _: u32) -> Result<String, Error> {
            Ok(String::new())
        }
    }

    #[test]
    fn holes_stay_holes_and_a_replaced_file_hands_its_mode_on() {
        let folder = tempfile::tempdir().unwrap();
        let host = folder.path().join("f");
        fs::write(&host, "old").unwrap();
        fs::set_permissions(&host, fs::Permissions::from_mode(0o751)).unwrap();
        save_all(&mut OneFile, &[Save { guest: "/f".into(), host: host.clone() }]).unwrap();
        let meta = fs::metadata(&host).unwrap();
        assert_eq!((meta.len(), meta.mode() & 0o7777), (SIZE, 0o751));
        assert!(meta.blocks() * 512 < SIZE / 2, "{} blocks", meta.blocks());
        let bytes = fs::read(&host).unwrap();
        assert_eq!(&bytes[1 << 20..(1 << 20) + 4], b"word");
        assert_eq!(bytes.iter().filter(|byte| **byte != 0).count(), 4);
    }
}
