//! `weir call`: a function of a component, called from the command line.

use crate::exit::{self, Failure};
use crate::launch::open;
use crate::options::LimitOptions;
use crate::pack::write_aside;
use clap::Args;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use weir_engine::{Cache, LiftedFunction, Val, wave};

/// Calls a function that a component exports.
///
/// The call is written in WAVE, as in `render(svg: @cat.svg, width: some(64))`: `@file` is the bytes of a file,
/// `@-` those of stdin. Parameters may be named; an option that is left out is none. Each call has an instance of
/// its own.
#[derive(Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  weir call render.wasm 'render(svg: @cat.svg, width: some(64))' -o cat.png\n",
    "  echo hello | weir call speak.wasm 'speak(text: @-)' -o hello.wav\n",
    "  weir call render.wasm --repeat 1000 --stats 'render(@cat.svg)'\n\n",
    "A text or bytes are printed as they are, any other result as WAVE. A failure that the\n",
    "function's type speaks of is printed to stderr, and the exit code is 1."
), after_long_help = exit::HELP)]
pub struct Options {
    /// Write the result to a file; with a slash at the end, each part of it to a file of its name in this directory
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Call it so many times, and give the last result
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Print calls per second and the times of calls to stderr
    #[arg(long)]
    stats: bool,
    #[command(flatten)]
    limits: LimitOptions,
    /// A component
    #[arg(value_name = "COMPONENT")]
    program: PathBuf,
    /// The function and its arguments
    #[arg(value_name = "CALL")]
    call: String,
}

/// Runs the subcommand.
///
/// # Errors
/// The call does not fit the function, or the function traps or meets a limit.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let cache = Cache::of_user();
    let program = open(&options.program, cache.as_ref())?;
    let limits = options.limits.collect();
    let name = wave::function_name(&options.call);
    let function = LiftedFunction::load(&program, Some(name), &limits, cache.as_ref())?;
    let args = wave::arguments(&options.call, function.params(), &mut fetch)
        .map_err(|error| Failure::grant(format!("{name}: {error}")))?;
    let mut times = Vec::new();
    let mut result = None;
    for _ in 0..options.repeat {
        let started = Instant::now();
        result = function.call(&args)?;
        times.push(started.elapsed());
    }
    if options.stats {
        print_stats(&mut times);
    }
    finish(options, name, result)
}

/// The bytes behind `@path`.
fn fetch(path: &str) -> Result<Vec<u8>, String> {
    if path == "-" {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map_err(|error| format!("cannot read stdin: {error}"))?;
        return Ok(bytes);
    }
    std::fs::read(path).map_err(|error| format!("cannot read {path}: {error}"))
}

fn print_stats(times: &mut [Duration]) {
    let all: Duration = times.iter().sum();
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
    eprintln!("calls       {:>12}", times.len());
    eprintln!("per second  {:>12.1}", times.len() as f64 / all.as_secs_f64());
    for (name, part) in [("p50", 0.5), ("p99", 0.99), ("longest", 1.0)] {
        eprintln!("{name:<12}{:>12.2} us", at(part));
    }
}

fn finish(options: &Options, name: &str, result: Option<Val>) -> Result<ExitCode, Failure> {
    let value = match result {
        Some(Val::Result(Err(failure))) => {
            let failure = failure.as_deref();
            eprintln!("weir: {name} failed: {}", failure.map_or_else(String::new, describe));
            return Ok(ExitCode::FAILURE);
        }
        Some(Val::Result(Ok(value))) => value.map(|value| *value),
        other => other,
    };
    if let (Some(folder), Some(value)) = (options.output.as_ref().filter(|path| is_folder(path)), &value) {
        match value {
            Val::Record(fields) => fields.iter().try_for_each(|(name, value)| write_part(folder, name, value))?,
            value => write_part(folder, "result", value)?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let bytes = value.as_ref().map_or_else(Vec::new, |value| bytes_of(value).unwrap_or_else(|| as_text(value)));
    match &options.output {
        Some(path) => write_aside(path, &bytes)?,
        None => {
            let mut stdout = io::stdout().lock();
            let written = stdout.write_all(&bytes).and_then(|()| stdout.flush());
            match written {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(exit::BROKEN_PIPE.into()),
                written => written.map_err(|error| Failure::save(format!("cannot write the result: {error}")))?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn as_text(value: &Val) -> Vec<u8> {
    (wave::show(value) + "\n").into_bytes()
}

fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// Writes a part of the result to a file of its name: an absent option to none, files by path to a directory.
fn write_part(folder: &Path, name: &str, value: &Val) -> Result<(), Failure> {
    let path = folder.join(name);
    if let Val::Option(inside) = value {
        return inside.as_deref().map_or(Ok(()), |inside| write_part(folder, name, inside));
    }
    if let (Val::List(items), None) = (value, bytes_of(value)) {
        for item in items {
            let Some((inner, bytes)) = named_file(item) else { return write_file(&path, &as_text(value)) };
            // The name comes from a component, which must not choose where on this machine it writes.
            if !Path::new(inner).components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(Failure::save(format!("the result has a file {inner:?}, which is no name inside {name}")));
            }
            write_file(&path.join(inner), &bytes)?;
        }
        return Ok(());
    }
    write_file(&path, &bytes_of(value).unwrap_or_else(|| as_text(value)))
}

/// A pair of a path and contents.
fn named_file(value: &Val) -> Option<(&str, Vec<u8>)> {
    match value {
        Val::Tuple(pair) => match pair.as_slice() {
            [Val::String(name), contents] => Some((name, bytes_of(contents)?)),
            _ => None,
        },
        _ => None,
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|error| Failure::save(format!("cannot make {}: {error}", parent.display())))?;
    }
    write_aside(path, bytes)
}

/// A text or bytes as they are.
fn bytes_of(value: &Val) -> Option<Vec<u8>> {
    match value {
        Val::String(text) => Some(text.clone().into_bytes()),
        Val::List(items) => {
            items.iter().map(|item| if let Val::U8(byte) = item { Some(*byte) } else { None }).collect()
        }
        _ => None,
    }
}

/// A failure in words: those of lifted programs by their parts, others as they are.
fn describe(failure: &Val) -> String {
    let Val::Record(fields) = failure else { return wave::show(failure) };
    let text = |name: &str| {
        fields.iter().find(|(field, _)| field == name).and_then(|(_, value)| match value {
            Val::String(text) => Some(text.trim_end()),
            _ => None,
        })
    };
    match (text("message"), text("stderr")) {
        (Some(message), Some("")) => message.into(),
        (Some(message), Some(stderr)) => format!("{message}\n{stderr}"),
        _ => wave::show(failure),
    }
}
