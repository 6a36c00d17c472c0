//! Functions: a component's export called by value, a fresh instance for each call.
//!
//! An instance that trapped is lost, and one that was used may hold what was left: so none is used twice, and no call
//! sees another one. Instances come from a pool, so that making one costs microseconds. A function gets clock and
//! randomness if it imports them, and nothing else.
//!
//! Components that keep something from call to call on purpose, or put themselves back, have [`Instance`].

use crate::cache::Cache;
use crate::core::{Metering, cache_key, explain_error};
use crate::deadline::{Deadline, Watchdog};
use crate::error::{Error, Kind};
use crate::limiter::Limiter;
use crate::source::Program;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentType, Func, InstancePre, Linker, Lower, Type, Val, types::ComponentItem,
};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Store, UpdateDeadline,
};
use weir_types::limits::Limits;

/// Instances at the same time at most: callers on other threads wait for none.
const INSTANCES_MAX: u32 = 64;
/// Memories and tables of one instance at most: a lifted program has its own and the shim's.
const PARTS_MAX: u32 = 8;
/// Bytes of a memory that stay mapped between calls: what most calls touch is then there without a fault. Only pages
/// that were touched are put back, where the kernel can tell (`PAGEMAP_SCAN`).
const KEPT_BYTES: usize = 1 << 20;

/// A function of a component.
pub struct Function {
    engine: Engine,
    pre: InstancePre<State>,
    export: ComponentExportIndex,
    name: String,
    params: Vec<(String, Type)>,
    results: Vec<Type>,
    limits: Limits,
}

/// What one call has.
struct State {
    limiter: Limiter,
    started: Instant,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

/// An exported function, and the interface it is in.
struct Found {
    interface: Option<String>,
    name: String,
    params: Vec<(String, Type)>,
    results: Vec<Type>,
}

impl Function {
    /// The function `name` of a component, compiled or from the cache; without a name its only one.
    ///
    /// # Errors
    /// The program is no component, has no such function, or imports what functions do not get.
    pub fn load(program: &Program, name: Option<&str>, limits: &Limits, cache: Option<&Cache>) -> Result<Self, Error> {
        Self::load_for(Uses::One, program, name, limits, cache)
    }

    fn load_for(
        uses: Uses,
        program: &Program,
        name: Option<&str>,
        limits: &Limits,
        cache: Option<&Cache>,
    ) -> Result<Self, Error> {
        let engine = engine(limits)?;
        let component = component(program, uses, &engine, limits, cache)?;
        let found = choose(exported(&engine, &component), name, program)?;
        let interface = match &found.interface {
            Some(interface) => component.get_export_index(None, interface),
            None => None,
        };
        let export = component.get_export_index(interface.as_ref(), &found.name);
        let export = export.ok_or_else(|| Error::new(Kind::Internal, "an export that was listed is not there"))?;
        let linker = linker(&engine).map_err(|error| Error::caused(Kind::Internal, "cannot link", error))?;
        let pre = linker.instantiate_pre(&component).map_err(|error| {
            let what = format!(
                "{} imports what functions do not get; clock and randomness are all there is",
                program.path().display()
            );
            Error::caused(Kind::Import, what, error)
        })?;
        let (params, results) = (found.params, found.results);
        Ok(Self { engine, pre, export, name: found.name, params, results, limits: limits.clone() })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names and types of its parameters.
    pub fn params(&self) -> &[(String, Type)] {
        &self.params
    }

    /// The type of its result, if it has one.
    pub fn result(&self) -> Option<&Type> {
        self.results.first()
    }

    /// Calls it in an instance of its own. May be called from several threads at the same time.
    ///
    /// # Errors
    /// The arguments have other types, or the function traps or meets a limit. A failure that the function's type
    /// speaks of is a result.
    pub fn call(&self, args: &[Val]) -> Result<Option<Val>, Error> {
        self.instantiate()?.call(args)
    }

    fn instantiate(&self) -> Result<Running<'_>, Error> {
        let state = State { limiter: Limiter::new(&self.limits), started: Instant::now() };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.limiter);
        let (deadline, watchdog) = self.allow(&mut store)?;
        let instance =
            self.pre.instantiate(&mut store).map_err(|error| match store.data().limiter.refused.clone() {
                Some(refused) => Error::new(Kind::Limit, refused),
                None => explain_error(&deadline, &store.data().limiter, error),
            })?;
        let function = instance.get_func(&mut store, self.export);
        let function = function.ok_or_else(|| Error::new(Kind::Internal, "the function is not there"))?;
        Ok(Running { of: self, store, function, deadline, watchdog })
    }

