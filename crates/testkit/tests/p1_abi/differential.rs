//! The same random calls in both places: same errno, same memory. What differs between the two is the
//! address space (32 and 64 bits), the allocator, the way to blobs and all of the shim; none of it may
//! show. Times are left out of the comparison, the clocks are not the same.

use crate::calls::Choices;
use crate::common::*;
use proptest::prelude::*;
use std::fs;
use weir_testkit::calls::*;
use weir_testkit::{InHost, Linked, Wasi};
use weir_types::grants::Source;
use weir_types::limits::{Limits, Quota};
use weir_vfs::image::{Image, ListingEntry, NodeKind, encode_listing};
use weir_vfs::{BlobId, Times};

/// Small, so that every limit is met.
const QUOTA: Quota = Quota {
    bytes_max: 150_000,
    inodes_max: 24,
    open_files_max: 9,
    path_bytes_max: 40,
    name_bytes_max: 12,
    depth_max: 3,
    symlinks_max: 3,
    file_size_max: 300_000,
};

/// What `/m` holds in both places.
fn mounted() -> (Vec<u8>, &'static [u8]) {
    (pattern(50_000), b"small")
}

/// `/` with a mount at `/m` and a second preopen `/d`.
fn in_linked_module(mount: &std::path::Path) -> Linked {
    let (big, small) = mounted();
    fs::create_dir(mount.join("sub")).unwrap();
    fs::write(mount.join("big"), big).unwrap();
    fs::write(mount.join("sub/small"), small).unwrap();
    std::os::unix::fs::symlink("sub/small", mount.join("link")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", mount.join("out")).unwrap();
    let places =
        vec![place("/", Source::Scratch), place("/m", Source::Mount(text(mount))), place("/d", Source::Scratch)];
    linked_with(places, Limits { files: QUOTA, ..Limits::default() })
}

fn in_the_host() -> InHost {
    let (big, small) = mounted();
    let entry = |name: &str, kind| ListingEntry { name: name.into(), times: Times::default(), kind };
    let file = |blob, size| NodeKind::File { blob: BlobId(blob), offset: 0, size };
    let top = encode_listing(&[
        entry("big", file(3, 50_000)),
        entry("link", NodeKind::Symlink("sub/small".into())),
        entry("out", NodeKind::Symlink("/etc/passwd".into())),
        entry("sub", NodeKind::Directory(Some(BlobId(2)))),
    ]);
    let sub = encode_listing(&[entry("small", file(4, small.len() as u64))]);
    let nodes = vec![
        node("", NodeKind::Directory(None)),
        node("m", NodeKind::Directory(Some(BlobId(1)))),
        node("d", NodeKind::Directory(None)),
    ];
    let preopens = vec![preopen("/", ""), preopen("/m", "m"), preopen("/d", "d")];
    InHost::new(&Image { quota: QUOTA, preopens, nodes }, vec![top, sub, big, small.to_vec()])
}

/// Calls in both places and compares.
fn same(places: &mut [&mut dyn Wasi; 2], name: &str, arguments: &[u64], done: &[String]) {
    let answers = [0, 1].map(|index| places[index].call(name, arguments));
    let what = || format!("{name}{arguments:?}\nafter\n{}", done.join("\n"));
    assert_eq!(answers[0], answers[1], "linked and in the host: {}", what());
    if name.ends_with("filestat_get") && answers[0] == 0 {
        let out = arguments[arguments.len() - 1];
        places.iter_mut().for_each(|place| place.put(out + 40, &[0; 24]));
    }
    let [linked, host] = places;
    let (linked, host) = (linked.memory(), host.memory());
    if linked != host {
        let at = linked.iter().zip(host.iter()).position(|(one, other)| one != other).unwrap();
        let end = (at + 32).min(linked.len());
        panic!("memory at {at:#x}: {:x?} and {:x?}: {}", &linked[at..end], &host[at..end], what());
    }
}

fn run(bytes: &[u8]) {
    let mount = tempfile::tempdir().unwrap();
    let (mut linked, mut host) = (in_linked_module(mount.path()), in_the_host());
    let mut places: [&mut dyn Wasi; 2] = [&mut linked, &mut host];
    let filled = pattern(DATA_BYTES);
    places.iter_mut().for_each(|place| place.put(DATA, &filled));
    let mut done = Vec::new();
    // Standard streams are the engine's; without them the numbers are the tree's.
    for fd in 0..3 {
        same(&mut places, "fd_close", &[fd], &done);
    }
    for (dir, path) in [(3, "a"), (4, "big"), (5, "b")] {
        places.iter_mut().for_each(|place| place.put(PATH, path.as_bytes()));
        let open = [dir, 0, PATH, path.len() as u64, CREAT, READ_WRITE, 0, 0, OUT];
        same(&mut places, "path_open", &open, &done);
    }
    let mut choices = Choices(bytes);
    while !choices.0.is_empty() {
        let (name, arguments) = choices.call(&mut places);
        same(&mut places, name, &arguments, &done);
        done.push(format!("  {name}{arguments:?}"));
    }
    for fd in 0..12 {
        same(&mut places, "fd_fdstat_get", &[fd, OUT], &done);
        same(&mut places, "fd_filestat_get", &[fd, DATA], &done);
        same(&mut places, "fd_readdir", &[fd, DATA, 4096, 0, OUT], &done);
        let whole = [DATA as u32, 300_000].map(u32::to_le_bytes).concat();
        places.iter_mut().for_each(|place| place.put(IOVS, &whole));
        same(&mut places, "fd_pread", &[fd, IOVS, 1, 0, OUT], &done);
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn random_calls_do_the_same_in_both_places(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
        run(&bytes);
    }
}
