//! Places that are streams outside: reads pull, writes push, nothing can be sought.

use crate::common::*;
use std::fs;
use weir_testkit::Linked;
use weir_testkit::calls::*;
use weir_types::grants::Source;
use weir_types::limits::Limits;
use weir_vfs::Errno;

/// `/in` and `/out` as streams in a folder.
fn streams(folder: &tempfile::TempDir, limits: Limits) -> Linked {
    fs::write(folder.path().join("in"), pattern(100_000)).unwrap();
    let stream = |name: &str| Source::Stream(Some(text(&folder.path().join(name))));
    linked_with(vec![place("/in", stream("in")), place("/d/out", stream("out")), place("/", Source::Scratch)], limits)
}

#[test]
fn reads_pull_and_writes_push() {
    let folder = tempfile::tempdir().unwrap();
    let mut wasi = streams(&folder, Limits::default());
    let input = wasi.open(ROOT, "in", 0, FD_READ).unwrap();
    let output = wasi.open(ROOT, "d/out", CREAT | TRUNC, FD_WRITE).unwrap();
    assert_eq!(wasi.read(input, 1000), Ok(pattern(1000)));
    let again = wasi.open(ROOT, "in", 0, FD_READ).unwrap();
    assert_eq!(wasi.read(again, 10), Ok(pattern(1010)[1000..].to_vec()), "one stream, however often it is opened");
    wasi.put(IOVS, &[DATA as u32, 3, DATA as u32 + 3, 4].map(u32::to_le_bytes).concat());
    wasi.answer("fd_read", &[input.into(), IOVS, 2, OUT]).unwrap();
    assert_eq!((wasi.word(OUT), wasi.get(DATA, 7)), (7, pattern(1017)[1010..].to_vec()));
    let mut rest = Vec::new();
    loop {
        match wasi.read(input, 30_000).unwrap() {
            bytes if bytes.is_empty() => break,
            bytes => rest.extend(bytes),
        }
    }
    assert!(rest == pattern(100_000)[1017..]);
    assert_eq!((wasi.write(output, b"one "), wasi.write(output, b"")), (Ok(4), Ok(0)));
    wasi.close(output).unwrap();
    let output = wasi.open(ROOT, "d/out", TRUNC, FD_WRITE).unwrap();
    assert_eq!(wasi.write(output, b"two"), Ok(3));
    assert_eq!(fs::read(folder.path().join("out")).unwrap(), b"one two", "what was pushed stays pushed");
    assert!(fs::read(folder.path().join("in")).unwrap() == pattern(100_000));
}

#[test]
fn a_stream_is_not_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut wasi = streams(&folder, Limits::default());
    let fd = wasi.open(ROOT, "in", 0, READ_WRITE).unwrap();
    assert_eq!(wasi.fdstat(fd).map(|stat| (stat.kind, stat.base & READ_WRITE)), Ok((0, READ_WRITE)));
    assert_eq!(wasi.fd_stat(fd).map(|stat| (stat.kind, stat.size)), Ok((0, 0)));
    assert_eq!(wasi.stat(ROOT, "in").map(|stat| stat.kind), Ok(0));
    for whence in 0..3 {
        assert_eq!(wasi.seek(fd, 0, whence), Err(Errno::Spipe));
    }
    assert_eq!((wasi.tell(fd), wasi.pread(fd, 0, 1)), (Err(Errno::Spipe), Err(Errno::Spipe)));
    assert_eq!(wasi.pwrite(fd, 0, b"x"), Err(Errno::Spipe));
    assert_eq!(wasi.readdir(fd, 64, 0), Err(Errno::Badf));
    assert_eq!(wasi.open(fd, "x", CREAT, READ_WRITE), Err(Errno::Notdir));
    assert_eq!(wasi.open(ROOT, "in/x", 0, FD_READ), Err(Errno::Notdir));
    assert_eq!(wasi.open(ROOT, "in", DIRECTORY, FD_READ), Err(Errno::Notdir));
    assert_eq!(wasi.open(ROOT, "in", CREAT | EXCL, READ_WRITE), Err(Errno::Exist));
    assert_eq!(wasi.answer("fd_fdstat_set_flags", &[fd.into(), 4]), Ok(()));
    assert_eq!(wasi.answer("sock_shutdown", &[fd.into(), 1]), Err(Errno::Notsock));
    let reader = wasi.open(ROOT, "in", 0, FD_READ).unwrap();
    let writer = wasi.open(ROOT, "d/out", 0, FD_WRITE).unwrap();
    assert_eq!((wasi.write(reader, b"x"), wasi.read(writer, 1)), (Err(Errno::Badf), Err(Errno::Badf)));
    assert!(fs::read(folder.path().join("in")).unwrap() == pattern(100_000));
    // Names are the tree's, the stream is not.
    wasi.rename(ROOT, "d/out", ROOT, "renamed").unwrap();
    wasi.write_file(ROOT, "plain", b"plain").unwrap();
    wasi.rename(ROOT, "plain", ROOT, "in").unwrap();
    assert_eq!(wasi.read_file(ROOT, "in"), Ok(b"plain".to_vec()));
    assert_eq!(wasi.read(reader, 5), Ok(pattern(5)), "open streams live on");
    let renamed = wasi.open(ROOT, "renamed", 0, FD_WRITE).unwrap();
    assert_eq!(wasi.write(renamed, b"pushed"), Ok(6));
    assert_eq!(fs::read(folder.path().join("out")).unwrap(), b"pushed");
}

#[test]
fn one_path_in_both_directions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both");
    fs::write(&path, b"question").unwrap();
    let mut wasi = linked(vec![place("/both", Source::Stream(Some(text(&path))))]);
    let fd = wasi.open(ROOT, "both", 0, READ_WRITE).unwrap();
    assert_eq!(wasi.read(fd, 5), Ok(b"quest".to_vec()));
    assert_eq!(wasi.read(fd, 5), Ok(b"ion".to_vec()));
    assert_eq!(wasi.write(fd, b"answer"), Ok(6));
    assert_eq!(fs::read(&path).unwrap(), b"answer");
}

#[test]
fn what_is_missing_says_so_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut wasi = streams(&folder, Limits::default());
    let fd = wasi.open(ROOT, "d/out", 0, READ_WRITE).unwrap();
    assert_eq!(wasi.read(fd, 5), Err(Errno::Noent));
    assert_eq!(wasi.write(fd, b"made"), Ok(4));
    assert_eq!(wasi.read(fd, 5), Ok(b"made".to_vec()));
}

#[test]
fn output_is_limited() {
    let folder = tempfile::tempdir().unwrap();
    let mut wasi = streams(&folder, Limits { output_max: Some(100), ..Limits::default() });
    let fd = wasi.open(ROOT, "d/out", 0, FD_WRITE).unwrap();
    assert_eq!(wasi.write(fd, &[b'x'; 60]), Ok(60));
    wasi.put(IOVS, &[DATA as u32, 41].map(u32::to_le_bytes).concat());
    let error = wasi.try_call("fd_write", &[fd.into(), IOVS, 1, OUT]).unwrap_err();
    assert!(error.contains("more output"), "{error}");
    assert_eq!(fs::read(folder.path().join("out")).unwrap().len(), 60);
    wasi.write_file(ROOT, "file", &[b'x'; 1000]).unwrap();
}
