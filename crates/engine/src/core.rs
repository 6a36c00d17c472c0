//! Core programs: linked with the host's half of WASI once, and run as often as one likes.
//!
//! Only the imports that a module has are made; a module that asks for anything else is refused by name before it runs.

use crate::arm::{Thread, Watch, arm};
use crate::blobs::Blobs;
use crate::blocking;
use crate::cache::Cache;
use crate::clock::{Clock, Random};
use crate::control::{Control, Usage};
use crate::deadline::Deadline;
use crate::engines::Room;
use crate::error::{Error, Hint, Kind, Stop};
use crate::explain;
use crate::exports;
use crate::functions::Functions;
use crate::host_dirs;
use crate::imports::not_granted;
use crate::limiter::Limiter;
use crate::load::{Loaded, load};
use crate::p1;
use crate::p1::stdio::Streams;
use crate::places::Places;
use crate::ports::Ports;
use crate::recipe::{Kind as Recipes, Recipe};
use crate::run::{Outcome, Run};
use crate::running::Running;
use crate::save::{self, Save};
use crate::source::Program;
use crate::state::RunState;
use crate::stats::Stats;
use crate::trace::Trace;
use crate::uses::Uses;
use crate::value::Value;
use crate::within::within;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;
use wasmtime::{ExternType, FuncType, Instance, InstancePre, Linker, Module, Store, TypedFunc, Val, ValType};
use weir_types::entry::{self, ModuleEntry, NoEntry};
use weir_types::grants::{Grants, UnknownImports};
use weir_types::limits::Limits;

/// A compiled core module. Cheap to clone.
#[derive(Clone)]
pub struct CoreCode(Arc<Loaded<Module>>);

impl CoreCode {
    /// Compiles `program`, or takes it from the cache. `prepare` turns its bytes into the module that
    /// will run and `variant` names that transformation: same program and variant, same module.
    ///
    /// # Errors
    /// The program cannot be read or prepared, or the module is not valid.
    pub fn load(
        program: &Program,
        variant: &[u8],
        limits: &Limits,
        cache: Option<&Cache>,
        prepare: impl for<'b> FnOnce(&'b [u8]) -> Result<Cow<'b, [u8]>, Error>,
    ) -> Result<Self, Error> {
        let recipe = Recipe::new(Recipes::Module, limits);
        load(program, &[recipe], variant, cache, prepare).map(|loaded| Self(Arc::new(loaded)))
    }

    /// What it took to load it.
    pub fn stats(&self) -> &Stats {
        &self.0.stats
    }

    /// Links it with what it imports: of WASI, and of `functions`.
    ///
    /// # Errors
    /// It imports what nobody grants.
    pub fn link(&self, unknown: UnknownImports, functions: &Functions) -> Result<CoreProgram, Error> {
        let loaded = self.0.clone();
        let host_dirs = loaded.code.imports().find(|import| import.module() == HOST_DIRS);
        let host_dirs = host_dirs.map(|import| import.name().to_owned());
        let pre = link(&loaded, host_dirs.is_some(), unknown, functions)?;
        Ok(CoreProgram { loaded, pre, host_dirs })
    }
}

/// A compiled core program, linked with what it imports.
pub struct CoreProgram {
    loaded: Arc<Loaded<Module>>,
    pre: InstancePre<RunState>,
    /// The first function on directories of the host that it imports.
    host_dirs: Option<String>,
}

