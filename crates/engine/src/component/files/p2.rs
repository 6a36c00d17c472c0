//! wasi:filesystem 0.2 over the tree. Every function first asks whether the descriptor is one of the
//! tree; what is not is a granted directory of the host and goes to wasmtime-wasi unchanged.

use super::{Access, Contents, Descriptor, FilesView, Listing, Node, OpenFlags, TRANSFER_BYTES_MAX, identity_hash};
use crate::component::stdio;
use std::sync::Arc;
use types::{ErrorCode, HostDescriptor, HostDirectoryEntryStream};
use wasmtime::component::Resource;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, FsError, FsResult, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};
use weir_vfs::{Errno, FileType, SetTime, Stat};

type Fd = Resource<types::Descriptor>;

/// Bytes that a file's output stream takes at once. More than a program's usual buffer.
const WRITE_PERMIT_BYTES: usize = TRANSFER_BYTES_MAX;

impl types::Host for FilesView<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        if let Some(errno) = self.table.get(&error)?.downcast_ref::<Errno>() {
            return Ok(Some(code(*errno)));
        }
        types::Host::filesystem_error_code(&mut self.host(), error)
    }
}

impl preopens::Host for FilesView<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Fd, String)>> {
        let host = preopens::Host::get_directories(&mut self.host())?;
        self.directories(host)
    }
}

