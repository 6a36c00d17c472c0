//! What the quota of a file system answers: descriptors, bytes, nodes, names, depth, sizes.

use crate::common::*;
use weir_testkit::calls::*;
use weir_types::limits::Quota;
use weir_vfs::Errno;

#[test]
fn descriptors_are_limited() {
    both_with(Quota { open_files_max: 6, ..Quota::default() }, |wasi| {
        assert_eq!(wasi.open(ROOT, "a", CREAT, READ_WRITE), Ok(4));
        assert_eq!(wasi.open(ROOT, "b", CREAT, READ_WRITE), Ok(5));
        assert_eq!(wasi.open(ROOT, "c", CREAT, READ_WRITE), Err(Errno::Mfile));
        assert_eq!(wasi.open(ROOT, "a", TRUNC, READ_WRITE), Err(Errno::Mfile));
        assert_eq!(wasi.stat(ROOT, "c"), Err(Errno::Noent), "what failed made no file");
        wasi.close(4).unwrap();
        wasi.close(0).unwrap();
        assert_eq!(wasi.open(ROOT, "c", CREAT, READ_WRITE), Ok(0), "the lowest free number");
        assert_eq!(wasi.open(ROOT, "a", 0, FD_READ), Ok(4));
        assert_eq!(wasi.open(ROOT, "a", 0, FD_READ), Err(Errno::Mfile));
        wasi.renumber(0, 4).unwrap();
        assert_eq!(wasi.open(ROOT, "a", 0, FD_READ), Ok(0), "renumbering closes what was there");
    });
}

#[test]
fn bytes_are_limited() {
    both_with(Quota { bytes_max: 100_000, ..Quota::default() }, |wasi| {
        let fd = wasi.open(ROOT, "file", CREAT, READ_WRITE).unwrap();
        let (mut total, mut last) = (0, Ok(0));
        for _ in 0..20 {
            last = wasi.write(fd, &[1; 10_000]);
            total += last.unwrap_or_default();
        }
        assert_eq!(last, Err(Errno::Nospc));
        assert!((80_000..=100_000).contains(&total), "{total}");
        assert_eq!(wasi.fd_stat(fd).map(|stat| stat.size), Ok(total as u64), "what was written counts");
        assert_eq!(wasi.answer("fd_allocate", &[fd.into(), 0, 300_000]), Err(Errno::Nospc));
        assert_eq!(wasi.pwrite(fd, 0, &[2; 50_000]), Ok(50_000), "over what is there");
        wasi.answer("fd_filestat_set_size", &[fd.into(), 0]).unwrap();
        assert_eq!(wasi.pwrite(fd, 0, &[3; 60_000]), Ok(60_000), "what was cut is given back");
        wasi.unlink(ROOT, "file").unwrap();
        assert_eq!(wasi.write_file(ROOT, "other", &[4; 30_000]), Ok(()));
        let other = wasi.open(ROOT, "third", CREAT, READ_WRITE).unwrap();
        assert!(wasi.write(other, &[5; 60_000]) != Ok(60_000), "an open file without a name is still held");
        wasi.close(fd).unwrap();
        wasi.close(other).unwrap();
        assert_eq!(wasi.write_file(ROOT, "third", &[5; 60_000]), Ok(()));
    });
}

#[test]
fn nodes_are_limited() {
    both_with(Quota { inodes_max: 10, ..Quota::default() }, |wasi| {
        let mut made = 0;
        let errno = loop {
            let path = format!("node.{made}");
            let answer = match made % 3 {
                0 => wasi.mkdir(ROOT, &path),
                1 => wasi.symlink("x", ROOT, &path),
                _ => wasi.write_file(ROOT, &path, b""),
            };
            match answer {
                Ok(()) => made += 1,
                Err(errno) => break errno,
            }
        };
        assert_eq!(errno, Errno::Nospc);
        assert!((8..=10).contains(&made), "{made}");
        let links: Vec<Answer> =
            (0..4).map(|number| wasi.link(ROOT, "node.2", ROOT, &format!("hard.{number}"))).collect();
        assert_eq!(links[3], Err(Errno::Nospc), "names are limited as nodes are: {links:?}");
        wasi.unlink(ROOT, "node.1").unwrap();
        assert_eq!(wasi.mkdir(ROOT, "again"), Ok(()));
    });
}

#[test]
fn names_paths_and_depth_are_limited() {
    let quota = Quota { name_bytes_max: 8, path_bytes_max: 40, depth_max: 4, symlinks_max: 2, ..Quota::default() };
    both_with(quota, |wasi| {
        assert_eq!(wasi.mkdir(ROOT, "12345678"), Ok(()));
        assert_eq!(wasi.mkdir(ROOT, "123456789"), Err(Errno::Nametoolong));
        assert_eq!(wasi.stat(ROOT, &format!("{}x", "./".repeat(20))), Err(Errno::Nametoolong));
        assert_eq!(wasi.stat(ROOT, &format!("{}.", "./".repeat(19))).map(|stat| stat.kind), Ok(3));
        assert_eq!(wasi.symlink(&"x".repeat(41), ROOT, "long"), Err(Errno::Nametoolong));
        for path in ["a", "a/a", "a/a/a", "a/a/a/a"] {
            assert_eq!(wasi.mkdir(ROOT, path), Ok(()), "{path}");
        }
        assert_eq!(wasi.mkdir(ROOT, "a/a/a/a/a"), Err(Errno::Nametoolong));
        assert_eq!(wasi.rename(ROOT, "12345678", ROOT, "a/a/a/a/b"), Err(Errno::Nametoolong));
        assert_eq!(wasi.write_file(ROOT, "a/a/a/a/f", b"files may be there"), Ok(()));
        for (target, path) in [("a", "l1"), ("l1", "l2"), ("l2", "l3")] {
            wasi.symlink(target, ROOT, path).unwrap();
        }
        assert_eq!(wasi.stat(ROOT, "l2/").map(|stat| stat.kind), Ok(3));
        assert_eq!(wasi.stat(ROOT, "l3/"), Err(Errno::Loop));
    });
}

#[test]
fn file_sizes_are_limited() {
    both_with(Quota { file_size_max: 50_000, ..Quota::default() }, |wasi| {
        let fd = wasi.open(ROOT, "file", CREAT, READ_WRITE).unwrap();
        assert_eq!(wasi.write(fd, &[1; 60_000]), Ok(50_000), "as much as fits");
        assert_eq!(wasi.write(fd, b"x"), Err(Errno::Fbig));
        assert_eq!(wasi.write(fd, b""), Ok(0));
        assert_eq!(wasi.answer("fd_filestat_set_size", &[fd.into(), 50_001]), Err(Errno::Fbig));
        assert_eq!(wasi.answer("fd_allocate", &[fd.into(), 50_000, 1]), Err(Errno::Fbig));
        assert_eq!(wasi.answer("fd_filestat_set_size", &[fd.into(), 50_000]), Ok(()));
    });
}
