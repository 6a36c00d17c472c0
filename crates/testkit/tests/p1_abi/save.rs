//! Copying results out when a program has ended well: all of it or nothing, and never over a directory
//! that holds something.

use crate::common::*;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use weir_engine::{CoreProgram, Error, Kind, Outcome, Program, Run, Save};
use weir_link::LinkOptions;
use weir_types::grants::{Grants, Source, UnknownImports};
use weir_types::limits::Limits;

/// Makes `out/`, `out/file` ("written"), `out/dir/`, `out/link` -> `file`, removes `out/old` if there is
/// one, and ends with the number that its first argument's first letter is, a trap for `t`.
const PROGRAM: &str = r#"(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_symlink" (func $symlink (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 100) "out/file")
  (data (i32.const 120) "out/dir")
  (data (i32.const 140) "out/link")
  (data (i32.const 160) "out/old")
  (data (i32.const 180) "written")
  (data (i32.const 200) "\b4\00\00\00\07\00\00\00")
  (func (export "_start")
    (drop (call $args (i32.const 0) (i32.const 1000)))
    (drop (call $mkdir (i32.const 3) (i32.const 100) (i32.const 3)))
    (drop (call $mkdir (i32.const 3) (i32.const 120) (i32.const 7)))
    (drop (call $unlink (i32.const 3) (i32.const 160) (i32.const 7)))
    (drop (call $symlink (i32.const 104) (i32.const 4) (i32.const 3) (i32.const 140) (i32.const 8)))
    (drop (call $open (i32.const 3) (i32.const 0) (i32.const 100) (i32.const 8) (i32.const 9)
      (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 300)))
    (drop (call $write (i32.load (i32.const 300)) (i32.const 200) (i32.const 1) (i32.const 304)))
    (if (i32.eq (i32.load8_u (i32.const 1000)) (i32.const 116)) (then (unreachable)))
    (call $exit (i32.sub (i32.load8_u (i32.const 1000)) (i32.const 48)))))"#;

fn run(ending: &str, places: Vec<weir_types::grants::Place>, saves: &[Save]) -> Result<Outcome, Error> {
    static CORE: OnceLock<CoreProgram> = OnceLock::new();
    let limits = Limits::default();
    let core = CORE.get_or_init(|| {
        let program = Program::from_bytes("save.wat", PROGRAM.into()).unwrap();
        CoreProgram::load(&program, b"", &limits, UnknownImports::Refuse, None, |bytes| {
            Ok(weir_link::link(bytes, &LinkOptions::default()).expect("it links").bytes.into())
        })
        .unwrap()
    });
    let grants = Grants { args: vec![ending.into()], places, ..Grants::default() };
    core.run(Run { saves, ..Run::new(&grants, &limits) })
}

fn save(guest: &str, host: &Path) -> Save {
    Save { guest: guest.into(), host: host.into() }
}

fn scratch_place() -> Vec<weir_types::grants::Place> {
    vec![place("/", Source::Scratch)]
}

/// The names in a directory of the machine; nothing half-written may stay in it.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_tree_is_saved_whole() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("saved");
    assert_eq!(run("0", scratch_place(), &[save("/out", &target)]).unwrap().exit_code, 0);
    assert_eq!(names(&target), ["dir", "file", "link"]);
    assert_eq!(fs::read(target.join("file")).unwrap(), b"written");
    assert_eq!(fs::read_link(target.join("link")).unwrap(), Path::new("file"));
    assert!(target.join("dir").is_dir());
    assert_eq!(names(folder.path()), ["saved"], "nothing else stays behind");
}

#[test]
fn a_file_replaces_a_file_and_a_tree_an_empty_directory() {
    let folder = tempfile::tempdir().unwrap();
    let (file, dir) = (folder.path().join("file"), folder.path().join("dir"));
    fs::write(&file, b"what was there before").unwrap();
    fs::create_dir(&dir).unwrap();
    run("0", scratch_place(), &[save("/out/file", &file), save("out", &dir)]).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"written");
    assert_eq!(names(&dir), ["dir", "file", "link"]);
    // A link is followed, and a save alone makes a place to write to.
    run("0", vec![], &[save("/out/link", &file)]).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"written");
}

#[test]
fn a_program_that_ends_badly_saves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("saved");
    assert_eq!(run("3", scratch_place(), &[save("/out", &target)]).unwrap().exit_code, 3);
    let error = run("t", scratch_place(), &[save("/out", &target)]).unwrap_err();
    assert_eq!(error.kind(), Kind::Trap);
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn what_cannot_be_saved_is_refused_and_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let full = folder.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("precious"), b"precious").unwrap();
    let error = run("t", scratch_place(), &[save("/out", &full)]).unwrap_err();
    assert!(error.kind() == Kind::Save && error.to_string().contains("not empty"), "before it runs: {error}");
    let error = run("t", scratch_place(), &[save("/out", &folder.path().join("no/such/parent"))]).unwrap_err();
    assert!(error.kind() == Kind::Save && error.to_string().contains("no directory"), "{error}");
    let target = folder.path().join("target");
    fs::write(&target, b"as it was").unwrap();
    let error = run("0", scratch_place(), &[save("/nothing", &target)]).unwrap_err();
    assert!(error.kind() == Kind::Save && error.to_string().contains("/nothing"), "{error}");
    let error = run("0", scratch_place(), &[save("/out", &target)]).unwrap_err();
    assert!(error.kind() == Kind::Save, "a directory does not replace a file: {error}");
    assert_eq!(fs::read(&target).unwrap(), b"as it was");
    assert_eq!(fs::read(full.join("precious")).unwrap(), b"precious");
    assert_eq!(names(folder.path()), ["full", "target"]);
}

#[test]
fn a_mount_is_saved_with_its_changes() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::create_dir_all(source.join("sub")).unwrap();
    fs::write(source.join("old"), b"removed inside").unwrap();
    fs::write(source.join("sub/large"), pattern(200_000)).unwrap();
    fs::write(source.join("file"), b"longer than what is written").unwrap();
    let before = machine_tree(&source);
    let places = vec![place("/", Source::Scratch), place("/out", Source::Mount(text(&source)))];
    let target = folder.path().join("saved");
    run("0", places, &[save("/out", &target)]).unwrap();
    assert_eq!(names(&target), ["dir", "file", "link", "sub"]);
    assert_eq!(fs::read(target.join("file")).unwrap(), b"written");
    assert!(fs::read(target.join("sub/large")).unwrap() == pattern(200_000));
    assert_eq!(machine_tree(&source), before);
    // Onto the mount itself it would overwrite what is mounted; that is a directory with something in it.
    let places = vec![place("/", Source::Scratch), place("/out", Source::Mount(text(&source)))];
    assert_eq!(run("0", places, &[save("/out", &source)]).unwrap_err().kind(), Kind::Save);
    assert_eq!(machine_tree(&source), before);
}
