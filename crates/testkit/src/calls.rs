//! WASI 0.1 in words: the same calls with strings, slices and numbers, for tests that are about what a
//! function does and not about its pointers. Arguments go to fixed places in the program's memory, each
//! far from the next, so that a call that writes too much is seen by a test that looks.

use crate::wasi::{Dirent, Wasi};
use weir_vfs::Errno;

/// Where the first path of a call is put.
pub const PATH: u64 = 0x1000;
/// Where the second path of a call is put.
pub const PATH_2: u64 = 0x4000;
/// Where a call stores its result.
pub const OUT: u64 = 0x8000;
/// Where iovec arrays are put.
pub const IOVS: u64 = 0x9000;
/// Where data begins; there is room for [`DATA_BYTES`].
pub const DATA: u64 = 0x2_0000;
/// Room for data.
pub const DATA_BYTES: usize = 0x8_0000;
/// The first preopened directory.
pub const ROOT: u32 = 3;

/// What `fd_fdstat_get` stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fdstat {
    /// File type.
    pub kind: u8,
    /// Flags.
    pub flags: u16,
    /// Rights of the descriptor.
    pub base: u64,
    /// Rights that it passes on.
    pub inheriting: u64,
}

/// What `fd_filestat_get` and `path_filestat_get` store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filestat {
    /// Device.
    pub device: u64,
    /// Inode number.
    pub ino: u64,
    /// File type.
    pub kind: u8,
    /// Hard links.
    pub links: u64,
    /// Size in bytes.
    pub size: u64,
    /// Times of access, modification and change in nanoseconds.
    pub times: [u64; 3],
}

/// Result of a call.
pub type Answer<T = ()> = Result<T, Errno>;

/// Calls in words, for every driver. The error of each is what the function answered.
pub trait Calls: Wasi {
    /// Calls a function; 0 is success.
    ///
    /// # Panics
    /// When the number is none of WASI.
    fn answer(&mut self, name: &str, arguments: &[u64]) -> Answer {
        match self.call(name, arguments) {
            0 => Ok(()),
            number => Err(Errno::from_number(number).unwrap_or_else(|| panic!("{name} returned {number}"))),
        }
    }

