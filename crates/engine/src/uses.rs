//! What a run did with files: which were opened, read (and where), listed, looked for in vain, written.
//! Made from the recorded calls of a program that was linked for tracing; descriptors are followed here,
//! so that a read can be put down to a path. What is kept is bounded.

use crate::p1::memory::Guest;
use std::collections::BTreeMap;

/// Different paths kept. Default 100,000; further ones are counted as dropped.
const PATHS_MAX: usize = 100_000;
/// Ranges kept of one file; beyond it, near ones are merged.
const RANGES_MAX: usize = 1_000;
/// Bytes of a path that are looked at.
const PATH_BYTES_MAX: u32 = 65_536;

/// What a run did with one path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathUse {
    /// Times it was opened as a file.
    pub opened: u64,
    /// Times it was opened as a directory, or listed.
    pub listed: u64,
    /// Times somebody asked what is there, without opening it.
    pub asked: u64,
    /// Times there was nothing.
    pub missed: u64,
    /// Whether it was made, written, renamed or removed.
    pub written: bool,
    /// What was read: from, to (bytes, not included), apart from one another and in order.
    pub reads: Vec<(u64, u64)>,
}

/// What a run did with files.
#[derive(Clone, Debug, Default)]
pub struct Uses {
    /// By absolute path inside the program.
    pub paths: BTreeMap<String, PathUse>,
    /// Paths beyond the bound.
    pub dropped: u64,
    open: BTreeMap<u32, Open>,
}

#[derive(Clone, Debug)]
struct Open {
    path: String,
    position: u64,
}

impl PathUse {
    /// Adds another run's use of the same path.
    pub fn add(&mut self, other: &PathUse) {
        self.opened += other.opened;
        self.listed += other.listed;
        self.asked += other.asked;
        self.missed += other.missed;
        self.written |= other.written;
        other.reads.iter().for_each(|(from, to)| self.read(*from, *to));
    }

    /// Adds a range that was read.
    pub(crate) fn read(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let first = self.reads.partition_point(|(_, end)| *end < from);
        let after = self.reads.partition_point(|(start, _)| *start <= to);
        let (mut from, mut to) = (from, to);
        for (start, end) in self.reads.drain(first..after.max(first)) {
            (from, to) = (from.min(start), to.max(end));
        }
        self.reads.insert(first, (from, to));
        if self.reads.len() > RANGES_MAX {
            self.merge_nearest();
        }
    }

    fn merge_nearest(&mut self) {
        let gap = |pair: &[(u64, u64)]| pair[1].0 - pair[0].1;
        let nearest = self.reads.windows(2).enumerate().min_by_key(|(_, pair)| gap(pair)).map(|(at, _)| at);
        if let Some(at) = nearest {
            let (_, end) = self.reads.remove(at + 1);
            self.reads[at].1 = end;
        }
    }
}

/// Functions by number.
mod id {
    use weir_types::p1::id;

    pub const FD_CLOSE: u32 = id("fd_close");
    pub const FD_PREAD: u32 = id("fd_pread");
    pub const FD_PRESTAT_DIR_NAME: u32 = id("fd_prestat_dir_name");
    pub const FD_PWRITE: u32 = id("fd_pwrite");
    pub const FD_READ: u32 = id("fd_read");
    pub const FD_READDIR: u32 = id("fd_readdir");
    pub const FD_RENUMBER: u32 = id("fd_renumber");
    pub const FD_SEEK: u32 = id("fd_seek");
    pub const FD_WRITE: u32 = id("fd_write");
    pub const PATH_CREATE_DIRECTORY: u32 = id("path_create_directory");
    pub const PATH_FILESTAT_GET: u32 = id("path_filestat_get");
    pub const PATH_LINK: u32 = id("path_link");
    pub const PATH_OPEN: u32 = id("path_open");
    pub const PATH_READLINK: u32 = id("path_readlink");
    pub const PATH_REMOVE_DIRECTORY: u32 = id("path_remove_directory");
    pub const PATH_RENAME: u32 = id("path_rename");
    pub const PATH_SYMLINK: u32 = id("path_symlink");
    pub const PATH_UNLINK_FILE: u32 = id("path_unlink_file");
}

const OFLAGS_CREAT: u32 = 1;
const OFLAGS_DIRECTORY: u32 = 2;
const OFLAGS_TRUNC: u32 = 8;
const ERRNO_NOENT: i32 = 44;

/// The descriptor of the first preopened directory.
const FIRST_PREOPEN: u32 = 3;

