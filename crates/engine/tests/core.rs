//! Core programs on the host's half of WASI 0.1, without the shim: what a program may use, how it
//! ends, and what it is told. Output goes to mapped streams, so that each test sees its own.

use std::time::Duration;
use weir_engine::{Cache, CoreProgram, Error, Kind, Outcome, Program, Run};
use weir_types::grants::{Clock, Grants, Random, UnknownImports};
use weir_types::limits::{Limits, MIB};

/// Runs a module whose body follows a memory of one page and the usual imports.
fn run(body: &str, grants: &Grants, limits: &Limits) -> Result<Outcome, Error> {
    let text = format!(
        r#"(module
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
          (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          {body})"#
    );
    run_module(&text, grants, limits)
}

fn run_module(text: &str, grants: &Grants, limits: &Limits) -> Result<Outcome, Error> {
    let program = Program::from_bytes("test.wat", text.as_bytes().to_vec())?;
    let core = CoreProgram::load(&program, b"as it is", limits, UnknownImports::Refuse, None, weir_engine::as_it_is)?;
    core.run(Run::new(grants, limits))
}

fn exit_code(body: &str, grants: &Grants) -> u32 {
    run(body, grants, &Limits::default()).unwrap().exit_code
}

fn failure(body: &str, limits: Limits) -> (Kind, String) {
    let error = run(body, &Grants::default(), &limits).unwrap_err();
    (error.kind(), error.to_string())
}

#[test]
fn exit_codes_pass_through() {
    assert_eq!(exit_code("(func (export \"_start\"))", &Grants::default()), 0);
    for code in [0u32, 1, 42, 125, 126, 255, 256] {
        let body = format!("(func (export \"_start\") (call $exit (i32.const {code})))");
        assert_eq!(exit_code(&body, &Grants::default()), code);
    }
}

#[test]
fn arguments_are_counted_with_their_ends() {
    let grants = Grants { args: vec!["prog".into(), "ä".into(), String::new()], ..Grants::default() };
    // count * 100 + bytes
    let body = r#"(func (export "_start")
        (drop (call $args_sizes (i32.const 0) (i32.const 4)))
        (call $exit (i32.add (i32.mul (i32.load (i32.const 0)) (i32.const 100)) (i32.load (i32.const 4)))))"#;
    assert_eq!(exit_code(body, &grants), 300 + 5 + 3 + 1);
}

#[test]
fn a_fixed_clock_is_moved_by_sleeping_only() {
    let grants = Grants { clock: Clock::Fixed(5_000_000_000), ..Grants::default() };
    // Sleeps an hour, then exits with the seconds of the real-time clock modulo 251.
    let body = r#"(func (export "_start")
        (i64.store (i32.const 24) (i64.const 3600000000000))
        (drop (call $poll (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 200)))
        (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 0)))
        (call $exit (i32.wrap_i64 (i64.rem_u (i64.div_u (i64.load (i32.const 0)) (i64.const 1000000000)) (i64.const 251)))))"#;
    assert_eq!(exit_code(body, &grants), 3605 % 251);
}

#[test]
fn seeded_randomness_is_reproducible() {
    let body = r#"(func (export "_start")
        (drop (call $random (i32.const 0) (i32.const 64)))
        (call $exit (i32.rem_u (i32.load (i32.const 60)) (i32.const 120))))"#;
    let code = |seed| exit_code(body, &Grants { random: Random::Seed(seed), ..Grants::default() });
    assert_eq!(code(7), code(7));
    assert!((0..8).any(|seed| code(seed) != code(7)));
}

#[test]
fn an_endless_loop_ends_by_time_or_fuel() {
    let body = r#"(func (export "_start") (loop $l (br $l)))"#;
    let (kind, text) = failure(body, Limits { time_max: Some(Duration::from_millis(50)), ..Limits::default() });
    assert!(kind == Kind::Limit && text.contains("ran longer"), "{text}");
    let (kind, text) = failure(body, Limits { fuel_max: Some(100_000), ..Limits::default() });
    assert!(kind == Kind::Limit && text.contains("fuel"), "{text}");
}

