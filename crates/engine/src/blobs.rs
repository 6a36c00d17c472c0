//! The bytes behind mounts: numbered blobs, read by range. A blob is the boot image, a file of the
//! host, or the listing of one of its directories (made when it is first asked for). Nothing here
//! knows paths inside a program or keeps a tree; the file system that does runs in the sandbox.
//!
//! Host files are read, not mapped: a file that is cut short while it is mapped would kill the
//! process. Small repeated reads are served from chunks kept in memory, under one bound for all.
//! A file that has changed since it was listed gives an error, never a mixture of two versions.

use crate::ends::Blob;
use crate::sys::{Errno, errno};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use std::collections::VecDeque;
use std::fs::{self, Metadata};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_vfs::image::{Image, ListingEntry, NodeKind, encode_listing};
use weir_vfs::pack::REFERENCES;
use weir_vfs::{BlobId, Times};

/// Bytes of one kept chunk: sixteen small pages cost one system call instead of sixteen.
const CHUNK_BYTES: u64 = 64 << 10;
/// Chunks kept at most, 64 MiB in all.
const CHUNKS_MAX: usize = 1024;
/// Host files held open at most.
const OPEN_MAX: usize = 256;
/// Blobs at most: as many nodes as the largest tree can have, several times over.
const BLOBS_MAX: usize = 8_000_000;
/// Warnings kept.
const WARNINGS_MAX: usize = 20;

/// Where the bytes of a blob are.
#[derive(Debug)]
pub(crate) struct Source(Kind);

enum Kind {
    Bytes(Vec<u8>),
    Object(Arc<dyn Blob>),
    File(Box<File>),
    Listing(PathBuf),
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Kind::Bytes(bytes) => write!(out, "Bytes({})", bytes.len()),
            Kind::Object(object) => write!(out, "Object({})", object.size()),
            Kind::File(file) => write!(out, "File({})", file.path.display()),
            Kind::Listing(path) => write!(out, "Listing({})", path.display()),
        }
    }
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    size: u64,
    modified: (i64, i64),
    inode: u64,
    open: Option<OwnedFd>,
    chunks: Vec<Chunk>,
}

#[derive(Debug)]
enum Chunk {
    /// Never read.
    Cold,
    /// Read once, straight into the program: the next small read keeps it.
    Touched,
    Kept(Box<[u8]>),
}

impl File {
    /// Whether the open file is still the one that was listed.
    fn is_same(&self, fd: &OwnedFd) -> Result<bool, Errno> {
        let state = rustix::fs::fstat(fd).map_err(errno)?;
        let modified = (state.st_mtime, state.st_mtime_nsec as i64);
        Ok((state.st_size as u64, modified, state.st_ino) == (self.size, self.modified, self.inode))
    }
}

impl Source {
    /// The file at `path`, as `meta` describes it.
    pub fn file(path: PathBuf, meta: &Metadata) -> Self {
        let modified = (meta.mtime(), meta.mtime_nsec());
        let (size, inode) = (meta.len(), meta.ino());
        Self(Kind::File(Box::new(File { path, size, modified, inode, open: None, chunks: Vec::new() })))
    }

    /// An object of whoever runs the program.
    pub fn object(object: Arc<dyn Blob>) -> Self {
        Self(Kind::Object(object))
    }

    /// The listing of the directory at `path`.
    pub fn listing(path: PathBuf) -> Self {
        Self(Kind::Listing(path))
    }
}

/// The numbered blobs of one run.
#[derive(Debug)]
pub(crate) struct Blobs {
    blobs: Vec<Source>,
    /// Blobs named by a pack; their numbers begin at [`REFERENCES`].
    references: Range<u32>,
    kept: VecDeque<(u32, usize)>,
    open: VecDeque<u32>,
    bytes_read: u64,
    /// What the user should know: entries that cannot be shown, files that changed.
    pub warnings: Vec<String>,
}

impl Blobs {
    /// Blob 0 is `image`, then come `sources`; `references` have numbers of their own.
    pub fn new(image: Image, sources: Vec<Source>, references: Vec<Source>) -> Self {
        let mut blobs = vec![Source(Kind::Bytes(image.encode()))];
        blobs.extend(sources);
        let start = blobs.len() as u32;
        blobs.extend(references);
        let references = start..blobs.len() as u32;
        Self { blobs, references, kept: VecDeque::new(), open: VecDeque::new(), bytes_read: 0, warnings: Vec::new() }
    }

