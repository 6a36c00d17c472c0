//! `wasi_unstable`, the older name of WASI 0.1: another order of `whence`, a `filestat` of 56 bytes,
//! a clock's subscription of 56 bytes. Everything else is the same code.

use crate::common::*;
use weir_testkit::calls::*;
use weir_testkit::{Linked, Wasi};
use weir_types::grants::{Clock, Grants, Source};
use weir_types::limits::Limits;
use weir_vfs::Errno;

const END: u64 = 16 << 16;

fn unstable() -> Linked {
    let places = vec![place("/", Source::Scratch)];
    Linked::unstable(&Grants { places, clock: Clock::Fixed(NOW), ..Grants::default() }, &Limits::default())
}

#[test]
fn whence_is_current_end_set() {
    let mut wasi = unstable();
    wasi.write_file(ROOT, "file", &[1; 100]).unwrap();
    let fd = wasi.open(ROOT, "file", 0, READ_WRITE).unwrap();
    let (current, end, set) = (0, 1, 2);
    assert_eq!(wasi.seek(fd, 30, set), Ok(30));
    assert_eq!(wasi.seek(fd, 5, current), Ok(35));
    assert_eq!(wasi.seek(fd, -10, end), Ok(90));
    assert_eq!(wasi.tell(fd), Ok(90));
    for whence in [3, 255, 256, u64::from(u32::MAX)] {
        assert_eq!(wasi.seek(fd, 0, whence), Err(Errno::Inval), "{whence}");
    }
    assert_eq!(wasi.seek(fd, -1, set), Err(Errno::Inval));
    assert_eq!(wasi.seek(99, 0, set), Err(Errno::Badf));
}

/// The fields of a 56-byte `filestat`: inode, type, links, size, times.
fn old_filestat(bytes: &[u8]) -> (u64, u8, u32, u64, [u64; 3]) {
    let number =
        |at: usize, len: usize| bytes[at..at + len].iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    (number(8, 8), bytes[16], number(20, 4) as u32, number(24, 8), [32, 40, 48].map(|at| number(at, 8)))
}

#[test]
fn filestat_has_56_bytes() {
    let mut wasi = unstable();
    let wasi = &mut wasi;
    wasi.write_file(ROOT, "file", b"contents").unwrap();
    wasi.link(ROOT, "file", ROOT, "second").unwrap();
    wasi.link(ROOT, "file", ROOT, "third").unwrap();
    wasi.set_times(ROOT, "file", [11, 22], 5).unwrap();
    let fd = wasi.open(ROOT, "file", 0, FD_READ).unwrap();
    wasi.put(PATH, b"file");
    // In the middle of the memory, and where the record is the last thing that fits.
    for at in [DATA, END - 56, END - 57, END - 63, END - 64] {
        let around = wasi.memory().to_vec();
        for (name, arguments) in
            [("fd_filestat_get", vec![fd.into(), at]), ("path_filestat_get", vec![ROOT.into(), 0, PATH, 4, at])]
        {
            wasi.memory()[DATA as usize - 8..].fill(0xa5);
            assert_eq!(wasi.answer(name, &arguments), Ok(()), "{name} {at:x}");
            let (ino, kind, links, size, times) = old_filestat(&wasi.get(at, 56));
            assert_eq!((kind, links, size, times), (4, 3, 8, [11, 22, NOW]), "{name} {at:x}");
            assert_ne!(ino, 0);
            assert_eq!(wasi.get(at - 8, 8), [0xa5; 8], "{name} {at:x}");
            let behind = wasi.memory()[at as usize + 56..].to_vec();
            assert!(behind.iter().all(|byte| *byte == 0xa5), "{name} {at:x}");
        }
        wasi.memory().copy_from_slice(&around);
    }
    wasi.put(DATA, &[0xa5; 64]);
    assert_eq!(wasi.answer("fd_filestat_get", &[99, DATA]), Err(Errno::Badf));
    wasi.put(PATH, b"none");
    assert_eq!(wasi.answer("path_filestat_get", &[ROOT.into(), 0, PATH, 4, DATA]), Err(Errno::Noent));
    assert_eq!(wasi.get(DATA, 64), [0xa5; 64], "a failing call writes nothing");
    for at in [END - 55, END, u64::from(u32::MAX) - 55, u64::from(u32::MAX)] {
        assert!(wasi.try_call("fd_filestat_get", &[fd.into(), at]).is_err(), "{at:x}");
    }
}

