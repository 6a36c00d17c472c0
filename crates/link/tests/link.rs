//! Linking, feature by feature: text programs in, facts about the linked module out.

mod common;

use common::{Facts, SHIM, all, link, link_bytes, validate, wasm};
use weir_link::{EXIT_GLOBAL, Exit, LinkErrorKind, LinkOptions, MemoryProblem, link_with_shim};

const PATH_OPEN: &str = r#"(import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))"#;

/// A command that opens a file and does the given things besides.
fn command(extra: &str) -> String {
    format!(
        r#"(module $program
          {PATH_OPEN}
          {extra}
          (memory (export "memory") 1)
          (func $open (result i32)
            i32.const 3 i32.const 0 i32.const 8 i32.const 4 i32.const 0 i64.const 0 i64.const 0 i32.const 0 i32.const 64
            call $path_open)
          (func $main (export "_start") call $open drop))"#
    )
}

#[test]
fn a_program_that_cannot_open_files_stays_as_it_is() {
    let program = wasm(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
          (memory (export "memory") 1)
          (func (export "_start")))"#,
    );
    let linked = link_bytes(&program, &all()).unwrap();
    assert_eq!(linked.bytes, program);
    assert!(!linked.report.shim_linked && !linked.report.changed);
    assert_eq!(linked.report.remaining.len(), 2);
    // Not even a broken shim matters then.
    assert!(link_with_shim(&program, b"junk", &all()).is_ok());
}

#[test]
fn a_module_without_wasi_stays_as_it_is() {
    let program = wasm(r#"(module (import "env" "f" (func)) (func (export "g") call 0))"#);
    let linked = link_bytes(&program, &LinkOptions { exit: Exit::Unwind, trace: true, ..all() }).unwrap();
    assert_eq!(linked.bytes, program);
}

#[test]
fn calls_go_to_the_shim() {
    let linked = link(&command(""), &all()).unwrap();
    let facts = Facts::of(&linked.bytes);
    assert_eq!(
        facts.imports,
        ["weir.blob_read", "weir_hostdir.path_open", "wasi_snapshot_preview1.proc_exit"].map(String::from).map_sorted()
    );
    assert!(facts.code_of("open").ends_with("call weir:path_open; End"), "{}", facts.code_of("open"));
    assert_eq!(facts.code_of("main"), "call open; Drop; End");
    assert_eq!(facts.memories, 2);
    assert!(facts.exports.contains(&"memory = Memory 0".into()));
    assert!(facts.exports.contains(&"weir_memory = Memory 1".into()));
    assert!(facts.exports.contains(&"weir_sync = weir:weir_sync".into()));
    assert!(facts.exports.contains(&"_start = main".into()));
    assert_eq!(linked.report.resolved, ["wasi_snapshot_preview1.path_open"]);
    assert_eq!(linked.report.shim_memory, Some(1));
}

/// The order of imports follows the shim; tests compare sets.
trait Sorted {
    fn map_sorted(self) -> Vec<String>;
}

impl<const N: usize> Sorted for [String; N] {
    fn map_sorted(self) -> Vec<String> {
        let order = ["proc_exit", "blob_read", "stream_read", "path_open"];
        let mut all = self.to_vec();
        all.sort_by_key(|name| order.iter().position(|known| name.ends_with(known)));
        all
    }
}

#[test]
fn the_shims_memory_access_becomes_instructions() {
    let facts = Facts::of(&link(&command(""), &all()).unwrap().bytes);
    let code = facts.code_of("weir:path_open");
    assert!(code.contains("MemoryCopy { dst_mem: 1, src_mem: 0 }"), "{code}");
    assert!(code.contains("MemoryCopy { dst_mem: 0, src_mem: 1 }"), "{code}");
    assert!(code.contains("I32Load { memarg: MemArg { align: 0, max_align: 2, offset: 0, memory: 0 } }"), "{code}");
    assert!(code.contains("MemoryInit { data_index: 1, mem: 1 }"), "{code}");
    assert!(!code.contains("weir:program"), "{code}");
}

#[test]
fn only_what_is_reachable_is_linked_in() {
    let linked = link(&command(""), &LinkOptions { control: false, ..all() }).unwrap();
    let facts = Facts::of(&linked.bytes);
    let names: Vec<&str> = facts.names.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["open", "main", "weir:path_open"]);
    assert!(facts.exports.iter().all(|export| !export.starts_with("weir_sync")));
    assert_eq!(linked.report.shim_functions, (1, 11));
}

