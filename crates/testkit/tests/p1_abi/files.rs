//! Each function on an open descriptor of the tree.

use crate::common::*;
use weir_testkit::calls::*;
use weir_vfs::Errno;

/// Every function whose first argument is a descriptor that must be open, with the rest of the
/// arguments. The functions on paths are elsewhere.
const ON_DESCRIPTORS: [(&str, &[u64]); 20] = [
    ("fd_advise", &[0, 1, 0]),
    ("fd_allocate", &[0, 1]),
    ("fd_close", &[]),
    ("fd_datasync", &[]),
    ("fd_fdstat_get", &[DATA]),
    ("fd_fdstat_set_flags", &[0]),
    ("fd_fdstat_set_rights", &[0, 0]),
    ("fd_filestat_get", &[DATA]),
    ("fd_filestat_set_size", &[0]),
    ("fd_filestat_set_times", &[0, 0, 0]),
    ("fd_pread", &[IOVS, 0, 0, OUT]),
    ("fd_prestat_get", &[DATA]),
    ("fd_prestat_dir_name", &[DATA, 64]),
    ("fd_pwrite", &[IOVS, 0, 0, OUT]),
    ("fd_read", &[IOVS, 0, OUT]),
    ("fd_readdir", &[DATA, 64, 0, OUT]),
    ("fd_seek", &[0, 0, OUT]),
    ("fd_sync", &[]),
    ("fd_tell", &[OUT]),
    ("fd_write", &[IOVS, 0, OUT]),
];

#[test]
fn descriptors_that_are_not_open() {
    both(|wasi| {
        let gone = wasi.open(ROOT, ".", DIRECTORY, FD_READ).unwrap();
        wasi.close(gone).unwrap();
        for (name, rest) in ON_DESCRIPTORS {
            for fd in [gone, 99, 1 << 16, i32::MAX as u32, 1 << 31, u32::MAX] {
                let arguments = [&[u64::from(fd)], rest].concat();
                assert_eq!(wasi.answer(name, &arguments), Err(Errno::Badf), "{name} {fd}");
            }
        }
        for (from, to) in [(99, ROOT), (ROOT, 99), (99, 99), (u32::MAX, 0), (ROOT, u32::MAX)] {
            assert_eq!(wasi.renumber(from, to), Err(Errno::Badf), "{from} {to}");
        }
        assert!(wasi.fdstat(ROOT).is_ok(), "a failed renumbering closes nothing");
    });
}

#[test]
fn a_directory_is_no_file() {
    let table: [(&str, &[u64], Answer); 14] = [
        ("fd_advise", &[0, 1, 0], Err(Errno::Badf)),
        ("fd_allocate", &[0, 1], Err(Errno::Badf)),
        ("fd_datasync", &[], Ok(())),
        ("fd_sync", &[], Ok(())),
        ("fd_fdstat_set_flags", &[0], Err(Errno::Badf)),
        ("fd_filestat_get", &[DATA], Ok(())),
        ("fd_filestat_set_size", &[0], Err(Errno::Badf)),
        ("fd_filestat_set_times", &[1, 2, 5], Ok(())),
        ("fd_pread", &[IOVS, 1, 0, OUT], Err(Errno::Isdir)),
        ("fd_pwrite", &[IOVS, 1, 0, OUT], Err(Errno::Badf)),
        ("fd_read", &[IOVS, 1, OUT], Err(Errno::Isdir)),
        ("fd_seek", &[0, 0, OUT], Err(Errno::Badf)),
        ("fd_tell", &[OUT], Err(Errno::Badf)),
        ("fd_write", &[IOVS, 1, OUT], Err(Errno::Badf)),
    ];
    both(|wasi| {
        sample(wasi);
        let dir = wasi.open(ROOT, "dir", DIRECTORY, FD_READ).unwrap();
        wasi.put(IOVS, &[(DATA as u32).to_le_bytes(), 8u32.to_le_bytes()].concat());
        for (name, rest, expected) in table {
            let arguments = [&[u64::from(dir)], rest].concat();
            assert_eq!(wasi.answer(name, &arguments), expected, "{name}");
        }
        let file = wasi.open(ROOT, "dir/file", 0, FD_READ).unwrap();
        assert_eq!(wasi.readdir(file, 64, 0), Err(Errno::Notdir));
    });
}

