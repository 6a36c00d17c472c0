//! Functions: a component's export called by value, a fresh instance for each call.
//!
//! An instance of a lifted program can run it once, and an instance that trapped is lost: so none is used twice, and
//! no call sees what another one left. Instances come from a pool, so that making one costs microseconds. A function
//! gets clock and randomness if it imports them, and nothing else.

use crate::cache::Cache;
use crate::core::{Metering, cache_key, explain_error};
use crate::deadline::Deadline;
use crate::error::{Error, Kind};
use crate::limiter::Limiter;
use crate::source::Program;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentType, InstancePre, Linker, Lower, Type, Val, types::ComponentItem,
};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Store};
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
        let engine = engine(limits)?;
        let component = component(program, &engine, limits, cache)?;
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
        let state = State { limiter: Limiter::new(&self.limits), started: Instant::now() };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(usize::try_from(self.limits.call_bytes_max).unwrap_or(usize::MAX));
        if let Some(fuel) = self.limits.fuel_max {
            store.set_fuel(fuel).map_err(|error| Error::caused(Kind::Internal, "cannot set fuel", error))?;
        }
        if self.limits.time_max.is_some() {
            store.set_epoch_deadline(1);
        }
        let deadline = Deadline::new(self.limits.time_max);
        let _watchdog = deadline.watch(&self.engine);
        let mut results = vec![Val::Bool(false); self.results.len()];
        let instance =
            self.pre.instantiate(&mut store).map_err(|error| match store.data().limiter.refused.clone() {
                Some(refused) => Error::new(Kind::Limit, refused),
                None => explain_error(&deadline, &store.data().limiter, error),
            })?;
        let function = instance.get_func(&mut store, self.export);
        let function = function.ok_or_else(|| Error::new(Kind::Internal, "the function is not there"))?;
        match function.call(&mut store, args, &mut results) {
            Ok(()) => Ok(results.pop()),
            Err(error) => Err(explain_error(&deadline, &store.data().limiter, error)),
        }
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

fn component(program: &Program, engine: &Engine, limits: &Limits, cache: Option<&Cache>) -> Result<Component, Error> {
    let key = cache_key(engine, program, b"function-1", Metering::of(limits));
    if let Some(found) = cache.and_then(|cache| cache.find(&key)) {
        if let Some(component) = super::component::load_file(engine, &found) {
            return Ok(component);
        }
        cache.inspect(|cache| cache.forget(&key));
    }
    let code = engine.precompile_component(program.bytes()?).map_err(|error| {
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
