//! A reactor: a core module that keeps its state from call to call, takes pointers into its memory, and calls its host back.
//! That is the shape of interpreters that are embedded, such as CPython with `run(source)` and one imported callback.
//!
//! `cargo run -p weir --example reactor`

use std::error::Error;
use weir::{Grants, Kind, Limits, Value, Weir};

/// Adds up what it is given, and reports each word to its host.
const REACTOR: &str = r#"(module
  (import "embedder" "report" (func $report (param i32 i32 i64) (result i32)))
  (memory (export "memory") 1)
  (global $sum (mut i64) (i64.const 0))
  (func (export "_initialize") (global.set $sum (i64.const 100)))
  (func (export "alloc") (param i32) (result i32) (i32.const 4096))
  (func (export "run") (param $at i32) (param $len i32) (param $value i64) (result i64)
    (global.set $sum (i64.add (global.get $sum) (local.get $value)))
    (if (call $report (local.get $at) (local.get $len) (global.get $sum)) (then unreachable))
    (global.get $sum)))"#;

fn main() -> Result<(), Box<dyn Error>> {
    let grants = Grants::new().raw_function("embedder", "report", |caller, args| {
        let [Value::S32(at), Value::S32(len), Value::S64(sum)] = args else {
            return Err(weir::Error::new(Kind::Grant, "report takes a pointer, a length and a sum"));
        };
        // What a guest says of its memory is checked by whoever believes it.
        let (at, len) = (*at as u32 as usize, *len as u32 as usize);
        let word = caller.memory().get(at..at.saturating_add(len));
        let word = word.ok_or_else(|| weir::Error::new(Kind::Trap, "report was given a pointer outside the memory"))?;
        println!("{} makes {sum}", String::from_utf8_lossy(word));
        Ok(vec![Value::S32(0)])
    });
    let limits = Limits { memory_max: 1 << 20, ..Limits::default() };
    let mut reactor = Weir::new().open_bytes("reactor.wat", REACTOR)?.instance(grants, limits)?;
    for (word, value) in [("seven", 7i64), ("eleven", 11)] {
        let at: i32 = reactor.call("alloc", (word.len() as i32,))?;
        reactor.memory()?[at as usize..][..word.len()].copy_from_slice(word.as_bytes());
        let sum: i64 = reactor.call("run", (at, word.len() as i32, value))?;
        println!("the reactor has {sum}");
    }
    println!("it holds {} bytes", reactor.usage().memory_bytes);
    println!("{}", reactor.call::<i64>("run", (i32::MAX, 1i32, 0i64)).unwrap_err());
    Ok(())
}
