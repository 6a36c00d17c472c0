//! Streams of lifted programs: bytes flow while the program runs, and no more of them is held than a few buffers.

use std::io::{self, Cursor, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use weir_engine::{Arg, KeptFunction, Kind, LiftedFunction, Program, Sink, Value, wave};
use weir_link::lift::{Binding, lift};
use weir_types::limits::Limits;

const GIB: u64 = 1 << 30;
/// How far what is read may be ahead of what is written: the buffers of the shim and of the program.
const AHEAD_MAX: u64 = 256 << 10;

/// A program with `$in` and `$out` to read from and write to descriptors, and a main part. Memory: an iovec at 0, counts
/// at 16, paths from 64 on, a buffer of 64 KiB at 4096.
fn program(main: &str) -> String {
    format!(
        r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek" (func $fd_seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_get" (func $fd_filestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 4)
  (data (i32.const 64) "inout")
  (global $count (mut i32) (i32.const 0))
  (func $in (param $fd i32) (param $len i32) (result i32)
    (i32.store (i32.const 0) (i32.const 4096))
    (i32.store (i32.const 4) (local.get $len))
    (if (call $fd_read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 16)) (then (call $exit (i32.const 3))))
    (i32.load (i32.const 16)))
  (func $out (param $fd i32) (param $len i32)
    (i32.store (i32.const 0) (i32.const 4096))
    (i32.store (i32.const 4) (local.get $len))
    (if (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 16)) (then (call $exit (i32.const 4)))))
  (func $copy (param $from i32) (param $to i32) (local $len i32)
    (loop $more
      (local.set $len (call $in (local.get $from) (i32.const 65536)))
      (if (local.get $len) (then (call $out (local.get $to) (local.get $len)) (br $more)))))
  (func $open (param $path i32) (param $len i32) (param $flags i32) (param $rights i64) (result i32)
    (if (call $path_open (i32.const 3) (i32.const 0) (local.get $path) (local.get $len) (local.get $flags)
          (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 16)) (then (call $exit (i32.const 5))))
    (i32.load (i32.const 16)))
  (func $open_in (result i32) (call $open (i32.const 64) (i32.const 2) (i32.const 0) (i64.const 0x200026)))
  (func $open_out (result i32) (call $open (i32.const 66) (i32.const 3) (i32.const 9) (i64.const 0x64)))
  (func $seek (param $fd i32) (param $at i64) (param $whence i32)
    (if (call $fd_seek (local.get $fd) (local.get $at) (local.get $whence) (i32.const 16))
      (then (call $exit (i32.const 6)))))
  (func (export "_start") (local $fd i32) (local $other i32) {main}))"#
    )
}

const FILTER: &str = "(call $copy (i32.const 0) (i32.const 1))";
const FLOWS: &str = "async func(data: stream<u8>) -> tuple<stream<u8>, future<result<_, failure>>>";
const STDIO: &str = "stdin = \"data\"\nstdout = \"result.0\"\n";

fn lifted(main: &str, ty: &str, rest: &str) -> Program {
    let program = Program::from_bytes("program.wat", program(main).into()).unwrap();
    let binding = Binding::parse(&format!("program = \"p\"\nexport = \"f: {ty}\"\n{rest}")).unwrap();
    Program::from_bytes("lifted.wasm", lift(program.bytes().unwrap(), &binding).unwrap().bytes).unwrap()
}

fn function(main: &str, ty: &str, rest: &str) -> LiftedFunction {
    LiftedFunction::load(&lifted(main, ty, rest), None, &Limits::default(), None, weir_testkit::once).unwrap()
}

fn show(result: Option<Value>) -> String {
    result.map_or("nothing".into(), |value| wave::show(&value))
}

/// A sink whose bytes can be looked at.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a call with one stream in and one out gives, and what flowed.
fn call(function: &LiftedFunction, input: &[u8]) -> (String, Vec<u8>) {
    let out = Shared::default();
    let input = Arg::Stream(Box::new(Cursor::new(input.to_vec())));
    let result = function.call_with_streams(vec![input], &mut |_| Box::new(out.clone())).unwrap();
    let bytes = out.0.lock().unwrap().clone();
    (show(result), bytes)
}

