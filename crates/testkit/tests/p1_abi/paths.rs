//! Each function that takes a path, with each path that leads nowhere good, each descriptor that is no
//! directory, and what it answers of things that are there.

use crate::common::*;
use weir_testkit::Wasi;
use weir_testkit::calls::*;
use weir_vfs::Errno;

/// A call with the path that is tried at [`PATH_2`], its length, and the descriptor below which it is.
/// `path_link` and `path_rename` are here twice: for their first path and for their second.
type PathCall = (&'static str, fn(u64, u64) -> Vec<u64>);

/// `dirlink`, a name that is there, is at [`PATH`].
const OTHER: u64 = 7;

const PATH_CALLS: [PathCall; 13] = [
    ("path_create_directory", |fd, len| vec![fd, PATH_2, len]),
    ("path_remove_directory", |fd, len| vec![fd, PATH_2, len]),
    ("path_unlink_file", |fd, len| vec![fd, PATH_2, len]),
    ("path_filestat_get", |fd, len| vec![fd, 0, PATH_2, len, DATA]),
    ("path_filestat_get", |fd, len| vec![fd, FOLLOW, PATH_2, len, DATA]),
    ("path_filestat_set_times", |fd, len| vec![fd, 0, PATH_2, len, 1, 2, 5]),
    ("path_open", |fd, len| vec![fd, 0, PATH_2, len, CREAT, READ_WRITE, 0, 0, OUT]),
    ("path_readlink", |fd, len| vec![fd, PATH_2, len, DATA, 64, OUT]),
    ("path_symlink", |fd, len| vec![PATH, OTHER, fd, PATH_2, len]),
    ("path_link", |fd, len| vec![fd, 0, PATH_2, len, ROOT as u64, PATH_2 + 0x3000, 3]),
    ("path_link", |fd, len| vec![ROOT as u64, 0, PATH, OTHER, fd, PATH_2, len]),
    ("path_rename", |fd, len| vec![fd, PATH_2, len, ROOT as u64, PATH_2 + 0x3000, 3]),
    ("path_rename", |fd, len| vec![ROOT as u64, PATH, OTHER, fd, PATH_2, len]),
];

fn try_path(wasi: &mut dyn Wasi, call: PathCall, fd: u32, path: &[u8]) -> Answer {
    wasi.put(PATH, b"dirlink");
    wasi.put(PATH_2, path);
    wasi.put(PATH_2 + 0x3000, b"new");
    wasi.answer(call.0, &call.1(fd.into(), path.len() as u64))
}

#[test]
fn paths_that_lead_nowhere_good() {
    let long_name = [b'n'; 256];
    let long_path = [b"d/".repeat(2048), b"x".to_vec()].concat();
    let table: &[(&[u8], Errno)] = &[
        (b"", Errno::Noent),
        (b"/", Errno::Perm),
        (b"/dir/file", Errno::Perm),
        (b"..", Errno::Perm),
        (b"../", Errno::Perm),
        (b"../x", Errno::Perm),
        (b"./..", Errno::Perm),
        (b"dir/../..", Errno::Perm),
        (b"dir/../../dir/file", Errno::Perm),
        (b"dir/sub/../../../x", Errno::Perm),
        (b"up/x", Errno::Perm),
        (b"dir/file/x", Errno::Notdir),
        (b"dir/file/.", Errno::Notdir),
        (b"dir/file/..", Errno::Notdir),
        (b"nothing/x", Errno::Noent),
        (b"nothing/../dir/file", Errno::Noent),
        (b"dangling/x", Errno::Noent),
        (b"loop/x", Errno::Loop),
        (b"nul\0", Errno::Inval),
        (b"dir/nul\0/x", Errno::Inval),
        (&long_name, Errno::Nametoolong),
        (&long_path, Errno::Nametoolong),
        (b"\xff", Errno::Ilseq),
        (b"dir/\xc3", Errno::Ilseq),
        (b"\xc0\xaf", Errno::Ilseq),
        (b"\xed\xa0\x80", Errno::Ilseq),
        (b"\xf4\x90\x80\x80", Errno::Ilseq),
        (b"dir/fi\x80le", Errno::Ilseq),
    ];
    both(|wasi| {
        sample(wasi);
        let before = tree(wasi, ROOT);
        for call in PATH_CALLS {
            for (path, errno) in table {
                let answer = try_path(wasi, call, ROOT, path);
                let path = String::from_utf8_lossy(&path[..path.len().min(40)]).into_owned();
                assert_eq!(answer, Err(*errno), "{} {path:?}", call.0);
            }
        }
        assert_eq!(tree(wasi, ROOT), before, "nothing was changed by any");
    });
}

#[test]
fn descriptors_that_are_no_directory() {
    both(|wasi| {
        sample(wasi);
        let file = wasi.open(ROOT, "dir/file", 0, READ_WRITE).unwrap();
        let gone = wasi.open(ROOT, "dir", DIRECTORY, FD_READ).unwrap();
        wasi.close(gone).unwrap();
        let table = [
            (99, Errno::Badf),
            (u32::MAX, Errno::Badf),
            (gone, Errno::Badf),
            (file, Errno::Notdir),
            (1, Errno::Notdir),
        ];
        for call in PATH_CALLS {
            for (fd, errno) in table {
                assert_eq!(try_path(wasi, call, fd, b"x"), Err(errno), "{} {fd}", call.0);
            }
            // A bad descriptor counts more than a bad path.
            assert_eq!(try_path(wasi, call, 99, b"\xff"), Err(Errno::Badf), "{}", call.0);
        }
    });
}

#[test]
fn rights_given_up_on_the_directory() {
    // The bit of the right that each of the calls needs, in the order of the table.
    let bits = [9, 25, 26, 18, 18, 20, 13, 15, 24, 11, 12, 16, 17];
    both(|wasi| {
        sample(wasi);
        for (call, bit) in PATH_CALLS.into_iter().zip(bits) {
            let dir = wasi.open(ROOT, ".", DIRECTORY, FD_READ).unwrap();
            wasi.give_up(dir, 1 << bit, 0).unwrap();
            assert_eq!(try_path(wasi, call, dir, b"dir"), Err(Errno::Notcapable), "{} {bit}", call.0);
            assert_eq!(
                wasi.answer("fd_fdstat_set_rights", &[dir.into(), u64::MAX >> 34, 0]),
                Err(Errno::Notcapable),
                "what was given up does not come back"
            );
            wasi.close(dir).unwrap();
        }
        let dir = wasi.open(ROOT, ".", DIRECTORY, FD_READ).unwrap();
        wasi.give_up(dir, 0, FD_WRITE).unwrap();
        assert_eq!(wasi.open(dir, "dir/file", 0, READ_WRITE), Err(Errno::Notcapable));
        assert_eq!(wasi.open(dir, "dir/file", TRUNC, 0), Err(Errno::Notcapable));
        assert_eq!(wasi.read_file(dir, "dir/file"), Ok(b"contents".to_vec()));
    });
}

#[test]
fn path_open() {
    let table = [
        // path, lookup, oflags, rights, fdflags, answer
        ("dir/file", 0, 0, FD_READ, 0, Ok(())),
        ("dir/./../dir//file", 0, 0, FD_READ, 0, Ok(())),
        ("dirlink/file", 0, 0, FD_READ, 0, Ok(())),
        ("dir/file", 0, CREAT, READ_WRITE, 31, Ok(())),
        ("dir/file", 0, CREAT | EXCL, READ_WRITE, 0, Err(Errno::Exist)),
        ("dir/file", 0, DIRECTORY, FD_READ, 0, Err(Errno::Notdir)),
        ("dir/file/", 0, 0, FD_READ, 0, Err(Errno::Notdir)),
        ("dir", 0, 0, 0, 0, Ok(())),
        ("dir///", 0, DIRECTORY, FD_READ, 0, Ok(())),
        ("dir", 0, 0, FD_WRITE, 0, Err(Errno::Isdir)),
        ("dir", 0, CREAT, FD_READ, 0, Err(Errno::Isdir)),
        ("dir", 0, TRUNC, FD_READ, 0, Err(Errno::Isdir)),
        ("dir", 0, CREAT | DIRECTORY, FD_READ, 0, Err(Errno::Inval)),
        ("link", 0, 0, FD_READ, 0, Err(Errno::Loop)),
        ("link", FOLLOW, 0, FD_READ, 0, Ok(())),
        ("link", FOLLOW, CREAT | EXCL, READ_WRITE, 0, Err(Errno::Exist)),
        ("dirlink", 0, DIRECTORY, FD_READ, 0, Err(Errno::Notdir)),
        ("dirlink/", 0, DIRECTORY, FD_READ, 0, Ok(())),
        ("dangling", FOLLOW, 0, FD_READ, 0, Err(Errno::Noent)),
        ("dangling", FOLLOW, CREAT, READ_WRITE, 0, Ok(())),
        ("loop", FOLLOW, 0, FD_READ, 0, Err(Errno::Loop)),
        ("up", FOLLOW, 0, FD_READ, 0, Err(Errno::Perm)),
        ("nothing", 0, 0, FD_READ, 0, Err(Errno::Noent)),
        ("nothing/", 0, CREAT, READ_WRITE, 0, Err(Errno::Isdir)),
        ("dir/file", 2, 0, FD_READ, 0, Err(Errno::Inval)),
        ("dir/file", 0, 16, FD_READ, 0, Err(Errno::Inval)),
        ("dir/file", 0, 0x1_0000, FD_READ, 0, Err(Errno::Inval)),
        ("dir/file", 0, 0, FD_READ, 32, Err(Errno::Inval)),
        ("dir/file", 0, 0, FD_READ, 0x1_0000, Err(Errno::Inval)),
    ];
    for (path, lookup, oflags, rights, flags, expected) in table {
        both(|wasi| {
            sample(wasi);
            let answer = wasi.open_with(ROOT, path, Open { lookup, oflags, rights, flags });
            assert_eq!(answer.map(|_| ()), expected, "{path:?} {lookup} {oflags} {rights} {flags}");
            if let Ok(fd) = answer {
                assert_eq!(fd, 4, "the lowest number that is free");
                assert_eq!(u64::from(wasi.fdstat(fd).unwrap().flags), flags);
            }
        });
    }
}

#[test]
fn creating_and_removing() {
    both(|wasi| {
        sample(wasi);
        for (path, expected) in [
            ("new", Ok(())),
            ("new/deeper/", Ok(())),
            ("dirlink/made", Ok(())),
            ("new", Err(Errno::Exist)),
            ("dir/file", Err(Errno::Exist)),
            ("dangling", Err(Errno::Exist)),
            (".", Err(Errno::Exist)),
        ] {
            assert_eq!(wasi.mkdir(ROOT, path), expected, "mkdir {path}");
        }
        for (path, expected) in [
            ("new", Err(Errno::Notempty)),
            ("new/.", Err(Errno::Inval)),
            ("new/deeper/..", Err(Errno::Notempty)),
            ("new/deeper//", Ok(())),
            ("new/deeper", Err(Errno::Noent)),
            ("new", Ok(())),
            ("dir/made", Ok(())),
            ("dirlink", Err(Errno::Notdir)),
            ("dir/file", Err(Errno::Notdir)),
            (".", Err(Errno::Inval)),
        ] {
            assert_eq!(wasi.rmdir(ROOT, path), expected, "rmdir {path}");
        }
        for (path, expected) in [
            ("dir", Err(Errno::Isdir)),
            ("dir/file/", Err(Errno::Notdir)),
            ("dirlink/", Err(Errno::Isdir)),
            ("dirlink", Ok(())),
            ("loop", Ok(())),
            ("dangling", Ok(())),
            ("dir/file", Ok(())),
            ("dir/file", Err(Errno::Noent)),
        ] {
            // A slash behind a link asks for the directory, which cannot be unlinked either way.
            let answer = wasi.unlink(ROOT, path);
            let ok = answer == expected || (path == "dirlink/" && answer == Err(Errno::Notdir));
            assert!(ok, "unlink {path}: {answer:?}");
        }
        assert_eq!(wasi.names(ROOT, "."), Ok(["dir", "link", "up"].map(String::from).to_vec()));
    });
}

#[test]
fn linking_and_reading_links() {
    both(|wasi| {
        sample(wasi);
        for (old, new, expected) in [
            ("dir/file", "hard", Ok(())),
            ("dir/file", "hard", Err(Errno::Exist)),
            ("dangling", "dangling-too", Ok(())),
            ("dir", "hard-dir", Err(Errno::Perm)),
            ("dir/file/", "x", Err(Errno::Notdir)),
            ("dir/file", "x/", Err(Errno::Noent)),
            ("nothing", "x", Err(Errno::Noent)),
        ] {
            assert_eq!(wasi.link(ROOT, old, ROOT, new), expected, "link {old} {new}");
        }
        assert_eq!(wasi.stat(ROOT, "hard").map(|stat| stat.links), Ok(2));
        assert_eq!(wasi.readlink(ROOT, "dangling-too", 64), Ok(b"nothing".to_vec()));
        for (target, path, expected) in [
            ("any/where", "soft", Ok(())),
            ("x", "soft", Err(Errno::Exist)),
            ("x", "dir/", Err(Errno::Exist)),
            ("x", "new/", Err(Errno::Noent)),
            ("", "new", Err(Errno::Noent)),
            ("/etc", "new", Err(Errno::Perm)),
            ("nul\0", "new", Err(Errno::Inval)),
        ] {
            assert_eq!(wasi.symlink(target, ROOT, path), expected, "symlink {target} {path}");
        }
        for (path, room, expected) in [
            ("soft", 64, Ok(&b"any/where"[..])),
            ("soft", 3, Ok(b"any")),
            ("soft", 0, Ok(b"")),
            ("dir", 64, Err(Errno::Inval)),
            ("dir/file", 64, Err(Errno::Inval)),
            ("link/", 64, Err(Errno::Notdir)),
            ("nothing", 64, Err(Errno::Noent)),
        ] {
            assert_eq!(wasi.readlink(ROOT, path, room), expected.map(<[u8]>::to_vec), "readlink {path}");
        }
        // A target is text, too.
        wasi.put(PATH, b"\xff\xfe");
        wasi.put(PATH_2, b"bad");
        assert_eq!(wasi.answer("path_symlink", &[PATH, 2, ROOT.into(), PATH_2, 3]), Err(Errno::Ilseq));
        let following = [ROOT.into(), FOLLOW, PATH, 4, ROOT.into(), PATH_2, 3];
        wasi.put(PATH, b"link");
        assert_eq!(wasi.answer("path_link", &following), Ok(()));
        assert_eq!(wasi.stat(ROOT, "bad").map(|stat| (stat.kind, stat.links)), Ok((4, 3)));
        assert_eq!(wasi.answer("path_link", &[3, 2, PATH, 4, 3, PATH_2, 1]), Err(Errno::Inval), "unknown lookup flag");
    });
}

#[test]
fn times_are_set_by_flags() {
    both(|wasi| {
        sample(wasi);
        wasi.set_times(ROOT, "dir/file", [11, 22], 5).unwrap();
        assert_eq!(wasi.stat(ROOT, "dir/file").map(|stat| stat.times[..2].to_vec()), Ok(vec![11, 22]));
        wasi.set_times(ROOT, "dir/file", [33, 44], 1).unwrap();
        assert_eq!(wasi.stat(ROOT, "dir/file").map(|stat| stat.times[..2].to_vec()), Ok(vec![33, 22]));
        wasi.set_times(ROOT, "dir/file", [55, 66], 8).unwrap();
        let times = wasi.stat(ROOT, "dir/file").unwrap().times;
        assert!(times[0] == 33 && times[1] >= NOW, "{times:?}");
        for flags in [1 | 2, 4 | 8, 15, 16, 0x8000] {
            assert_eq!(wasi.set_times(ROOT, "dir/file", [1, 2], flags), Err(Errno::Inval), "{flags}");
        }
        wasi.set_times(ROOT, "link", [1, 2], 5).unwrap();
        assert_eq!(wasi.stat(ROOT, "link").map(|stat| stat.times[1]), Ok(2), "the link itself");
        assert_eq!(wasi.stat(ROOT, "dir/file").map(|stat| stat.times), Ok(times));
        let fd = wasi.open(ROOT, "dir/file", 0, FD_READ).unwrap();
        assert_eq!(wasi.answer("fd_filestat_set_times", &[fd.into(), 7, 8, 5]), Ok(()));
        assert_eq!(wasi.fd_stat(fd).map(|stat| stat.times[..2].to_vec()), Ok(vec![7, 8]));
        for flags in [3, 12, 16] {
            assert_eq!(wasi.answer("fd_filestat_set_times", &[fd.into(), 7, 8, flags]), Err(Errno::Inval), "{flags}");
        }
    });
}

#[test]
fn links_are_followed_up_to_a_number() {
    both(|wasi| {
        wasi.write_file(ROOT, "link.0", b"end").unwrap();
        for number in 1..=41 {
            wasi.symlink(&format!("link.{}", number - 1), ROOT, &format!("link.{number}")).unwrap();
        }
        assert_eq!(wasi.stat_with(ROOT, FOLLOW, "link.40").map(|stat| stat.kind), Ok(4));
        assert_eq!(wasi.stat_with(ROOT, FOLLOW, "link.41"), Err(Errno::Loop));
        wasi.symlink("b", ROOT, "a").unwrap();
        wasi.symlink("a", ROOT, "b").unwrap();
        for path in ["a", "b", "a/", "a/x", "./b/../a"] {
            assert_eq!(wasi.stat_with(ROOT, FOLLOW, path), Err(Errno::Loop), "{path}");
        }
    });
}
