//! Each WASI 0.1 function with each error it can give.

mod support;

use support::*;
use weir_types::limits::Quota;
use weir_vfs::image::NodeKind;
use weir_vfs::p1::*;
use weir_vfs::{Errno, FileType, StreamId};

const FOLLOW: u32 = SYMLINK_FOLLOW;

/// A tree to try paths on: `dir/`, `dir/file` ("contents"), `dir/sub/`, `link` -> `dir/file`,
/// `dirlink` -> `dir`, `dangling` -> `nothing`, `loop` -> `loop`, `up` -> `..`, `stream`.
fn sample() -> TestProcess {
    let stream = node("stream", NodeKind::Stream(StreamId(4)));
    let absolute = node("absolute", NodeKind::Symlink("/etc".into()));
    let mut process = process_with(Quota::default(), TestPlatform::default(), vec![stream, absolute]);
    process.path_create_directory(ROOT_FD, "dir").unwrap();
    process.path_create_directory(ROOT_FD, "dir/sub").unwrap();
    write_file(&mut process, "dir/file", b"contents");
    for (target, path) in
        [("dir/file", "link"), ("dir", "dirlink"), ("nothing", "dangling"), ("loop", "loop"), ("..", "up")]
    {
        process.path_symlink(target, ROOT_FD, path).unwrap();
    }
    process
}

/// Runs one function over a table of paths, each on a fresh tree.
fn check<T: PartialEq + std::fmt::Debug>(
    name: &str,
    table: &[(&str, Result<T, Errno>)],
    mut call: impl FnMut(&mut TestProcess, &str) -> Result<T, Errno>,
) {
    for (path, expected) in table {
        assert_eq!(&call(&mut sample(), path), expected, "{name} {path:?}");
    }
}

/// What every function that takes a path says of one that leads nowhere good.
fn check_bad_paths<T: std::fmt::Debug>(name: &str, mut call: impl FnMut(&mut TestProcess, &str) -> Result<T, Errno>) {
    let long_name = "n".repeat(256);
    let long_path = "d/".repeat(2049);
    let table = [
        ("", Errno::Noent),
        ("/", Errno::Perm),
        ("/dir/file", Errno::Perm),
        ("..", Errno::Perm),
        ("../x", Errno::Perm),
        ("dir/../../x", Errno::Perm),
        ("up/x", Errno::Perm),
        ("absolute/x", Errno::Perm),
        ("dir/file/x", Errno::Notdir),
        ("stream/x", Errno::Notdir),
        ("nothing/x", Errno::Noent),
        ("dangling/x", Errno::Noent),
        ("loop/x", Errno::Loop),
        ("dir/nul\0", Errno::Inval),
        ("nul\0/x", Errno::Inval),
        (&long_name, Errno::Nametoolong),
        (&long_path, Errno::Nametoolong),
    ];
    for (path, errno) in table {
        let result = call(&mut sample(), path);
        assert_eq!(result.map(|_| ()), Err(errno), "{name} {:?}", &path[..path.len().min(40)]);
    }
}

/// What every function that takes a directory says of other descriptors.
fn check_base<T: std::fmt::Debug>(name: &str, mut call: impl FnMut(&mut TestProcess, u32) -> Result<T, Errno>) {
    let mut process = sample();
    let file = open(&mut process, "dir/file", 0, FD_READ).unwrap();
    let stream = open(&mut process, "stream", 0, FD_READ).unwrap();
    for (fd, errno) in [(99, Errno::Badf), (u32::MAX, Errno::Badf), (file, Errno::Notdir), (stream, Errno::Notdir)] {
        assert_eq!(call(&mut process, fd).map(|_| ()), Err(errno), "{name} fd {fd}");
    }
}

/// The function needs this right on its directory.
fn check_right<T: std::fmt::Debug>(right: u64, mut call: impl FnMut(&mut TestProcess, u32) -> Result<T, Errno>) {
    let mut process = sample();
    let fd = open(&mut process, ".", OFLAG_DIRECTORY, FD_READ).unwrap();
    let stat = process.fd_fdstat_get(fd).unwrap();
    process.fd_fdstat_set_rights(fd, stat.rights_base & !right, stat.rights_inheriting).unwrap();
    assert_eq!(call(&mut process, fd).map(|_| ()), Err(Errno::Notcapable), "right {right:#x}");
}

#[test]
fn path_open_of_what_is_there() {
    let table = [
        // path, lookup, oflags, rights, result
        ("dir/file", 0, 0, FD_READ, Ok(())),
        ("dir/./../dir//file", 0, 0, FD_READ, Ok(())),
        ("dirlink/file", 0, 0, FD_READ, Ok(())),
        ("dir/file", 0, OFLAG_CREAT, READ_WRITE, Ok(())),
        ("dir/file", 0, OFLAG_CREAT | OFLAG_EXCL, READ_WRITE, Err(Errno::Exist)),
        ("dir/file", 0, OFLAG_EXCL, READ_WRITE, Ok(())),
        ("dir/file", 0, OFLAG_TRUNC, 0, Ok(())),
        ("dir/file", 0, OFLAG_DIRECTORY, FD_READ, Err(Errno::Notdir)),
        ("dir/file/", 0, 0, FD_READ, Err(Errno::Notdir)),
        ("dir/file///", 0, 0, FD_READ, Err(Errno::Notdir)),
        ("dir/file/.", 0, 0, FD_READ, Err(Errno::Notdir)),
        ("dir", 0, 0, FD_READ, Ok(())),
        ("dir", 0, 0, 0, Ok(())),
        ("dir/", 0, 0, 0, Ok(())),
        ("dir///", 0, OFLAG_DIRECTORY, FD_READ, Ok(())),
        (".", 0, OFLAG_DIRECTORY, FD_READ, Ok(())),
        (".", 0, OFLAG_DIRECTORY, READ_WRITE, Err(Errno::Isdir)),
        ("dir", 0, 0, FD_WRITE, Err(Errno::Isdir)),
        ("dir", 0, OFLAG_CREAT, FD_READ, Err(Errno::Isdir)),
        ("dir", 0, OFLAG_TRUNC, FD_READ, Err(Errno::Isdir)),
        ("dir", 0, OFLAG_CREAT | OFLAG_DIRECTORY, FD_READ, Err(Errno::Inval)),
        ("dir", 0, OFLAG_TRUNC | OFLAG_DIRECTORY, FD_READ, Err(Errno::Inval)),
        ("link", 0, 0, FD_READ, Err(Errno::Loop)),
        ("link", FOLLOW, 0, FD_READ, Ok(())),
        ("link", FOLLOW, OFLAG_CREAT | OFLAG_EXCL, FD_READ, Err(Errno::Exist)),
        ("link/", 0, 0, FD_READ, Err(Errno::Notdir)),
        ("dirlink", 0, OFLAG_DIRECTORY, FD_READ, Err(Errno::Notdir)),
        ("dirlink", FOLLOW, OFLAG_DIRECTORY, FD_READ, Ok(())),
        ("dirlink/", 0, 0, FD_READ, Ok(())),
        ("dangling", 0, 0, FD_READ, Err(Errno::Loop)),
        ("dangling", FOLLOW, 0, FD_READ, Err(Errno::Noent)),
        ("dangling", FOLLOW, OFLAG_CREAT, FD_READ, Ok(())),
        ("dangling", FOLLOW, OFLAG_CREAT | OFLAG_EXCL, FD_READ, Err(Errno::Exist)),
        ("loop", 0, 0, FD_READ, Err(Errno::Loop)),
        ("loop", FOLLOW, 0, FD_READ, Err(Errno::Loop)),
        ("up", FOLLOW, 0, FD_READ, Err(Errno::Perm)),
        ("absolute", FOLLOW, 0, FD_READ, Err(Errno::Perm)),
        ("nothing", 0, 0, FD_READ, Err(Errno::Noent)),
        ("nothing/", 0, OFLAG_CREAT, FD_READ, Err(Errno::Isdir)),
        ("dir/file", 2, 0, FD_READ, Err(Errno::Inval)),
        ("dir/file", 0, 16, FD_READ, Err(Errno::Inval)),
        ("stream", 0, OFLAG_DIRECTORY, FD_READ, Err(Errno::Notdir)),
    ];
    for (path, lookup, oflags, rights, expected) in table {
        let result = sample().path_open(ROOT_FD, lookup, path, oflags, rights, 0, 0);
        assert_eq!(result.map(|_| ()), expected, "{path:?} {lookup} {oflags} {rights}");
    }
    assert_eq!(sample().path_open(ROOT_FD, 0, "dir/file", 0, FD_READ, 0, 32), Err(Errno::Inval));
    check_bad_paths("path_open", |process, path| open(process, path, OFLAG_CREAT, FD_READ));
    check_base("path_open", |process, fd| process.path_open(fd, 0, "x", OFLAG_CREAT, 0, 0, 0));
    check_right(PATH_OPEN, |process, fd| process.path_open(fd, 0, "dir", 0, 0, 0, 0));
    check_right(PATH_CREATE_FILE, |process, fd| process.path_open(fd, 0, "new", OFLAG_CREAT, 0, 0, 0));
}