#[test]
fn an_endless_sleep_ends_by_time() {
    let body = r#"(func (export "_start")
        (i64.store (i32.const 24) (i64.const 3600000000000))
        (drop (call $poll (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 200))))"#;
    let (kind, text) = failure(body, Limits { time_max: Some(Duration::from_millis(50)), ..Limits::default() });
    assert!(kind == Kind::Limit && text.contains("ran longer"), "{text}");
}

#[test]
fn endless_output_ends_by_its_limit() {
    let body = r#"(func (export "_start") (local $i i32)
        (i32.store (i32.const 4) (i32.const 0))
        (loop $l (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
          (i32.store (i32.const 4) (i32.const 2000000)) (br $l)))"#;
    let (kind, text) = failure(body, Limits { output_max: Some(MIB), ..Limits::default() });
    assert!(kind == Kind::Limit || text.contains("outside its memory"), "{text}");
    let body = body.replace("2000000", "1");
    let (kind, text) = failure(&body, Limits { output_max: Some(3), ..Limits::default() });
    assert!(kind == Kind::Limit && text.contains("more output"), "{text}");
}

#[test]
fn growing_past_the_memory_limit_fails_as_webassembly_says() {
    let body = r#"(func (export "_start")
        (if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then (call $exit (i32.const 9)))))"#;
    let limits = Limits { memory_max: 2 * 65_536, ..Limits::default() };
    assert_eq!(run(body, &Grants::default(), &limits).unwrap().exit_code, 9);
    let body = r#"(func (export "_start") (drop (memory.grow (i32.const 100))) unreachable)"#;
    let (kind, text) = failure(body, limits);
    assert!(kind == Kind::Trap && text.contains("bytes of memory"), "{text}");
    let big = run_module(
        "(module (memory (export \"memory\") 100) (func (export \"_start\")))",
        &Grants::default(),
        &Limits { memory_max: MIB, ..Limits::default() },
    );
    assert!(big.unwrap_err().to_string().contains("bytes of memory"));
}