    /// Bytes read from the host's files so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Copies what `blob` has from `offset` into `out` and returns how many bytes; 0 only at the end.
    ///
    /// # Errors
    /// The host's errno, `Io` for a file that changed, `Badf` for a blob that there is not.
    pub fn read(&mut self, blob: u32, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        let blob = match blob.checked_sub(REFERENCES) {
            None => blob,
            Some(number) => {
                let place = self.references.start.checked_add(number).filter(|place| self.references.contains(place));
                place.ok_or(Errno::Badf)?
            }
        };
        match &mut self.blobs.get_mut(blob as usize).ok_or(Errno::Badf)?.0 {
            Kind::Bytes(bytes) => Ok(copy_from(bytes, offset, out)),
            Kind::Object(object) => {
                let object = object.clone();
                self.read_object(&*object, offset, out)
            }
            Kind::Listing(path) => {
                let path = path.clone();
                let listing = self.list(&path)?;
                let copied = copy_from(&listing, offset, out);
                self.blobs[blob as usize] = Source(Kind::Bytes(listing));
                Ok(copied)
            }
            Kind::File(file) => {
                if offset >= file.size || out.is_empty() {
                    return Ok(0);
                }
                let room = usize::try_from(file.size - offset).unwrap_or(usize::MAX).min(out.len());
                let out = &mut out[..room];
                let number = usize::try_from(offset / CHUNK_BYTES).map_err(|_| Errno::Overflow)?;
                if let Some(Chunk::Kept(bytes)) = file.chunks.get(number) {
                    return Ok(copy_from(bytes, offset % CHUNK_BYTES, out));
                }
                self.read_file(blob, number, offset, out)
            }
        }
    }

