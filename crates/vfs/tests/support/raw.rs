//! Bytes as calls of WASI 0.1 functions with arguments of any value, on a small quota and with blobs and
//! listings that are short, broken or lie. Nothing may panic, and in the end nothing may be left held.

use crate::ops::Choices;
use crate::support::*;
use weir_vfs::StreamId;
use weir_vfs::p1::Target;

fn number(choices: &mut Choices<'_>) -> u64 {
    match choices.below(8) {
        0..=3 => u64::from(choices.byte()),
        4 => u64::from(choices.byte()) << 14,
        5 => u64::MAX - u64::from(choices.byte()),
        6 => (1 << 63) - 128 + u64::from(choices.byte()),
        _ => (0..8).fold(0, |sum, _| sum << 8 | u64::from(choices.byte())),
    }
}

fn fd(choices: &mut Choices<'_>) -> u32 {
    match choices.below(16) {
        0 => number(choices) as u32,
        _ => choices.below(14) as u32,
    }
}

fn path(choices: &mut Choices<'_>) -> String {
    match choices.below(24) {
        0 => String::new(),
        1 => "/".into(),
        2 => "mount/".into(),
        3 => "mount/sub/file".into(),
        4 => "mount/broken/x".into(),
        5 => "mount/self/self/self".into(),
        6 => "x".repeat(choices.below(255)),
        7 => "a\0b".into(),
        8 => "ro/file".into(),
        9 => "ro/new".into(),
        10 => "stream".into(),
        11 => "mount/short".into(),
        12 => "ä/日本".into(),
        13 => "../".repeat(choices.below(9)),
        _ => choices.path(),
    }
}

fn spans(choices: &mut Choices<'_>) -> Vec<(usize, usize)> {
    (0..choices.below(4))
        .map(|_| match choices.below(6) {
            0 => (number(choices) as usize, choices.below(3)),
            1 => (choices.byte().into(), number(choices) as usize % (1 << 20)),
            _ => (choices.byte().into(), choices.byte().into()),
        })
        .collect()
}

fn start(choices: &mut Choices<'_>) -> TestProcess {
    let sub = [("file", NodeKind::File { blob: BlobId(1), offset: 5, size: 40_000 })];
    let mut mount = vec![
        ("sub", NodeKind::Directory(Some(BlobId(11)))),
        ("broken", NodeKind::Directory(Some(BlobId(12)))),
        ("self", NodeKind::Directory(Some(BlobId(10)))),
        ("gone", NodeKind::Directory(Some(BlobId(13)))),
        ("short", NodeKind::File { blob: BlobId(2), offset: 0, size: 1 << 50 }),
        ("nothing", NodeKind::File { blob: BlobId(99), offset: 0, size: 10 }),
        ("bytes", NodeKind::Bytes(vec![7; 300])),
        ("link", NodeKind::Symlink("../mount/sub".into())),
        ("odd", NodeKind::Symlink(String::new())),
        ("pipe", NodeKind::Stream(StreamId(1))),
    ];
    mount.truncate(3 + choices.below(8));
    let mut broken = listing(&sub);
    let at = choices.below(broken.len());
    broken[at] ^= choices.byte();
    let platform = TestPlatform {
        piece_max: choices.flag().then_some(700),
        ..TestPlatform::with([
            (1, (0..50_000).map(|n| n as u8).collect()),
            (2, vec![1; 20_000]),
            (10, listing(&mount)),
            (11, listing(&sub)),
            (12, broken),
        ])
    };
    let quota = Quota {
        bytes_max: 200_000,
        inodes_max: 60,
        open_files_max: 12,
        path_bytes_max: 300,
        name_bytes_max: 100,
        depth_max: 6,
        symlinks_max: 5,
        file_size_max: 1 << 40,
    };
    let mut read_only = node("ro", NodeKind::Directory(Some(BlobId(11))));
    read_only.read_only = true;
    let nodes = vec![
        node("mount", NodeKind::Directory(Some(BlobId(10)))),
        node("mount/over/laid", NodeKind::Bytes(b"laid over".to_vec())),
        read_only,
        node("stream", NodeKind::Stream(StreamId(2))),
    ];
    process_with(quota, platform, nodes)
}

/// The answer does not matter, only that there is one.
fn ignore<T>(_: T) {}