impl CoreProgram {
    /// Compiles and links a program to which nothing but WASI is granted.
    ///
    /// # Errors
    /// As [`CoreCode::load`] and [`CoreCode::link`].
    pub fn load(
        program: &Program,
        variant: &[u8],
        limits: &Limits,
        unknown: UnknownImports,
        cache: Option<&Cache>,
        prepare: impl for<'b> FnOnce(&'b [u8]) -> Result<Cow<'b, [u8]>, Error>,
    ) -> Result<Self, Error> {
        CoreCode::load(program, variant, limits, cache, prepare)?.link(unknown, &Functions::default())
    }

    /// What it took to load it.
    pub fn stats(&self) -> &Stats {
        &self.loaded.stats
    }

    /// Runs the program's entry to its end: `_start`, or what [`weir_types::entry`] says. A program that exits by itself, with any code, is a
    /// success here.
    ///
    /// # Errors
    /// A grant cannot be honoured, the program traps or meets a limit, or its results cannot be saved.
    pub fn run(&self, run: Run<'_>) -> Result<Outcome, Error> {
        let (job, _) = self.job(run, Thread::Own)?;
        blocking::wait(job.run())?
    }

    /// Starts the same on the threads that programs share.
    ///
    /// # Errors
    /// A grant cannot be honoured, or the program was not loaded as one that can be interrupted.
    pub fn start(&self, run: Run<'_>) -> Result<Running, Error> {
        let (job, control) = self.job(run, Thread::Shared)?;
        Running::start(control, job.run())
    }

    /// The module that runs: the program's, with what it was linked with.
    pub(crate) fn module(&self) -> &Module {
        &self.loaded.code
    }

    /// Makes an instance with everything granted, sets a library up, and calls an export with numbers. Gives the exit code
    /// instead if the program ended itself.
    pub(crate) fn call(
        &self,
        run: Run<'_>,
        export: &str,
        args: &[Val],
        results: &mut [Val],
    ) -> Result<Option<u32>, Error> {
        let (mut job, _) = self.job(run, Thread::Own)?;
        let library = self.module().get_export(entry::INITIALIZE).is_some();
        let work = async {
            let (deadline, control) = (job.deadline, job.control.clone());
            let called = within(&deadline, &control, async {
                let instance = job.instantiate().await?;
                if library {
                    let initialize = typed(&mut job.store, &instance, entry::INITIALIZE)?;
                    let ended = initialize.call_async(&mut job.store, ()).await;
                    job.ended(ended)?;
                }
                let function = instance.get_func(&mut job.store, export);
                let function = function.ok_or_else(|| Failed::Error(no_export(export)))?;
                let ended = function.call_async(&mut job.store, args, results).await;
                job.ended(ended)
            });
            called.await.unwrap_or_else(|stop| Err(Failed::Error((&stop).into())))
        };
        match blocking::wait(work)? {
            Ok(()) => Ok(None),
            Err(Failed::Exit(code)) => Ok(Some(code)),
            Err(Failed::Error(error)) => Err(error),
        }
    }

    /// Makes an instance with everything granted, without running its entry point.
    ///
    /// # Errors
    /// A grant cannot be honoured, or the module's start function fails or ends the program.
    pub fn instantiate(&self, run: Run<'_>) -> Result<Live, Error> {
        let limits = run.limits.clone();
        let (mut job, _) = self.job(run, Thread::Own)?;
        match blocking::wait(job.instantiate())? {
            Ok(instance) => Ok(Live { job, instance, room: self.loaded.room.clone(), limits }),
            Err(Failed::Exit(code)) => Err((&Stop::Exit(code)).into()),
            Err(Failed::Error(error)) => Err(error),
        }
    }

    /// Everything that a run needs, laid out; nothing has run yet.
    fn job(&self, mut run: Run<'_>, thread: Thread) -> Result<(Job, Arc<Control>), Error> {
        save::check_targets(run.saves)?;
        let places = Places::plan(&mut run)?;
        let started = Instant::now();
        let (control, deadline) = (Arc::<Control>::default(), Deadline::new(run.limits.time_max));
        let saves = run.saves.to_vec();
        let fuel_max = run.limits.fuel_max;
        let limits = run.limits;
        let mut store = Store::new(&self.loaded.room.engine, state(run, places, &control, (thread, deadline))?);
        if let Some(name) = self.host_dirs.as_deref().filter(|_| store.data().host_dirs.is_none()) {
            return Err(not_granted(HOST_DIRS, name, true));
        }
        let watch = arm(&mut store, &self.loaded.room, limits, limits.call_bytes_max, (thread, deadline))?;
        let stats = self.loaded.stats.clone();
        let (pre, control_too) = (self.pre.clone(), control.clone());
        let job = Job { store, pre, control, deadline, saves, fuel_max, stats, started, _watch: watch };
        Ok((job, control_too))
    }
}

/// The module name by which a linked program reaches directories of the host.
const HOST_DIRS: &str = "weir_hostdir";

