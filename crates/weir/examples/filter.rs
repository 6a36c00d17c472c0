//! A text filter: a third party's program reads a stream and writes one, and has nothing else. Here it turns letters into
//! capitals; any program that reads stdin and writes stdout will do.
//!
//! `cargo run -p weir --example filter [PROGRAM]`

use std::error::Error;
use weir::{Grants, Input, Limits, Output, Weir};

/// Reads up to 1 KiB at a time and turns a to z into A to Z.
const CAPITALS: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $at i32) (local $end i32)
    (loop $more
      (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 1024))
      (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then (return)))
      (if (i32.eqz (i32.load (i32.const 8))) (then (return)))
      (local.set $at (i32.const 64))
      (local.set $end (i32.add (i32.const 64) (i32.load (i32.const 8))))
      (loop $next
        (if (i32.lt_u (i32.sub (i32.load8_u (local.get $at)) (i32.const 97)) (i32.const 26))
          (then (i32.store8 (local.get $at) (i32.sub (i32.load8_u (local.get $at)) (i32.const 32)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
      (i32.store (i32.const 4) (i32.load (i32.const 8)))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br $more))))"#;

fn main() -> Result<(), Box<dyn Error>> {
    let weir = Weir::new();
    let program = match std::env::args().nth(1) {
        Some(path) => weir.open(path)?,
        None => weir.open_bytes("capitals.wat", CAPITALS)?,
    };
    for text in ["streams, arrays", "and strings"] {
        let (stdout, written) = Output::memory(1 << 20);
        let grants = Grants::new().args(["filter"]).stdin(Input::bytes(text)).stdout(stdout);
        let outcome = program.run(grants, Limits::default())?;
        println!("{} (exit code {})", String::from_utf8_lossy(&written.take()), outcome.exit_code);
    }
    Ok(())
}
