//! A command that calls wasi:filesystem, wasi:io and wasi:cli 0.2 itself, not by a libc: every function of them. Works in
//! the first preopened directory, prints one line per step and cleans up after itself. Prints nothing that differs
//! between hosts, so that its output under several can be compared byte by byte.

use std::fmt::Debug;
use wasi::cli::{stderr, stdin, stdout};
use wasi::clocks::wall_clock::Datetime;
use wasi::filesystem::preopens::get_directories;
use wasi::filesystem::types::{
    Advice, Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags, filesystem_error_code,
};
use wasi::io::poll;
use wasi::io::streams::{InputStream, OutputStream, StreamError};

const READ: DescriptorFlags = DescriptorFlags::READ;
const READ_WRITE: DescriptorFlags = DescriptorFlags::READ.union(DescriptorFlags::WRITE);
const NEW: OpenFlags = OpenFlags::CREATE.union(OpenFlags::EXCLUSIVE);
const OLD: OpenFlags = OpenFlags::empty();
const HERE: PathFlags = PathFlags::empty();
const FOLLOW: PathFlags = PathFlags::SYMLINK_FOLLOW;

struct Own;
wasi::cli::command::export!(Own);

fn say(line: &str) {
    let out = stdout::get_stdout();
    out.blocking_write_and_flush(format!("{line}\n").as_bytes()).expect("stdout takes every line");
}

fn show<T: Debug, E: Debug>(step: &str, result: Result<T, E>) {
    match result {
        Ok(value) => say(&format!("{step}: {value:?}")),
        Err(error) => say(&format!("{step}: {error:?}")),
    }
}

/// What a stream's error is, without the number that it has in the host.
fn plain<T>(result: Result<T, StreamError>) -> Result<T, String> {
    result.map_err(|error| match error {
        StreamError::Closed => "closed".into(),
        StreamError::LastOperationFailed(error) => format!("failed: {:?}", filesystem_error_code(&error)),
    })
}

fn read_all(stream: &InputStream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Ok(bytes) = stream.blocking_read(5) {
        all.extend(bytes);
    }
    all
}

