//! Core programs: compile (or fetch from the cache), hand over what was granted, run the entry.
//!
//! Settings are chosen for core modules: component concurrency off, epochs and fuel compiled in only
//! when a limit asks for them, since both cost speed in every loop. Only the imports that a module
//! has are made; a module that asks for anything else is refused by name before it runs.

use crate::blobs::Blobs;
use crate::cache::Cache;
use crate::clock::{Clock, Random};
use crate::deadline::{Deadline, Watchdog};
use crate::error::{Error, Kind, Stop, is_no_room};
use crate::exports;
use crate::host_dirs;
use crate::imports::not_granted;
use crate::invalid::invalid;
use crate::limiter::Limiter;
use crate::p1;
use crate::p1::stdio::Streams;
use crate::places::Places;
use crate::run::{Outcome, Run};
use crate::save;
use crate::source::Program;
use crate::state::RunState;
use crate::stats::Stats;
use crate::trace::Trace;
use crate::uses::Uses;
use std::time::Instant;
use wasmtime::{
    Config, Engine, Extern, Func, FuncType, Instance, Module, OptLevel, Store, Trap, TypedFunc, Val, ValType,
    WasmBacktrace,
};
use weir_types::Digest;
use weir_types::entry::{self, ModuleEntry, NoEntry};
use weir_types::grants::{Grants, UnknownImports};
use weir_types::limits::Limits;

/// What to say where the machine does not let the engine start.
pub(crate) const NO_ENGINE: &str = "this machine cannot run the engine";
/// Bytes of stack beyond the program's own that the host needs for its calls.
const HOST_STACK_BYTES: u64 = 2 << 20;

/// A compiled core program.
pub struct CoreProgram {
    engine: Engine,
    module: Module,
    metering: Metering,
    stack_max: u64,
    stats: Stats,
}

/// Which code is compiled in beside the program's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Metering {
    pub fuel: bool,
    pub epoch: bool,
}

impl Metering {
    /// What `limits` ask for.
    pub fn of(limits: &Limits) -> Self {
        Self { fuel: limits.fuel_max.is_some(), epoch: limits.time_max.is_some() }
    }

    /// Gives `store` the fuel of its run, where the code counts it.
    ///
    /// # Errors
    /// The run has a limit that the code was not compiled for: nothing would hold it.
    pub fn arm<T>(self, store: &mut Store<T>, limits: &Limits) -> Result<(), Error> {
        let wanted = Self::of(limits);
        let missing = match (wanted.fuel && !self.fuel, wanted.epoch && !self.epoch) {
            (true, _) => "fuel",
            (_, true) => "time",
            _ => "",
        };
        if !missing.is_empty() {
            let what = format!("the run has a limit on {missing}, which the program was loaded without");
            return Err(Error::new(Kind::Limit, format!("{what}: load it with that limit, too")));
        }
        if self.fuel {
            let fuel = limits.fuel_max.unwrap_or(u64::MAX);
            store.set_fuel(fuel).map_err(|error| Error::caused(Kind::Internal, "cannot set fuel", error))?;
        }
        if self.epoch {
            // Until a deadline is watched, no epoch ends the run: half of all there are is never reached.
            store.set_epoch_deadline(u64::MAX / 2);
        }
        Ok(())
    }
}

impl CoreProgram {
    /// Compiles `program`, or takes it from the cache. `link` turns its bytes into the module that
    /// will run and `variant` names that transformation: same program and variant, same module.
    ///
    /// # Errors
    /// The program cannot be read or linked, or the module is not valid.
    pub fn load(
        program: &Program,
        variant: &[u8],
        limits: &Limits,
        cache: Option<&Cache>,
        link: impl FnOnce(&[u8]) -> Result<Vec<u8>, Error>,
    ) -> Result<Self, Error> {
        let metering = Metering::of(limits);
        let engine = engine(metering, limits)?;
        let mut stats = Stats::default();
        let key = cache_key(&engine, program, variant, metering);
        let started = Instant::now();
        if let Some(module) = cache.and_then(|cache| from_cache(cache, &key, &engine)) {
            stats.cache_hit = true;
            stats.load_time = program.open_time() + started.elapsed();
            return Ok(Self { engine, module, metering, stack_max: limits.stack_max, stats });
        }
        let bytes = program.bytes()?;
        stats.load_time = program.open_time() + started.elapsed();
        let started = Instant::now();
        let linked = link(bytes)?;
        stats.link_time = started.elapsed();
        let started = Instant::now();
        let code = engine.precompile_module(&linked).map_err(|error| invalid(program, "WebAssembly module", error))?;
        let module = keep_and_load(cache, &key, &engine, &code)?;
        stats.compile_time = started.elapsed();
        Ok(Self { engine, module, metering, stack_max: limits.stack_max, stats })
    }

