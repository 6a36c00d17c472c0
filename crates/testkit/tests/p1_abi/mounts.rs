//! Mounts are data: whatever a program does to them, the machine's files stay as they are, and the
//! program sees its own changes as if they were not.

use crate::common::*;
use std::fs;
use std::os::unix::fs::symlink;
use weir_testkit::Linked;
use weir_testkit::calls::*;
use weir_types::grants::Source;
use weir_types::limits::{Limits, Quota};
use weir_vfs::Errno;

/// A linked module that has the directory as `/m`.
fn mount(folder: &tempfile::TempDir) -> Linked {
    linked(vec![place("/m", Source::Mount(text(folder.path())))])
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("deep/er")).unwrap();
    fs::write(root.join("file"), b"contents").unwrap();
    fs::write(root.join("deep/er/file"), b"deep contents").unwrap();
    symlink("deep/er/file", root.join("link")).unwrap();
    symlink("/etc/hostname", root.join("absolute")).unwrap();
    symlink("../outside", root.join("up")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    folder
}

#[test]
fn the_machine_never_changes() {
    let folder = folder();
    let before = machine_tree(folder.path());
    let mut wasi = mount(&folder);
    let wasi = &mut wasi;
    let at_first = tree(wasi, ROOT);
    assert_eq!(at_first["file"], (4, b"contents".to_vec()));
    assert_eq!(at_first["deep/er/file"], (4, b"deep contents".to_vec()));
    assert_eq!(at_first["absolute"], (7, b"/etc/hostname".to_vec()), "a link is shown as it is");
    let file = wasi.open(ROOT, "file", 0, READ_WRITE).unwrap();
    wasi.pwrite(file, 3, b"XYZ").unwrap();
    wasi.answer("fd_filestat_set_times", &[file.into(), 1, 2, 5]).unwrap();
    wasi.answer("fd_sync", &[file.into()]).unwrap();
    wasi.set_times(ROOT, "deep", [3, 4], 5).unwrap();
    wasi.write_file(ROOT, "deep/er/file", b"cut and written").unwrap();
    wasi.write_file(ROOT, "new", b"new").unwrap();
    wasi.mkdir(ROOT, "dir").unwrap();
    wasi.link(ROOT, "file", ROOT, "dir/hard").unwrap();
    wasi.symlink("hard", ROOT, "dir/soft").unwrap();
    wasi.rename(ROOT, "deep", ROOT, "dir/deep").unwrap();
    wasi.unlink(ROOT, "link").unwrap();
    wasi.unlink(ROOT, "file").unwrap();
    let after = tree(wasi, ROOT);
    assert_eq!(after["dir/hard"], (4, b"conXYZts".to_vec()));
    assert_eq!(after["dir/deep/er/file"], (4, b"cut and written".to_vec()));
    assert!(!after.contains_key("file") && !after.contains_key("link") && !after.contains_key("deep"));
    wasi.unlink(ROOT, "dir/deep/er/file").unwrap();
    wasi.rmdir(ROOT, "dir/deep/er").unwrap();
    wasi.rmdir(ROOT, "dir/deep").unwrap();
    assert_eq!(machine_tree(folder.path()), before);
    // The next run begins with what is there.
    assert_eq!(tree(&mut mount(&folder), ROOT), at_first);
}

#[test]
fn links_lead_no_further_than_the_mount() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), b"secret").unwrap();
    fs::create_dir(outside.path().join("mounted")).unwrap();
    let root = outside.path().join("mounted");
    symlink(outside.path(), root.join("absolute")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("../secret", root.join("secret")).unwrap();
    symlink("inside/../../secret", root.join("winding")).unwrap();
    symlink("inside/file", root.join("good")).unwrap();
    fs::create_dir(root.join("inside")).unwrap();
    fs::write(root.join("inside/file"), b"good").unwrap();
    let mut wasi = linked(vec![place("/m", Source::Mount(text(&root)))]);
    for path in ["absolute/secret", "up/secret", "up/", "absolute/", "absolute/.", "secret/", "winding/"] {
        assert_eq!(wasi.open(ROOT, path, 0, FD_READ), Err(Errno::Perm), "{path}");
    }
    for path in ["secret", "winding", "absolute", "up"] {
        let how = Open { lookup: FOLLOW, rights: FD_READ, ..Open::default() };
        assert_eq!(wasi.open_with(ROOT, path, how), Err(Errno::Perm), "{path}");
        assert_eq!(wasi.stat_with(ROOT, FOLLOW, path), Err(Errno::Perm), "{path}");
    }
    let good = Open { lookup: FOLLOW, rights: FD_READ, ..Open::default() };
    let fd = wasi.open_with(ROOT, "good", good).unwrap();
    assert_eq!(wasi.read(fd, 9), Ok(b"good".to_vec()));
}

