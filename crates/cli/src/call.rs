//! `weir call`: a function of a component or of a core module, called from the command line.

use crate::exit::{self, Failure};
use crate::launch::{open, prepare};
use crate::notice::while_compiling;
use crate::options::{LimitOptions, unknown_imports};
use crate::run::exit_code;
use crate::target::{self, Output};
use clap::Args;
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use weir::{Format, Grants, Limits, Program, UnknownImports};
use weir_engine::{Called, LiftedFunction, Sink, Value, open_within_time, wave, within_time, written_within_time};
use weir_types::limits::VALUE_BYTES_MAX;
use weir_types::units::parse_size;

/// Calls a function that a component or a core module exports.
///
/// The call is written in WAVE, as in `render(svg: @cat.svg, width: some(64))`: `@file` is the bytes of a file,
/// `@-` those of stdin. Parameters may be named; an option that is left out is none. A stream is `@file`, `-` or a
/// text, and is read while the function runs. Each call has an instance of its own.
///
/// Functions of a core module take and give numbers, as in `add(1, 0xff)`; a library is set up by its `_initialize`.
#[derive(Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  weir call render.wasm 'render(svg: @cat.svg, width: some(64))' -o cat.png\n",
    "  echo hello | weir call speak.wasm 'speak(text: @-)' -o hello.wav\n",
    "  weir call render.wasm --repeat 1000 --stats 'render(@cat.svg)'\n",
    "  tail -f log | weir call grep.wasm 'grep(pattern: \"error\", lines: -)'\n\n",
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
    /// Memory of weir for the values of the result [default: 2GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    result_max: Option<u64>,
    /// Imports of a core module that nobody grants: it is refused, or they trap when they are called
    #[arg(long, value_name = "refuse|trap", value_parser = unknown_imports, default_value = "refuse", hide_default_value = true)]
    unknown_imports: UnknownImports,
    #[command(flatten)]
    limits: LimitOptions,
    /// A component, or a core module
    #[arg(value_name = "PROGRAM")]
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
    options.output.as_deref().filter(|path| !is_folder(path)).map_or(Ok(()), target::judge)?;
    let program = open(&options.program)?;
    let mut limits = options.limits.collect();
    limits.result_bytes_max = options.result_max.unwrap_or(limits.result_bytes_max);
    if program.format() == Format::Module {
        return call_module(options, &program, &limits);
    }
    if options.unknown_imports == UnknownImports::Trap {
        return Err(Failure::grant(
            "--unknown-imports is for core modules: what a component imports is typed, compose it",
        ));
    }
    let call = options.call.trim();
    let name = wave::function_name(call);
    let function = while_compiling(program.path(), || program.function(Some(name), &limits))?;
    let function = function.lifted();
    let mut times = Vec::new();
    let mut result = None;
    let mut outputs = Outputs::new(options, function, &limits)?;
    let wrong = |error| Failure::grant(format!("{name}: {error}"));
    if function.has_streams() {
        for _ in 0..options.repeat {
            // A stream is used up by a call.
            outputs.open()?;
            let mut streams = Opened { outputs: &mut outputs, repeat: options.repeat, limits: &limits };
            let args =
                wave::arguments_with_streams(call, function.params(), &mut |path| fetch(path, &limits), &mut streams);
            let args = args.map_err(wrong)?;
            let started = Instant::now();
            result = function.call_with_streams(args, &mut |name| outputs.sink(name))?;
            times.push(started.elapsed());
        }
    } else {
        let args: Arc<[Value]> =
            wave::arguments(call, function.params(), &mut |path| fetch(path, &limits)).map_err(wrong)?.into();
        let mut args = Some(args);
        for left in (0..options.repeat).rev() {
            // The last call has them for itself: what is large is then there once.
            let given = if left == 0 { args.take() } else { args.clone() };
            let started = Instant::now();
            result = function.call(given.unwrap_or_default())?;
            times.push(started.elapsed());
        }
    }
    if options.stats {
        print_stats(&mut times);
    }
    finish(options, name, result, outputs)
}

/// Calls a function of a core module.
fn call_module(options: &Options, program: &Program, limits: &Limits) -> Result<ExitCode, Failure> {
    let grants = Grants::new().args([options.program.display().to_string()]).process_streams();
    let prepared = prepare(program, grants.unknown_imports(options.unknown_imports), limits)?;
    let numbers = prepared.numbers()?;
    let function = numbers.function(&options.call)?;
    let (name, args) = (function.name(), function.arguments(&options.call)?);
    let (mut times, mut result) = (Vec::new(), None);
    for _ in 0..options.repeat {
        let started = Instant::now();
        result = match function.call(&args)? {
            Called::Returned(result) => result,
            Called::Exited(code) => {
                note!("weir: {name} ended the program with exit code {code}");
                return Ok(exit_code(code));
            }
        };
        times.push(started.elapsed());
    }
    if options.stats {
        print_stats(&mut times);
    }
    keep(options, result.as_ref())
}

