//! Real directories beside the tree: what is done reaches the machine, descriptors of both kinds share
//! one table, nothing crosses the border between the two, and nothing leaks.

use crate::common::*;
use std::fs;
use std::path::Path;
use weir_testkit::Linked;
use weir_testkit::calls::*;
use weir_types::grants::Source;
use weir_types::limits::{Limits, Quota};
use weir_vfs::Errno;

/// The tree's `/`.
const TREE: u32 = 3;
/// The real directory.
const HOST: u32 = 4;

fn mixed_with(folder: &Path, limits: Limits) -> Linked {
    let host = Source::HostDir { host: text(folder), read_only: false };
    linked_with(vec![place("/", Source::Scratch), place("/h", host)], limits)
}

fn mixed(folder: &tempfile::TempDir) -> Linked {
    mixed_with(folder.path(), Limits::default())
}

/// How often this process has something in the folder open. Other tests run at the same time, so
/// that counting all descriptors would say nothing.
fn open_in(folder: &Path) -> usize {
    let folder = fs::canonicalize(folder).unwrap();
    let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter(|target| target.starts_with(&folder)).count()
}

#[test]
fn what_is_done_reaches_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mut wasi = mixed(&folder);
    wasi.mkdir(HOST, "dir").unwrap();
    wasi.write_file(HOST, "dir/file", b"contents").unwrap();
    assert_eq!(fs::read(root.join("dir/file")).unwrap(), b"contents");
    let fd = wasi.open(HOST, "dir/file", 0, READ_WRITE).unwrap();
    assert_eq!((wasi.seek(fd, -3, 2), wasi.read(fd, 99)), (Ok(5), Ok(b"nts".to_vec())));
    assert_eq!((wasi.tell(fd), wasi.pwrite(fd, 0, b"CON")), (Ok(8), Ok(3)));
    assert_eq!(wasi.pread(fd, 1, 4), Ok(b"ONte".to_vec()));
    assert_eq!(wasi.fd_stat(fd).map(|stat| (stat.kind, stat.size)), Ok((4, 8)));
    assert_eq!(wasi.fdstat(fd).map(|stat| stat.kind), Ok(4));
    wasi.answer("fd_filestat_set_size", &[fd.into(), 4]).unwrap();
    wasi.answer("fd_filestat_set_times", &[fd.into(), 1_000_000_000, 2_000_000_000, 5]).unwrap();
    wasi.answer("fd_sync", &[fd.into()]).unwrap();
    wasi.answer("fd_datasync", &[fd.into()]).unwrap();
    wasi.answer("fd_advise", &[fd.into(), 0, 4, 0]).unwrap();
    assert_eq!(wasi.stat(HOST, "dir/file").map(|stat| stat.times[1]), Ok(2_000_000_000));
    assert_eq!(fs::read(root.join("dir/file")).unwrap(), b"CONt");
    wasi.link(HOST, "dir/file", HOST, "hard").unwrap();
    wasi.symlink("dir/file", HOST, "soft").unwrap();
    assert_eq!(wasi.readlink(HOST, "soft", 99), Ok(b"dir/file".to_vec()));
    wasi.rename(HOST, "hard", HOST, "moved").unwrap();
    let mut names = wasi.names(HOST, ".").unwrap();
    names.sort();
    assert_eq!(names, ["dir", "moved", "soft"]);
    wasi.unlink(HOST, "soft").unwrap();
    wasi.unlink(HOST, "dir/file").unwrap();
    wasi.rmdir(HOST, "dir/").unwrap();
    assert_eq!(machine_tree(root).into_keys().collect::<Vec<_>>(), ["moved"]);
    assert_eq!(
        (wasi.open(HOST, "none", 0, FD_READ), wasi.rmdir(HOST, "moved")),
        (Err(Errno::Noent), Err(Errno::Notdir))
    );
    assert_eq!(wasi.open(HOST, "moved", CREAT | EXCL, READ_WRITE), Err(Errno::Exist));
    assert_eq!(wasi.names(TREE, "."), Ok(vec![]), "and the tree knows nothing of it");
}

#[test]
fn a_preopen_has_its_name_whatever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut wasi = mixed(&folder);
    wasi.answer("fd_prestat_get", &[HOST.into(), OUT]).unwrap();
    assert_eq!((wasi.word(OUT), wasi.word(OUT + 4)), (0, 2));
    wasi.answer("fd_prestat_dir_name", &[HOST.into(), DATA, 2]).unwrap();
    assert_eq!(wasi.get(DATA, 2), b"/h");
    assert_eq!(wasi.answer("fd_prestat_get", &[5, OUT]), Err(Errno::Badf));
    assert_eq!(wasi.fdstat(HOST).map(|stat| stat.kind), Ok(3));
    assert_eq!(wasi.answer("fd_prestat_dir_name", &[HOST.into(), DATA, 1]), Err(Errno::Nametoolong));
}

