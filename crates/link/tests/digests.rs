//! The same bytes as before: every fixture in reach is linked, packed and lifted in every way, and what comes out has
//! the digest that stands in `digests.txt`. `BLESS=1` writes the list anew; its difference shows what a change reaches.

mod common;

use arbitrary::Unstructured;
use common::{SHIM, all, everything, wasm};
use std::fmt::{Debug, Write};
use std::path::{Path, PathBuf};
use wasm_smith::{Config, Module};
use weir_link::lift::{Binding, lift};
use weir_link::p1::{SNAPSHOT, UNSTABLE};
use weir_link::pack::{Codec, Contents, EntryPoint, Pack, PackOptions, pack};
use weir_link::{Exit, LinkOptions, Linked, SHIM as OWN_SHIM, inspect, link_unvalidated_with_shim, link_with_shim};
use weir_types::Digest;
use weir_types::tree::{Entry, Mount, Node, Tree};

/// Folders whose texts and modules are fixtures, from the root of the workspace.
const FOLDERS: [&str; 6] =
    ["benches", "crates/engine/tests", "crates/link", "examples", "guests/component-shim", "tests/cli"];

/// Random modules, which have what nobody writes.
const RANDOM_MODULES: u64 = 96;

/// Digits of a digest that are kept.
const DIGEST_DIGITS: usize = 16;

/// Bindings of every kind; what a program is not made for is an error, which has a digest, too.
const BINDINGS: [(&str, &str); 7] = [
    ("command", "export = \"f: func() -> result<string, failure>\"\nargv = [\"f\", \"g\"]\nstdout = \"result\"\n"),
    (
        "pinned",
        "export = \"f: func() -> result<tuple<string, u32>, failure>\"\npinned = true\nstdout = \"result.0\"\n\
         exit-code = \"result.1\"\nexit-codes = [1]\n",
    ),
    (
        "values",
        "types = \"record r { x: u8, y: f64 }\"\n\
         export = \"f: func(a: string, b: option<u64>, c: f32, d: f64, e: list<string>, r: r) -> result<list<u8>, failure>\"\n\
         argv = [\"f\", \"{b}\", { each = \"e\", then = [\"{}\"] }]\nstdin = \"a\"\nscratch = [\"/tmp\"]\n\
         [files]\n\"/out\" = \"result\"\n[env]\nC = \"{c}\"\n",
    ),
    (
        "spilled",
        "export = \"f: func(a: string, b: string, c: string, d: string, e: string, f: string, g: string, h: string, \
         i: string) -> result<string, failure>\"\nstdout = \"result\"\n",
    ),
    (
        "io",
        "export = \"f: func(data: input-stream, to: output-stream) -> result<_, failure>\"\nstdin = \"data\"\nstdout = \"to\"\n",
    ),
    (
        "flow",
        "export = \"f: async func(data: stream<u8>) -> tuple<stream<u8>, future<result<_, failure>>>\"\nstdin = \"data\"\n\
         stdout = \"result.0\"\n",
    ),
    ("library", "scratch = [\"/tmp\"]\n[env]\nNAME = \"value\"\n"),
];

#[test]
fn every_fixture_gives_the_bytes_of_the_list() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut fixtures = fixtures(&root);
    fixtures.push(("every function".into(), wasm(&everything(SNAPSHOT))));
    fixtures.push(("every function of wasi_unstable".into(), wasm(&everything(UNSTABLE))));
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some((name, program)) = fixtures.get(at) else { return done };
            done.push((at, of_fixture(name, program)));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut done: Vec<(usize, String)> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    done.sort();
    let found: String = done.into_iter().map(|(_, lines)| lines).chain([of_random_modules()]).collect();
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/digests.txt"), &found);
}

/// Holds the list against what was found, or writes it.
fn check(list: &Path, found: &str) {
    if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
        std::fs::write(list, found).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(list).unwrap_or_default();
    let missing: Vec<&str> = expected.lines().filter(|line| !found.lines().any(|other| other == *line)).collect();
    let new: Vec<&str> = found.lines().filter(|line| !expected.lines().any(|other| other == *line)).collect();
    assert!(
        expected == found,
        "other bytes than before; if that is meant, run the test with BLESS=1\nexpected:\n{}\nfound:\n{}",
        missing.join("\n"),
        new.join("\n")
    );
}

/// Texts and modules below the folders, by their paths.
fn fixtures(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut work: Vec<PathBuf> = FOLDERS.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = work.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                work.push(path);
            } else if path.extension().is_some_and(|extension| extension == "wat" || extension == "wasm") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let named = paths.iter().filter_map(|path| {
        let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
        // Some are there because they are no programs.
        Some((name, wat::parse_file(path).ok()?))
    });
    named.collect()
}

/// One line for each way in which a fixture can be linked.
fn of_fixture(name: &str, program: &[u8]) -> String {
    let mut lines = String::new();
    let mut line = |variant: &str, digest: String| writeln!(lines, "{name} | {variant} | {digest}").unwrap();
    line("inspected", digest(&inspect(program).map(|report| (Vec::new(), report))));
    for (variant, options) in variants() {
        line(variant, digest(&link_with_shim(program, OWN_SHIM, &options).map(parts_of)));
    }
    line("small shim, every choice", every_choice(program));
    for (variant, options) in pack_variants() {
        let (tree, mut files) = tree();
        let packed = pack(program, &tree, &mut files, &options);
        line(variant, digest(&packed.as_ref().map(|packed| (packed.bytes.clone(), packed.report))));
        let Some(packed) = packed.ok() else { continue };
        let again = |options: LinkOptions| {
            let pack = Pack::open(&packed.bytes).unwrap().unwrap();
            digest(&pack.link(&options, &["K"]).map(parts_of))
        };
        line(&format!("{variant}, linked anew"), again(all()));
        line(
            &format!("{variant}, traced and unwinding"),
            again(LinkOptions { trace: true, exit: Exit::Unwind, ..all() }),
        );
    }
    for (variant, binding) in BINDINGS {
        let binding = Binding::parse(&format!("program = \"p.wasm\"\n{binding}")).unwrap();
        let lifted = lift(program, &binding);
        line(&format!("lifted, {variant}"), digest(&lifted.map(|lifted| (lifted.bytes, lifted.report))));
    }
    lines
}