    /// What it took to load it.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Runs the program's entry to its end: `_start`, or what [`weir_types::entry`] says. A program that exits by itself, with any code, is a
    /// success here.
    ///
    /// # Errors
    /// A grant cannot be honoured, an import is not granted, the program traps or meets a limit, or
    /// its results cannot be saved.
    pub fn run(&self, run: &Run<'_>) -> Result<Outcome, Error> {
        self.on_own_stack(|| self.run_here(run))?
    }

    /// Does `work` on a stack that has room for as much as the program may use.
    pub(crate) fn on_own_stack<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let stack_bytes = self.stack_max.saturating_add(HOST_STACK_BYTES) as usize;
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name("program".into())
                .stack_size(stack_bytes)
                .spawn_scoped(scope, work)
                .map_err(|error| Error::machine("cannot start a thread for the program", error.into()))?;
            Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    /// The module that runs: the program's, with what it was linked with.
    pub(crate) fn module(&self) -> &Module {
        &self.module
    }

    fn run_here(&self, run: &Run<'_>) -> Result<Outcome, Error> {
        let mut live = match self.begin(run)? {
            Begun::Live(live) => live,
            Begun::Ended(outcome) if outcome.exit_code == 0 && !run.saves.is_empty() => {
                let what =
                    "the program ended in its start function, before its files could be reached: nothing was saved";
                return Err(Error::new(Kind::Save, what));
            }
            Begun::Ended(outcome) => return Ok(*outcome),
        };
        let entry = live.entry(&self.module)?;
        let started = Instant::now();
        let mut exit_code = 0;
        for function in entry {
            match function.call(&mut live.store, ()) {
                Ok(()) => {}
                Err(error) => match error.downcast_ref::<Stop>() {
                    Some(Stop::Exit(code)) => {
                        exit_code = *code;
                        break;
                    }
                    _ => return Err(explain(&live.store, error)),
                },
            }
        }
        live.stats.run_time = started.elapsed();
        if exit_code == 0 && !run.saves.is_empty() {
            let mut tree = save::LinkedTree::new(&mut live.store, &live.instance)?;
            save::save_all(&mut tree, run.saves)?;
        }
        Ok(finish(live.store, live.stats, exit_code, run.limits))
    }

    /// Makes an instance with everything granted, sets a library up, and does `work` with it. Gives the exit code instead
    /// if the program ended itself.
    pub(crate) fn set_up<T>(
        &self,
        run: &Run<'_>,
        work: impl FnOnce(&mut Live) -> wasmtime::Result<T>,
    ) -> Result<Result<T, u32>, Error> {
        let mut live = match self.begin(run)? {
            Begun::Live(live) => live,
            Begun::Ended(outcome) => return Ok(Err(outcome.exit_code)),
        };
        let library = self.module.get_export(entry::INITIALIZE).is_some();
        let setup = library.then(|| live.function(entry::INITIALIZE)).transpose()?;
        let set_up = setup.map_or(Ok(()), |initialize| initialize.call(&mut live.store, ()));
        match set_up.and_then(|()| work(&mut live)) {
            Ok(done) => Ok(Ok(done)),
            Err(error) => match error.downcast_ref::<Stop>() {
                Some(Stop::Exit(code)) => Ok(Err(*code)),
                _ => Err(explain(&live.store, error)),
            },
        }
    }

    /// Makes an instance with everything granted, without running its entry point.
    ///
    /// # Errors
    /// A grant cannot be honoured, an import is not granted, or the module's start function fails or ends the program.
    pub fn instantiate(&self, run: &Run<'_>) -> Result<Live, Error> {
        match self.begin(run)? {
            Begun::Live(live) => Ok(*live),
            Begun::Ended(outcome) => {
                let what = format!("the program exited with code {} while it was being set up", outcome.exit_code);
                Err(Error::new(Kind::Program, what))
            }
        }
    }

