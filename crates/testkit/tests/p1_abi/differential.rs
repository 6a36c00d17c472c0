//! The same random calls in both places: same errno, same memory. What differs between the two is the
//! address space (32 and 64 bits), the allocator, the way to blobs and all of the shim; none of it may
//! show. Times are left out of the comparison, the clocks are not the same.

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

const PATHS: [&[u8]; 30] = [
    b"a",
    b"b",
    b"c",
    b"d",
    b"d/",
    b"d/a",
    b"d/b",
    b"d/d",
    b"d/d/d/d/d",
    b"d/../a",
    b"../d/a",
    b"m",
    b"m/big",
    b"m/sub",
    b"m/sub/small",
    b"m/link",
    b"m/out",
    b"m/new",
    b"a/b",
    b".",
    b"./",
    b"..",
    b"/a",
    b"",
    b"nul\0",
    b"\xff",
    b"much-too-long-a-name",
    b"a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a",
    b"l",
    b"l/a",
];

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

/// Small numbers out of random bytes; zeros when there are no more.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn below(&mut self, end: u64) -> u64 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        u64::from(*first) % end
    }

    fn one_of(&mut self, all: &[u64]) -> u64 {
        all[self.below(all.len() as u64) as usize]
    }

    fn fd(&mut self) -> u64 {
        self.below(12)
    }

    /// Puts a path into memory; its address and length.
    fn path(&mut self, at: u64, places: &mut [&mut dyn Wasi]) -> [u64; 2] {
        let path = PATHS[self.below(PATHS.len() as u64) as usize];
        places.iter_mut().for_each(|place| place.put(at, path));
        [at, path.len() as u64]
    }

    fn offset(&mut self) -> u64 {
        let edges = [0, 1, 7, 100, 16_383, 16_384, 16_385, 49_999, 50_000, 65_536, 299_990, 1 << 32, u64::MAX, 1 << 63];
        self.one_of(&edges)
    }

    /// Puts up to four iovecs into memory; their address and number.
    fn iovecs(&mut self, places: &mut [&mut dyn Wasi]) -> [u64; 2] {
        let count = self.below(5);
        for index in 0..count {
            let at = DATA + self.below(256) * 97;
            let len = self.one_of(&[0, 1, 5, 100, 4096, 16_384, 20_000, 70_000]);
            let iovec = [at as u32, len as u32].map(u32::to_le_bytes).concat();
            places.iter_mut().for_each(|place| place.put(IOVS + index * 8, &iovec));
        }
        [IOVS, count]
    }

    fn rights(&mut self) -> u64 {
        self.one_of(&[0, FD_READ, FD_WRITE, READ_WRITE, READ_WRITE, u64::MAX >> 34])
    }

    /// One call: a function and its arguments.
    fn call(&mut self, places: &mut [&mut dyn Wasi]) -> (&'static str, Vec<u64>) {
        let fd = self.fd();
        if self.below(2) == 0 { self.on_path(fd, places) } else { self.on_descriptor(fd, places) }
    }

    fn on_path(&mut self, fd: u64, places: &mut [&mut dyn Wasi]) -> (&'static str, Vec<u64>) {
        // The preopened directories more often than others.
        let fd = if self.below(3) > 0 { 3 + fd % 3 } else { fd };
        let [at, len] = self.path(PATH, places);
        let second = |choices: &mut Self, places: &mut [&mut dyn Wasi]| {
            let [at, len] = choices.path(PATH_2, places);
            [3 + choices.below(4), at, len]
        };
        match self.below(14) {
            0 => ("path_create_directory", vec![fd, at, len]),
            1 => ("path_remove_directory", vec![fd, at, len]),
            2 => ("path_unlink_file", vec![fd, at, len]),
            3 => ("path_filestat_get", vec![fd, self.below(3), at, len, DATA]),
            4 => (
                "path_filestat_set_times",
                vec![fd, self.below(2), at, len, self.offset(), self.offset(), self.below(18)],
            ),
            5 => {
                let [new_fd, new_at, new_len] = second(self, places);
                ("path_link", vec![fd, self.below(2), at, len, new_fd, new_at, new_len])
            }
            6 => ("path_readlink", vec![fd, at, len, DATA, self.below(12), OUT]),
            7 | 8 => {
                let [new_fd, new_at, new_len] = second(self, places);
                ("path_rename", vec![fd, at, len, new_fd, new_at, new_len])
            }
            9 => {
                let [_, new_at, new_len] = second(self, places);
                ("path_symlink", vec![at, len, fd, new_at, new_len])
            }
            _ => {
                let oflags = self.one_of(&[0, 0, CREAT, CREAT, TRUNC, DIRECTORY, CREAT | EXCL, CREAT | TRUNC, 16, 15]);
                let flags = self.one_of(&[0, 0, APPEND, 31, 32]);
                ("path_open", vec![fd, self.below(2), at, len, oflags, self.rights(), self.rights(), flags, OUT])
            }
        }
    }

    fn on_descriptor(&mut self, fd: u64, places: &mut [&mut dyn Wasi]) -> (&'static str, Vec<u64>) {
        match self.below(24) {
            0 => ("fd_advise", vec![fd, self.offset(), self.offset(), self.below(8)]),
            1 => ("fd_allocate", vec![fd, self.offset(), self.offset()]),
            2 => ("fd_close", vec![fd]),
            3 => ("fd_datasync", vec![fd]),
            4 => ("fd_fdstat_get", vec![fd, OUT]),
            5 => ("fd_fdstat_set_flags", vec![fd, self.one_of(&[0, 1, 4, 31, 32])]),
            6 => ("fd_fdstat_set_rights", vec![fd, self.one_of(&[u64::MAX >> 34, READ_WRITE, 0]), self.rights()]),
            7 => ("fd_filestat_get", vec![fd, DATA]),
            8 => ("fd_filestat_set_size", vec![fd, self.offset()]),
            9 => ("fd_filestat_set_times", vec![fd, self.offset(), self.offset(), self.below(18)]),
            10 => ("fd_prestat_get", vec![fd, OUT]),
            11 => ("fd_prestat_dir_name", vec![fd, DATA, self.below(4)]),
            12 | 13 => ("fd_readdir", vec![fd, DATA, self.below(200), self.below(9), OUT]),
            14 => ("fd_renumber", vec![fd, self.fd()]),
            15 => ("fd_seek", vec![fd, self.offset(), self.below(4), OUT]),
            16 => ("fd_sync", vec![fd]),
            17 => ("fd_tell", vec![fd, OUT]),
            number => {
                let [at, count] = self.iovecs(places);
                match number {
                    18 => ("fd_pread", vec![fd, at, count, self.offset(), OUT]),
                    19 => ("fd_read", vec![fd, at, count, OUT]),
                    20 | 21 => ("fd_pwrite", vec![fd, at, count, self.offset(), OUT]),
                    _ => ("fd_write", vec![fd, at, count, OUT]),
                }
            }
        }
    }
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

/// Enough to be seen, few enough for every run; `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_calls_do_the_same_in_both_places(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
        run(&bytes);
    }
}
