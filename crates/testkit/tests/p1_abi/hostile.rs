//! Calls with arguments of any value, on a program that has a tree, a mount, a stream and a real
//! directory: whatever they answer, the host lives on, and nothing outside of what was granted changes.

use crate::calls::Choices;
use crate::common::*;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::symlink;
use weir_link::p1::P1_FUNCTIONS;
use weir_testkit::Linked;
use weir_testkit::calls::*;
use weir_types::grants::Source;
use weir_types::limits::{Limits, MIB, Quota};

/// Numbers at the edges of all ranges.
const EDGES: [u64; 12] =
    [0, 1, 5, END - 1, END, END - 8, 1 << 31, u32::MAX as u64 - 7, u32::MAX as u64, 1 << 40, 1 << 63, u64::MAX];
/// Bytes of the driver's memory.
const END: u64 = 16 << 16;

fn all_granted(folder: &std::path::Path) -> Linked {
    for dir in ["mount", "real", "outside"] {
        fs::create_dir(folder.join(dir)).unwrap();
        fs::write(folder.join(dir).join("file"), dir).unwrap();
        symlink("../outside", folder.join(dir).join("up")).unwrap();
    }
    let path = |name: &str| text(&folder.join(name));
    let places = vec![
        place("/", Source::Scratch),
        place("/m", Source::Mount(path("mount"))),
        place("/r", Source::HostDir { host: path("real"), read_only: false }),
        place("/stream", Source::Stream(Some(path("stream")))),
    ];
    let files = Quota { bytes_max: 4 * MIB, inodes_max: 100, open_files_max: 12, ..Quota::default() };
    let mut wasi = linked_with(places, Limits { files, output_max: Some(MIB), ..Limits::default() });
    for fd in 0..3 {
        // The test's own streams are not part of it; waiting for them would take forever.
        wasi.close(fd).unwrap();
    }
    for (dir, path) in [(5, "file"), (4, "file"), (3, "stream")] {
        wasi.open(dir, path, 0, READ_WRITE).unwrap();
    }
    wasi
}

fn run(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let mut wasi = all_granted(folder.path());
    let before = ["mount", "outside"].map(|name| machine_tree(&folder.path().join(name)));
    let mut choices = Choices(bytes);
    while !choices.0.is_empty() {
        let (mut name, mut arguments) = choices.call(&mut [&mut wasi]);
        match choices.below(8) {
            0..=4 => {}
            5 | 6 => {
                let which = choices.below(arguments.len() as u64) as usize;
                arguments[which] = choices.one_of(&EDGES);
            }
            _ => {
                let function = &P1_FUNCTIONS[choices.below(P1_FUNCTIONS.len() as u64) as usize];
                name = function.name;
                let good = [0, 1, 3, 5, 7, PATH, OUT, IOVS, DATA];
                let mut any = || if choices.below(4) == 0 { choices.one_of(&EDGES) } else { choices.one_of(&good) };
                arguments = function.params.bytes().map(|_| any()).collect();
            }
        }
        let _ = wasi.try_call(name, &arguments);
    }
    let after = ["mount", "outside"].map(|name| machine_tree(&folder.path().join(name)));
    assert_eq!(after, before);
    // Nothing but what was granted was made either.
    let mut names: Vec<String> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "stream");
    names.sort();
    assert_eq!(names, ["mount", "outside", "real"]);
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn calls_of_any_kind_harm_nobody(bytes in prop::collection::vec(any::<u8>(), 0..1000)) {
        run(&bytes);
    }
}
