//! Ten thousand programs that wait on a stream, in one process on two threads; beside them one that loops, one that floods,
//! one that traps and one that recurses without end. Prints what a waiting program costs, and how long it takes to wake.
//!
//! `cargo run --release -p weir --example ten_thousand [COUNT]`

use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir::{Error, Grants, Input, Limits, Output, Running, Weir};

/// Answers each byte of stdin with the next one.
const ECHO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\01\00\00\00")
  (func (export "_start") (loop $next
    (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then (return)))
    (if (i32.eqz (i32.load (i32.const 8))) (then (return)))
    (i32.store8 (i32.const 16) (i32.add (i32.load8_u (i32.const 16)) (i32.const 1)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (br $next))))"#;

/// What nobody else may notice.
const BAD: [(&str, &str); 4] = [
    ("loops", "(loop $l (br $l))"),
    ("traps", "(unreachable)"),
    ("recurses", "(call $start)"),
    ("floods", "(loop $l (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))) (br $l))"),
];

fn bad(body: &str) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1) (data (i32.const 0) "\10\00\00\00\00\10\00\00")
          (func $start (export "_start") {body}))"#
    )
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = std::env::args().nth(1).map_or(Ok(10_000), |count| count.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(count))
}

/// A program, and the two ends that it waits on.
struct Waiting {
    running: Running,
    to: tokio::io::DuplexStream,
    from: tokio::io::DuplexStream,
}

async fn run(count: usize) -> Result<(), Box<dyn std::error::Error>> {
    let weir = Weir::new();
    let echo = weir.open_bytes("echo.wat", ECHO)?;
    let start = || -> Result<Waiting, Error> {
        let ((to, stdin), (from, stdout)) = (tokio::io::duplex(64), tokio::io::duplex(64));
        let grants = Grants::new().stdin(Input::Reader(Box::new(stdin))).stdout(Output::Writer(Box::new(stdout)));
        Ok(Waiting { running: echo.spawn(grants, Limits::default())?, to, from })
    };
    ask(&mut start()?).await?;
    let (before, started) = (resident_bytes(), Instant::now());
    let mut all = (0..count).map(|_| start()).collect::<Result<Vec<_>, _>>()?;
    for waiting in &mut all {
        ask(waiting).await?;
    }
    println!("{count} programs wait; started and asked once in {:?}", started.elapsed());
    println!("memory of each     {:>8} bytes", resident_bytes().saturating_sub(before) / count as u64);
    wake("alone", &mut all).await?;
    let mut neighbours = Vec::new();
    for (name, body) in BAD {
        let limits = Limits { output_max: Some(1 << 30), ..Limits::default() };
        neighbours.push((name, weir.open_bytes(name, bad(body))?.spawn(Grants::new(), limits)?));
    }
    wake("beside bad neighbours", &mut all).await?;
    for (name, running) in neighbours {
        running.stop();
        println!("what {name:<9} ends: {}", running.await.err().map_or("well".into(), |error| first_line(&error)));
    }
    wake("alone again", &mut all).await?;
    println!("{} still run", all.iter().filter(|waiting| !waiting.running.has_ended()).count());
    Ok(())
}

async fn ask(waiting: &mut Waiting) -> std::io::Result<()> {
    waiting.to.write_all(&[7]).await?;
    let answer = waiting.from.read_u8().await?;
    assert_eq!(answer, 8);
    Ok(())
}

/// How long programs take to answer, one after another.
async fn wake(when: &str, all: &mut [Waiting]) -> std::io::Result<()> {
    let mut times = Vec::new();
    for waiting in all.iter_mut() {
        let started = Instant::now();
        ask(waiting).await?;
        times.push(started.elapsed());
    }
    times.sort();
    let at = |part: f64| -> Duration { times[((times.len() - 1) as f64 * part) as usize] };
    println!("answer {when:<22} p50 {:?}  p99 {:?}  longest {:?}", at(0.5), at(0.99), at(1.0));
    Ok(())
}

fn first_line(error: &Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Bytes of memory that this process holds.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
