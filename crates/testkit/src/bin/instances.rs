//! What many live instances of one pack cost: `instances PACK COUNT [ARGS...]` makes COUNT instances in one
//! process, runs `_start` of each (whose output is thrown away) and keeps them all, then prints, in bytes per
//! instance, how much the private memory of the process grew, and how long each step took. The pack runs as it
//! is, as on any other host. `--idle` leaves out running.

use std::process::ExitCode;
use std::time::Instant;
use weir_engine::{Cache, CoreProgram, Ends, Error, Live, Program, Run};
use weir_types::grants::{Grants, UnknownImports};
use weir_types::limits::Limits;

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let idle = words.iter().position(|word| word == "--idle").map(|at| words.remove(at)).is_some();
    let (Some(path), Some(Ok(count))) = (words.first(), words.get(1).map(|count| count.parse::<usize>())) else {
        eprintln!("usage: instances [--idle] PACK COUNT [ARGS...]");
        return ExitCode::FAILURE;
    };
    let args = std::iter::once("instance".to_owned()).chain(words.iter().skip(2).cloned()).collect();
    match measure(path, count, args, idle) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instances: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(path: &str, count: usize, args: Vec<String>, idle: bool) -> Result<(), Error> {
    let (grants, limits) = (Grants { args, ..Grants::default() }, Limits::default());
    let cache = Cache::of_user();
    let run = || Run { ends: Ends::silent(), ..Run::new(&grants, &limits) };
    let started = Instant::now();
    let program = Program::open(path.as_ref(), cache.as_ref().map(Cache::folder))?;
    let core = CoreProgram::load(
        &program,
        b"instances",
        &limits,
        UnknownImports::Refuse,
        cache.as_ref(),
        weir_engine::as_it_is,
    )?;
    let load = started.elapsed();
    // The first one pays for what all share.
    drop(instance(&core, run(), idle)?);
    let (before, mut kept) = (private_bytes(), Vec::new());
    let started = Instant::now();
    for _ in 0..count {
        kept.push(instance(&core, run(), idle)?);
    }
    let made = started.elapsed();
    let after = private_bytes();
    println!("load_us {}", load.as_micros());
    println!("instance_us {:.2}", made.as_secs_f64() * 1e6 / count as f64);
    println!("private_bytes_per_instance {}", after.saturating_sub(before) / count as u64);
    println!("rss_bytes {}", status_bytes("VmRSS:"));
    println!("instances {}", kept.len());
    Ok(())
}

fn instance(core: &CoreProgram, run: Run<'_>, idle: bool) -> Result<Live, Error> {
    let mut live = core.instantiate(run)?;
    if !idle {
        // A program that exits by itself ends its call with an error, and its memory stays as it is.
        let _ = live.call("_start", &[]);
    }
    Ok(live)
}

/// Bytes of memory that only this process has: written pages, not mapped files.
fn private_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let lines = text.lines().filter(|line| line.starts_with("Private_Dirty:") || line.starts_with("Anonymous:"));
    let kib = lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).max();
    kib.unwrap_or(0) * 1024
}

fn status_bytes(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
