//! Functions called many times: no call sees what another one left, whatever that one did.

use proptest::prelude::*;
use std::sync::{Mutex, MutexGuard, PoisonError};
use weir_engine::{KeptFunction, Kind, LiftedFunction, LiftedInstance, Limit, Program, Value};
use weir_link::lift::{Binding, lift};
use weir_types::limits::Limits;

/// Does what the first letter of its stdin says: `p` prints what it keeps in memory and in a global, which a second
/// run in the same instance would have changed; `e` exits with 7; `t` traps; `g` takes memory and traps; `b` takes memory
/// and leaves it full. Before that everything is changed that can be: tables, segments, variables that hold functions.
const PROGRAM: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "\20\00\00\00\01\00\00\00")
  (data (i32.const 8) "\40\00\00\00\09\00\00\00")
  (data (i32.const 64) "000")
  (data $late "0")
  (global $first i32 (i32.const 48))
  (global $count (mut i32) (i32.const 0))
  (global $holds (mut funcref) (ref.func $zero))
  (table $table 4 funcref)
  (table $other 2 funcref (ref.func $zero))
  (elem $of_table (table $table) (i32.const 1) func $zero $zero)
  (elem (table $other) (offset (i32.const 0)) funcref (ref.func $zero))
  (elem $late_functions func $one)
  (type $number (func (result i32)))
  (func $zero (type $number) (global.get $first))
  (func $one (type $number) (i32.const 49))
  (start $begin)
  (func $begin (i32.store8 (i32.const 80) (i32.add (i32.load8_u (i32.const 80)) (i32.const 48))))
  ;; What tables, a start function and segments of its own show, as the fourth to the eighth character.
  (func $touch
    (i32.store8 (i32.const 67) (call_indirect $table (type $number) (i32.const 2)))
    (i32.store8 (i32.const 68) (call_indirect $other (type $number) (i32.const 1)))
    (i32.store8 (i32.const 69) (i32.load8_u (i32.const 80)))
    (i32.store8 (i32.const 70) (i32.add (i32.const 48) (i32.add
      (ref.is_null (table.get $table (i32.const 3))) (ref.is_null (global.get $holds)))))
    (memory.init $late (i32.const 71) (i32.const 0) (i32.const 1))
    (data.drop $late)
    (table.init $table $late_functions (i32.const 2) (i32.const 0) (i32.const 1))
    (table.init $table $late_functions (i32.const 3) (i32.const 0) (i32.const 1))
    (elem.drop $late_functions)
    (table.set $other (i32.const 1) (ref.func $one))
    (global.set $holds (ref.null func))
    (i32.store8 (i32.const 80) (i32.const 0)))
  (func $is (param $letter i32) (result i32) (i32.eq (i32.load8_u (i32.const 32)) (local.get $letter)))
  (func (export "_start")
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 48)))
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (i32.store8 (i32.const 64) (i32.add (i32.load8_u (i32.const 64)) (i32.const 1)))
    (i32.store8 (i32.const 65) (i32.add (i32.const 48) (global.get $count)))
    (i32.store8 (i32.const 66) (i32.add (i32.const 48) (memory.size)))
    (call $touch)
    (i32.store8 (i32.const 72) (i32.add (i32.const 48) (i32.load8_u (i32.const 65536))))
    (if (call $is (i32.const 98)) (then
      (drop (memory.grow (i32.const 20)))
      (memory.fill (i32.const 65536) (i32.const 7) (i32.const 1310720))))
    (if (call $is (i32.const 101)) (then (call $exit (i32.const 7))))
    (if (call $is (i32.const 103)) (then
      (drop (memory.grow (i32.const 100)))
      (memory.fill (i32.const 65536) (i32.const 7) (i32.const 6553600))
      (unreachable)))
    (if (call $is (i32.const 116)) (then (unreachable)))
    (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 48)))))"#;

const BINDING: &str = "program = \"p\"\nexport = \"f: func(what: string) -> result<string, failure>\"\n\
                       stdin = \"what\"\nstdout = \"result\"\n";

/// Calls in a row. The issue of memory is one of growth, so there have to be many.
const CALLS: usize = 10_000;