fn clock(userdata: u64, timeout: u64, absolute: bool) -> [u8; 56] {
    let mut record = [0; 56];
    record[..8].copy_from_slice(&userdata.to_le_bytes());
    // An identifier that later versions do not have.
    record[16..24].copy_from_slice(&0xdead_beef_u64.to_le_bytes());
    record[32..40].copy_from_slice(&timeout.to_le_bytes());
    record[48] = u8::from(absolute);
    record
}

fn on_fd(userdata: u64, kind: u8, fd: u32) -> [u8; 56] {
    let mut record = [0x5a; 56];
    record[..8].copy_from_slice(&userdata.to_le_bytes());
    record[8] = kind;
    record[16..20].copy_from_slice(&fd.to_le_bytes());
    record
}

#[test]
fn subscriptions_have_56_bytes() {
    let mut wasi = unstable();
    let wasi = &mut wasi;
    let file = wasi.open(ROOT, "file", CREAT, READ_WRITE).unwrap();
    let events = DATA + 0x1000;
    let poll = |wasi: &mut Linked, subscriptions: &[[u8; 56]]| {
        let array = subscriptions.concat();
        wasi.put(DATA, &array);
        wasi.put(DATA + array.len() as u64, &[0xa5; 64]);
        wasi.answer("poll_oneoff", &[DATA, events, subscriptions.len() as u64, OUT]).unwrap();
        assert_eq!(wasi.get(DATA, array.len()), array);
        assert_eq!(wasi.get(DATA + array.len() as u64, 64), [0xa5; 64]);
        let count = u64::from(wasi.word(OUT));
        let found: Vec<(u64, u32)> =
            (0..count).map(|index| (wasi.long(events + index * 32), wasi.word(events + index * 32 + 8))).collect();
        wasi.answer("clock_time_get", &[0, 1, OUT]).unwrap();
        (found, wasi.long(OUT) - NOW)
    };
    let badf = u32::from(Errno::Badf.number());
    assert_eq!(poll(wasi, &[clock(1, 5000, false), clock(2, 7000, false)]), (vec![(1, 0)], 5000));
    assert_eq!(poll(wasi, &[clock(3, NOW + 9000, true)]), (vec![(3, 0)], 9000));
    assert_eq!(poll(wasi, &[clock(4, 1 << 60, false), on_fd(5, 2, file)]), (vec![(5, 2 << 16)], 9000));
    let (mut found, _) = poll(wasi, &[on_fd(6, 1, 99), clock(4, 1 << 60, false), on_fd(7, 1, file)]);
    found.sort_unstable();
    assert_eq!(found, [(6, badf | 1 << 16), (7, 1 << 16)]);
    assert_eq!(wasi.answer("poll_oneoff", &[DATA, events, 0, OUT]), Err(Errno::Inval));
}

#[test]
fn the_rest_is_the_same() {
    let mut wasi = unstable();
    let wasi: &mut dyn Wasi = &mut wasi;
    wasi.mkdir(ROOT, "dir").unwrap();
    wasi.write_file(ROOT, "dir/file", b"contents").unwrap();
    wasi.symlink("file", ROOT, "dir/link").unwrap();
    wasi.rename(ROOT, "dir", ROOT, "moved").unwrap();
    assert_eq!(wasi.names(ROOT, "moved"), Ok(vec!["file".into(), "link".into()]));
    assert_eq!(wasi.read_file(ROOT, "moved/file"), Ok(b"contents".to_vec()));
    assert_eq!(wasi.readlink(ROOT, "moved/link", 9), Ok(b"file".to_vec()));
    assert_eq!(wasi.open(ROOT, "../x", CREAT, READ_WRITE), Err(Errno::Perm));
    assert_eq!(wasi.answer("fd_prestat_get", &[3, OUT]), Ok(()));
    assert_eq!(wasi.long(OUT), 1 << 32);
    assert_eq!(wasi.answer("random_get", &[DATA, 8]), Ok(()));
    assert_eq!(wasi.answer("sock_shutdown", &[3, 1]), Err(Errno::Notsock));
}