#[test]
fn reading_and_writing_need_their_rights() {
    both(|wasi| {
        sample(wasi);
        for (rights, read, write) in [
            (FD_READ, Ok(()), Err(Errno::Badf)),
            (FD_WRITE, Err(Errno::Badf), Ok(())),
            (READ_WRITE, Ok(()), Ok(())),
            (0, Ok(()), Err(Errno::Badf)),
        ] {
            let fd = wasi.open(ROOT, "dir/file", 0, rights).unwrap();
            assert_eq!(wasi.read(fd, 4).map(|_| ()), read, "{rights}");
            assert_eq!(wasi.pread(fd, 0, 4).map(|_| ()), read, "{rights}");
            assert_eq!(wasi.write(fd, b"abcd").map(|_| ()), write, "{rights}");
            assert_eq!(wasi.pwrite(fd, 0, b"abcd").map(|_| ()), write, "{rights}");
            assert_eq!(wasi.answer("fd_allocate", &[fd.into(), 0, 1]), write, "{rights}");
            let cut = wasi.answer("fd_filestat_set_size", &[fd.into(), 8]);
            assert_eq!(cut, write.map_err(|_| Errno::Inval), "{rights}");
            wasi.close(fd).unwrap();
        }
        // The bit of the right, and a call that needs it.
        let table: [(u64, &str, &[u64]); 8] = [
            (0, "fd_datasync", &[]),
            (2, "fd_seek", &[1, 0, OUT]),
            (3, "fd_fdstat_set_flags", &[0]),
            (4, "fd_sync", &[]),
            (7, "fd_advise", &[0, 0, 0]),
            (21, "fd_filestat_get", &[DATA]),
            (22, "fd_filestat_set_size", &[0]),
            (23, "fd_filestat_set_times", &[0, 0, 0]),
        ];
        for (bit, name, rest) in table {
            let fd = wasi.open(ROOT, "dir/file", 0, READ_WRITE).unwrap();
            wasi.give_up(fd, 1 << bit, 0).unwrap();
            let arguments = [&[u64::from(fd)], rest].concat();
            assert_eq!(wasi.answer(name, &arguments), Err(Errno::Notcapable), "{name}");
            wasi.close(fd).unwrap();
        }
        let fd = wasi.open(ROOT, "dir/file", 0, READ_WRITE).unwrap();
        assert_eq!(wasi.answer("fd_fdstat_set_rights", &[fd.into(), u64::MAX, 0]), Err(Errno::Notcapable));
        assert_eq!(wasi.answer("fd_fdstat_set_rights", &[fd.into(), 0, u64::MAX]), Err(Errno::Notcapable));
        wasi.give_up(fd, READ_WRITE, 0).unwrap();
        assert_eq!((wasi.read(fd, 1), wasi.write(fd, b"x")), (Err(Errno::Badf), Err(Errno::Badf)));
    });
}

#[test]
fn seeking() {
    both(|wasi| {
        wasi.write_file(ROOT, "file", &[7; 100]).unwrap();
        let fd = wasi.open(ROOT, "file", 0, READ_WRITE).unwrap();
        for (offset, whence, expected) in [
            (10, 0, Ok(10)),
            (5, 1, Ok(15)),
            (-16, 1, Err(Errno::Inval)),
            (-15, 1, Ok(0)),
            (-100, 2, Ok(0)),
            (-101, 2, Err(Errno::Inval)),
            (1000, 2, Ok(1100)),
            (i64::MIN, 0, Err(Errno::Inval)),
            (i64::MAX, 0, Ok(i64::MAX as u64)),
            (1, 1, Err(Errno::Inval)),
            (i64::MAX, 2, Err(Errno::Inval)),
            (0, 3, Err(Errno::Inval)),
            (0, 255, Err(Errno::Inval)),
            (0, 256, Err(Errno::Inval)),
            (0, u64::from(u32::MAX), Err(Errno::Inval)),
        ] {
            assert_eq!(wasi.seek(fd, offset, whence), expected, "{offset} {whence}");
        }
        assert_eq!(wasi.tell(fd), Ok(i64::MAX as u64));
        assert_eq!(wasi.read(fd, 1), Ok(vec![]));
        assert_eq!(wasi.write(fd, b"x"), Err(Errno::Fbig));
        assert_eq!(wasi.pread(fd, u64::MAX, 1), Err(Errno::Inval));
        assert_eq!(wasi.pwrite(fd, u64::MAX, b"x"), Err(Errno::Inval));
        let stdin_and_out = [wasi.seek(0, 0, 0), wasi.seek(1, 0, 1), wasi.tell(2)];
        assert_eq!(stdin_and_out, [Err(Errno::Spipe); 3]);
        assert_eq!((wasi.pread(0, 0, 1), wasi.pwrite(1, 0, b"x")), (Err(Errno::Spipe), Err(Errno::Spipe)));
    });
}

