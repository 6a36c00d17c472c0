//! Mistakes that other implementations of WASI made and published, each as a test.

mod support;

use support::*;
use weir_vfs::p1::*;

/// `inside/` is what the program is given as descriptor 3; `outside` lies beside it.
fn sandbox() -> TestProcess {
    let preopens = vec![Preopen { name: "/".into(), target: PreopenTarget::Tree("inside".into()) }];
    let nodes = vec![
        node("outside/secret", NodeKind::Bytes(b"secret".to_vec())),
        node("inside/absolute", NodeKind::Symlink("/outside".into())),
        node("inside/up", NodeKind::Symlink("../outside".into())),
        node("inside/up-slash", NodeKind::Symlink("../outside/".into())),
        node("inside/dir/up", NodeKind::Symlink("../../outside".into())),
        node("inside/file", NodeKind::Bytes(b"file".to_vec())),
    ];
    Process::boot(TestPlatform::default(), &Image { quota: Quota::default(), preopens, nodes }).unwrap()
}

/// A slash behind a symbolic link must not lead out of the sandbox, whichever function is called.
#[test]
fn ghsa_vqjp_4c8c_hfgg_trailing_slash() {
    let links = ["absolute", "up", "up-slash", "dir/up", "dir/../up", "./dir/./up"];
    for link in links {
        for tail in ["/", "//", "/.", "/./", "/secret", "//secret", "/../outside/secret"] {
            let path = &format!("{link}{tail}");
            let mut process = sandbox();
            let process = &mut process;
            let before = tree(&mut process.vfs);
            let mut answers = vec![
                open(process, path, 0, FD_READ).map(|_| ()),
                open(process, path, OFLAG_DIRECTORY, 0).map(|_| ()),
                process.path_open(ROOT_FD, 1, path, 0, FD_READ, 0, 0).map(|_| ()),
                process.path_filestat_get(ROOT_FD, 0, path).map(|_| ()),
                process.path_filestat_get(ROOT_FD, 1, path).map(|_| ()),
                process.path_filestat_set_times(ROOT_FD, 0, path, 1, 1, 5),
                process.path_readlink(&mut [0; 9], ROOT_FD, path, 0, 9).map(|_| ()),
                process.path_link(ROOT_FD, 0, path, ROOT_FD, "new"),
                process.path_link(ROOT_FD, 1, path, ROOT_FD, "new"),
            ];
            for (errno, answer) in answers.drain(..).enumerate() {
                assert_eq!(answer, Err(Errno::Perm), "{path} {errno}");
            }
            let new = &format!("{link}{tail}/new");
            for answer in [
                open(process, new, OFLAG_CREAT, READ_WRITE).map(|_| ()),
                process.path_create_directory(ROOT_FD, new),
                process.path_symlink("x", ROOT_FD, new),
                process.path_link(ROOT_FD, 0, "file", ROOT_FD, new),
                process.path_rename(ROOT_FD, "file", ROOT_FD, new),
                process.path_unlink_file(ROOT_FD, new),
                process.path_remove_directory(ROOT_FD, new),
            ] {
                assert_eq!(answer, Err(Errno::Perm), "{new}");
            }
            // The name of the link itself may be meant, but never what is behind it.
            let _ = process.path_remove_directory(ROOT_FD, path);
            let _ = process.path_unlink_file(ROOT_FD, path);
            let _ = process.path_rename(ROOT_FD, path, ROOT_FD, "moved");
            let _ = process.path_create_directory(ROOT_FD, path);
            let _ = process.path_symlink("x", ROOT_FD, path);
            let _ = open(process, path, OFLAG_CREAT, READ_WRITE);
            let _ = process.path_open(ROOT_FD, 1, path, OFLAG_CREAT | OFLAG_TRUNC, READ_WRITE, 0, 0);
            assert_eq!(tree(&mut process.vfs), before, "{path}");
        }
    }
}