fn lifted() -> Program {
    let program = Program::from_bytes("program.wat", PROGRAM.into()).unwrap();
    let lifted = lift(program.bytes().unwrap(), &Binding::parse(BINDING).unwrap()).unwrap();
    Program::from_bytes("lifted.wasm", lifted.bytes).unwrap()
}

fn function() -> LiftedFunction {
    LiftedFunction::load(&lifted(), Some("f"), &Limits::default(), None, weir_testkit::once).unwrap()
}

/// One test at a time: what others compile meanwhile would count as memory that calls leave behind.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a call gives, in words.
fn call(function: &LiftedFunction, what: &str) -> String {
    match function.call([Value::String(what.into())]) {
        Ok(Some(value)) => weir_engine::wave::show(&value),
        Ok(None) => "nothing".into(),
        Err(error) => {
            assert_eq!(error.kind(), Kind::Trap, "{error}");
            "trap".into()
        }
    }
}

/// Bytes that this process holds in memory.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn no_call_sees_another_one() {
    let _alone = alone();
    let function = function();
    let right = [
        ("p", "ok(\"112000100\")"),
        ("e", "err({exit-code: 7, message: \"the program ended with exit code 7\", stderr: \"\"})"),
        ("t", "trap"),
        ("g", "trap"),
    ];
    let round = |number: usize| {
        let (what, expected) = right[(number * 7 + number / 5) % right.len()];
        assert_eq!(call(&function, what), expected, "call {number}, {what}");
    };
    (0..CALLS / 10).for_each(round);
    let before = resident();
    (0..CALLS).for_each(round);
    let grown = resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{CALLS} calls left {grown} bytes behind");
}

#[test]
fn every_order_of_two_calls_gives_the_same() {
    let _alone = alone();
    for first in ["p", "e", "t", "g"] {
        for second in ["p", "e", "t", "g"] {
            let used = function();
            let _ = call(&used, first);
            assert_eq!(call(&used, second), call(&function(), second), "{first} then {second}");
        }
    }
}

/// What a call of a kept instance gives, in words.
fn call_kept(instance: &mut LiftedInstance, what: &str) -> String {
    match instance.call([Value::String(what.into())]) {
        Ok(Some(value)) => weir_engine::wave::show(&value),
        Ok(None) => "nothing".into(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

#[test]
fn an_instance_puts_itself_back_between_calls() {
    let _alone = alone();
    let (fresh, kept) =
        (function(), KeptFunction::load(&lifted(), None, &Limits::default(), None, weir_engine::as_it_is).unwrap());
    let mut instance = kept.instance().unwrap();
    let kinds = ["p", "e", "b", "b"];
    // Every order of three, several times over.
    for number in 0..kinds.len().pow(4) {
        let what = kinds[(number / [1, 4, 16, 64][number % 4]) % 4];
        assert_eq!(call_kept(&mut instance, what), call(&fresh, what), "call {number}, {what}");
    }
}

#[test]
fn an_instance_that_trapped_is_lost_and_the_next_one_is_not() {
    let _alone = alone();
    let kept = KeptFunction::load(&lifted(), None, &Limits::default(), None, weir_engine::as_it_is).unwrap();
    for trap in ["t", "g"] {
        let mut instance = kept.instance().unwrap();
        assert_eq!(call_kept(&mut instance, "b"), call(&function(), "b"));
        assert_eq!(call_kept(&mut instance, trap), "Trap");
        assert_ne!(call_kept(&mut instance, "p"), call(&function(), "p"));
        assert_eq!(call_kept(&mut kept.instance().unwrap(), "p"), call(&function(), "p"));
    }
}

#[test]
fn calls_from_several_threads() {
    let _alone = alone();
    let function = function();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..200).for_each(|_| assert_eq!(call(&function, "p"), "ok(\"112000100\")")));
        }
    });
}

