//! Packs: every tree and every program come out as they went in; the same input gives the same bytes;
//! what is damaged or hostile is refused and never panics.

mod common;

use arbitrary::Unstructured;
use common::{validate, wasm};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use wasm_smith::{Config, Module};
use weir_link::pack::{Codec, Contents, EntryPoint, Pack, PackErrorKind, PackOptions, PackedNode, Stored, pack};
use weir_types::Digest;
use weir_types::tree::{Entry, Mount, Node, Tree};

/// A program that opens files, with its code indices padded as linkers leave them.
const PROGRAM: &str = include_str!("programs/packed.wat");

/// Files in memory.
#[derive(Clone, Debug)]
struct Files(Vec<Vec<u8>>);

impl Contents for Files {
    fn read(&mut self, entry: usize) -> Result<Vec<u8>, String> {
        Ok(self.0[entry].clone())
    }

    fn reference(&mut self, entry: usize) -> Result<Digest, String> {
        Ok(Digest(*blake3_of(&self.0[entry])))
    }
}

fn blake3_of(bytes: &[u8]) -> Box<[u8; 32]> {
    // Any name that follows from the bytes serves here.
    let mut name = Box::new([0; 32]);
    bytes.iter().enumerate().for_each(|(at, byte)| name[at % 32] ^= byte.rotate_left((at / 32) as u32 % 8));
    name[31] ^= bytes.len() as u8;
    name
}

fn options(codec: Codec) -> PackOptions {
    PackOptions { codec, prune: None, by_reference: false, entry: EntryPoint::default() }
}

/// A tree from paths: `None` is a directory, else the bytes of a file. Missing parents are made.
fn tree(nodes: &[(&str, Option<&[u8]>)]) -> (Tree, Files) {
    let mut all: BTreeMap<String, (Node, Vec<u8>)> = BTreeMap::new();
    for (path, bytes) in nodes {
        for (at, _) in path.match_indices('/') {
            all.entry(path[..at].into()).or_insert((Node::Directory, Vec::new()));
        }
        let node = match bytes {
            None => (Node::Directory, Vec::new()),
            Some(bytes) => (Node::File { size: bytes.len() as u64, executable: path.len() % 2 == 0 }, bytes.to_vec()),
        };
        all.insert((*path).into(), node);
    }
    all.entry("w".into()).or_insert((Node::Directory, Vec::new()));
    let (mut entries, mut files) = (Vec::new(), Vec::new());
    for (number, (path, (node, bytes))) in all.into_iter().enumerate() {
        entries.push(Entry { path, modified: number as u64 * 1_000_000_007, node });
        files.push(bytes);
    }
    let mounts = vec![Mount { guest: "/w".into(), path: "w".into(), directory: true }];
    (Tree { mounts, entries }, Files(files))
}

/// The pack gives back its program and its tree.
fn check_round_trip(program: &[u8], tree: &Tree, files: &mut Files, options: &PackOptions) -> Vec<u8> {
    let packed = pack(program, tree, files, options).unwrap();
    validate(&packed.bytes).unwrap();
    let again = pack(program, tree, files, options).unwrap();
    assert!(packed.bytes == again.bytes, "the same input gave other bytes");
    let read = Pack::open(&packed.bytes).unwrap().expect("it is a pack");
    assert!(read.program().unwrap() == program, "the program came out changed");
    let entries = read.entries().unwrap();
    assert_eq!(entries.len(), tree.entries.len());
    for (number, (then, now)) in tree.entries.iter().zip(&entries).enumerate() {
        assert_eq!((&then.path, then.modified), (&now.path, now.modified));
        match (&then.node, &now.node) {
            (Node::Directory, PackedNode::Directory) => {}
            (Node::Symlink(then), PackedNode::Symlink(now)) => assert_eq!(then, now),
            (
                Node::File { .. },
                PackedNode::File { size, stored: stored @ (Stored::Plain(_) | Stored::Chunked(_)) },
            ) => {
                assert_eq!(read.read(*size, *stored).unwrap(), files.0[number]);
                assert!(read.stored_bytes(*size, *stored) <= *size);
            }
            (then, now) => panic!("{then:?} became {now:?}"),
        }
    }
    packed.bytes
}

