//! The examples, run as somebody would who tries them: they print what is said of them here.

use std::path::PathBuf;
use std::process::Command;

/// What an example prints.
fn printed(name: &str, args: &[&str]) -> String {
    // Tests and examples are built into one folder of the target.
    let test = std::env::current_exe().unwrap();
    let path: PathBuf = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    let output = Command::new(&path).args(args).output().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn a_text_filter() {
    assert_eq!(printed("filter", &[]), "STREAMS, ARRAYS (exit code 0)\nAND STRINGS (exit code 0)\n");
}

#[test]
fn a_plug_in_and_its_host_call_each_other() {
    let text = printed("plugin", &[]);
    assert!(
        text.starts_with("Ada!Ada!\nGrace!\nthe plug-in said: somebody is greeted, somebody is greeted\n"),
        "{text}"
    );
    assert!(text.contains("greet: an argument has another type"), "{text}");
}

#[test]
fn a_reactor_keeps_its_state_and_calls_back() {
    let text = printed("reactor", &[]);
    let lines = "seven makes 107\nthe reactor has 107\neleven makes 118\nthe reactor has 118\nit holds ";
    assert!(text.starts_with(lines) && text.contains("a pointer outside the memory"), "{text}");
}

#[test]
fn every_limit_is_told() {
    let text = printed("limits", &[]);
    for (what, words) in [
        ("computes", "limit  the program ran longer than 50ms"),
        ("counts", "limit  the program used up its fuel"),
        ("waits", "limit  the program ran longer than 50ms"),
        ("grows", "bytes of memory more than the"),
        ("fills a table", "a table of 1000001 elements"),
        ("floods", "limit  the program wrote more output"),
        ("recurses", "trap   the program trapped: wasm trap: call stack exhausted"),
        ("traps", "trap   the program trapped: wasm trap: wasm `unreachable`"),
    ] {
        let line = text.lines().find(|line| line.starts_with(what)).unwrap_or_default();
        assert!(line.contains(words), "{line}");
    }
}

/// A tenth of them here: the machine that tests may be small. How long it takes is for people to see.
#[test]
fn many_programs_wait_and_notice_no_bad_neighbour() {
    let text = printed("ten_thousand", &["1000"]);
    assert!(text.contains("1000 programs wait") && text.ends_with("1000 still run\n"), "{text}");
    for words in
        ["loops     ends: the program was stopped", "floods    ends: the program wrote more", "call stack exhausted"]
    {
        assert!(text.contains(words), "{text}");
    }
}
