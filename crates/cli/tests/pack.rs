//! What happens to packs when something goes wrong outside: the disk is full, the process is ended, the folder holds
//! what is no file. The old pack stays, and nothing else is left.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const PROBE: &str = "tests/cli/files/probe.wat";
const OLD: &[u8] = b"the pack that was here before";
/// Exit codes: a grant that cannot be honoured, results that could not be saved.
const GRANT: i32 = 242;
const SAVE: i32 = 246;

/// A folder of files to pack, and one that holds an old pack and nothing else.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(bytes: &[u8]) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(place.path("in/deep")).unwrap();
        fs::create_dir(place.path("out")).unwrap();
        fs::write(place.path("in/data"), bytes).unwrap();
        fs::write(place.path("out/pack.wasm"), OLD).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `weir pack`, after the words of another command that runs it.
    fn pack(&self, before: &[&str], more: &[&str]) -> Command {
        let words = [before, &[env!("CARGO_BIN_EXE_weir"), "pack", PROBE]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("--mount").arg(format!("/in={}", self.path("in").display()));
        command.arg("-o").arg(self.path("out/pack.wasm")).args(more);
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
        command.env("WEIR_CACHE_DIR", "off").env("WEIR_STORE_DIR", self.path("store"));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    #[track_caller]
    fn check_only_the_old_pack(&self) {
        assert!(fs::read(self.path("out/pack.wasm")).unwrap() == OLD, "the old pack is no longer what it was");
        let names: Vec<_> = fs::read_dir(self.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["pack.wasm"]);
    }

    /// The command fails with `code` and a message that has all `words`, and the old pack stays.
    #[track_caller]
    fn check_refused(&self, code: i32, words: &[&str], output: &Output) {
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        self.check_only_the_old_pack();
    }
}

#[test]
fn a_disk_that_is_full_leaves_the_old_pack() {
    let place = Place::new(&vec![7; 300_000]);
    // No file may get longer than 100 KiB: writing fails in the middle, as on a disk without room.
    let shell = ["sh", "-c", r#"trap "" XFSZ; ulimit -f 200; exec "$0" "$@""#];
    let output = place.pack(&shell, &[]).output().unwrap();
    place.check_refused(SAVE, &["cannot write", "out/pack.wasm"], &output);
    // The same of the store, where the files go.
    let output = place.pack(&shell, &["--by-reference"]).output().unwrap();
    assert!(!output.status.success());
    place.check_only_the_old_pack();
    let left = fs::read_dir(place.path("store/aside")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "half a blob was left in the store");
}

#[test]
fn a_process_that_is_ended_leaves_the_old_pack() {
    // Text that takes seconds to compress.
    let text: Vec<u8> =
        (0..4_000_000u32).flat_map(|at| format!("{:x} ", at.wrapping_mul(0x9e37_79b1)).into_bytes()).collect();
    let place = Place::new(&text);
    let mut child = place.pack(&[], &["--compress", "zstd"]).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(400));
    assert!(child.try_wait().unwrap().is_none(), "it is too quick for this test: give it more to do");
    child.kill().unwrap();
    child.wait().unwrap();
    place.check_only_the_old_pack();
}

#[test]
fn what_is_no_file_is_named() {
    let place = Place::new(b"1");
    let fifo = place.path("in/deep/pipe");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    place.check_refused(GRANT, &["deep/pipe", "pipe"], &place.pack(&[], &[]).output().unwrap());
    fs::remove_file(fifo).unwrap();
    let _socket = UnixListener::bind(place.path("in/deep/socket")).unwrap();
    place.check_refused(GRANT, &["deep/socket"], &place.pack(&[], &[]).output().unwrap());
}
