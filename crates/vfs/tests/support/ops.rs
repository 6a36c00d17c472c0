//! The same operations on several file systems: here they are, and ours; a simple model and the machine's
//! own are in files of their own. What they answer is compared step by step, and what is left at the end.

use crate::support::*;
use weir_vfs::{FileType, NodeId, OpenHow};

/// How a file is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    pub follow: bool,
    pub create: bool,
    pub exclusive: bool,
    pub truncate: bool,
    pub directory: bool,
    pub write: bool,
}

/// One operation. Slots are places for open files.
#[derive(Clone, Debug)]
pub enum Op {
    Open { slot: usize, path: String, how: How },
    Close { slot: usize },
    Read { slot: usize, offset: u64, len: usize },
    Write { slot: usize, offset: u64, len: usize, byte: u8 },
    SetSize { slot: usize, size: u64 },
    Size { slot: usize },
    Mkdir(String),
    Rmdir(String),
    Unlink(String),
    Rename(String, String),
    Link { old: String, follow: bool, new: String },
    Symlink { target: String, path: String },
    Readlink(String),
    Stat { path: String, follow: bool },
    List(String),
}

/// What an operation answers, as text: it is only compared.
pub type Answer = Result<String, Errno>;

pub const SLOTS: usize = 4;

/// Bytes as choices; zeros when they are used up.
pub struct Choices<'a>(pub &'a [u8]);

impl Choices<'_> {
    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.byte() as usize % end
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Few names, so that operations meet one another; now and then a detour or a slash behind.
    pub fn path(&mut self) -> String {
        let mut path = String::new();
        for index in 0..=self.below(3) {
            if index > 0 {
                path.push('/');
            }
            path.push_str(["a", "b", "c", "d", "a", "b", ".", "..", "a", "b", "c", "link"][self.below(12)]);
        }
        match self.below(16) {
            0 => path.push('/'),
            1 => path.push_str("//"),
            2 => path.push_str("/."),
            3 => path = path.replacen('/', "//./", 1),
            _ => {}
        }
        path
    }

    /// Around the borders of chunks.
    pub fn offset(&mut self) -> u64 {
        let base = [0, 0, 0, 16 * 1024, 32 * 1024, 100_000, 5 * 16 * 1024, 200_000][self.below(8)];
        base + u64::from(self.byte())
    }

    pub fn op(&mut self) -> Op {
        let slot = self.below(SLOTS);
        match self.below(24) {
            0..=4 => {
                let bits = self.byte();
                let bit = |n: u8| bits >> n & 1 == 1;
                let how = How {
                    follow: bit(0),
                    create: bit(1),
                    exclusive: bit(2) && bit(3),
                    truncate: bit(4) && bit(5),
                    directory: bit(6) && bit(7),
                    write: bit(2),
                };
                Op::Open { slot, path: self.path(), how }
            }
            5 => Op::Close { slot },
            6 => Op::Read { slot, offset: self.offset(), len: self.below(256) * 300 },
            7..=9 => Op::Write { slot, offset: self.offset(), len: self.below(256) * 100, byte: self.byte() },
            10 => Op::SetSize { slot, size: self.offset() },
            11 => Op::Size { slot },
            12..=13 => Op::Mkdir(self.path()),
            14 => Op::Rmdir(self.path()),
            15 => Op::Unlink(self.path()),
            16..=17 => Op::Rename(self.path(), self.path()),
            18 => Op::Link { old: self.path(), follow: self.flag(), new: self.path() },
            19..=20 => Op::Symlink { target: self.path(), path: self.path() },
            21 => Op::Readlink(self.path()),
            22 => Op::Stat { path: self.path(), follow: self.flag() },
            _ => Op::List(self.path()),
        }
    }
}

/// A file system under test.
pub trait System {
    fn run(&mut self, op: &Op) -> Answer;
    /// Every file, link and directory with its contents.
    fn tree(&mut self) -> BTreeMap<String, String>;
}

pub fn contents(bytes: &[u8]) -> String {
    // Long runs of the same byte in few characters.
    let mut text = String::new();
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|byte| *byte == first).count();
        text += &format!("{first}x{run} ");
        rest = &rest[run..];
    }
    text
}

/// Ours.
pub struct Ours {
    pub vfs: TestVfs,
    slots: [Option<(NodeId, bool)>; SLOTS],
}

impl Ours {
    pub fn new(vfs: TestVfs) -> Self {
        Self { vfs, slots: [None; SLOTS] }
    }

