//! WASI 0.1 on the file system compiled for the host: the same functions, with pointers into a plain
//! byte array. Only what concerns files is here; streams and clocks are the engine's.

use crate::wasi::Wasi;
use weir_vfs::image::Image;
use weir_vfs::p1::{Process, filestat_bytes};
use weir_vfs::{BlobId, Errno, Platform};

/// A file system in the host whose WASI functions a test calls.
pub struct InHost {
    process: Process<Blobs>,
    memory: Vec<u8>,
}

/// Blobs given by the test, by number from 1, and a clock that moves by a second per reading.
struct Blobs {
    blobs: Vec<Vec<u8>>,
    now: u64,
}

impl Blobs {
    fn range(&self, blob: BlobId, offset: u64, len: usize) -> Result<&[u8], Errno> {
        let bytes = self.blobs.get((blob.0 as usize).wrapping_sub(1)).ok_or(Errno::Badf)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        Ok(&bytes[start..start.saturating_add(len).min(bytes.len())])
    }
}

impl Platform for Blobs {
    type Memory = [u8];
    const CLOCK_IS_CHEAP: bool = true;

    fn now(&mut self) -> u64 {
        self.now += 1_000_000_000;
        self.now
    }

    fn blob_read(
        &mut self,
        blob: BlobId,
        offset: u64,
        memory: &mut [u8],
        at: usize,
        len: usize,
    ) -> Result<usize, Errno> {
        let bytes = self.range(blob, offset, len)?;
        memory[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn blob_load(&mut self, blob: BlobId, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        let bytes = self.range(blob, offset, out.len())?;
        out[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

impl InHost {
    /// A file system that starts as `image`, with these blobs under the numbers from 1.
    ///
    /// # Panics
    /// When the image cannot be booted: the test is wrong then.
    pub fn new(image: &Image, blobs: Vec<Vec<u8>>) -> Self {
        let process = Process::boot(Blobs { blobs, now: 1_700_000_000_000_000_000 }, image).expect("the image boots");
        Self { process, memory: vec![0; 16 << 16] }
    }

    fn path(&self, at: u64, len: u64) -> Result<String, Errno> {
        let bytes = &self.memory[at as usize..][..len as usize];
        if len > u64::from(self.process.vfs.quota().path_bytes_max) {
            return Err(Errno::Nametoolong);
        }
        String::from_utf8(bytes.to_vec()).map_err(|_| Errno::Ilseq)
    }

    fn spans(&self, at: u64, count: u64) -> Vec<(usize, usize)> {
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| self.memory[at + i])) as usize;
        // As many as the shim looks at.
        (0..count.min(1024) as usize).map(|i| (word(at as usize + i * 8), word(at as usize + i * 8 + 4))).collect()
    }

    fn put(&mut self, at: u64, bytes: &[u8]) {
        self.memory[at as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    fn put_u32(&mut self, at: u64, value: usize) {
        self.put(at, &(value as u32).to_le_bytes());
    }

    fn descriptor_call(&mut self, name: &str, a: &[u64]) -> Result<bool, Errno> {
        let fd = a.first().copied().unwrap_or_default() as u32;
        let Self { process, memory, .. } = self;
        if name.starts_with("fd_") {
            // As in the shim: a descriptor that is not open is said to be so before anything else.
            process.target(fd)?;
        }
        match name {
            "fd_advise" => process.fd_advise(fd, a[1], a[2], u8::try_from(a[3]).map_err(|_| Errno::Inval)?)?,
            "fd_allocate" => process.fd_allocate(fd, a[1], a[2])?,
            "fd_close" => drop(process.fd_close(fd)?),
            "fd_datasync" => process.fd_datasync(fd)?,
            "fd_fdstat_get" => {
                let stat = process.fd_fdstat_get(fd)?.to_bytes();
                self.put(a[1], &stat);
            }
            "fd_fdstat_set_flags" => process.fd_fdstat_set_flags(fd, u16::try_from(a[1]).map_err(|_| Errno::Inval)?)?,
            "fd_fdstat_set_rights" => process.fd_fdstat_set_rights(fd, a[1], a[2])?,
            "fd_filestat_get" => {
                let stat = filestat_bytes(&process.fd_filestat_get(fd)?);
                self.put(a[1], &stat);
            }
            "fd_filestat_set_size" => process.fd_filestat_set_size(fd, a[1])?,
            "fd_filestat_set_times" => process.fd_filestat_set_times(fd, a[1], a[2], a[3] as u16)?,
            "fd_prestat_get" => {
                let len = process.fd_prestat_get(fd)?;
                self.put_u32(a[1], 0);
                self.put_u32(a[1] + 4, len);
            }
            "fd_prestat_dir_name" => process.fd_prestat_dir_name(memory, fd, a[1] as usize, a[2] as usize)?,
            "fd_readdir" => {
                let used = process.fd_readdir(memory, fd, a[1] as usize, a[2] as usize, a[3])?;
                self.put_u32(a[4], used);
            }
            "fd_renumber" => drop(process.fd_renumber(fd, a[1] as u32)?),
            "fd_seek" => {
                let whence = u8::try_from(a[2]).map_err(|_| Errno::Inval)?;
                let at = process.fd_seek(fd, a[1] as i64, whence)?;
                self.put(a[3], &at.to_le_bytes());
            }
            "fd_sync" => process.fd_sync(fd)?,
            "fd_tell" => {
                let at = process.fd_tell(fd)?;
                self.put(a[1], &at.to_le_bytes());
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn transfer_call(&mut self, name: &str, a: &[u64]) -> Result<bool, Errno> {
        if !matches!(name, "fd_read" | "fd_pread" | "fd_write" | "fd_pwrite") {
            return Ok(false);
        }
        let spans = self.spans(a[1], a[2]);
        let (fd, spans) = (a[0] as u32, &spans[..]);
        let Self { process, memory, .. } = self;
        let moved = match name {
            "fd_read" => process.fd_read(memory, fd, spans)?,
            "fd_pread" => process.fd_pread(memory, fd, spans, a[3])?,
            "fd_write" => process.fd_write(memory, fd, spans)?,
            _ => process.fd_pwrite(memory, fd, spans, a[3])?,
        };
        self.put_u32(a[a.len() - 1], moved);
        Ok(true)
    }

    fn path_call(&mut self, name: &str, a: &[u64]) -> Result<bool, Errno> {
        let fd = a[if name == "path_symlink" { 2 } else { 0 }] as u32;
        if name.starts_with("path_") {
            self.process.target(fd)?;
        }
        match name {
            "path_create_directory" => self.process.path_create_directory(fd, &self.path(a[1], a[2])?)?,
            "path_remove_directory" => self.process.path_remove_directory(fd, &self.path(a[1], a[2])?)?,
            "path_unlink_file" => self.process.path_unlink_file(fd, &self.path(a[1], a[2])?)?,
            "path_filestat_get" => {
                let path = self.path(a[2], a[3])?;
                let stat = filestat_bytes(&self.process.path_filestat_get(fd, a[1] as u32, &path)?);
                self.put(a[4], &stat);
            }
            "path_filestat_set_times" => {
                let path = self.path(a[2], a[3])?;
                self.process.path_filestat_set_times(fd, a[1] as u32, &path, a[4], a[5], a[6] as u16)?;
            }
            "path_link" => {
                self.process.target(a[4] as u32)?;
                let (old, new) = (self.path(a[2], a[3])?, self.path(a[5], a[6])?);
                self.process.path_link(fd, a[1] as u32, &old, a[4] as u32, &new)?;
            }
            "path_open" => {
                let path = self.path(a[2], a[3])?;
                let [open, flags] = [a[4], a[7]].map(|flags| u16::try_from(flags).map_err(|_| Errno::Inval));
                let opened = self.process.path_open(fd, a[1] as u32, &path, open?, a[5], a[6], flags?)?;
                self.put_u32(a[8], opened as usize);
            }
            "path_readlink" => {
                let path = self.path(a[1], a[2])?;
                let Self { process, memory, .. } = self;
                let used = process.path_readlink(memory, fd, &path, a[3] as usize, a[4] as usize)?;
                self.put_u32(a[5], used);
            }
            "path_rename" => {
                self.process.target(a[3] as u32)?;
                let (old, new) = (self.path(a[1], a[2])?, self.path(a[4], a[5])?);
                self.process.path_rename(fd, &old, a[3] as u32, &new)?;
            }
            "path_symlink" => {
                let (target, path) = (self.path(a[0], a[1])?, self.path(a[3], a[4])?);
                self.process.path_symlink(&target, fd, &path)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Wasi for InHost {
    fn call(&mut self, name: &str, arguments: &[u64]) -> u16 {
        let result = self
            .descriptor_call(name, arguments)
            .and_then(|done| Ok(done || self.transfer_call(name, arguments)? || self.path_call(name, arguments)?));
        match result {
            Ok(true) => 0,
            Ok(false) => panic!("{name} is not served in the host"),
            Err(errno) => errno.number(),
        }
    }

    fn memory(&mut self) -> &mut [u8] {
        &mut self.memory
    }

    fn place(&self) -> &'static str {
        "in the host"
    }
}