/// Links a module with what the host has of its imports.
fn link(
    loaded: &Loaded<Module>,
    host_dirs: bool,
    unknown: UnknownImports,
    functions: &Functions,
) -> Result<InstancePre<RunState>, Error> {
    let internal = |error| Error::caused(Kind::Internal, "cannot set up WASI", error);
    let mut linker = Linker::new(&loaded.room.engine);
    linker.allow_shadowing(true);
    if host_dirs {
        host_dirs::define(&mut linker).map_err(internal)?;
    }
    for import in loaded.code.imports() {
        let (module, name) = (import.module(), import.name());
        if module == HOST_DIRS || p1::define(&mut linker, module, name).map_err(internal)? {
            continue;
        }
        if let ExternType::Func(ty) = import.ty()
            && functions.define(&mut linker, (module, name), ty).map_err(internal)?
        {
            continue;
        }
        match import.ty() {
            ExternType::Func(ty) if unknown == UnknownImports::Trap => trapping(&mut linker, ty, module, name),
            ty => Err(not_granted(module, name, ty.func().is_some())),
        }?;
    }
    linker.instantiate_pre(&loaded.code).map_err(|error| {
        let sentences: Vec<String> = error.chain().map(ToString::to_string).collect();
        Error::new(Kind::Import, format!("the program asks for what weir does not grant: {}", sentences.join(": ")))
    })
}

/// A function that nobody grants, for a program that may never call it.
fn trapping(linker: &mut Linker<RunState>, ty: FuncType, module: &str, name: &str) -> Result<(), Error> {
    let full = format!("`{}::{}`", module.escape_debug(), name.escape_debug());
    let trap = move |_: wasmtime::Caller<'_, RunState>, _: &[Val], _: &mut [Val]| {
        Err(wasmtime::Error::msg(format!("it called {full}, which nobody grants")))
    };
    let defined = linker.func_new(module, name, ty, trap);
    defined.map(drop).map_err(|error| Error::caused(Kind::Import, "an import cannot be made to trap", error))
}

fn state(
    run: Run<'_>,
    places: Places,
    control: &Arc<Control>,
    (thread, deadline): (Thread, Deadline),
) -> Result<RunState, Error> {
    let Grants { args, env, clock, random, .. } = run.grants;
    let of_pack = run.carried.iter().flat_map(|carried| &carried.preopens).map(String::as_str);
    let of_run = places.image.preopens.iter().map(|preopen| preopen.name.as_str());
    let uses =
        Uses::of_preopens(of_pack.clone().chain(of_run.filter(|name| of_pack.clone().all(|known| known != *name))));
    let mapped = places.streams.len();
    let ports = Ports::new(run.ends, places.streams, run.limits.output_max, control, (thread, deadline));
    Ok(RunState {
        memory: None,
        shim_memory: None,
        args: nul_terminated(args.iter().cloned())?,
        env: nul_terminated(env.iter().map(|(name, value)| format!("{name}={value}")))?,
        streams: Streams::new(ports, mapped),
        blobs: Blobs::new(places.image, places.sources, places.references),
        clock: Clock::new(*clock),
        random: Random::new(*random),
        deadline,
        thread,
        limiter: Limiter::new(run.limits, Some(control.clone())),
        trace: run.trace.then_some(Trace { uses, ..Trace::default() }),
        host_dirs: host_dirs::context(&places.host_dirs, thread)?,
    })
}

/// One run of a core program.
struct Job {
    store: Store<RunState>,
    pre: InstancePre<RunState>,
    control: Arc<Control>,
    deadline: Deadline,
    saves: Vec<Save>,
    fuel_max: Option<u64>,
    stats: Stats,
    started: Instant,
    _watch: Watch,
}

/// Why a call did not come back.
enum Failed {
    /// The program ended itself with this code.
    Exit(u32),
    Error(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed::Error(error)
    }
}

impl Job {
    async fn run(mut self) -> Result<Outcome, Error> {
        let (deadline, control) = (self.deadline, self.control.clone());
        let mut instance = None;
        let ended = within(&deadline, &control, self.call(&mut instance)).await;
        let exit_code = match ended.unwrap_or_else(|stop| Err(Failed::Error((&stop).into()))) {
            Ok(()) => 0,
            Err(Failed::Exit(code)) => code,
            Err(Failed::Error(error)) => return Err(error),
        };
        self.stats.run_time = self.started.elapsed();
        if exit_code == 0 && !self.saves.is_empty() {
            let Some(instance) = &instance else {
                let what =
                    "the program ended in its start function, before its files could be reached: nothing was saved";
                return Err(Error::new(Kind::Save, what));
            };
            let mut tree = save::LinkedTree::new(&mut self.store, instance)?;
            save::save_all(&mut tree, &self.saves)?;
        }
        Ok(self.finish(exit_code))
    }

