//! The same pack on every host: real programs are packed with their inputs and arguments, and must then print
//! the same bytes and end with the same code under weir, the stock wasmtime command line, Node.js, a headless
//! browser and an interpreter. None of the hosts is given a file: what a pack reads it brings, and what it
//! writes stays in its memory, so each run prints what proves its results.

mod sockets;

use crate::process;
use crate::programs::{self, Case, OURS, REAL, Runtimes};
use crate::tally::Tally;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Module,
    Component,
}

/// One pack and its run.
struct Pack {
    /// The case of `programs` whose program, inputs and data are packed.
    case: &'static str,
    /// Beside the program itself, the decoders are to be the same everywhere.
    compress: &'static str,
    /// What the pack carries as its arguments. Not those of the case, which only write files.
    args: &'static [&'static str],
    /// A file of the inputs that the host gives as stdin; without one, stdin is empty.
    stdin: Option<&'static str>,
    exit_code: i32,
    kind: Kind,
    /// Hosts that cannot run the program, packed or not, and why.
    lacking: &'static [(&'static str, &'static str)],
}

const fn pack(case: &'static str, compress: &'static str, args: &'static [&'static str]) -> Pack {
    Pack { case, compress, args, stdin: None, exit_code: 0, kind: Kind::Module, lacking: &[] }
}

/// A pack of one of our own programs that are components, which has one empty directory to work in.
const fn component(case: &'static str, compress: &'static str) -> Pack {
    Pack { kind: Kind::Component, ..pack(case, compress, &["/w"]) }
}

const PACKS: [Pack; 11] = [
    // What it prints are the decoder's warnings of chunks that the image has.
    Pack {
        lacking: &[("node", NO_START), ("chromium", NO_START), ("wasmi", NO_START)],
        ..pack("png-read-image", "lz4", &["/w/gradient.png", "/w/out.json", "/w/out.iwi.cbor"])
    },
    pack("svg-flatten", "zstd", &["--no-usvg", "/w/plate.svg", "-"]),
    pack("cc1", "none", &["-quiet", "-O2", "/w/main.c", "-o", "-"]),
    pack("resvg", "lz4", &["/w/figure.svg", "-c"]),
    pack("usvg", "none", &["/w/figure.svg", "-c"]),
    // It cannot write its sound to stdout. What it prints on the way, sounds and their ends, is computed
    // from the text and the voice.
    pack("flite", "zstd", &["-psdur", "-f", "/w/speech.txt", "-o", "/w/out.wav"]),
    pack("quickjs", "zstd", &["-m", "/w/main.js"]),
    pack("sqlite", "lz4", &["/w/out.db", ".read /w/main.sql", SQLITE_DIGESTS]),
    Pack { stdin: Some("settings.ini"), exit_code: 3, ..pack("python", "none", &["-c", PYTHON]) },
    component("fstest-p2", "zstd"),
    component("fstest-p3", "none"),
];

/// The entry that `weir` and stock wasmtime know is the one under the empty name.
const NO_START: &str = "it enters at `_start` alone, which the program has not";

/// The name of the comparison that needs servers.
const SOCKETS: &str = "sockets";

/// The files that the script before has written.
const SQLITE_DIGESTS: &str = "select hex(sha3(readfile('/w/out.csv'))), hex(sha3(readfile('/w/out.db')))";

/// Everything that the benchmark does, the digest of what it wrote, and all three streams.
const PYTHON: &str = "\
import hashlib, runpy, sys
runpy.run_path('/w/main.py')
print(hashlib.sha256(open('/w/out.db', 'rb').read() + open('/w/out.json', 'rb').read()).hexdigest())
print(len(sys.stdin.buffer.read()), 'bytes on stdin', file=sys.stderr)
sys.exit(3)";

/// What runs packs.
struct Host {
    name: &'static str,
    /// What it runs at all.
    kinds: &'static [Kind],
    /// The start of the command that ends with the pack.
    command: Box<dyn Fn() -> Command>,
    /// Why it cannot be used on this machine.
    missing: Option<String>,
}

/// `cargo xtask portable`: the named packs, or all.
pub fn run(root: &Path, names: &[&str]) -> Result<bool> {
    programs::check_names("pack", names, PACKS.iter().map(|pack| pack.case).chain([SOCKETS]))?;
    Ok(compare(root, names)?.failed == 0)
}