    /// Reads all of `out` that there is: a program that gets less takes it for the end.
    fn read_object(&mut self, object: &dyn Blob, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        let room = usize::try_from(object.size().saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
        let mut filled = 0;
        while filled < room {
            match object.read_at(offset + filled as u64, &mut out[filled..room]) {
                Ok(read) if read > 0 && read <= room - filled => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // Fewer bytes than it said, or more than were asked for.
                _ => return Err(Errno::Io),
            }
        }
        self.bytes_read += filled as u64;
        Ok(filled)
    }

    /// The slow half of `read`: opens the file, and keeps the chunk if it is read a second time.
    fn read_file(&mut self, blob: u32, number: usize, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        self.ensure_open(blob)?;
        let Kind::File(file) = &mut self.blobs[blob as usize].0 else { return Err(Errno::Badf) };
        if file.chunks.is_empty() {
            let count = usize::try_from(file.size.div_ceil(CHUNK_BYTES)).map_err(|_| Errno::Fbig)?;
            file.chunks.resize_with(count, || Chunk::Cold);
        }
        let chunk = file.chunks.get(number).ok_or(Errno::Io)?;
        let large = out.len() as u64 >= CHUNK_BYTES;
        if large || matches!(chunk, Chunk::Cold) {
            self.read_unchanged(blob, offset, out)?;
            if !large && let Kind::File(file) = &mut self.blobs[blob as usize].0 {
                file.chunks[number] = Chunk::Touched;
            }
            return Ok(out.len());
        }
        let start = number as u64 * CHUNK_BYTES;
        let mut bytes = vec![0; (file.size - start).min(CHUNK_BYTES) as usize].into_boxed_slice();
        self.read_unchanged(blob, start, &mut bytes)?;
        let copied = copy_from(&bytes, offset % CHUNK_BYTES, out);
        if let Kind::File(file) = &mut self.blobs[blob as usize].0 {
            file.chunks[number] = Chunk::Kept(bytes);
        }
        self.kept.push_back((blob, number));
        self.drop_oldest_chunk();
        Ok(copied)
    }

    /// Fills `out` from the open file. Asked after the read whether the file is still the same: one that is
    /// written in its place while the program runs would otherwise be half old and half new.
    fn read_unchanged(&mut self, blob: u32, offset: u64, out: &mut [u8]) -> Result<(), Errno> {
        let Kind::File(file) = &self.blobs[blob as usize].0 else { return Err(Errno::Badf) };
        let fd = file.open.as_ref().ok_or(Errno::Io)?;
        let read = pread_full(fd, offset, out)?;
        let same = file.is_same(fd)?;
        self.bytes_read += read as u64;
        if read < out.len() || !same { Err(self.changed(blob)) } else { Ok(()) }
    }

    fn drop_oldest_chunk(&mut self) {
        if self.kept.len() > CHUNKS_MAX
            && let Some((blob, number)) = self.kept.pop_front()
            && let Some(Source(Kind::File(file))) = self.blobs.get_mut(blob as usize)
            && let Some(chunk) = file.chunks.get_mut(number)
        {
            *chunk = Chunk::Cold;
        }
    }

    /// Opens the file behind `blob` if it is not, and makes sure that it is the one that was listed.
    fn ensure_open(&mut self, blob: u32) -> Result<(), Errno> {
        let Kind::File(file) = &mut self.blobs[blob as usize].0 else { return Err(Errno::Badf) };
        if file.open.is_some() {
            return Ok(());
        }
        // NONBLOCK: a fifo put in the file's place must not hang the run.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let fd = rustix::fs::open(&file.path, flags, Mode::empty()).map_err(errno)?;
        if !file.is_same(&fd)? {
            return Err(self.changed(blob));
        }
        file.open = Some(fd);
        self.open.push_back(blob);
        if self.open.len() > OPEN_MAX
            && let Some(oldest) = self.open.pop_front()
            && let Some(Source(Kind::File(file))) = self.blobs.get_mut(oldest as usize)
        {
            file.open = None;
        }
        Ok(())
    }

    fn changed(&mut self, blob: u32) -> Errno {
        if let Kind::File(file) = &self.blobs[blob as usize].0 {
            let what = format!(
                "the mounted file {} changed during the run: the program gets an IO error",
                file.path.display()
            );
            self.warn(what);
        }
        Errno::Io
    }

    fn warn(&mut self, what: String) {
        if self.warnings.len() < WARNINGS_MAX && !self.warnings.contains(&what) {
            self.warnings.push(what);
        }
    }

    /// Lists a directory of the host in the order of names; what a program cannot have is left out
    /// with a warning.
    fn list(&mut self, path: &Path) -> Result<Vec<u8>, Errno> {
        let io = |error: std::io::Error| {
            error.raw_os_error().map_or(Errno::Io, |code| errno(rustix::io::Errno::from_raw_os_error(code)))
        };
        let mut entries = Vec::new();
        if is_made_by_the_kernel(path) {
            self.warn(format!("{} is {MADE_BY_THE_KERNEL}: it is mounted empty", path.display()));
            return Ok(encode_listing(&entries));
        }
        for entry in fs::read_dir(path).map_err(io)? {
            let entry = entry.map_err(io)?;
            let Ok(name) = entry.file_name().into_string() else {
                let path = entry.path();
                self.warn(format!("{} has a name that is not UTF-8: it is not mounted", path.display()));
                continue;
            };
            match entry.metadata() {
                Ok(meta) => entries.extend(self.entry(path, name, &meta)?),
                // Gone since it was listed.
                Err(_) => continue,
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(encode_listing(&entries))
    }

    fn entry(&mut self, parent: &Path, name: String, meta: &Metadata) -> Result<Option<ListingEntry>, Errno> {
        let path = parent.join(&name);
        let kind = if meta.is_dir() {
            NodeKind::Directory(Some(self.add(Source::listing(path))?))
        } else if meta.is_file() {
            NodeKind::File { blob: self.add(Source::file(path, meta))?, offset: 0, size: meta.len() }
        } else if meta.is_symlink() {
            match fs::read_link(&path).ok().and_then(|target| target.into_os_string().into_string().ok()) {
                Some(target) => NodeKind::Symlink(target),
                None => return Ok(None),
            }
        } else {
            self.warn(format!("{} is a device, socket or pipe: it is not mounted", path.display()));
            return Ok(None);
        };
        Ok(Some(ListingEntry { name, times: directory_times(meta), kind }))
    }

    fn add(&mut self, source: Source) -> Result<BlobId, Errno> {
        if self.blobs.len() >= BLOBS_MAX {
            return Err(Errno::Nospc);
        }
        self.blobs.push(source);
        Ok(BlobId(self.blobs.len() as u32 - 1))
    }
}

/// What is wrong with mounting such a directory.
pub(crate) const MADE_BY_THE_KERNEL: &str = "a view of the kernel, whose files have no size until they are read";

/// Whether what is at `path` is made while it is read, as in /proc and /sys: such files say that they are
/// empty, or a page long, and have other bytes each time.
pub(crate) fn is_made_by_the_kernel(path: &Path) -> bool {
    const PROC: i64 = 0x9fa0;
    const SYS: i64 = 0x6265_6572;
    const CGROUP2: i64 = 0x6367_7270;
    const DEBUG: i64 = 0x6462_6720;
    const TRACE: i64 = 0x7472_6163;
    rustix::fs::statfs(path).is_ok_and(|system| [PROC, SYS, CGROUP2, DEBUG, TRACE].contains(&system.f_type))
}

/// The timestamps of something of the host.
pub(crate) fn directory_times(meta: &Metadata) -> Times {
    let nanoseconds = |seconds: i64, part: i64| {
        u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(part as u64)
    };
    Times {
        accessed: nanoseconds(meta.atime(), meta.atime_nsec()),
        modified: nanoseconds(meta.mtime(), meta.mtime_nsec()),
        changed: nanoseconds(meta.ctime(), meta.ctime_nsec()),
    }
}

fn copy_from(bytes: &[u8], offset: u64, out: &mut [u8]) -> usize {
    let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
    let len = rest.len().min(out.len());
    out[..len].copy_from_slice(&rest[..len]);
    len
}

fn pread_full(fd: &OwnedFd, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
    let mut filled = 0;
    while filled < out.len() {
        match rustix::io::pread(fd, &mut out[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(errno(error)),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blobs(source: Source) -> Blobs {
        Blobs::new(Image::default(), vec![source], Vec::new())
    }

    #[test]
    fn a_file_reads_the_same_cold_touched_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let bytes: Vec<u8> = (0..200_000u32).map(|i| (i * 7 % 251) as u8).collect();
        fs::write(&path, &bytes).unwrap();
        let mut blobs = blobs(Source::file(path.clone(), &fs::metadata(&path).unwrap()));
        for round in 0..3 {
            for (offset, len) in [(0, 10), (65_530, 20), (131_072, 4096), (199_990, 100), (200_000, 1), (0, 200_000)] {
                let mut out = vec![0; len];
                let mut done = 0;
                while done < len {
                    match blobs.read(1, (offset + done) as u64, &mut out[done..]).unwrap() {
                        0 => break,
                        read => done += read,
                    }
                }
                let expected = &bytes[offset..(offset + len).min(bytes.len())];
                assert_eq!(&out[..done], expected, "round {round}, {len} at {offset}");
            }
        }
    }

    #[test]
    fn a_changed_file_is_an_error_and_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, b"one").unwrap();
        let mut blobs = blobs(Source::file(path.clone(), &fs::metadata(&path).unwrap()));
        fs::write(&path, b"three").unwrap();
        assert_eq!(blobs.read(1, 0, &mut [0; 8]), Err(Errno::Io));
        assert!(blobs.warnings[0].contains("changed during the run"));
    }

    #[test]
    fn a_file_rewritten_in_its_place_is_an_error_however_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        for len in [10, 100_000] {
            fs::write(&path, vec![b'1'; 200_000]).unwrap();
            let mut blobs = blobs(Source::file(path.clone(), &fs::metadata(&path).unwrap()));
            assert_eq!(blobs.read(1, 0, &mut vec![0; len]), Ok(len));
            let later = std::time::SystemTime::now() + std::time::Duration::from_secs(9);
            fs::write(&path, vec![b'2'; 200_000]).unwrap();
            fs::File::options().append(true).open(&path).unwrap().set_modified(later).unwrap();
            assert_eq!(blobs.read(1, 150_000, &mut vec![0; len.min(50_000)]), Err(Errno::Io), "{len}");
            assert!(blobs.warnings[0].contains("changed during the run"));
        }
    }

    #[test]
    fn the_kernels_views_are_listed_empty_with_a_warning() {
        let mut blobs = blobs(Source::listing("/proc/self".into()));
        assert_eq!(blobs.read(1, 0, &mut [0; 1000]), Ok(encode_listing(&[]).len()));
        assert!(blobs.warnings[0].contains("a view of the kernel"));
    }

    #[test]
    fn a_link_put_in_a_files_place_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, secret) = (folder.path().join("f"), folder.path().join("secret"));
        fs::write(&path, b"12345").unwrap();
        fs::write(&secret, b"54321").unwrap();
        let mut blobs = blobs(Source::file(path.clone(), &fs::metadata(&path).unwrap()));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        assert_eq!(blobs.read(1, 0, &mut [0; 8]), Err(Errno::Loop));
    }

    #[test]
    fn unknown_blobs_are_refused() {
        assert_eq!(blobs(Source::listing("/".into())).read(2, 0, &mut [0; 8]), Err(Errno::Badf));
    }
}