    async fn call(&mut self, made: &mut Option<Instance>) -> Result<(), Failed> {
        let instance = *made.insert(self.instantiate().await?);
        for function in entry(&mut self.store, &instance, self.pre.module())? {
            let ended = function.call_async(&mut self.store, ()).await;
            self.ended(ended)?;
        }
        Ok(())
    }

    async fn instantiate(&mut self) -> Result<Instance, Failed> {
        let store = &mut self.store;
        let instance = match self.pre.instantiate_async(&mut *store).await {
            Ok(instance) => instance,
            Err(error) => {
                return Err(match error.downcast_ref::<Stop>() {
                    Some(Stop::Exit(code)) => Failed::Exit(*code),
                    _ => explain::setup(&self.deadline, &store.data().limiter, error).into(),
                });
            }
        };
        let memory = instance.get_memory(&mut *store, "memory");
        let shim_memory = instance.get_memory(&mut *store, "weir_memory");
        let state = store.data_mut();
        (state.memory, state.shim_memory) = (memory, shim_memory);
        self.stats.instantiate_time = self.started.elapsed();
        self.started = Instant::now();
        Ok(instance)
    }

    /// What became of a call.
    fn ended(&self, ended: wasmtime::Result<()>) -> Result<(), Failed> {
        let Err(error) = ended else { return Ok(()) };
        Err(match error.downcast_ref::<Stop>() {
            Some(Stop::Exit(code)) => Failed::Exit(*code),
            _ => explain::run(&self.deadline, &self.store.data().limiter, error).into(),
        })
    }

    fn finish(mut self, exit_code: u32) -> Outcome {
        let (mut stats, fuel_left) = (self.stats, self.store.get_fuel().ok());
        let (usage, state) = (self.control.usage(), self.store.data_mut());
        stats.memory_peak = state.limiter.memory_peak();
        (stats.stream_bytes_in, stats.stream_bytes_out) = (usage.bytes_in, usage.bytes_out);
        stats.mount_bytes_read = state.blobs.bytes_read();
        stats.warnings = std::mem::take(&mut state.blobs.warnings);
        stats.fuel_used = self.fuel_max.and_then(|max| max.checked_sub(fuel_left?));
        Outcome { exit_code, stats, trace: state.trace.take() }
    }
}

/// An instance of a core program.
pub struct Live {
    job: Job,
    instance: Instance,
    room: Arc<Room>,
    limits: Limits,
}

impl Live {
    /// Calls an exported function with numbers: 32-bit parameters take the low half. Gives its
    /// result, 0 if it has none.
    ///
    /// # Errors
    /// There is no such function, it takes other things than numbers, or it traps.
    pub fn call(&mut self, export: &str, arguments: &[u64]) -> Result<u64, Error> {
        let wrong = |what: &str| Error::new(Kind::Program, format!("the export `{export}` {what}"));
        let store = &mut self.job.store;
        let function = self.instance.get_func(&mut *store, export).ok_or_else(|| wrong("is no function"))?;
        let kind = function.ty(&*store);
        let parameters = kind.params().zip(arguments).map(|(parameter, argument)| match parameter {
            ValType::I32 => Ok(Val::I32(*argument as i32)),
            ValType::I64 => Ok(Val::I64(*argument as i64)),
            _ => Err(wrong("takes other things than integers")),
        });
        let parameters = parameters.collect::<Result<Vec<_>, _>>()?;
        let mut results = vec![Val::I32(0); kind.results().len()];
        blocking::at_once(function.call_async(&mut *store, &parameters, &mut results))
            .map_err(|error| explain::run(&self.job.deadline, &self.job.store.data().limiter, error))?;
        match results.first() {
            None => Ok(0),
            Some(Val::I32(value)) => Ok(u64::from(*value as u32)),
            Some(Val::I64(value)) => Ok(*value as u64),
            Some(_) => Err(wrong("gives other things than integers")),
        }
    }

    /// Sets a library up: calls its `_initialize`, if it has one.
    ///
    /// # Errors
    /// It traps or meets a limit.
    pub fn initialize(&mut self) -> Result<(), Error> {
        match self.instance.get_func(&mut self.job.store, entry::INITIALIZE) {
            Some(_) => self.call_values(entry::INITIALIZE, &[]).map(drop),
            None => Ok(()),
        }
    }

