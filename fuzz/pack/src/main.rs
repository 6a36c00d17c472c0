//! Fuzzes packs: what is read of a damaged one is an error or true, and what is made of any tree comes out again.
//!
//! An input is a list of changes to a pack of a module or of a component, or the description of a tree. Each damaged
//! pack is listed, read, unpacked, inspected and linked again; what links is valid. `fuzz/driver.rs` says how it is run.

#[path = "../../driver.rs"]
mod driver;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use wasmparser::{Validator, WasmFeatures};
use weir_link::LinkOptions;
use weir_link::pack::{Codec, Contents, EntryPoint, Pack, PackOptions, PackedNode, pack};
use weir_types::Digest;
use weir_types::tree::{Entry, Mount, Node, Tree};

/// A command that opens and reads.
const MODULE: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "some data that is long enough to be found again in the pack, without being kept twice")
  (func (export "_start") (drop (call $read (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4)))
    (drop (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0)
      (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 8)))))"#;

/// A component that imports the directories of WASI 0.2.
const COMPONENT: &str = r#"(component
  (import "wasi:filesystem/types@0.2.3" (instance $types (export "descriptor" (type (sub resource)))))
  (alias export $types "descriptor" (type $descriptor))
  (import "wasi:filesystem/preopens@0.2.3" (instance $preopens
    (alias outer 1 $descriptor (type $outer))
    (export "descriptor" (type $descriptor (eq $outer)))
    (type $own (own $descriptor))
    (type $pair (tuple $own string))
    (type $all (list $pair))
    (export "get-directories" (func (result $all))))))"#;

fn main() {
    driver::main(one, |random| {
        let len = random.below(600);
        let mut bytes = random.bytes(len);
        // Half of the inputs change few places of the part that says where everything is.
        if random.below(2) == 0 {
            bytes.truncate(1 + 5 * (1 + random.below(4)));
        }
        bytes
    });
}

fn one(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    match kind % 4 {
        3 => round_trip(rest),
        which => damaged(usize::from(which), rest),
    }
}

/// The packs that are damaged: plain and zstd of a module, and of a component.
fn packs() -> &'static [Vec<u8>; 3] {
    static PACKS: OnceLock<[Vec<u8>; 3]> = OnceLock::new();
    PACKS.get_or_init(|| {
        let text = b"text ".repeat(2_000);
        let nodes = BTreeMap::from([
            ("w".to_owned(), Made::Directory),
            ("w/a".to_owned(), Made::File(b"1".to_vec())),
            ("w/b".to_owned(), Made::Directory),
            ("w/b/link".to_owned(), Made::Symlink("../a".to_owned())),
            ("w/b/text".to_owned(), Made::File(text)),
            ("w/left".to_owned(), Made::File(b"left out".to_vec())),
        ]);
        [(MODULE, Codec::None, true), (MODULE, Codec::Zstd, false), (COMPONENT, Codec::Lz4, false)].map(
            |(program, codec, by_reference)| {
                let program = wat::parse_str(program).expect("the text is right");
                let (tree, mut contents) = tree(&nodes);
                let prune = Some(BTreeSet::from(["w/a".to_owned(), "w/b/text".to_owned()]));
                let options = PackOptions { codec, prune, by_reference, entry: EntryPoint::default() };
                pack(&program, &tree, &mut contents, &options).expect("the tree is right").bytes
            },
        )
    })
}

/// Reads a pack with some bytes changed: each change is a place (four bytes) and a value.
fn damaged(which: usize, changes: &[u8]) {
    let mut bytes = packs()[which].clone();
    let mark = bytes.windows(8).position(|window| window == b"weirpak\x01").unwrap_or_default();
    for change in changes.chunks_exact(5) {
        let [a, b, c, near, value] = change else { continue };
        let place = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
        // Most of a pack is code that is checked elsewhere: half of the changes are near the records.
        let place = if near & 1 == 0 { mark + place % 2_000 } else { place };
        let len = bytes.len();
        match near & 0x3e {
            0 => bytes.truncate(place % len.max(1)),
            2 => bytes.insert(place % (len + 1), *value),
            4 if len > 0 => drop(bytes.remove(place % len)),
            _ if len > 0 => bytes[place % len] = *value,
            _ => {}
        }
    }
    let valid = is_valid(&bytes);
    let _ = weir_link::inspect(&bytes);
    let Ok(Some(pack)) = Pack::open(&bytes) else { return };
    if let Ok(entries) = pack.entries() {
        for entry in entries.iter().take(100) {
            assert!(
                !entry.path.split('/').any(|name| name.is_empty() || name == "." || name == ".."),
                "{}",
                entry.path
            );
            if let PackedNode::File { size, stored } = entry.node {
                let _ = pack.stored_bytes(size, stored);
                if let Ok(read) = pack.read(size, stored) {
                    assert_eq!(read.len() as u64, size, "{}", entry.path);
                }
            }
        }
    }
    let _ = (pack.preopens(), pack.references(), pack.program());
    if valid && let Ok(linked) = pack.link(&LinkOptions::default(), &[]) {
        assert!(is_valid(&linked.bytes), "a pack was linked to something that is not valid");
    }
}

