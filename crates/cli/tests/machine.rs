//! What the machine does to the command line: outputs that are closed, full or without a reader, and folders of the user
//! that are none.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
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

#[test]
fn what_is_compiled_ahead_is_there_at_the_first_run() {
    let folder = tempfile::tempdir().unwrap();
    let weir = |words: &[&str]| {
        let output = weir(words).env("WEIR_CACHE_DIR", folder.path().join("cache")).output().unwrap();
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap())
    };
    let mounted = ["--mount", "/l=LICENSE", "--stats", PROGRAM];
    assert_eq!(weir(&[&["compile"], &mounted[..]].concat())[0], format!("{PROGRAM}: compiled\n"));
    assert_eq!(weir(&[&["compile"], &mounted[..]].concat())[0], format!("{PROGRAM}: was compiled before\n"));
    let [_, stats] = weir(&[&["run"], &mounted[..]].concat());
    assert!(stats.contains("from the cache") && !stats.contains("\ncompile"), "{stats}");
    let lifted = folder.path().join("lifted.wasm");
    let lifted = lifted.to_str().unwrap();
    weir(&["lift", LIFTED, "-o", lifted]);
    assert_eq!(weir(&["compile", "--functions", lifted])[0], format!("{lifted}: compiled\n"));
    assert_eq!(weir(&["compile", "--functions", lifted])[0], format!("{lifted}: was compiled before\n"));
    assert_eq!(weir(&["call", lifted, "next()"])[0], "11\n");
}

#[test]
fn shells_and_manuals_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let text = |words: &[&str]| String::from_utf8(weir(words).output().unwrap().stdout).unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&["completions", shell]);
        for word in ["completions", "compile", "unknown-imports"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    text(&["man", folder.path().to_str().unwrap()]);
    let help = text(&["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Lines that go on are indented further.
    let commands = commands.filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    let names: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 10, "{help}");
    for name in names.into_iter().filter(|name| *name != "help") {
        let page = std::fs::read_to_string(folder.path().join(format!("weir-{name}.1"))).unwrap();
        assert!(page.contains("SYNOPSIS"), "{name}");
    }
}

#[test]
fn arguments_that_are_no_text_are_refused_in_words() {
    let odd = OsStr::from_bytes(b"a\xffb");
    let cases: [&[&str]; 8] = [
        &["run", PROGRAM],
        &["run"],
        &["run", "--mount"],
        &["inspect", PROGRAM, "--"],
        &["trace", "-o", "/nowhere/t", PROGRAM],
        &["pack", PROGRAM, "-o", "/nowhere/p", "--"],
        &["call", "/nowhere"],
        &["pull"],
    ];
    for words in cases {
        let output = weir(words).arg(odd).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(240) && said.contains("UTF-8"), "{words:?}: {output:?}");
    }
    // Names of files need not be text.
    for words in [&["inspect"][..], &["wit"], &["unpack", "--list"], &["lift", "-o", "/nowhere/l"]] {
        let output = weir(words).arg(odd).output().unwrap();
        assert!(matches!(output.status.code(), Some(241 | 246)), "{words:?}: {output:?}");
    }
}

#[test]
fn names_of_files_forge_no_line_and_reach_no_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let (there, odd) = (folder.path().join("in"), "a\nweir: all is well\u{1b}[2J");
    std::fs::create_dir(&there).unwrap();
    std::fs::write(there.join(odd), "x").unwrap();
    let (mount, pack) = (format!("/in={}", there.display()), folder.path().join("pack.wasm"));
    let pack = pack.to_str().unwrap();
    let shown = "a\\nweir: all is well\\u{1b}[2J";
    let printed = |words: &[&str]| {
        let output = weir(words).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8(text).unwrap()
    };
    printed(&["pack", PROGRAM, "--mount", &mount, "-o", pack]);
    let list = printed(&["unpack", "--list", pack]);
    assert!(list.lines().count() == 2 && list.contains(shown), "{list}");
    let json = printed(&["unpack", "--list", "--json", pack]);
    assert!(json.contains(r"/in/a\nweir: all is well\u001b[2J"), "{json}");

    // The same names of what cannot be mounted or packed.
    std::fs::remove_file(there.join(odd)).unwrap();
    std::os::unix::net::UnixListener::bind(there.join(odd)).unwrap();
    std::fs::write(there.join(OsStr::from_bytes(b"b\xff")), "x").unwrap();
    let said = printed(&["run", "--mount", &mount, "tests/cli/files/probe.wat", "list", ".", "-"]);
    assert!(said.contains("in/b\u{fffd} has a name that is not UTF-8"), "{said}");
    for words in [
        &["run", "--mount", &mount, "tests/cli/files/probe.wat", "list", ".", "-"][..],
        &["pack", PROGRAM, "--mount", &mount, "-o", pack],
    ] {
        let said = printed(words);
        assert!(said.contains(shown) && !said.lines().any(|line| line.starts_with("weir: all")), "{said}");
    }
}

