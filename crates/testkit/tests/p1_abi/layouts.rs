//! Where each record's fields lie, byte for byte, and that nothing is written beside a record.

use crate::common::*;
use weir_testkit::Wasi;
use weir_testkit::calls::*;
use weir_vfs::Errno;

const FILLER: u8 = 0xa5;

/// Lets `call` store a record of `len` bytes at [`DATA`] and gives it; what is around it must stay.
fn record(wasi: &mut dyn Wasi, len: usize, call: impl FnOnce(&mut dyn Wasi)) -> Vec<u8> {
    let around = 64;
    wasi.put(DATA - around, &vec![FILLER; len + 2 * around as usize]);
    call(wasi);
    let before = wasi.get(DATA - around, around as usize);
    let behind = wasi.get(DATA + len as u64, around as usize);
    assert!(before.iter().chain(&behind).all(|byte| *byte == FILLER), "{before:?} {behind:?}");
    wasi.get(DATA, len)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[test]
fn fdstat_has_24_bytes() {
    both(|wasi| {
        sample(wasi);
        let how = Open { rights: READ_WRITE, flags: APPEND | 4, ..Open::default() };
        let file = wasi.open_with(ROOT, "dir/file", how).unwrap();
        for (fd, kind, flags) in [(ROOT, 3, 0), (file, 4, 5)] {
            let bytes = record(wasi, 24, |wasi| wasi.answer("fd_fdstat_get", &[fd.into(), DATA]).unwrap());
            assert_eq!((bytes[0], bytes[1]), (kind, 0), "file type and a byte of nothing");
            assert_eq!(number(&bytes[2..4]), flags);
            assert_eq!(bytes[4..8], [0; 4]);
            let stat = wasi.fdstat(fd).unwrap();
            assert_eq!((number(&bytes[8..16]), number(&bytes[16..24])), (stat.base, stat.inheriting));
        }
        assert_eq!(wasi.fdstat(file).unwrap().base & READ_WRITE, READ_WRITE);
        assert_ne!(wasi.fdstat(ROOT).unwrap().inheriting & READ_WRITE, 0, "a preopen passes reading and writing on");
        assert_ne!(wasi.fdstat(ROOT).unwrap().base & 1 << 13, 0, "a preopen opens paths");
    });
}

#[test]
fn filestat_has_64_bytes() {
    both(|wasi| {
        sample(wasi);
        wasi.link(ROOT, "dir/file", ROOT, "second").unwrap();
        wasi.set_times(ROOT, "dir/file", [0x1122_3344_5566_7788, 0x0102_0304_0506_0708], 5).unwrap();
        let fd = wasi.open(ROOT, "dir/file", 0, FD_READ).unwrap();
        let ino = wasi.fd_stat(fd).unwrap().ino;
        wasi.put(PATH, b"dir/file");
        let by_fd = record(wasi, 64, |wasi| wasi.answer("fd_filestat_get", &[fd.into(), DATA]).unwrap());
        let path = [ROOT.into(), 0, PATH, 8, DATA];
        let by_path = record(wasi, 64, |wasi| wasi.answer("path_filestat_get", &path).unwrap());
        assert_eq!(by_fd, by_path);
        assert_eq!(number(&by_fd[8..16]), ino);
        assert_eq!((by_fd[16], number(&by_fd[17..24])), (4, 0), "file type and seven bytes of nothing");
        assert_eq!((number(&by_fd[24..32]), number(&by_fd[32..40])), (2, 8), "links, then size");
        assert_eq!(number(&by_fd[40..48]), 0x1122_3344_5566_7788);
        assert_eq!(number(&by_fd[48..56]), 0x0102_0304_0506_0708);
        assert!(number(&by_fd[56..64]) >= NOW, "the time of change cannot be set");
        for (path, kind) in [("dir", 3), ("link", 7), ("dangling", 7), (".", 3)] {
            assert_eq!(wasi.stat(ROOT, path).unwrap().kind, kind, "{path}");
        }
        assert_eq!(wasi.stat(ROOT, "dir").unwrap().device, number(&by_fd[..8]), "one device");
        assert_ne!(wasi.stat(ROOT, "dir").unwrap().ino, ino);
    });
}

#[test]
fn prestat_has_8_bytes_and_the_name_no_end() {
    both(|wasi| {
        let bytes = record(wasi, 8, |wasi| wasi.answer("fd_prestat_get", &[3, DATA]).unwrap());
        assert_eq!(bytes, [0, 0, 0, 0, 1, 0, 0, 0]);
        let name = record(wasi, 1, |wasi| wasi.answer("fd_prestat_dir_name", &[3, DATA, 1]).unwrap());
        assert_eq!(name, b"/");
        let name = record(wasi, 1, |wasi| wasi.answer("fd_prestat_dir_name", &[3, DATA, 60]).unwrap());
        assert_eq!(name, b"/", "a larger buffer is not filled");
        record(wasi, 0, |wasi| {
            assert_eq!(wasi.answer("fd_prestat_dir_name", &[3, DATA, 0]), Err(Errno::Nametoolong));
            assert_eq!(wasi.answer("fd_prestat_get", &[4, DATA]), Err(Errno::Badf));
            assert_eq!(wasi.answer("fd_prestat_dir_name", &[4, DATA, 9]), Err(Errno::Badf));
            assert_eq!(wasi.answer("fd_prestat_get", &[0, DATA]), Err(Errno::Badf), "stdin is no preopen");
        });
        let dir = wasi.open(3, ".", DIRECTORY, FD_READ).unwrap();
        assert_eq!(wasi.answer("fd_prestat_get", &[dir.into(), DATA]), Err(Errno::Badf));
        assert_eq!(wasi.answer("fd_prestat_dir_name", &[dir.into(), DATA, 9]), Err(Errno::Notdir));
    });
}

#[test]
fn dirents_are_24_bytes_and_a_name() {
    both(|wasi| {
        sample(wasi);
        let dir = wasi.open(ROOT, "dir", DIRECTORY, FD_READ).unwrap();
        let len = 4 * 24 + ".".len() + "..".len() + "sub".len() + "file".len();
        let bytes = record(wasi, len, |wasi| wasi.answer("fd_readdir", &[dir.into(), DATA, 4096, 0, OUT]).unwrap());
        assert_eq!(wasi.word(OUT) as usize, len);
        let mut rest = &bytes[..];
        let mut last = 0;
        for (name, kind, path) in [(".", 3, "dir"), ("..", 3, "."), ("sub", 3, "dir/sub"), ("file", 4, "dir/file")] {
            let next = number(&rest[..8]);
            assert!(next > last, "cookies grow");
            assert_eq!(number(&rest[8..16]), wasi.stat(ROOT, path).unwrap().ino, "{path}");
            assert_eq!(number(&rest[16..20]), name.len() as u64);
            assert_eq!((rest[20], &rest[21..24]), (kind, &[0; 3][..]));
            assert_eq!(&rest[24..24 + name.len()], name.as_bytes(), "no end behind the name");
            (rest, last) = (&rest[24 + name.len()..], next);
        }
        assert_eq!(wasi.readdir(dir, 4096, last), Ok(vec![]), "the last cookie is the end");
    });
}

#[test]
fn a_listing_ends_mid_record_where_the_buffer_does() {
    both(|wasi| {
        sample(wasi);
        let dir = wasi.open(ROOT, "dir", DIRECTORY, FD_READ).unwrap();
        let whole = wasi.readdir(dir, 4096, 0).unwrap();
        let all = dirents(&whole);
        for room in 0..whole.len() + 2 {
            let cut = record(wasi, room.min(whole.len()), |wasi| {
                wasi.answer("fd_readdir", &[dir.into(), DATA, room as u64, 0, OUT]).unwrap();
            });
            assert_eq!((wasi.word(OUT) as usize, &cut[..]), (room.min(whole.len()), &whole[..cut.len()]), "{room}");
            if room >= 24 + 4 {
                assert_eq!(wasi.list_by(dir, room), Ok(all.clone()), "{room}");
            }
        }
    });
}

#[test]
fn iovecs_are_an_address_and_a_length() {
    both(|wasi| {
        let file = wasi.open(ROOT, "file", CREAT, READ_WRITE).unwrap();
        wasi.put(DATA, b"0123456789");
        let iovec = |at: u64, len: u32| [(at as u32).to_le_bytes(), len.to_le_bytes()].concat();
        // Any order, nothing at all between, the same bytes twice.
        let array = [iovec(DATA + 8, 2), iovec(0, 0), iovec(DATA, 3), iovec(u64::MAX, 0), iovec(DATA + 1, 1)].concat();
        wasi.put(IOVS, &array);
        assert_eq!(wasi.answer("fd_write", &[file.into(), IOVS, 5, OUT]), Ok(()));
        assert_eq!(wasi.word(OUT), 6);
        assert_eq!(wasi.pread(file, 0, 99), Ok(b"890121".to_vec()));
        wasi.seek(file, 0, 0).unwrap();
        wasi.put(DATA, &[b'-'; 12]);
        wasi.put(IOVS, &[iovec(DATA + 9, 2), iovec(DATA + 1, 3), iovec(DATA + 5, 9)].concat());
        assert_eq!(wasi.answer("fd_read", &[file.into(), IOVS, 3, OUT]), Ok(()));
        assert_eq!((wasi.word(OUT), wasi.get(DATA, 12)), (6, b"-012-1---89-".to_vec()));
        assert_eq!(wasi.tell(file), Ok(6));
        wasi.put(IOVS, &[iovec(DATA, 1), iovec(DATA + 1, 1)].concat());
        assert_eq!(wasi.answer("fd_pread", &[file.into(), IOVS, 2, 4, OUT]), Ok(()));
        assert_eq!((wasi.word(OUT), wasi.get(DATA, 3)), (2, b"211".to_vec()));
        assert_eq!(wasi.answer("fd_pwrite", &[file.into(), IOVS, 2, 1, OUT]), Ok(()));
        assert_eq!((wasi.word(OUT), wasi.pread(file, 0, 99)), (2, Ok(b"821121".to_vec())));
        assert_eq!(wasi.tell(file), Ok(6), "positions stay");
    });
}

#[test]
fn results_of_four_and_eight_bytes_are_no_larger() {
    both(|wasi| {
        let file = wasi.open(ROOT, "file", CREAT, READ_WRITE).unwrap();
        wasi.put(PATH, b"file");
        let opening = [ROOT.into(), 0, PATH, 4, 0, FD_READ, 0, 0, DATA];
        let opened = record(wasi, 4, |wasi| wasi.answer("path_open", &opening).unwrap());
        assert_eq!(opened, (file + 1).to_le_bytes());
        let seeking = [file.into(), 0x1_0000_0001, 0, DATA];
        let position = record(wasi, 8, |wasi| wasi.answer("fd_seek", &seeking).unwrap());
        assert_eq!(number(&position), 0x1_0000_0001);
        let position = record(wasi, 8, |wasi| wasi.answer("fd_tell", &[file.into(), DATA]).unwrap());
        assert_eq!(number(&position), 0x1_0000_0001);
        for name in ["fd_read", "fd_write"] {
            let moved = record(wasi, 4, |wasi| wasi.answer(name, &[file.into(), IOVS, 0, DATA]).unwrap());
            assert_eq!(moved, [0; 4], "{name}");
        }
        wasi.symlink("abcdef", ROOT, "link").unwrap();
        wasi.put(PATH, b"link");
        let target = record(wasi, 5, |wasi| {
            wasi.answer("path_readlink", &[ROOT.into(), PATH, 4, DATA, 5, OUT]).unwrap();
        });
        assert_eq!((wasi.word(OUT), &target[..]), (5, &b"abcde"[..]), "cut, without an end");
    });
}

#[test]
fn a_failing_call_writes_nothing() {
    both(|wasi| {
        sample(wasi);
        let fd = ROOT.into();
        wasi.put(PATH, b"nothing");
        let file = wasi.open(ROOT, "dir/file", 0, FD_READ).unwrap().into();
        let calls: [(&str, Vec<u64>); 9] = [
            ("path_open", vec![fd, 0, PATH, 7, 0, FD_READ, 0, 0, DATA]),
            ("path_filestat_get", vec![fd, 0, PATH, 7, DATA]),
            ("path_readlink", vec![fd, PATH, 7, DATA, 64, DATA + 64]),
            ("fd_seek", vec![file, u64::MAX, 0, DATA]),
            ("fd_tell", vec![fd, DATA]),
            ("fd_read", vec![99, IOVS, 1, DATA]),
            ("fd_readdir", vec![file, DATA, 64, 0, DATA + 64]),
            ("fd_fdstat_get", vec![99, DATA]),
            ("fd_filestat_get", vec![99, DATA]),
        ];
        for (name, arguments) in calls {
            wasi.put(DATA, &[FILLER; 128]);
            wasi.answer(name, &arguments).unwrap_err();
            assert_eq!(wasi.get(DATA, 128), [FILLER; 128], "{name}");
        }
    });
}
