//! Packs in registries, on the command line: what is packed here and pushed runs elsewhere, after whatever happens on
//! the way. The registry is Debian's `docker-registry`; where it is not installed the tests say so and pass.

#[allow(dead_code, reason = "the store's tests use more of it")]
#[path = "../../store/tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::{AtEnd, Proxy, Registry};

const PROBE: &str = "tests/cli/files/probe.wat";
/// The exit code of failures of the store or a registry.
const REGISTRY: i32 = 247;

/// A user with a store, and files.
struct User {
    folder: tempfile::TempDir,
}

impl User {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same as a word of a command.
    fn word(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(words).env_clear().current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
        command.env("WEIR_CACHE_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli-cache"));
        command.env("WEIR_STORE_DIR", self.path("store")).env("DOCKER_CONFIG", self.path("docker"));
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command that must end with `code`; gives what it printed to stdout, or for a failure to stderr.
    #[track_caller]
    fn weir(&self, code: i32, words: &[&str]) -> String {
        printed(code, words, &self.command(words).output().unwrap())
    }

    fn pack(&self, more: &[&str]) {
        let (mount, out) = (format!("/in={}", self.word("in")), self.word("pack.wasm"));
        self.weir(0, &[&["pack", PROBE, "--mount", &mount, "-o", &out], more].concat());
    }

    /// Files of the store that have no name yet.
    fn asides(&self) -> usize {
        fs::read_dir(self.path("store/aside")).map_or(0, Iterator::count)
    }
}

#[track_caller]
fn printed(code: i32, words: &[&str], output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{words:?}\n{stdout}{stderr}");
    if code == 0 { stdout.into_owned() } else { stderr.into_owned() }
}

/// The numbers in the line of a report that begins with `word`.
#[track_caller]
fn numbers(report: &str, word: &str) -> Vec<u64> {
    let line = report.lines().find_map(|line| line.trim_start().strip_prefix(word));
    let line = line.unwrap_or_else(|| panic!("no line {word:?} in\n{report}"));
    line.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// Bytes that do not shrink.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..size).map(next).collect()
}

#[test]
fn a_pack_goes_round() {
    let Some(registry) = Registry::plain() else { return };
    let (user, address) = (User::new(), format!("127.0.0.1:{}", registry.port));
    let name = format!("{address}/tools/probe:1");
    user.write("in/a.txt", b"alpha\n");
    user.pack(&["--compress", "zstd"]);
    let pushed = user.weir(0, &["push", &user.word("pack.wasm"), &name, "--insecure", &address]);
    assert_eq!(numbers(&pushed, "sent")[1..], [1, 1], "{pushed}");
    let again = user.weir(0, &["push", &user.word("pack.wasm"), &name, "--insecure", &address]);
    assert_eq!((numbers(&again, "sent")[1], again.lines().nth(1)), (0, pushed.lines().nth(1)), "{again}");

    // Another machine: there is no store, and no file.
    let other = User::new();
    other.weir(0, &["pull", &name, "--insecure", &address, "-o", &other.word("pulled.wasm")]);
    assert_eq!(fs::read(other.path("pulled.wasm")).unwrap(), fs::read(user.path("pack.wasm")).unwrap());
    assert_eq!(other.weir(0, &["run", &other.word("pulled.wasm"), "read", "a.txt", "-"]), "alpha\n\n");
    // Run by name, and that without a pull before it.
    let third = User::new();
    let mut command = third.command(&["run", &name, "read", "a.txt", "-"]);
    let output = command.env("WEIR_INSECURE_REGISTRIES", &address).output().unwrap();
    assert_eq!(printed(0, &["run by name"], &output), "alpha\n\n");
    drop(registry);
    // From now on without a network.
    assert_eq!(third.weir(0, &["run", &name, "read", "a.txt", "-"]), "alpha\n\n");
    let error = User::new().weir(REGISTRY, &["run", &name, "--insecure", &address]);
    assert!(error.contains(&address), "{error}");
}

