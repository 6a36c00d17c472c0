//! Components: command programs of WASI 0.2 and 0.3, with files from the virtual file system.
//!
//! Concurrency support, which makes every component call dearer, is on only for programs that use WASI 0.3 or asynchronous
//! functions. A program is linked once. Entry and end of a run are here; what the imports do is in the files beside.

mod clocks;
mod files;
mod http;
mod link;
mod net;
mod random;
pub(crate) mod state;
mod stdio;
mod tree;

use crate::arm::{Thread, Watch, arm};
use crate::blocking;
use crate::cache::Cache;
use crate::control::Control;
use crate::deadline::Deadline;
use crate::error::{Error, Kind};
use crate::explain;
use crate::functions::Functions;
use crate::imports::component_entry;
use crate::load::{Loaded, load};
use crate::places::Places;
use crate::recipe::{Kind as Recipes, Recipe};
use crate::run::{Outcome, Run};
use crate::running::Running;
use crate::save::{self, Save};
use crate::source::Program;
use crate::stats::Stats;
use crate::trace::Trace;
use crate::within::within;
use state::State;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre, Linker, Type};
use wasmtime::{Engine, Store};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::CommandPre as CommandPre2;
use wasmtime_wasi::p3::bindings::CommandPre as CommandPre3;
use weir_types::entry::Series;
use weir_types::grants::UnknownImports;
use weir_types::limits::Limits;

/// A compiled component. Cheap to clone.
#[derive(Clone)]
pub struct ComponentCode(pub(crate) Arc<Loaded<Component>>);

impl ComponentCode {
    /// Compiles `program`, or takes it from the cache. `prepare` looks at its bytes before they are compiled.
    ///
    /// # Errors
    /// The program cannot be read or is not a valid component.
    pub fn load(
        program: &Program,
        limits: &Limits,
        cache: Option<&Cache>,
        prepare: impl for<'b> FnOnce(&'b [u8]) -> Result<Cow<'b, [u8]>, Error>,
    ) -> Result<Self, Error> {
        let recipe = Recipe::new(Recipes::Component, limits);
        let loaded = load(program, &[recipe, recipe.concurrent()], b"component-1", cache, prepare)?;
        Ok(Self(Arc::new(loaded)))
    }

    /// What it took to load it.
    pub fn stats(&self) -> &Stats {
        &self.0.stats
    }

    /// Links a command with what it imports: of WASI, and of `functions`.
    ///
    /// # Errors
    /// It is no command, or imports what nobody grants, where that is refused.
    pub fn link(&self, unknown: UnknownImports, functions: &Functions) -> Result<ComponentProgram, Error> {
        let loaded = self.0.clone();
        let series = Command::series(&loaded.code, &loaded.room.engine)?;
        let command = Command::new(series, self.pre(unknown, functions)?.0)?;
        Ok(ComponentProgram { loaded, command })
    }

    /// The component with everything that it imports, and where that comes from.
    pub(crate) fn pre(
        &self,
        unknown: UnknownImports,
        functions: &Functions,
    ) -> Result<(InstancePre<State>, Linker<State>), Error> {
        let (engine, component) = (&self.0.room.engine, &self.0.code);
        let linker = link::linker(engine, component, unknown, functions)?;
        let pre = linker.instantiate_pre(component).map_err(|error| link::explain(component, engine, &error))?;
        Ok((pre, linker))
    }
}

/// A compiled command, linked with what it imports.
pub struct ComponentProgram {
    loaded: Arc<Loaded<Component>>,
    command: Command,
}