/// A hard link or a new name must not give access that the old name did not give.
#[test]
fn ghsa_4ch3_9j33_3pmj_hard_link_and_rename_permissions() {
    let mut read_only = node("ro", NodeKind::Directory(None));
    read_only.read_only = true;
    let mut file = node("ro/file", NodeKind::Bytes(b"precious".to_vec()));
    file.read_only = true;
    let preopens = ["ro", "rw"].map(|name| Preopen { name: name.into(), target: PreopenTarget::Tree(name.into()) });
    let image = Image { quota: Quota::default(), preopens: preopens.to_vec(), nodes: vec![read_only, file] };
    let mut process = Process::boot(TestPlatform::default(), &image).unwrap();
    let (ro, rw) = (3, 4);
    assert_eq!(process.path_link(ro, 0, "file", rw, "file"), Err(Errno::Rofs));
    assert_eq!(process.path_rename(ro, "file", rw, "file"), Err(Errno::Rofs));
    write_beside(&mut process, rw);
    assert_eq!(process.path_link(rw, 0, "mine", ro, "mine"), Err(Errno::Rofs));
    assert_eq!(process.path_rename(rw, "mine", ro, "file"), Err(Errno::Rofs));
    assert_eq!(process.path_open(ro, 0, "file", 0, FD_WRITE, 0, 0), Err(Errno::Rofs));

    // The same where the two directories differ in rights alone.
    let mut process = support::process();
    write_file(&mut process, "file", b"precious");
    process.path_create_directory(ROOT_FD, "dir").unwrap();
    let less = process.path_open(ROOT_FD, 0, ".", OFLAG_DIRECTORY, FD_READ, 0, 0).unwrap();
    let stat = process.fd_fdstat_get(less).unwrap();
    process.fd_fdstat_set_rights(less, stat.rights_base, stat.rights_inheriting & !FD_WRITE).unwrap();
    let dir = process.path_open(ROOT_FD, 0, "dir", OFLAG_DIRECTORY, FD_READ, 0, 0).unwrap();
    assert_eq!(process.path_link(less, 0, "file", dir, "file"), Err(Errno::Perm));
    assert_eq!(process.path_rename(less, "file", dir, "file"), Err(Errno::Perm));
    assert_eq!(process.path_link(dir, 0, "file", less, "file"), Err(Errno::Noent), "the other way gives nothing");
}

fn write_beside(process: &mut TestProcess, rw: u32) {
    let fd = process.path_open(rw, 0, "mine", OFLAG_CREAT, READ_WRITE, 0, 0).unwrap();
    process.fd_close(fd).unwrap();
}

/// Opening with `trunc` changes the file, so that it needs what writing needs.
#[test]
fn ghsa_2r75_cxrj_cmph_truncate_requires_write() {
    let mut file = node("file", NodeKind::Bytes(b"precious".to_vec()));
    file.read_only = true;
    let mut process = process_with(Quota::default(), TestPlatform::default(), vec![file]);
    for rights in [0, FD_READ, FD_WRITE, READ_WRITE] {
        assert_eq!(open(&mut process, "file", OFLAG_TRUNC, rights), Err(Errno::Rofs));
        assert_eq!(open(&mut process, "file", OFLAG_CREAT | OFLAG_TRUNC, rights), Err(Errno::Rofs));
    }
    assert_eq!(read_file(&mut process, "file"), Ok(b"precious".to_vec()));

    let mut process = support::process();
    write_file(&mut process, "file", b"precious");
    let dir = open(&mut process, ".", OFLAG_DIRECTORY, FD_READ).unwrap();
    let stat = process.fd_fdstat_get(dir).unwrap();
    process.fd_fdstat_set_rights(dir, stat.rights_base, stat.rights_inheriting & !FD_WRITE).unwrap();
    for rights in [0, FD_READ, FD_WRITE, READ_WRITE] {
        assert_eq!(process.path_open(dir, 0, "file", OFLAG_TRUNC, rights, 0, 0), Err(Errno::Notcapable));
    }
    assert_eq!(read_file(&mut process, "file"), Ok(b"precious".to_vec()));
}

/// Renumbering closes what was at the destination: nothing may be held after any number of rounds.
#[test]
fn ghsa_3p27_qvp9_27qf_renumber_leaks_nothing() {
    let mut process = support::process();
    let before = process.vfs.usage();
    for round in 0..1000 {
        let name = format!("file-{}", round % 7);
        let (from, to) =
            (open(&mut process, &name, 1, READ_WRITE).unwrap(), open(&mut process, "to", 1, READ_WRITE).unwrap());
        write(&mut process, to, &[1; 1000]).unwrap();
        process.path_unlink_file(ROOT_FD, "to").unwrap();
        assert!(matches!(process.fd_renumber(from, to), Ok(Some(Target::Tree(_)))));
        process.path_unlink_file(ROOT_FD, &name).unwrap();
        process.fd_close(to).unwrap();
        assert_eq!(process.vfs.usage(), before, "round {round}");
    }
    assert_eq!(process.open_fds().collect::<Vec<_>>(), [0, 1, 2, 3]);
    let stream = process.add_stream(weir_vfs::StreamId(3), true, true).unwrap();
    let host = process.add_host(42).unwrap();
    assert_eq!(process.fd_renumber(stream, host), Ok(Some(Target::Host(42))), "the adapter is told what to close");
}