#[test]
fn nothing_crosses_the_border() {
    let folder = tempfile::tempdir().unwrap();
    let mut wasi = mixed(&folder);
    wasi.write_file(TREE, "tree", b"tree").unwrap();
    wasi.write_file(HOST, "host", b"host").unwrap();
    for (from, old, to, new) in [(TREE, "tree", HOST, "new"), (HOST, "host", TREE, "new"), (HOST, "host", TREE, "tree")]
    {
        assert_eq!(wasi.rename(from, old, to, new), Err(Errno::Xdev), "rename {old} {new}");
        assert_eq!(wasi.link(from, old, to, new), Err(Errno::Xdev), "link {old} {new}");
    }
    assert_eq!(wasi.rename(HOST, "host", 99, "new"), Err(Errno::Badf));
    assert_eq!(wasi.rename(99, "host", HOST, "new"), Err(Errno::Badf));
    assert_eq!(wasi.names(TREE, "."), Ok(vec!["tree".into()]));
    assert_eq!(machine_tree(folder.path()).into_keys().collect::<Vec<_>>(), ["host"]);
    // `h` is no name in the tree: the real directory is reached by its own descriptor alone.
    assert_eq!(wasi.stat(TREE, "h"), Err(Errno::Noent));
}

#[test]
fn descriptors_of_both_kinds_share_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let mut wasi = mixed(&folder);
    let at_first = open_in(folder.path());
    let numbers = [
        wasi.open(TREE, "a", CREAT, READ_WRITE),
        wasi.open(HOST, "b", CREAT, READ_WRITE),
        wasi.open(TREE, "c", CREAT, READ_WRITE),
        wasi.open(HOST, "d", CREAT, READ_WRITE),
    ];
    assert_eq!(numbers, [Ok(5), Ok(6), Ok(7), Ok(8)]);
    assert_eq!(open_in(folder.path()), at_first + 2);
    wasi.write(6, b"host").unwrap();
    wasi.write(5, b"tree").unwrap();
    // The real file goes to the number of a file of the tree, and the other way round.
    wasi.renumber(6, 7).unwrap();
    assert_eq!(wasi.pread(7, 0, 9), Ok(b"host".to_vec()));
    assert_eq!(wasi.fdstat(6).map(|_| ()), Err(Errno::Badf));
    wasi.renumber(5, 8).unwrap();
    assert_eq!(wasi.pread(8, 0, 9), Ok(b"tree".to_vec()));
    assert_eq!(open_in(folder.path()), at_first + 1, "what was at 8 is closed on the machine, too");
    // In the place of stdout.
    wasi.renumber(7, 1).unwrap();
    assert_eq!(wasi.write(1, b" and stdout"), Ok(11));
    assert_eq!(fs::read(folder.path().join("b")).unwrap(), b"host and stdout");
    wasi.close(1).unwrap();
    wasi.close(8).unwrap();
    assert_eq!(open_in(folder.path()), at_first);
    assert_eq!(wasi.open(HOST, "b", 0, FD_READ), Ok(1), "the lowest free number");
    wasi.close(HOST).unwrap();
    assert_eq!(wasi.open(HOST, "b", 0, FD_READ), Err(Errno::Badf));
}

/// Renumbering over a descriptor closes what it was.
#[test]
fn ghsa_3p27_qvp9_27qf_renumber_leaks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut wasi = mixed(&folder);
    let at_first = open_in(folder.path());
    for round in 0..200 {
        let (tree, host) = (wasi.open(TREE, "t", CREAT, READ_WRITE), wasi.open(HOST, "h", CREAT, READ_WRITE));
        let (tree, host) = (tree.unwrap(), host.unwrap());
        let other = wasi.open(HOST, "other", CREAT, READ_WRITE).unwrap();
        match round % 4 {
            0 => wasi.renumber(tree, host).unwrap(),
            1 => wasi.renumber(host, tree).unwrap(),
            2 => wasi.renumber(host, other).unwrap(),
            _ => wasi.renumber(host, host).unwrap(),
        }
        for fd in [tree, host, other] {
            let _ = wasi.close(fd);
        }
        assert_eq!(open_in(folder.path()), at_first, "round {round}");
    }
}