impl Uses {
    /// What a run begins with: directories that are open under these names, from descriptor 3 on.
    pub(crate) fn of_preopens<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let open = (FIRST_PREOPEN..).zip(names.map(|name| Open { path: absolute("/", name), position: 0 }));
        Self { open: open.collect(), ..Self::default() }
    }

    /// Takes in one call of WASI 0.1, after it returned.
    pub(crate) fn record(&mut self, guest: &Guest, function: u32, arguments: &[i64; 9], errno: i32) {
        let word = |slot: usize| arguments[slot] as u32;
        let fd = word(0);
        let done = errno == 0;
        match function {
            id::FD_PRESTAT_DIR_NAME if done => {
                let path = text(guest, word(1), word(2));
                self.open.insert(fd, Open { path, position: 0 });
            }
            id::PATH_OPEN => self.opened(guest, arguments, errno),
            id::FD_READ if done => {
                let count = u64::from(load32(guest, word(3)));
                self.advance(fd, count, false);
            }
            id::FD_WRITE if done => {
                let count = u64::from(load32(guest, word(3)));
                self.advance(fd, count, true);
            }
            id::FD_PREAD if done => {
                let (offset, count) = (arguments[3] as u64, u64::from(load32(guest, word(4))));
                self.on_open(fd, |known, _| known.read(offset, offset.saturating_add(count)));
            }
            id::FD_PWRITE if done => self.on_open(fd, |known, _| known.written = true),
            id::FD_SEEK if done => {
                let position = load64(guest, word(3));
                if let Some(open) = self.open.get_mut(&fd) {
                    open.position = position;
                }
            }
            id::FD_READDIR if done => self.on_open(fd, |known, _| known.listed += 1),
            id::FD_CLOSE => {
                self.open.remove(&fd);
            }
            id::FD_RENUMBER if done => {
                if let Some(open) = self.open.remove(&fd) {
                    self.open.insert(word(1), open);
                }
            }
            _ => self.named(guest, function, arguments, errno),
        }
    }

    /// Calls that name a path and open nothing.
    fn named(&mut self, guest: &Guest, function: u32, arguments: &[i64; 9], errno: i32) {
        let paths: &[(usize, usize)] = match function {
            id::PATH_FILESTAT_GET => &[(0, 2)],
            id::PATH_READLINK | id::PATH_CREATE_DIRECTORY | id::PATH_REMOVE_DIRECTORY | id::PATH_UNLINK_FILE => {
                &[(0, 1)]
            }
            id::PATH_LINK => &[(0, 2), (4, 5)],
            id::PATH_RENAME => &[(0, 1), (3, 4)],
            id::PATH_SYMLINK => &[(2, 3)],
            _ => return,
        };
        let changes = !matches!(function, id::PATH_FILESTAT_GET | id::PATH_READLINK);
        for (fd, at) in paths {
            let path = self.path(guest, arguments[*fd] as u32, arguments[*at] as u32, arguments[at + 1] as u32);
            self.on_path(path, |known| match errno {
                0 if changes => known.written = true,
                0 => known.asked += 1,
                ERRNO_NOENT => known.missed += 1,
                _ => {}
            });
        }
    }

    fn opened(&mut self, guest: &Guest, arguments: &[i64; 9], errno: i32) {
        let word = |slot: usize| arguments[slot] as u32;
        let path = self.path(guest, word(0), word(2), word(3));
        let (flags, fd) = (word(4), load32(guest, word(8)));
        self.on_path(path.clone(), |known| match errno {
            0 if flags & OFLAGS_DIRECTORY != 0 => known.listed += 1,
            0 => {
                known.opened += 1;
                known.written |= flags & (OFLAGS_CREAT | OFLAGS_TRUNC) != 0;
            }
            ERRNO_NOENT => known.missed += 1,
            _ => {}
        });
        if errno == 0 {
            self.open.insert(fd, Open { path, position: 0 });
        }
    }

    fn advance(&mut self, fd: u32, count: u64, written: bool) {
        self.on_open(fd, |known, position| {
            let end = position.saturating_add(count);
            if written {
                known.written = true;
            } else {
                known.read(*position, end);
            }
            *position = end;
        });
    }

    fn on_open(&mut self, fd: u32, act: impl FnOnce(&mut PathUse, &mut u64)) {
        let Some(mut open) = self.open.remove(&fd) else { return };
        self.on_path(open.path.clone(), |known| act(known, &mut open.position));
        self.open.insert(fd, open);
    }

    /// Records something about a path; components report here, too.
    pub(crate) fn on_path(&mut self, path: String, act: impl FnOnce(&mut PathUse)) {
        if self.paths.len() >= PATHS_MAX && !self.paths.contains_key(&path) {
            self.dropped += 1;
            return;
        }
        act(self.paths.entry(path).or_default());
    }

    /// The absolute path of a path below a descriptor.
    fn path(&self, guest: &Guest, fd: u32, at: u32, len: u32) -> String {
        let base = self.open.get(&fd).map_or("/", |open| open.path.as_str());
        absolute(base, &text(guest, at, len))
    }
}

/// `path`, seen from the directory `base`, as an absolute path without `.` and `..`.
pub(crate) fn absolute(base: &str, path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in base.split('/').chain(path.split('/')) {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}

fn text(guest: &Guest, at: u32, len: u32) -> String {
    let bytes = guest.slice(at, len.min(PATH_BYTES_MAX)).unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

fn load32(guest: &Guest, at: u32) -> u32 {
    guest.slice(at, 4).ok().and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn load64(guest: &Guest, at: u32) -> u64 {
    guest.slice(at, 8).ok().and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_merged_where_they_meet() {
        let mut known = PathUse::default();
        for (from, to) in [(10, 20), (30, 40), (20, 25), (0, 1), (50, 50), (24, 31)] {
            known.read(from, to);
        }
        assert_eq!(known.reads, [(0, 1), (10, 40)]);
        for at in 0..5_000 {
            known.read(100 + at * 10, 101 + at * 10);
        }
        assert_eq!(known.reads.len(), RANGES_MAX);
        assert!(known.reads.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn paths_are_seen_from_their_directory() {
        assert_eq!(absolute("/w", "a/./b"), "/w/a/b");
        assert_eq!(absolute("/w/x", "../../../a"), "/a");
        assert_eq!(absolute(".", "a"), "/a");
    }
}