    /// Calls an exported function of numbers. Each call has the time and the fuel of the limits.
    ///
    /// # Errors
    /// There is no such function, it takes other things, or it traps, meets a limit or ends the program.
    pub fn call_values(&mut self, export: &str, args: &[Value]) -> Result<Vec<Value>, Error> {
        let wrong = |what: &str| Error::new(Kind::Program, format!("the export `{}` {what}", export.escape_debug()));
        let job = &mut self.job;
        let function = self.instance.get_func(&mut job.store, export).ok_or_else(|| wrong("is no function"))?;
        let ty = function.ty(&job.store);
        let args: Option<Vec<Val>> = args.iter().map(Value::to_core).collect();
        let args = args.filter(|args| args.len() == ty.params().len()).ok_or_else(|| wrong(&format!("is {ty}")))?;
        let mut results = vec![Val::I32(0); ty.results().len()];
        job.deadline = Deadline::new(self.limits.time_max);
        job.store.data_mut().deadline = job.deadline;
        let room = &self.room;
        let watch = arm(&mut job.store, room, &self.limits, self.limits.call_bytes_max, (Thread::Own, job.deadline))?;
        let (deadline, control) = (job.deadline, job.control.clone());
        let called = blocking::wait(within(&deadline, &control, async {
            let ended = function.call_async(&mut job.store, &args, &mut results).await;
            job.ended(ended)
        }))?;
        drop(watch);
        match called.unwrap_or_else(|stop| Err(Failed::Error((&stop).into()))) {
            Ok(()) => {
                results.iter().map(Value::from_core).collect::<Option<_>>().ok_or_else(|| wrong(&format!("is {ty}")))
            }
            Err(Failed::Exit(code)) => {
                let what = format!("{} ended the program with exit code {code}", export.escape_debug());
                Err(Error::new(Kind::Program, what))
            }
            Err(Failed::Error(error)) => Err(error),
        }
    }

    /// What it holds and has moved so far.
    pub fn usage(&self) -> Usage {
        self.job.control.usage()
    }

    /// The program's memory, empty if it has none.
    pub fn memory(&mut self) -> &mut [u8] {
        match self.job.store.data().memory {
            Some(memory) => memory.data_mut(&mut self.job.store),
            None => &mut [],
        }
    }
}

/// The functions of the entry, in the order in which they are called.
fn entry(store: &mut Store<RunState>, instance: &Instance, module: &Module) -> Result<Vec<TypedFunc<(), ()>>, Error> {
    let functions = module.exports().filter(|export| export.ty().func().is_some());
    let names: Vec<&str> = functions.map(|export| export.name()).collect();
    let entry = entry::of_module(names.iter().copied()).map_err(|none| no_entry(module, &names, none))?;
    let begin = match entry {
        ModuleEntry::Start => vec![entry::START],
        ModuleEntry::Default if names.contains(&entry::INITIALIZE) => vec![entry::INITIALIZE, entry::DEFAULT],
        ModuleEntry::Default => vec![entry::DEFAULT],
    };
    begin.into_iter().map(|name| typed(store, instance, name)).collect()
}

/// A function of the entry.
fn typed(store: &mut Store<RunState>, instance: &Instance, name: &str) -> Result<TypedFunc<(), ()>, Error> {
    instance.get_typed_func(&mut *store, name).map_err(|error| {
        let wrong =
            format!("the program's entry `{name}` takes arguments or gives results; it must take and give nothing");
        Error::caused(Kind::Program, wrong, error)
    })
}

fn no_export(export: &str) -> Error {
    Error::new(Kind::Internal, format!("the function {export:?}, which was there, is gone"))
}

fn no_entry(module: &Module, functions: &[&str], none: NoEntry<'_>) -> Error {
    let what =
        if functions.contains(&entry::INITIALIZE) { "it is a reactor (a library)".into() } else { none.to_string() };
    let what = format!("the program has no entry point `_start`: {what}");
    if let Some(functions) = exports::callable(module) {
        let what = format!("{what}; its functions can be called: {functions}");
        return Error::new(Kind::Program, what).with_hint(Hint::CallFunctions);
    }
    let own = module.exports().map(|export| export.name()).filter(|name| !exports::is_ours(name));
    let exports: Vec<&str> = own.take(8).collect();
    Error::new(Kind::Program, format!("{what}, its exports are {exports:?}; compile it as a command"))
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