    /// Gives a call what it may use up.
    fn allow(&self, store: &mut Store<State>) -> Result<(Deadline, Option<Watchdog>), Error> {
        store.set_hostcall_fuel(usize::try_from(self.limits.call_bytes_max).unwrap_or(usize::MAX));
        if let Some(fuel) = self.limits.fuel_max {
            store.set_fuel(fuel).map_err(|error| Error::caused(Kind::Internal, "cannot set fuel", error))?;
        }
        let deadline = Deadline::new(self.limits.time_max);
        if self.limits.time_max.is_some() {
            store.set_epoch_deadline(1);
            // The epoch is that of all calls: it may be another one whose time is over.
            store.epoch_deadline_callback(move |_| match deadline.left() {
                Some(Duration::ZERO) => Ok(UpdateDeadline::Interrupt),
                _ => Ok(UpdateDeadline::Continue(1)),
            });
        }
        Ok((deadline, deadline.watch(&self.engine)))
    }
}

/// How many calls an instance serves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Uses {
    One,
    Many,
}

/// An instance, and the time that its call has.
struct Running<'f> {
    of: &'f Function,
    store: Store<State>,
    function: Func,
    deadline: Deadline,
    watchdog: Option<Watchdog>,
}

impl Running<'_> {
    fn call(&mut self, args: &[Val]) -> Result<Option<Val>, Error> {
        let _watchdog = self.watchdog.take();
        let mut results = vec![Val::Bool(false); self.of.results.len()];
        match self.function.call(&mut self.store, args, &mut results) {
            Ok(()) => Ok(results.pop()),
            Err(error) => Err(explain_error(&self.deadline, &self.store.data().limiter, error)),
        }
    }
}

/// An instance of a component that serves many calls of a function, one after another. It may keep what it likes from
/// one to the next; a component that `weir lift` made keeps nothing.
pub struct Instance<'f> {
    running: Running<'f>,
    used: bool,
}

impl Instance<'_> {
    /// Calls the function. After a trap the instance is lost, and every further call is an error.
    ///
    /// # Errors
    /// As [`Function::call`].
    pub fn call(&mut self, args: &[Val]) -> Result<Option<Val>, Error> {
        if std::mem::replace(&mut self.used, true) {
            let running = &mut self.running;
            (running.deadline, running.watchdog) = running.of.allow(&mut running.store)?;
        }
        self.running.call(args)
    }
}

/// A function whose instances serve many calls.
pub struct KeptFunction(Function);

impl KeptFunction {
    /// As [`Function::load`].
    ///
    /// # Errors
    /// As there.
    pub fn load(program: &Program, name: Option<&str>, limits: &Limits, cache: Option<&Cache>) -> Result<Self, Error> {
        Function::load_for(Uses::Many, program, name, limits, cache).map(Self)
    }

    /// A new instance.
    ///
    /// # Errors
    /// It cannot be made within the limits, or its start traps.
    pub fn instance(&self) -> Result<Instance<'_>, Error> {
        Ok(Instance { running: self.0.instantiate()?, used: false })
    }
}

fn engine(limits: &Limits) -> Result<Engine, Error> {
    let metering = Metering::of(limits);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(INSTANCES_MAX)
        .total_core_instances(INSTANCES_MAX * PARTS_MAX)
        .total_memories(INSTANCES_MAX * 2)
        .total_tables(INSTANCES_MAX * PARTS_MAX)
        .max_memories_per_component(PARTS_MAX)
        .max_memories_per_module(PARTS_MAX)
        .max_tables_per_component(PARTS_MAX * 4)
        .max_tables_per_module(PARTS_MAX)
        .table_elements(1 << 18)
        .max_core_instance_size(1 << 20)
        .max_component_instance_size(1 << 20)
        .linear_memory_keep_resident(KEPT_BYTES)
        .table_keep_resident(1 << 16)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_component_model_async(false)
        .concurrency_support(false)
        .consume_fuel(metering.fuel)
        .epoch_interruption(metering.epoch)
        .max_wasm_stack(limits.stack_max as usize)
        .async_stack_size(limits.stack_max.saturating_add(1 << 20) as usize)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).map_err(|error| Error::caused(Kind::Internal, "this machine cannot run the engine", error))
}

