//! Programs as an embedder has them: beside one another, on streams that are objects, stopped, dropped, asked.

use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir::{Blob, Clock, Current, Grants, Input, Kind, Limits, Output, Value, Weir, pipe};

/// A module whose body follows one page of memory, with what programs of WASI 0.1 import.
fn module(body: &str) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 3)
          (data (i32.const 0) "\40\00\00\00\00\00\01\00")
          {body})"#
    )
}

/// Copies stdin to stdout, a piece at a time; what cannot be written is left out.
const CAT: &str = r#"(func (export "_start") (loop $more
    (i32.store (i32.const 4) (i32.const 65536))
    (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)) (then (return)))
    (if (i32.eqz (i32.load (i32.const 16))) (then (return)))
    (i32.store (i32.const 8) (i32.const 64)) (i32.store (i32.const 12) (i32.load (i32.const 16)))
    (loop $rest
      (if (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)) (then (br $more)))
      (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.load (i32.const 16))))
      (i32.store (i32.const 12) (i32.sub (i32.load (i32.const 12)) (i32.load (i32.const 16))))
      (br_if $rest (i32.load (i32.const 12))))
    (br $more)))"#;

/// Copies the file `in` of its first directory to stdout.
const SHOW: &str = r#"(data (i32.const 200000) "in")
  (func (export "_start")
    (drop (call $open (i32.const 3) (i32.const 0) (i32.const 150000) (i32.const 2) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 20)))
    (loop $more
      (i32.store (i32.const 4) (i32.const 65536))
      (if (call $read (i32.load (i32.const 20)) (i32.const 0) (i32.const 1) (i32.const 16)) (then (return)))
      (if (i32.eqz (i32.load (i32.const 16))) (then (return)))
      (i32.store (i32.const 4) (i32.load (i32.const 16)))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
      (br $more)))"#;

/// Sleeps for some nanoseconds.
fn sleeper(nanoseconds: u64) -> String {
    module(&format!(
        r#"(func (export "_start")
             (i64.store (i32.const 100024) (i64.const {nanoseconds}))
             (drop (call $poll (i32.const 100000) (i32.const 100100) (i32.const 1) (i32.const 100200))))"#
    ))
}

