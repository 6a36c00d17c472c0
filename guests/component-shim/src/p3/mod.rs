//! WASI 0.3 over the tree: wasi:filesystem alone, since streams and futures are no resources of an interface.
//!
//! Four of its functions give out streams and futures without being `async`. Such a function ends when it
//! has answered, so nobody would be left to fill the stream. Here they are `async` (see `wit/p3`): they
//! answer at once, and their tasks go on as the other ends of the streams. A bridge (`bridge.wat`), a
//! component of its own because no component may call itself, gives them the type that programs know.
//! All other functions answer at once and are lifted as plain functions.

mod convert;
mod process;
mod streams;

use crate::files::{Descriptor, OpenFlags};
use alloc::{string::String, vec::Vec};
use bindings::exports::wasi::filesystem::{preopens, types};
use convert::{access, code, descriptor_stat, descriptor_type, flags, follow, set_time};
use types::{DescriptorBorrow, ErrorCode};
use weir_vfs::Errno;
use wit_bindgen::{FutureReader, StreamReader};

mod bindings {
    #![allow(clippy::all, missing_docs, reason = "generated")]
    wit_bindgen::generate!({
        world: "p3",
        path: "wit/p3",
        generate_all,
        disable_run_ctors_once_workaround: true,
        disable_custom_section_link_helpers: true,
        sync: [
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.advise",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.sync-data",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.get-flags",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.get-type",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.set-size",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.set-times",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.sync",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.create-directory-at",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.stat",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.stat-at",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.set-times-at",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.link-at",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.open-at",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.readlink-at",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.remove-directory-at",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.rename-at",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.symlink-at",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.unlink-file-at",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.is-same-object",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.metadata-hash",
            "export:wasi:filesystem/types@0.3.0#[method]descriptor.metadata-hash-at",
        ],
    });
    use super::P3;
    export!(P3);
}

/// Implements the interfaces.
struct P3;

type Done = FutureReader<Result<(), ErrorCode>>;
type Answer<T> = Result<T, ErrorCode>;

impl types::Guest for P3 {
    type Descriptor = Descriptor;
}

impl preopens::Guest for P3 {
    fn get_directories() -> Vec<(types::Descriptor, String)> {
        let directories = crate::files::preopens();
        directories.into_iter().map(|(directory, name)| (types::Descriptor::new(directory), name)).collect()
    }
}

fn answer<T, U>(result: Result<T, Errno>, convert: impl FnOnce(T) -> U) -> Answer<U> {
    result.map(convert).map_err(code)
}

fn done(result: Result<(), Errno>) -> Answer<()> {
    result.map_err(code)
}

impl types::GuestDescriptor for Descriptor {
    async fn read_via_stream(&self, offset: u64) -> (StreamReader<u8>, Done) {
        streams::read(self, offset)
    }

    async fn write_via_stream(&self, data: StreamReader<u8>, offset: u64) -> Done {
        streams::write(self, data, Some(offset))
    }

    async fn append_via_stream(&self, data: StreamReader<u8>) -> Done {
        streams::write(self, data, None)
    }

    async fn read_directory(&self) -> (StreamReader<types::DirectoryEntry>, Done) {
        streams::list(self)
    }

    fn advise(&self, _: u64, _: u64, _: types::Advice) -> Answer<()> {
        done(Descriptor::advise(self))
    }

    fn sync_data(&self) -> Answer<()> {
        Ok(())
    }

    fn get_flags(&self) -> Answer<types::DescriptorFlags> {
        Ok(flags(self.access()))
    }

    fn get_type(&self) -> Answer<types::DescriptorType> {
        Ok(descriptor_type(self.kind()))
    }

    fn set_size(&self, size: u64) -> Answer<()> {
        done(Descriptor::set_size(self, size))
    }

    fn set_times(&self, accessed: types::NewTimestamp, modified: types::NewTimestamp) -> Answer<()> {
        done(Descriptor::set_times(self, set_time(accessed)?, set_time(modified)?))
    }

    fn sync(&self) -> Answer<()> {
        Ok(())
    }

    fn create_directory_at(&self, path: String) -> Answer<()> {
        done(self.create_dir_at(&path))
    }

    fn stat(&self) -> Answer<types::DescriptorStat> {
        answer(Descriptor::stat(self), descriptor_stat)
    }

    fn stat_at(&self, how: types::PathFlags, path: String) -> Answer<types::DescriptorStat> {
        answer(Descriptor::stat_at(self, follow(how), &path), descriptor_stat)
    }

    fn set_times_at(
        &self,
        how: types::PathFlags,
        path: String,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> Answer<()> {
        done(Descriptor::set_times_at(self, follow(how), &path, set_time(accessed)?, set_time(modified)?))
    }

    fn link_at(&self, how: types::PathFlags, path: String, new: DescriptorBorrow<'_>, new_path: String) -> Answer<()> {
        done(Descriptor::link_at(self, follow(how), &path, new.get::<Descriptor>(), &new_path))
    }

    fn open_at(
        &self,
        how: types::PathFlags,
        path: String,
        open: types::OpenFlags,
        asked: types::DescriptorFlags,
    ) -> Answer<types::Descriptor> {
        let open = OpenFlags {
            create: open.contains(types::OpenFlags::CREATE),
            directory: open.contains(types::OpenFlags::DIRECTORY),
            exclusive: open.contains(types::OpenFlags::EXCLUSIVE),
            truncate: open.contains(types::OpenFlags::TRUNCATE),
        };
        let opened = Descriptor::open_at(self, follow(how), &path, open, access(asked));
        opened.map(types::Descriptor::new).map_err(|errno| match process::take_complaint() {
            Some(complaint) => ErrorCode::Other(Some(complaint)),
            None => code(errno),
        })
    }

    fn readlink_at(&self, path: String) -> Answer<String> {
        answer(Descriptor::readlink_at(self, &path), |target| target)
    }

    fn remove_directory_at(&self, path: String) -> Answer<()> {
        done(self.remove_dir_at(&path))
    }

    fn rename_at(&self, path: String, new: DescriptorBorrow<'_>, new_path: String) -> Answer<()> {
        done(Descriptor::rename_at(self, &path, new.get::<Descriptor>(), &new_path))
    }

    fn symlink_at(&self, target: String, path: String) -> Answer<()> {
        done(Descriptor::symlink_at(self, &target, &path))
    }

    fn unlink_file_at(&self, path: String) -> Answer<()> {
        done(self.unlink_at(&path))
    }

    fn is_same_object(&self, other: DescriptorBorrow<'_>) -> bool {
        self.is_same(other.get::<Descriptor>()).unwrap_or(false)
    }

    fn metadata_hash(&self) -> Answer<types::MetadataHashValue> {
        answer(Descriptor::stat(self), convert::hash)
    }

    fn metadata_hash_at(&self, how: types::PathFlags, path: String) -> Answer<types::MetadataHashValue> {
        answer(Descriptor::stat_at(self, follow(how), &path), convert::hash)
    }
}
