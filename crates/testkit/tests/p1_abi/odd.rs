//! Programs of odd shape: without a memory, with one of no pages, with one that grows.

use crate::common::*;
use weir_engine::{CoreProgram, Error, Program, Run};
use weir_link::LinkOptions;
use weir_types::grants::{Grants, Source, UnknownImports};
use weir_types::limits::Limits;
use weir_vfs::Errno;

/// The exit code of a program with these fields that has `/` and ends with what `$main` gives.
fn exit_code(fields: &str) -> Result<u32, Error> {
    let text = format!(
        r#"(module
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (import "wasi_snapshot_preview1" "fd_sync" (func $sync (param i32) (result i32)))
          (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
          {fields}
          (func (export "_start") (call $exit (call $main))))"#
    );
    let limits = Limits::default();
    let program = Program::from_bytes("odd.wat", text.into_bytes())?;
    let core = CoreProgram::load(&program, b"", &limits, UnknownImports::Refuse, None, |bytes| {
        Ok(weir_link::link(bytes, &LinkOptions::default()).expect("it links").bytes.into())
    })?;
    let grants = Grants { places: vec![place("/", Source::Scratch)], ..Grants::default() };
    let run = Run::new(&grants, &limits);
    core.run(run).map(|outcome| outcome.exit_code)
}

#[test]
fn without_a_memory_or_with_none_of_it() {
    let noent = u32::from(Errno::Noent.number());
    let badf = u32::from(Errno::Badf.number());
    for memory in ["", "(memory (export \"memory\") 0)", "(memory 0)", "(memory 0 0)"] {
        let main = |call: &str| format!("{memory} (func $main (result i32) {call})");
        assert_eq!(exit_code(&main("(call $sync (i32.const 3))")).unwrap(), 0, "{memory}");
        assert_eq!(exit_code(&main("(call $sync (i32.const 9))")).unwrap(), badf, "{memory}");
        let nowhere = "(call $mkdir (i32.const 3) (i32.const 0) (i32.const 0))";
        assert_eq!(exit_code(&main(nowhere)).unwrap(), noent, "{memory}");
        for call in [
            "(call $mkdir (i32.const 3) (i32.const 0) (i32.const 1))",
            "(call $prestat (i32.const 3) (i32.const 0))",
            "(call $clock (i32.const 0) (i64.const 0) (i32.const 0))",
        ] {
            let error = exit_code(&main(call)).unwrap_err().to_string();
            assert!(error.contains("trapped"), "{memory} {call}: {error}");
        }
    }
}

#[test]
fn a_memory_that_grows_is_followed() {
    let main = r#"(memory (export "memory") 1)
      (func $main (result i32)
        (if (i32.eq (memory.grow (i32.const 3)) (i32.const -1)) (then (unreachable)))
        (i32.store8 (i32.const 200000) (i32.const 97))
        (if (call $mkdir (i32.const 3) (i32.const 200000) (i32.const 1)) (then (unreachable)))
        (if (call $prestat (i32.const 3) (i32.const 262136)) (then (unreachable)))
        (if (call $clock (i32.const 0) (i64.const 0) (i32.const 262136)) (then (unreachable)))
        (call $mkdir (i32.const 3) (i32.const 200000) (i32.const 1)))"#;
    assert_eq!(exit_code(main).unwrap(), u32::from(Errno::Exist.number()));
    let outside = main.replace("(i32.const 3) (i32.const 262136)", "(i32.const 3) (i32.const 262137)");
    assert!(exit_code(&outside).unwrap_err().to_string().contains("out of bounds"));
}

#[test]
fn exit_codes_pass_through_the_shim() {
    for code in [0, 1, 77, 255, 256] {
        let main = format!("(memory (export \"memory\") 1) (func $main (result i32) (i32.const {code}))");
        assert_eq!(exit_code(&main).unwrap(), code);
    }
}