    /// Puts bytes into memory.
    fn put(&mut self, at: u64, bytes: &[u8]) {
        self.memory()[at as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Bytes out of memory.
    fn get(&mut self, at: u64, len: usize) -> Vec<u8> {
        self.memory()[at as usize..][..len].to_vec()
    }

    /// The 32-bit number at an address.
    fn word(&mut self, at: u64) -> u32 {
        u32::from_le_bytes(self.get(at, 4).try_into().expect("four bytes"))
    }

    /// The 64-bit number at an address.
    fn long(&mut self, at: u64) -> u64 {
        u64::from_le_bytes(self.get(at, 8).try_into().expect("eight bytes"))
    }

    /// A function that takes a descriptor and a path and gives nothing.
    fn on_path(&mut self, name: &str, fd: u32, path: &str) -> Answer {
        self.put(PATH, path.as_bytes());
        self.answer(name, &[fd.into(), PATH, path.len() as u64])
    }

    /// `path_create_directory`.
    fn mkdir(&mut self, fd: u32, path: &str) -> Answer {
        self.on_path("path_create_directory", fd, path)
    }

    /// `path_open` with every argument that matters.
    fn open_with(&mut self, fd: u32, path: &str, how: Open) -> Answer<u32> {
        self.put(PATH, path.as_bytes());
        let Open { lookup, oflags, rights, flags } = how;
        let arguments = [fd.into(), lookup, PATH, path.len() as u64, oflags, rights, u64::MAX >> 34, flags, OUT];
        self.answer("path_open", &arguments)?;
        Ok(self.word(OUT))
    }

    /// `path_open` below a descriptor, links not followed.
    fn open(&mut self, fd: u32, path: &str, oflags: u64, rights: u64) -> Answer<u32> {
        self.open_with(fd, path, Open { oflags, rights, ..Open::default() })
    }

    /// `fd_close`.
    fn close(&mut self, fd: u32) -> Answer {
        self.answer("fd_close", &[fd.into()])
    }

    /// Puts data and an array of one iovec for it.
    fn one_iovec(&mut self, len: usize) {
        self.put(IOVS, &(DATA as u32).to_le_bytes());
        self.put(IOVS + 4, &(len as u32).to_le_bytes());
    }

    /// `fd_write` of one buffer.
    fn write(&mut self, fd: u32, bytes: &[u8]) -> Answer<usize> {
        self.put(DATA, bytes);
        self.one_iovec(bytes.len());
        self.answer("fd_write", &[fd.into(), IOVS, 1, OUT])?;
        Ok(self.word(OUT) as usize)
    }

    /// `fd_pwrite` of one buffer.
    fn pwrite(&mut self, fd: u32, offset: u64, bytes: &[u8]) -> Answer<usize> {
        self.put(DATA, bytes);
        self.one_iovec(bytes.len());
        self.answer("fd_pwrite", &[fd.into(), IOVS, 1, offset, OUT])?;
        Ok(self.word(OUT) as usize)
    }

    /// `fd_read` into one buffer.
    fn read(&mut self, fd: u32, len: usize) -> Answer<Vec<u8>> {
        self.one_iovec(len);
        self.answer("fd_read", &[fd.into(), IOVS, 1, OUT])?;
        let read = self.word(OUT) as usize;
        Ok(self.get(DATA, read))
    }

    /// `fd_pread` into one buffer.
    fn pread(&mut self, fd: u32, offset: u64, len: usize) -> Answer<Vec<u8>> {
        self.one_iovec(len);
        self.answer("fd_pread", &[fd.into(), IOVS, 1, offset, OUT])?;
        let read = self.word(OUT) as usize;
        Ok(self.get(DATA, read))
    }

    /// `fd_seek`.
    fn seek(&mut self, fd: u32, offset: i64, whence: u64) -> Answer<u64> {
        self.answer("fd_seek", &[fd.into(), offset as u64, whence, OUT])?;
        Ok(self.long(OUT))
    }

    /// `fd_tell`.
    fn tell(&mut self, fd: u32) -> Answer<u64> {
        self.answer("fd_tell", &[fd.into(), OUT])?;
        Ok(self.long(OUT))
    }

    /// `fd_fdstat_get`.
    fn fdstat(&mut self, fd: u32) -> Answer<Fdstat> {
        self.answer("fd_fdstat_get", &[fd.into(), OUT])?;
        let head = self.word(OUT);
        Ok(Fdstat {
            kind: head as u8,
            flags: (head >> 16) as u16,
            base: self.long(OUT + 8),
            inheriting: self.long(OUT + 16),
        })
    }

    /// `fd_fdstat_set_rights` to less than what the descriptor has.
    fn give_up(&mut self, fd: u32, base: u64, inheriting: u64) -> Answer {
        let stat = self.fdstat(fd)?;
        self.answer("fd_fdstat_set_rights", &[fd.into(), stat.base & !base, stat.inheriting & !inheriting])
    }

    /// The `filestat` at [`OUT`].
    fn filestat(&mut self) -> Filestat {
        let [device, ino, kind, links, size, accessed, modified, changed] =
            [0, 1, 2, 3, 4, 5, 6, 7].map(|field| self.long(OUT + field * 8));
        Filestat { device, ino, kind: kind as u8, links, size, times: [accessed, modified, changed] }
    }

    /// `path_filestat_get`, links not followed.
    fn stat(&mut self, fd: u32, path: &str) -> Answer<Filestat> {
        self.stat_with(fd, 0, path)
    }

    /// `path_filestat_get`.
    fn stat_with(&mut self, fd: u32, lookup: u64, path: &str) -> Answer<Filestat> {
        self.put(PATH, path.as_bytes());
        self.answer("path_filestat_get", &[fd.into(), lookup, PATH, path.len() as u64, OUT])?;
        Ok(self.filestat())
    }

    /// `fd_filestat_get`.
    fn fd_stat(&mut self, fd: u32) -> Answer<Filestat> {
        self.answer("fd_filestat_get", &[fd.into(), OUT])?;
        Ok(self.filestat())
    }

    /// `path_filestat_set_times`.
    fn set_times(&mut self, fd: u32, path: &str, times: [u64; 2], flags: u64) -> Answer {
        self.put(PATH, path.as_bytes());
        let arguments = [fd.into(), 0, PATH, path.len() as u64, times[0], times[1], flags];
        self.answer("path_filestat_set_times", &arguments)
    }

    /// `path_link`, links not followed.
    fn link(&mut self, old_fd: u32, old: &str, new_fd: u32, new: &str) -> Answer {
        self.put(PATH, old.as_bytes());
        self.put(PATH_2, new.as_bytes());
        let (old_len, new_len) = (old.len() as u64, new.len() as u64);
        self.answer("path_link", &[old_fd.into(), 0, PATH, old_len, new_fd.into(), PATH_2, new_len])
    }

    /// `path_rename`.
    fn rename(&mut self, old_fd: u32, old: &str, new_fd: u32, new: &str) -> Answer {
        self.put(PATH, old.as_bytes());
        self.put(PATH_2, new.as_bytes());
        let (old_len, new_len) = (old.len() as u64, new.len() as u64);
        self.answer("path_rename", &[old_fd.into(), PATH, old_len, new_fd.into(), PATH_2, new_len])
    }

    /// `path_symlink`.
    fn symlink(&mut self, target: &str, fd: u32, path: &str) -> Answer {
        self.put(PATH, target.as_bytes());
        self.put(PATH_2, path.as_bytes());
        self.answer("path_symlink", &[PATH, target.len() as u64, fd.into(), PATH_2, path.len() as u64])
    }

    /// `path_readlink`.
    fn readlink(&mut self, fd: u32, path: &str, room: usize) -> Answer<Vec<u8>> {
        self.put(PATH, path.as_bytes());
        self.answer("path_readlink", &[fd.into(), PATH, path.len() as u64, DATA, room as u64, OUT])?;
        let used = self.word(OUT) as usize;
        Ok(self.get(DATA, used))
    }

    /// `path_unlink_file`.
    fn unlink(&mut self, fd: u32, path: &str) -> Answer {
        self.on_path("path_unlink_file", fd, path)
    }

    /// `path_remove_directory`.
    fn rmdir(&mut self, fd: u32, path: &str) -> Answer {
        self.on_path("path_remove_directory", fd, path)
    }

    /// `fd_renumber`.
    fn renumber(&mut self, from: u32, to: u32) -> Answer {
        self.answer("fd_renumber", &[from.into(), to.into()])
    }

    /// One `fd_readdir`: the bytes that it stored.
    fn readdir(&mut self, fd: u32, room: usize, cookie: u64) -> Answer<Vec<u8>> {
        self.answer("fd_readdir", &[fd.into(), DATA, room as u64, cookie, OUT])?;
        let used = self.word(OUT) as usize;
        Ok(self.get(DATA, used))
    }

    /// All entries of a directory, read through a buffer of this size.
    ///
    /// # Panics
    /// When the buffer is too small for an entry.
    fn list_by(&mut self, fd: u32, room: usize) -> Answer<Vec<Dirent>> {
        let (mut cookie, mut all) = (0, Vec::new());
        loop {
            let bytes = self.readdir(fd, room, cookie)?;
            let entries = dirents(&bytes);
            assert!(bytes.len() < room || !entries.is_empty(), "no entry fits into {room} bytes");
            all.extend(entries);
            if bytes.len() < room {
                return Ok(all);
            }
            cookie = all.last().map_or(0, |entry| entry.next);
        }
    }

    /// The names in a directory without `.` and `..`.
    fn names(&mut self, fd: u32, path: &str) -> Answer<Vec<String>> {
        let dir = self.open(fd, path, DIRECTORY, FD_READ)?;
        let entries = self.list_by(dir, 4096);
        self.close(dir)?;
        Ok(entries?.into_iter().map(|entry| entry.name).filter(|name| name != "." && name != "..").collect())
    }

    /// Makes or replaces a file.
    fn write_file(&mut self, fd: u32, path: &str, bytes: &[u8]) -> Answer {
        let file = self.open(fd, path, CREAT | TRUNC, READ_WRITE)?;
        let written = self.write(file, bytes);
        self.close(file)?;
        assert_eq!(written?, bytes.len(), "a short write");
        Ok(())
    }

    /// The contents of a file, as far as they fit.
    fn read_file(&mut self, fd: u32, path: &str) -> Answer<Vec<u8>> {
        let file = self.open(fd, path, 0, FD_READ)?;
        let bytes = self.pread(file, 0, DATA_BYTES);
        self.close(file)?;
        bytes
    }
}

impl<W: Wasi + ?Sized> Calls for W {}

/// `oflags` and rights as raw arguments.
pub const CREAT: u64 = 1;
/// Fail if it is no directory.
pub const DIRECTORY: u64 = 2;
/// Fail if it exists.
pub const EXCL: u64 = 4;
/// Cut to no bytes.
pub const TRUNC: u64 = 8;
/// Append.
pub const APPEND: u64 = 1;
/// Follow a symbolic link in the last place.
pub const FOLLOW: u64 = 1;
/// The right to read.
pub const FD_READ: u64 = 1 << 1;
/// The right to write.
pub const FD_WRITE: u64 = 1 << 6;
/// Both.
pub const READ_WRITE: u64 = FD_READ | FD_WRITE;

/// How to open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open {
    /// `lookupflags`.
    pub lookup: u64,
    /// `oflags`.
    pub oflags: u64,
    /// `fs_rights_base`.
    pub rights: u64,
    /// `fdflags`.
    pub flags: u64,
}

/// The whole entries in what `fd_readdir` stored; the last may be cut and is left out.
pub fn dirents(bytes: &[u8]) -> Vec<Dirent> {
    let mut rest = bytes;
    let mut found = Vec::new();
    while let Some((head, tail)) = rest.split_first_chunk::<24>() {
        let long = |at: usize| head[at..at + 8].iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        let len = (long(16) & 0xffff_ffff) as usize;
        let Some(name) = tail.get(..len) else { break };
        let name = String::from_utf8_lossy(name).into_owned();
        found.push(Dirent { next: long(0), ino: long(8), kind: head[20], name });
        rest = &tail[len..];
    }
    found
}