fn call(process: &mut TestProcess, choices: &mut Choices<'_>) {
    let mut memory = vec![3u8; 600];
    let memory = memory.as_mut_slice();
    let number = number as fn(&mut Choices<'_>) -> u64;
    match choices.below(32) {
        0 => ignore(process.fd_advise(fd(choices), number(choices), number(choices), choices.byte())),
        1 => ignore(process.fd_allocate(fd(choices), number(choices), number(choices))),
        2 => ignore(process.fd_close(fd(choices))),
        3 => ignore(process.fd_datasync(fd(choices))),
        4 => ignore(process.fd_fdstat_get(fd(choices)).map(|stat| stat.to_bytes())),
        5 => ignore(process.fd_fdstat_set_flags(fd(choices), number(choices) as u16)),
        6 => {
            let fd = fd(choices);
            if let Ok(stat) = process.fd_fdstat_get(fd) {
                let keep = !(1 << choices.below(40));
                ignore(process.fd_fdstat_set_rights(fd, stat.rights_base & keep, stat.rights_inheriting & keep));
                ignore(process.fd_fdstat_set_rights(fd, number(choices), number(choices)));
            }
        }
        7 => ignore(process.fd_filestat_get(fd(choices)).map(|stat| weir_vfs::p1::filestat_bytes(&stat))),
        8 => ignore(process.fd_filestat_set_size(fd(choices), number(choices))),
        9 => {
            ignore(process.fd_filestat_set_times(fd(choices), number(choices), number(choices), choices.byte().into()))
        }
        10 => ignore(process.fd_pread(memory, fd(choices), spans(choices).as_slice(), number(choices))),
        11 => ignore(process.fd_prestat_get(fd(choices))),
        12 => {
            ignore(process.fd_prestat_dir_name(memory, fd(choices), number(choices) as usize, number(choices) as usize))
        }
        13 => ignore(process.fd_pwrite(memory, fd(choices), spans(choices).as_slice(), number(choices))),
        14 => ignore(process.fd_read(memory, fd(choices), spans(choices).as_slice())),
        15 => {
            let (at, len) = (number(choices) as usize, number(choices) as usize);
            ignore(process.fd_readdir(memory, fd(choices), at, len, number(choices)));
        }
        16 => ignore(process.fd_renumber(fd(choices), fd(choices))),
        17 => ignore(process.fd_seek(fd(choices), number(choices) as i64, choices.byte() % 5)),
        18 => ignore(process.fd_sync(fd(choices))),
        19 => ignore(process.fd_tell(fd(choices))),
        20 => ignore(process.fd_write(memory, fd(choices), spans(choices).as_slice())),
        21 => ignore(process.path_create_directory(fd(choices), &path(choices))),
        22 => ignore(process.path_filestat_get(fd(choices), choices.byte().into(), &path(choices))),
        23 => {
            let (fd, path) = (fd(choices), path(choices));
            ignore(process.path_filestat_set_times(fd, 1, &path, number(choices), 0, choices.byte().into()));
        }
        24 => ignore(process.path_link(
            fd(choices),
            choices.byte() as u32 & 3,
            &path(choices),
            fd(choices),
            &path(choices),
        )),
        25 => ignore(process.path_readlink(
            memory,
            fd(choices),
            &path(choices),
            choices.byte().into(),
            number(choices) as usize,
        )),
        26 => ignore(process.path_remove_directory(fd(choices), &path(choices))),
        27 => ignore(process.path_rename(fd(choices), &path(choices), fd(choices), &path(choices))),
        28 => ignore(process.path_symlink(&path(choices), fd(choices), &path(choices))),
        29 => ignore(process.path_unlink_file(fd(choices), &path(choices))),
        30 => match choices.below(4) {
            0 => ignore(process.add_host(number(choices) as u32)),
            1 => ignore(process.add_stream(StreamId(9), choices.flag(), choices.flag())),
            2 => ignore(process.add_preopen("p", Target::Host(1))),
            _ => {
                let platform = process.vfs.platform_mut();
                platform.broken = [None, Some(1), Some(10), Some(11)][choices.below(4)];
            }
        },
        _ => {
            let (fd, path) = (fd(choices), path(choices));
            let (oflags, rights) = (choices.byte() & 15, number(choices));
            ignore(process.path_open(
                fd,
                choices.byte().into(),
                &path,
                oflags.into(),
                rights,
                0,
                number(choices) as u16,
            ));
        }
    }
}

/// One run: any calls, then everything is closed and removed.
pub fn run(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let mut process = start(&mut choices);
    while !choices.0.is_empty() {
        call(&mut process, &mut choices);
    }
    let open: Vec<u32> = process.open_fds().collect();
    for fd in open {
        process.fd_close(fd).unwrap();
    }
    let vfs = &mut process.vfs;
    vfs.settle();
    vfs.platform_mut().broken = None;
    let root = vfs.root();
    let (mut walk, mut found) = (vfs.walk(root), vec![]);
    loop {
        match vfs.walk_next(&mut walk) {
            Ok(Some(step)) => found.push(step.path.to_owned()),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    // The walk counts hard links more than once, and nothing else: every node that is held is in the tree.
    assert!(found.len() as u64 >= vfs.usage().nodes, "{} names of {:?}", found.len(), vfs.usage());
    for path in found.iter().skip(1).rev() {
        let _ = vfs.unlink_at(root, path).or_else(|_| vfs.remove_dir_at(root, path));
    }
    let usage = vfs.usage();
    assert!(usage.bytes <= 200_000 && usage.nodes <= 60, "{usage:?}");
}