#[test]
fn the_limit_of_open_files_counts_both() {
    let folder = tempfile::tempdir().unwrap();
    let files = Quota { open_files_max: 7, ..Quota::default() };
    let mut wasi = mixed_with(folder.path(), Limits { files, ..Limits::default() });
    let at_first = open_in(folder.path());
    assert_eq!(wasi.open(TREE, "a", CREAT, READ_WRITE), Ok(5));
    assert_eq!(wasi.open(HOST, "b", CREAT, READ_WRITE), Ok(6));
    for _ in 0..20 {
        assert_eq!(wasi.open(HOST, "b", 0, FD_READ), Err(Errno::Mfile));
        assert_eq!(wasi.open(TREE, "a", 0, FD_READ), Err(Errno::Mfile));
    }
    assert_eq!(open_in(folder.path()), at_first + 1, "what could not be given a number is closed");
}

#[test]
fn two_real_directories() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dir = |folder: &tempfile::TempDir| Source::HostDir { host: text(folder.path()), read_only: false };
    let mut wasi = linked(vec![place("/1", dir(&one)), place("/2", dir(&two))]);
    wasi.write_file(3, "file", b"moved").unwrap();
    wasi.rename(3, "file", 4, "file").unwrap();
    assert_eq!(fs::read(two.path().join("file")).unwrap(), b"moved");
    wasi.link(4, "file", 3, "back").unwrap();
    assert_eq!(fs::read(one.path().join("back")).unwrap(), b"moved");
    assert!(wasi.open(3, "../x", CREAT, READ_WRITE).is_err());
}

#[test]
fn bad_pointers_reach_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let end = 16u64 << 16;
    for bad in [end - 1, end, u64::from(u32::MAX) - 3, u64::from(u32::MAX)] {
        let mut wasi = mixed(&folder);
        wasi.write_file(HOST, "file", b"contents").unwrap();
        let fd = wasi.open(HOST, "file", 0, READ_WRITE).unwrap();
        wasi.put(PATH, b"file");
        wasi.put(IOVS, &[bad as u32, 8].map(u32::to_le_bytes).concat());
        let (host, fd) = (u64::from(HOST), u64::from(fd));
        let before = machine_tree(folder.path());
        for (name, arguments) in [
            ("path_open", vec![host, 0, bad, 4, 0, FD_READ, 0, 0, OUT]),
            ("path_open", vec![host, 0, PATH, 4, 0, FD_READ, 0, 0, bad]),
            ("path_filestat_get", vec![host, 0, bad, 4, DATA]),
            ("path_filestat_get", vec![host, 0, PATH, 4, bad]),
            ("path_unlink_file", vec![host, bad, 4]),
            ("path_remove_directory", vec![host, bad, 4]),
            ("path_rename", vec![host, PATH, 4, host, bad, 4]),
            ("path_symlink", vec![bad, 4, host, PATH, 4]),
            ("fd_read", vec![fd, IOVS, 1, OUT]),
            ("fd_write", vec![fd, IOVS, 1, OUT]),
            ("fd_pread", vec![fd, bad, 1, 0, OUT]),
            ("fd_readdir", vec![host, bad, 64, 0, OUT]),
            ("fd_fdstat_get", vec![fd, bad]),
            ("fd_filestat_get", vec![fd, bad]),
            ("fd_seek", vec![fd, 0, 0, bad]),
        ] {
            // A trap or an errno, as wasmtime-wasi has it; never success.
            assert_ne!(wasi.try_call(name, &arguments), Ok(0), "{name} {bad:x}");
        }
        assert_eq!(machine_tree(folder.path()), before);
    }
}

#[test]
fn names_that_are_no_text_and_other_oddities() {
    let folder = tempfile::tempdir().unwrap();
    let mut wasi = mixed(&folder);
    wasi.put(PATH, b"\xff\xfe");
    let opening = [HOST.into(), 0, PATH, 2, CREAT, READ_WRITE, 0, 0, OUT];
    assert_eq!(wasi.answer("path_open", &opening), Err(Errno::Ilseq));
    assert!(wasi.open(HOST, "nul\0", CREAT, READ_WRITE).is_err());
    assert!(wasi.open(HOST, "", CREAT, READ_WRITE).is_err());
    assert!(wasi.open(HOST, &"n".repeat(300), CREAT, READ_WRITE).is_err());
    assert!(wasi.rmdir(HOST, "///").is_err());
    assert!(wasi.rmdir(HOST, "").is_err());
    assert!(wasi.rmdir(HOST, ".").is_err());
    assert_eq!(machine_tree(folder.path()).len(), 0);
    for number in 0..300 {
        wasi.write_file(HOST, &format!("file-{number}"), b"").unwrap();
    }
    let mut names: Vec<String> = wasi.list_by(HOST, 100).unwrap().into_iter().map(|entry| entry.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 302, "through a small buffer");
}
