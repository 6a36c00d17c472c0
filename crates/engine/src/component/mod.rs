//! Components: command programs of WASI 0.2 and 0.3, with files from the virtual file system.
//!
//! Settings are chosen per program: concurrency support, which makes every component call dearer, is
//! on only for programs that use WASI 0.3 or asynchronous functions. One run is one store on one
//! thread with a small runtime of its own, so that waiting for streams, clocks and sockets ends at
//! the deadline. Linking, limits and errors are here; what the imports do is in the files beside.

mod clocks;
mod files;
mod http;
mod link;
mod net;
mod random;
mod state;
mod stdio;
mod tree;

use crate::cache::Cache;
use crate::core::{Metering, NO_ENGINE, cache_key, explain_error, explain_setup};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Stop};
use crate::imports::{check_component, component_entry, refuse_threads};
use crate::invalid::invalid;
use crate::places::Places;
use crate::run::{Outcome, Run};
use crate::save;
use crate::source::Program;
use crate::stats::Stats;
use crate::trace::Trace;
use state::State;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre, Type};
use wasmtime::{Config, Engine, OptLevel, Store};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::CommandPre as CommandPre2;
use wasmtime_wasi::p3::bindings::CommandPre as CommandPre3;
use weir_types::entry::Series;
use weir_types::grants::UnknownImports;
use weir_types::limits::Limits;

/// Bytes of a fiber's stack beyond the program's own, for host calls.
const HOST_STACK_BYTES: u64 = 1 << 20;

/// A compiled component.
pub struct ComponentProgram {
    engine: Engine,
    component: Component,
    metering: Metering,
    stats: Stats,
}

/// Whether asynchronous functions are compiled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Concurrency {
    Off,
    On,
}

impl Concurrency {
    /// Names this choice in the cache's key.
    fn variant(self) -> &'static [u8] {
        match self {
            Concurrency::Off => b"component-sync-1",
            Concurrency::On => b"component-async-1",
        }
    }
}

impl ComponentProgram {
    /// Compiles `program`, or takes it from the cache.
    ///
    /// # Errors
    /// The program cannot be read, is not a valid component, or imports what nobody grants, where that is refused.
    pub fn load(
        program: &Program,
        unknown: UnknownImports,
        limits: &Limits,
        cache: Option<&Cache>,
    ) -> Result<Self, Error> {
        let started = Instant::now();
        let sync = engine(Concurrency::Off, limits)?;
        // Which of the two a program needs is in its bytes; what was compiled before needs no look at them.
        if let Some(hit) = Self::from_cache(program, limits, cache, &sync, Concurrency::Off, started) {
            return Ok(hit);
        }
        let concurrent = engine(Concurrency::On, limits)?;
        if let Some(hit) = Self::from_cache(program, limits, cache, &concurrent, Concurrency::On, started) {
            return Ok(hit);
        }
        let bytes = program.bytes()?;
        check_component(bytes, unknown)?;
        refuse_threads(bytes)?;
        let mut stats = Stats { load_time: program.open_time() + started.elapsed(), ..Stats::default() };
        let started = Instant::now();
        let compile = |engine: &Engine| engine.precompile_component(bytes);
        // The names of WASI 0.3 are the usual sign; a program may also use asynchronous functions of its own.
        let first = if names_p3(bytes) { None } else { compile(&sync).ok() };
        let (engine, code, concurrency) = match first {
            Some(code) => (sync, code, Concurrency::Off),
            None => {
                let code = compile(&concurrent).map_err(|error| invalid(program, "component", error))?;
                (concurrent, code, Concurrency::On)
            }
        };
        let key = cache_key(&engine, program, concurrency.variant(), Metering::of(limits));
        let component = match cache.and_then(|cache| cache.keep(&key, &code)).and_then(|path| load_file(&engine, &path))
        {
            Some(component) => component,
            None => load_bytes(&engine, &code)?,
        };
        stats.compile_time = started.elapsed();
        Ok(Self { engine, component, metering: Metering::of(limits), stats })
    }

    fn from_cache(
        program: &Program,
        limits: &Limits,
        cache: Option<&Cache>,
        engine: &Engine,
        concurrency: Concurrency,
        started: Instant,
    ) -> Option<Self> {
        let cache = cache?;
        let key = cache_key(engine, program, concurrency.variant(), Metering::of(limits));
        let Some(component) = load_file(engine, &cache.find(&key)?) else {
            cache.forget(&key);
            return None;
        };
        let stats = Stats { cache_hit: true, load_time: program.open_time() + started.elapsed(), ..Stats::default() };
        Some(Self { engine: engine.clone(), component, metering: Metering::of(limits), stats })
    }

