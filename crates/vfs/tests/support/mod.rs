//! A platform for tests: blobs in a table, a clock that ticks once per look, memory that is a slice.
#![allow(dead_code, reason = "each test file uses its own part of this")]

pub use std::collections::BTreeMap;
pub use weir_types::limits::Quota;
pub use weir_vfs::image::{BootNode, Image, ListingEntry, NodeKind, Preopen, PreopenTarget, encode_listing};
use weir_vfs::p1::{FD_READ, FD_WRITE, Process};
pub use weir_vfs::{BlobId, Errno, Memory, Platform, Times, Vfs};

/// Where the clock of the tests begins.
pub const EPOCH: u64 = 1_000_000;

#[derive(Debug, Default)]
pub struct TestPlatform {
    pub blobs: BTreeMap<u32, Vec<u8>>,
    /// A blob that cannot be read at the moment.
    pub broken: Option<u32>,
    /// At most so many bytes per call, as a host may do.
    pub piece_max: Option<usize>,
    pub ticks: u64,
    pub reads: usize,
    pub loads: usize,
}

impl TestPlatform {
    pub fn with(blobs: impl IntoIterator<Item = (u32, Vec<u8>)>) -> Self {
        Self { blobs: blobs.into_iter().collect(), ..Self::default() }
    }

    fn range(&self, blob: BlobId, offset: u64, len: usize) -> Result<&[u8], Errno> {
        if self.broken == Some(blob.0) {
            return Err(Errno::Io);
        }
        let bytes = self.blobs.get(&blob.0).ok_or(Errno::Noent)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let len = len.min(bytes.len() - start).min(self.piece_max.unwrap_or(usize::MAX));
        Ok(&bytes[start..start + len])
    }
}

impl Platform for TestPlatform {
    type Memory = [u8];

    fn now(&mut self) -> u64 {
        self.ticks += 1;
        EPOCH + self.ticks
    }

    fn blob_read(
        &mut self,
        blob: BlobId,
        offset: u64,
        memory: &mut [u8],
        at: usize,
        len: usize,
    ) -> Result<usize, Errno> {
        self.reads += 1;
        let bytes = self.range(blob, offset, len)?;
        memory.put(at, bytes);
        Ok(bytes.len())
    }

    fn blob_load(&mut self, blob: BlobId, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        self.loads += 1;
        let bytes = self.range(blob, offset, out.len())?;
        out[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn hash_seed(&mut self) -> u64 {
        0x0123_4567_89ab_cdef
    }
}

pub type TestVfs = Vfs<TestPlatform>;
pub type TestProcess = Process<TestPlatform>;

pub fn vfs() -> TestVfs {
    Vfs::new(TestPlatform::default(), Quota::default())
}

/// A process with the root preopened as descriptor 3.
pub fn process() -> TestProcess {
    process_with(Quota::default(), TestPlatform::default(), vec![])
}

pub fn process_with(quota: Quota, platform: TestPlatform, nodes: Vec<BootNode>) -> TestProcess {
    let preopens = vec![Preopen { name: "/".into(), target: PreopenTarget::Tree(String::new()) }];
    Process::boot(platform, &Image { quota, preopens, nodes }).unwrap()
}

pub fn node(path: &str, kind: NodeKind) -> BootNode {
    BootNode { path: path.into(), times: Times::all(500), read_only: false, kind }
}

pub fn entry(name: &str, kind: NodeKind) -> ListingEntry {
    ListingEntry { name: name.into(), times: Times::all(77), kind }
}

pub fn listing(entries: &[(&str, NodeKind)]) -> Vec<u8> {
    let entries: Vec<_> = entries.iter().map(|(name, kind)| entry(name, kind.clone())).collect();
    encode_listing(&entries)
}

pub const ROOT_FD: u32 = 3;
pub const READ_WRITE: u64 = FD_READ | FD_WRITE;

/// Opens with the given `oflags` and rights through the root.
pub fn open(process: &mut TestProcess, path: &str, oflags: u16, rights: u64) -> Result<u32, Errno> {
    process.path_open(ROOT_FD, 0, path, oflags, rights, 0, 0)
}

/// Makes a file with these bytes.
pub fn write_file(process: &mut TestProcess, path: &str, bytes: &[u8]) {
    let fd = open(process, path, 1 | 8, READ_WRITE).unwrap();
    assert_eq!(process.fd_write(bytes, fd, [(0, bytes.len())].as_slice()), Ok(bytes.len()));
    process.fd_close(fd).unwrap();
}

/// All bytes of the file at `path`.
pub fn read_file(process: &mut TestProcess, path: &str) -> Result<Vec<u8>, Errno> {
    let fd = process.path_open(ROOT_FD, 1, path, 0, FD_READ, 0, 0)?;
    let size = process.fd_filestat_get(fd)?.size as usize;
    let mut bytes = vec![0xaa; size + 10];
    let len = bytes.len();
    let read = process.fd_read(&mut bytes, fd, [(0, len)].as_slice())?;
    bytes.truncate(read);
    process.fd_close(fd)?;
    Ok(bytes)
}

/// Reads `len` bytes at `offset`.
pub fn pread(process: &mut TestProcess, fd: u32, offset: u64, len: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0xaa; len];
    let read = process.fd_pread(&mut bytes, fd, [(0, len)].as_slice(), offset)?;
    bytes.truncate(read);
    Ok(bytes)
}

pub fn pwrite(process: &mut TestProcess, fd: u32, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
    process.fd_pwrite(bytes, fd, [(0, bytes.len())].as_slice(), offset)
}

pub fn write(process: &mut TestProcess, fd: u32, bytes: &[u8]) -> Result<usize, Errno> {
    process.fd_write(bytes, fd, [(0, bytes.len())].as_slice())
}

pub fn read(process: &mut TestProcess, fd: u32, len: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0xaa; len];
    let read = process.fd_read(&mut bytes, fd, [(0, len)].as_slice())?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Names in the directory, in its order, without `.` and `..`.
pub fn names(process: &mut TestProcess, path: &str) -> Result<Vec<String>, Errno> {
    let root = process.vfs.root();
    let dir = process.vfs.resolve(root, path, true)?;
    let mut names = vec![];
    process.vfs.visit_dir(dir, 2, |entry| {
        names.push(entry.name.to_owned());
        true
    })?;
    Ok(names)
}

/// Everything below the root: path, what it is, and contents.
pub fn tree(vfs: &mut TestVfs) -> BTreeMap<String, String> {
    let mut walk = vfs.walk(vfs.root());
    let mut tree = BTreeMap::new();
    while let Some(step) = vfs.walk_next(&mut walk).unwrap() {
        let (path, node, stat) = (step.path.to_owned(), step.node, step.stat);
        let text = match stat.kind {
            weir_vfs::FileType::File => {
                let mut bytes = vec![0; stat.size as usize];
                assert_eq!(vfs.load_at(node, 0, &mut bytes), Ok(bytes.len()));
                format!("file {}", String::from_utf8_lossy(&bytes))
            }
            weir_vfs::FileType::Symlink => format!("link {}", vfs.readlink_at(vfs.root(), &path).unwrap()),
            kind => format!("{kind:?}"),
        };
        tree.insert(path, text);
    }
    tree
}
