//! wasi:filesystem 0.3 over the tree. As in 0.2, descriptors that are not of the tree go to
//! wasmtime-wasi unchanged. Streams copy between the tree and the program's own buffer: nothing is
//! allocated by the size that a program asks for.

use super::{
    Access, Contents, Descriptor, FilesView, Listing, Node, OpenFlags, TRANSFER_BYTES_MAX, WeirFiles, identity_hash,
};
use crate::component::state::State;
use crate::component::stdio::{self, Stream};
use std::iter;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;
use types::{ErrorCode, HostDescriptorWithStore};
use wasmtime::component::{
    Access as StoreAccess, Accessor, Destination, FutureReader, Resource, Source, StreamConsumer, StreamProducer,
    StreamReader, StreamResult,
};
use wasmtime::{AsContextMut, StoreContextMut};
use wasmtime_wasi::filesystem::WasiFilesystem;
use wasmtime_wasi::p3::bindings::clocks::system_clock::Instant;
use wasmtime_wasi::p3::bindings::filesystem::{preopens, types};
use wasmtime_wasi::p3::filesystem::{FilesystemError, FilesystemResult};
use weir_vfs::{Errno, FileType, SetTime, Stat};

type Fd = Resource<types::Descriptor>;
type Done = Result<(), ErrorCode>;

/// Entries of a directory handed over at once.
const ENTRIES_MAX: usize = 256;

impl types::Host for FilesView<'_> {
    fn convert_error_code(&mut self, error: FilesystemError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }
}

impl types::HostDescriptor for FilesView<'_> {
    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        if self.remove(&fd)? { Ok(()) } else { types::HostDescriptor::drop(&mut self.host(), fd) }
    }
}

impl preopens::Host for FilesView<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Fd, String)>> {
        let host = preopens::Host::get_directories(&mut self.host())?;
        self.directories(host)
    }
}

type Store = Accessor<State, WeirFiles>;
type Here<'a> = StoreAccess<'a, State, WeirFiles>;

fn tree(store: &Store, fd: &Fd) -> Option<Descriptor> {
    store.with(|mut access| access.get().tree(fd))
}

/// The same store, as wasmtime-wasi's functions on host directories see it.
fn host(store: &Store) -> Accessor<State, WasiFilesystem> {
    store.with_getter::<WasiFilesystem>(State::host_files)
}

fn host_here<'a>(store: &'a mut Here<'_>) -> StoreAccess<'a, State, WasiFilesystem> {
    StoreAccess::<State, WasiFilesystem>::new(store.as_context_mut(), |state| state.host_files())
}

impl HostDescriptorWithStore<State> for WeirFiles {
    fn read_via_stream(
        mut store: Here<'_>,
        fd: Fd,
        offset: u64,
    ) -> wasmtime::Result<(StreamReader<u8>, FutureReader<Done>)> {
        let Some(descriptor) = store.get().tree(&fd) else {
            return WasiFilesystem::read_via_stream(host_here(&mut store), fd, offset);
        };
        let (done, finished) = oneshot::channel();
        let source = descriptor.reading().and_then(|contents| match contents {
            Contents::File(node) => Ok(Reading::File { node, offset }),
            Contents::Stream(stream) => stdio::reader(store.get().ports, stream).map(Reading::Stream),
        });
        let stream = match source {
            Ok(source) => StreamReader::new(&mut store, ReadProducer { source, done: Promise(Some(done)) })?,
            Err(errno) => {
                let _ = done.send(Err(code(errno)));
                StreamReader::new(&mut store, iter::empty())?
            }
        };
        Ok((stream, FutureReader::new(&mut store, finished)?))
    }

    fn write_via_stream(
        mut store: Here<'_>,
        fd: Fd,
        data: StreamReader<u8>,
        offset: u64,
    ) -> wasmtime::Result<FutureReader<Done>> {
        match store.get().tree(&fd) {
            Some(descriptor) => consume(store, &descriptor, data, Some(offset)),
            None => WasiFilesystem::write_via_stream(host_here(&mut store), fd, data, offset),
        }
    }