#[test]
fn contents_are_stored_once_and_compressed_where_that_helps() {
    let text = b"all work and no play ".repeat(5_000);
    let mut noise = vec![0u8; 100_000];
    let mut state = 1u32;
    noise.iter_mut().for_each(|byte| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (state >> 24) as u8;
    });
    let nodes: &[(&str, Option<&[u8]>)] =
        &[("w/a", Some(&text)), ("w/b/same", Some(&text)), ("w/noise", Some(&noise)), ("w/nothing", Some(b""))];
    for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
        let (tree, mut files) = tree(nodes);
        let packed = pack(&wasm(PROGRAM), &tree, &mut files, &options(codec)).unwrap();
        assert_eq!((packed.report.files, packed.report.duplicates), (4, 1));
        assert_eq!(packed.report.chunked_bytes, if codec == Codec::None { 0 } else { text.len() as u64 });
        let bytes = check_round_trip(&wasm(PROGRAM), &tree, &mut files, &options(codec));
        let carried = if codec == Codec::None { text.len() } else { text.len() / 20 } + noise.len();
        assert!(packed.report.segment_bytes < carried as u64 + 2_000, "{codec:?}: {:?}", packed.report);
        assert!(bytes.len() as u64 >= packed.report.segment_bytes);
    }
}

#[test]
fn files_larger_than_chunks() {
    let text: Vec<u8> = (0..3_500_000u32).map(|at| (at / 7 % 251) as u8).collect();
    for codec in [Codec::Lz4, Codec::Zstd] {
        let (tree, mut files) = tree(&[("w/before", Some(b"x")), ("w/large", Some(&text)), ("w/small", Some(b"y"))]);
        check_round_trip(&wasm(PROGRAM), &tree, &mut files, &options(codec));
    }
}

#[test]
fn a_pack_imports_nothing_that_takes_a_path() {
    let (tree, mut files) = tree(&[("w/a", Some(b"1"))]);
    let entry = EntryPoint { args: vec!["a".into()], env: vec![("K".into(), "v".into())] };
    let packed = pack(&wasm(PROGRAM), &tree, &mut files, &PackOptions { entry, ..options(Codec::Zstd) }).unwrap();
    let inspection = weir_link::inspect(&packed.bytes).unwrap();
    for import in &inspection.imports {
        assert_eq!(import.module, "wasi_snapshot_preview1");
        assert!(!import.name.starts_with("path_") && !import.name.contains("prestat"), "{}", import.name);
    }
}

#[test]
fn pruned_and_referenced_files_stay_in_the_tree() {
    let nodes: &[(&str, Option<&[u8]>)] = &[("w/a", Some(b"kept")), ("w/b", Some(b"left out")), ("w/c", Some(b"too"))];
    let prune = Some(BTreeSet::from(["w/./a".to_owned(), "w/none".to_owned()]));
    for by_reference in [false, true] {
        let (tree, mut files) = tree(nodes);
        let options = PackOptions { prune: prune.clone(), by_reference, ..options(Codec::None) };
        let packed = pack(&wasm(PROGRAM), &tree, &mut files, &options).unwrap();
        let read = Pack::open(&packed.bytes).unwrap().unwrap();
        let stored: Vec<_> = read
            .entries()
            .unwrap()
            .into_iter()
            .filter_map(|entry| match entry.node {
                PackedNode::File { size, stored } => Some((size, stored)),
                _ => None,
            })
            .collect();
        assert_eq!(read.read(stored[0].0, stored[0].1).unwrap(), b"kept");
        for (size, stored) in &stored[1..] {
            assert_eq!(read.read(*size, *stored).unwrap_err().kind(), PackErrorKind::Absent);
            assert_eq!(matches!(stored, Stored::Referenced(_)), by_reference);
        }
        assert_eq!(packed.references.len(), if by_reference { 2 } else { 0 });
        assert_eq!(
            packed.references.iter().map(|blob| blob.size).collect::<Vec<_>>(),
            if by_reference { vec![8, 3] } else { vec![] }
        );
        let text = String::from_utf8_lossy(&packed.bytes);
        assert!(text.contains("kept") && !text.contains("left out"));
    }
}

