//! Inspection: text programs in, what they can reach out.

mod common;

use common::wasm;
use weir_link::{ComponentKind, Inspection, Kind, inspect};
use weir_types::grants::Tier;

fn check(text: &str) -> Inspection {
    inspect(&wasm(text)).unwrap()
}

/// The imports that can be reached, with what they reach.
fn reached(inspection: &Inspection) -> Vec<String> {
    let reachable = inspection.imports.iter().filter(|import| import.reachable);
    reachable.map(|import| format!("{}: {}", import.reach.name(), import.name)).collect()
}

const IMPORTS: &str = r#"
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;

const OPEN: &str = r#"(func $open
    i32.const 3 i32.const 0 i32.const 8 i32.const 4 i32.const 0 i64.const 0 i64.const 0 i32.const 0 i32.const 64
    call $path_open drop)"#;

#[test]
fn only_reachable_imports_count() {
    let inspection = check(&format!(
        r#"(module {IMPORTS} (memory (export "memory") 1) {OPEN}
          (data (i32.const 0) "/etc/config.toml\00hello")
          (func $main (export "_start") i32.const 3 i32.const 0 call $prestat drop i32.const 1 call $exit))"#
    ));
    assert_eq!(inspection.kind, Kind::CoreCommand);
    assert_eq!(inspection.wasi, ["0.1"]);
    assert_eq!(reached(&inspection), ["files: fd_prestat_get", "process: proc_exit"]);
    assert_eq!(inspection.verdict.tier, Tier::Pure);
    assert_eq!((inspection.functions, inspection.reachable_functions), (2, 1));
    assert_eq!(inspection.paths[0].text, "/etc/config.toml");
    assert_eq!(inspection.entry_points, ["_start"]);

    let inspection = check(&format!(r#"(module {IMPORTS} {OPEN} (func (export "_start") call $open))"#));
    assert_eq!(inspection.verdict.tier, Tier::Virtual);
    assert_eq!(inspection.verdict.forced_by, ["wasi_snapshot_preview1.path_open"]);
}

#[test]
fn calls_through_tables_reach_functions_of_their_type() {
    let tier = |rest: &str| {
        let types = "(type $none (func)) (type $one (func (param i32)))";
        check(&format!("(module {IMPORTS} {types} {OPEN} {rest})")).verdict.tier
    };
    let called = tier(
        r#"(table 2 funcref) (elem (i32.const 0) $open)
          (func (export "_start") i32.const 0 call_indirect (type $none))"#,
    );
    assert_eq!(called, Tier::Virtual);
    let of_another_type = tier(
        r#"(table 2 funcref) (elem (i32.const 0) $open)
          (func (export "_start") i32.const 0 i32.const 0 call_indirect (type $one))"#,
    );
    assert_eq!(of_another_type, Tier::Pure);
    // Named only in a function that is itself called through the table.
    let later = tier(
        r#"(table 2 funcref) (elem (i32.const 0) $step) (elem declare func $open)
          (func $step (param i32) i32.const 0 ref.func $open table.set 0 i32.const 0 call_indirect (type $none))
          (func (export "_start") i32.const 0 i32.const 0 call_indirect (type $one))"#,
    );
    assert_eq!(later, Tier::Virtual);
    // Whoever gets the table can call what is in it.
    let exported = tier(r#"(table (export "t") 2 funcref) (elem (i32.const 0) $open) (func (export "_start"))"#);
    assert_eq!(exported, Tier::Virtual);
}

#[test]
fn kinds_are_told_apart() {
    assert_eq!(check(r#"(module (func (export "_initialize")) (func (export "f")))"#).kind, Kind::CoreReactor);
    assert_eq!(check(r#"(module (func (export "f")))"#).kind, Kind::CoreLibrary);
    assert_eq!(check(r#"(module (@custom "linking" "\02"))"#).kind, Kind::ObjectFile);
    assert_eq!(check("(component)").kind, Kind::Component(ComponentKind::Library));
    assert!(inspect(b"#!/bin/sh").unwrap_err().to_string().contains("not a WebAssembly binary"));
    assert!(inspect(&wasm("(module (func))")[..12]).unwrap_err().offset() > 0);
}

#[test]
fn components_report_interfaces_and_their_reachable_functions() {
    let component = |main: &str| {
        format!(
            r#"(component
              (import "wasi:filesystem/types@0.2.6" (instance $files
                (export "open" (func (param "x" u32)))))
              (import "wasi:clocks/wall-clock@0.2.6" (instance $clock (export "now" (func))))
              (import "wasi:random/random@0.2.6" (instance (export "get" (func))))
              (import "wasi:io/error@0.2.6" (instance (export "error" (type (sub resource)))))
              (import "wasi:filesystem/types@0.3.0" (instance))
              (core module $main
                (import "wasi:filesystem/types@0.2.0" "open" (func $open (param i32)))
                (import "wasi:clocks/wall-clock@0.2.6" "now" (func $now))
                (func (export "run") {main}))
              (core func $open (canon lower (func $files "open")))
              (core func $now (canon lower (func $clock "now")))
              (core instance $i (instantiate $main
                (with "wasi:filesystem/types@0.2.0" (instance (export "open" (func $open))))
                (with "wasi:clocks/wall-clock@0.2.6" (instance (export "now" (func $now))))))
              (func $run (canon lift (core func $i "run")))
              (instance $cli (export "run" (func $run)))
              (export "wasi:cli/run@0.2.6" (instance $cli)))"#
        )
    };
    let inspection = check(&component("call $now"));
    assert_eq!(inspection.kind, Kind::Component(ComponentKind::Command));
    assert_eq!(inspection.wasi, ["0.2.6", "0.3.0"]);
    assert_eq!(reached(&inspection), ["clock: now", "random: *"]);
    assert_eq!(inspection.verdict.tier, Tier::Pure);
    let inspection = check(&component("i32.const 0 call $open"));
    assert_eq!(inspection.verdict.tier, Tier::Virtual);
    assert_eq!(inspection.verdict.forced_by, ["wasi:filesystem/types@0.2.6.open"]);
}

#[test]
fn an_adapter_counts_for_what_it_is_asked() {
    let component = |main: &str| {
        format!(
            r#"(component
              (import "wasi:filesystem/types@0.2.6" (instance $files (export "open" (func (param "x" u32)))))
              (core module $main
                (import "wasi_snapshot_preview1" "path_open" (func $open))
                (import "wasi_snapshot_preview1" "fd_write" (func $write))
                (func (export "run") {main}))
              (core module $adapter
                (import "wasi:filesystem/types@0.2.6" "open" (func $open (param i32)))
                (func (export "path_open") i32.const 0 call $open)
                (func (export "fd_write")))
              (core func $open (canon lower (func $files "open")))
              (core instance $a (instantiate $adapter
                (with "wasi:filesystem/types@0.2.6" (instance (export "open" (func $open))))))
              (core instance $i (instantiate $main (with "wasi_snapshot_preview1" (instance $a))))
              (func $run (canon lift (core func $i "run")))
              (export "run" (func $run)))"#
        )
    };
    let inspection = check(&component("call $write"));
    assert_eq!((inspection.verdict.tier, inspection.modules), (Tier::Pure, 2));
    assert!(reached(&inspection).is_empty());
    let inspection = check(&component("call $open"));
    assert_eq!(inspection.verdict.forced_by, ["wasi_snapshot_preview1.path_open"]);
}
