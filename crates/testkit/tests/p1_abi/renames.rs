//! `path_rename` and what lives on without a name.

use crate::common::*;
use weir_testkit::calls::*;
use weir_vfs::Errno;

#[test]
fn path_rename() {
    let table = [
        ("dir/file", "new", Ok(())),
        ("dir", "new", Ok(())),
        ("dir/", "new/", Ok(())),
        ("link", "new", Ok(())),
        ("dir/file", "link", Ok(())),
        ("dir/file", "dir/file", Ok(())),
        ("dir/file", "dir/sub", Err(Errno::Isdir)),
        ("dir/file", "dir", Err(Errno::Notempty)),
        ("link", "dir", Err(Errno::Isdir)),
        ("dir/sub", "dir/file", Err(Errno::Notdir)),
        ("dir/sub", "dir", Err(Errno::Notempty)),
        ("dir", "dir/sub", Err(Errno::Inval)),
        ("dir", "dir/sub/new", Err(Errno::Inval)),
        ("dir", "dirlink/new", Err(Errno::Inval)),
        ("dir/file", "new/", Err(Errno::Notdir)),
        ("dir/file/", "new", Err(Errno::Notdir)),
        (".", "new", Err(Errno::Busy)),
        ("dir", ".", Err(Errno::Busy)),
        ("nothing", "new", Err(Errno::Noent)),
        ("nothing", "../new", Err(Errno::Perm)),
    ];
    for (old, new, expected) in table {
        both(|wasi| {
            sample(wasi);
            let before = tree(wasi, ROOT);
            assert_eq!(wasi.rename(ROOT, old, ROOT, new), expected, "{old:?} {new:?}");
            if expected.is_err() {
                assert_eq!(tree(wasi, ROOT), before, "{old:?} {new:?}");
            } else if old != new {
                assert_eq!(wasi.stat(ROOT, old), Err(Errno::Noent), "{old:?} {new:?}");
            }
        });
    }
}

#[test]
fn renaming_over_an_open_file_leaves_it_alive() {
    both(|wasi| {
        sample(wasi);
        wasi.write_file(ROOT, "other", b"other").unwrap();
        let old = wasi.open(ROOT, "dir/file", 0, READ_WRITE).unwrap();
        let moved = wasi.open(ROOT, "other", 0, READ_WRITE).unwrap();
        wasi.rename(ROOT, "other", ROOT, "dir/file").unwrap();
        assert_eq!(wasi.pread(old, 0, 99), Ok(b"contents".to_vec()));
        assert_eq!(wasi.fd_stat(old).map(|stat| stat.links), Ok(0));
        assert_eq!(wasi.pwrite(old, 0, b"CON"), Ok(3));
        assert_eq!(wasi.pwrite(moved, 0, b"OT"), Ok(2));
        assert_eq!(wasi.read_file(ROOT, "dir/file"), Ok(b"OTher".to_vec()));
        assert_eq!(wasi.fd_stat(moved).unwrap().ino, wasi.stat(ROOT, "dir/file").unwrap().ino);
        wasi.close(old).unwrap();
        assert_eq!(wasi.close(old), Err(Errno::Badf));
    });
}

#[test]
fn removed_but_open() {
    both(|wasi| {
        sample(wasi);
        let file = wasi.open(ROOT, "dir/file", 0, READ_WRITE).unwrap();
        let dir = wasi.open(ROOT, "dir/sub", DIRECTORY, FD_READ).unwrap();
        wasi.unlink(ROOT, "dir/file").unwrap();
        wasi.rmdir(ROOT, "dir/sub").unwrap();
        assert_eq!(wasi.pwrite(file, 8, b"!"), Ok(1));
        assert_eq!(wasi.pread(file, 0, 99), Ok(b"contents!".to_vec()));
        assert_eq!(wasi.fd_stat(file).map(|stat| (stat.size, stat.links)), Ok((9, 0)));
        assert_eq!(wasi.answer("fd_filestat_set_size", &[file.into(), 100_000]), Ok(()));
        wasi.write_file(ROOT, "dir/file", b"another").unwrap();
        assert_eq!(wasi.pread(file, 0, 9), Ok(b"contents!".to_vec()), "a new file of the old name is another");
        for answer in [
            wasi.open(dir, "x", CREAT, READ_WRITE).map(|_| ()),
            wasi.mkdir(dir, "x"),
            wasi.symlink("x", dir, "x"),
            wasi.link(ROOT, "link", dir, "x"),
            wasi.rename(ROOT, "link", dir, "x"),
        ] {
            assert_eq!(answer, Err(Errno::Noent));
        }
        assert_eq!(wasi.list_by(dir, 100).map(|entries| entries.len()), Ok(2), "itself and what it was in");
    });
}

#[test]
fn a_listing_survives_changes() {
    both(|wasi| {
        for number in 0..300 {
            wasi.write_file(ROOT, &format!("entry.{number}"), b"").unwrap();
        }
        let (mut cookie, mut seen) = (0, Vec::new());
        loop {
            let bytes = wasi.readdir(ROOT, 200, cookie).unwrap();
            for entry in dirents(&bytes) {
                cookie = entry.next;
                if entry.name.starts_with("entry") {
                    wasi.unlink(ROOT, &entry.name).unwrap();
                }
                if seen.len() < 100 {
                    wasi.write_file(ROOT, &format!("late.{}", seen.len()), b"").unwrap();
                }
                seen.push(entry.name);
            }
            if bytes.len() < 200 {
                break;
            }
        }
        let entries = seen.iter().filter(|name| name.starts_with("entry")).count();
        let mut unique = seen.clone();
        unique.sort();
        unique.dedup();
        assert_eq!((entries, unique.len()), (300, seen.len()), "each once");
        assert_eq!(wasi.names(ROOT, ".").map(|names| names.len()), Ok(100));
    });
}