#[test]
fn path_open_numbers_are_the_lowest_free_and_limited() {
    let mut process = process_with(Quota { open_files_max: 6, ..Quota::default() }, TestPlatform::default(), vec![]);
    assert_eq!(open(&mut process, "a", OFLAG_CREAT, READ_WRITE), Ok(4));
    assert_eq!(open(&mut process, "b", OFLAG_CREAT, READ_WRITE), Ok(5));
    assert_eq!(open(&mut process, "c", OFLAG_CREAT, READ_WRITE), Err(Errno::Mfile));
    assert_eq!(names(&mut process, "."), Ok(vec!["a".into(), "b".into()]), "nothing was created");
    assert_eq!(process.add_host(9), Err(Errno::Mfile));
    process.fd_close(4).unwrap();
    process.fd_close(0).unwrap();
    assert_eq!(open(&mut process, "a", 0, FD_READ), Ok(0));
    assert_eq!(open(&mut process, "a", 0, FD_READ), Ok(4));
    assert_eq!(process.open_fds().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn path_open_gives_the_rights_that_wasmtime_gives() {
    let mut process = sample();
    let preopen = process.fd_fdstat_get(ROOT_FD).unwrap();
    assert_eq!((preopen.filetype, preopen.flags), (3, 0));
    assert_eq!((preopen.rights_base, preopen.rights_inheriting), (PREOPEN_BASE, PREOPEN_INHERITING));
    let dir = open(&mut process, "dir", OFLAG_DIRECTORY, FD_SEEK).unwrap();
    let stat = process.fd_fdstat_get(dir).unwrap();
    assert_eq!(stat.rights_base & (FD_SEEK | FD_FILESTAT_SET_SIZE | PATH_FILESTAT_SET_SIZE | FD_WRITE), 0);
    assert_eq!(stat.rights_inheriting, PREOPEN_INHERITING);
    assert_eq!(stat.rights_base & PREOPEN_BASE, PREOPEN_BASE);
    for (rights, read, write) in
        [(FD_READ, true, false), (FD_WRITE, false, true), (READ_WRITE, true, true), (0, true, false)]
    {
        let fd = open(&mut process, "dir/file", 0, rights).unwrap();
        let stat = process.fd_fdstat_get(fd).unwrap();
        assert_eq!((stat.rights_base & FD_READ != 0, stat.rights_base & FD_WRITE != 0), (read, write));
        assert_eq!(stat.filetype, 4);
        assert_eq!(stat.to_bytes()[..8], [4, 0, 0, 0, 0, 0, 0, 0]);
        let empty = process.fd_read(&mut [0; 4], fd, [(0, 4)].as_slice());
        assert_eq!(empty.is_ok(), read, "{empty:?}");
        assert_eq!(write_result(&mut process, fd), if write { Ok(4) } else { Err(Errno::Badf) });
        process.fd_close(fd).unwrap();
    }
    let all = FDFLAG_APPEND | FDFLAG_DSYNC | FDFLAG_NONBLOCK | FDFLAG_RSYNC | FDFLAG_SYNC;
    let fd = process.path_open(ROOT_FD, 0, "new", OFLAG_CREAT, READ_WRITE, 0, all).unwrap();
    assert_eq!(process.fd_fdstat_get(fd).unwrap().flags, all);
}

fn write_result(process: &mut TestProcess, fd: u32) -> Result<usize, Errno> {
    write(process, fd, b"abcd")
}

#[test]
fn opening_a_stream_gives_a_stream() {
    let mut process = sample();
    let fd = open(&mut process, "stream", OFLAG_TRUNC, FD_WRITE).unwrap();
    assert_eq!(process.target(fd), Ok(Target::Stream(StreamId(4))));
    assert_eq!(process.allowed(fd, FD_WRITE), Ok(Target::Stream(StreamId(4))));
    assert_eq!(process.allowed(fd, FD_READ), Err(Errno::Badf));
    assert_eq!(process.fd_fdstat_get(fd).unwrap().filetype, 0);
    assert_eq!(process.fd_filestat_get(fd).unwrap().kind, FileType::Stream);
    assert_eq!(process.fd_seek(fd, 0, 0), Err(Errno::Spipe));
    assert_eq!(process.fd_tell(fd), Err(Errno::Spipe));
    assert_eq!(pwrite(&mut process, fd, 0, b"x"), Err(Errno::Spipe));
    process.path_unlink_file(ROOT_FD, "stream").unwrap();
    assert_eq!(process.fd_close(fd), Ok(Target::Stream(StreamId(4))));
    assert_eq!(process.path_filestat_get(ROOT_FD, 0, "stream"), Err(Errno::Noent));
}

#[test]
fn path_create_directory_errors() {
    let table = [
        ("new", Ok(())),
        ("new/", Ok(())),
        ("dir/new", Ok(())),
        ("dirlink/new", Ok(())),
        (".", Err(Errno::Exist)),
        ("dir", Err(Errno::Exist)),
        ("dir/", Err(Errno::Exist)),
        ("dir/file", Err(Errno::Exist)),
        ("dir/..", Err(Errno::Exist)),
        ("dangling", Err(Errno::Exist)),
        ("loop", Err(Errno::Exist)),
        ("new/new", Err(Errno::Noent)),
    ];
    check("path_create_directory", &table, |process, path| process.path_create_directory(ROOT_FD, path));
    check_bad_paths("path_create_directory", |process, path| process.path_create_directory(ROOT_FD, path));
    check_base("path_create_directory", |process, fd| process.path_create_directory(fd, "x"));
    check_right(PATH_CREATE_DIRECTORY, |process, fd| process.path_create_directory(fd, "x"));
}

#[test]
fn path_remove_directory_errors() {
    let table = [
        ("dir/sub", Ok(())),
        ("dir/sub/", Ok(())),
        ("dir/sub///", Ok(())),
        ("dir", Err(Errno::Notempty)),
        (".", Err(Errno::Inval)),
        ("dir/.", Err(Errno::Inval)),
        ("dir/sub/..", Err(Errno::Notempty)),
        ("dir/file", Err(Errno::Notdir)),
        ("dir/file/", Err(Errno::Notdir)),
        ("dirlink", Err(Errno::Notdir)),
        ("dirlink/", Err(Errno::Notdir)),
        ("nothing", Err(Errno::Noent)),
        ("stream", Err(Errno::Notdir)),
    ];
    check("path_remove_directory", &table, |process, path| process.path_remove_directory(ROOT_FD, path));
    check_bad_paths("path_remove_directory", |process, path| process.path_remove_directory(ROOT_FD, path));
    check_base("path_remove_directory", |process, fd| process.path_remove_directory(fd, "x"));
    check_right(PATH_REMOVE_DIRECTORY, |process, fd| process.path_remove_directory(fd, "dir"));
}

#[test]
fn path_unlink_file_errors() {
    let table = [
        ("dir/file", Ok(())),
        ("link", Ok(())),
        ("dirlink", Ok(())),
        ("dangling", Ok(())),
        ("loop", Ok(())),
        ("stream", Ok(())),
        ("dir", Err(Errno::Isdir)),
        ("dir/", Err(Errno::Isdir)),
        (".", Err(Errno::Isdir)),
        ("dir/..", Err(Errno::Isdir)),
        ("dir/file/", Err(Errno::Notdir)),
        ("dirlink/", Err(Errno::Notdir)),
        ("nothing", Err(Errno::Noent)),
    ];
    check("path_unlink_file", &table, |process, path| process.path_unlink_file(ROOT_FD, path));
    check_bad_paths("path_unlink_file", |process, path| process.path_unlink_file(ROOT_FD, path));
    check_base("path_unlink_file", |process, fd| process.path_unlink_file(fd, "x"));
    check_right(PATH_UNLINK_FILE, |process, fd| process.path_unlink_file(fd, "link"));
}

#[test]
fn path_filestat_get_and_set_times_errors() {
    let table = [
        ("dir/file", Ok(FileType::File)),
        ("dir", Ok(FileType::Directory)),
        (".", Ok(FileType::Directory)),
        ("dir/..", Ok(FileType::Directory)),
        ("link", Ok(FileType::Symlink)),
        ("loop", Ok(FileType::Symlink)),
        ("dirlink/", Ok(FileType::Directory)),
        ("stream", Ok(FileType::Stream)),
        ("link/", Err(Errno::Notdir)),
        ("dir/file/", Err(Errno::Notdir)),
        ("nothing", Err(Errno::Noent)),
    ];
    check("stat", &table, |process, path| process.path_filestat_get(ROOT_FD, 0, path).map(|stat| stat.kind));
    let followed = [
        ("link", Ok(FileType::File)),
        ("dirlink", Ok(FileType::Directory)),
        ("dangling", Err(Errno::Noent)),
        ("loop", Err(Errno::Loop)),
        ("up", Err(Errno::Perm)),
        ("absolute", Err(Errno::Perm)),
    ];
    check("stat", &followed, |process, path| process.path_filestat_get(ROOT_FD, FOLLOW, path).map(|stat| stat.kind));
    assert_eq!(sample().path_filestat_get(ROOT_FD, 4, "dir"), Err(Errno::Inval));
    check_bad_paths("path_filestat_get", |process, path| process.path_filestat_get(ROOT_FD, 0, path));
    check_base("path_filestat_get", |process, fd| process.path_filestat_get(fd, 0, "x"));
    check_right(PATH_FILESTAT_GET, |process, fd| process.path_filestat_get(fd, 0, "dir"));
    let set = |process: &mut TestProcess, fd, path: &str| process.path_filestat_set_times(fd, 0, path, 1, 2, 5);
    check_bad_paths("path_filestat_set_times", |process, path| set(process, ROOT_FD, path));
    check_base("path_filestat_set_times", |process, fd| set(process, fd, "x"));
    check_right(PATH_FILESTAT_SET_TIMES, |process, fd| set(process, fd, "dir"));
}

#[test]
fn times_are_set_as_asked() {
    let mut process = sample();
    let before = process.path_filestat_get(ROOT_FD, 0, "link").unwrap();
    process.path_filestat_set_times(ROOT_FD, 0, "link", 11, 22, 1 | 4).unwrap();
    let after = process.path_filestat_get(ROOT_FD, 0, "link").unwrap();
    assert_eq!((after.times.accessed, after.times.modified), (11, 22));
    assert!(after.times.changed > before.times.changed);
    process.path_filestat_set_times(ROOT_FD, FOLLOW, "link", 33, 44, 4).unwrap();
    let file = process.path_filestat_get(ROOT_FD, 0, "dir/file").unwrap();
    assert_eq!(file.times.modified, 44);
    assert_ne!(file.times.accessed, 33);
    assert_eq!(process.path_filestat_get(ROOT_FD, 0, "link").unwrap().times, after.times);
    let fd = open(&mut process, "dir/file", 0, FD_READ).unwrap();
    process.fd_filestat_set_times(fd, 55, 66, 1 | 8).unwrap();
    let stat = process.fd_filestat_get(fd).unwrap();
    assert_eq!(stat.times.accessed, 55);
    assert!(stat.times.modified > EPOCH);
    process.fd_filestat_set_times(fd, 0, 0, 0).unwrap();
    assert_eq!(process.fd_filestat_get(fd).unwrap(), stat);
    for flags in [1 | 2, 4 | 8, 15, 16, 0x8000] {
        assert_eq!(process.fd_filestat_set_times(fd, 1, 2, flags), Err(Errno::Inval), "{flags}");
        assert_eq!(process.path_filestat_set_times(ROOT_FD, 0, "dir", 1, 2, flags), Err(Errno::Inval), "{flags}");
    }
    assert_eq!(process.fd_filestat_get(fd).unwrap(), stat);
    assert_eq!(process.fd_filestat_set_times(99, 1, 2, 1), Err(Errno::Badf));
}

#[test]
fn records_have_the_layout_of_wasi() {
    let mut process = sample();
    process.path_filestat_set_times(ROOT_FD, 0, "dir/file", 7, 8, 5).unwrap();
    let stat = process.path_filestat_get(ROOT_FD, 0, "dir/file").unwrap();
    let bytes = filestat_bytes(&stat);
    let word = |index: usize| u64::from_le_bytes(bytes[index * 8..index * 8 + 8].try_into().unwrap());
    assert_eq!((word(0), word(1), bytes[16], word(3), word(4)), (DEVICE, stat.ino, 4, 1, 8));
    assert_eq!((word(5), word(6), word(7)), (7, 8, stat.times.changed));
    let fd = process.path_open(ROOT_FD, 0, "dir/file", 0, READ_WRITE, 0, FDFLAG_APPEND).unwrap();
    let fdstat = process.fd_fdstat_get(fd).unwrap().to_bytes();
    assert_eq!((fdstat[0], fdstat[2], fdstat[3]), (4, 1, 0));
    assert_eq!(u64::from_le_bytes(fdstat[8..16].try_into().unwrap()) & READ_WRITE, READ_WRITE);
}

#[test]
fn path_link_errors() {
    let table = [
        (("dir/file", "new"), Ok(())),
        (("dir/file", "dirlink/new"), Ok(())),
        (("dangling", "new"), Ok(())),
        (("loop", "new"), Ok(())),
        (("stream", "new"), Ok(())),
        (("dir/file", "dir/file"), Err(Errno::Exist)),
        (("dir/file", "dir"), Err(Errno::Exist)),
        (("dir/file", "dangling"), Err(Errno::Exist)),
        (("dir/file", "new/"), Err(Errno::Noent)),
        (("dir/file", "nothing/new"), Err(Errno::Noent)),
        (("dir/file", ""), Err(Errno::Noent)),
        (("dir/file", ".."), Err(Errno::Perm)),
        (("dir/file", "/"), Err(Errno::Perm)),
        (("dir/file/", "new"), Err(Errno::Notdir)),
        (("dir", "new"), Err(Errno::Perm)),
        ((".", "new"), Err(Errno::Perm)),
        (("nothing", "new"), Err(Errno::Noent)),
    ];
    for ((old, new), expected) in table {
        let mut process = sample();
        assert_eq!(process.path_link(ROOT_FD, 0, old, ROOT_FD, new), expected, "{old:?} {new:?}");
    }
    assert_eq!(sample().path_link(ROOT_FD, FOLLOW, "dangling", ROOT_FD, "new"), Err(Errno::Noent));
    assert_eq!(sample().path_link(ROOT_FD, 2, "link", ROOT_FD, "new"), Err(Errno::Inval));
    let mut process = sample();
    process.path_link(ROOT_FD, FOLLOW, "link", ROOT_FD, "new").unwrap();
    let (old, new) = ("dir/file", "new");
    let stats = [old, new].map(|path| process.path_filestat_get(ROOT_FD, 0, path).unwrap());
    assert_eq!(stats[0], stats[1]);
    assert_eq!(stats[0].links, 2);
    process.path_unlink_file(ROOT_FD, old).unwrap();
    assert_eq!(read_file(&mut process, new), Ok(b"contents".to_vec()));
    assert_eq!(process.path_filestat_get(ROOT_FD, 0, new).unwrap().links, 1);
    check_bad_paths("path_link", |process, path| process.path_link(ROOT_FD, 0, path, ROOT_FD, "new"));
    check_bad_paths("path_link", |process, path| process.path_link(ROOT_FD, 0, "link", ROOT_FD, path));
    check_base("path_link", |process, fd| process.path_link(fd, 0, "link", ROOT_FD, "new"));
    check_base("path_link", |process, fd| process.path_link(ROOT_FD, 0, "link", fd, "new"));
    check_right(PATH_LINK_SOURCE, |process, fd| process.path_link(fd, 0, "link", ROOT_FD, "new"));
    check_right(PATH_LINK_TARGET, |process, fd| process.path_link(ROOT_FD, 0, "link", fd, "new"));
}

#[test]
fn path_symlink_and_readlink_errors() {
    let table = [
        (("anything/at all", "new"), Ok(())),
        (("dir", "dir"), Err(Errno::Exist)),
        (("dir", "dir/"), Err(Errno::Exist)),
        (("dir", "dir/file"), Err(Errno::Exist)),
        (("dir", "dir/file/"), Err(Errno::Exist)),
        (("dir", "dangling"), Err(Errno::Exist)),
        (("dir", "new/"), Err(Errno::Noent)),
        (("dir", ""), Err(Errno::Noent)),
        (("", "new"), Err(Errno::Noent)),
        (("/", "new"), Err(Errno::Perm)),
        (("/dir", "new"), Err(Errno::Perm)),
        (("nul\0", "new"), Err(Errno::Inval)),
    ];
    for ((target, path), expected) in table {
        assert_eq!(sample().path_symlink(target, ROOT_FD, path), expected, "{target:?} {path:?}");
    }
    assert_eq!(sample().path_symlink(&"x".repeat(4097), ROOT_FD, "new"), Err(Errno::Nametoolong));
    check_bad_paths("path_symlink", |process, path| process.path_symlink("x", ROOT_FD, path));
    check_base("path_symlink", |process, fd| process.path_symlink("x", fd, "new"));
    check_right(PATH_SYMLINK, |process, fd| process.path_symlink("x", fd, "new"));
    let readlink = |process: &mut TestProcess, fd, path: &str, len: usize| {
        let mut bytes = vec![b'-'; 12];
        let used = process.path_readlink(&mut bytes, fd, path, 1, len)?;
        Ok((used, String::from_utf8(bytes).unwrap()))
    };
    let table = [
        ("link", Ok((8, "-dir/file---".into()))),
        ("absolute", Ok((4, "-/etc-------".into()))),
        ("loop", Ok((4, "-loop-------".into()))),
        ("dir", Err(Errno::Inval)),
        (".", Err(Errno::Inval)),
        ("dir/file", Err(Errno::Inval)),
        ("dirlink/", Err(Errno::Inval)),
        ("link/", Err(Errno::Notdir)),
        ("nothing", Err(Errno::Noent)),
        ("./../", Err(Errno::Perm)),
    ];
    check("path_readlink", &table, |process, path| readlink(process, ROOT_FD, path, 11));
    check("short", &[("link", Ok((4, "-dir/-------".into())))], |process, path| readlink(process, ROOT_FD, path, 4));
    check("none", &[("link", Ok((0, "------------".into())))], |process, path| readlink(process, ROOT_FD, path, 0));
    check_bad_paths("path_readlink", |process, path| readlink(process, ROOT_FD, path, 11));
    check_base("path_readlink", |process, fd| readlink(process, fd, "x", 11));
    check_right(PATH_READLINK, |process, fd| readlink(process, fd, "link", 11));
}

#[test]
fn path_rename_errors() {
    let table = [
        (("dir/file", "new"), Ok(())),
        (("dir", "new"), Ok(())),
        (("dir/", "new/"), Ok(())),
        (("dir", "new/"), Ok(())),
        (("link", "new"), Ok(())),
        (("dir/file", "link"), Ok(())),
        (("dir/file", "dir/file"), Ok(())),
        (("dir", "dir"), Ok(())),
        (("stream", "dir/file"), Ok(())),
        (("dir/file", "dir/sub"), Err(Errno::Isdir)),
        (("dir/file", "dir"), Err(Errno::Notempty)),
        (("link", "dir"), Err(Errno::Isdir)),
        (("dir/sub", "dir/file"), Err(Errno::Notdir)),
        (("dir/sub", "dirlink"), Err(Errno::Notdir)),
        (("dir/sub", "dir"), Err(Errno::Notempty)),
        (("dir", "dir/sub"), Err(Errno::Inval)),
        (("dir", "dir/sub/new"), Err(Errno::Inval)),
        (("dir", "dirlink/new"), Err(Errno::Inval)),
        (("dir/file", "new/"), Err(Errno::Notdir)),
        (("dir/file/", "new"), Err(Errno::Notdir)),
        (("dirlink/", "new"), Err(Errno::Notdir)),
        ((".", "new"), Err(Errno::Busy)),
        (("dir/..", "new"), Err(Errno::Busy)),
        (("dir", "."), Err(Errno::Busy)),
        (("nothing", "new"), Err(Errno::Noent)),
        (("nothing", "../new"), Err(Errno::Perm)),
    ];
    for ((old, new), expected) in table {
        assert_eq!(sample().path_rename(ROOT_FD, old, ROOT_FD, new), expected, "{old:?} {new:?}");
    }
    check_bad_paths("path_rename", |process, path| process.path_rename(ROOT_FD, path, ROOT_FD, "new"));
    check_bad_paths("path_rename", |process, path| process.path_rename(ROOT_FD, "link", ROOT_FD, path));
    check_base("path_rename", |process, fd| process.path_rename(fd, "link", ROOT_FD, "new"));
    check_base("path_rename", |process, fd| process.path_rename(ROOT_FD, "link", fd, "new"));
    check_right(PATH_RENAME_SOURCE, |process, fd| process.path_rename(fd, "link", ROOT_FD, "new"));
    check_right(PATH_RENAME_TARGET, |process, fd| process.path_rename(ROOT_FD, "link", fd, "new"));
}

#[test]
fn rename_moves_what_is_below_and_keeps_open_files() {
    let mut process = sample();
    let fd = open(&mut process, "dir/file", 0, READ_WRITE).unwrap();
    let ino = process.fd_filestat_get(fd).unwrap().ino;
    process.path_create_directory(ROOT_FD, "empty").unwrap();
    process.path_rename(ROOT_FD, "dir", ROOT_FD, "empty").unwrap();
    assert_eq!(process.path_filestat_get(ROOT_FD, 0, "empty/file").unwrap().ino, ino);
    assert_eq!(process.path_filestat_get(ROOT_FD, 0, "dir"), Err(Errno::Noent));
    write_file(&mut process, "other", b"other");
    process.path_rename(ROOT_FD, "other", ROOT_FD, "empty/file").unwrap();
    assert_eq!(pread(&mut process, fd, 0, 20), Ok(b"contents".to_vec()), "the open file lives on");
    assert_eq!(process.fd_filestat_get(fd).unwrap().links, 0);
    assert_eq!(read_file(&mut process, "empty/file"), Ok(b"other".to_vec()));
    assert_eq!(names(&mut process, "empty"), Ok(vec!["sub".into(), "file".into()]));
    let dir = open(&mut process, "empty/sub", OFLAG_DIRECTORY, FD_READ).unwrap();
    process.path_rename(ROOT_FD, "empty/sub", ROOT_FD, "moved").unwrap();
    process.path_open(dir, 0, "inside", OFLAG_CREAT, 0, 0, 0).unwrap();
    assert_eq!(names(&mut process, "moved/../moved"), Ok(vec!["inside".into()]));
}

#[test]
fn fd_functions_on_what_they_do_not_serve() {
    let mut process = sample();
    let dir = open(&mut process, "dir", OFLAG_DIRECTORY, FD_READ).unwrap();
    let spans = [(0, 4)];
    let spans = spans.as_slice();
    let memory = &mut [0; 64][..];
    for (fd, read) in [(dir, Errno::Isdir), (ROOT_FD, Errno::Badf)] {
        assert_eq!(process.fd_read(memory, fd, spans), Err(read));
        assert_eq!(process.fd_pread(memory, fd, spans, 0), Err(read));
        assert_eq!(process.fd_write(memory, fd, spans), Err(Errno::Badf));
        assert_eq!(process.fd_pwrite(memory, fd, spans, 0), Err(Errno::Badf));
        for whence in 0..3 {
            assert_eq!(process.fd_seek(fd, 0, whence), Err(Errno::Badf));
        }
        assert_eq!(process.fd_tell(fd), Err(Errno::Badf));
        assert_eq!(process.fd_allocate(fd, 0, 1), Err(Errno::Badf));
        assert_eq!(process.fd_advise(fd, 0, 1, 0), Err(Errno::Badf));
        assert_eq!(process.fd_filestat_set_size(fd, 0), Err(Errno::Badf));
        assert_eq!(process.fd_fdstat_set_flags(fd, 0), Err(Errno::Badf));
        assert_eq!(process.fd_sync(fd), Ok(()));
        assert_eq!(process.fd_datasync(fd), Ok(()));
    }
    let file = open(&mut process, "dir/file", 0, FD_READ).unwrap();
    assert_eq!(process.fd_readdir(memory, file, 0, 64, 0), Err(Errno::Notdir));
    for fd in [77, u32::MAX] {
        assert_eq!(process.fd_read(memory, fd, spans), Err(Errno::Badf));
        assert_eq!(process.fd_pread(memory, fd, spans, 0), Err(Errno::Badf));
        assert_eq!(process.fd_write(memory, fd, spans), Err(Errno::Badf));
        assert_eq!(process.fd_pwrite(memory, fd, spans, 0), Err(Errno::Badf));
        assert_eq!(process.fd_seek(fd, 0, 0), Err(Errno::Badf));
        assert_eq!(process.fd_tell(fd), Err(Errno::Badf));
        assert_eq!(process.fd_allocate(fd, 0, 1), Err(Errno::Badf));
        assert_eq!(process.fd_advise(fd, 0, 1, 0), Err(Errno::Badf));
        assert_eq!(process.fd_filestat_get(fd), Err(Errno::Badf));
        assert_eq!(process.fd_filestat_set_size(fd, 0), Err(Errno::Badf));
        assert_eq!(process.fd_fdstat_get(fd), Err(Errno::Badf));
        assert_eq!(process.fd_fdstat_set_flags(fd, 0), Err(Errno::Badf));
        assert_eq!(process.fd_fdstat_set_rights(fd, 0, 0), Err(Errno::Badf));
        assert_eq!(process.fd_sync(fd), Err(Errno::Badf));
        assert_eq!(process.fd_datasync(fd), Err(Errno::Badf));
        assert_eq!(process.fd_close(fd), Err(Errno::Badf));
        assert_eq!(process.fd_readdir(memory, fd, 0, 64, 0), Err(Errno::Badf));
        assert_eq!(process.fd_prestat_get(fd), Err(Errno::Badf));
        assert_eq!(process.fd_prestat_dir_name(memory, fd, 0, 64), Err(Errno::Badf));
    }
}

#[test]
fn fd_prestat_names_preopens() {
    let mut process = process();
    let host = process.add_preopen("some/where", Target::Host(8)).unwrap();
    assert_eq!(host, 4);
    assert_eq!((process.fd_prestat_get(3), process.fd_prestat_get(4)), (Ok(1), Ok(10)));
    let memory = &mut [b'-'; 12][..];
    assert_eq!(process.fd_prestat_dir_name(memory, 4, 1, 11), Ok(()));
    assert_eq!(memory, b"-some/where-");
    assert_eq!(process.fd_prestat_dir_name(memory, 4, 0, 9), Err(Errno::Nametoolong));
    assert_eq!(process.fd_prestat_get(0), Err(Errno::Badf));
    assert_eq!(process.fd_prestat_dir_name(memory, 0, 0, 12), Err(Errno::Notdir));
    assert_eq!(process.fd_close(4), Ok(Target::Host(8)));
    assert_eq!(process.fd_prestat_get(4), Err(Errno::Badf));
    assert_eq!(process.fd_close(3).map(|_| ()), Ok(()));
    assert_eq!(process.path_create_directory(3, "x"), Err(Errno::Badf));
}

#[test]
fn reading_and_writing_through_several_spans() {
    let mut process = process();
    let fd = open(&mut process, "file", OFLAG_CREAT, READ_WRITE).unwrap();
    let memory = b"0123456789".to_vec();
    let spans = [(0, 2), (9, 0), (5, 3), (1, 1)];
    assert_eq!(process.fd_write(&memory, fd, spans.as_slice()), Ok(6));
    assert_eq!(process.fd_tell(fd), Ok(6));
    assert_eq!(process.fd_seek(fd, -5, 1), Ok(1));
    let mut memory = vec![b'-'; 10];
    assert_eq!(process.fd_read(&mut memory, fd, [(8, 2), (0, 0), (0, 8)].as_slice()), Ok(5));
    assert_eq!(memory, b"671-----15");
    assert_eq!(process.fd_read(&mut memory, fd, [(0, 8)].as_slice()), Ok(0), "the end");
    assert_eq!(process.fd_read(&mut memory, fd, [].as_slice()), Ok(0));
    assert_eq!(process.fd_pread(&mut memory, fd, [(0, 1), (1, 1)].as_slice(), 4), Ok(2));
    assert_eq!(memory, b"711-----15");
    assert_eq!(process.fd_pwrite(&memory, fd, [(0, 1), (3, 1)].as_slice(), 1), Ok(2));
    assert_eq!(process.fd_tell(fd), Ok(6), "positions stay");
    assert_eq!(read_file(&mut process, "file"), Ok(b"07-671".to_vec()));
    assert_eq!(pread(&mut process, fd, u64::MAX, 1), Err(Errno::Inval));
    assert_eq!(pwrite(&mut process, fd, u64::MAX, b"x"), Err(Errno::Inval));
    assert_eq!(process.fd_read(&mut memory, fd, [(usize::MAX, 2)].as_slice()), Ok(0));
    process.fd_seek(fd, 0, 0).unwrap();
    let far = process.fd_write(&memory, fd, [(usize::MAX, 40_000)].as_slice());
    assert_eq!(far, Err(Errno::Fault), "an address space has an end");
}

#[test]
fn seeking() {
    let mut process = process();
    write_file(&mut process, "file", &[0; 100]);
    let fd = open(&mut process, "file", 0, READ_WRITE).unwrap();
    let table = [
        (10, 0, Ok(10)),
        (5, 1, Ok(15)),
        (-15, 1, Ok(0)),
        (-1, 1, Err(Errno::Inval)),
        (-1, 0, Err(Errno::Inval)),
        (i64::MIN, 0, Err(Errno::Inval)),
        (-100, 2, Ok(0)),
        (-101, 2, Err(Errno::Inval)),
        (1000, 2, Ok(1100)),
        (i64::MAX, 0, Ok(i64::MAX as u64)),
        (1, 1, Err(Errno::Inval)),
        (i64::MAX, 2, Err(Errno::Inval)),
        (0, 1, Ok(i64::MAX as u64)),
        (0, 3, Err(Errno::Inval)),
        (0, 255, Err(Errno::Inval)),
    ];
    for (offset, whence, expected) in table {
        assert_eq!(process.fd_seek(fd, offset, whence), expected, "{offset} {whence}");
    }
    assert_eq!(read(&mut process, fd, 1), Ok(vec![]));
    assert_eq!(write(&mut process, fd, b"x"), Err(Errno::Fbig));
    let stat = process.fd_fdstat_get(fd).unwrap();
    process.fd_fdstat_set_rights(fd, stat.rights_base & !FD_SEEK, 0).unwrap();
    assert_eq!(process.fd_seek(fd, 0, 0), Err(Errno::Notcapable));
    assert_eq!(process.fd_seek(fd, 0, 1), Ok(i64::MAX as u64));
    process.fd_fdstat_set_rights(fd, 0, 0).unwrap();
    assert_eq!(process.fd_tell(fd), Err(Errno::Notcapable));
}

#[test]
fn appending() {
    let mut process = process();
    write_file(&mut process, "file", b"0123");
    let fd = process.path_open(ROOT_FD, 0, "file", 0, READ_WRITE, 0, FDFLAG_APPEND).unwrap();
    assert_eq!(write(&mut process, fd, b"45"), Ok(2));
    assert_eq!(process.fd_tell(fd), Ok(6));
    process.fd_seek(fd, 0, 0).unwrap();
    assert_eq!(write(&mut process, fd, b""), Ok(0));
    assert_eq!(process.fd_tell(fd), Ok(0));
    let memory = b"6789";
    assert_eq!(process.fd_write(memory, fd, [(0, 1), (1, 3)].as_slice()), Ok(4));
    assert_eq!(process.fd_tell(fd), Ok(10));
    assert_eq!(pwrite(&mut process, fd, 0, b"ab"), Ok(2));
    assert_eq!(process.fd_tell(fd), Ok(10));
    assert_eq!(read_file(&mut process, "file"), Ok(b"0123456789ab".to_vec()));
    process.fd_fdstat_set_flags(fd, FDFLAG_NONBLOCK).unwrap();
    process.fd_seek(fd, 0, 0).unwrap();
    assert_eq!(write(&mut process, fd, b"X"), Ok(1));
    assert_eq!(read_file(&mut process, "file"), Ok(b"X123456789ab".to_vec()));
    assert_eq!(process.fd_fdstat_set_flags(fd, 32), Err(Errno::Inval));
    let stat = process.fd_fdstat_get(fd).unwrap();
    assert_eq!(stat.flags, FDFLAG_NONBLOCK);
    process.fd_fdstat_set_rights(fd, stat.rights_base & !FD_FDSTAT_SET_FLAGS, 0).unwrap();
    assert_eq!(process.fd_fdstat_set_flags(fd, 0), Err(Errno::Notcapable));
}

#[test]
fn sizes() {
    let mut process = process();
    write_file(&mut process, "file", b"0123456789");
    let reader = open(&mut process, "file", 0, FD_READ).unwrap();
    let fd = open(&mut process, "file", 0, READ_WRITE).unwrap();
    assert_eq!(process.fd_filestat_set_size(reader, 3), Err(Errno::Inval));
    assert_eq!(process.fd_allocate(reader, 0, 3), Err(Errno::Badf));
    process.fd_filestat_set_size(fd, 4).unwrap();
    process.fd_filestat_set_size(fd, 7).unwrap();
    assert_eq!(read_file(&mut process, "file"), Ok(b"0123\0\0\0".to_vec()));
    process.fd_allocate(fd, 2, 3).unwrap();
    assert_eq!(process.fd_filestat_get(fd).unwrap().size, 7);
    process.fd_allocate(fd, 5, 5).unwrap();
    assert_eq!(process.fd_filestat_get(fd).unwrap().size, 10);
    for (offset, len, errno) in
        [(0, 0, Errno::Inval), (u64::MAX, 1, Errno::Fbig), (1 << 40, 1, Errno::Fbig), (0, (1 << 30) + 11, Errno::Nospc)]
    {
        assert_eq!(process.fd_allocate(fd, offset, len), Err(errno), "{offset} {len}");
    }
    for size in [u64::MAX, i64::MAX as u64, (1 << 40) + 1] {
        assert_eq!(process.fd_filestat_set_size(fd, size), Err(Errno::Fbig));
    }
    process.fd_filestat_set_size(fd, 1 << 40).unwrap();
    assert_eq!(pread(&mut process, fd, (1 << 40) - 2, 9), Ok(vec![0, 0]));
    assert_eq!(pwrite(&mut process, fd, (1 << 40) - 2, b"abc"), Ok(2), "as far as files may go");
    assert_eq!(pwrite(&mut process, fd, 1 << 40, b"abc"), Err(Errno::Fbig));
    assert!(process.vfs.usage().bytes < 17_000, "holes cost nothing: {:?}", process.vfs.usage());
    process.fd_advise(fd, 0, u64::MAX, 5).unwrap();
    assert_eq!(process.fd_advise(fd, 0, 0, 6), Err(Errno::Inval));
}

/// The dirents in a buffer: next, ino, type, name. The last may be cut.
fn dirents(bytes: &[u8]) -> Vec<(u64, u64, u8, String)> {
    let mut rest = bytes;
    let mut found = vec![];
    while rest.len() >= 24 {
        let word = |at: usize| u64::from_le_bytes(rest[at..at + 8].try_into().unwrap());
        let len = (word(16) & 0xffff_ffff) as usize;
        if rest.len() < 24 + len {
            break;
        }
        found.push((word(0), word(8), rest[20], String::from_utf8(rest[24..24 + len].to_vec()).unwrap()));
        rest = &rest[24 + len..];
    }
    found
}

#[test]
fn fd_readdir_with_every_size_of_buffer() {
    let mut process = sample();
    let dir = process.path_filestat_get(ROOT_FD, 0, "dir").unwrap().ino;
    let root = process.path_filestat_get(ROOT_FD, 0, ".").unwrap().ino;
    let fd = open(&mut process, "dir", OFLAG_DIRECTORY, FD_READ).unwrap();
    let mut whole = vec![0; 1000];
    let used = process.fd_readdir(&mut whole, fd, 0, 1000, 0).unwrap();
    let all = dirents(&whole[..used]);
    let brief: Vec<_> = all.iter().map(|(next, _, kind, name)| (*next, *kind, name.as_str())).collect();
    assert_eq!(brief, [(1, 3, "."), (2, 3, ".."), (3, 3, "sub"), (4, 4, "file")]);
    assert_eq!((all[0].1, all[1].1), (dir, root));
    assert_eq!(used, 4 * 24 + 1 + 2 + 3 + 4);
    for size in 0..used + 5 {
        let mut bytes = vec![0xaa; size + 2];
        assert_eq!(process.fd_readdir(&mut bytes, fd, 1, size, 0), Ok(size.min(used)), "{size}");
        assert_eq!(bytes[1..=size.min(used)], whole[..size.min(used)]);
        assert_eq!((bytes[0], bytes[size + 1]), (0xaa, 0xaa), "nothing outside the buffer");
        if size < 24 + 4 {
            continue;
        }
        // A listing in steps gives every entry once.
        let (mut cookie, mut seen) = (0, vec![]);
        loop {
            let used = process.fd_readdir(&mut bytes, fd, 0, size, cookie).unwrap();
            let step = dirents(&bytes[..used]);
            seen.extend(step);
            if used < size {
                break;
            }
            cookie = seen.last().unwrap().0;
        }
        assert_eq!(seen, all, "{size}");
    }
    assert_eq!(process.fd_readdir(&mut whole, fd, 0, 1000, 99), Ok(0));
    assert_eq!(process.fd_readdir(&mut whole, fd, 0, 1000, u64::MAX), Ok(0));
    assert_eq!(process.fd_readdir(&mut whole, fd, usize::MAX, 1000, 0), Err(Errno::Fault));
    let stat = process.fd_fdstat_get(fd).unwrap();
    process.fd_fdstat_set_rights(fd, stat.rights_base & !FD_READDIR, 0).unwrap();
    assert_eq!(process.fd_readdir(&mut whole, fd, 0, 1000, 0), Err(Errno::Notcapable));
}

#[test]
fn fd_readdir_of_many_while_they_change() {
    let mut process = process();
    for number in 0..1000 {
        process.path_create_directory(ROOT_FD, &format!("entry.{number}")).unwrap();
    }
    let (mut cookie, mut seen) = (0, vec![]);
    let mut bytes = vec![0; 256];
    loop {
        let used = process.fd_readdir(&mut bytes, ROOT_FD, 0, 256, cookie).unwrap();
        for (next, _, _, name) in dirents(&bytes[..used]) {
            cookie = next;
            if name.starts_with("entry") {
                process.path_remove_directory(ROOT_FD, &name).unwrap();
            }
            seen.push(name);
        }
        if used < 256 {
            break;
        }
    }
    assert_eq!(seen.len(), 1002);
    assert_eq!(names(&mut process, "."), Ok(vec![]));
    assert_eq!(process.vfs.usage().nodes, 1);
}

#[test]
fn fd_renumber_and_close() {
    let mut process = sample();
    let (a, b) =
        (open(&mut process, "dir/file", 0, READ_WRITE).unwrap(), open(&mut process, "b", 1, READ_WRITE).unwrap());
    let stat = process.fd_fdstat_get(a).unwrap();
    process.fd_seek(a, 3, 0).unwrap();
    assert_eq!(process.fd_renumber(a, a), Ok(None));
    assert!(matches!(process.fd_renumber(a, b), Ok(Some(Target::Tree(_)))));
    assert_eq!(process.fd_close(a), Err(Errno::Badf));
    assert_eq!(process.fd_fdstat_get(b), Ok(stat));
    assert_eq!(process.fd_tell(b), Ok(3));
    assert_eq!(process.fd_renumber(b, a), Err(Errno::Badf), "a closed number is no destination");
    assert_eq!(process.fd_renumber(a, b), Err(Errno::Badf));
    assert_eq!(process.fd_renumber(b, 500), Err(Errno::Badf));
    for standard in 0..3 {
        assert_eq!(process.fd_filestat_get(standard).unwrap().kind, FileType::Stream);
        let to = open(&mut process, "dir/file", 0, READ_WRITE).unwrap();
        assert!(matches!(process.fd_renumber(standard, to), Ok(Some(Target::Tree(_)))));
        assert_eq!(process.target(to), Ok(Target::Stream(StreamId(standard))));
        assert_eq!(process.target(standard), Err(Errno::Badf));
    }
    let dir = open(&mut process, "dir", OFLAG_DIRECTORY, FD_READ).unwrap();
    assert!(matches!(process.fd_renumber(dir, ROOT_FD), Ok(Some(Target::Tree(_)))));
    assert_eq!(process.fd_prestat_get(ROOT_FD), Err(Errno::Badf), "no preopen any more");
    assert!(process.path_filestat_get(ROOT_FD, 0, "file").is_ok());
    assert_eq!(process.fd_close(b).map(|_| ()), Ok(()));
}

#[test]
fn rights_can_only_be_given_up() {
    let mut process = process();
    let fd = open(&mut process, "file", OFLAG_CREAT, READ_WRITE).unwrap();
    let stat = process.fd_fdstat_get(fd).unwrap();
    assert_eq!(process.fd_fdstat_set_rights(fd, stat.rights_base, stat.rights_inheriting), Ok(()));
    assert_eq!(process.fd_fdstat_set_rights(fd, stat.rights_base | 1 << 40, 0), Err(Errno::Notcapable));
    process.fd_fdstat_set_rights(fd, stat.rights_base & !READ_WRITE, stat.rights_inheriting).unwrap();
    assert_eq!(read(&mut process, fd, 1), Err(Errno::Badf));
    assert_eq!(write(&mut process, fd, b"x"), Err(Errno::Badf));
    assert_eq!(process.fd_fdstat_set_rights(fd, stat.rights_base, 0), Err(Errno::Notcapable));
    for (right, errno) in [(FD_ADVISE, Errno::Notcapable), (FD_FILESTAT_GET, Errno::Notcapable)] {
        let rights = process.fd_fdstat_get(fd).unwrap().rights_base & !right;
        process.fd_fdstat_set_rights(fd, rights, 0).unwrap();
        let result =
            if right == FD_ADVISE { process.fd_advise(fd, 0, 0, 0) } else { process.fd_filestat_get(fd).map(|_| ()) };
        assert_eq!(result, Err(errno));
    }
    process.fd_fdstat_set_rights(fd, 0, 0).unwrap();
    assert_eq!(process.fd_sync(fd), Err(Errno::Notcapable));
    assert_eq!(process.fd_datasync(fd), Err(Errno::Notcapable));
    assert_eq!(process.fd_filestat_set_size(fd, 0), Err(Errno::Notcapable));
    assert_eq!(process.fd_filestat_set_times(fd, 0, 0, 0), Err(Errno::Notcapable));
    assert_eq!(process.fd_allocate(fd, 0, 1), Err(Errno::Badf));
}

#[test]
fn what_a_directory_passes_on_can_be_given_up() {
    let mut process = sample();
    let dir = open(&mut process, ".", OFLAG_DIRECTORY, FD_READ).unwrap();
    let stat = process.fd_fdstat_get(dir).unwrap();
    let less = stat.rights_inheriting & !(FD_WRITE | FD_FILESTAT_SET_SIZE | FD_FILESTAT_SET_TIMES);
    process.fd_fdstat_set_rights(dir, stat.rights_base, less).unwrap();
    assert_eq!(process.path_open(dir, 0, "dir/file", 0, FD_WRITE, 0, 0), Err(Errno::Notcapable));
    assert_eq!(process.path_open(dir, 0, "dir/file", OFLAG_TRUNC, 0, 0, 0), Err(Errno::Notcapable));
    assert_eq!(read_file(&mut process, "dir/file"), Ok(b"contents".to_vec()));
    let sub = process.path_open(dir, 0, "dir", OFLAG_DIRECTORY, FD_READ, 0, 0).unwrap();
    assert_eq!(process.path_open(sub, 0, "file", 0, FD_WRITE, 0, 0), Err(Errno::Notcapable), "through another, too");
    let file = process.path_open(sub, 0, "file", 0, FD_READ, 0, 0).unwrap();
    assert_eq!(process.fd_filestat_set_times(file, 1, 1, 5), Err(Errno::Notcapable));
    assert_eq!(write(&mut process, file, b"x"), Err(Errno::Badf));
}

#[test]
fn removed_but_open() {
    let mut process = sample();
    let fd = open(&mut process, "dir/file", 0, READ_WRITE).unwrap();
    let dir = open(&mut process, "dir/sub", OFLAG_DIRECTORY, FD_READ).unwrap();
    let before = process.vfs.usage();
    process.path_unlink_file(ROOT_FD, "dir/file").unwrap();
    process.path_remove_directory(ROOT_FD, "dir/sub").unwrap();
    assert_eq!(process.vfs.usage(), before);
    assert_eq!(pread(&mut process, fd, 0, 9), Ok(b"contents".to_vec()));
    assert_eq!(pwrite(&mut process, fd, 8, b"!"), Ok(1));
    assert_eq!(process.fd_filestat_get(fd).map(|stat| (stat.size, stat.links)), Ok((9, 0)));
    process.fd_filestat_set_size(fd, 42).unwrap();
    assert_eq!(process.path_open(dir, 0, "x", OFLAG_CREAT, READ_WRITE, 0, 0), Err(Errno::Noent));
    assert_eq!(process.path_create_directory(dir, "x"), Err(Errno::Noent));
    assert_eq!(process.path_symlink("x", dir, "x"), Err(Errno::Noent));
    assert_eq!(process.path_link(ROOT_FD, 0, "link", dir, "x"), Err(Errno::Noent));
    assert_eq!(process.path_rename(ROOT_FD, "link", dir, "x"), Err(Errno::Noent));
    assert_eq!(process.path_filestat_get(dir, 0, "..").map(|_| ()), Err(Errno::Perm));
    assert_eq!(process.path_filestat_get(dir, 0, ".").map(|stat| stat.links), Ok(0));
    process.fd_close(dir).unwrap();
    process.fd_close(fd).unwrap();
    let after = process.vfs.usage();
    assert_eq!(after.nodes, before.nodes - 2);
    assert!(after.bytes < before.bytes);
}