impl HostDescriptor for FilesView<'_> {
    fn read_via_stream(&mut self, fd: Fd, offset: u64) -> FsResult<Resource<DynInputStream>> {
        let Some(descriptor) = self.tree(&fd) else { return self.host().read_via_stream(fd, offset) };
        let stream: DynInputStream = match descriptor.reading().map_err(fail)? {
            Contents::File(node) => Box::new(FileInput { node: Some(node), position: offset }),
            Contents::Stream(stream) => Box::new(stdio::reader(self.ports, stream).map_err(fail)?),
        };
        Ok(self.table.push(stream)?)
    }

    fn write_via_stream(&mut self, fd: Fd, offset: u64) -> FsResult<Resource<DynOutputStream>> {
        match self.tree(&fd) {
            Some(descriptor) => self.output(&descriptor, Some(offset)),
            None => self.host().write_via_stream(fd, offset),
        }
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        match self.tree(&fd) {
            Some(descriptor) => self.output(&descriptor, None),
            None => self.host().append_via_stream(fd),
        }
    }

    async fn advise(&mut self, fd: Fd, offset: u64, len: u64, advice: types::Advice) -> FsResult<()> {
        match self.tree(&fd) {
            Some(descriptor) => descriptor.advise().map_err(fail),
            None => self.host().advise(fd, offset, len, advice).await,
        }
    }

    async fn sync_data(&mut self, fd: Fd) -> FsResult<()> {
        match self.tree(&fd) {
            Some(_) => Ok(()),
            None => self.host().sync_data(fd).await,
        }
    }

    async fn get_flags(&mut self, fd: Fd) -> FsResult<types::DescriptorFlags> {
        match self.tree(&fd) {
            Some(descriptor) => Ok(flags(descriptor.access())),
            None => self.host().get_flags(fd).await,
        }
    }

    async fn get_type(&mut self, fd: Fd) -> FsResult<types::DescriptorType> {
        match self.tree(&fd) {
            Some(descriptor) => Ok(kind(descriptor.kind())),
            None => self.host().get_type(fd).await,
        }
    }

    async fn set_size(&mut self, fd: Fd, size: u64) -> FsResult<()> {
        match self.tree(&fd) {
            Some(descriptor) => descriptor.set_size(size).map_err(fail),
            None => self.host().set_size(fd, size).await,
        }
    }

    async fn set_times(
        &mut self,
        fd: Fd,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> FsResult<()> {
        match self.tree(&fd) {
            Some(descriptor) => descriptor.set_times(set_time(accessed)?, set_time(modified)?).map_err(fail),
            None => self.host().set_times(fd, accessed, modified).await,
        }
    }

    async fn read(&mut self, fd: Fd, len: u64, offset: u64) -> FsResult<(Vec<u8>, bool)> {
        match self.tree(&fd) {
            Some(descriptor) => descriptor.read(offset, len).map_err(fail),
            None => self.host().read(fd, len, offset).await,
        }
    }

    async fn write(&mut self, fd: Fd, bytes: Vec<u8>, offset: u64) -> FsResult<u64> {
        match self.tree(&fd) {
            Some(descriptor) => descriptor.write(offset, &bytes).map_err(fail),
            None => self.host().write(fd, bytes, offset).await,
        }
    }

    async fn read_directory(&mut self, fd: Fd) -> FsResult<Resource<types::DirectoryEntryStream>> {
        let Some(descriptor) = self.tree(&fd) else { return self.host().read_directory(fd).await };
        let listing = self.table.push(descriptor.listing().map_err(fail)?)?;
        Ok(Resource::new_own(listing.rep()))
    }

    async fn sync(&mut self, fd: Fd) -> FsResult<()> {
        match self.tree(&fd) {
            Some(_) => Ok(()),
            None => self.host().sync(fd).await,
        }
    }

    async fn create_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        match self.tree(&fd) {
            Some(descriptor) => descriptor.create_dir_at(&path).map_err(fail),
            None => self.host().create_directory_at(fd, path).await,
        }
    }

    async fn stat(&mut self, fd: Fd) -> FsResult<types::DescriptorStat> {
        match self.tree(&fd) {
            Some(descriptor) => descriptor.stat().map(stat).map_err(fail),
            None => self.host().stat(fd).await,
        }
    }

    async fn stat_at(&mut self, fd: Fd, how: types::PathFlags, path: String) -> FsResult<types::DescriptorStat> {
        match self.tree(&fd) {
            Some(descriptor) => descriptor.stat_at(follow(how), &path).map(stat).map_err(fail),
            None => self.host().stat_at(fd, how, path).await,
        }
    }

    async fn set_times_at(
        &mut self,
        fd: Fd,
        how: types::PathFlags,
        path: String,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> FsResult<()> {
        match self.tree(&fd) {
            Some(descriptor) => {
                descriptor.set_times_at(follow(how), &path, set_time(accessed)?, set_time(modified)?).map_err(fail)
            }
            None => self.host().set_times_at(fd, how, path, accessed, modified).await,
        }
    }

    async fn link_at(
        &mut self,
        fd: Fd,
        how: types::PathFlags,
        path: String,
        new: Fd,
        new_path: String,
    ) -> FsResult<()> {
        match (self.tree(&fd), self.tree(&new)) {
            (Some(old), Some(new)) => old.link_at(follow(how), &path, &new, &new_path).map_err(fail),
            (None, None) => self.host().link_at(fd, how, path, new, new_path).await,
            _ => Err(ErrorCode::CrossDevice.into()),
        }
    }

    async fn open_at(
        &mut self,
        fd: Fd,
        how: types::PathFlags,
        path: String,
        open: types::OpenFlags,
        asked: types::DescriptorFlags,
    ) -> FsResult<Fd> {
        let Some(descriptor) = self.tree(&fd) else { return self.host().open_at(fd, how, path, open, asked).await };
        let open = OpenFlags {
            create: open.contains(types::OpenFlags::CREATE),
            directory: open.contains(types::OpenFlags::DIRECTORY),
            exclusive: open.contains(types::OpenFlags::EXCLUSIVE),
            truncate: open.contains(types::OpenFlags::TRUNCATE),
        };
        let opened = descriptor.open_at(follow(how), &path, open, access(asked)).map_err(fail)?;
        self.push(opened).map_err(FsError::trap)
    }

    async fn readlink_at(&mut self, fd: Fd, path: String) -> FsResult<String> {
        match self.tree(&fd) {
            Some(descriptor) => descriptor.readlink_at(&path).map_err(fail),
            None => self.host().readlink_at(fd, path).await,
        }
    }

    async fn remove_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        match self.tree(&fd) {
            Some(descriptor) => descriptor.remove_dir_at(&path).map_err(fail),
            None => self.host().remove_directory_at(fd, path).await,
        }
    }

    async fn rename_at(&mut self, fd: Fd, path: String, new: Fd, new_path: String) -> FsResult<()> {
        match (self.tree(&fd), self.tree(&new)) {
            (Some(old), Some(new)) => old.rename_at(&path, &new, &new_path).map_err(fail),
            (None, None) => self.host().rename_at(fd, path, new, new_path).await,
            _ => Err(ErrorCode::CrossDevice.into()),
        }
    }

    async fn symlink_at(&mut self, fd: Fd, target: String, path: String) -> FsResult<()> {
        match self.tree(&fd) {
            Some(descriptor) => descriptor.symlink_at(&target, &path).map_err(fail),
            None => self.host().symlink_at(fd, target, path).await,
        }
    }

    async fn unlink_file_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        match self.tree(&fd) {
            Some(descriptor) => descriptor.unlink_at(&path).map_err(fail),
            None => self.host().unlink_file_at(fd, path).await,
        }
    }

    async fn is_same_object(&mut self, fd: Fd, other: Fd) -> wasmtime::Result<bool> {
        match (self.tree(&fd), self.tree(&other)) {
            (Some(one), Some(other)) => Ok(one.is_same(&other)?),
            (None, None) => self.host().is_same_object(fd, other).await,
            _ => Ok(false),
        }
    }

    async fn metadata_hash(&mut self, fd: Fd) -> FsResult<types::MetadataHashValue> {
        match self.tree(&fd) {
            Some(descriptor) => descriptor.stat().map(|stat| hash(&stat)).map_err(fail),
            None => self.host().metadata_hash(fd).await,
        }
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Fd,
        how: types::PathFlags,
        path: String,
    ) -> FsResult<types::MetadataHashValue> {
        match self.tree(&fd) {
            Some(descriptor) => descriptor.stat_at(follow(how), &path).map(|stat| hash(&stat)).map_err(fail),
            None => self.host().metadata_hash_at(fd, how, path).await,
        }
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        if self.remove(&fd)? { Ok(()) } else { HostDescriptor::drop(&mut self.host(), fd) }
    }
}