#[test]
fn appending_and_other_flags() {
    both(|wasi| {
        wasi.write_file(ROOT, "file", b"0123").unwrap();
        let fd = wasi.open_with(ROOT, "file", Open { rights: READ_WRITE, flags: APPEND, ..Open::default() }).unwrap();
        assert_eq!((wasi.write(fd, b"45"), wasi.tell(fd)), (Ok(2), Ok(6)));
        wasi.seek(fd, 0, 0).unwrap();
        assert_eq!((wasi.write(fd, b""), wasi.tell(fd)), (Ok(0), Ok(0)), "nothing moves nothing");
        assert_eq!((wasi.read(fd, 2), wasi.write(fd, b"6"), wasi.tell(fd)), (Ok(b"01".to_vec()), Ok(1), Ok(7)));
        assert_eq!(wasi.pwrite(fd, 0, b"7"), Ok(1));
        assert_eq!(wasi.read_file(ROOT, "file"), Ok(b"01234567".to_vec()));
        assert_eq!(wasi.answer("fd_fdstat_set_flags", &[fd.into(), 4]), Ok(()));
        assert_eq!(wasi.fdstat(fd).map(|stat| stat.flags), Ok(4));
        wasi.seek(fd, 0, 0).unwrap();
        assert_eq!(wasi.write(fd, b"X"), Ok(1));
        assert_eq!(wasi.read_file(ROOT, "file"), Ok(b"X1234567".to_vec()));
        for flags in [32, 0x8000, 0x1_0001, u64::from(u32::MAX)] {
            assert_eq!(wasi.answer("fd_fdstat_set_flags", &[fd.into(), flags]), Err(Errno::Inval), "{flags}");
        }
        for advice in 0..6 {
            assert_eq!(wasi.answer("fd_advise", &[fd.into(), 0, u64::MAX, advice]), Ok(()), "{advice}");
        }
        for advice in [6, 255, 256, 1 << 31] {
            assert_eq!(wasi.answer("fd_advise", &[fd.into(), 0, 1, advice]), Err(Errno::Inval), "{advice}");
        }
    });
}

#[test]
fn sizes_and_holes() {
    both(|wasi| {
        wasi.write_file(ROOT, "file", b"0123456789").unwrap();
        let fd = wasi.open(ROOT, "file", 0, READ_WRITE).unwrap();
        for size in [4, 7] {
            wasi.answer("fd_filestat_set_size", &[fd.into(), size]).unwrap();
        }
        assert_eq!(wasi.read_file(ROOT, "file"), Ok(b"0123\0\0\0".to_vec()));
        assert_eq!(wasi.answer("fd_allocate", &[fd.into(), 2, 3]), Ok(()));
        assert_eq!(wasi.fd_stat(fd).map(|stat| stat.size), Ok(7), "it was large enough");
        assert_eq!(wasi.answer("fd_allocate", &[fd.into(), 5, 5]), Ok(()));
        assert_eq!(wasi.fd_stat(fd).map(|stat| stat.size), Ok(10));
        for (offset, len, errno) in [(0, 0, Errno::Inval), (u64::MAX, 1, Errno::Fbig), (1 << 40, 1, Errno::Fbig)] {
            assert_eq!(wasi.answer("fd_allocate", &[fd.into(), offset, len]), Err(errno), "{offset} {len}");
        }
        for size in [u64::MAX, i64::MAX as u64, (1 << 40) + 1] {
            assert_eq!(wasi.answer("fd_filestat_set_size", &[fd.into(), size]), Err(Errno::Fbig), "{size}");
        }
        wasi.answer("fd_filestat_set_size", &[fd.into(), 1 << 40]).unwrap();
        wasi.put(DATA, &[9; 64]);
        assert_eq!(wasi.pread(fd, (1 << 40) - 20, 64), Ok(vec![0; 20]), "a hole reads as zeros");
        assert_eq!(wasi.pwrite(fd, (1 << 40) - 2, b"abc"), Ok(2), "as far as a file may go");
        assert_eq!(wasi.pwrite(fd, 1 << 40, b"abc"), Err(Errno::Fbig));
        assert_eq!(wasi.pwrite(fd, 3 << 30, b"abc"), Ok(3));
        assert_eq!(wasi.pread(fd, (3 << 30) - 1, 5), Ok(b"\0abc\0".to_vec()));
    });
}