    /// What it took to load it.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Runs the program's `wasi:cli/run` to its end. A program that exits by itself, with any code, is
    /// a success here.
    ///
    /// # Errors
    /// A grant cannot be honoured, an import is not granted, the program traps or meets a limit, or
    /// its results cannot be saved.
    pub fn run(&self, run: &Run<'_>) -> Result<Outcome, Error> {
        // A thread of its own, because the caller may be inside a runtime already.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name("program".into())
                .spawn_scoped(scope, || self.run_here(run))
                .map_err(|error| Error::new(Kind::Internal, format!("cannot start a thread: {error}")))?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn run_here(&self, run: &Run<'_>) -> Result<Outcome, Error> {
        save::check_targets(run.saves)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(Kind::Internal, format!("cannot start a runtime: {error}")))?;
        let result = runtime.block_on(self.run_async(run));
        // A thread that looks up a name may hang for long; nobody waits for it.
        runtime.shutdown_timeout(Duration::ZERO);
        result
    }

    async fn run_async(&self, run: &Run<'_>) -> Result<Outcome, Error> {
        let places = Places::plan(run)?;
        let started = Instant::now();
        let series = Command::series(&self.component, &self.engine)?;
        let linker = link::linker(&self.engine, &self.component, run.grants.unknown_imports)?;
        let pre = linker
            .instantiate_pre(&self.component)
            .map_err(|error| link::explain(&self.component, &self.engine, &error))?;
        let command = Command::new(series, pre)?;
        let mut store = self.store(run, places)?;
        let deadline = Deadline::new(run.limits.time_max);
        let _watchdog = deadline.watch(&mut store)?;
        store.data().files.lock().trace = run.trace.then(Trace::default);
        let mut stats = self.stats.clone();
        stats.instantiate_time = started.elapsed();
        let started = Instant::now();
        let ends = store.data().ends.clone();
        let ended = within(&deadline, &ends, command.call(&mut store)).await;
        stats.run_time = started.elapsed();
        let exit_code = match ended {
            Ended::Itself(Ok(Ok(()))) => 0,
            Ended::Itself(Ok(Err(()))) => 1,
            Ended::Itself(Err(failed)) => match (failed.error.downcast_ref::<I32Exit>(), failed.during) {
                (Some(I32Exit(code)), _) => *code as u32,
                (None, During::Setup) => return Err(explain_setup(&deadline, &store.data().limiter, failed.error)),
                (None, During::Run) => return Err(explain_error(&deadline, &store.data().limiter, failed.error)),
            },
            Ended::Stopped(stop) => return Err(stop_error(stop)),
        };
        if exit_code == 0 && !run.saves.is_empty() {
            save::save_all(&mut tree::Saved::new(&store.data().files), run.saves)?;
        }
        let state = store.data();
        stats.memory_peak = state.limiter.memory_peak();
        (stats.stream_bytes_in, stats.stream_bytes_out) = state.ends.bytes();
        let mut open = state.files.lock();
        let trace = open.trace.take();
        stats.looked_for = std::mem::take(&mut open.missed);
        let blobs = &mut open.tree.platform_mut().blobs;
        (stats.mount_bytes_read, stats.warnings) = (blobs.bytes_read(), std::mem::take(&mut blobs.warnings));
        drop(open);
        stats.fuel_used = run.limits.fuel_max.and_then(|max| Some(max - store.get_fuel().ok()?));
        Ok(Outcome { exit_code, stats, trace })
    }

    fn store(&self, run: &Run<'_>, places: Places) -> Result<Store<State>, Error> {
        let mut store = Store::new(&self.engine, State::new(run, places)?);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(usize::try_from(run.limits.call_bytes_max).unwrap_or(usize::MAX));
        self.metering.arm(&mut store, run.limits)?;
        let resources = usize::try_from(run.limits.resources_max).unwrap_or(usize::MAX);
        if let Some(table) = store.concurrent_resource_table() {
            table.set_max_capacity(resources);
        }
        Ok(store)
    }
}

/// A command that is linked, by the series of its entry.
enum Command {
    P2(CommandPre2<State>),
    P3(CommandPre3<State>),
}

impl Command {
    /// The series of the entry of `component`.
    ///
    /// # Errors
    /// It has none, or one of another type than commands have.
    fn series(component: &Component, engine: &Engine) -> Result<Series, Error> {
        let ty = component.component_type();
        let names: Vec<&str> = ty.exports(engine).map(|(name, _)| name).collect();
        let entry = component_entry(&names)?;
        let export = ty.exports(engine).find(|(name, _)| *name == entry.interface).map(|(_, item)| item.ty);
        if !is_run(export, engine) {
            let what = format!("the program's {} is not that of a command", entry.interface);
            return Err(Error::new(Kind::Program, format!("{what}: it must have `run: func() -> result`")));
        }
        Ok(entry.series)
    }