impl ComponentProgram {
    /// Compiles and links a command to which nothing but WASI is granted.
    ///
    /// # Errors
    /// As [`ComponentCode::load`] and [`ComponentCode::link`].
    pub fn load(
        program: &Program,
        unknown: UnknownImports,
        limits: &Limits,
        cache: Option<&Cache>,
        prepare: impl for<'b> FnOnce(&'b [u8]) -> Result<Cow<'b, [u8]>, Error>,
    ) -> Result<Self, Error> {
        ComponentCode::load(program, limits, cache, prepare)?.link(unknown, &Functions::default())
    }

    /// What it took to load it.
    pub fn stats(&self) -> &Stats {
        &self.loaded.stats
    }

    /// Runs the program's `wasi:cli/run` to its end. A program that exits by itself, with any code, is
    /// a success here.
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

    /// Everything that a run needs, laid out; nothing has run yet.
    fn job(&self, mut run: Run<'_>, thread: Thread) -> Result<(Job, Arc<Control>), Error> {
        save::check_targets(run.saves)?;
        let places = Places::plan(&mut run)?;
        let started = Instant::now();
        let (control, deadline) = (Arc::<Control>::default(), Deadline::new(run.limits.time_max));
        let (limits, saves, trace) = (run.limits, run.saves.to_vec(), run.trace);
        let state = State::new(run, places, control.clone(), (thread, deadline))?;
        let mut store = Store::new(&self.loaded.room.engine, state);
        let watch = arm(&mut store, &self.loaded.room, limits, limits.call_bytes_max, (thread, deadline))?;
        store.data().files.lock().trace = trace.then(Trace::default);
        let mut stats = self.loaded.stats.clone();
        stats.instantiate_time = started.elapsed();
        let command = self.command.clone();
        Ok((Job { store, command, saves, fuel_max: limits.fuel_max, stats, _watch: watch }, control))
    }
}

/// One run of a component.
struct Job {
    store: Store<State>,
    command: Command,
    saves: Vec<Save>,
    fuel_max: Option<u64>,
    stats: Stats,
    _watch: Watch,
}

impl Job {
    async fn run(mut self) -> Result<Outcome, Error> {
        let started = Instant::now();
        let (deadline, control) = (self.store.data().deadline, self.store.data().control.clone());
        let ended = within(&deadline, &control, self.command.call(&mut self.store)).await;
        self.stats.run_time = started.elapsed();
        let limiter = &self.store.data().limiter;
        let exit_code = match ended {
            Ok(Ok(Ok(()))) => 0,
            Ok(Ok(Err(()))) => 1,
            Ok(Err(failed)) => match (failed.error.downcast_ref::<I32Exit>(), failed.during) {
                (Some(I32Exit(code)), _) => *code as u32,
                (None, During::Setup) => return Err(explain::setup(&deadline, limiter, failed.error)),
                (None, During::Run) => return Err(explain::run(&deadline, limiter, failed.error)),
            },
            Err(stop) => return Err((&stop).into()),
        };
        if exit_code == 0 && !self.saves.is_empty() {
            save::save_all(&mut tree::Saved::new(&self.store.data().files), &self.saves)?;
        }
        Ok(self.finish(exit_code))
    }

    fn finish(self, exit_code: u32) -> Outcome {
        let (state, mut stats) = (self.store.data(), self.stats);
        let usage = state.control.usage();
        stats.memory_peak = state.limiter.memory_peak();
        (stats.stream_bytes_in, stats.stream_bytes_out) = (usage.bytes_in, usage.bytes_out);
        let mut open = state.files.lock();
        let trace = open.trace.take();
        stats.looked_for = std::mem::take(&mut open.missed);
        let blobs = &mut open.tree.platform_mut().blobs;
        (stats.mount_bytes_read, stats.warnings) = (blobs.bytes_read(), std::mem::take(&mut blobs.warnings));
        drop(open);
        stats.fuel_used = self.fuel_max.and_then(|max| Some(max - self.store.get_fuel().ok()?));
        Outcome { exit_code, stats, trace }
    }
}

/// A command that is linked, by the series of its entry.
#[derive(Clone)]
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

    async fn call(&self, store: &mut Store<State>) -> Result<Result<(), ()>, Failed> {
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
