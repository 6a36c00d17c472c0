//! wasi:filesystem 0.2: translation to and from the tree.

use super::Shim;
use super::bindings::exports::wasi::filesystem::{preopens, types};
use super::bindings::exports::wasi::io::streams;
use super::bindings::wasi::clocks::wall_clock::Datetime;
use super::io::{Error, InputStream, OutputStream};
use crate::files::{self, Access, Listing, OpenFlags, identity_hash, nanoseconds};
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use types::{DescriptorBorrow, ErrorCode};
use weir_vfs::{Errno, FileType, SetTime, Stat};

type Result<T> = core::result::Result<T, ErrorCode>;

/// An open descriptor.
pub struct Descriptor(files::Descriptor);

/// A walk over a directory.
pub struct Entries(RefCell<Listing>);

impl preopens::Guest for Shim {
    fn get_directories() -> Vec<(types::Descriptor, String)> {
        let directories = files::preopens().into_iter();
        directories.map(|(directory, name)| (types::Descriptor::new(Descriptor(directory)), name)).collect()
    }
}

impl types::Guest for Shim {
    type Descriptor = Descriptor;
    type DirectoryEntryStream = Entries;

    fn filesystem_error_code(error: types::ErrorBorrow<'_>) -> Option<ErrorCode> {
        match error.get::<Error>() {
            Error::File(errno) => Some(code(*errno)),
            // Of a stream that is no file.
            Error::Host(_) => None,
        }
    }
}

impl types::GuestDirectoryEntryStream for Entries {
    fn read_directory_entry(&self) -> Result<Option<types::DirectoryEntry>> {
        let entry = self.0.borrow_mut().next().map_err(code)?;
        Ok(entry.map(|(name, file_type)| types::DirectoryEntry { type_: kind(file_type), name }))
    }
}

/// The tree's descriptor behind a borrowed one.
fn tree<'a>(descriptor: &'a DescriptorBorrow<'_>) -> &'a files::Descriptor {
    &descriptor.get::<Descriptor>().0
}

impl types::GuestDescriptor for Descriptor {
    fn read_via_stream(&self, offset: u64) -> Result<streams::InputStream> {
        Ok(InputStream::file(self.0.reading().map_err(code)?, offset))
    }

    fn write_via_stream(&self, offset: u64) -> Result<streams::OutputStream> {
        Ok(OutputStream::file(self.0.writing().map_err(code)?, Some(offset)))
    }

    fn append_via_stream(&self) -> Result<streams::OutputStream> {
        Ok(OutputStream::file(self.0.writing().map_err(code)?, None))
    }

    fn advise(&self, _: u64, _: u64, _: types::Advice) -> Result<()> {
        self.0.advise().map_err(code)
    }

    fn sync_data(&self) -> Result<()> {
        Ok(())
    }

    fn get_flags(&self) -> Result<types::DescriptorFlags> {
        Ok(flags(self.0.access()))
    }

    fn get_type(&self) -> Result<types::DescriptorType> {
        Ok(kind(self.0.kind()))
    }

    fn set_size(&self, size: u64) -> Result<()> {
        self.0.set_size(size).map_err(code)
    }

    fn set_times(&self, accessed: types::NewTimestamp, modified: types::NewTimestamp) -> Result<()> {
        self.0.set_times(set_time(accessed)?, set_time(modified)?).map_err(code)
    }

    fn read(&self, len: u64, offset: u64) -> Result<(Vec<u8>, bool)> {
        self.0.read(offset, len).map_err(code)
    }

    fn write(&self, bytes: Vec<u8>, offset: u64) -> Result<u64> {
        self.0.write(offset, &bytes).map_err(code)
    }

    fn read_directory(&self) -> Result<types::DirectoryEntryStream> {
        let listing = self.0.listing().map_err(code)?;
        Ok(types::DirectoryEntryStream::new(Entries(RefCell::new(listing))))
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn create_directory_at(&self, path: String) -> Result<()> {
        self.0.create_dir_at(&path).map_err(code)
    }

    fn stat(&self) -> Result<types::DescriptorStat> {
        self.0.stat().map(stat).map_err(code)
    }

    fn stat_at(&self, how: types::PathFlags, path: String) -> Result<types::DescriptorStat> {
        self.0.stat_at(follow(how), &path).map(stat).map_err(code)
    }

    fn set_times_at(
        &self,
        how: types::PathFlags,
        path: String,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> Result<()> {
        self.0.set_times_at(follow(how), &path, set_time(accessed)?, set_time(modified)?).map_err(code)
    }

    fn link_at(&self, how: types::PathFlags, path: String, new: DescriptorBorrow<'_>, new_path: String) -> Result<()> {
        self.0.link_at(follow(how), &path, tree(&new), &new_path).map_err(code)
    }

    fn open_at(
        &self,
        how: types::PathFlags,
        path: String,
        open: types::OpenFlags,
        asked: types::DescriptorFlags,
    ) -> Result<types::Descriptor> {
        let open = OpenFlags {
            create: open.contains(types::OpenFlags::CREATE),
            directory: open.contains(types::OpenFlags::DIRECTORY),
            exclusive: open.contains(types::OpenFlags::EXCLUSIVE),
            truncate: open.contains(types::OpenFlags::TRUNCATE),
        };
        let opened = self.0.open_at(follow(how), &path, open, access(asked)).map_err(code)?;
        Ok(types::Descriptor::new(Descriptor(opened)))
    }

    fn readlink_at(&self, path: String) -> Result<String> {
        self.0.readlink_at(&path).map_err(code)
    }

    fn remove_directory_at(&self, path: String) -> Result<()> {
        self.0.remove_dir_at(&path).map_err(code)
    }

    fn rename_at(&self, path: String, new: DescriptorBorrow<'_>, new_path: String) -> Result<()> {
        self.0.rename_at(&path, tree(&new), &new_path).map_err(code)
    }

    fn symlink_at(&self, target: String, path: String) -> Result<()> {
        self.0.symlink_at(&target, &path).map_err(code)
    }

    fn unlink_file_at(&self, path: String) -> Result<()> {
        self.0.unlink_at(&path).map_err(code)
    }

    fn is_same_object(&self, other: DescriptorBorrow<'_>) -> bool {
        self.0.is_same(tree(&other)).unwrap_or(false)
    }

    fn metadata_hash(&self) -> Result<types::MetadataHashValue> {
        self.0.stat().map(|stat| hash(&stat)).map_err(code)
    }

    fn metadata_hash_at(&self, how: types::PathFlags, path: String) -> Result<types::MetadataHashValue> {
        self.0.stat_at(follow(how), &path).map(|stat| hash(&stat)).map_err(code)
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

fn set_time(time: types::NewTimestamp) -> Result<SetTime> {
    Ok(match time {
        types::NewTimestamp::NoChange => SetTime::Keep,
        types::NewTimestamp::Now => SetTime::Now,
        types::NewTimestamp::Timestamp(at) => SetTime::At(nanoseconds(at.seconds, at.nanoseconds).map_err(code)?),
    })
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
