//! Ways out of a real directory: `..`, absolute paths, links that the machine has, links that the
//! program makes, slashes at the end, and what published mistakes of WASI implementations allowed.

use crate::common::*;
use std::fs;
use std::os::unix::fs::symlink;
use weir_testkit::Linked;
use weir_testkit::calls::*;
use weir_types::grants::Source;

/// `inside/` is granted, `outside/` lies beside it.
struct Sandbox {
    folder: tempfile::TempDir,
    wasi: Linked,
}

fn sandbox(read_only: bool) -> Sandbox {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("inside/dir")).unwrap();
    fs::create_dir(root.join("outside")).unwrap();
    fs::create_dir(root.join("outside/empty")).unwrap();
    fs::write(root.join("outside/secret"), b"secret").unwrap();
    fs::write(root.join("inside/file"), b"file").unwrap();
    symlink(root.join("outside"), root.join("inside/absolute")).unwrap();
    symlink("../outside", root.join("inside/up")).unwrap();
    symlink("../outside/", root.join("inside/up-slash")).unwrap();
    symlink("../../outside", root.join("inside/dir/up")).unwrap();
    symlink("../outside/secret", root.join("inside/to-secret")).unwrap();
    symlink(root.join("outside/secret"), root.join("inside/to-secret-absolute")).unwrap();
    symlink("../outside/new", root.join("inside/dangling")).unwrap();
    let host = text(&root.join("inside"));
    let wasi = linked(vec![place("/h", Source::HostDir { host, read_only })]);
    Sandbox { folder, wasi }
}

/// Everything that can be done to a path, with a name for it. Each must fail, whatever the path names outside.
fn attempts(wasi: &mut Linked, path: &str) -> Vec<(&'static str, bool)> {
    let follow = |oflags, rights| Open { lookup: FOLLOW, oflags, rights, flags: 0 };
    vec![
        ("open", wasi.open(ROOT, path, 0, FD_READ).is_ok()),
        ("open followed", wasi.open_with(ROOT, path, follow(0, FD_READ)).is_ok()),
        ("open to write", wasi.open_with(ROOT, path, follow(0, READ_WRITE)).is_ok()),
        ("open as directory", wasi.open_with(ROOT, path, follow(DIRECTORY, FD_READ)).is_ok()),
        ("create", wasi.open_with(ROOT, path, follow(CREAT, READ_WRITE)).is_ok()),
        ("cut", wasi.open_with(ROOT, path, follow(TRUNC, READ_WRITE)).is_ok()),
        ("stat followed", wasi.stat_with(ROOT, FOLLOW, path).is_ok()),
        ("below: create", wasi.open(ROOT, &format!("{path}/made"), CREAT, READ_WRITE).is_ok()),
        ("below: open", wasi.open(ROOT, &format!("{path}/secret"), 0, FD_READ).is_ok()),
        ("below: stat", wasi.stat(ROOT, &format!("{path}/secret")).is_ok()),
        ("below: mkdir", wasi.mkdir(ROOT, &format!("{path}/made")).is_ok()),
        ("below: rmdir", wasi.rmdir(ROOT, &format!("{path}/empty")).is_ok()),
        ("below: unlink", wasi.unlink(ROOT, &format!("{path}/secret")).is_ok()),
        ("below: symlink", wasi.symlink("x", ROOT, &format!("{path}/made")).is_ok()),
        ("below: link to", wasi.link(ROOT, "file", ROOT, &format!("{path}/made")).is_ok()),
        ("below: link from", wasi.link(ROOT, &format!("{path}/secret"), ROOT, "made").is_ok()),
        ("below: rename to", wasi.rename(ROOT, "file", ROOT, &format!("{path}/made")).is_ok()),
        ("below: rename from", wasi.rename(ROOT, &format!("{path}/secret"), ROOT, "made").is_ok()),
        ("below: times", wasi.set_times(ROOT, &format!("{path}/secret"), [1, 2], 5).is_ok()),
        ("below: readlink", wasi.readlink(ROOT, &format!("{path}/secret"), 64).is_ok()),
    ]
}