/// What lies behind `@path`, or stdin, to be read while the function runs.
fn open_stream(path: &str, repeat: u32, limits: &Limits) -> Result<Box<dyn Read + Send>, String> {
    if path != "-" {
        return open_within_time(Path::new(path), limits).map_err(|error| format!("cannot read {path}: {error}"));
    }
    if repeat > 1 {
        return Err("stdin can be read once: not with --repeat".into());
    }
    // The process has one stdin, and nobody else reads it.
    let file = io::stdin().as_fd().try_clone_to_owned().map_err(|error| format!("cannot read stdin: {error}"))?;
    Ok(within_time(File::from(file), limits))
}

/// Opens the streams of a call.
struct Opened<'o, 'p> {
    outputs: &'o mut Outputs<'p>,
    repeat: u32,
    limits: &'o Limits,
}

impl wave::Streams for Opened<'_, '_> {
    fn read(&mut self, path: &str) -> Result<Box<dyn Read + Send>, String> {
        open_stream(path, self.repeat, self.limits)
    }

    fn write(&mut self, path: &str) -> Result<Sink, String> {
        if path == "-" {
            return self.outputs.stdout().map_err(|error| format!("cannot write stdout: {error}"));
        }
        let output = Output::open(Path::new(path)).map_err(|failure| failure.message().to_owned())?;
        let sink = output.file().try_clone().map_err(|error| format!("cannot write {path}: {error}"))?;
        self.outputs.written.push(output);
        Ok(written_within_time(sink, self.limits))
    }
}

/// Where the streams of a result go: stdout, a file, or files of their names in a directory.
struct Outputs<'o> {
    names: Vec<String>,
    place: Option<&'o Path>,
    /// Files under other names, until all is well.
    written: Vec<Output>,
    limits: &'o Limits,
    /// Whether the reader of stdout is gone.
    gone: Arc<AtomicBool>,
}

impl<'o> Outputs<'o> {
    fn new(options: &'o Options, function: &LiftedFunction, limits: &'o Limits) -> Result<Self, Failure> {
        let (names, place) = (function.result_streams(), options.output.as_deref());
        if names.len() > 1 && !place.is_some_and(is_folder) {
            let what = format!("the result has the streams {}: give -o DIR/, where each has a file", names.join(", "));
            return Err(Failure::grant(what));
        }
        Ok(Self { names, place, written: Vec::new(), limits, gone: Arc::default() })
    }

    fn open(&mut self) -> Result<(), Failure> {
        self.written.clear();
        let Some(place) = self.place.filter(|_| !self.names.is_empty()) else { return Ok(()) };
        for name in &self.names {
            let path = if is_folder(place) { place.join(name) } else { place.to_owned() };
            if is_folder(place) {
                std::fs::create_dir_all(place)
                    .map_err(|error| Failure::save(format!("cannot make {}: {error}", place.display())))?;
            }
            self.written.push(Output::open(&path)?);
        }
        Ok(())
    }

    fn sink(&mut self, name: &str) -> Sink {
        let at = self.names.iter().position(|known| known == name);
        match at.and_then(|at| self.written.get(at)).map(|output| output.file().try_clone()) {
            Some(Ok(file)) => written_within_time(file, self.limits),
            Some(Err(_)) => Box::new(io::sink()),
            None => self.stdout().unwrap_or_else(|_| Box::new(io::sink())),
        }
    }

    fn stdout(&self) -> io::Result<Sink> {
        let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Box::new(Stdout { gone: self.gone.clone(), out: written_within_time(stdout, self.limits) }))
    }

    fn keep(self) -> Result<(), Failure> {
        self.written.into_iter().try_for_each(Output::keep)
    }
}

