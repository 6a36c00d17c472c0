//! What the machine does to the command line: outputs that are closed, full or without a reader, and folders of the user
//! that are none.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn weir(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(words).current_dir(root()).env_clear().env("WEIR_CACHE_DIR", "off").stdin(Stdio::null());
    command
}

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// A pipe whose reader has gone.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

const LIFTED: &str = "tests/cli/lift/library.lift.toml";
const PROGRAM: &str = "tests/cli/readme.wat";

/// One command of each kind that prints a report.
fn reports(folder: &str) -> Vec<Vec<String>> {
    let commands = [
        format!("pack {PROGRAM} --mount /l=LICENSE -o {folder}/pack.wasm"),
        format!("unpack {folder}/pack.wasm --list"),
        format!("lift {LIFTED} -o {folder}/lifted.wasm"),
        format!("wit {folder}/lifted.wasm"),
        format!("inspect {PROGRAM}"),
        "store gc".into(),
        "--help".into(),
        "run --help".into(),
        "--version".into(),
    ];
    commands.iter().map(|command| command.split(' ').map(str::to_owned).collect()).collect()
}

#[test]
fn a_full_stdout_is_an_error_and_a_reader_that_has_gone_is_none() {
    let folder = tempfile::tempdir().unwrap();
    for words in reports(&folder.path().display().to_string()) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let store = folder.path().join("store");
        let output = weir(&words).env("WEIR_STORE_DIR", &store).stdout(full()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(246) && said.contains("cannot write to stdout"), "{words:?}: {output:?}");
        let output = weir(&words).env("WEIR_STORE_DIR", &store).stdout(unread()).output().unwrap();
        assert!(output.status.code() == Some(141) && output.stderr.is_empty(), "{words:?}: {output:?}");
    }
}

#[test]
fn a_stderr_that_takes_nothing_changes_no_exit_code() {
    let cases: [(&[&str], i32); 4] = [
        (&["run", "/nowhere"], 241),
        (&["run", "--stats", PROGRAM], 7),
        (&["run", "--no-such-option"], 240),
        (&["run", "--mount", "/d=/dev", PROGRAM], 7),
    ];
    for (words, code) in cases {
        for stderr in [full().into(), unread()] {
            let status = weir(words).stdout(Stdio::null()).stderr(stderr).status().unwrap();
            assert_eq!(status.code(), Some(code), "{words:?}");
        }
    }
}

#[test]
fn a_relative_folder_of_the_user_is_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let program = root().join(PROGRAM).canonicalize().unwrap();
    let home = tempfile::tempdir().unwrap();
    for words in [vec!["run", program.to_str().unwrap()], vec!["store", "gc"]] {
        let mut command = weir(&words);
        command.current_dir(&folder).env_remove("WEIR_CACHE_DIR");
        command.env("XDG_CACHE_HOME", "rel").env("XDG_DATA_HOME", "rel").env("HOME", home.path());
        command.output().unwrap();
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "{words:?}");
    }
    assert!(home.path().join(".cache/weir").is_dir(), "what takes its place is in the home folder");
}