#[test]
fn files_by_reference_come_along() {
    let Some(registry) = Registry::plain() else { return };
    let (user, address) = (User::new(), format!("127.0.0.1:{}", registry.port));
    let name = format!("{address}/tools/probe:1");
    user.write("in/a.txt", b"alpha\n");
    user.write("in/sub/b.txt", b"beta\n");
    user.write("in/large", &noise(1, 200_000));
    user.pack(&["--by-reference"]);
    user.weir(0, &["push", &user.word("pack.wasm"), &name, "--insecure", &address]);

    let other = User::new();
    let error = other.weir(242, &["run", &user.word("pack.wasm"), "read", "a.txt", "-"]);
    assert!(error.contains("not in the store") && error.contains("weir pull"), "{error}");
    // All files come when the pack comes, also those that the run does not open.
    let run = other.weir(0, &["run", "--insecure", &address, &name, "read", "a.txt", "-", "read", "sub/b.txt", "-"]);
    assert_eq!(run, "alpha\n\nbeta\n\n");
    drop(registry);
    let listed = other.weir(0, &["store", "ls"]);
    assert_eq!(numbers(&listed, "files"), [200_011, 3], "{listed}");
    assert_eq!(other.weir(0, &["run", &name, "read", "sub/b.txt", "-"]), "beta\n\n");
    // With its files here, the file of the first machine runs as well, and comes apart.
    other.weir(0, &["unpack", &user.word("pack.wasm"), "-o", &other.word("out")]);
    assert_eq!(fs::read(other.path("out/files/in/large")).unwrap(), noise(1, 200_000));
}

#[test]
fn a_second_version_sends_what_changed() {
    let Some(registry) = Registry::plain() else { return };
    let (user, other, address) = (User::new(), User::new(), format!("127.0.0.1:{}", registry.port));
    let name = |tag: u32| format!("{address}/tools/probe:{tag}");
    (0..20).for_each(|seed| user.write(&format!("in/{seed}"), &noise(seed, 100_000)));
    user.pack(&["--by-reference"]);
    let first = user.weir(0, &["push", &user.word("pack.wasm"), &name(1), "--insecure", &address]);
    other.weir(0, &["pull", &name(1), "--insecure", &address]);
    user.write("in/7", &noise(100, 100_000));
    user.pack(&["--by-reference"]);
    let second = user.weir(0, &["push", &user.word("pack.wasm"), &name(2), "--insecure", &address]);
    assert!(numbers(&first, "sent")[0] > 2_000_000, "{first}");
    let sent = numbers(&second, "sent");
    // The file, and the program with the index, which are small.
    assert!((100_000..300_000).contains(&sent[0]) && sent[1] <= 3, "{second}");
    assert!(numbers(&second, "there already")[0] > 1_800_000, "{second}");
    let pulled = other.weir(0, &["pull", &name(2), "--insecure", &address]);
    assert!(numbers(&pulled, "came")[0] < 300_000, "{pulled}");
    assert!(numbers(&pulled, "there already")[0] > 1_800_000, "{pulled}");
}

#[test]
fn the_store_is_listed_and_tidied() {
    let Some(registry) = Registry::plain() else { return };
    let (user, address) = (User::new(), format!("127.0.0.1:{}", registry.port));
    let name = format!("{address}/tools/probe:1");
    user.write("in/a", &noise(1, 70_000));
    user.pack(&["--by-reference"]);
    user.weir(0, &["push", &user.word("pack.wasm"), &name, "--insecure", &address]);
    user.weir(0, &["pull", &name, "--insecure", &address]);
    let listed: serde_json::Value = serde_json::from_str(&user.weir(0, &["store", "ls", "--json"])).unwrap();
    assert_eq!(listed["references"][0]["reference"], name);
    assert_eq!(listed["packs"][0]["path"].as_str(), user.path("pack.wasm").to_str());
    assert_eq!(listed["loose"].as_array().unwrap().len(), 0);
    let nothing = "removed 0 bytes in 0 blobs; forgot 0 references and 0 packs\n";
    assert_eq!(user.weir(0, &["store", "gc"]), nothing);
    assert_eq!(user.weir(0, &["store", "gc", "--keep-days", "1"]), nothing);
    user.weir(0, &["run", &user.word("pack.wasm"), "list", ".", "-"]);
    // The reference goes; the pack's file is there and keeps its blob.
    let collected: serde_json::Value =
        serde_json::from_str(&user.weir(0, &["store", "gc", "--all", "--json"])).unwrap();
    assert_eq!((&collected["references"], &collected["packs"]), (&1.into(), &0.into()), "{collected}");
    user.weir(0, &["run", &user.word("pack.wasm"), "list", ".", "-"]);
    fs::remove_file(user.path("pack.wasm")).unwrap();
    let collected = user.weir(0, &["store", "gc", "--all"]);
    assert!(collected.starts_with("removed 70000 bytes in 1 blobs; forgot 0 references and 1 packs"), "{collected}");
    assert!(user.weir(0, &["store", "ls"]).ends_with(": 0 bytes in 0 blobs\n"));
    user.weir(240, &["store", "gc", "--all", "--keep-days", "1"]);
}