/// All packs whose program is there.
pub fn compare_all(root: &Path) -> Result<Tally> {
    compare(root, &[])
}

fn compare(root: &Path, names: &[&str]) -> Result<Tally> {
    let runtimes = Runtimes::find(root, "dev")?;
    let (mut tally, mut hosts) = (Tally::default(), Vec::new());
    for host in hosts_of(root, &runtimes) {
        match &host.missing {
            Some(why) => {
                println!("skipped: {}: {why}", host.name);
                tally.skipped += 1;
            }
            None => hosts.push(host),
        }
    }
    for pack in PACKS.iter().filter(|pack| names.is_empty() || names.contains(&pack.case)) {
        let case = cases().find(|case| case.name == pack.case).context("a pack names no case")?;
        if !case.is_there(root) {
            println!("skipped: {}: no .programs/{}: run scripts/programs.sh", case.name, case.program);
            tally.skipped += 1;
            continue;
        }
        let began = std::time::Instant::now();
        let made = make(root, &runtimes, pack, case)?;
        for (host, why) in pack.lacking.iter().filter(|(name, _)| hosts.iter().any(|host| host.name == *name)) {
            println!("skipped: {} on {host}: {why}", pack.case);
            tally.skipped += 1;
        }
        for (host, found) in differences(root, pack, &made, &hosts, original(root, &runtimes, case)?)? {
            if found.is_empty() {
                tally.passed += 1;
            } else {
                println!("pack {} on {host} ... FAILED\n    {}", pack.case, found.join("\n    "));
                tally.failed += 1;
            }
        }
        println!("pack {} ({}) ran, {:.1} s", pack.case, pack.compress, began.elapsed().as_secs_f64());
    }
    if names.is_empty() || names.contains(&SOCKETS) {
        tally.add(sockets::compare(root, &runtimes)?);
    }
    let names: Vec<&str> = hosts.iter().map(|host| host.name).collect();
    println!("hosts: {}: {} runs the same, {} not", names.join(", "), tally.passed, tally.failed);
    Ok(tally)
}

fn cases() -> impl Iterator<Item = &'static Case> {
    REAL.iter().chain(&OURS)
}

/// What the program of a case of ours prints that is not packed and has a directory of the host.
fn original(root: &Path, runtimes: &Runtimes, case: &Case) -> Result<Option<Output>> {
    if !runtimes.stock_is_there() || OURS.iter().all(|ours| ours.name != case.name) {
        return Ok(None);
    }
    let folder = runtimes.cache.join("packs/original");
    case.lay_out(root, &folder)?;
    process::kept(&mut case.stock(root, runtimes, &folder)?).map(Some)
}

/// Makes the pack, which then needs nothing else.
fn make(root: &Path, runtimes: &Runtimes, pack: &Pack, case: &Case) -> Result<PathBuf> {
    let folder = runtimes.cache.join("packs");
    let empty = folder.join("empty");
    fs::create_dir_all(&empty).with_context(|| format!("cannot make {}", empty.display()))?;
    let made = folder.join(format!("{}.wasm", pack.case));
    let mut command = runtimes.weir_command("pack");
    match inputs(root, pack) {
        inputs if inputs.exists() => command.arg("--mount").arg(programs::pair("/w", &inputs)),
        _ => command.args(["--scratch", "/w"]),
    };
    for (data, guest) in case.data {
        command.arg("--mount").arg(programs::pair(guest, &root.join(".programs").join(data)));
    }
    for (folder, guest) in case.folders {
        command.arg("--mount").arg(programs::pair(guest, &inputs(root, pack).join(folder)));
    }
    for guest in case.scratch {
        command.arg("--mount").arg(programs::pair(guest, &empty));
    }
    command.args(["--compress", pack.compress]).arg("--output").arg(&made);
    command.arg(root.join(".programs").join(case.program)).arg("--").args(pack.args);
    process::text(&mut command)?;
    Ok(made)
}

fn inputs(root: &Path, pack: &Pack) -> PathBuf {
    root.join("benches/programs").join(pack.case)
}