#[test]
fn a_large_file_is_copied_where_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = pattern(3_000_000);
    let path = folder.path().join("large");
    fs::write(&path, &model).unwrap();
    // Less than the file is long: copying all of it would fail.
    let limits = Limits { files: Quota { bytes_max: 1_500_000, ..Quota::default() }, ..Limits::default() };
    let mut wasi = linked_with(vec![place("/m", Source::Mount(text(folder.path())))], limits);
    let fd = wasi.open(ROOT, "large", 0, READ_WRITE).unwrap();
    let mut state = 1u64;
    let mut random = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end
    };
    for round in 0..400 {
        let at = match round % 4 {
            0 => random(180) * 16_384 + 16_384 - 3,
            1 => random(model.len()),
            2 => random(180) * 16_384,
            _ => model.len().saturating_sub(random(40)),
        };
        let len = [1, 10, 100, 16_384][random(4)].min(model.len() - at.min(model.len()) + 5);
        if round % 5 == 0 && random(4) < 3 {
            let bytes = vec![round as u8; len.min(200)];
            assert_eq!(wasi.pwrite(fd, at as u64, &bytes), Ok(bytes.len()), "round {round}");
            model.resize(model.len().max(at + bytes.len()), 0);
            model[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        if round % 100 == 99 {
            let size = model.len() - random(100_000);
            wasi.answer("fd_filestat_set_size", &[fd.into(), size as u64]).unwrap();
            wasi.answer("fd_filestat_set_size", &[fd.into(), size as u64 + 50_000]).unwrap();
            model.truncate(size);
            model.resize(size + 50_000, 0);
        }
        let from = random(model.len());
        let room = [7, 5_000, 40_000, 200_000][random(4)];
        let read = wasi.pread(fd, from as u64, room).unwrap();
        assert!(read == model[from..(from + room).min(model.len())], "round {round}: {room} bytes at {from}");
    }
    assert_eq!(wasi.fd_stat(fd).map(|stat| stat.size), Ok(model.len() as u64));
    let size = model.len() as u64;
    let append = wasi.open_with(ROOT, "large", Open { rights: FD_WRITE, flags: APPEND, ..Open::default() }).unwrap();
    wasi.write(append, b"at the end").unwrap();
    assert_eq!(wasi.pread(fd, size, 99), Ok(b"at the end".to_vec()));
    assert!(fs::read(&path).unwrap() == pattern(3_000_000));
}

#[test]
fn a_thousand_entries_through_small_buffers() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..1000 {
        let name = format!("entry-{number:04}{}", "-".repeat(number % 30));
        match number % 3 {
            0 => fs::create_dir(folder.path().join(name)).unwrap(),
            1 => fs::write(folder.path().join(name), vec![0; number]).unwrap(),
            _ => symlink("entry-0000", folder.path().join(name)).unwrap(),
        }
    }
    let mut wasi = mount(&folder);
    let all = wasi.list_by(ROOT, 100_000).unwrap();
    assert_eq!(all.len(), 1002);
    assert_eq!((all[0].name.as_str(), all[1].name.as_str()), (".", ".."));
    for (number, entry) in all[2..].iter().enumerate() {
        assert!(entry.name.starts_with(&format!("entry-{number:04}")), "in the order of names: {entry:?}");
        assert_eq!(entry.kind, [3, 4, 7][number % 3], "{entry:?}");
        let stat = wasi.stat(ROOT, &entry.name).unwrap();
        assert_eq!((stat.ino, stat.kind), (entry.ino, entry.kind), "{entry:?}");
        assert!(entry.kind != 4 || stat.size == number as u64);
    }
    let mut inos: Vec<u64> = all[2..].iter().map(|entry| entry.ino).collect();
    inos.sort_unstable();
    inos.dedup();
    assert_eq!(inos.len(), 1000);
    for room in [24 + 10 + 30, 70, 97, 128, 1000, 4096, 65_536] {
        assert_eq!(wasi.list_by(ROOT, room), Ok(all.clone()), "{room}");
    }
    // From the middle, and again.
    let half = wasi.readdir(ROOT, 4096, all[499].next).unwrap();
    assert_eq!(dirents(&half)[0], all[500]);
    // While half of it goes away, what stays is listed once.
    for entry in all[2..].iter().filter(|entry| entry.kind != 3) {
        wasi.unlink(ROOT, &entry.name).unwrap();
    }
    assert_eq!(wasi.names(ROOT, ".").map(|names| names.len()), Ok(334));
    let rest = wasi.readdir(ROOT, 4096, all[499].next).unwrap();
    assert_eq!(dirents(&rest)[0].name, all[500..].iter().find(|entry| entry.kind == 3).unwrap().name);
}