/// What is written to stdout is there at once.
struct Stdout {
    gone: Arc<AtomicBool>,
    out: Sink,
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        if written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            self.gone.store(true, Ordering::Relaxed);
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The bytes behind `@path`.
fn fetch(path: &str, limits: &Limits) -> Result<Vec<u8>, String> {
    let cannot = |error: io::Error| format!("cannot read {path}: {error}");
    let source = open_stream(path, 1, limits)?;
    // A large file is read into as much as it needs.
    let size =
        std::fs::metadata(path).map_or(0, |meta| if meta.is_file() { meta.len().min(VALUE_BYTES_MAX) } else { 0 });
    let mut bytes = Vec::with_capacity(size as usize + 1);
    source.take(VALUE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > VALUE_BYTES_MAX {
        return Err(format!(
            "{path} has more than {VALUE_BYTES_MAX} bytes, the most that a value holds: give it as a stream"
        ));
    }
    Ok(bytes)
}

fn print_stats(times: &mut [Duration]) {
    let all: Duration = times.iter().sum();
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
    note!("calls       {:>12}", times.len());
    note!("per second  {:>12.1}", times.len() as f64 / all.as_secs_f64());
    for (name, part) in [("p50", 0.5), ("p99", 0.99), ("longest", 1.0)] {
        note!("{name:<12}{:>12.2} us", at(part));
    }
}

fn finish(options: &Options, name: &str, result: Option<Value>, outputs: Outputs<'_>) -> Result<ExitCode, Failure> {
    let streams = !outputs.names.is_empty();
    let written = !outputs.written.is_empty();
    let value = match result {
        // What a program makes of it that nobody reads its output is no news.
        _ if outputs.gone.load(Ordering::Relaxed) => return Ok(exit::BROKEN_PIPE.into()),
        Some(Value::Result(Err(failure))) => {
            let failure = failure.as_deref();
            note!("weir: {name} failed: {}", failure.map_or_else(String::new, describe));
            return Ok(ExitCode::FAILURE);
        }
        Some(Value::Result(Ok(value))) => value.map(|value| *value),
        other => other,
    };
    if streams || written {
        outputs.keep()?;
    }
    if streams {
        // Beside streams the rest of the result is for the directory, or not asked for.
        let folder = options.output.as_deref().filter(|path| is_folder(path));
        return folder
            .zip(value)
            .map_or(Ok(()), |(folder, value)| write_parts(folder, &value))
            .map(|()| ExitCode::SUCCESS);
    }
    keep(options, value.as_ref())
}

/// Writes a result to its file or files, or prints it.
fn keep(options: &Options, value: Option<&Value>) -> Result<ExitCode, Failure> {
    if let (Some(folder), Some(value)) = (options.output.as_ref().filter(|path| is_folder(path)), value) {
        return write_parts(folder, value).map(|()| ExitCode::SUCCESS);
    }
    let bytes = value.map_or(Cow::Borrowed(&[][..]), shown);
    match &options.output {
        Some(path) => target::write(path, &bytes)?,
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

/// A text or bytes as they are, anything else as WAVE.
fn shown(value: &Value) -> Cow<'_, [u8]> {
    bytes_of(value).map_or_else(|| Cow::Owned((wave::show(value) + "\n").into_bytes()), Cow::Borrowed)
}

fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

fn write_parts(folder: &Path, value: &Value) -> Result<(), Failure> {
    match value {
        Value::Record(fields) => fields.iter().try_for_each(|(name, value)| write_part(folder, name, value)),
        Value::Tuple(parts) => {
            parts.iter().enumerate().try_for_each(|(at, value)| write_part(folder, &at.to_string(), value))
        }
        value => write_part(folder, "result", value),
    }
}

/// Writes a part of the result to a file of its name: an absent option to none, files by path to a directory.
fn write_part(folder: &Path, name: &str, value: &Value) -> Result<(), Failure> {
    let path = folder.join(name);
    if let Value::Option(inside) = value {
        return inside.as_deref().map_or(Ok(()), |inside| write_part(folder, name, inside));
    }
    if let (Some(files), None) = (files_of(value), bytes_of(value)) {
        for (inner, bytes) in files {
            // The name comes from a component, which must not choose where on this machine it writes.
            if !Path::new(inner).components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(Failure::save(format!("the result has a file {inner:?}, which is no name inside {name}")));
            }
            write_file(&path.join(inner), bytes)?;
        }
        return Ok(());
    }
    write_file(&path, &shown(value))
}

/// Paths and contents, if a value is a list or a map of those.
fn files_of(value: &Value) -> Option<Vec<(&str, &[u8])>> {
    fn file<'v>(name: &'v Value, contents: &'v Value) -> Option<(&'v str, &'v [u8])> {
        if let Value::String(name) = name { Some((name, bytes_of(contents)?)) } else { None }
    }
    match value {
        Value::Map(pairs) => pairs.iter().map(|(name, contents)| file(name, contents)).collect(),
        Value::List(items) => {
            let files = items.iter().map(|item| match item {
                Value::Tuple(pair) => pair.split_first().and_then(|(name, rest)| file(name, rest.first()?)),
                _ => None,
            });
            files.collect()
        }
        _ => None,
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|error| Failure::save(format!("cannot make {}: {error}", parent.display())))?;
    }
    target::write(path, bytes)
}

/// A text or bytes as they are.
fn bytes_of(value: &Value) -> Option<&[u8]> {
    match value {
        Value::String(text) => Some(text.as_bytes()),
        value => value.as_bytes(),
    }
}

/// A failure in words: those of lifted programs by their parts, others as they are.
fn describe(failure: &Value) -> String {
    let Value::Record(fields) = failure else { return wave::show(failure) };
    let text = |name: &str| {
        fields.iter().find(|(field, _)| field == name).and_then(|(_, value)| match value {
            Value::String(text) => Some(text.trim_end()),
            _ => None,
        })
    };
    match (text("message"), text("stderr")) {
        (Some(message), Some("")) => message.into(),
        (Some(message), Some(stderr)) => format!("{message}\n{stderr}"),
        _ => wave::show(failure),
    }
}