fn numbers(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

/// Reads and writes are counted, in pieces that get larger and smaller, and either side may be the slow one.
struct Counted {
    read: Arc<AtomicU64>,
    written: Arc<AtomicU64>,
    piece_max: u64,
    slow_every: u64,
    calls: u64,
}

impl Counted {
    fn piece(&mut self, len: usize) -> usize {
        self.calls += 1;
        if self.slow_every > 0 && self.calls.is_multiple_of(self.slow_every) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        (self.calls * 7919 % self.piece_max + 1).min(len as u64) as usize
    }

    fn check(&self) {
        let (read, written) = (self.read.load(Ordering::Relaxed), self.written.load(Ordering::Relaxed));
        assert!(read - written <= AHEAD_MAX, "{} bytes are held", read - written);
    }
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let before = self.read.load(Ordering::Relaxed);
        let left = usize::try_from(GIB - before).unwrap();
        let len = self.piece(out.len()).min(left);
        out[..len].fill((before >> 20) as u8);
        self.read.store(before + len as u64, Ordering::Relaxed);
        self.check();
        Ok(len)
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.piece(bytes.len());
        self.written.fetch_add(len as u64, Ordering::Relaxed);
        self.check();
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn flow_of_a_gibibyte(reads: (u64, u64), writes: (u64, u64)) {
    let function = function(FILTER, FLOWS, STDIO);
    let (read, written) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let side = |(piece_max, slow_every)| Counted {
        read: read.clone(),
        written: written.clone(),
        piece_max,
        slow_every,
        calls: 0,
    };
    let input = Arg::Stream(Box::new(side(reads)));
    let result = function.call_with_streams(vec![input], &mut |_| Box::new(side(writes))).unwrap();
    assert_eq!(show(result), "ok");
    assert_eq!(written.load(Ordering::Relaxed), GIB);
}

#[test]
fn a_gibibyte_with_a_slow_reader() {
    flow_of_a_gibibyte((1 << 20, 0), (30_000, 100));
}

#[test]
fn a_gibibyte_with_a_slow_writer() {
    flow_of_a_gibibyte((30_000, 100), (1 << 20, 0));
}

#[test]
fn what_comes_in_goes_out() {
    let function = function(FILTER, FLOWS, STDIO);
    assert_eq!(function.result_streams(), ["0"]);
    for len in [0, 1, 65_535, 65_536, 65_537, 1 << 20] {
        let (result, out) = call(&function, &numbers(len));
        assert_eq!((result.as_str(), out == numbers(len)), ("ok", true), "{len}");
    }
}

/// Takes some bytes, and then is gone.
struct Gone(usize);

impl Write for Gone {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let len = bytes.len().min(self.0);
        self.0 -= len;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_goes_away_is_told_to_the_program() {
    let function = function(FILTER, FLOWS, STDIO);
    let read = Arc::new(AtomicU64::new(0));
    let endless = Counted { read: read.clone(), written: read.clone(), piece_max: 1 << 20, slow_every: 0, calls: 0 };
    let result =
        function.call_with_streams(vec![Arg::Stream(Box::new(endless))], &mut |_| Box::new(Gone(100_000))).unwrap();
    assert!(show(result).contains("the program ended with exit code 4"), "the write answers EPIPE");
    assert!(read.load(Ordering::Relaxed) < 1 << 20, "nothing is read any more");
}

/// Gives some bytes, and then cannot be read.
struct Broken(bool);

impl Read for Broken {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if std::mem::replace(&mut self.0, true) {
            return Err(io::Error::other("the disk is on fire"));
        }
        out[0] = 7;
        Ok(1)
    }
}

#[test]
fn a_writer_that_fails_ends_the_call() {
    let function = function(FILTER, FLOWS, STDIO);
    let args = vec![Arg::Stream(Box::new(Broken(false)))];
    let error = function.call_with_streams(args, &mut |_| Box::new(io::sink())).unwrap_err();
    assert!(error.to_string().contains("the disk is on fire"), "{error}");
    assert_eq!(call(&function, b"next").1, b"next");
}

#[test]
fn a_trap_in_the_middle_ends_the_call_and_no_other() {
    let main = "(drop (call $in (i32.const 0) (i32.const 9))) (call $out (i32.const 1) (i32.const 2)) (unreachable)";
    let function = function(main, FLOWS, STDIO);
    for _ in 0..3 {
        let out = Shared::default();
        let input = Arg::Stream(Box::new(Cursor::new(vec![1; 9])));
        let error = function.call_with_streams(vec![input], &mut |_| Box::new(out.clone())).unwrap_err();
        assert_eq!(error.kind(), Kind::Trap, "{error}");
        assert_eq!(*out.0.lock().unwrap(), [1, 1]);
    }
}

#[test]
fn what_flows_has_a_limit() {
    let limits = Limits { output_max: Some(100_000), ..Limits::default() };
    let function =
        LiftedFunction::load(&lifted(FILTER, FLOWS, STDIO), None, &limits, None, weir_testkit::once).unwrap();
    let input = Arg::Stream(Box::new(io::repeat(1)));
    let error = function.call_with_streams(vec![input], &mut |_| Box::new(io::sink())).unwrap_err();
    assert_eq!(error.kind(), Kind::Limit, "{error}");
}

#[test]
fn a_writer_that_says_nothing_is_not_waited_for_too_long() {
    let limits = Limits { time_max: Some(std::time::Duration::from_millis(200)), ..Limits::default() };
    for (ty, rest) in [(FLOWS, STDIO), (OF_IO, STDIO_OF_IO)] {
        let function =
            LiftedFunction::load(&lifted(FILTER, ty, rest), None, &limits, None, weir_testkit::once).unwrap();
        let (silent, _writer) = io::pipe().unwrap();
        let silent = std::fs::File::from(std::os::fd::OwnedFd::from(silent));
        let mut args = vec![Arg::Stream(weir_engine::within_time(silent, &limits))];
        if ty == OF_IO {
            args.push(Arg::Sink(Box::new(io::sink())));
        }
        let error = function.call_with_streams(args, &mut |_| Box::new(io::sink())).unwrap_err();
        assert_eq!(error.kind(), Kind::Limit, "{error}");
    }
}

#[test]
fn several_streams_and_a_result_beside_them() {
    let main =
        "(call $copy (i32.const 0) (i32.const 1)) (call $out (i32.const 2) (i32.const 3)) (call $exit (i32.const 2))";
    let ty = "async func(data: stream<u8>) -> flows";
    let rest = "types = \"record flows { all: stream<u8>, said: stream<u8>, end: future<result<u32, failure>> }\"\n\
                stdin = \"data\"\nstdout = \"result.all\"\nstderr = \"result.said\"\nexit-code = \"result.end\"\nexit-codes = [2]\n";
    let function = function(main, ty, rest);
    assert_eq!(function.result_streams(), ["all", "said"]);
    let (all, said) = (Shared::default(), Shared::default());
    let mut sink = |name: &str| -> Sink { Box::new(if name == "all" { all.clone() } else { said.clone() }) };
    let input = Arg::Stream(Box::new(Cursor::new(b"hello".to_vec())));
    assert_eq!(show(function.call_with_streams(vec![input], &mut sink).unwrap()), "ok(2)");
    assert_eq!((all.0.lock().unwrap().as_slice(), said.0.lock().unwrap().as_slice()), (&b"hello"[..], &b"hel"[..]));
}

#[test]
fn a_stream_can_come_in_alone() {
    let main = "(call $copy (i32.const 0) (i32.const 1))";
    let rest = "stdin = \"data\"\nstdout = \"result\"\n";
    let function = function(main, "async func(data: option<stream<u8>>) -> result<string, failure>", rest);
    assert_eq!(call(&function, b"whole").0, "ok(\"whole\")");
    let none = Arg::Value(Value::Option(None));
    let result = function.call_with_streams(vec![none], &mut |_| Box::new(io::sink())).unwrap();
    assert_eq!(show(result), "ok(\"\")");
}

const FILE: &str = "stdout = \"result.0\"\n[files]\n\"/in\" = \"data\"\n";
const OPEN: &str = "(local.set $fd (call $open_in))";
const REST: &str = "(call $copy (local.get $fd) (i32.const 1))";

#[test]
fn a_file_that_is_read_forward_flows() {
    let function = function(&format!("{OPEN} {REST}"), FLOWS, FILE);
    let (read, written) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let side = || Counted { read: read.clone(), written: written.clone(), piece_max: 1 << 20, slow_every: 0, calls: 0 };
    let result = function.call_with_streams(vec![Arg::Stream(Box::new(side()))], &mut |_| Box::new(side())).unwrap();
    assert_eq!((show(result).as_str(), written.load(Ordering::Relaxed)), ("ok", GIB));
}

#[test]
fn a_file_that_is_sought_or_measured_is_held() {
    let bytes = numbers(3 << 20);
    let sniff = "(drop (call $in (local.get $fd) (i32.const 8)))";
    for (what, main, from) in [
        ("back to the beginning", format!("{sniff} (call $seek (local.get $fd) (i64.const 0) (i32.const 0))"), 0),
        ("from the end", "(call $seek (local.get $fd) (i64.const -5) (i32.const 2))".into(), bytes.len() - 5),
        ("on from here", format!("{sniff} (call $seek (local.get $fd) (i64.const 100) (i32.const 1))"), 108),
        (
            "by its size",
            format!(
                "{sniff} (drop (call $fd_filestat_get (local.get $fd) (i32.const 128)))
                 (if (i64.ne (i64.load (i32.const 160)) (i64.const {})) (then (call $exit (i32.const 9))))",
                bytes.len()
            ),
            8,
        ),
        ("opened twice", format!("{sniff} (local.set $fd (call $open_in))"), 0),
    ] {
        let function = function(&format!("{OPEN} {main} {REST}"), FLOWS, FILE);
        let (result, out) = call(&function, &bytes);
        assert_eq!((result.as_str(), out == bytes[from..]), ("ok", true), "{what}: {} bytes", out.len());
    }
}

#[test]
fn what_may_be_held_is_reported() {
    let report = |text: &str, rest: &str| {
        let program = Program::from_bytes("program.wat", text.into()).unwrap();
        let binding = Binding::parse(&format!("program = \"p\"\nexport = \"f: {FLOWS}\"\n{rest}")).unwrap();
        lift(program.bytes().unwrap(), &binding).unwrap().report.streams
    };
    assert_eq!(report(&program(FILTER), FILE), [("/in".to_owned(), true)]);
    assert_eq!(report(&program(FILTER), STDIO), []);
    let forward = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;
    assert_eq!(report(forward, FILE), [("/in".to_owned(), false)]);
}

#[test]
fn what_is_gone_of_a_stream_cannot_be_gone_back_to() {
    let skip = "(loop $more (drop (call $in (local.get $fd) (i32.const 65536)))
                  (global.set $count (i32.add (global.get $count) (i32.const 1)))
                  (br_if $more (i32.lt_u (global.get $count) (i32.const 40))))";
    let main = format!("{OPEN} {skip} (call $seek (local.get $fd) (i64.const 0) (i32.const 0)) {REST}");
    let (result, _) = call(&function(&main, FLOWS, FILE), &numbers(3 << 20));
    assert!(result.contains("exit code 6"), "{result}");
}

const OUT: &str = "stdin = \"data\"\n[files]\n\"/out\" = \"result.0\"\n";

#[test]
fn a_file_that_is_written_flows() {
    let main = "(local.set $fd (call $open_out)) (call $copy (i32.const 0) (local.get $fd))";
    let (result, out) = call(&function(main, FLOWS, OUT), &numbers(1 << 20));
    assert_eq!((result.as_str(), out == numbers(1 << 20)), ("ok", true));
    let (result, out) = call(&function("", FLOWS, OUT), b"x");
    assert!(result.contains("the program did not write /out") && out.is_empty(), "{result}");
}

#[test]
fn an_instance_with_streams_puts_itself_back() {
    let program = lifted(FILTER, FLOWS, STDIO);
    let kept = KeptFunction::load(&program, None, &Limits::default(), None, weir_engine::as_it_is).unwrap();
    let mut instance = kept.instance().unwrap();
    for round in 0..20 {
        let out = Shared::default();
        let input = numbers(round * 10_000);
        let gone = round % 3 == 1;
        let arg = Arg::Stream(Box::new(Cursor::new(input.clone())));
        let mut sink = |_: &str| -> Sink { if gone { Box::new(Gone(100)) } else { Box::new(out.clone()) } };
        let result = show(instance.call_with_streams(vec![arg], &mut sink).unwrap());
        if !gone {
            assert_eq!((result.as_str(), *out.0.lock().unwrap() == input), ("ok", true), "{round}");
        }
    }
}

/// The same with streams of wasi:io, for hosts without WASI 0.3.
const OF_IO: &str = "func(data: input-stream, to: output-stream) -> result<_, failure>";
const STDIO_OF_IO: &str = "stdin = \"data\"\nstdout = \"to\"\n";

#[test]
fn streams_of_wasi_io_flow() {
    let function = function(FILTER, OF_IO, STDIO_OF_IO);
    assert!(function.has_streams() && function.result_streams().is_empty());
    let (read, written) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let side = || Counted { read: read.clone(), written: written.clone(), piece_max: 1 << 20, slow_every: 0, calls: 0 };
    let args = vec![Arg::Stream(Box::new(side())), Arg::Sink(Box::new(side()))];
    let result = function.call_with_streams(args, &mut |_| Box::new(io::sink())).unwrap();
    assert_eq!((show(result).as_str(), written.load(Ordering::Relaxed)), ("ok", GIB));
}

#[test]
fn sides_of_streams_of_wasi_io_go_away() {
    let function = function(FILTER, OF_IO, STDIO_OF_IO);
    let run = |args| function.call_with_streams(args, &mut |_| Box::new(io::sink()));
    let gone = run(vec![Arg::Stream(Box::new(io::repeat(1))), Arg::Sink(Box::new(Gone(100_000)))]).unwrap();
    assert!(show(gone).contains("the program ended with exit code 4"));
    let error = run(vec![Arg::Stream(Box::new(Broken(false))), Arg::Sink(Box::new(io::sink()))]).unwrap_err();
    assert!(error.to_string().contains("the disk is on fire"), "{error}");
}

#[test]
fn files_are_streams_of_wasi_io() {
    let main = "(local.set $fd (call $open_in)) (call $seek (local.get $fd) (i64.const -5) (i32.const 2))
                (local.set $other (call $open_out)) (call $copy (local.get $fd) (local.get $other))";
    let rest = "[files]\n\"/in\" = \"data\"\n\"/out\" = \"to\"\n";
    let kept =
        KeptFunction::load(&lifted(main, OF_IO, rest), None, &Limits::default(), None, weir_engine::as_it_is).unwrap();
    let mut instance = kept.instance().unwrap();
    for _ in 0..3 {
        let out = Shared::default();
        let args = vec![Arg::Stream(Box::new(Cursor::new(b"0123456789".to_vec()))), Arg::Sink(Box::new(out.clone()))];
        let result = instance.call_with_streams(args, &mut |_| Box::new(io::sink())).unwrap();
        assert_eq!((show(result).as_str(), out.0.lock().unwrap().as_slice()), ("ok", &b"56789"[..]));
    }
}

#[test]
fn an_option_of_a_stream_of_wasi_io_may_be_absent() {
    let ty = "func(data: option<input-stream>, to: option<output-stream>) -> result<_, failure>";
    let function = function(FILTER, ty, STDIO_OF_IO);
    let none = || Arg::Value(Value::Option(None));
    let run = |args| show(function.call_with_streams(args, &mut |_| Box::new(io::sink())).unwrap());
    assert_eq!(run(vec![none(), none()]), "ok");
    let out = Shared::default();
    let args = vec![Arg::Stream(Box::new(Cursor::new(b"x".to_vec()))), Arg::Sink(Box::new(out.clone()))];
    assert_eq!(run(args), "ok");
    assert_eq!(out.0.lock().unwrap().as_slice(), b"x");
}

#[test]
fn bindings_of_streams_are_checked() {
    let program = Program::from_bytes("program.wat", program(FILTER).into()).unwrap();
    for (export, rest, words) in [
        (FLOWS.replace("async ", ""), STDIO, "write `async func`"),
        (FLOWS.into(), "stdout = \"result.0\"\n", "nothing is the stream \"data\""),
        (FLOWS.into(), "stdin = \"data\"\n", "nothing is the stream \"0\""),
        (FLOWS.into(), "stdin = \"data\"\nstdout = \"result.0\"\n[files]\n\"/x\" = \"data\"\n", "is bound twice"),
        (FLOWS.into(), "stdin = \"data\"\nstdout = \"result.0\"\nstderr = \"result.0\"\n", "something else is, too"),
        (FLOWS.into(), "stdin = \"data\"\nstdout = \"result.2\"\n", "has no part \"2\""),
        (FLOWS.into(), "stdin = \"data\"\nexit-code = \"result.0\"\n", "the result is `stream<u8>`"),
        (FLOWS.replace("data: stream<u8>", "data: list<stream<u8>>"), STDIO, "is `list<stream<u8>>`"),
        (format!("async {OF_IO}"), STDIO_OF_IO, "not those of wasi:io"),
        (OF_IO.into(), "stdin = \"data\"\n", "nothing is the stream \"to\""),
        (OF_IO.into(), "stdin = \"to\"\nstdout = \"data\"\n", "what the program writes is"),
        (FLOWS.replace("<u8>", "<u16>"), STDIO, "is `stream<u8>`"),
        (FLOWS.replace(", future<result<_, failure>>", ""), STDIO, "the `future` of that"),
    ] {
        let binding = Binding::parse(&format!("program = \"p\"\nexport = \"f: {export}\"\n{rest}")).unwrap();
        let error = lift(program.bytes().unwrap(), &binding).unwrap_err().to_string();
        assert!(error.contains(words), "{export}: {error}");
    }
}