#[test]
fn limits_hold() {
    let _alone = alone();
    let limits = Limits { memory_max: 1 << 18, ..Limits::default() };
    let small = LiftedFunction::load(&lifted(), Some("f"), &limits, None, weir_testkit::once).unwrap();
    let error = small.call([Value::String("p".into())]).unwrap_err();
    assert_eq!(error.kind(), Kind::Limit, "{error}");
    let limits = Limits { result_bytes_max: 5, ..Limits::default() };
    let short = LiftedFunction::load(&lifted(), Some("f"), &limits, None, weir_testkit::once).unwrap();
    let error = short.call([Value::String("p".into())]).unwrap_err();
    assert_eq!(error.kind(), Kind::Limit, "{error}");
    assert_eq!(error.limit(), Some(&Limit::Result { most: 5 }), "{error}");
}

/// A function with parameters of many types.
const MANY: &str = "program = \"p\"\ntypes = \"record r { x: u8, y: v } variant v { a(u64), b(f32), c } flags g { s, t }\"\n\
    export = \"f: func(a: string, b: option<s8>, c: list<tuple<string, list<u8>>>, d: r, e: result<char, bool>, h: g) \
    -> result<string, failure>\"\nstdout = \"result\"\n";

fn many() -> LiftedFunction {
    let program = Program::from_bytes("program.wat", PROGRAM.into()).unwrap();
    let lifted = lift(program.bytes().unwrap(), &Binding::parse(MANY).unwrap()).unwrap();
    let program = Program::from_bytes("many.wasm", lifted.bytes).unwrap();
    LiftedFunction::load(&program, None, &Limits::default(), None, weir_testkit::once).unwrap()
}

/// A call with arguments of every kind.
const CALL: &str =
    r#"f(a: "p\u{e4}", b: -3, c: [("x", [1, 2]), ("y", @file)], d: {x: 1, y: a(5)}, e: ok('c'), h: {s, t})"#;

#[test]
fn arguments_of_every_kind_are_read_and_shown() {
    let _alone = alone();
    let function = many();
    let values = weir_engine::wave::arguments(CALL, function.params(), &mut |_| Ok(vec![9])).unwrap();
    let shown: Vec<String> = values.iter().map(weir_engine::wave::show).collect();
    let right = ["\"p\u{e4}\"", "some(-3)", "[(\"x\", [1, 2]), (\"y\", [9])]", "{x: 1, y: a(5)}", "ok('c')", "{s, t}"];
    assert_eq!(shown, right);
    let again = format!("f({})", shown.join(", "));
    let again = weir_engine::wave::arguments(&again, function.params(), &mut |_| Ok(Vec::new())).unwrap();
    assert_eq!(again, values);
    assert_eq!(weir_engine::wave::show(&function.call(values.clone()).unwrap().unwrap()), "ok(\"112000100\")");
}

/// A command for WASI 0.2, as compilers make it, without its adapter: prints its first argument; with three it asks for
/// what nobody gives, with four it fails.
const OF_P2: &str = r#"(component (core module
  (import "wasi:cli/environment@0.2.6" "get-arguments" (func $args (param i32)))
  (import "wasi:cli/environment@0.2.6" "get-environment" (func $environment (param i32)))
  (import "wasi:cli/exit@0.2.6" "exit" (func $exit (param i32)))
  (import "wasi:random/random@0.2.6" "get-random-bytes" (func $random (param i64 i32)))
  (import "wasi:clocks/wall-clock@0.2.6" "now" (func $now (param i32)))
  (import "wasi:sockets/network@0.2.6" "[resource-drop]network" (func $network (param i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 1024))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $next)
    (global.set $next (i32.and (i32.add (i32.add (global.get $next) (local.get 3)) (i32.const 7)) (i32.const -8))))
  (func (export "_start")
    (call $args (i32.const 0))
    (drop (call $write (i32.const 1) (i32.add (i32.load (i32.const 0)) (i32.const 8)) (i32.const 1) (i32.const 32)))
    (call $environment (i32.const 16))
    (drop (call $write (i32.const 1) (i32.load (i32.const 16)) (i32.const 2) (i32.const 32)))
    (call $random (i64.const 9) (i32.const 40))
    (if (i32.ne (i32.load (i32.const 44)) (i32.const 9)) (then (unreachable)))
    (call $now (i32.const 48))
    (if (i64.ne (i64.load (i32.const 48)) (i64.const 0)) (then (unreachable)))
    (if (i32.eq (i32.load (i32.const 4)) (i32.const 3)) (then (call $network (i32.const 1))))
    (if (i32.eq (i32.load (i32.const 4)) (i32.const 4)) (then (call $exit (i32.const 1)))))))"#;

