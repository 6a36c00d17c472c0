//! A walk through wasi:filesystem 0.3 as a component: streams for reading, writing and listing, and the calls on paths.
//! Works in the first preopened directory, prints one line per step and cleans up after itself. Prints nothing that
//! differs between hosts, so that its output under two runtimes can be compared byte by byte.

use futures::join;
use std::fmt::Debug;
use wasip3::filesystem::preopens::get_directories;
use wasip3::filesystem::types::{Advice, Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags};
use wasip3::wit_stream;

const READ: DescriptorFlags = DescriptorFlags::READ;
const READ_WRITE: DescriptorFlags = DescriptorFlags::READ.union(DescriptorFlags::WRITE);

async fn say(line: String) {
    let (mut sender, receiver) = wit_stream::new();
    let text = (line + "\n").into_bytes();
    let (written, left) = join!(async { wasip3::cli::stdout::write_via_stream(receiver).await }, async {
        let left = sender.write_all(text).await;
        drop(sender);
        left
    });
    assert!(written.is_ok() && left.is_empty(), "stdout takes every line");
}

async fn show<T: Debug>(step: &str, result: Result<T, ErrorCode>) {
    match result {
        Ok(value) => say(format!("{step}: {value:?}")).await,
        Err(error) => say(format!("{step}: {error:?}")).await,
    }
}

async fn open(dir: &Descriptor, path: &str, how: OpenFlags, flags: DescriptorFlags) -> Result<Descriptor, ErrorCode> {
    dir.open_at(PathFlags::empty(), path.into(), how, flags).await
}

async fn write(file: &Descriptor, offset: u64, data: Vec<u8>) -> Result<(), ErrorCode> {
    let (mut sender, receiver) = wit_stream::new();
    let done = file.write_via_stream(receiver, offset);
    let (result, _) = join!(async { done.await }, async {
        sender.write_all(data).await;
        drop(sender);
    });
    result
}

async fn append(file: &Descriptor, data: Vec<u8>) -> Result<(), ErrorCode> {
    let (mut sender, receiver) = wit_stream::new();
    let done = file.append_via_stream(receiver);
    let (result, _) = join!(async { done.await }, async {
        sender.write_all(data).await;
        drop(sender);
    });
    result
}

async fn read(file: &Descriptor, offset: u64) -> Result<Vec<u8>, ErrorCode> {
    let (stream, done) = file.read_via_stream(offset);
    let data = stream.collect().await;
    done.await.map(|()| data)
}

async fn list(dir: &Descriptor) -> Result<Vec<String>, ErrorCode> {
    let (stream, done) = dir.read_directory();
    let entries = stream.collect().await;
    done.await?;
    let mut names: Vec<String> = entries.iter().map(|entry| format!("{} {:?}", entry.name, entry.type_)).collect();
    names.sort();
    Ok(names)
}

async fn files(dir: &Descriptor) {
    let file = open(dir, "a", OpenFlags::CREATE | OpenFlags::EXCLUSIVE, READ_WRITE).await.expect("create");
    show("create again", open(dir, "a", OpenFlags::CREATE | OpenFlags::EXCLUSIVE, READ).await.map(drop)).await;
    show("write", write(&file, 0, b"hello, streams".to_vec()).await).await;
    show("append", append(&file, b" and more".to_vec()).await).await;
    show("overwrite", write(&file, 7, b"STREAMS".to_vec()).await).await;
    show("read", read(&file, 0).await.map(|data| String::from_utf8_lossy(&data).into_owned())).await;
    show("read from 15", read(&file, 15).await.map(|data| String::from_utf8_lossy(&data).into_owned())).await;
    show("read past end", read(&file, 1000).await).await;
    show("set_size", file.set_size(4).await).await;
    show("sparse", write(&file, 100_000, vec![b'!'; 3]).await).await;
    show("size", file.stat().await.map(|stat| stat.size)).await;
    let large: Vec<u8> = (0..300_000u32).map(|index| (index % 251) as u8).collect();
    show("large write", write(&file, 0, large.clone()).await).await;
    show("large read", read(&file, 0).await.map(|data| data == large)).await;
    show("advise", file.advise(0, 10, Advice::Sequential).await).await;
    show("sync", file.sync().await).await;
    show("flags", file.get_flags().await).await;
    show("type", file.get_type().await).await;
    let reader = open(dir, "a", OpenFlags::empty(), READ).await.expect("open");
    show("write to reader", write(&reader, 0, b"x".to_vec()).await).await;
    show("same object", Ok(file.is_same_object(&reader).await)).await;
    show("truncate", open(dir, "a", OpenFlags::TRUNCATE, READ_WRITE).await.map(drop)).await;
    show("size", reader.stat().await.map(|stat| (stat.size, stat.link_count))).await;
}