#[test]
fn what_cannot_be_pulled_is_said() {
    let Some(registry) = Registry::plain() else { return };
    let (user, address) = (User::new(), format!("127.0.0.1:{}", registry.port));
    let name = format!("{address}/tools/probe:1");
    user.write("in/a.txt", b"alpha\n");
    user.pack(&[]);
    let out = user.word("out.wasm");
    // Plain HTTP is for registries that are named, by port.
    for words in [&["--insecure", "127.0.0.1:1"][..], &[]] {
        for first in [&["push", &user.word("pack.wasm")][..], &["pull", "-o", &out], &["run"]] {
            let error = user.weir(REGISTRY, &[first, words, &[&name]].concat());
            assert!(error.contains(&format!("--insecure {address}")), "{error}");
        }
    }
    for wrong in [&name, &format!("{address}/tools/probe@sha256:{}", "0".repeat(64))] {
        let error = user.weir(REGISTRY, &["pull", wrong, "--insecure", &address, "-o", &out]);
        assert_eq!(error, format!("weir: registry {address} does not have {wrong}\n"));
    }
    for wrong in ["tools/probe:1", "127.0.0.1:5000/../x:1", "127.0.0.1:5000/x:a b"] {
        let error = user.weir(240, &["pull", wrong]);
        assert!(error.contains(wrong), "{error}");
    }
    let error = user.weir(240, &["push", &user.word("pack.wasm"), &name, "--insecure"]);
    assert!(error.contains("--insecure <HOST:PORT>"), "{error}");
    user.write("no.wasm", b"#!/bin/sh");
    let error = user.weir(241, &["push", &user.word("no.wasm"), &name, "--insecure", &address]);
    assert!(error.contains("no.wasm"), "{error}");
    assert!(!user.path("out.wasm").exists() && user.asides() == 0);
}

/// A pack by reference with 6 MB of files in the registry.
fn push_large(registry: &Registry) -> (User, String) {
    let (user, address) = (User::new(), format!("127.0.0.1:{}", registry.port));
    (0..30).for_each(|seed| user.write(&format!("in/{seed}"), &noise(seed, 200_000)));
    user.pack(&["--by-reference"]);
    user.weir(0, &["push", &user.word("pack.wasm"), &format!("{address}/large:1"), "--insecure", &address]);
    (user, address)
}

/// After a pull that broke off: nothing half is there, and the next one does the rest.
fn check_goes_on(from: &User, other: &User, address: &str) {
    assert!(!other.path("out.wasm").exists());
    let listed: serde_json::Value = serde_json::from_str(&other.weir(0, &["store", "ls", "--json"])).unwrap();
    assert_eq!(listed["references"].as_array().unwrap().len(), 0, "{listed}");
    let name = format!("{address}/large:1");
    let pulled = other.weir(0, &["pull", &name, "--insecure", address, "-o", &other.word("out.wasm")]);
    assert!(numbers(&pulled, "there already")[0] > 1_000_000, "{pulled}");
    assert_eq!(fs::read(other.path("out.wasm")).unwrap(), fs::read(from.path("pack.wasm")).unwrap());
    let run = other.weir(0, &["run", &name, "stat", "29", "-"]);
    assert!(run.contains("200000"), "{run}");
    other.weir(0, &["unpack", &other.word("out.wasm"), "-o", &other.word("out")]);
    for file in 0..30 {
        assert_eq!(fs::read(other.path(&format!("out/files/in/{file}"))).unwrap(), noise(file, 200_000));
    }
}

#[test]
fn a_pull_from_a_registry_that_goes_away_goes_on_later() {
    let Some(registry) = Registry::plain() else { return };
    let ((from, address), other) = (push_large(&registry), User::new());
    let proxy = format!("127.0.0.1:{}", Proxy::start(registry.port, 3_000_000, AtEnd::HangUp).port);
    let words = ["pull", &format!("{proxy}/large:1"), "--insecure", &proxy, "-o", &other.word("out.wasm")];
    let error = other.weir(REGISTRY, &words);
    assert!(error.contains(&proxy), "{error}");
    assert_eq!(other.asides(), 0);
    check_goes_on(&from, &other, &address);
}

#[test]
fn a_pull_that_is_killed_goes_on_later() {
    let Some(registry) = Registry::plain() else { return };
    let ((from, address), other) = (push_large(&registry), User::new());
    let proxy = Proxy::start(registry.port, 3_000_000, AtEnd::Stall);
    let host = format!("127.0.0.1:{}", proxy.port);
    let words = ["pull", &format!("{host}/large:1"), "--insecure", &host, "-o", &other.word("out.wasm")];
    let child = other.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    kill_when(child, || proxy.is_spent());
    check_goes_on(&from, &other, &address);
}

/// Ends a command as `kill -9` does, once something is so.
fn kill_when(mut child: Child, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        assert!(start.elapsed() < Duration::from_secs(60), "it never came to that point");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