    fn begin(&self, run: &Run<'_>) -> Result<Begun, Error> {
        save::check_targets(run.saves)?;
        let places = Places::plan(run)?;
        let mut store = self.store(run, places)?;
        let started = Instant::now();
        let imports = self.imports(&mut store, run.grants.unknown_imports)?;
        let deadline = store.data().deadline;
        let watchdog = deadline.watch(&mut store)?;
        let mut stats = self.stats.clone();
        let instance = match Instance::new(&mut store, &self.module, &imports) {
            Ok(instance) => instance,
            Err(error) => {
                let Some(Stop::Exit(exit_code)) = error.downcast_ref::<Stop>() else {
                    return Err(explain_setup(&deadline, &store.data().limiter, error));
                };
                stats.run_time = started.elapsed();
                return Ok(Begun::Ended(Box::new(finish(store, stats, *exit_code, run.limits))));
            }
        };
        let memory = instance.get_memory(&mut store, "memory");
        let shim_memory = instance.get_memory(&mut store, "weir_memory");
        let state = store.data_mut();
        (state.memory, state.shim_memory) = (memory, shim_memory);
        stats.instantiate_time = started.elapsed();
        Ok(Begun::Live(Box::new(Live { store, instance, stats, _watchdog: watchdog })))
    }

    fn store(&self, run: &Run<'_>, places: Places) -> Result<Store<RunState>, Error> {
        let Grants { args, env, clock, random, .. } = run.grants;
        let host_dirs = host_dirs::context(&places.host_dirs)?;
        let of_pack = run.carried.iter().flat_map(|carried| &carried.preopens).map(String::as_str);
        let of_run = places.image.preopens.iter().map(|preopen| preopen.name.as_str());
        let uses =
            Uses::of_preopens(of_pack.clone().chain(of_run.filter(|name| of_pack.clone().all(|known| known != *name))));
        let deadline = Deadline::new(run.limits.time_max);
        let state = RunState {
            memory: None,
            shim_memory: None,
            args: nul_terminated(args.iter().cloned())?,
            env: nul_terminated(env.iter().map(|(name, value)| format!("{name}={value}")))?,
            streams: Streams::new(places.streams, run.limits.output_max, run.discard_output, deadline),
            blobs: Blobs::new(places.image, places.sources, places.references),
            clock: Clock::new(*clock),
            random: Random::new(*random),
            deadline,
            limiter: Limiter::new(run.limits),
            trace: run.trace.then_some(Trace { uses, ..Trace::default() }),
            host_dirs,
        };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.limiter);
        self.metering.arm(&mut store, run.limits)?;
        Ok(store)
    }

    fn imports(&self, store: &mut Store<RunState>, unknown: UnknownImports) -> Result<Vec<Extern>, Error> {
        let host_dirs = host_dirs::functions(store)?;
        let mut imports = Vec::new();
        for import in self.module.imports() {
            let function: Option<Func> = match import.module() {
                "wasi_snapshot_preview1" => p1::wasi_function(store, import.name()),
                "weir" if import.name() == "trace" => Some(p1::tracing::function(store)),
                "weir" => p1::weir_function(store, import.name()),
                "weir_hostdir" => host_dirs.as_ref().and_then(|functions| functions.get(store, import.name())),
                _ => None,
            };
            let function = match (function, import.ty().func()) {
                (Some(function), _) => function,
                (None, Some(ty)) if unknown == UnknownImports::Trap => trapping(store, ty.clone(), &import),
                (_, ty) => return Err(not_granted(import.module(), import.name(), ty.is_some())),
            };
            let given = function.ty(&*store);
            if !import.ty().func().is_some_and(|wanted| given.matches(wanted)) {
                let what = format!(
                    "the program imports `{}::{}` as {:?}, but it is {given}",
                    import.module(),
                    import.name(),
                    import.ty()
                );
                return Err(Error::new(Kind::Import, what));
            }
            imports.push(function.into());
        }
        Ok(imports)
    }
}

/// What making an instance came to: its start function may have ended the program.
enum Begun {
    Live(Box<Live>),
    Ended(Box<Outcome>),
}

/// An instance of a core program.
pub struct Live {
    store: Store<RunState>,
    instance: Instance,
    stats: Stats,
    _watchdog: Option<Watchdog>,
}

impl Live {
    /// Calls an exported function with numbers: 32-bit parameters take the low half. Gives its
    /// result, 0 if it has none.
    ///
    /// # Errors
    /// There is no such function, it takes other things than numbers, or it traps.
    pub fn call(&mut self, export: &str, arguments: &[u64]) -> Result<u64, Error> {
        let wrong = |what: &str| Error::new(Kind::Program, format!("the export `{export}` {what}"));
        let function = self.instance.get_func(&mut self.store, export).ok_or_else(|| wrong("is no function"))?;
        let kind = function.ty(&self.store);
        let parameters = kind.params().zip(arguments).map(|(parameter, argument)| match parameter {
            ValType::I32 => Ok(Val::I32(*argument as i32)),
            ValType::I64 => Ok(Val::I64(*argument as i64)),
            _ => Err(wrong("takes other things than integers")),
        });
        let parameters = parameters.collect::<Result<Vec<_>, _>>()?;
        let mut results = vec![Val::I32(0); kind.results().len()];
        function.call(&mut self.store, &parameters, &mut results).map_err(|error| explain(&self.store, error))?;
        match results.first() {
            None => Ok(0),
            Some(Val::I32(value)) => Ok(u64::from(*value as u32)),
            Some(Val::I64(value)) => Ok(*value as u64),
            Some(_) => Err(wrong("gives other things than integers")),
        }
    }