    fn new(series: Series, pre: InstancePre<State>) -> Result<Self, Error> {
        let command = match series {
            Series::P2 => CommandPre2::new(pre).map(Command::P2),
            Series::P3 => CommandPre3::new(pre).map(Command::P3),
        };
        command.map_err(|error| Error::caused(Kind::Program, "the program's entry is not that of a command", error))
    }

    async fn call(self, store: &mut Store<State>) -> Result<Result<(), ()>, Failed> {
        let setup = |error| Failed { during: During::Setup, error };
        let ended = match self {
            Command::P2(pre) => {
                let command = pre.instantiate_async(&mut *store).await.map_err(setup)?;
                command.wasi_cli_run().call_run(&mut *store).await
            }
            Command::P3(pre) => {
                let command = pre.instantiate_async(&mut *store).await.map_err(setup)?;
                let run = store.run_concurrent(async move |store| {
                    let result = command.wasi_cli_run().call_run(store).await?;
                    // What the program left running after its result, such as a last write, still ends.
                    std::future::poll_fn(|context| store.poll_no_interesting_tasks(context)).await;
                    wasmtime::error::Ok(result)
                });
                run.await.flatten()
            }
        };
        ended.map_err(|error| Failed { during: During::Run, error })
    }
}

/// Why a call did not end by itself.
struct Failed {
    during: During,
    error: wasmtime::Error,
}

/// When it happened.
#[derive(Clone, Copy)]
enum During {
    Setup,
    Run,
}

/// Whether an export has the function that every command has.
fn is_run(export: Option<ComponentItem>, engine: &Engine) -> bool {
    let Some(ComponentItem::ComponentInstance(instance)) = export else { return false };
    let Some(ComponentItem::ComponentFunc(run)) = instance.get_export(engine, "run").map(|item| item.ty) else {
        return false;
    };
    let mut results = run.results();
    let result = match (results.next(), results.next()) {
        (Some(Type::Result(result)), None) => result,
        _ => return false,
    };
    run.params().len() == 0 && result.ok().is_none() && result.err().is_none()
}

/// How a call ended.
enum Ended<T> {
    Itself(T),
    Stopped(Stop),
}

/// Runs `call` until it ends, its streams demand an end, or the time is over.
async fn within<T>(deadline: &Deadline, ends: &Arc<stdio::Ends>, call: impl Future<Output = T>) -> Ended<T> {
    let left = deadline.left();
    let mut call = pin!(call);
    let mut stopped = pin!(ends.stopped());
    let mut late = pin!(async {
        match left {
            Some(left) => tokio::time::sleep(left).await,
            None => std::future::pending().await,
        }
    });
    std::future::poll_fn(|context| {
        if let Poll::Ready(result) = call.as_mut().poll(context) {
            return Poll::Ready(Ended::Itself(result));
        }
        if stopped.as_mut().poll(context).is_ready()
            && let Some(stop) = ends.take_stop()
        {
            return Poll::Ready(Ended::Stopped(stop));
        }
        match late.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Ended::Stopped(deadline.error())),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn stop_error(stop: Stop) -> Error {
    let kind = match stop {
        Stop::BrokenPipe => Kind::BrokenPipe,
        _ => Kind::Limit,
    };
    Error::new(kind, stop.to_string())
}

fn engine(concurrency: Concurrency, limits: &Limits) -> Result<Engine, Error> {
    let metering = Metering::of(limits);
    let concurrent = concurrency == Concurrency::On;
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_component_model_async(concurrent)
        .concurrency_support(concurrent)
        .consume_fuel(metering.fuel)
        .epoch_interruption(metering.epoch)
        .max_wasm_stack(limits.stack_max as usize)
        .async_stack_size(limits.stack_max.saturating_add(HOST_STACK_BYTES) as usize);
    Engine::new(&config).map_err(|error| Error::machine(NO_ENGINE, error))
}

/// Whether the bytes name an interface of WASI 0.3.
fn names_p3(bytes: &[u8]) -> bool {
    bytes.windows(5).any(|window| window == b"@0.3.")
}

#[allow(unsafe_code, reason = "mapping compiled code is wasmtime's only lazy way to load it")]
pub(crate) fn load_file(engine: &Engine, path: &Path) -> Option<Component> {
    // SAFETY: `path` comes from `Cache`: this user alone can write there, and the bytes are those
    // that `precompile_component` gave us, by digest.
    unsafe { Component::deserialize_file(engine, path) }.ok()
}

#[allow(unsafe_code, reason = "loading what was compiled a moment ago")]
pub(crate) fn load_bytes(engine: &Engine, code: &[u8]) -> Result<Component, Error> {
    // SAFETY: `code` was made by this engine's `precompile_component` just before.
    unsafe { Component::deserialize(engine, code) }
        .map_err(|error| Error::caused(Kind::Internal, "compiled code does not load", error))
}
