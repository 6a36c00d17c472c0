//! The words of wasi:filesystem 0.3 for those of the tree, as in the host under `weir run`.

use super::bindings::exports::wasi::filesystem::types;
use super::bindings::wasi::clocks::system_clock::Instant;
use crate::files::{Access, identity_hash, nanoseconds};
use alloc::string::ToString;
use types::{DescriptorFlags as Flags, DescriptorType as Type, ErrorCode};
use weir_vfs::{Errno, FileType, SetTime, Stat};

/// Whether a symbolic link at the end of a path is followed.
pub fn follow(flags: types::PathFlags) -> bool {
    flags.contains(types::PathFlags::SYMLINK_FOLLOW)
}

/// What a descriptor is opened for.
pub fn access(flags: Flags) -> Access {
    Access {
        read: flags.contains(Flags::READ),
        write: flags.contains(Flags::WRITE),
        mutate: flags.contains(Flags::MUTATE_DIRECTORY),
        file_sync: flags.contains(Flags::FILE_INTEGRITY_SYNC),
        data_sync: flags.contains(Flags::DATA_INTEGRITY_SYNC),
        read_sync: flags.contains(Flags::REQUESTED_WRITE_SYNC),
    }
}

/// The flags of a descriptor.
pub fn flags(access: Access) -> Flags {
    [
        (access.read, Flags::READ),
        (access.write, Flags::WRITE),
        (access.mutate, Flags::MUTATE_DIRECTORY),
        (access.file_sync, Flags::FILE_INTEGRITY_SYNC),
        (access.data_sync, Flags::DATA_INTEGRITY_SYNC),
        (access.read_sync, Flags::REQUESTED_WRITE_SYNC),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .fold(Flags::empty(), |flags, (_, flag)| flags | flag)
}

/// The kind of a node.
pub fn descriptor_type(kind: FileType) -> Type {
    match kind {
        FileType::Directory => Type::Directory,
        FileType::File => Type::RegularFile,
        FileType::Symlink => Type::SymbolicLink,
        FileType::Stream => Type::Fifo,
    }
}

fn instant(time: u64) -> Option<Instant> {
    let seconds = i64::try_from(time / 1_000_000_000).ok()?;
    Some(Instant { seconds, nanoseconds: (time % 1_000_000_000) as u32 })
}

/// The attributes of a node.
pub fn descriptor_stat(stat: Stat) -> types::DescriptorStat {
    types::DescriptorStat {
        type_: descriptor_type(stat.kind),
        link_count: stat.links,
        size: stat.size,
        data_access_timestamp: instant(stat.times.accessed),
        data_modification_timestamp: instant(stat.times.modified),
        status_change_timestamp: instant(stat.times.changed),
    }
}

/// The number by which a program knows a node again.
pub fn hash(stat: Stat) -> types::MetadataHashValue {
    let (lower, upper) = identity_hash(&stat);
    types::MetadataHashValue { lower, upper }
}

/// A time to set.
pub fn set_time(time: types::NewTimestamp) -> Result<SetTime, ErrorCode> {
    Ok(match time {
        types::NewTimestamp::NoChange => SetTime::Keep,
        types::NewTimestamp::Now => SetTime::Now,
        types::NewTimestamp::Timestamp(at) => {
            let seconds = u64::try_from(at.seconds).map_err(|_| ErrorCode::Overflow)?;
            SetTime::At(nanoseconds(seconds, at.nanoseconds).map_err(code)?)
        }
    })
}

/// The nearest error code; what has none says its name.
pub fn code(errno: Errno) -> ErrorCode {
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
