//! The two places with equal trees, and what tests of several subjects need.

use proptest::test_runner::Config;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use weir_testkit::calls::*;
use weir_testkit::{InHost, Linked, Wasi};
use weir_types::grants::{Clock, Grants, Place, Source};
use weir_types::limits::{Limits, Quota};
use weir_vfs::Times;
use weir_vfs::image::{BootNode, Image, NodeKind, Preopen, PreopenTarget};

/// The time at which the clock of a linked module stands.
pub const NOW: u64 = 1_700_000_000_000_000_000;

pub fn place(guest: &str, source: Source) -> Place {
    Place { guest: guest.into(), source }
}

/// An instance with these places, a clock that stands still, and the usual limits.
pub fn linked(places: Vec<Place>) -> Linked {
    linked_with(places, Limits::default())
}

pub fn linked_with(places: Vec<Place>, limits: Limits) -> Linked {
    Linked::new(&Grants { places, clock: Clock::Fixed(NOW), ..Grants::default() }, &limits)
}

/// A linked module with `/` to write in.
pub fn scratch() -> Linked {
    linked(vec![place("/", Source::Scratch)])
}

/// The same in the host: an empty `/`.
pub fn scratch_in_host(quota: Quota) -> InHost {
    InHost::new(&Image { quota, preopens: vec![preopen("/", "")], nodes: Vec::new() }, Vec::new())
}

pub fn preopen(name: &str, path: &str) -> Preopen {
    Preopen { name: name.into(), target: PreopenTarget::Tree(path.into()) }
}

pub fn node(path: &str, kind: NodeKind) -> BootNode {
    BootNode { path: path.into(), times: Times::default(), read_only: false, kind }
}

/// Runs a scenario in both places, each time on an empty `/`.
pub fn both(scenario: impl Fn(&mut dyn Wasi)) {
    both_with(Quota::default(), scenario);
}

pub fn both_with(quota: Quota, scenario: impl Fn(&mut dyn Wasi)) {
    let limits = Limits { files: quota, ..Limits::default() };
    let mut places: [Box<dyn Wasi>; 2] =
        [Box::new(linked_with(vec![place("/", Source::Scratch)], limits)), Box::new(scratch_in_host(quota))];
    for place in &mut places {
        // Seen when the scenario fails.
        println!("{}:", place.place());
        scenario(&mut **place);
    }
}

/// A tree to try paths on: `dir/`, `dir/file` ("contents"), `dir/sub/`, `link` -> `dir/file`,
/// `dirlink` -> `dir`, `dangling` -> `nothing`, `loop` -> `loop`, `up` -> `..`.
pub fn sample(wasi: &mut dyn Wasi) {
    wasi.mkdir(ROOT, "dir").unwrap();
    wasi.mkdir(ROOT, "dir/sub").unwrap();
    wasi.write_file(ROOT, "dir/file", b"contents").unwrap();
    for (target, path) in
        [("dir/file", "link"), ("dir", "dirlink"), ("nothing", "dangling"), ("loop", "loop"), ("..", "up")]
    {
        wasi.symlink(target, ROOT, path).unwrap();
    }
}

/// Everything below a descriptor: path, file type, and contents or target.
pub fn tree(wasi: &mut dyn Wasi, fd: u32) -> BTreeMap<String, (u8, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut left = vec![String::new()];
    while let Some(dir) = left.pop() {
        let opened = wasi.open(fd, if dir.is_empty() { "." } else { &dir }, DIRECTORY, FD_READ).unwrap();
        let entries = wasi.list_by(opened, 4096).unwrap();
        wasi.close(opened).unwrap();
        for entry in entries.into_iter().filter(|entry| entry.name != "." && entry.name != "..") {
            let path = if dir.is_empty() { entry.name } else { format!("{dir}/{}", entry.name) };
            let bytes = match entry.kind {
                3 => Vec::new(),
                7 => wasi.readlink(fd, &path, 4096).unwrap(),
                _ => wasi.read_file(fd, &path).unwrap(),
            };
            if entry.kind == 3 {
                left.push(path.clone());
            }
            found.insert(path, (entry.kind, bytes));
        }
    }
    found
}

/// Everything below a directory of the machine: path, length or -1, times of modification, bytes or target.
pub fn machine_tree(root: &Path) -> BTreeMap<String, (i64, std::time::SystemTime, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_path_buf()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let (size, bytes) = if meta.is_dir() {
                left.push(path.clone());
                (-1, Vec::new())
            } else if meta.is_symlink() {
                (0, fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes())
            } else {
                (meta.len() as i64, fs::read(&path).unwrap())
            };
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            found.insert(name, (size, meta.modified().unwrap(), bytes));
        }
    }
    found
}

/// Text as a mount or another place on the machine.
pub fn text(path: &Path) -> String {
    path.to_str().unwrap().into()
}

/// Bytes that differ from place to place.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// Random cases: so many in every run, what `PROPTEST_CASES` says where that is set.
pub fn cases(usual: u32) -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual);
    Config { cases, failure_persistence: None, ..Config::default() }
}