/// One line for each of some random modules, linked with all choices.
fn of_random_modules() -> String {
    let mut lines = String::new();
    for seed in 0..RANDOM_MODULES {
        // Any numbers that follow from the seed serve here.
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(4_000)
        .collect();
        let config = Config {
            available_imports: Some(wasm(common::RANDOM_IMPORTS)),
            min_imports: 1,
            max_imports: 20,
            max_memories: 3,
            min_memories: u32::from(seed % 4 != 0),
            max_tables: 3,
            gc_enabled: seed % 2 == 0,
            exceptions_enabled: true,
            threads_enabled: seed % 8 == 0,
            export_everything: seed % 3 == 0,
            generate_custom_sections: seed % 5 == 0,
            min_uleb_size: 1 + (seed % 5) as u8,
            ..Config::default()
        };
        let Ok(module) = Module::new(config, &mut Unstructured::new(&bytes)) else { continue };
        writeln!(lines, "random module {seed} | small shim, every choice | {}", every_choice(&module.to_bytes()))
            .unwrap();
    }
    lines
}

fn variants() -> [(&'static str, LinkOptions); 7] {
    let none =
        LinkOptions { host_dirs: false, mounts: false, streams: false, control: false, trace: false, exit: Exit::Host };
    [
        ("default", LinkOptions::default()),
        ("nothing", none),
        ("everything", all()),
        ("traced", LinkOptions { trace: true, ..LinkOptions::default() }),
        ("unwinding", LinkOptions { exit: Exit::Unwind, ..LinkOptions::default() }),
        ("traced and unwinding", LinkOptions { trace: true, exit: Exit::Unwind, ..all() }),
        ("nothing, traced and unwinding", LinkOptions { trace: true, exit: Exit::Unwind, ..none }),
    ]
}

/// The digest of what the small shim gives with all options in all ways, one after the other.
fn every_choice(program: &[u8]) -> String {
    let shim = wasm(SHIM);
    let mut all = Vec::new();
    for bits in 0..64u8 {
        let options = LinkOptions {
            host_dirs: bits & 1 != 0,
            mounts: bits & 2 != 0,
            streams: bits & 4 != 0,
            control: bits & 8 != 0,
            trace: bits & 16 != 0,
            exit: if bits & 32 != 0 { Exit::Unwind } else { Exit::Host },
        };
        all.extend(digest(&link_unvalidated_with_shim(program, &shim, &options).map(parts_of)).into_bytes());
    }
    hex(&all)
}

fn pack_variants() -> [(&'static str, PackOptions); 3] {
    let plain = PackOptions { codec: Codec::None, prune: None, by_reference: false, entry: EntryPoint::default() };
    let entry = EntryPoint { args: vec!["a".into()], env: vec![("K".into(), "v".into())] };
    let prune = Some(std::collections::BTreeSet::from(["w/a".to_owned()]));
    [
        ("packed", plain.clone()),
        ("packed with zstd and an entry", PackOptions { codec: Codec::Zstd, entry, ..plain.clone() }),
        ("packed with lz4 and references", PackOptions { codec: Codec::Lz4, prune, by_reference: true, ..plain }),
    ]
}

/// Two files in memory.
struct Files([Vec<u8>; 2]);

impl Contents for Files {
    fn read(&mut self, entry: usize) -> Result<Vec<u8>, String> {
        Ok(self.0[entry - 1].clone())
    }

    fn reference(&mut self, entry: usize) -> Result<Digest, String> {
        Ok(Digest(*blake3::hash(&self.0[entry - 1]).as_bytes()))
    }
}

fn tree() -> (Tree, Files) {
    let files = Files([b"all work and no play ".repeat(200), b"left out".to_vec()]);
    let file = |at: usize| Node::File { size: files.0[at].len() as u64, executable: at == 0 };
    let entry = |path: &str, node| Entry { path: path.into(), modified: 1_000_000_007, node };
    let entries = vec![entry("w", Node::Directory), entry("w/a", file(0)), entry("w/b", file(1))];
    let mounts = vec![Mount { guest: "/w".into(), path: "w".into(), directory: true }];
    (Tree { mounts, entries }, files)
}

fn parts_of(linked: Linked) -> (Vec<u8>, weir_link::LinkReport) {
    (linked.bytes, linked.report)
}

/// The digest of a module and of the report with it, or of an error's text.
fn digest<R: Debug, E: std::fmt::Display>(result: &Result<(Vec<u8>, R), E>) -> String {
    match result {
        Ok((bytes, report)) => hex(&[bytes.as_slice(), format!("{report:?}").as_bytes()].concat()),
        Err(error) => format!("error {}", hex(error.to_string().as_bytes())),
    }
}

fn hex(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..DIGEST_DIGITS].to_owned()
}