    /// The program's memory, empty if it has none.
    pub fn memory(&mut self) -> &mut [u8] {
        match self.store.data().memory {
            Some(memory) => memory.data_mut(&mut self.store),
            None => &mut [],
        }
    }

    /// The functions of the entry, in the order in which they are called.
    fn entry(&mut self, module: &Module) -> Result<Vec<TypedFunc<(), ()>>, Error> {
        let functions = module.exports().filter(|export| export.ty().func().is_some());
        let names: Vec<&str> = functions.map(|export| export.name()).collect();
        let entry = entry::of_module(names.iter().copied()).map_err(|none| no_entry(module, &names, none))?;
        let begin = match entry {
            ModuleEntry::Start => vec![entry::START],
            ModuleEntry::Default if names.contains(&entry::INITIALIZE) => vec![entry::INITIALIZE, entry::DEFAULT],
            ModuleEntry::Default => vec![entry::DEFAULT],
        };
        begin.into_iter().map(|name| self.function(name)).collect()
    }

    /// A function of the entry.
    fn function(&mut self, name: &str) -> Result<TypedFunc<(), ()>, Error> {
        let function = self.instance.get_typed_func(&mut self.store, name);
        function.map_err(|error| {
            let wrong =
                format!("the program's entry `{name}` takes arguments or gives results; it must take and give nothing");
            Error::caused(Kind::Program, wrong, error)
        })
    }

    /// Calls an exported function that is there, with arguments of its types.
    pub(crate) fn call_values(&mut self, export: &str, args: &[Val], results: &mut [Val]) -> wasmtime::Result<()> {
        let function = self.instance.get_func(&mut self.store, export);
        let function = function.ok_or_else(|| wasmtime::Error::msg("a function that was there is gone"))?;
        function.call(&mut self.store, args, results)
    }
}

fn no_entry(module: &Module, functions: &[&str], none: NoEntry<'_>) -> Error {
    let what =
        if functions.contains(&entry::INITIALIZE) { "it is a reactor (a library)".into() } else { none.to_string() };
    let what = format!("the program has no entry point `_start`: {what}");
    if let Some(functions) = exports::callable(module) {
        return Error::new(Kind::Program, format!("{what}; `weir call` calls its functions: {functions}"));
    }
    let own = module.exports().map(|export| export.name()).filter(|name| !exports::is_ours(name));
    let exports: Vec<&str> = own.take(8).collect();
    Error::new(Kind::Program, format!("{what}, its exports are {exports:?}; compile it as a command"))
}

fn finish(mut store: Store<RunState>, mut stats: Stats, exit_code: u32, limits: &Limits) -> Outcome {
    let fuel_left = store.get_fuel().ok();
    let state = store.data_mut();
    stats.memory_peak = state.limiter.memory_peak();
    stats.stream_bytes_in = state.streams.bytes_in;
    stats.stream_bytes_out = state.streams.bytes_out;
    stats.mount_bytes_read = state.blobs.bytes_read();
    stats.warnings = std::mem::take(&mut state.blobs.warnings);
    stats.fuel_used = limits.fuel_max.and_then(|max| max.checked_sub(fuel_left?));
    Outcome { exit_code, stats, trace: state.trace.take() }
}

fn engine(metering: Metering, limits: &Limits) -> Result<Engine, Error> {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .concurrency_support(false)
        .consume_fuel(metering.fuel)
        .epoch_interruption(metering.epoch)
        .async_stack_size(limits.stack_max.saturating_add(HOST_STACK_BYTES) as usize)
        .max_wasm_stack(limits.stack_max as usize);
    Engine::new(&config).map_err(|error| Error::machine(NO_ENGINE, error))
}