#[test]
fn a_command_for_wasi_0_2_is_lifted_without_its_adapter() {
    let _alone = alone();
    let program = Program::from_bytes("p2.wat", OF_P2.into()).unwrap();
    let binding = "program = \"p\"\nexport = \"f: func(words: list<string>) -> result<string, failure>\"\n\
                   argv = [\"p\", { each = \"words\", then = [\"{}\"] }]\nstdout = \"result\"\npinned = true\n\
                   [env]\nNAME = \"value\"\n";
    let lifted = lift(program.bytes().unwrap(), &Binding::parse(binding).unwrap()).unwrap();
    assert_eq!(lifted.report.denied, ["wasi:sockets/network"]);
    let program = Program::from_bytes("lifted.wasm", lifted.bytes).unwrap();
    let kept = KeptFunction::load(&program, None, &Limits::default(), None, weir_engine::as_it_is).unwrap();
    let mut instance = kept.instance().unwrap();
    let mut run = |words: &[&str]| {
        let words = Value::List(words.iter().map(|word| Value::String((*word).into())).collect());
        instance.call([words]).map(|value| value.map(|value| weir_engine::wave::show(&value)).unwrap_or_default())
    };
    for _ in 0..3 {
        assert_eq!(run(&["one"]).unwrap(), "ok(\"oneNAMEvalue\")");
        assert!(run(&["a", "b", "c"]).unwrap().contains("exit code 1"));
    }
    assert_eq!(run(&["a", "b"]).unwrap_err().kind(), Kind::Trap);
}