#[test]
fn renumbering() {
    both(|wasi| {
        sample(wasi);
        let file = wasi.open(ROOT, "dir/file", 0, READ_WRITE).unwrap();
        let other = wasi.open(ROOT, "other", CREAT, READ_WRITE).unwrap();
        wasi.seek(file, 3, 0).unwrap();
        assert_eq!(wasi.renumber(file, file), Ok(()));
        assert_eq!(wasi.renumber(file, other), Ok(()));
        assert_eq!(wasi.fdstat(file).map(|_| ()), Err(Errno::Badf));
        assert_eq!((wasi.tell(other), wasi.read(other, 99)), (Ok(3), Ok(b"tents".to_vec())));
        assert_eq!(wasi.renumber(other, file), Err(Errno::Badf), "a closed number is no destination");
        assert_eq!(wasi.open(ROOT, "other", 0, FD_READ), Ok(file), "the number is free again");
        // A file in the place of stdout, and a directory in that of the preopen.
        wasi.renumber(other, 1).unwrap();
        wasi.seek(1, 0, 0).unwrap();
        assert_eq!(wasi.write(1, b"to a file"), Ok(9));
        assert_eq!(wasi.read_file(ROOT, "dir/file"), Ok(b"to a file".to_vec()));
        let dir = wasi.open(ROOT, "dir", DIRECTORY, FD_READ).unwrap();
        wasi.renumber(dir, ROOT).unwrap();
        assert_eq!(wasi.answer("fd_prestat_get", &[ROOT.into(), DATA]), Err(Errno::Badf), "no preopen any more");
        assert!(wasi.stat(ROOT, "file").is_ok());
    });
}

#[test]
fn nothing_at_all_is_fine_everywhere() {
    both(|wasi| {
        sample(wasi);
        let fd = wasi.open(ROOT, "dir/file", 0, READ_WRITE).unwrap();
        for name in ["fd_read", "fd_write"] {
            assert_eq!(wasi.answer(name, &[fd.into(), 0, 0, OUT]), Ok(()), "{name}");
            assert_eq!(wasi.word(OUT), 0);
        }
        for name in ["fd_pread", "fd_pwrite"] {
            assert_eq!(wasi.answer(name, &[fd.into(), 0, 0, 0, OUT]), Ok(()), "{name}");
            assert_eq!(wasi.word(OUT), 0);
        }
        assert_eq!(wasi.readdir(ROOT, 0, 0), Ok(vec![]));
        assert_eq!((wasi.tell(fd), wasi.fd_stat(fd).map(|stat| stat.size)), (Ok(0), Ok(8)));
        // As many iovecs as the count can say, all empty: what lies in this memory is zeros.
        wasi.memory()[DATA as usize..].fill(0);
        assert_eq!(wasi.answer("fd_read", &[fd.into(), DATA, 20_000, OUT]), Ok(()));
        assert_eq!(wasi.answer("fd_write", &[fd.into(), DATA, 20_000, OUT]), Ok(()));
        assert_eq!(wasi.fd_stat(fd).map(|stat| stat.size), Ok(8));
    });
}
