//! The operations on the machine's own file system.

use crate::ops::{Answer, Op, SLOTS, System, contents, describe};
use crate::support::*;
use rustix::fs::{AtFlags, Mode, OFlags};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use weir_vfs::FileType;

/// The machine's own file system below a directory.
pub struct Host {
    root: PathBuf,
    dir: OwnedFd,
    slots: [Option<(OwnedFd, bool)>; SLOTS],
}

impl Host {
    pub fn new(root: &Path) -> Self {
        let dir = File::open(root).unwrap().into();
        Self { root: root.to_owned(), dir, slots: Default::default() }
    }

    fn file(&self, slot: usize, write: bool) -> Result<&OwnedFd, Errno> {
        let (fd, writable) = self.slots[slot].as_ref().ok_or(Errno::Badf)?;
        if write && !writable { Err(Errno::Badf) } else { Ok(fd) }
    }

    fn collect(&self, path: &Path, tree: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let text = if meta.is_dir() {
                self.collect(&path, tree);
                "directory".into()
            } else if meta.is_symlink() {
                path.read_link().unwrap().to_str().unwrap().to_owned()
            } else {
                contents(&std::fs::read(&path).unwrap())
            };
            tree.insert(path.strip_prefix(&self.root).unwrap().to_str().unwrap().to_owned(), text);
        }
    }
}

/// The machine's error as ours.
fn ours(errno: rustix::io::Errno) -> Errno {
    use rustix::io::Errno as Host;
    let table = [
        (Host::NOENT, Errno::Noent),
        (Host::EXIST, Errno::Exist),
        (Host::NOTDIR, Errno::Notdir),
        (Host::ISDIR, Errno::Isdir),
        (Host::NOTEMPTY, Errno::Notempty),
        (Host::INVAL, Errno::Inval),
        (Host::LOOP, Errno::Loop),
        (Host::PERM, Errno::Perm),
        (Host::BUSY, Errno::Busy),
        (Host::BADF, Errno::Badf),
        (Host::NAMETOOLONG, Errno::Nametoolong),
    ];
    table.iter().find(|(host, _)| *host == errno).unwrap_or_else(|| panic!("{errno}")).1
}

fn kind_of(mode: u32) -> FileType {
    match rustix::fs::FileType::from_raw_mode(mode) {
        rustix::fs::FileType::Directory => FileType::Directory,
        rustix::fs::FileType::Symlink => FileType::Symlink,
        _ => FileType::File,
    }
}

impl System for Host {
    fn run(&mut self, op: &Op) -> Answer {
        let done = |()| String::new();
        let dir = &self.dir;
        match op {
            // What WASI refuses and POSIX leaves open.
            Op::Open { how, .. } if how.directory && (how.create || how.exclusive || how.truncate) => Err(Errno::Inval),
            Op::Open { slot, path, how } => {
                let mut flags = OFlags::CLOEXEC | if how.write { OFlags::RDWR } else { OFlags::RDONLY };
                flags.set(OFlags::NOFOLLOW, !how.follow);
                flags.set(OFlags::CREATE, how.create);
                flags.set(OFlags::EXCL, how.create && how.exclusive);
                flags.set(OFlags::TRUNC, how.truncate);
                flags.set(OFlags::DIRECTORY, how.directory);
                let fd = rustix::fs::openat(dir, path, flags, Mode::from_raw_mode(0o755)).map_err(ours)?;
                self.slots[*slot] = Some((fd, how.write));
                Ok(String::new())
            }
            Op::Close { slot } => self.slots[*slot].take().map(|_| String::new()).ok_or(Errno::Badf),
            Op::Read { slot, offset, len } => {
                let mut bytes = vec![0; *len];
                let read = rustix::io::pread(self.file(*slot, false)?, &mut bytes, *offset).map_err(ours)?;
                Ok(contents(&bytes[..read]))
            }
            Op::Write { slot, offset, len, byte } => {
                let written = rustix::io::pwrite(self.file(*slot, true)?, &vec![*byte; *len], *offset).map_err(ours)?;
                Ok(written.to_string())
            }
            Op::SetSize { slot, size } => rustix::fs::ftruncate(self.file(*slot, true)?, *size).map_err(ours).map(done),
            Op::Size { slot } => {
                let stat = rustix::fs::fstat(self.file(*slot, false)?).map_err(ours)?;
                Ok(describe(kind_of(stat.st_mode), stat.st_size as u64, stat.st_nlink))
            }
            Op::Mkdir(path) => rustix::fs::mkdirat(dir, path, Mode::from_raw_mode(0o755)).map_err(ours).map(done),
            Op::Rmdir(path) => rustix::fs::unlinkat(dir, path, AtFlags::REMOVEDIR).map_err(ours).map(done),
            Op::Unlink(path) => rustix::fs::unlinkat(dir, path, AtFlags::empty()).map_err(ours).map(done),
            Op::Rename(old, new) => rustix::fs::renameat(dir, old, dir, new).map_err(ours).map(done),
            Op::Link { old, follow, new } => {
                let flags = if *follow { AtFlags::SYMLINK_FOLLOW } else { AtFlags::empty() };
                rustix::fs::linkat(dir, old, dir, new, flags).map_err(ours).map(done)
            }
            Op::Symlink { target, path } => rustix::fs::symlinkat(target, dir, path).map_err(ours).map(done),
            Op::Readlink(path) => {
                let target = rustix::fs::readlinkat(dir, path, Vec::new()).map_err(ours)?;
                Ok(target.into_string().unwrap())
            }
            Op::Stat { path, follow } => {
                let flags = if *follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
                let stat = rustix::fs::statat(dir, path, flags).map_err(ours)?;
                Ok(describe(kind_of(stat.st_mode), stat.st_size as u64, stat.st_nlink))
            }
            Op::List(path) => {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                let fd = rustix::fs::openat(dir, path, flags, Mode::empty()).map_err(ours)?;
                let mut names = vec![];
                if kind_of(rustix::fs::fstat(&fd).map_err(ours)?.st_mode) != FileType::Directory {
                    return Err(Errno::Notdir);
                }
                for entry in rustix::fs::Dir::read_from(&fd).map_err(ours)? {
                    let entry = entry.map_err(ours)?;
                    let name = entry.file_name().to_str().unwrap().to_owned();
                    let kind = match entry.file_type() {
                        rustix::fs::FileType::Directory => FileType::Directory,
                        rustix::fs::FileType::Symlink => FileType::Symlink,
                        _ => FileType::File,
                    };
                    if name != "." && name != ".." {
                        names.push(format!("{name} {kind:?}"));
                    }
                }
                names.sort();
                Ok(names.join(", "))
            }
        }
    }

    fn tree(&mut self) -> BTreeMap<String, String> {
        let mut tree = BTreeMap::new();
        self.collect(&self.root, &mut tree);
        tree
    }
}