    fn append_via_stream(mut store: Here<'_>, fd: Fd, data: StreamReader<u8>) -> wasmtime::Result<FutureReader<Done>> {
        match store.get().tree(&fd) {
            Some(descriptor) => consume(store, &descriptor, data, None),
            None => WasiFilesystem::append_via_stream(host_here(&mut store), fd, data),
        }
    }

    async fn advise(store: &Store, fd: Fd, offset: u64, length: u64, advice: types::Advice) -> FilesystemResult<()> {
        match tree(store, &fd) {
            Some(descriptor) => descriptor.advise().map_err(fail),
            None => WasiFilesystem::advise(&host(store), fd, offset, length, advice).await,
        }
    }

    async fn sync_data(store: &Store, fd: Fd) -> FilesystemResult<()> {
        match tree(store, &fd) {
            Some(_) => Ok(()),
            None => WasiFilesystem::sync_data(&host(store), fd).await,
        }
    }

    async fn get_flags(store: &Store, fd: Fd) -> FilesystemResult<types::DescriptorFlags> {
        match tree(store, &fd) {
            Some(descriptor) => Ok(flags(descriptor.access())),
            None => WasiFilesystem::get_flags(&host(store), fd).await,
        }
    }

    async fn get_type(store: &Store, fd: Fd) -> FilesystemResult<types::DescriptorType> {
        match tree(store, &fd) {
            Some(descriptor) => Ok(kind(descriptor.kind())),
            None => WasiFilesystem::get_type(&host(store), fd).await,
        }
    }

    async fn set_size(store: &Store, fd: Fd, size: u64) -> FilesystemResult<()> {
        match tree(store, &fd) {
            Some(descriptor) => descriptor.set_size(size).map_err(fail),
            None => WasiFilesystem::set_size(&host(store), fd, size).await,
        }
    }