fn component(
    program: &Program,
    uses: Uses,
    engine: &Engine,
    limits: &Limits,
    cache: Option<&Cache>,
) -> Result<Component, Error> {
    let kind: &[u8] = if uses == Uses::One { b"function-2" } else { b"kept-function-2" };
    let key = cache_key(engine, program, kind, Metering::of(limits));
    if let Some(found) = cache.and_then(|cache| cache.find(&key)) {
        if let Some(component) = super::component::load_file(engine, &found) {
            return Ok(component);
        }
        cache.inspect(|cache| cache.forget(&key));
    }
    let bytes = program.bytes()?;
    let once = if uses == Uses::One { crate::once::for_one_use(bytes) } else { None };
    let code = engine.precompile_component(once.as_deref().unwrap_or(bytes)).map_err(|error| {
        Error::caused(Kind::Program, format!("{} is not a component with functions", program.path().display()), error)
    })?;
    let kept = cache.and_then(|cache| cache.keep(&key, &code));
    match kept.and_then(|path| super::component::load_file(engine, &path)) {
        Some(component) => Ok(component),
        None => super::component::load_bytes(engine, &code),
    }
}

/// Every function that the component exports, by itself or in an interface.
fn exported(engine: &Engine, component: &Component) -> Vec<Found> {
    let mut all = Vec::new();
    let mut add = |interface: Option<&str>, name: &str, ty: &wasmtime::component::types::ComponentFunc| {
        all.push(Found {
            interface: interface.map(Into::into),
            name: name.into(),
            params: ty.params().map(|(name, ty)| (name.into(), ty)).collect(),
            results: ty.results().collect(),
        });
    };
    for (name, item) in component.component_type().exports(engine) {
        match item.ty {
            ComponentItem::ComponentFunc(ty) => add(None, name, &ty),
            ComponentItem::ComponentInstance(instance) => {
                for (inner, item) in instance.exports(engine) {
                    if let ComponentItem::ComponentFunc(ty) = item.ty {
                        add(Some(name), inner, &ty);
                    }
                }
            }
            _ => {}
        }
    }
    all
}

fn choose(mut all: Vec<Found>, name: Option<&str>, program: &Program) -> Result<Found, Error> {
    let names: Vec<String> = all.iter().map(|found| found.name.clone()).collect();
    let at = match name {
        Some(name) => all.iter().position(|found| found.name == name),
        None => (all.len() == 1).then_some(0),
    };
    match at {
        Some(at) => Ok(all.swap_remove(at)),
        None => {
            let what = name.map_or("several functions".to_owned(), |name| format!("no function {name:?}"));
            let program = program.path().display();
            Err(Error::new(Kind::Program, format!("{program} has {what}; it has: {}", names.join(", "))))
        }
    }
}

/// Clock and randomness.
fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    linker.instance("wasi:clocks/monotonic-clock@0.2.0")?.func_wrap("now", |store, (): ()| {
        let started: &State = store.data();
        Ok((started.started.elapsed().as_nanos() as u64,))
    })?;
    linker.instance("wasi:clocks/wall-clock@0.2.0")?.func_wrap("now", |_, (): ()| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok((Datetime { seconds: now.as_secs(), nanoseconds: now.subsec_nanos() },))
    })?;
    linker.instance("wasi:random/random@0.2.0")?.func_wrap("get-random-u64", |_, (): ()| {
        let mut bytes = [0; 8];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| wasmtime::Error::msg(format!("no randomness: {error}")))?;
        Ok((u64::from_le_bytes(bytes),))
    })?;
    Ok(linker)
}