/// A command for WASI 0.2 that asks for files and streams by handles that do not exist. It begins by preparing itself, and
/// succeeds if every answer is an error. What it drops was never there.
const OF_HANDLES: &str = r#"(component (core module
  (import "wasi:filesystem/types@0.2.0" "[method]descriptor.stat" (func $stat (param i32 i32)))
  (import "wasi:filesystem/types@0.2.0" "[method]descriptor.read" (func $read (param i32 i64 i64 i32)))
  (import "wasi:filesystem/types@0.2.0" "[method]descriptor.read-via-stream" (func $open (param i32 i64 i32)))
  (import "wasi:filesystem/types@0.2.0" "[method]descriptor.link-at" (func $link (param i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "wasi:filesystem/types@0.2.0" "[method]directory-entry-stream.read-directory-entry"
    (func $entry (param i32 i32)))
  (import "wasi:filesystem/types@0.2.0" "[resource-drop]descriptor" (func $drop_descriptor (param i32)))
  (import "wasi:filesystem/types@0.2.0" "[resource-drop]directory-entry-stream" (func $drop_entries (param i32)))
  (import "wasi:io/streams@0.2.0" "[method]input-stream.blocking-read" (func $take (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.0" "[method]input-stream.skip" (func $skip (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.write" (func $put (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.write-zeroes" (func $zeroes (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.splice" (func $splice (param i32 i32 i64 i32)))
  (import "wasi:io/streams@0.2.0" "[resource-drop]input-stream" (func $drop_input (param i32)))
  (memory (export "memory") 4)
  (global $next (mut i32) (i32.const 1024))
  (global $ready (mut i32) (i32.const 0))
  (func (export "_initialize") (global.set $ready (i32.const 1)))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $next)
    (global.set $next (i32.add (global.get $next) (local.get 3))))
  (func $failed (if (i32.ne (i32.load8_u (i32.const 16)) (i32.const 1)) (then (unreachable)))
    (i32.store8 (i32.const 16) (i32.const 0)))
  (func $ask (param $handle i32)
    (call $stat (local.get $handle) (i32.const 16)) (call $failed)
    (call $read (local.get $handle) (i64.const -1) (i64.const -1) (i32.const 16)) (call $failed)
    (call $open (local.get $handle) (i64.const -1) (i32.const 16)) (call $failed)
    (call $link (local.get $handle) (i32.const -1) (i32.const 0) (i32.const 3) (local.get $handle) (i32.const 0)
      (i32.const 3) (i32.const 16)) (call $failed)
    (call $entry (local.get $handle) (i32.const 16)) (call $failed)
    (call $take (local.get $handle) (i64.const -1) (i32.const 16)) (call $failed)
    (call $skip (local.get $handle) (i64.const -1) (i32.const 16)) (call $failed)
    (call $put (local.get $handle) (i32.const 0) (i32.const 3) (i32.const 16)) (call $failed)
    (call $zeroes (local.get $handle) (i64.const -1) (i32.const 16)) (call $failed)
    (call $splice (local.get $handle) (local.get $handle) (i64.const -1) (i32.const 16)) (call $failed)
    (call $drop_descriptor (local.get $handle))
    (call $drop_entries (local.get $handle))
    (call $drop_input (local.get $handle)))
  (func (export "wasi:cli/run@0.2.0#run") (result i32)
    (call $ask (i32.const 0x7fffffff))
    (call $ask (i32.const -1))
    (call $ask (i32.const 99))
    (i32.eqz (global.get $ready)))))"#;

#[test]
fn handles_that_do_not_exist_are_errors_and_the_start_is_that_of_wasi_0_2() {
    let _alone = alone();
    let program = Program::from_bytes("p2.wat", OF_HANDLES.into()).unwrap();
    let binding = "program = \"p\"\nexport = \"f: func() -> result<_, failure>\"\n";
    let lifted = lift(program.bytes().unwrap(), &Binding::parse(binding).unwrap()).unwrap();
    let program = Program::from_bytes("lifted.wasm", lifted.bytes).unwrap();
    let kept = KeptFunction::load(&program, None, &Limits::default(), None, weir_engine::as_it_is).unwrap();
    let mut instance = kept.instance().unwrap();
    for _ in 0..2 {
        assert_eq!(weir_engine::wave::show(&instance.call([]).unwrap().unwrap()), "ok");
    }
}

/// A command for WASI 0.3 by its first letter. `p` prints what it reads and `!`: its write waits, as it still holds the other
/// end of the stream, until that is handed over to stdout; it returns to wait for that, and is called back. `f` fails, `e` exits
/// with 7, `d` waits for what nothing brings, `m` moves stdin to stdout as a whole, `o` opens what is not there. An entry for 0.2
/// beside it is not its entry.
const OF_P3: &str = r#"(component (core module
  (import "wasi:cli/stdin@0.3.0" "read-via-stream" (func $stdin (param i32)))
  (import "wasi:cli/stdin@0.3.0" "[async-lower][stream-read-0]read-via-stream" (func $read (param i32 i32 i32) (result i32)))
  (import "wasi:cli/stdin@0.3.0" "[stream-drop-readable-0]read-via-stream" (func $close (param i32)))
  (import "wasi:cli/stdin@0.3.0" "[stream-cancel-read-0]read-via-stream" (func $cancel (param i32) (result i32)))
  (import "wasi:cli/stdout@0.3.0" "write-via-stream" (func $stdout (param i32) (result i32)))
  (import "wasi:cli/stdout@0.3.0" "[stream-new-0]write-via-stream" (func $new (result i64)))
  (import "wasi:cli/stdout@0.3.0" "[async-lower][stream-write-0]write-via-stream"
    (func $write (param i32 i32 i32) (result i32)))
  (import "wasi:cli/stdout@0.3.0" "[stream-drop-writable-0]write-via-stream" (func $end (param i32)))
  (import "wasi:cli/stdout@0.3.0" "[async-lower][future-read-1]write-via-stream" (func $await (param i32 i32) (result i32)))
  (import "wasi:cli/stdout@0.3.0" "[future-new-1]write-via-stream" (func $never (result i64)))
  (import "wasi:cli/exit@0.3.0" "exit-with-code" (func $exit (param i32)))
  (import "wasi:filesystem/types@0.3.0" "[async-lower][method]descriptor.open-at" (func $open (param i32 i32) (result i32)))
  (import "$root" "[waitable-set-new]" (func $set (result i32)))
  (import "$root" "[waitable-set-poll]" (func $poll (param i32 i32) (result i32)))
  (import "$root" "[waitable-join]" (func $join (param i32 i32)))
  (import "$root" "[context-get-0]" (func $get (result i32)))
  (import "$root" "[context-set-0]" (func $put (param i32)))
  (import "[export]wasi:cli/run@0.3.0" "[task-return]run" (func $return (param i32)))
  (memory (export "memory") 4)
  (data (i32.const 200) "!")
  (global $next (mut i32) (i32.const 4096))
  (global $length (mut i32) (i32.const 0))
  (global $writer (mut i32) (i32.const 0))
  (global $future (mut i32) (i32.const 0))
  (func $must (param i32) (if (i32.eqz (local.get 0)) (then (unreachable))))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $next)
    (global.set $next (i32.add (global.get $next) (local.get 3))))
  (func (export "wasi:cli/run@0.2.6#run") (result i32) (unreachable))
  (func (export "[async-lift]wasi:cli/run@0.3.0#run") (result i32) (local $both i64) (local $set i32)
    (call $stdin (i32.const 0))
    (global.set $length (i32.shr_u (call $read (i32.load (i32.const 0)) (i32.const 100) (i32.const 50)) (i32.const 4)))
    (if (i32.eq (i32.load8_u (i32.const 100)) (i32.const 109)) (then
      (global.set $future (call $stdout (i32.load (i32.const 0))))
      (call $must (i32.eqz (call $await (global.get $future) (i32.const 300))))
      (call $return (i32.load8_u (i32.const 300)))
      (return (i32.const 0))))
    ;; There is no more than that.
    (call $must (i32.eq (call $read (i32.load (i32.const 0)) (i32.const 100) (i32.const 50)) (i32.const 1)))
    (call $close (i32.load (i32.const 0)))
    (if (i32.eq (i32.load8_u (i32.const 100)) (i32.const 102)) (then (call $return (i32.const 1)) (return (i32.const 0))))
    (if (i32.eq (i32.load8_u (i32.const 100)) (i32.const 101)) (then (call $exit (i32.const 7))))
    (local.set $set (call $set))
    (if (i32.eq (i32.load8_u (i32.const 100)) (i32.const 100)) (then
      (return (i32.or (i32.const 2) (i32.shl (local.get $set) (i32.const 4))))))
    (if (i32.eq (i32.load8_u (i32.const 100)) (i32.const 111)) (then
      (i32.store (i32.const 400) (i32.const 99))
      (i32.store (i32.const 408) (i32.const 100))
      (i32.store (i32.const 412) (i32.const 1))
      (call $must (i32.eq (call $open (i32.const 400) (i32.const 440)) (i32.const 2)))
      ;; `err(bad-descriptor)`.
      (call $must (i32.eq (i32.load8_u (i32.const 440)) (i32.const 1)))
      (call $must (i32.eq (i32.load8_u (i32.const 444)) (i32.const 2)))))
    (local.set $both (call $new))
    (global.set $writer (i32.wrap_i64 (i64.shr_u (local.get $both) (i64.const 32))))
    ;; A read that waits, and is taken back.
    (call $must (i32.eq (call $read (i32.wrap_i64 (local.get $both)) (i32.const 500) (i32.const 1)) (i32.const -1)))
    (call $must (i32.eq (call $cancel (i32.wrap_i64 (local.get $both))) (i32.const 2)))
    (call $must (i32.eq (call $write (global.get $writer) (i32.const 100) (global.get $length)) (i32.const -1)))
    (call $join (global.get $writer) (local.get $set))
    (call $must (i32.eqz (call $poll (local.get $set) (i32.const 300))))
    (global.set $future (call $stdout (i32.wrap_i64 (local.get $both))))
    (call $must (i32.eq (call $await (global.get $future) (i32.const 300)) (i32.const -1)))
    (call $join (global.get $future) (local.get $set))
    (call $put (local.get $set))
    (i32.or (i32.const 2) (i32.shl (local.get $set) (i32.const 4))))
  (func (export "[callback][async-lift]wasi:cli/run@0.3.0#run") (param $event i32) (param $of i32) (param $payload i32) (result i32)
    (if (i32.eq (local.get $event) (i32.const 3)) (then
      (call $must (i32.eq (local.get $of) (global.get $writer)))
      (call $must (i32.eq (local.get $payload) (i32.shl (global.get $length) (i32.const 4))))
      (call $must (i32.eq (call $write (global.get $writer) (i32.const 200) (i32.const 1)) (i32.const 16)))
      (call $end (global.get $writer))
      (return (i32.or (i32.const 2) (i32.shl (call $get) (i32.const 4))))))
    (call $must (i32.eq (local.get $event) (i32.const 4)))
    (call $must (i32.eq (local.get $of) (global.get $future)))
    (call $return (i32.load8_u (i32.const 300)))
    (i32.const 0))))"#;