#[test]
fn mounted_files_without_a_name_live_on() {
    let folder = folder();
    let before = machine_tree(folder.path());
    let mut wasi = mount(&folder);
    let file = wasi.open(ROOT, "file", 0, READ_WRITE).unwrap();
    let deep = wasi.open(ROOT, "deep/er/file", 0, READ_WRITE).unwrap();
    wasi.unlink(ROOT, "file").unwrap();
    wasi.rename(ROOT, "link", ROOT, "deep/er/file").unwrap();
    assert_eq!((wasi.read(file, 99), wasi.read(deep, 99)), (Ok(b"contents".to_vec()), Ok(b"deep contents".to_vec())));
    assert_eq!((wasi.pwrite(file, 0, b"CON"), wasi.pwrite(deep, 0, b"DEEP")), (Ok(3), Ok(4)));
    assert_eq!(wasi.pread(file, 0, 99), Ok(b"CONtents".to_vec()));
    assert_eq!(wasi.pread(deep, 0, 99), Ok(b"DEEP contents".to_vec()));
    assert_eq!(wasi.readlink(ROOT, "deep/er/file", 99), Ok(b"deep/er/file".to_vec()));
    assert_eq!(wasi.stat(ROOT, "file"), Err(Errno::Noent));
    assert_eq!(machine_tree(folder.path()), before);
}

#[test]
fn a_file_that_changes_under_the_program_is_an_error() {
    let folder = folder();
    let mut wasi = mount(&folder);
    assert_eq!(wasi.stat(ROOT, "file").map(|stat| stat.size), Ok(8));
    fs::write(folder.path().join("file"), b"longer than it was before").unwrap();
    assert_eq!(wasi.read_file(ROOT, "file"), Err(Errno::Io));
    fs::remove_dir_all(folder.path().join("deep")).unwrap();
    assert_eq!(wasi.stat(ROOT, "deep").map(|stat| stat.kind), Ok(3), "it was listed");
    assert_eq!(wasi.names(ROOT, "deep"), Err(Errno::Noent), "never an empty directory instead");
    assert_eq!(wasi.names(ROOT, ".").map(|names| names.len()), Ok(6));
}

#[test]
fn places_lie_in_one_another() {
    let folder = folder();
    let mut wasi = linked(vec![
        place("/m", Source::Mount(text(folder.path()))),
        place("/m/file", Source::Bytes(b"laid over".to_vec())),
        place("/m/deep/more", Source::Bytes(b"more".to_vec())),
        place("/m/deep/dir", Source::Scratch),
        place("/alone", Source::Bytes(b"alone".to_vec())),
    ]);
    let names: Vec<Vec<u8>> = (3..6)
        .map(|fd| {
            wasi.answer("fd_prestat_get", &[fd, OUT]).unwrap();
            let len = wasi.word(OUT + 4);
            wasi.answer("fd_prestat_dir_name", &[fd, DATA, len.into()]).unwrap();
            wasi.get(DATA, len as usize)
        })
        .collect();
    assert_eq!(names, [b"/m".to_vec(), b"/m/deep/dir".to_vec(), b"/".to_vec()]);
    assert_eq!(wasi.answer("fd_prestat_get", &[6, OUT]), Err(Errno::Badf));
    assert_eq!(wasi.read_file(ROOT, "file"), Ok(b"laid over".to_vec()));
    assert_eq!(wasi.read_file(ROOT, "deep/more"), Ok(b"more".to_vec()));
    assert_eq!(wasi.read_file(ROOT, "deep/er/file"), Ok(b"deep contents".to_vec()));
    assert_eq!(wasi.read_file(5, "alone"), Ok(b"alone".to_vec()));
    wasi.write_file(4, "made", b"made").unwrap();
    assert_eq!(wasi.read_file(5, "m/deep/dir/made"), Ok(b"made".to_vec()));
    let mut names = wasi.names(ROOT, "deep").unwrap();
    names.sort();
    assert_eq!(names, ["dir", "er", "more"]);
    assert_eq!(wasi.rmdir(ROOT, "deep/dir"), Err(Errno::Busy), "as it is with what is mounted under Linux");
    wasi.unlink(4, "made").unwrap();
    assert_eq!(wasi.rmdir(ROOT, "deep/dir"), Err(Errno::Busy), "an open root stays");
    assert_eq!(wasi.rename(5, "m", 5, "n"), Err(Errno::Busy));
}