#[test]
fn tables_keep_only_functions_of_called_types() {
    let program = command(r#"(import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))"#);
    let facts = Facts::of(&link(&program, &all()).unwrap().bytes);
    // In the place of the dead one lies a function of nine parameters, where a call of one parameter traps.
    assert_eq!(facts.elements, ["weir:double", "weir:path_open", "#0"]);
    assert!(facts.code_of("weir:fd_close").contains("CallIndirect { type_index: 1, table_index: 0 }"));
}

#[test]
fn without_host_directories_no_path_function_is_imported() {
    let options = LinkOptions { host_dirs: false, mounts: false, streams: false, control: false, ..all() };
    let linked = link(&command(""), &options).unwrap();
    let facts = Facts::of(&linked.bytes);
    assert!(facts.imports.is_empty(), "{:?}", facts.imports);
    let code = facts.code_of("weir:path_open");
    assert!(code.contains("Drop; Drop; Drop; Drop; Drop; Drop; Drop; Drop; Drop; I32Const { value: 8 }"), "{code}");
    assert!(code.contains("Drop; Drop; Drop; Drop; Drop; I32Const { value: -52 }"), "{code}");
    assert_eq!(linked.report.stubbed, ["weir.blob_read", "weir_hostdir.path_open"]);
}

#[test]
fn a_tail_call_of_an_import_that_was_left_out_returns_its_answer() {
    let program =
        command(r#"(import "wasi_snapshot_preview1" "fd_readdir" (func (param i32 i32 i32 i64 i32) (result i32)))"#);
    let facts = Facts::of(&link(&program, &LinkOptions { streams: false, ..all() }).unwrap().bytes);
    assert!(facts.code_of("weir:fd_readdir").ends_with("I32Const { value: 8 }; Return; End"));
    let facts = Facts::of(&link(&program, &all()).unwrap().bytes);
    assert!(facts.code_of("weir:fd_readdir").contains("return_call #"));
}

#[test]
fn imports_that_both_need_are_one() {
    let program = command(
        r#"(import "wasi_snapshot_preview1" "fd_sync" (func $fd_sync (param i32) (result i32)))
           (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))"#,
    );
    let linked = link(&program, &all()).unwrap();
    let facts = Facts::of(&linked.bytes);
    let syncs = facts.imports.iter().filter(|import| import.ends_with("fd_sync")).count();
    assert_eq!(syncs, 1);
    let shared = linked.report.remaining.iter().find(|import| import.name == "fd_sync").unwrap();
    assert!(shared.by_program && shared.by_shim);
}

#[test]
fn old_names_use_the_old_layouts() {
    let program = r#"(module
      (import "wasi_unstable" "fd_filestat_get" (func $stat (param i32 i32) (result i32)))
      (import "wasi_unstable" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
      (import "wasi_unstable" "random_get" (func $random (param i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func $f (export "_start") i32.const 0 i32.const 0 call $stat drop
        i32.const 0 i32.const 0 call $prestat drop
        i32.const 0 i32.const 0 call $random drop))"#;
    let linked = link(program, &LinkOptions { control: false, ..all() }).unwrap();
    let facts = Facts::of(&linked.bytes);
    assert_eq!(facts.imports, ["wasi_snapshot_preview1.random_get"]);
    assert!(facts.code_of("f").contains("call weir:unstable:fd_filestat_get"));
    assert!(facts.code_of("f").contains("call weir:fd_prestat_get"));

    let program = r#"(module (import "wasi_unstable" "poll_oneoff" (func (param i32 i32 i32 i32) (result i32))))"#;
    let error = link(program, &all()).unwrap_err();
    assert!(matches!(error.kind(), LinkErrorKind::UnstableLayout { name } if name == "poll_oneoff"), "{error}");

    let program = r#"(module (import "wasi_unstable" "args_get" (func (param i32 i32) (result i32))))"#;
    let linked = link(program, &all()).unwrap();
    assert!(!linked.report.shim_linked && linked.report.changed);
    assert_eq!(Facts::of(&linked.bytes).imports, ["wasi_snapshot_preview1.args_get"]);
}

#[test]
fn every_kind_of_reference_to_a_function_is_renumbered() {
    let program = include_str!("programs/references.wat");
    let facts = Facts::of(&link(program, &all()).unwrap().bytes);
    assert_eq!(
        facts.code_of("main"),
        "call before; call after; call local; ref.func main; Drop; I32Const { value: 0 }; \
        I32Const { value: 0 }; I32Const { value: 0 }; TableInit { elem_index: 3, table: 1 }; ElemDrop { elem_index: 4 }; End"
    );
    assert_eq!(facts.code_of("local"), "ref.func begin; Drop; ref.func weir:path_open; Drop; End");
    assert!(facts.code_of("tail").ends_with("return_call weir:path_open; End"));
    assert_eq!(facts.start.as_deref(), Some("begin"));
    assert!(facts.exports.contains(&"again = weir:path_open".into()));
    let elements = facts.elements.join(" ");
    let expected = "weir:path_open local local ref.func weir:path_open after weir:path_open ref.func before";
    assert!(elements.starts_with(expected), "{elements}");
}

#[test]
fn every_proposal_comes_through() {
    let program = include_str!("programs/proposals.wat");
    let linked = link(program, &all()).unwrap();
    let before = Facts::of(&wasm(program));
    let after = Facts::of(&linked.bytes);
    for name in ["simd", "gc", "eh", "legacy", "refs", "tail", "bulk", "atomic", "wide", "stack"] {
        assert_eq!(before.code_of(name), after.code_of(name), "{name}");
    }
    assert_eq!(linked.report.shim_memory, Some(3));
}

#[test]
fn a_type_told_apart_by_name_gets_an_adapter() {
    let program = r#"(module
      (type $open (sub (func (param i32 i32) (result i32))))
      (import "wasi_snapshot_preview1" "fd_prestat_get" (func $f (type $open)))
      (memory (export "memory") 1)
      (elem declare func $f)
      (func (export "_start") i32.const 0 i32.const 0 ref.func $f call_ref $open drop))"#;
    let facts = Facts::of(&link(program, &all()).unwrap().bytes);
    assert_eq!(
        facts.code_of("weir:adapter fd_prestat_get"),
        "LocalGet { local_index: 0 }; LocalGet { local_index: 1 }; call weir:fd_prestat_get; End"
    );
}

#[test]
fn memories_keep_their_numbers() {
    let program =
        command("").replace(r#"(memory (export "memory") 1)"#, r#"(memory 1) (memory 1) (memory (export "other") 1)"#);
    let linked = link(&program, &all()).unwrap();
    let facts = Facts::of(&linked.bytes);
    assert_eq!(facts.memories, 4);
    assert!(facts.exports.contains(&"memory = Memory 0".into()));
    assert!(facts.exports.contains(&"other = Memory 2".into()));
    assert!(facts.exports.contains(&"weir_memory = Memory 3".into()));

    let program = command("").replace(r#"(memory (export "memory") 1)"#, "");
    let linked = link(&program, &all()).unwrap();
    assert!(linked.report.memory_added);
    assert_eq!(Facts::of(&linked.bytes).memories, 2);
}

#[test]
fn memories_that_cannot_be_used_are_refused() {
    let check = |memory: &str, expected: MemoryProblem| {
        let error = link(&command("").replace(r#"(memory (export "memory") 1)"#, memory), &all()).unwrap_err();
        assert!(matches!(error.kind(), LinkErrorKind::Memory { problem } if *problem == expected), "{error}");
    };
    check(r#"(import "env" "memory" (memory 1))"#, MemoryProblem::Imported);
    check(r#"(memory (export "memory") 1 1 shared)"#, MemoryProblem::Shared);
    check(r#"(memory (export "memory") i64 1)"#, MemoryProblem::Wide);
    check(r#"(memory (export "memory") 1 (pagesize 1))"#, MemoryProblem::PageSize);
}

#[test]
fn taken_export_names_are_refused() {
    let check = |program: String, taken: &str| {
        let error = link(&program, &LinkOptions { exit: Exit::Unwind, ..all() }).unwrap_err();
        assert!(matches!(error.kind(), LinkErrorKind::ExportTaken { name, .. } if name == taken), "{error}");
    };
    check(
        command("").replace(r#"(memory (export "memory") 1)"#, r#"(memory 1) (memory (export "memory") 1)"#),
        "memory",
    );
    check(
        command("")
            .replace(r#"(memory (export "memory") 1)"#, r#"(memory 1) (global (export "memory") i32 (i32.const 0))"#),
        "memory",
    );
    check(command("").replace("$open (result", r#"$open (export "weir_sync") (result"#), "weir_sync");
    check(command("").replace("$open (result", r#"$open (export "weir_memory") (result"#), "weir_memory");
    check(command("").replace("$open (result", r#"$open (export "weir_exit") (result"#), EXIT_GLOBAL);
}

#[test]
fn wrong_imports_are_refused() {
    let check = |import: &str, expected: &str| {
        let error = link(&command(import), &all()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        error
    };
    let error = check(
        r#"(import "wasi_snapshot_preview1" "fd_read" (func (param i32 i64) (result i32)))"#,
        "`wasi_snapshot_preview1.fd_read` with type (i32, i64) -> (i32), but its type is (i32, i32, i32, i32) -> (i32)",
    );
    assert!(error.offset().is_some());
    check(r#"(import "wasi_snapshot_preview1" "sock_open" (func (param i32)))"#, "which WASI 0.1 does not have");
    check(
        r#"(import "wasi_unstable" "sock_accept" (func (param i32 i32 i32) (result i32)))"#,
        "which WASI 0.1 does not have",
    );
    check(r#"(import "wasi_snapshot_preview1" "fd_read" (global i32))"#, "not as a function");
    check(r#"(import "weir" "blob_read" (func))"#, "weir's own");
    check(r#"(import "weir_hostdir" "path_open" (func))"#, "weir's own");
    check(r#"(import "weir:program" "load32" (func))"#, "weir's own");
}

#[test]
fn what_is_no_program_is_named() {
    let shim = wasm(SHIM);
    let check = |bytes: &[u8], expected: &str| {
        let error = link_with_shim(bytes, &shim, &all()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(b"", "it is empty");
    check(b"\x7fELF....", "ELF");
    check(b"  (module)", "WebAssembly text");
    check(b"hello", "something else");
    check(&wasm("(component)"), "component");
    check(b"\0asm\x02\0\0\0", "version");
    check(&wasm(r#"(module (import "env" "__linear_memory" (memory 1)) (@custom "linking" "\02"))"#), "object file");
    let error = link_with_shim(&wasm("(component)"), &shim, &all()).unwrap_err();
    assert!(error.is_component());
}

#[test]
fn custom_sections_are_kept_or_dropped_with_a_reason() {
    let customs = r#"
      (@custom ".debug_info" "x") (@custom "sourceMappingURL" "x") (@custom "reloc.CODE" "x")
      (@custom "producers" "\00") (@custom "target_features" "\00") (@custom "own" "data")"#;
    let linked = link(&command("").replace("(memory", &format!("{customs} (memory")), &all()).unwrap();
    let facts = Facts::of(&linked.bytes);
    assert_eq!(facts.customs, ["producers", "target_features", "own", "name"]);
    let dropped: Vec<&str> = linked.report.dropped.iter().map(|section| section.name.as_str()).collect();
    assert_eq!(dropped, [".debug_info", "sourceMappingURL", "reloc.CODE"]);
}

#[test]
fn a_damaged_name_section_does_not_hinder() {
    let program = command("").replace("(module $program", r#"(module (@custom "name" "\01\ff")"#);
    let linked = link(&program, &all()).unwrap();
    assert_eq!(linked.report.dropped[0].name, "name");
    assert!(Facts::of(&linked.bytes).names.iter().any(|(_, name)| name == "weir:path_open"));
}

#[test]
fn traced_calls_are_reported() {
    let program = command(
        r#"(import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
           (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
           (func $f (export "f") i32.const 0 i64.const 0 i32.const 0 call $clock call $exit)"#,
    );
    let program = sort_imports(&program);
    let linked = link(&program, &LinkOptions { trace: true, control: false, ..all() }).unwrap();
    assert!(linked.report.traced);
    let facts = Facts::of(&linked.bytes);
    assert!(facts.imports.contains(&"weir.trace".into()));
    assert!(facts.code_of("open").ends_with("call weir:trace path_open; End"));
    let code = facts.code_of("weir:trace clock_time_get");
    assert!(code.contains("call clock; LocalSet { local_index: 3 }; I32Const { value: 5 }; LocalGet { local_index: 0 }; I64ExtendI32U; LocalGet { local_index: 1 }; LocalGet { local_index: 2 }; I64ExtendI32U; I64Const { value: 0 }"), "{code}");
    let code = facts.code_of("weir:trace proc_exit");
    assert!(code.starts_with("I32Const { value: 38 }"), "{code}");
    assert!(code.ends_with("LocalGet { local_index: 0 }; call exit; End"), "{code}");

    let alone = r#"(module (import "wasi_snapshot_preview1" "sched_yield" (func $y (result i32)))
      (func $f (export "_start") call $y drop))"#;
    let linked = link(alone, &LinkOptions { trace: true, ..all() }).unwrap();
    assert!(!linked.report.shim_linked && linked.report.changed);
    assert!(Facts::of(&linked.bytes).code_of("f").starts_with("call weir:trace sched_yield"));
}

/// Text has imports first.
fn sort_imports(program: &str) -> String {
    let (function, rest) = program.split_once("(func $f ").unwrap();
    let (body, rest) = rest.split_once("\n").unwrap();
    format!("{function}{}", rest.replace("(func $main", &format!("(func $f {body}\n(func $main")))
}

#[test]
fn an_exit_unwinds_to_the_entry() {
    let program = include_str!("programs/exits.wat");
    let linked = link(program, &LinkOptions { exit: Exit::Unwind, ..all() }).unwrap();
    let unwind = linked.report.unwind.clone().unwrap();
    assert_eq!(unwind.wrapped, ["_start", "helper", "the start function"]);
    assert_eq!(unwind.unwrapped, ["strict"]);
    assert!(unwind.catches_all);
    let facts = Facts::of(&linked.bytes);
    assert!(facts.imports.is_empty());
    assert_eq!(
        facts.exports,
        ["_start = weir:entry _start", "helper = weir:entry helper", "strict = strict", "weir_exit = Global 0"]
    );
    assert_eq!(facts.start.as_deref(), Some("weir:entry _start"));
    assert_eq!(facts.code_of("main"), "I32Const { value: 3 }; call weir:exit; End");

    // With files besides.
    let exit = r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;
    let linked = link(&command(exit), &LinkOptions { exit: Exit::Unwind, trace: true, ..all() }).unwrap();
    let facts = Facts::of(&linked.bytes);
    assert!(!facts.imports.iter().any(|import| import.ends_with("proc_exit")));
    assert!(facts.code_of("weir:weir_sync").ends_with("call weir:exit; End"));
    assert!(facts.code_of("weir:trace proc_exit").ends_with("call weir:exit; End"));
}

#[test]
fn indices_beyond_the_program_do_not_reach_the_shim() {
    // Valid but for one index that exists only after linking.
    let shim = wasm(SHIM);
    for (instruction, what) in [
        ("i32.const 0 i32.load 1 drop", "memory"),
        ("global.get 0 drop", "global"),
        ("call 3", "function"),
        ("ref.func 4 drop", "function"),
        ("i32.const 0 call_indirect 0 (type 0)", "table"),
        ("data.drop 0", "data segment"),
        ("elem.drop 0", "element segment"),
        ("throw 0", "tag"),
        ("block (type 9) end", "type"),
        ("ref.null 9 drop", "type"),
        ("memory.copy 0 1", "memory"),
    ] {
        let program = wasm(&command("").replace("call $open drop", &format!("call $open drop {instruction}")));
        let error = weir_link::link_unvalidated_with_shim(&program, &shim, &all()).unwrap_err();
        assert!(error.to_string().contains(&format!("{what} index")), "{instruction}: {error}");
        assert!(validate(&program).is_err());
    }
}

#[test]
fn broken_shims_are_faults_of_weir() {
    let program = wasm(&command(""));
    for shim in [
        "(module)",
        r#"(module (memory (export "memory") 1) (func (export "path_open")))"#,
        r#"(module (import "env" "f" (func)) (memory (export "memory") 1) (func $s) (start $s))"#,
        r#"(module (memory (export "memory") 1) (tag))"#,
    ] {
        let error = link_with_shim(&program, &wasm(shim), &all()).unwrap_err();
        assert!(error.is_internal(), "{error}");
    }
    assert!(link_with_shim(&program, b"\0asm", &all()).unwrap_err().is_internal());
}