    async fn set_times(
        store: &Store,
        fd: Fd,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> FilesystemResult<()> {
        match tree(store, &fd) {
            Some(descriptor) => descriptor.set_times(set_time(accessed)?, set_time(modified)?).map_err(fail),
            None => WasiFilesystem::set_times(&host(store), fd, accessed, modified).await,
        }
    }

    fn read_directory(
        mut store: Here<'_>,
        fd: Fd,
    ) -> wasmtime::Result<(StreamReader<types::DirectoryEntry>, FutureReader<Done>)> {
        let Some(descriptor) = store.get().tree(&fd) else {
            return WasiFilesystem::read_directory(host_here(&mut store), fd);
        };
        let (done, finished) = oneshot::channel();
        let stream = match descriptor.listing() {
            Ok(listing) => StreamReader::new(&mut store, ListingProducer { listing, done: Promise(Some(done)) })?,
            Err(errno) => {
                let _ = done.send(Err(code(errno)));
                StreamReader::new(&mut store, iter::empty())?
            }
        };
        Ok((stream, FutureReader::new(&mut store, finished)?))
    }

    async fn sync(store: &Store, fd: Fd) -> FilesystemResult<()> {
        match tree(store, &fd) {
            Some(_) => Ok(()),
            None => WasiFilesystem::sync(&host(store), fd).await,
        }
    }

    async fn create_directory_at(store: &Store, fd: Fd, path: String) -> FilesystemResult<()> {
        match tree(store, &fd) {
            Some(descriptor) => descriptor.create_dir_at(&path).map_err(fail),
            None => WasiFilesystem::create_directory_at(&host(store), fd, path).await,
        }
    }

    async fn stat(store: &Store, fd: Fd) -> FilesystemResult<types::DescriptorStat> {
        match tree(store, &fd) {
            Some(descriptor) => descriptor.stat().map(stat).map_err(fail),
            None => WasiFilesystem::stat(&host(store), fd).await,
        }
    }

    async fn stat_at(
        store: &Store,
        fd: Fd,
        how: types::PathFlags,
        path: String,
    ) -> FilesystemResult<types::DescriptorStat> {
        match tree(store, &fd) {
            Some(descriptor) => descriptor.stat_at(follow(how), &path).map(stat).map_err(fail),
            None => WasiFilesystem::stat_at(&host(store), fd, how, path).await,
        }
    }

    async fn set_times_at(
        store: &Store,
        fd: Fd,
        how: types::PathFlags,
        path: String,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> FilesystemResult<()> {
        match tree(store, &fd) {
            Some(descriptor) => {
                descriptor.set_times_at(follow(how), &path, set_time(accessed)?, set_time(modified)?).map_err(fail)
            }
            None => WasiFilesystem::set_times_at(&host(store), fd, how, path, accessed, modified).await,
        }
    }

    async fn link_at(
        store: &Store,
        fd: Fd,
        how: types::PathFlags,
        path: String,
        new: Fd,
        new_path: String,
    ) -> FilesystemResult<()> {
        match (tree(store, &fd), tree(store, &new)) {
            (Some(old), Some(new)) => old.link_at(follow(how), &path, &new, &new_path).map_err(fail),
            (None, None) => WasiFilesystem::link_at(&host(store), fd, how, path, new, new_path).await,
            _ => Err(ErrorCode::CrossDevice.into()),
        }
    }

    async fn open_at(
        store: &Store,
        fd: Fd,
        how: types::PathFlags,
        path: String,
        open: types::OpenFlags,
        asked: types::DescriptorFlags,
    ) -> FilesystemResult<Fd> {
        let Some(descriptor) = tree(store, &fd) else {
            return WasiFilesystem::open_at(&host(store), fd, how, path, open, asked).await;
        };
        let open = OpenFlags {
            create: open.contains(types::OpenFlags::CREATE),
            directory: open.contains(types::OpenFlags::DIRECTORY),
            exclusive: open.contains(types::OpenFlags::EXCLUSIVE),
            truncate: open.contains(types::OpenFlags::TRUNCATE),
        };
        let opened = descriptor.open_at(follow(how), &path, open, access(asked)).map_err(fail)?;
        store.with(|mut access| access.get().push(opened)).map_err(FilesystemError::trap)
    }

    async fn readlink_at(store: &Store, fd: Fd, path: String) -> FilesystemResult<String> {
        match tree(store, &fd) {
            Some(descriptor) => descriptor.readlink_at(&path).map_err(fail),
            None => WasiFilesystem::readlink_at(&host(store), fd, path).await,
        }
    }

    async fn remove_directory_at(store: &Store, fd: Fd, path: String) -> FilesystemResult<()> {
        match tree(store, &fd) {
            Some(descriptor) => descriptor.remove_dir_at(&path).map_err(fail),
            None => WasiFilesystem::remove_directory_at(&host(store), fd, path).await,
        }
    }

    async fn rename_at(store: &Store, fd: Fd, path: String, new: Fd, new_path: String) -> FilesystemResult<()> {
        match (tree(store, &fd), tree(store, &new)) {
            (Some(old), Some(new)) => old.rename_at(&path, &new, &new_path).map_err(fail),
            (None, None) => WasiFilesystem::rename_at(&host(store), fd, path, new, new_path).await,
            _ => Err(ErrorCode::CrossDevice.into()),
        }
    }

    async fn symlink_at(store: &Store, fd: Fd, target: String, path: String) -> FilesystemResult<()> {
        match tree(store, &fd) {
            Some(descriptor) => descriptor.symlink_at(&target, &path).map_err(fail),
            None => WasiFilesystem::symlink_at(&host(store), fd, target, path).await,
        }
    }

    async fn unlink_file_at(store: &Store, fd: Fd, path: String) -> FilesystemResult<()> {
        match tree(store, &fd) {
            Some(descriptor) => descriptor.unlink_at(&path).map_err(fail),
            None => WasiFilesystem::unlink_file_at(&host(store), fd, path).await,
        }
    }

    async fn is_same_object(store: &Store, fd: Fd, other: Fd) -> wasmtime::Result<bool> {
        match (tree(store, &fd), tree(store, &other)) {
            (Some(one), Some(other)) => Ok(one.is_same(&other)?),
            (None, None) => WasiFilesystem::is_same_object(&host(store), fd, other).await,
            _ => Ok(false),
        }
    }

    async fn metadata_hash(store: &Store, fd: Fd) -> FilesystemResult<types::MetadataHashValue> {
        match tree(store, &fd) {
            Some(descriptor) => descriptor.stat().map(|stat| hash(&stat)).map_err(fail),
            None => WasiFilesystem::metadata_hash(&host(store), fd).await,
        }
    }

    async fn metadata_hash_at(
        store: &Store,
        fd: Fd,
        how: types::PathFlags,
        path: String,
    ) -> FilesystemResult<types::MetadataHashValue> {
        match tree(store, &fd) {
            Some(descriptor) => descriptor.stat_at(follow(how), &path).map(|stat| hash(&stat)).map_err(fail),
            None => WasiFilesystem::metadata_hash_at(&host(store), fd, how, path).await,
        }
    }
}

/// Writes a program's stream to a file, from `offset` on or at its end.
fn consume(
    mut store: Here<'_>,
    descriptor: &Descriptor,
    mut data: StreamReader<u8>,
    offset: Option<u64>,
) -> wasmtime::Result<FutureReader<Done>> {
    let (done, finished) = oneshot::channel();
    let target = descriptor.writing().and_then(|contents| match contents {
        Contents::File(node) => Ok(Writing::File { node, offset }),
        Contents::Stream(stream) => stdio::writer(store.get().ports, stream).map(Writing::Stream),
    });
    match target {
        Ok(target) => data.pipe(&mut store, WriteConsumer { target, done: Promise(Some(done)) })?,
        Err(errno) => {
            data.close(&mut store)?;
            let _ = done.send(Err(code(errno)));
        }
    }
    FutureReader::new(&mut store, finished)
}

/// The promise of a result beside a stream; success when the stream simply ends.
struct Promise(Option<oneshot::Sender<Done>>);

impl Promise {
    fn fail(&mut self, errno: Errno) {
        if let Some(sender) = self.0.take() {
            // Nobody may be interested.
            let _ = sender.send(Err(code(errno)));
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            let _ = sender.send(Ok(()));
        }
    }
}

enum Reading {
    File { node: Arc<Node>, offset: u64 },
    Stream(Stream),
}

struct ReadProducer {
    source: Reading,
    done: Promise,
}

impl ReadProducer {
    fn end(&mut self, errno: Option<Errno>) -> Poll<wasmtime::Result<StreamResult>> {
        if let Some(errno) = errno {
            self.done.fail(errno);
        }
        Poll::Ready(Ok(StreamResult::Dropped))
    }
}

impl<D> StreamProducer<D> for ReadProducer {
    type Item = u8;
    type Buffer = bytes::BytesMut;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        destination: Destination<'a, u8, bytes::BytesMut>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let only_waiting = destination.remaining(store.as_context_mut()) == Some(0);
        let this = &mut *self;
        if let Reading::Stream(stream) = &mut this.source {
            match stream.poll_ready(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(errno)) => return this.end(Some(errno)),
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if only_waiting {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let mut destination = destination.as_direct(store, TRANSFER_BYTES_MAX);
        let buffer = destination.remaining();
        let len = buffer.len().min(TRANSFER_BYTES_MAX);
        let read = match &mut this.source {
            Reading::File { node, offset } => {
                node.read(*offset, &mut buffer[..len]).inspect(|read| *offset += *read as u64)
            }
            Reading::Stream(stream) => match stream.poll_read(context, &mut buffer[..len]) {
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                poll => ready!(poll),
            },
        };
        match read {
            Ok(0) => this.end(None),
            Ok(read) => {
                destination.mark_written(read);
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Err(errno) => this.end(Some(errno)),
        }
    }
}

enum Writing {
    File { node: Arc<Node>, offset: Option<u64> },
    Stream(Stream),
}

struct WriteConsumer {
    target: Writing,
    done: Promise,
}

impl<D> StreamConsumer<D> for WriteConsumer {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = &mut *self;
        let mut source = source.as_direct(store);
        let bytes = source.remaining();
        let bytes = &bytes[..bytes.len().min(TRANSFER_BYTES_MAX)];
        let written = match &mut this.target {
            Writing::File { node, offset } => node.write(*offset, bytes).inspect(|written| {
                *offset = offset.map(|offset| offset + *written as u64);
            }),
            Writing::Stream(stream) => match stream.poll_write(context, bytes) {
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                poll => ready!(poll),
            },
        };
        match written {
            Ok(written) => {
                source.mark_read(written);
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Err(errno) => {
                this.done.fail(errno);
                Poll::Ready(Ok(StreamResult::Dropped))
            }
        }
    }
}

struct ListingProducer {
    listing: Listing,
    done: Promise,
}

impl<D> StreamProducer<D> for ListingProducer {
    type Item = types::DirectoryEntry;
    type Buffer = wasmtime::component::VecBuffer<types::DirectoryEntry>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        _finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let count = destination.remaining(store.as_context_mut()).unwrap_or(ENTRIES_MAX).min(ENTRIES_MAX);
        let mut entries = Vec::new();
        let mut result = StreamResult::Completed;
        while entries.len() < count {
            match self.listing.next() {
                Ok(Some((name, file_type))) => entries.push(types::DirectoryEntry { type_: kind(file_type), name }),
                Ok(None) => {
                    result = StreamResult::Dropped;
                    break;
                }
                Err(errno) => {
                    self.done.fail(errno);
                    result = StreamResult::Dropped;
                    break;
                }
            }
        }
        destination.set_buffer(entries.into());
        Poll::Ready(Ok(result))
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

fn instant(time: u64) -> Option<Instant> {
    let seconds = i64::try_from(time / 1_000_000_000).ok()?;
    Some(Instant { seconds, nanoseconds: (time % 1_000_000_000) as u32 })
}

fn stat(stat: Stat) -> types::DescriptorStat {
    types::DescriptorStat {
        type_: kind(stat.kind),
        link_count: stat.links,
        size: stat.size,
        data_access_timestamp: instant(stat.times.accessed),
        data_modification_timestamp: instant(stat.times.modified),
        status_change_timestamp: instant(stat.times.changed),
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
            let seconds = u64::try_from(at.seconds).map_err(|_| ErrorCode::Overflow)?;
            SetTime::At(super::nanoseconds(seconds, at.nanoseconds).map_err(code)?)
        }
    })
}

fn fail(errno: Errno) -> FilesystemError {
    code(errno).into()
}

/// The nearest error code; what has none says its name.
fn code(errno: Errno) -> ErrorCode {
    match errno {
        Errno::Acces => ErrorCode::Access,
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
        Errno::Io => ErrorCode::Io,
        Errno::Isdir => ErrorCode::IsDirectory,
        Errno::Loop => ErrorCode::Loop,
        Errno::Mlink => ErrorCode::TooManyLinks,
        Errno::Msgsize => ErrorCode::MessageSize,
        Errno::Nametoolong => ErrorCode::NameTooLong,
        Errno::Nodev => ErrorCode::NoDevice,
        Errno::Noent => ErrorCode::NoEntry,
        Errno::Nolck => ErrorCode::NoLock,
        Errno::Nomem => ErrorCode::InsufficientMemory,
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
        other => ErrorCode::Other(Some(other.to_string())),
    }
}