    pub fn close_all(&mut self) {
        for slot in &mut self.slots {
            if let Some((node, _)) = slot.take() {
                self.vfs.release(node);
            }
        }
    }

    fn file(&self, slot: usize, write: bool) -> Result<NodeId, Errno> {
        let (node, writable) = self.slots[slot].ok_or(Errno::Badf)?;
        if write && !writable { Err(Errno::Badf) } else { Ok(node) }
    }
}

impl System for Ours {
    fn run(&mut self, op: &Op) -> Answer {
        let root = self.vfs.root();
        let vfs = &mut self.vfs;
        let done = |()| String::new();
        match op {
            Op::Open { slot, path, how } => {
                let How { follow, create, exclusive, truncate, directory, write } = *how;
                let node =
                    vfs.open_at(root, path, OpenHow { follow, create, exclusive, truncate, directory, write })?;
                if let Some((old, _)) = self.slots[*slot].replace((node, write)) {
                    self.vfs.release(old);
                }
                Ok(String::new())
            }
            Op::Close { slot } => {
                let (node, _) = self.slots[*slot].take().ok_or(Errno::Badf)?;
                vfs.release(node);
                Ok(String::new())
            }
            Op::Read { slot, offset, len } => {
                let mut memory = vec![0xee; *len];
                let node = self.file(*slot, false)?;
                let read = self.vfs.read_at(node, *offset, &mut memory, 0, *len)?;
                assert!(memory[read..].iter().all(|byte| *byte == 0xee));
                Ok(contents(&memory[..read]))
            }
            Op::Write { slot, offset, len, byte } => {
                let node = self.file(*slot, true)?;
                let written = self.vfs.write_at(node, *offset, &vec![*byte; *len], 0, *len)?;
                Ok(written.to_string())
            }
            Op::SetSize { slot, size } => {
                let node = self.file(*slot, true)?;
                self.vfs.set_size(node, *size).map(done)
            }
            Op::Size { slot } => {
                let node = self.file(*slot, false)?;
                let stat = self.vfs.stat(node)?;
                Ok(describe(stat.kind, stat.size, stat.links))
            }
            Op::Mkdir(path) => vfs.create_dir_at(root, path).map(done),
            Op::Rmdir(path) => vfs.remove_dir_at(root, path).map(done),
            Op::Unlink(path) => vfs.unlink_at(root, path).map(done),
            Op::Rename(old, new) => vfs.rename_at(root, old, root, new).map(done),
            Op::Link { old, follow, new } => vfs.link_at(root, old, *follow, root, new).map(done),
            Op::Symlink { target, path } => vfs.symlink_at(target, root, path).map(done),
            Op::Readlink(path) => vfs.readlink_at(root, path).map(str::to_owned),
            Op::Stat { path, follow } => {
                let stat = vfs.stat_at(root, path, *follow)?;
                Ok(describe(stat.kind, stat.size, stat.links))
            }
            Op::List(path) => {
                let node = vfs.resolve(root, path, true)?;
                let mut names = vec![];
                vfs.visit_dir(node, 2, |entry| {
                    names.push(format!("{} {:?}", entry.name, entry.kind));
                    true
                })?;
                names.sort();
                Ok(names.join(", "))
            }
        }
    }

    fn tree(&mut self) -> BTreeMap<String, String> {
        let mut walk = self.vfs.walk(self.vfs.root());
        let mut tree = BTreeMap::new();
        while let Some(step) = self.vfs.walk_next(&mut walk).unwrap() {
            let (path, node, stat) = (step.path.to_owned(), step.node, step.stat);
            let text = match stat.kind {
                FileType::File => {
                    let mut bytes = vec![0; stat.size as usize];
                    assert_eq!(self.vfs.load_at(node, 0, &mut bytes), Ok(bytes.len()));
                    contents(&bytes)
                }
                FileType::Symlink => self.vfs.readlink_at(self.vfs.root(), &path).unwrap().to_owned(),
                _ => "directory".into(),
            };
            tree.insert(path, text);
        }
        tree.remove("");
        tree
    }
}

/// What a stat shows of a file system without times and numbers.
pub fn describe(kind: FileType, size: u64, links: u64) -> String {
    match kind {
        FileType::Directory => "directory".into(),
        FileType::File => format!("file {size} {links}"),
        FileType::Symlink => format!("link {size} {links}"),
        FileType::Stream => "stream".into(),
    }
}
