//! A plug-in that misbehaves in every way that a limit names, and a host that is told which one it was.
//!
//! `cargo run -p weir --example limits`

use std::error::Error;
use std::time::Duration;
use weir::{Grants, Input, Kind, Limits, Output, Weir, pipe};

fn program(body: &str) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1) (table $t 1 funcref)
          (data (i32.const 0) "\40\00\00\00\00\04\00\00")
          (func $start (export "_start") {body}))"#
    )
}

fn main() -> Result<(), Box<dyn Error>> {
    let weir = Weir::new();
    let default = Limits::default;
    let (silence, never) = pipe(16);
    let all: [(&str, &str, Limits, Grants); 8] = [
        (
            "computes",
            "(loop $l (br $l))",
            Limits { time_max: Some(Duration::from_millis(50)), ..default() },
            Grants::new(),
        ),
        ("counts", "(loop $l (br $l))", Limits { fuel_max: Some(1_000_000), ..default() }, Grants::new()),
        (
            "waits",
            "(drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))",
            Limits { time_max: Some(Duration::from_millis(50)), ..default() },
            Grants::new().stdin(never),
        ),
        (
            "grows",
            "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable",
            Limits { memory_max: 4 << 20, ..default() },
            Grants::new(),
        ),
        (
            "fills a table",
            "(drop (table.grow $t (ref.null func) (i32.const 1000000))) unreachable",
            Limits { table_elements_max: 1000, ..default() },
            Grants::new(),
        ),
        (
            "floods",
            "(loop $l (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))) (br $l))",
            Limits { output_max: Some(100_000), ..default() },
            Grants::new().stdout(Output::Discard),
        ),
        ("recurses", "(call $start)", Limits { stack_max: 1 << 20, ..default() }, Grants::new()),
        ("traps", "unreachable", default(), Grants::new().stdin(Input::Empty)),
    ];
    for (what, body, limits, grants) in all {
        let error = weir.open_bytes(what, program(body))?.run(grants, limits).err().ok_or("it ended well")?;
        let whose = match error.kind() {
            Kind::Limit => "limit",
            Kind::Trap => "trap",
            _ => "other",
        };
        let first = error.to_string();
        let limit = error.limit().map_or(String::new(), |limit| format!(" [{limit}]"));
        println!("{what:<14} {whose:<6} {}{limit}", first.lines().next().unwrap_or_default());
    }
    drop(silence);
    Ok(())
}