/// What is wrong on each host, against `first`; without one, against the first host.
fn differences(
    root: &Path,
    pack: &Pack,
    made: &Path,
    hosts: &[Host],
    mut first: Option<Output>,
) -> Result<Vec<(&'static str, Vec<String>)>> {
    let mut all = Vec::new();
    let able =
        |host: &&Host| host.kinds.contains(&pack.kind) && pack.lacking.iter().all(|(name, _)| *name != host.name);
    for host in hosts.iter().filter(able) {
        let mut command = (host.command)();
        command.arg(made).stdin(match pack.stdin {
            Some(name) => Stdio::from(File::open(inputs(root, pack).join(name))?),
            None => Stdio::null(),
        });
        let output = process::kept(&mut command)?;
        let mut found = Vec::new();
        if output.status.code() != Some(pack.exit_code) {
            found.push(format!("{}: {}", output.status, programs::tail(&output.stderr)));
        }
        match &first {
            None if output.stdout.is_empty() && output.stderr.is_empty() => {
                found.push("it printed nothing, so nothing is proved".into())
            }
            None => {}
            Some(first) => found.extend(programs::stream_differences(&output, first)),
        }
        first.get_or_insert(output);
        all.push((host.name, found));
    }
    Ok(all)
}

/// Every host, there or not.
fn hosts_of(root: &Path, runtimes: &Runtimes) -> Vec<Host> {
    let engines = programs::cache().join("engines");
    let (node, wasmi) = (newest(&engines, "node-", "bin/node"), newest(&engines, "wasmi-", "bin/wasmi"));
    let chromium = on_path("chromium");
    let script = |name: &str| root.join("tests/portable").join(name);
    let without = |path: &Option<PathBuf>, name: &str| {
        path.is_none().then(|| format!("is not on this machine: run scripts/engines.sh {name}"))
    };
    let node_host = starts(node.as_deref(), &[&script("node-host.mjs")]);
    let browser_host = starts(node.as_deref(), &[&script("browser-host.mjs"), chromium.as_deref().unwrap_or(root)]);
    let (weir, stock) = (runtimes.clone(), runtimes.clone());
    let no_stock = (!runtimes.stock_is_there()).then(|| "is not on this machine: run scripts/tools.sh".to_string());
    let host = |name, command, missing| Host { name, kinds: &[Kind::Module], command, missing };
    let both = |host| Host { kinds: &[Kind::Module, Kind::Component], ..host };
    vec![
        both(host("weir", Box::new(move || weir.weir()), None)),
        both(host("wasmtime", Box::new(move || with_async(stock.stock())), no_stock)),
        host("node", node_host, without(&node, "node")),
        host("chromium", browser_host, without(&node, "node").or_else(|| without(&chromium, "chromium"))),
        host("wasmi", starts(wasmi.as_deref(), &[Path::new("run")]), without(&wasmi, "wasmi")),
    ]
}

/// The stock command line refuses WASI 0.3 without these; nothing else changes by them.
fn with_async(mut command: Command) -> Command {
    command.args(programs::WASI_03);
    command
}

/// Commands that begin with `program` and `words`.
fn starts(program: Option<&Path>, words: &[&Path]) -> Box<dyn Fn() -> Command> {
    let program = program.unwrap_or_else(|| Path::new("missing")).to_path_buf();
    let words: Vec<PathBuf> = words.iter().map(|word| word.to_path_buf()).collect();
    Box::new(move || {
        let mut command = Command::new(&program);
        command.args(&words).env_remove("NODE_OPTIONS");
        command
    })
}

/// `file` in the last folder by name that begins with `prefix`: folders are named after pinned versions.
pub fn newest(engines: &Path, prefix: &str, file: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(engines).ok()?.flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    named.map(|entry| entry.path().join(file)).filter(|path| path.exists()).max()
}

/// The program of this name on the search path.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pack_is_of_a_known_case() {
        let unknown = PACKS.iter().find(|pack| cases().all(|case| case.name != pack.case));
        assert!(unknown.is_none(), "{:?}", unknown.map(|pack| pack.case));
    }

    #[test]
    fn streams_are_compared_apart() {
        let output = |stdout: &[u8], stderr: &[u8]| Output {
            status: std::process::ExitStatus::default(),
            stdout: stdout.into(),
            stderr: stderr.into(),
        };
        assert!(programs::stream_differences(&output(b"a", b"b"), &output(b"a", b"b")).is_empty());
        let found = programs::stream_differences(&output(b"a", b"x"), &output(b"a", b"b"));
        assert_eq!(found, ["stderr: 1 bytes instead of 1, first different at 0: `x` instead of `b`"]);
    }
}