/// A component that asks for the names of its directories, by WASI of this version.
fn component(version: &str) -> Vec<u8> {
    let text = r#"(component
      (import "wasi:filesystem/types@VERSION" (instance $types (export "descriptor" (type (sub resource)))))
      (alias export $types "descriptor" (type $descriptor))
      (import "wasi:filesystem/preopens@VERSION" (instance $preopens
        (alias outer 1 $descriptor (type $outer))
        (export "descriptor" (type $descriptor (eq $outer)))
        (type $own (own $descriptor))
        (type $pair (tuple $own string))
        (type $all (list $pair))
        (export "get-directories" (func (result $all)))))
      (core module $memory (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
      (core instance $memory (instantiate $memory))
      (alias core export $memory "memory" (core memory $m))
      (core func $get (canon lower (func $preopens "get-directories")
        (memory $m) (realloc (func $memory "realloc"))))
      (core module $main (import "p" "get" (func (param i32))) (func (export "run") (call 0 (i32.const 0))))
      (core instance $main (instantiate $main (with "p" (instance (export "get" (func $get))))))
      (func (export "run") (canon lift (core func $main "run"))))"#;
    wasm(&text.replace("VERSION", version))
}

fn component_imports(bytes: &[u8]) -> Vec<String> {
    let report = weir_link::inspect(bytes).unwrap();
    report.imports.iter().map(|import| import.module.clone()).collect()
}

#[test]
fn components_of_any_version_are_packed() {
    for version in ["0.2.0", "0.2.3", "0.2.12", "0.2.77", "0.3.0", "0.3.4"] {
        let text = b"text ".repeat(300);
        let (tree, mut files) = tree(&[("w/a", Some(b"1")), ("w/text", Some(&text)), ("w/e", None)]);
        for codec in [Codec::None, Codec::Zstd] {
            let packed = check_round_trip(&component(version), &tree, &mut files, &options(codec));
            let imports = component_imports(&packed);
            assert!(imports.iter().all(|name| !name.starts_with("wasi:filesystem")), "{version}: {imports:?}");
        }
    }
}

#[test]
fn components_that_cannot_be_packed_are_told_why() {
    let (tree, mut files) = tree(&[("w/a", Some(b"1"))]);
    let mut refusal = |program: &[u8], options: &PackOptions| {
        pack(program, &tree, &mut files, options).map(drop).unwrap_err().to_string()
    };
    let error = refusal(&component("0.2.0"), &PackOptions { by_reference: true, ..options(Codec::None) });
    assert!(error.contains("put them inside"), "{error}");
    let error = refusal(&component("0.4.0"), &options(Codec::None));
    assert!(error.contains("`wasi:filesystem/preopens@0.4.0`"), "{error}");
    // Bodies of HTTP are streams of the host, and the program knows one type of stream.
    let http = wasm(
        r#"(component
          (import "wasi:io/streams@0.2.0" (instance $streams (export "input-stream" (type (sub resource)))))
          (alias export $streams "input-stream" (type $stream))
          (import "wasi:filesystem/types@0.2.0" (instance
            (alias outer 1 $stream (type $outer))
            (export "input-stream" (type (eq $outer)))
            (export "descriptor" (type (sub resource)))))
          (import "wasi:http/types@0.2.0" (instance
            (alias outer 1 $stream (type $outer))
            (export "input-stream" (type (eq $outer)))
            (export "incoming-body" (type (sub resource))))))"#,
    );
    let error = refusal(&http, &options(Codec::None));
    assert!(error.contains("`wasi:http/types@0.2.0`") && error.contains("with its files mounted"), "{error}");
    let mut broken = component("0.2.0");
    broken.truncate(broken.len() - 3);
    assert!(!refusal(&broken, &options(Codec::None)).is_empty());
}

#[test]
fn damaged_packs_of_components_are_survived() {
    let (tree, mut files) = tree(&[("w/a", Some(b"1")), ("w/b/c", Some(b"2"))]);
    let packed = pack(&component("0.2.0"), &tree, &mut files, &options(Codec::None)).unwrap().bytes;
    let segment = packed.windows(8).position(|window| window == b"weirpak\x01").unwrap();
    let front = 0..200;
    let back = packed.len() - 600..packed.len();
    for at in front.chain(segment..segment + 400).chain(back) {
        for value in [0, 0x7f, 0xff] {
            let mut damaged = packed.clone();
            damaged[at] = value;
            survive(&damaged);
        }
    }
    for end in (0..packed.len()).step_by(4_001) {
        survive(&packed[..end]);
    }
}

#[test]
fn refusals() {
    let (tree, mut files) = tree(&[("w/a", Some(b"1"))]);
    let program = wasm(PROGRAM);
    let packed = pack(&program, &tree, &mut files, &options(Codec::None)).unwrap();
    for (program, words) in [
        (packed.bytes.as_slice(), "a pack already"),
        (b"nothing", "first bytes"),
        (&program[..program.len() - 3], "end"),
    ] {
        let error = pack(program, &tree, &mut files, &options(Codec::None)).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    files.0.iter_mut().for_each(|bytes| bytes.push(0));
    let error = pack(&program, &tree, &mut files, &options(Codec::None)).unwrap_err();
    assert!(error.kind() == PackErrorKind::File && error.to_string().contains("changed"), "{error}");
    assert!(Pack::open(&program).unwrap().is_none());
}

fn survive(bytes: &[u8]) {
    let Ok(Some(pack)) = Pack::open(bytes) else { return };
    let _ = pack.program();
    let Ok(entries) = pack.entries() else { return };
    for entry in entries.iter().take(50) {
        if let PackedNode::File { size, stored } = entry.node {
            // A file that claims to be huge must fail before it is read.
            let _ = pack.stored_bytes(size, stored);
            let _ = pack.read(size, stored);
        }
    }
}

#[test]
fn damaged_packs_are_survived() {
    let text = b"text ".repeat(300);
    let (tree, mut files) = tree(&[("w/a", Some(b"1")), ("w/b/text", Some(&text)), ("w/e", None)]);
    let packed = pack(&wasm(PROGRAM), &tree, &mut files, &options(Codec::Zstd)).unwrap().bytes;
    let segment = packed.windows(8).position(|window| window == b"weirpak\x01").unwrap();
    let own = packed.windows(13).position(|window| window == b"weir.original").unwrap();
    for range in [segment..segment + 64, segment + 64..own.min(segment + 1_500), own..packed.len()] {
        for at in range {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = packed.clone();
                damaged[at] = value;
                survive(&damaged);
            }
        }
    }
    for end in (0..packed.len()).step_by(97) {
        survive(&packed[..end]);
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("a".to_owned()), Just("b".to_owned()), "[a-z.\u{e4}-\u{fc} -]{1,12}"]
        .prop_filter("a name", |name| name != "." && name != "..")
}