impl FilesView<'_> {
    fn output(&mut self, descriptor: &Descriptor, position: Option<u64>) -> FsResult<Resource<DynOutputStream>> {
        let stream: DynOutputStream = match descriptor.writing().map_err(fail)? {
            Contents::File(node) => Box::new(FileOutput { node: Some(node), position }),
            Contents::Stream(stream) => Box::new(stdio::writer(self.ports, stream).map_err(fail)?),
        };
        Ok(self.table.push(stream)?)
    }
}

impl HostDirectoryEntryStream for FilesView<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<types::DirectoryEntryStream>,
    ) -> FsResult<Option<types::DirectoryEntry>> {
        match self.table.get_mut(&Resource::<Listing>::new_borrow(stream.rep())) {
            Ok(listing) => {
                let entry = listing.next().map_err(fail)?;
                Ok(entry.map(|(name, file_type)| types::DirectoryEntry { type_: kind(file_type), name }))
            }
            Err(_) => self.host().read_directory_entry(stream).await,
        }
    }

    fn drop(&mut self, stream: Resource<types::DirectoryEntryStream>) -> wasmtime::Result<()> {
        // Asked first, because the table gives up an entry even to one who has its type wrong.
        if self.table.get(&Resource::<Listing>::new_borrow(stream.rep())).is_err() {
            return HostDirectoryEntryStream::drop(&mut self.host(), stream);
        }
        self.table.delete(Resource::<Listing>::new_own(stream.rep()))?;
        Ok(())
    }
}

/// The bytes of a file from a position on. A tree in memory never makes a program wait.
struct FileInput {
    /// `None` once the stream has ended or failed.
    node: Option<Arc<Node>>,
    position: u64,
}

#[async_trait]
impl Pollable for FileInput {
    async fn ready(&mut self) {}
}

#[async_trait]
impl InputStream for FileInput {
    fn read(&mut self, size: usize) -> StreamResult<bytes::Bytes> {
        let node = self.node.as_ref().ok_or(StreamError::Closed)?;
        if size == 0 {
            return Ok(bytes::Bytes::new());
        }
        match node.read_vec(self.position, size) {
            Ok(bytes) if bytes.is_empty() => {
                self.node = None;
                Err(StreamError::Closed)
            }
            Ok(bytes) => {
                self.position += bytes.len() as u64;
                Ok(bytes.into())
            }
            Err(errno) => {
                self.node = None;
                Err(StreamError::LastOperationFailed(errno.into()))
            }
        }
    }

    fn skip(&mut self, count: usize) -> StreamResult<usize> {
        let node = self.node.as_ref().ok_or(StreamError::Closed)?;
        let rest = node.size().unwrap_or_default().saturating_sub(self.position);
        if rest == 0 && count > 0 {
            self.node = None;
            return Err(StreamError::Closed);
        }
        let count = usize::try_from(rest).unwrap_or(usize::MAX).min(count);
        self.position += count as u64;
        Ok(count)
    }
}

/// Writes to a file, from a position on or always at its end.
struct FileOutput {
    /// `None` once a write has failed.
    node: Option<Arc<Node>>,
    position: Option<u64>,
}