async fn names(dir: &Descriptor) {
    let none = PathFlags::empty();
    show("create dir", dir.create_directory_at("d".into()).await).await;
    show("create dir again", dir.create_directory_at("d".into()).await).await;
    show("link", dir.link_at(none, "a".into(), dir, "d/b".into()).await).await;
    show("symlink", dir.symlink_at("d/b".into(), "s".into()).await).await;
    show("readlink", dir.readlink_at("s".into()).await).await;
    show("stat link", dir.stat_at(none, "s".into()).await.map(|stat| stat.type_)).await;
    show("stat target", dir.stat_at(PathFlags::SYMLINK_FOLLOW, "s".into()).await.map(|stat| stat.type_)).await;
    show("rename", dir.rename_at("a".into(), dir, "d/a".into()).await).await;
    show("rename missing", dir.rename_at("a".into(), dir, "d/a".into()).await).await;
    show("remove full dir", dir.remove_directory_at("d".into()).await).await;
    show("unlink dir", dir.unlink_file_at("d".into()).await).await;
    let time = wasip3::clocks::system_clock::Instant { seconds: 1_234_567_890, nanoseconds: 5_000 };
    let set = dir.set_times_at(none, "d/a".into(), NewTimestamp::NoChange, NewTimestamp::Timestamp(time)).await;
    show("set times", set).await;
    let stat = dir.stat_at(none, "d/a".into()).await;
    show("changed at", stat.map(|stat| stat.data_modification_timestamp.map(|at| (at.seconds, at.nanoseconds)))).await;
    let inner = open(dir, "d", OpenFlags::DIRECTORY, READ | DescriptorFlags::MUTATE_DIRECTORY).await.expect("open");
    show("list", list(&inner).await).await;
    show("escape", open(&inner, "../s", OpenFlags::empty(), READ).await.map(drop)).await;
    show("absolute", open(&inner, "/etc/passwd", OpenFlags::empty(), READ).await.map(drop)).await;
    show("missing", open(&inner, "none", OpenFlags::empty(), READ).await.map(drop)).await;
    show("not a directory", open(dir, "d/a/x", OpenFlags::empty(), READ).await.map(drop)).await;
    for name in ["a", "b"] {
        show("unlink", inner.unlink_file_at(name.into()).await).await;
    }
    show("unlink", dir.unlink_file_at("s".into()).await).await;
    show("remove dir", dir.remove_directory_at("d".into()).await).await;
}

wasip3::cli::command::export!(Program);
struct Program;
impl wasip3::exports::cli::run::Guest for Program {
    async fn run() -> Result<(), ()> {
        let directories = get_directories();
        say(format!("preopens {:?}", directories.iter().map(|(_, name)| name).collect::<Vec<_>>())).await;
        let (base, _) = directories.first().ok_or(())?;
        show("create", base.create_directory_at("p3-fstest".into()).await).await;
        let flags = READ | DescriptorFlags::MUTATE_DIRECTORY;
        let dir = open(base, "p3-fstest", OpenFlags::DIRECTORY, flags).await.map_err(drop)?;
        files(&dir).await;
        names(&dir).await;
        show("left", list(&dir).await).await;
        drop(dir);
        show("remove", base.remove_directory_at("p3-fstest".into()).await).await;
        Ok(())
    }
}