#[test]
fn a_command_for_wasi_0_3_waits_for_its_own_streams_and_is_a_function_that_does_not_wait() {
    let _alone = alone();
    let program = Program::from_bytes("p3.wat", OF_P3.into()).unwrap();
    let lifted = lift(program.bytes().unwrap(), &Binding::parse(BINDING).unwrap()).unwrap();
    assert_eq!((lifted.report.once, lifted.report.denied), (None, Vec::new()));
    let program = Program::from_bytes("lifted.wasm", lifted.bytes).unwrap();
    let kept = KeptFunction::load(&program, None, &Limits::default(), None, weir_engine::as_it_is).unwrap();
    let mut instance = kept.instance().unwrap();
    let mut run = |text: &str| {
        let result = instance.call([Value::String(text.into())]).unwrap();
        weir_engine::wave::show(&result.unwrap())
    };
    for _ in 0..3 {
        assert_eq!(run("print"), "ok(\"print!\")");
        assert_eq!(run("open"), "ok(\"open!\")");
        assert!(run("fail").contains("exit code 1"), "{}", run("fail"));
        assert!(run("exit").contains("exit code 7"), "{}", run("exit"));
        assert!(run("deadlock").contains("nothing else can come"), "{}", run("deadlock"));
        let long = format!("m{}", "0123456789".repeat(20_000));
        // The beginning was read before.
        assert_eq!(run(&long), format!("ok(\"{}\")", &long[50..]));
    }
}