/// The digest under which compiled code is kept: same engine, settings, program and variant, same code.
pub(crate) fn cache_key(engine: &Engine, program: &Program, variant: &[u8], metering: Metering) -> Digest {
    use std::hash::{Hash, Hasher};
    struct Feed(blake3::Hasher);
    impl Hasher for Feed {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut feed = Feed(blake3::Hasher::new());
    feed.write(b"weir-core-1");
    engine.precompile_compatibility_hash().hash(&mut feed);
    metering.hash(&mut feed);
    feed.write(&program.digest().0);
    feed.write(variant);
    Digest(*feed.0.finalize().as_bytes())
}

fn from_cache(cache: &Cache, key: &Digest, engine: &Engine) -> Option<Module> {
    let path = cache.find(key)?;
    let module = load_file(engine, &path);
    if module.is_none() {
        cache.forget(key);
    }
    module
}

#[allow(unsafe_code, reason = "mapping compiled code is wasmtime's only lazy way to load it")]
fn load_file(engine: &Engine, path: &std::path::Path) -> Option<Module> {
    // SAFETY: `path` comes from `Cache::find`: this user alone can write there, and the bytes are
    // those that `precompile_module` gave us, by digest.
    unsafe { Module::deserialize_file(engine, path) }.ok()
}

#[allow(unsafe_code, reason = "loading what was compiled a moment ago")]
fn keep_and_load(cache: Option<&Cache>, key: &Digest, engine: &Engine, code: &[u8]) -> Result<Module, Error> {
    if let Some(module) = cache.and_then(|cache| cache.keep(key, code)).and_then(|path| load_file(engine, &path)) {
        return Ok(module);
    }
    // SAFETY: `code` was made by this engine's `precompile_module` just before.
    unsafe { Module::deserialize(engine, code) }
        .map_err(|error| Error::caused(Kind::Internal, "compiled code does not load", error))
}

fn nul_terminated(strings: impl Iterator<Item = String>) -> Result<Vec<Vec<u8>>, Error> {
    strings
        .map(|string| {
            if string.contains('\0') {
                return Err(Error::new(
                    Kind::Grant,
                    format!("the argument or variable {string:?} contains a NUL byte"),
                ));
            }
            let mut bytes = string.into_bytes();
            bytes.push(0);
            Ok(bytes)
        })
        .collect()
}

/// A function that nobody grants, for a program that may never call it.
fn trapping(store: &mut Store<RunState>, ty: FuncType, import: &wasmtime::ImportType<'_>) -> Func {
    let name = format!("`{}::{}`", import.module().escape_debug(), import.name().escape_debug());
    Func::new(store, ty, move |_, _, _| Err(wasmtime::Error::msg(format!("it called {name}, which nobody grants"))))
}

/// Why no instance could be made: usually because the program asks for more than it may have.
pub(crate) fn explain_setup(deadline: &Deadline, limiter: &Limiter, error: wasmtime::Error) -> Error {
    match &limiter.refused {
        Some(refused) if !error.is::<Trap>() && !error.is::<Stop>() => Error::new(Kind::Limit, refused.clone()),
        _ => explain_error(deadline, limiter, error),
    }
}

/// Why a run stopped, in words.
fn explain(store: &Store<RunState>, error: wasmtime::Error) -> Error {
    explain_error(&store.data().deadline, &store.data().limiter, error)
}

/// Why a run with this deadline and these limits stopped, in words.
pub(crate) fn explain_error(deadline: &Deadline, limiter: &Limiter, error: wasmtime::Error) -> Error {
    match error.downcast_ref::<Stop>() {
        Some(Stop::Limit(what)) => return Error::new(Kind::Limit, what.clone()),
        Some(Stop::BrokenPipe) => return Error::new(Kind::BrokenPipe, Stop::BrokenPipe.to_string()),
        Some(Stop::Exit(code)) => {
            return Error::new(Kind::Program, format!("the program exited with code {code} while it was being set up"));
        }
        None => {}
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => return Error::new(Kind::Limit, deadline.error().to_string()),
        Some(Trap::OutOfFuel) => {
            return Error::new(Kind::Limit, "the program used up its fuel: raise --fuel-max to allow more");
        }
        None if is_no_room(&error) => return Error::machine("no memory for the program", error),
        _ => {}
    }
    let mut message = format!("the program trapped: {}", error.root_cause());
    if let Some(refused) = &limiter.refused {
        message.push_str(&format!("\n  before that, {refused}"));
    }
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        // wasmtime's text begins with a line of its own.
        let frames = backtrace.to_string();
        let frames = frames.split_once('\n').map_or(frames.as_str(), |(_, frames)| frames);
        // What it advises behind them is for users of its own command line.
        let frames = frames.split_once("\nnote: ").map_or(frames, |(frames, _)| frames);
        message.push_str(&format!("\nwasm backtrace, innermost call first:\n{}", frames.trim_end()));
    }
    Error::new(Kind::Trap, message)
}