fn noise(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

#[test]
fn bytes_go_through_a_program_and_through_three() {
    let cat = Weir::uncached().open_bytes("cat.wat", module(CAT)).unwrap();
    let bytes = noise(1_000_000);
    let (stdout, written) = Output::memory(2_000_000);
    let outcome = cat.run(Grants::new().stdin(Input::bytes(bytes.clone())).stdout(stdout), Limits::default()).unwrap();
    assert_eq!((outcome.exit_code, outcome.stats.stream_bytes_in), (0, 1_000_000));
    assert!(written.take() == bytes);
    // Three of them, with pipes that hold less than one of their pieces.
    let ((first, second), (third, fourth)) = (pipe(1000), pipe(7));
    let (stdout, written) = Output::memory(2_000_000);
    let stages = [(Input::bytes(bytes.clone()), first), (second, third), (fourth, stdout)];
    let running =
        stages.map(|(stdin, stdout)| cat.spawn(Grants::new().stdin(stdin).stdout(stdout), Limits::default()).unwrap());
    for running in running {
        assert_eq!(running.wait().unwrap().exit_code, 0);
    }
    assert!(written.take() == bytes);
}

#[test]
fn output_that_is_full_or_that_nobody_reads_is_the_programs_to_know() {
    let cat = Weir::uncached().open_bytes("cat.wat", module(CAT)).unwrap();
    let (stdout, written) = Output::memory(10);
    // It goes on reading: a write that fails is no end for it.
    cat.run(Grants::new().stdin(Input::bytes(noise(100))).stdout(stdout), Limits::default()).unwrap();
    assert_eq!(written.take(), noise(10));
    let (stdout, reader) = pipe(10);
    drop(reader);
    cat.run(Grants::new().stdin(Input::bytes(noise(100))).stdout(stdout), Limits::default()).unwrap();
}

/// Bytes that are made when they are read.
struct Made(u64);

impl Blob for Made {
    fn size(&self) -> u64 {
        self.0
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> std::io::Result<usize> {
        // Never more than a thousand at once, as a network may.
        let len = out.len().min(1000);
        out[..len].iter_mut().zip(offset..).for_each(|(byte, at)| *byte = at as u8);
        Ok(len)
    }
}

#[test]
fn files_may_be_bytes_or_lie_somewhere_else_and_streams_may_have_names() {
    let show = Weir::uncached().open_bytes("show.wat", module(SHOW).replace("200000", "150000")).unwrap();
    let shown = |grants: Grants| {
        let (stdout, written) = Output::memory(1 << 20);
        let outcome = show.run(grants.stdout(stdout), Limits::default()).unwrap();
        assert_eq!(outcome.exit_code, 0);
        written.take()
    };
    assert_eq!(shown(Grants::new().file("/in", "text")), b"text");
    let made: Vec<u8> = (0..123_456u64).map(|at| at as u8).collect();
    assert!(shown(Grants::new().blob("/in", Arc::new(Made(123_456)))) == made);
    let stream = Input::bytes(noise(100_000));
    assert!(shown(Grants::new().stream("/in", stream, Output::Discard)) == noise(100_000));
    let twice = Grants::new().file("/in", "a").stream("/in", Input::Empty, Output::Discard);
    let error = show.run(twice, Limits::default()).unwrap_err();
    assert!(error.kind() == Kind::Grant && error.to_string().contains("granted twice"), "{error}");
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn a_thousand_that_sleep_hold_no_thread() {
    let sleeper = Weir::uncached().open_bytes("sleep.wat", sleeper(200_000_000)).unwrap();
    let before = threads();
    let all: Vec<_> = (0..1000).map(|_| sleeper.spawn(Grants::new(), Limits::default()).unwrap()).collect();
    // Those of the runtime and of the clock; tests beside this one have theirs.
    assert!(threads() < before + 40, "{} threads, {before} before", threads());
    for running in all {
        assert_eq!(running.wait().unwrap().exit_code, 0);
    }
}

#[test]
fn a_program_is_stopped_asked_and_dropped() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let weir = Weir::uncached();
        for body in ["(func (export \"_start\") (loop $l (br $l)))", CAT] {
            let (_silent, stdin) = pipe(10);
            let program = weir.open_bytes("p.wat", module(body)).unwrap();
            let running = program.spawn(Grants::new().stdin(stdin), Limits::default()).unwrap();
            while running.usage().memory_bytes == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert!(!running.has_ended());
            running.stop();
            assert_eq!(running.await.unwrap_err().kind(), Kind::Cancelled);
        }
        // Dropped: its end of the pipe goes with it.
        let (mut to, stdin) = tokio::io::duplex(64);
        let program = weir.open_bytes("cat.wat", module(CAT)).unwrap();
        let grants = Grants::new().stdin(Input::Reader(Box::new(stdin)));
        let running = program.spawn(grants, Limits::default()).unwrap();
        to.write_all(b"x").await.unwrap();
        drop(running);
        assert_eq!(to.read(&mut [0]).await.unwrap(), 0);
    });
}

#[test]
fn a_clock_that_stands_still_and_a_deadline_hold_beside_others() {
    let sleeper = Weir::uncached().open_bytes("sleep.wat", sleeper(3_600_000_000_000)).unwrap();
    let fixed = sleeper.spawn(Grants::new().clock(Clock::Fixed(7)), Limits::default()).unwrap();
    assert_eq!(fixed.wait().unwrap().exit_code, 0);
    let limits = Limits { time_max: Some(Duration::from_millis(50)), ..Limits::default() };
    let error = sleeper.spawn(Grants::new(), limits).unwrap().wait().unwrap_err();
    assert_eq!(error.limit(), Some(&weir::Limit::Time(Duration::from_millis(50))));
}