fn random_tree() -> impl Strategy<Value = (Tree, Files)> {
    let bytes = prop_oneof![
        Just(Vec::new()),
        proptest::collection::vec(any::<u8>(), 0..200),
        (any::<u8>(), 0..40_000usize).prop_map(|(byte, len)| vec![byte; len]),
    ];
    let node = prop_oneof![1 => Just(None), 4 => bytes.prop_map(Some)];
    proptest::collection::vec((proptest::collection::vec(name(), 1..4), node, any::<bool>()), 0..20).prop_map(|nodes| {
        let mut all: BTreeMap<String, (Node, Vec<u8>)> = BTreeMap::from([("w".into(), (Node::Directory, Vec::new()))]);
        for (names, bytes, link) in nodes {
            let path = format!("w/{}", names.join("/"));
            let parents: Vec<String> = path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect();
            let blocked = parents.iter().any(|parent| all.get(parent).is_some_and(|node| node.0 != Node::Directory));
            if blocked || all.contains_key(&path) {
                continue;
            }
            parents.into_iter().for_each(|parent| {
                all.entry(parent).or_insert((Node::Directory, Vec::new()));
            });
            let node = match bytes {
                None if link => (Node::Symlink(names.join("/../")), Vec::new()),
                None => (Node::Directory, Vec::new()),
                Some(bytes) => (Node::File { size: bytes.len() as u64, executable: link }, bytes),
            };
            all.insert(path, node);
        }
        let (mut entries, mut files) = (Vec::new(), Vec::new());
        for (path, (node, bytes)) in all {
            entries.push(Entry { modified: path.len() as u64, path, node });
            files.push(bytes);
        }
        let mounts = vec![Mount { guest: "/w".into(), path: "w".into(), directory: true }];
        (Tree { mounts, entries }, Files(files))
    })
}

fn codec() -> impl Strategy<Value = Codec> {
    prop_oneof![Just(Codec::None), Just(Codec::Lz4), Just(Codec::Zstd)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_makes_the_round_trip((tree, mut files) in random_tree(), codec in codec()) {
        check_round_trip(&wasm(PROGRAM), &tree, &mut files, &options(codec));
    }

    #[test]
    fn any_tree_makes_the_round_trip_in_a_component(
        (tree, mut files) in random_tree(),
        codec in codec(),
        version in prop_oneof![Just("0.2.1"), Just("0.3.0")],
    ) {
        check_round_trip(&component(version), &tree, &mut files, &options(codec));
    }

    #[test]
    fn any_program_makes_the_round_trip(seed in proptest::collection::vec(any::<u8>(), 100..1500), bits in any::<u8>()) {
        let config = Config {
            available_imports: Some(wasm(PROGRAM)),
            max_memories: 1,
            min_memories: 1,
            export_everything: bits & 1 != 0,
            generate_custom_sections: bits & 2 != 0,
            gc_enabled: bits & 4 != 0,
            min_uleb_size: 1 + (bits >> 6),
            ..Config::default()
        };
        let Ok(module) = Module::new(config, &mut Unstructured::new(&seed)) else { return Ok(()) };
        let program = module.to_bytes();
        let (tree, mut files) = tree(&[("w/a", Some(b"1"))]);
        // Some modules cannot be linked (an export of a name that is needed, a wide memory): that is an error.
        if pack(&program, &tree, &mut files, &options(Codec::None)).is_ok() {
            check_round_trip(&program, &tree, &mut files, &options(Codec::None));
        }
    }

    #[test]
    fn any_changes_are_survived(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let text = b"text ".repeat(100);
        let (tree, mut files) = tree(&[("w/a", Some(b"1")), ("w/b/text", Some(&text))]);
        let mut packed = pack(&wasm(PROGRAM), &tree, &mut files, &options(Codec::Lz4)).unwrap().bytes;
        for (at, value) in changes {
            let at = at.index(packed.len());
            packed[at] = value;
        }
        survive(&packed);
    }
}
