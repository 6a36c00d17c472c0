//! A walk through `std::fs`: `fstest DIR` prints one line per step and cleans up after itself.
//! Built for wasm32-wasip1 and for wasm32-wasip2. Prints nothing that differs between hosts (no inode numbers, times
//! or directory sizes), so that its output under two runtimes can be compared byte by byte.

use std::fmt::Debug;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

fn show<T: Debug>(step: &str, result: io::Result<T>) {
    match result {
        Ok(value) => println!("{step}: {value:?}"),
        Err(error) => println!("{step}: {:?} {:?}", error.kind(), error.raw_os_error()),
    }
}

fn describe(path: &Path) -> String {
    match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => "directory".into(),
        Ok(data) if data.is_symlink() => format!("link to {:?}", fs::read_link(path)),
        Ok(data) => format!("file of {} bytes", data.len()),
        Err(error) => format!("{:?}", error.kind()),
    }
}

fn tree(root: &Path, below: &Path) {
    let Ok(entries) = fs::read_dir(below) else { return println!("cannot list {}", below.display()) };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("entry").path()).collect();
    paths.sort();
    for path in paths {
        println!("  {}: {}", path.strip_prefix(root).expect("below root").display(), describe(&path));
        if fs::symlink_metadata(&path).is_ok_and(|data| data.is_dir()) {
            tree(root, &path);
        }
    }
}

fn files(dir: &Path) {
    let a = dir.join("a");
    show("write", fs::write(&a, "hello, world"));
    show("create_new", File::create_new(&a).map(drop));
    show("read", fs::read_to_string(&a));
    show("copy", fs::copy(&a, dir.join("copy")));
    show("missing", fs::read(dir.join("missing")));
    show("append", OpenOptions::new().append(true).open(&a).and_then(|mut file| file.write(b"++")));
    let mut file = OpenOptions::new().read(true).write(true).open(&a).expect("open");
    show("seek end", file.seek(SeekFrom::End(-3)));
    let mut text = String::new();
    show("read to end", file.read_to_string(&mut text).map(|n| (n, text)));
    show("seek before start", file.seek(SeekFrom::Current(-100)));
    show("sparse seek", file.seek(SeekFrom::Start(100_000)));
    show("sparse write", file.write_all(b"tail"));
    show("len", file.metadata().map(|data| data.len()));
    show("hole", fs::read(&a).map(|data| data[14..100_000].iter().all(|byte| *byte == 0)));
    show("set_len down", file.set_len(5));
    show("set_len up", file.set_len(8));
    show("bytes", fs::read(&a));
    show("sync", file.sync_all().and(file.sync_data()));
    let when = UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_000);
    show("set_times", file.set_times(FileTimes::new().set_modified(when)));
    show("modified", file.metadata().and_then(|data| data.modified()).map(|time| time == when));
    show("is_file", file.metadata().map(|data| (data.is_file(), data.permissions().readonly())));
}

fn links_and_renames(dir: &Path) {
    let (a, b) = (dir.join("a"), dir.join("b"));
    show("hard_link", fs::hard_link(&a, &b));
    show("hard_link again", fs::hard_link(&a, &b));
    show("write through link", fs::write(&b, "linked"));
    show("read other name", fs::read_to_string(&a));
    show("rename over", fs::rename(dir.join("copy"), &b));
    show("rename missing", fs::rename(dir.join("copy"), &b));
    show("create_dir_all", fs::create_dir_all(dir.join("x/y/z")));
    show("create_dir exists", fs::create_dir(dir.join("x")));
    show("create_dir no parent", fs::create_dir(dir.join("p/q")));
    show("rename into", fs::rename(&b, dir.join("x/y/b")));
    show("rename dir", fs::rename(dir.join("x/y"), dir.join("y")));
    show("rename dir into itself", fs::rename(dir.join("y"), dir.join("y/z/deep")));
    show("rename dir on file", fs::rename(dir.join("y"), &a));
    show("rename on non-empty", fs::rename(dir.join("x"), dir.join("y")));
    show("remove_dir non-empty", fs::remove_dir(dir.join("y")));
    show("remove_dir file", fs::remove_dir(&a));
    show("remove_file dir", fs::remove_file(dir.join("y")));
    show("exists", Ok::<_, io::Error>((a.exists(), dir.join("x/y").exists())));
}

/// Symlinks have no stable function in std for this target, so this walks those that the caller made.
fn symlinks(dir: &Path) {
    let link = dir.join("link");
    if fs::symlink_metadata(&link).is_err() {
        return println!("no link was given");
    }
    show("read_link", fs::read_link(&link));
    show("through link", fs::read_to_string(&link));
    show("canonicalize", fs::canonicalize(&link).map(|path| path.file_name().map(|name| name.to_owned())));
}

fn open_while_removed(dir: &Path) {
    let path = dir.join("short-lived");
    fs::write(&path, "still here").expect("write");
    let mut file = File::open(&path).expect("open");
    show("remove_file", fs::remove_file(&path));
    let mut text = String::new();
    show("read removed", file.read_to_string(&mut text).map(|_| text));
    show("gone", fs::metadata(&path).map(|data| data.len()));
}

fn many(dir: &Path) {
    let many = dir.join("many");
    fs::create_dir(&many).expect("create_dir");
    for index in 0..500 {
        fs::write(many.join(format!("file-{index:03}")), vec![b'x'; index]).expect("write");
    }
    let mut sizes = 0;
    let mut names = 0;
    for entry in fs::read_dir(&many).expect("read_dir") {
        let entry = entry.expect("entry");
        sizes += entry.metadata().expect("metadata").len();
        names += usize::from(entry.file_type().expect("type").is_file());
    }
    println!("many: {names} files of {sizes} bytes");
    show("remove_dir_all", fs::remove_dir_all(&many));
    println!("many: {}", describe(&many));
}

fn main() {
    let base = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let base = Path::new(&base);
    symlinks(base);
    let dir = base.join("rust-fstest");
    show("create_dir", fs::create_dir(&dir));
    files(&dir);
    links_and_renames(&dir);
    open_while_removed(&dir);
    many(&dir);
    tree(&dir, &dir);
    show("remove all", fs::remove_dir_all(&dir));
    show("escape", fs::read(base.join("../../../../etc/passwd")).map(|data| data.len()));
    println!("left: {}", describe(&dir));
}