fn check(read_only: bool, paths: &[String]) {
    for path in paths {
        let Sandbox { folder, mut wasi } = sandbox(read_only);
        let outside = folder.path().join("outside");
        let before = machine_tree(&outside);
        for (what, done) in attempts(&mut wasi, path) {
            assert!(!done, "{what} of {path:?} leads outside");
        }
        assert_eq!(machine_tree(&outside), before, "{path:?}");
        assert_eq!(fs::read(folder.path().join("inside/file")).unwrap(), b"file", "{path:?}");
    }
}

#[test]
fn paths_and_links_of_the_machine() {
    let folder = sandbox(false).folder;
    let absolute = text(&folder.path().join("outside"));
    let mut paths: Vec<String> =
        ["..", "../outside", "dir/../../outside", "./../outside", "dir/../../inside/../outside", "/", "//", "/etc"]
            .map(String::from)
            .to_vec();
    paths.push(absolute.clone());
    paths.push(format!("/../../../../../../../..{absolute}"));
    paths.push(format!("../../../../../../../..{absolute}"));
    for link in ["absolute", "up", "up-slash", "dir/up", "dir/../up", "./dir/./up"] {
        for tail in ["", "/", "//", "/.", "/./", "/..", "/../outside", "/empty/.."] {
            paths.push(format!("{link}{tail}"));
        }
    }
    for read_only in [false, true] {
        check(read_only, &paths);
    }
}

/// A slash behind a link to the outside.
#[test]
fn ghsa_vqjp_4c8c_hfgg_trailing_slash() {
    let paths: Vec<String> = ["to-secret", "to-secret-absolute", "dangling"]
        .iter()
        .flat_map(|link| ["", "/", "//", "/.", "/./"].map(|tail| format!("{link}{tail}")))
        .collect();
    check(false, &paths);
    // Without following, the names themselves may be removed, but never what they name.
    for path in ["absolute/", "up/", "up-slash/", "dir/up/", "to-secret/", "dangling/"] {
        let Sandbox { folder, mut wasi } = sandbox(false);
        let before = machine_tree(&folder.path().join("outside"));
        let _ = wasi.rmdir(ROOT, path);
        let _ = wasi.unlink(ROOT, path);
        let _ = wasi.rename(ROOT, path, ROOT, "moved");
        let _ = wasi.rename(ROOT, "file", ROOT, path);
        let _ = wasi.link(ROOT, "file", ROOT, path);
        let _ = wasi.symlink("x", ROOT, path);
        let _ = wasi.mkdir(ROOT, path);
        let _ = wasi.open(ROOT, path, CREAT | TRUNC, READ_WRITE);
        let _ = wasi.set_times(ROOT, path, [1, 2], 5);
        assert_eq!(machine_tree(&folder.path().join("outside")), before, "{path}");
    }
}

#[test]
fn links_that_the_program_makes() {
    let Sandbox { folder, mut wasi } = sandbox(false);
    let outside = folder.path().join("outside");
    let before = machine_tree(&outside);
    let targets = ["../outside", "dir/../../outside", "dir/up", "up", "../outside/secret", "."];
    for (number, target) in targets.into_iter().enumerate() {
        let link = format!("made-{number}");
        if wasi.symlink(target, ROOT, &link).is_err() {
            continue;
        }
        for path in [format!("{link}/secret"), format!("{link}/../outside/secret"), format!("{link}/../secret")] {
            assert!(wasi.open(ROOT, &path, 0, FD_READ).is_err(), "{path} -> {target}");
        }
        if target.ends_with("secret") {
            let how = Open { lookup: FOLLOW, rights: FD_READ, ..Open::default() };
            assert!(wasi.open_with(ROOT, &link, how).is_err(), "{target}");
        }
    }
    assert!(wasi.symlink(&text(&outside), ROOT, "absolute-made").is_err(), "an absolute target");
    // A directory that is moved while it is open leads nowhere new.
    let dir = wasi.open(ROOT, "dir", DIRECTORY, FD_READ).unwrap();
    wasi.mkdir(ROOT, "deeper").unwrap();
    wasi.rename(ROOT, "dir", ROOT, "deeper/dir").unwrap();
    for path in ["..", "../..", "../file", "../../file", "../../outside/secret", "up", "up/secret"] {
        let how = Open { lookup: FOLLOW, rights: FD_READ, ..Open::default() };
        assert!(wasi.open_with(dir, path, how).is_err(), "{path}");
    }
    assert_eq!(machine_tree(&outside), before);
}

