//! A plug-in with typed functions in both directions: the host calls `greet` of the plug-in with a record, and the plug-in
//! calls `log` of the host meanwhile.
//!
//! `cargo run -p weir --example plugin`

use std::error::Error;
use std::sync::{Arc, Mutex};
use weir::{Grants, Limits, Weir};

weir::record! {
    /// Whom to greet.
    struct Person {
        name: String,
        times: u32,
    }
}

/// What a toolchain makes of `greet: func(person: person) -> string` and an import `acme:host/log#log: func(line: string)`.
const PLUGIN: &str = r#"(component
  (import "acme:host/log@1.0.0" (instance $log (export "log" (func (param "line" string)))))
  (type $person' (record (field "name" string) (field "times" u32)))
  (export $person "person" (type $person'))
  (core module $libc
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core module $plugin
    (import "host" "log" (func $log (param i32 i32)))
    (import "libc" "memory" (memory 1))
    (import "libc" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
    (data (i32.const 16) "somebody is greeted")
    (func (export "greet") (param $name i32) (param $len i32) (param $times i32) (result i32) (local $at i32) (local $out i32)
      (call $log (i32.const 16) (i32.const 19))
      (local.set $out (call $realloc (i32.const 0) (i32.const 0) (i32.const 1)
        (i32.mul (local.get $times) (i32.add (local.get $len) (i32.const 1)))))
      (i32.store (i32.const 0) (local.get $out))
      (i32.store (i32.const 4) (i32.mul (local.get $times) (i32.add (local.get $len) (i32.const 1))))
      (loop $again
        (if (i32.lt_u (local.get $at) (local.get $times)) (then
          (memory.copy (local.get $out) (local.get $name) (local.get $len))
          (i32.store8 (i32.add (local.get $out) (local.get $len)) (i32.const 33))
          (local.set $out (i32.add (local.get $out) (i32.add (local.get $len) (i32.const 1))))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $again))))
      (i32.const 0)))
  (core instance $libc (instantiate $libc))
  (core func $log (canon lower (func $log "log") (memory $libc "memory")))
  (core instance $host (export "log" (func $log)))
  (core instance $plugin (instantiate $plugin (with "host" (instance $host)) (with "libc" (instance $libc))))
  (func (export "greet") (param "person" $person) (result string)
    (canon lift (core func $plugin "greet") (memory $libc "memory") (realloc (func $libc "realloc")))))"#;

fn main() -> Result<(), Box<dyn Error>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = lines.clone();
    let grants = Grants::new().function("acme:host/log@1.0.0", "log", move |(line,): (String,)| {
        log.lock().unwrap().push(line);
        Ok(())
    });
    let mut plugin = Weir::new().open_bytes("plugin.wat", PLUGIN)?.instance(grants, Limits::default())?;
    for (name, times) in [("Ada", 2), ("Grace", 1)] {
        let greeting: String = plugin.call("greet", (Person { name: name.into(), times },))?;
        println!("{greeting}");
    }
    println!("the plug-in said: {}", lines.lock().unwrap().join(", "));
    // Another type than the plug-in's is an error that says so, and the plug-in goes on.
    println!("{}", plugin.call::<String>("greet", ("Ada",)).unwrap_err());
    Ok(())
}