#[test]
fn components_that_are_no_such_commands_are_told_why() {
    let binding = Binding::parse(BINDING).unwrap();
    let of_files = r#"(component (core module
      (import "wasi:filesystem/preopens@0.2.6" "get-directories" (func (param i32))) (func (export "_start")) (memory 1)))"#;
    let of_0_3 = &of_files.replace("@0.2.6", "@0.3.0");
    for (text, words) in [
        ("(component)", "no module in it"),
        ("(component (component))", "components in it"),
        ("(component (core module (func (export \"f\"))))", "no module in it"),
        (of_files, "no `cabi_realloc`"),
        (
            "(component (core module (func (export \"wasi:cli/run@0.2.6#run\"))))",
            "another type than the start of a command",
        ),
        (of_0_3, "no `cabi_realloc`"),
    ] {
        let program = Program::from_bytes("c.wat", text.into()).unwrap();
        let error = lift(program.bytes().unwrap(), &binding).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn any_change_of_a_call_is_survived(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), "[a-z0-9(){}\\[\\]\"',:@. \u{e4}-]{0,3}"), 1..6),
    ) {
        let _alone = alone();
        // Loading is the slow part, and every case needs the same types.
        static FUNCTION: std::sync::OnceLock<LiftedFunction> = std::sync::OnceLock::new();
        let mut call: Vec<char> = CALL.chars().collect();
        for (at, text) in changes {
            let at = at.index(call.len());
            call.splice(at..=at, text.chars());
            if call.is_empty() {
                break;
            }
        }
        let call: String = call.into_iter().collect();
        let params = FUNCTION.get_or_init(many).params();
        if let Err(error) = weir_engine::wave::arguments(&call, params, &mut |_| Ok(Vec::new())) {
            prop_assert!(!error.is_empty());
        }
    }
}