#[async_trait]
impl Pollable for FileOutput {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for FileOutput {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        let node = self.node.as_ref().ok_or(StreamError::Closed)?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match node.write(self.position, rest) {
                Ok(written) => {
                    self.position = self.position.map(|position| position + written as u64);
                    rest = &rest[written..];
                }
                Err(errno) => {
                    self.node = None;
                    return Err(StreamError::LastOperationFailed(errno.into()));
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.check_write().map(|_| ())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if self.node.is_some() { Ok(WRITE_PERMIT_BYTES) } else { Err(StreamError::Closed) }
    }
}

fn follow(flags: types::PathFlags) -> bool {
    flags.contains(types::PathFlags::SYMLINK_FOLLOW)
}

fn access(flags: types::DescriptorFlags) -> Access {
    use types::DescriptorFlags as F;
    Access {
        read: flags.contains(F::READ),
        write: flags.contains(F::WRITE),
        mutate: flags.contains(F::MUTATE_DIRECTORY),
        file_sync: flags.contains(F::FILE_INTEGRITY_SYNC),
        data_sync: flags.contains(F::DATA_INTEGRITY_SYNC),
        read_sync: flags.contains(F::REQUESTED_WRITE_SYNC),
    }
}

fn flags(access: Access) -> types::DescriptorFlags {
    use types::DescriptorFlags as F;
    [
        (access.read, F::READ),
        (access.write, F::WRITE),
        (access.mutate, F::MUTATE_DIRECTORY),
        (access.file_sync, F::FILE_INTEGRITY_SYNC),
        (access.data_sync, F::DATA_INTEGRITY_SYNC),
        (access.read_sync, F::REQUESTED_WRITE_SYNC),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .fold(F::empty(), |flags, (_, flag)| flags | flag)
}

fn kind(kind: FileType) -> types::DescriptorType {
    match kind {
        FileType::Directory => types::DescriptorType::Directory,
        FileType::File => types::DescriptorType::RegularFile,
        FileType::Symlink => types::DescriptorType::SymbolicLink,
        FileType::Stream => types::DescriptorType::Fifo,
    }
}

fn datetime(time: u64) -> Option<Datetime> {
    Some(Datetime { seconds: time / 1_000_000_000, nanoseconds: (time % 1_000_000_000) as u32 })
}

fn stat(stat: Stat) -> types::DescriptorStat {
    types::DescriptorStat {
        type_: kind(stat.kind),
        link_count: stat.links,
        size: stat.size,
        data_access_timestamp: datetime(stat.times.accessed),
        data_modification_timestamp: datetime(stat.times.modified),
        status_change_timestamp: datetime(stat.times.changed),
    }
}

fn hash(stat: &Stat) -> types::MetadataHashValue {
    let (lower, upper) = identity_hash(stat);
    types::MetadataHashValue { lower, upper }
}

fn set_time(time: types::NewTimestamp) -> Result<SetTime, ErrorCode> {
    Ok(match time {
        types::NewTimestamp::NoChange => SetTime::Keep,
        types::NewTimestamp::Now => SetTime::Now,
        types::NewTimestamp::Timestamp(at) => {
            SetTime::At(super::nanoseconds(at.seconds, at.nanoseconds).map_err(code)?)
        }
    })
}

fn fail(errno: Errno) -> FsError {
    code(errno).into()
}

/// The nearest error code; what has none is an IO error.
fn code(errno: Errno) -> ErrorCode {
    match errno {
        Errno::Acces => ErrorCode::Access,
        Errno::Again => ErrorCode::WouldBlock,
        Errno::Already => ErrorCode::Already,
        Errno::Badf => ErrorCode::BadDescriptor,
        Errno::Busy => ErrorCode::Busy,
        Errno::Deadlk => ErrorCode::Deadlock,
        Errno::Dquot => ErrorCode::Quota,
        Errno::Exist => ErrorCode::Exist,
        Errno::Fbig => ErrorCode::FileTooLarge,
        Errno::Ilseq => ErrorCode::IllegalByteSequence,
        Errno::Inprogress => ErrorCode::InProgress,
        Errno::Intr => ErrorCode::Interrupted,
        Errno::Inval => ErrorCode::Invalid,
        Errno::Isdir => ErrorCode::IsDirectory,
        Errno::Loop => ErrorCode::Loop,
        Errno::Mlink => ErrorCode::TooManyLinks,
        Errno::Msgsize => ErrorCode::MessageSize,
        Errno::Nametoolong => ErrorCode::NameTooLong,
        Errno::Nodev => ErrorCode::NoDevice,
        Errno::Noent => ErrorCode::NoEntry,
        Errno::Nolck => ErrorCode::NoLock,
        Errno::Nomem | Errno::Mfile | Errno::Nfile => ErrorCode::InsufficientMemory,
        Errno::Nospc => ErrorCode::InsufficientSpace,
        Errno::Notdir => ErrorCode::NotDirectory,
        Errno::Notempty => ErrorCode::NotEmpty,
        Errno::Notrecoverable => ErrorCode::NotRecoverable,
        Errno::Notsup | Errno::Nosys => ErrorCode::Unsupported,
        Errno::Notty => ErrorCode::NoTty,
        Errno::Nxio => ErrorCode::NoSuchDevice,
        Errno::Overflow => ErrorCode::Overflow,
        Errno::Perm | Errno::Notcapable => ErrorCode::NotPermitted,
        Errno::Pipe => ErrorCode::Pipe,
        Errno::Rofs => ErrorCode::ReadOnly,
        Errno::Spipe => ErrorCode::InvalidSeek,
        Errno::Txtbsy => ErrorCode::TextFileBusy,
        Errno::Xdev => ErrorCode::CrossDevice,
        _ => ErrorCode::Io,
    }
}