const FUNCTIONS: &str = r#"(component
  (core module $m (memory (export "memory") 1)
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "loop") (loop $l (br $l)))
    (func (export "f") (param i32 i32) (result i32)
      (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (local.get 1)) (i32.const 0))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
  (core instance $i (instantiate $m))
  (func (export "add") (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "add")))
  (func (export "loop") (canon lift (core func $i "loop")))
  (func (export "echo") (param "all" (list u16)) (result (list u16))
    (canon lift (core func $i "f") (memory $i "memory") (realloc (func $i "realloc")))))"#;

#[test]
fn functions_take_and_give_types_of_ones_own() {
    let program = Weir::uncached().open_bytes("f.wat", FUNCTIONS).unwrap();
    let limits = Limits { time_max: Some(Duration::from_millis(50)), ..Limits::default() };
    let add = program.function(Some("add"), &limits).unwrap();
    assert_eq!(add.call::<u32>((2u32, 3u32)).unwrap(), 5);
    assert_eq!(add.call_values([Value::U32(2), Value::U32(3)]).unwrap(), Some(Value::U32(5)));
    for error in [add.call::<u32>((2u32,)).unwrap_err(), add.call::<u32>((2u8, 3u32)).unwrap_err()] {
        assert!(error.kind() == Kind::Grant && error.to_string().contains("add"), "{error}");
    }
    assert_eq!(add.call::<String>((2u32, 3u32)).unwrap_err().kind(), Kind::Grant);
    let echo = program.function(Some("echo"), &limits).unwrap();
    assert_eq!(echo.call::<Vec<u16>>((vec![1u16, 500],)).unwrap(), [1, 500]);
    assert!(echo.call::<Vec<u16>>((Vec::<u16>::new(),)).unwrap().is_empty());
    let endless = program.function(Some("loop"), &limits).unwrap();
    assert_eq!(endless.call::<()>(()).unwrap_err().kind(), Kind::Limit);
    // A version after another, under its callers.
    let current = Current::new(add);
    let old = current.get();
    current.replace(program.function(Some("add"), &limits).unwrap());
    assert_eq!(old.call::<u32>((1u32, 1u32)).unwrap() + current.get().call::<u32>((1u32, 1u32)).unwrap(), 4);
}

#[test]
fn functions_that_compute_leave_others_their_turn() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let program = Weir::uncached().open_bytes("f.wat", FUNCTIONS).unwrap();
    let limits = Limits { time_max: Some(Duration::from_millis(100)), ..Limits::default() };
    let (add, endless) = (program.function(Some("add"), &limits), program.function(Some("loop"), &limits));
    let (add, endless) = (add.unwrap(), endless.unwrap());
    runtime.block_on(async {
        let looping = tokio::spawn(async move { endless.call_async::<()>(()).await });
        for _ in 0..20 {
            assert_eq!(add.call_async::<u32>((1u32, 1u32)).await.unwrap(), 2);
            tokio::task::yield_now().await;
        }
        assert_eq!(looping.await.unwrap().unwrap_err().kind(), Kind::Limit);
    });
}

#[test]
fn an_error_of_a_granted_function_ends_the_program_and_comes_out() {
    let text = r#"(module (import "host" "no" (func $no (param f64))) (memory (export "memory") 1)
        (func (export "_start") (call $no (f64.const 1.5))))"#;
    let program = Weir::uncached().open_bytes("p.wat", text).unwrap();
    let grants = Grants::new().function("host", "no", |(number,): (f64,)| -> Result<(), weir::Error> {
        Err(weir::Error::new(Kind::Save, format!("{number} is not wanted")))
    });
    let error = program.run(grants, Limits::default()).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Save, "1.5 is not wanted"));
    assert_eq!(program.run(Grants::new(), Limits::default()).unwrap_err().kind(), Kind::Import);
}