/// Names in a directory that may be written must give no way to change what may only be read.
#[test]
fn ghsa_4ch3_9j33_3pmj_hard_link_and_rename_permissions() {
    let folder = tempfile::tempdir().unwrap();
    let (ro, rw) = (folder.path().join("ro"), folder.path().join("rw"));
    fs::create_dir(&ro).unwrap();
    fs::create_dir(&rw).unwrap();
    fs::write(ro.join("file"), b"precious").unwrap();
    fs::write(rw.join("mine"), b"mine").unwrap();
    let before = machine_tree(&ro);
    let mut wasi = linked(vec![
        place("/ro", Source::HostDir { host: text(&ro), read_only: true }),
        place("/rw", Source::HostDir { host: text(&rw), read_only: false }),
    ]);
    let (ro_fd, rw_fd) = (3, 4);
    assert!(wasi.link(ro_fd, "file", rw_fd, "linked").is_err());
    assert!(wasi.rename(ro_fd, "file", rw_fd, "moved").is_err());
    assert!(wasi.link(rw_fd, "mine", ro_fd, "linked").is_err());
    assert!(wasi.rename(rw_fd, "mine", ro_fd, "file").is_err());
    assert_eq!(machine_tree(&ro), before);
    assert_eq!(fs::read(rw.join("mine")).unwrap(), b"mine");
}

/// Opening with `trunc` is writing.
#[test]
fn ghsa_2r75_cxrj_cmph_truncate_requires_write() {
    for rights in [0, FD_READ, FD_WRITE, READ_WRITE, u64::MAX >> 34] {
        let Sandbox { folder, mut wasi } = sandbox(true);
        assert!(wasi.open(ROOT, "file", TRUNC, rights).is_err(), "{rights}");
        assert!(wasi.open(ROOT, "file", CREAT | TRUNC, rights).is_err(), "{rights}");
        assert_eq!(fs::read(folder.path().join("inside/file")).unwrap(), b"file");
    }
}

#[test]
fn a_read_only_directory_is_read_only() {
    let Sandbox { folder, mut wasi } = sandbox(true);
    let before = machine_tree(folder.path());
    assert_eq!(wasi.read_file(ROOT, "file"), Ok(b"file".to_vec()));
    assert_eq!(wasi.names(ROOT, "dir"), Ok(vec!["up".into()]));
    let file = wasi.open(ROOT, "file", 0, FD_READ).unwrap();
    let answers = [
        wasi.open(ROOT, "file", 0, READ_WRITE).map(|_| ()),
        wasi.open(ROOT, "new", CREAT, READ_WRITE).map(|_| ()),
        wasi.write(file, b"x").map(|_| ()),
        wasi.pwrite(file, 0, b"x").map(|_| ()),
        wasi.answer("fd_filestat_set_size", &[file.into(), 0]),
        wasi.answer("fd_allocate", &[file.into(), 0, 100]),
        wasi.answer("fd_filestat_set_times", &[file.into(), 1, 2, 5]),
        wasi.set_times(ROOT, "file", [1, 2], 5),
        wasi.mkdir(ROOT, "new"),
        wasi.rmdir(ROOT, "dir"),
        wasi.unlink(ROOT, "file"),
        wasi.unlink(ROOT, "up"),
        wasi.symlink("x", ROOT, "new"),
        wasi.link(ROOT, "file", ROOT, "new"),
        wasi.rename(ROOT, "file", ROOT, "new"),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        assert!(answer.is_err(), "{number}");
    }
    assert_eq!(machine_tree(folder.path()), before);
}