fn write_all(stream: &OutputStream, bytes: &[u8]) -> Result<(), StreamError> {
    stream.subscribe().block();
    assert!(stream.check_write()? > 0, "there is room");
    stream.write(bytes)?;
    stream.flush()?;
    stream.blocking_flush()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn streams(dir: &Descriptor) -> Result<(), ErrorCode> {
    let file = dir.open_at(HERE, "streams", NEW, READ_WRITE)?;
    let out = file.write_via_stream(0)?;
    show("write", plain(write_all(&out, b"hello, streams")));
    show("zeroes", plain(out.write_zeroes(3).and_then(|()| out.blocking_write_zeroes_and_flush(2))));
    drop(out);
    show("append", plain(write_all(&file.append_via_stream()?, b" end")));
    let input = file.read_via_stream(7)?;
    let mut skipped = 0;
    while skipped < 3 {
        // How much is skipped without waiting is the host's to say.
        skipped += input.skip(3 - skipped).unwrap_or(3);
        skipped += input.blocking_skip(3 - skipped).unwrap_or(3);
    }
    say(&format!("rest: {:?}", text(&read_all(&input))));
    show("after the end", plain(input.read(1)));
    let copy = dir.open_at(HERE, "copy", NEW, READ_WRITE)?;
    let (from, to) = (file.read_via_stream(0)?, copy.write_via_stream(0)?);
    let mut moved = 0;
    while moved < 9 {
        moved += to.splice(&from, 9 - moved).unwrap_or(9);
        moved += to.blocking_splice(&from, 9 - moved).unwrap_or(9);
    }
    let _ = to.blocking_flush();
    show("copied", copy.read(100, 0).map(|(bytes, ended)| (text(&bytes), ended)));
    let ready = poll::poll(&[&from.subscribe(), &to.subscribe()]);
    say(&format!("something is ready: {}", !ready.is_empty()));
    drop((from, to, copy));
    // A stream outlives its descriptor.
    let late = file.read_via_stream(0)?;
    drop(file);
    show("late", plain(late.blocking_read(5)).map(|bytes| text(&bytes)));
    dir.unlink_file_at("copy")?;
    dir.unlink_file_at("streams")
}

fn files(dir: &Descriptor) -> Result<(), ErrorCode> {
    let file = dir.open_at(HERE, "file", NEW, READ_WRITE)?;
    show("again", dir.open_at(HERE, "file", NEW, READ_WRITE).map(|_| ()));
    show("written", file.write(b"0123456789", 2));
    show("read", file.read(4, 1).map(|(bytes, ended)| (bytes, ended)));
    show("read at the end", file.read(4, 12));
    show("size", file.set_size(5).and_then(|()| file.stat()).map(|stat| (stat.type_, stat.size, stat.link_count)));
    show("advice", file.advise(0, 5, Advice::Sequential));
    show("sync", file.sync().and_then(|()| file.sync_data()));
    show("flags", file.get_flags());
    show("type", file.get_type());
    let at = |seconds| NewTimestamp::Timestamp(Datetime { seconds, nanoseconds: 7 });
    show("times", file.set_times(at(1), at(2)).and_then(|()| file.stat()).map(|stat| stat.data_modification_timestamp));
    show("times at", dir.set_times_at(HERE, "file", NewTimestamp::NoChange, at(9)));
    let times = dir.stat_at(HERE, "file")?;
    say(&format!("{:?} {:?}", times.data_access_timestamp, times.data_modification_timestamp));
    show("linked", dir.link_at(HERE, "file", dir, "other").and_then(|()| file.stat()).map(|stat| stat.link_count));
    let other = dir.open_at(HERE, "other", OLD, READ)?;
    say(&format!("same: {} {}", file.is_same_object(&other), file.is_same_object(dir)));
    let hash =
        |hash: Result<_, _>| hash.map(|hash: wasi::filesystem::types::MetadataHashValue| (hash.lower, hash.upper));
    say(&format!("same hash: {}", hash(file.metadata_hash()) == hash(dir.metadata_hash_at(HERE, "other"))));
    show("type of the directory", dir.get_type());
    show("read a directory", dir.read_via_stream(0).map(|_| ()));
    drop((file, other));
    show("renamed", dir.rename_at("other", dir, "moved"));
    dir.unlink_file_at("file")?;
    dir.unlink_file_at("moved")
}

fn paths(dir: &Descriptor) -> Result<(), ErrorCode> {
    dir.create_directory_at("deep")?;
    dir.create_directory_at("deep/er")?;
    show("made twice", dir.create_directory_at("deep"));
    let deep = dir.open_at(HERE, "deep", OpenFlags::DIRECTORY, READ)?;
    drop(deep.open_at(HERE, "er/one", NEW, READ_WRITE)?);
    show("symlink", deep.symlink_at("er/one", "link"));
    show("readlink", deep.readlink_at("link"));
    show("no link", deep.readlink_at("er"));
    show("followed", deep.stat_at(FOLLOW, "link").map(|stat| stat.type_));
    show("not followed", deep.stat_at(HERE, "link").map(|stat| stat.type_));
    let mut names = Vec::new();
    let entries = deep.read_directory()?;
    while let Some(entry) = entries.read_directory_entry()? {
        names.push((entry.name, entry.type_));
    }
    names.sort_by(|one, other| one.0.cmp(&other.0));
    say(&format!("entries: {names:?}"));
    show("no entry", deep.stat_at(HERE, "nothing").map(|_| ()));
    show("no directory", dir.open_at(HERE, "deep/er/one", OpenFlags::DIRECTORY, READ).map(|_| ()));
    show("above", deep.open_at(HERE, "../../../etc", OLD, READ).map(|_| ()));
    show("not empty", dir.remove_directory_at("deep"));
    show("a directory", dir.unlink_file_at("deep/er"));
    deep.unlink_file_at("link")?;
    deep.unlink_file_at("er/one")?;
    deep.remove_directory_at("er")?;
    drop((entries, deep));
    dir.remove_directory_at("deep")
}

impl wasi::exports::cli::run::Guest for Own {
    fn run() -> Result<(), ()> {
        let directories = get_directories();
        let Some((dir, _)) = directories.first() else { return Err(()) };
        show("streams", streams(dir));
        show("files", files(dir));
        show("paths", paths(dir));
        let input = text(&read_all(&stdin::get_stdin()));
        say(&format!("stdin: {input:?}"));
        let _ = stderr::get_stderr().blocking_write_and_flush(b"to stderr\n");
        if input.contains("fail") { Err(()) } else { Ok(()) }
    }
}