fn is_valid(bytes: &[u8]) -> bool {
    Validator::new_with_features(WasmFeatures::all()).validate_all(bytes).is_ok()
}

enum Made {
    Directory,
    File(Vec<u8>),
    Symlink(String),
}

struct Files(Vec<Vec<u8>>);

impl Contents for Files {
    fn read(&mut self, entry: usize) -> Result<Vec<u8>, String> {
        Ok(self.0[entry].clone())
    }

    fn reference(&mut self, entry: usize) -> Result<Digest, String> {
        let mut name = [0; 32];
        self.0[entry].iter().enumerate().for_each(|(at, byte)| name[at % 32] ^= byte.rotate_left(at as u32 / 32 % 8));
        Ok(Digest(name))
    }
}

fn tree(nodes: &BTreeMap<String, Made>) -> (Tree, Files) {
    let (mut entries, mut files) = (Vec::new(), Vec::new());
    for (path, made) in nodes {
        let (node, bytes) = match made {
            Made::Directory => (Node::Directory, Vec::new()),
            Made::File(bytes) => (Node::File { size: bytes.len() as u64, executable: false }, bytes.clone()),
            Made::Symlink(target) => (Node::Symlink(target.clone()), Vec::new()),
        };
        entries.push(Entry { path: path.clone(), modified: path.len() as u64, node });
        files.push(bytes);
    }
    let mounts = vec![Mount { guest: "/w".into(), path: "w".into(), directory: true }];
    (Tree { mounts, entries }, Files(files))
}

/// Makes a tree as the bytes say, packs it and takes it out again.
fn round_trip(mut bytes: &[u8]) {
    let mut next = || {
        let (first, rest) = bytes.split_first()?;
        bytes = rest;
        Some(*first)
    };
    let Some(choice) = next() else { return };
    let mut nodes = BTreeMap::from([("w".to_owned(), Made::Directory)]);
    while let (Some(parent), Some(name), Some(kind)) = (next(), next(), next()) {
        let directories: Vec<&String> =
            nodes.iter().filter(|(_, made)| matches!(made, Made::Directory)).map(|(path, _)| path).collect();
        let parent = directories[usize::from(parent) % directories.len()];
        let path = format!("{parent}/{}", char::from(b'a' + name % 26).to_string().repeat(1 + usize::from(name / 26)));
        let made = match kind % 8 {
            0 | 1 => Made::Directory,
            2 => Made::Symlink("../".repeat(usize::from(kind / 8)) + "x"),
            _ => {
                let len = usize::from(kind / 8).pow(4) / 20;
                Made::File((0..len).map(|at| (at % (1 + usize::from(name))) as u8).collect())
            }
        };
        nodes.entry(path).or_insert(made);
    }
    let program = if choice & 1 == 0 { MODULE } else { COMPONENT };
    let codec = [Codec::None, Codec::Lz4, Codec::Zstd][usize::from(choice >> 1) % 3];
    check(&wat::parse_str(program).expect("the text is right"), &nodes, codec);
}

fn check(program: &[u8], nodes: &BTreeMap<String, Made>, codec: Codec) {
    let (tree, mut files) = tree(nodes);
    let options = PackOptions { codec, prune: None, by_reference: false, entry: EntryPoint::default() };
    let packed = pack(program, &tree, &mut files, &options).expect("any tree can be packed");
    assert!(is_valid(&packed.bytes), "the pack is not valid");
    let read = Pack::open(&packed.bytes).expect("the pack is whole").expect("it is a pack");
    assert!(read.program().expect("the program is whole") == program);
    let entries = read.entries().expect("the tree is whole");
    assert_eq!(entries.len(), tree.entries.len());
    for ((then, now), bytes) in tree.entries.iter().zip(&entries).zip(&files.0) {
        assert_eq!((&then.path, then.modified), (&now.path, now.modified));
        match (&then.node, &now.node) {
            (Node::Directory, PackedNode::Directory) => {}
            (Node::Symlink(then), PackedNode::Symlink(now)) => assert_eq!(then, now),
            (Node::File { .. }, PackedNode::File { size, stored }) => {
                assert!(read.read(*size, *stored).expect("the file is whole") == *bytes);
            }
            (then, now) => panic!("{then:?} became {now:?}"),
        }
    }
}