#[test]
fn a_trap_names_the_functions() {
    let body = r#"(func $inner unreachable) (func $outer (call $inner)) (func (export "_start") (call $outer))"#;
    let (kind, text) = failure(body, Limits::default());
    assert!(
        kind == Kind::Trap && text.contains("unreachable") && text.contains("inner") && text.contains("outer"),
        "{text}"
    );
    let (kind, text) = failure(r#"(func $f (call $f)) (func (export "_start") (call $f))"#, Limits::default());
    assert!(kind == Kind::Trap && text.contains("stack"), "{text}");
}

#[test]
fn pointers_outside_the_memory_trap() {
    for call in [
        "(drop (call $random (i32.const 65530) (i32.const 100)))",
        "(drop (call $clock (i32.const 0) (i64.const 0) (i32.const -4)))",
        "(drop (call $fd_write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 0)))",
        "(drop (call $poll (i32.const 65500) (i32.const 0) (i32.const 1) (i32.const 0)))",
    ] {
        let (kind, text) = failure(&format!("(func (export \"_start\") {call})"), Limits::default());
        assert!(kind == Kind::Trap && text.contains("outside its memory"), "{call}: {text}");
    }
}

#[test]
fn what_cannot_run_is_refused_by_name() {
    let refused = |text: &str| run_module(text, &Grants::default(), &Limits::default()).unwrap_err();
    let error = refused(r#"(module (memory (export "memory") 1))"#);
    assert!(error.kind() == Kind::Program && error.to_string().contains("_start"), "{error}");
    let error = refused(r#"(module (func (export "_initialize")))"#);
    assert!(error.to_string().contains("reactor"), "{error}");
    let error = refused(r#"(module (func (export "_start") (param i32)))"#);
    assert!(error.to_string().contains("takes arguments"), "{error}");
    let error = refused(r#"(module (import "env" "f" (func)) (func (export "_start")))"#);
    assert!(error.kind() == Kind::Import && error.to_string().contains("env::f"), "{error}");
    let error = refused(r#"(module (import "wasi_snapshot_preview1" "fd_nope" (func)) (func (export "_start")))"#);
    assert!(error.kind() == Kind::Import && error.to_string().contains("fd_nope"), "{error}");
    let error =
        refused(r#"(module (import "wasi_snapshot_preview1" "fd_close" (func (param i64))) (func (export "_start")))"#);
    assert!(error.to_string().contains("fd_close"), "{error}");
}

#[test]
fn compiled_code_is_reused_and_survives_corruption() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(&folder.path().join("cache")).unwrap();
    let text = "(module (func (export \"_start\")))";
    let load = || {
        let program = Program::from_bytes("t.wat", text.into()).unwrap();
        let limits = Limits::default();
        let core = CoreProgram::load(
            &program,
            b"as it is",
            &limits,
            UnknownImports::Refuse,
            Some(&cache),
            weir_engine::as_it_is,
        )
        .unwrap();
        core.run(Run::new(&Grants::default(), &limits)).unwrap().stats.cache_hit
    };
    assert!(!load());
    assert!(load());
    for entry in std::fs::read_dir(cache.folder()).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        std::fs::write(&path, bytes).unwrap();
    }
    assert!(!load());
    assert!(load());
}

const ENDLESS: &str = r#"(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))"#;

#[test]
fn each_run_of_a_program_has_its_own_deadline() {
    let program = Program::from_bytes("test.wat", ENDLESS.as_bytes().to_vec()).unwrap();
    let within = |time| Limits { time_max: Some(Duration::from_millis(time)), ..Limits::default() };
    let core =
        CoreProgram::load(&program, b"", &within(1), UnknownImports::Refuse, None, weir_engine::as_it_is).unwrap();
    let run = |limits: &Limits| {
        let grants = Grants::default();
        let run = Run::new(&grants, limits);
        core.run(run).unwrap_err().to_string()
    };
    std::thread::scope(|scope| {
        let long = scope.spawn(|| run(&within(1500)));
        // Deadlines of other runs pass meanwhile.
        for _ in 0..5 {
            assert!(run(&within(100)).contains("longer than 100ms"));
        }
        assert!(!long.is_finished(), "ended by another run's deadline");
        assert!(long.join().unwrap().contains("longer than 1.5s"));
    });
}

#[test]
fn a_limit_of_a_run_that_the_code_cannot_keep_is_refused() {
    let start = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;
    let program = Program::from_bytes("test.wat", start.as_bytes().to_vec()).unwrap();
    let none = Limits::default();
    let time = Limits { time_max: Some(Duration::from_secs(60)), ..Limits::default() };
    let fuel = Limits { fuel_max: Some(1000), ..Limits::default() };
    let both = Limits { time_max: time.time_max, fuel_max: fuel.fuel_max, ..Limits::default() };
    let run = |loaded: &Limits, limits: &Limits| {
        let core =
            CoreProgram::load(&program, b"", loaded, UnknownImports::Refuse, None, weir_engine::as_it_is).unwrap();
        let grants = Grants::default();
        let run = Run::new(&grants, limits);
        core.run(run).map(|outcome| outcome.exit_code).map_err(|error| (error.kind(), error.to_string()))
    };
    for (limits, named) in [(&time, "time"), (&fuel, "fuel"), (&both, "fuel")] {
        let (kind, message) = run(&none, limits).unwrap_err();
        assert!(kind == Kind::Limit && message.contains(&format!("limit on {named}")), "{message}");
    }
    // Code that could keep more than the run asks for runs without a limit.
    for limits in [&none, &time, &fuel, &both] {
        assert_eq!(run(&both, limits), Ok(0));
    }
}