#[test]
fn code_that_the_cache_does_not_keep_is_said() {
    let folder = tempfile::tempdir().unwrap();
    // No file may get longer than 4 KiB: as on a disk without room.
    let limited = r#"trap "" XFSZ; ulimit -f 8; exec "$0" "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_weir"), "compile", PROGRAM]).current_dir(root()).env_clear();
    let output = command.env("WEIR_CACHE_DIR", folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(246) && said.contains("cannot be kept"), "{output:?}");
}

#[test]
fn the_page_about_runs_names_every_option_and_exit_code() {
    let help = String::from_utf8(weir(&["run", "--help"]).output().unwrap().stdout).unwrap();
    let page = std::fs::read_to_string(root().join("docs/run.md")).unwrap();
    let mut held = 0;
    for line in help.lines() {
        let line = line.trim_start();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word.starts_with("--") {
            assert!(page.contains(&format!("`{word}")), "docs/run.md does not have {word}");
            held += 1;
        } else if word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit()) {
            let row = format!("| {word} | {} |", rest.trim().replace(" (nothing is printed)", "; nothing is printed"));
            assert!(page.contains(&row), "docs/run.md does not have the row {row}");
            held += 1;
        }
    }
    assert!(held > 30, "{help}");
}

/// Writes to stdout until it is stopped.
const FLOOD: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 8) "\00\00\00\00\00\00\01\00")
    (func (export "_start") (loop (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))) (br 0))))"#;

#[test]
fn a_deadline_ends_waiting_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("flood.wat"), FLOOD).unwrap();
    let made = Command::new("mkfifo").arg(at("pipe")).status().unwrap();
    assert!(made.success());
    let pipe = format!("/in/p={}", at("pipe"));
    let probe = "tests/cli/files/probe.wat";
    let limited = |words: &[&str]| weir(&[&["run", "--time-max", "300ms"], words].concat());
    // A reader that takes nothing.
    let (_reader, writer) = std::io::pipe().unwrap();
    let status = limited(&[&at("flood.wat")]).stdout(writer).stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(245));
    // A named pipe whose other end nobody opens, in both directions.
    for words in [["read", "p", "-"], ["append", "p", "text"]] {
        let words = [&["--scratch", "/in", "--stream", &pipe, probe], &words[..]].concat();
        let output = limited(&words).output().unwrap();
        assert_eq!(output.status.code(), Some(245), "{words:?}: {output:?}");
    }
}

#[test]
fn a_value_from_a_file_without_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lifted = folder.path().join("text.wasm");
    std::fs::write(
        &lifted,
        r#"(component
            (core module $m (memory (export "memory") 1)
                (func (export "f") (param i32 i32)) (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
            (core instance $i (instantiate $m))
            (func $f (param "x" (list u8)) (canon lift (core func $i "f") (memory $i "memory") (realloc (func $i "realloc"))))
            (export "f" (func $f)))"#,
    )
    .unwrap();
    let lifted = lifted.to_str().unwrap();
    let output = weir(&["call", lifted, "f(@/dev/zero)"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(242) && said.contains("the most that a value holds"), "{output:?}");
    let output = weir(&["lift", "/dev/zero", "-o", "/dev/null"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(241) && said.contains("the most that is read of a text"), "{output:?}");
}
