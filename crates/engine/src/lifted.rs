//! Functions: a component's export called by value, a fresh instance for each call.
//!
//! An instance that trapped is lost, and one that was used may hold what was left: so none is used twice, and no call
//! sees another one. Instances come from a pool, so that making one costs microseconds. A function gets clock and
//! randomness if it imports them, and nothing else.
//!
//! Components that keep something from call to call on purpose, or put themselves back, have [`Instance`].

use crate::cache::Cache;
use crate::core::{Metering, NO_ENGINE, cache_key, explain_error, explain_setup};
use crate::deadline::{Deadline, Watchdog};
use crate::error::{Error, Kind};
use crate::flow::{self, Arg, Sink, Trouble};
use crate::invalid::invalid;
use crate::limiter::Limiter;
use crate::slots::{Slot, Slots};
use crate::source::Program;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use wasmtime::component::{
    Accessor, Component, ComponentExportIndex, ComponentType, Func, InstancePre, Linker, Lower, ResourceAny,
    ResourceTable, Type, Val, types, types::ComponentItem,
};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Store};
use wasmtime_wasi_io::IoView;
use weir_types::Shown;
use weir_types::limits::Limits;

/// Instances at the same time at most. A call on another thread waits until there is room for its own.
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
    how: How,
    slots: Slots,
}

/// How a function is called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// It takes and gives values.
    Plain,
    /// It takes streams of wasi:io.
    Io,
    /// It needs an engine for asynchronous functions.
    Concurrent,
}

/// What one call has.
struct State {
    limiter: Limiter,
    started: Instant,
    table: ResourceTable,
}

impl IoView for State {
    fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
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

    /// Compiles the functions of a component for calls, if the cache does not have them; says whether it did.
    ///
    /// # Errors
    /// The program is no component.
    pub fn compile(program: &Program, limits: &Limits, cache: &Cache) -> Result<bool, Error> {
        component(program, Uses::One, limits, Some(cache)).map(|compiled| compiled.fresh)
    }

    fn load_for(
        uses: Uses,
        program: &Program,
        name: Option<&str>,
        limits: &Limits,
        cache: Option<&Cache>,
    ) -> Result<Self, Error> {
        let Compiled { engine, component, concurrent, fresh: _ } = component(program, uses, limits, cache)?;
        let (linker, io) =
            linker(&engine, &component).map_err(|error| Error::caused(Kind::Internal, "cannot link", error))?;
        let pre = linker.instantiate_pre(&component).map_err(|error| {
            let given = ["wasi:clocks/", "wasi:random/", "wasi:io/"];
            let ty = component.component_type();
            let names = ty.imports(&engine).map(|(name, _)| name).filter(|name| !given.iter().any(|own| name.starts_with(own)));
            let names: Vec<String> = names.map(|name| format!("`{}`", Shown(name))).collect();
            let what = format!("{} imports what functions do not get", program.path().display());
            match names.is_empty() {
                true => Error::caused(Kind::Import, format!("{what}; clock and randomness are all there is"), error),
                false => {
                    let names = names.join(", ");
                    let advice = "clock and randomness are all there is; `weir lift` makes a component of it that has WASI inside";
                    Error::new(Kind::Import, format!("{what}, {names}: {advice}"))
                }
            }
        })?;
        // With the host's own types in the place of those that are imported.
        let ty = linker
            .substituted_component_type(&component)
            .map_err(|error| Error::caused(Kind::Internal, "cannot link", error))?;
        let found = choose(exported(&engine, &ty), name, program)?;
        let interface = match &found.interface {
            Some(interface) => component.get_export_index(None, interface),
            None => None,
        };
        let export = component.get_export_index(interface.as_ref(), &found.name);
        let export = export.ok_or_else(|| Error::new(Kind::Internal, "an export that was listed is not there"))?;
        let how = match (concurrent, io) {
            (true, _) => How::Concurrent,
            (false, true) => How::Io,
            (false, false) => How::Plain,
        };
        let (params, results) = (found.params, found.results);
        let slots = Slots::new(INSTANCES_MAX);
        Ok(Self { engine, pre, export, name: found.name, params, results, limits: limits.clone(), how, slots })
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

    /// Calls it in an instance of its own, on a stack of its own. May be called from several threads at the same time;
    /// while all instances that there may be are in use, it waits.
    ///
    /// # Errors
    /// The arguments have other types, or the function traps or meets a limit. A failure that the function's type
    /// speaks of is a result.
    pub fn call(&self, args: &[Val]) -> Result<Option<Val>, Error> {
        if self.how != How::Plain {
            let args = args.iter().cloned().map(Arg::Value).collect();
            return self.call_with_streams(args, &mut |_| Box::new(std::io::sink()));
        }
        self.instantiate(self.slots.wait())?.call(args)
    }

    /// Names of the streams of the result: fields of a record, or numbers in a tuple. They are given to the sinks of
    /// [`call_with_streams`](Self::call_with_streams), and the result is what the future beside them gives.
    pub fn result_streams(&self) -> Vec<String> {
        let parts = self.results.first().map(early_parts).unwrap_or_default();
        parts.into_iter().filter(|(_, ty)| matches!(ty, Type::Stream(_))).map(|(name, _)| name).collect()
    }

    /// Whether it takes or gives streams.
    pub fn has_streams(&self) -> bool {
        let is_stream = |ty: &Type| match ty {
            Type::Option(inside) => flow::is_input(&inside.ty()) || flow::is_output(&inside.ty()),
            ty => flow::is_input(ty) || flow::is_output(ty),
        };
        self.params.iter().any(|(_, ty)| is_stream(ty)) || !self.result_streams().is_empty()
    }

    /// Calls it in an instance of its own. What is read and written meanwhile is done by a thread of this call: it
    /// waits for the function, and the function for it. `sink` gives what each stream of the result is written to.
    ///
    /// # Errors
    /// As for [`call`](Self::call), and where a stream cannot be read or written.
    pub fn call_with_streams(
        &self,
        args: Vec<Arg>,
        sink: &mut (dyn FnMut(&str) -> Sink + Send),
    ) -> Result<Option<Val>, Error> {
        if self.how == How::Plain {
            return self.call(&values(&self.name, args)?);
        }
        let mut running = self.instantiate(self.slots.wait())?;
        running.call_with_streams(args, sink)
    }

    /// Calls a function with streams of wasi:io.
    async fn run_io(
        &self,
        store: &mut Store<State>,
        function: Func,
        args: Vec<Arg>,
        trouble: &Trouble,
    ) -> wasmtime::Result<Option<Val>> {
        let left = Arc::new(Mutex::new(self.limits.output_max.unwrap_or(u64::MAX)));
        let mut values = Vec::new();
        for (arg, (_, ty)) in args.into_iter().zip(&self.params) {
            let resource = match arg {
                Arg::Value(value) => {
                    values.push(value);
                    continue;
                }
                Arg::Stream(reader) => {
                    let input = store.data_mut().table.push(flow::input(reader, trouble))?;
                    ResourceAny::try_from_resource(input, &mut *store)?
                }
                Arg::Sink(sink) => {
                    let output = store.data_mut().table.push(flow::output(sink, &left, trouble))?;
                    ResourceAny::try_from_resource(output, &mut *store)?
                }
            };
            let value = Val::Resource(resource);
            let optional = matches!(ty, Type::Option(_));
            values.push(if optional { Val::Option(Some(Box::new(value))) } else { value });
        }
        let mut results = vec![Val::Bool(false); self.results.len()];
        function.call_async(&mut *store, &values, &mut results).await?;
        Ok(results.pop())
    }

    async fn run_concurrent(
        &self,
        store: &mut Store<State>,
        function: Func,
        args: Vec<Arg>,
        sink: &mut (dyn FnMut(&str) -> Sink + Send),
        trouble: &Trouble,
    ) -> wasmtime::Result<Option<Val>> {
        let left = Arc::new(Mutex::new(self.limits.output_max.unwrap_or(u64::MAX)));
        let call = async |access: &Accessor<State>| {
            let mut values = Vec::new();
            for (arg, (_, ty)) in args.into_iter().zip(&self.params) {
                values.push(match arg {
                    Arg::Value(value) => value,
                    Arg::Sink(_) => return Err(wasmtime::Error::msg("an asynchronous function gives its streams")),
                    Arg::Stream(reader) => flow::stream_of(reader, matches!(ty, Type::Option(_)), access, trouble)?,
                });
            }
            let mut results = vec![Val::Bool(false); self.results.len()];
            function.call_concurrent(access, &values, &mut results).await?;
            let Some(result) = results.pop() else { return Ok(None) };
            let parts = self.results.first().map(early_parts).unwrap_or_default();
            if parts.is_empty() {
                return Ok(Some(result));
            }
            let given = match result {
                Val::Tuple(values) => values,
                Val::Record(fields) => fields.into_iter().map(|(_, value)| value).collect(),
                _ => Vec::new(),
            };
            let mut end = None;
            for ((name, ty), value) in parts.iter().zip(&given) {
                match value {
                    Val::Stream(stream) => flow::pour(stream, sink(name), &left, access, trouble)?,
                    Val::Future(future) => end = Some(flow::receive(future, ty, access)?),
                    _ => {}
                }
            }
            let end = end.ok_or_else(|| wasmtime::Error::msg("no result comes with the streams"))?;
            let result = end.await.map_err(|_| wasmtime::Error::msg("the function ended without its result"))?;
            // What flows after the result still arrives.
            std::future::poll_fn(|context| access.poll_no_interesting_tasks(context)).await;
            Ok(Some(result))
        };
        store.run_concurrent(call).await?
    }

    fn store(&self) -> Store<State> {
        let state = State { limiter: Limiter::new(&self.limits), started: Instant::now(), table: ResourceTable::new() };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.limiter);
        let resources = usize::try_from(self.limits.resources_max).unwrap_or(usize::MAX);
        store.data_mut().table.set_max_capacity(resources);
        if self.how == How::Concurrent
            && let Some(table) = store.concurrent_resource_table()
        {
            table.set_max_capacity(resources);
        }
        store
    }

    fn explain(&self, store: &Store<State>, deadline: &Deadline, error: wasmtime::Error) -> Error {
        // The engine has no type for it that could be asked for.
        if error.root_cause().to_string().contains("fuel allocated for hostcalls") {
            let what = format!(
                "the result takes more than {} bytes of the host's memory, where a byte of a list takes {}: raise \
                 --result-max to allow more, or give it as a string or a stream",
                self.limits.result_bytes_max,
                size_of::<Val>()
            );
            return Error::new(Kind::Limit, what);
        }
        explain_error(deadline, &store.data().limiter, error)
    }

    fn instantiate<'f>(&'f self, slot: Slot<'f>) -> Result<Running<'f>, Error> {
        let mut store = self.store();
        let (deadline, watchdog) = self.allow(&mut store)?;
        let instance = match self.how {
            How::Plain => at_once(self.pre.instantiate_async(&mut store)),
            How::Io | How::Concurrent => apart(self.pre.instantiate_async(&mut store))?,
        };
        let instance = instance.map_err(|error| explain_setup(&deadline, &store.data().limiter, error))?;
        let function = instance.get_func(&mut store, self.export);
        let function = function.ok_or_else(|| Error::new(Kind::Internal, "the function is not there"))?;
        Ok(Running { of: self, store, function, deadline, watchdog, _slot: slot })
    }

    /// Gives a call what it may use up.
    fn allow(&self, store: &mut Store<State>) -> Result<(Deadline, Option<Watchdog>), Error> {
        // What streams of wasi:io are written by are calls of the host; other functions bring values by their result only.
        let bytes_max = if self.how == How::Io { self.limits.call_bytes_max } else { self.limits.result_bytes_max };
        store.set_hostcall_fuel(usize::try_from(bytes_max).unwrap_or(usize::MAX));
        if let Some(fuel) = self.limits.fuel_max {
            store.set_fuel(fuel).map_err(|error| Error::caused(Kind::Internal, "cannot set fuel", error))?;
        }
        let deadline = Deadline::new(self.limits.time_max);
        Ok((deadline, deadline.watch(store)?))
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
    // The last field: the pool has the instance back before another one may take its place.
    _slot: Slot<'f>,
}

impl Running<'_> {
    fn call_with_streams(
        &mut self,
        args: Vec<Arg>,
        sink: &mut (dyn FnMut(&str) -> Sink + Send),
    ) -> Result<Option<Val>, Error> {
        let _watchdog = self.watchdog.take();
        let trouble = Trouble::default();
        let ended = if self.of.how == How::Io {
            apart(self.of.run_io(&mut self.store, self.function, args, &trouble))?
        } else {
            apart(self.of.run_concurrent(&mut self.store, self.function, args, sink, &trouble))?
        };
        ended.map_err(|error| trouble.take().unwrap_or_else(|| self.of.explain(&self.store, &self.deadline, error)))
    }

    fn call(&mut self, args: &[Val]) -> Result<Option<Val>, Error> {
        let _watchdog = self.watchdog.take();
        let mut results = vec![Val::Bool(false); self.of.results.len()];
        match at_once(self.function.call_async(&mut self.store, args, &mut results)) {
            Ok(()) => Ok(results.pop()),
            Err(error) => Err(self.of.explain(&self.store, &self.deadline, error)),
        }
    }
}

/// An instance of a component that serves many calls of a function, one after another. It may keep what it likes from
/// one to the next; a component that `weir lift` made keeps nothing.
pub struct Instance<'f> {
    running: Running<'f>,
    used: bool,
}

impl<'f> Instance<'f> {
    /// Calls the function. After a trap the instance is lost, and every further call is an error.
    ///
    /// # Errors
    /// As [`Function::call`].
    pub fn call(&mut self, args: &[Val]) -> Result<Option<Val>, Error> {
        if self.running.of.how != How::Plain {
            let args = args.iter().cloned().map(Arg::Value).collect();
            return self.call_with_streams(args, &mut |_| Box::new(std::io::sink()));
        }
        self.renew()?.call(args)
    }

    /// As [`Function::call_with_streams`].
    ///
    /// # Errors
    /// As there.
    pub fn call_with_streams(
        &mut self,
        args: Vec<Arg>,
        sink: &mut (dyn FnMut(&str) -> Sink + Send),
    ) -> Result<Option<Val>, Error> {
        if self.running.of.how == How::Plain {
            return self.call(&values(&self.running.of.name, args)?);
        }
        self.renew()?.call_with_streams(args, sink)
    }

    /// Gives every call but the first what it may use up.
    fn renew(&mut self) -> Result<&mut Running<'f>, Error> {
        let running = &mut self.running;
        if std::mem::replace(&mut self.used, true) {
            (running.deadline, running.watchdog) = running.of.allow(&mut running.store)?;
        }
        Ok(running)
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
    /// It cannot be made within the limits, its start traps, or as many as there may be are kept already.
    pub fn instance(&self) -> Result<Instance<'_>, Error> {
        let slot = self.0.slots.take().ok_or_else(|| {
            let what = format!("{INSTANCES_MAX} instances of {} are kept, which is all there may be", self.0.name);
            Error::new(Kind::Limit, format!("{what}: drop one first"))
        })?;
        Ok(Instance { running: self.0.instantiate(slot)?, used: false })
    }
}

/// Arguments of a function without streams.
fn values(name: &str, args: Vec<Arg>) -> Result<Vec<Val>, Error> {
    let values = args.into_iter().map(|arg| match arg {
        Arg::Value(value) => Ok(value),
        Arg::Stream(_) | Arg::Sink(_) => Err(Error::new(Kind::Program, format!("{name} takes no stream"))),
    });
    values.collect()
}

/// Runs `work`, which waits for nothing. It is asynchronous for the stack that comes with it: the caller's may be small,
/// and how deep a program recurses is the program's choice.
fn at_once<T>(work: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(wasmtime::Error::msg("a function without streams waits for something")),
    }
}

/// Runs `work` in a thread of its own, because the caller may be inside a runtime already.
fn apart<T: Send>(work: impl Future<Output = T> + Send) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Error::new(Kind::Internal, format!("cannot start a runtime: {error}")))?;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("function".into())
            .spawn_scoped(scope, || runtime.block_on(work))
            .map_err(|error| Error::new(Kind::Internal, format!("cannot start a thread: {error}")))?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Names and types of what a function gives at once, where that is streams with the future of its result.
fn early_parts(result: &Type) -> Vec<(String, Type)> {
    let parts: Vec<(String, Type)> = match result {
        Type::Tuple(tuple) => tuple.types().enumerate().map(|(at, ty)| (at.to_string(), ty)).collect(),
        Type::Record(record) => record.fields().map(|field| (field.name.to_owned(), field.ty)).collect(),
        _ => return Vec::new(),
    };
    let all = parts.iter().all(|(_, ty)| matches!(ty, Type::Stream(_) | Type::Future(_)));
    if all { parts } else { Vec::new() }
}

fn engine(limits: &Limits, concurrent: bool) -> Result<Engine, Error> {
    let metering = Metering::of(limits);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(INSTANCES_MAX)
        .total_stacks(INSTANCES_MAX)
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
        .wasm_component_model_async(concurrent)
        .wasm_component_model_map(true)
        .wasm_component_model_fixed_length_lists(true)
        .concurrency_support(concurrent)
        .consume_fuel(metering.fuel)
        .epoch_interruption(metering.epoch)
        .max_wasm_stack(limits.stack_max as usize)
        .async_stack_size(limits.stack_max.saturating_add(1 << 20) as usize)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).map_err(|error| Error::machine(NO_ENGINE, error))
}

/// A component, and the engine that it was compiled for.
struct Compiled {
    engine: Engine,
    component: Component,
    concurrent: bool,
    /// Whether it was compiled now.
    fresh: bool,
}

/// Concurrency support makes every call dearer, so only components that do not go without it have it.
fn component(program: &Program, uses: Uses, limits: &Limits, cache: Option<&Cache>) -> Result<Compiled, Error> {
    let plain = engine(limits, false)?;
    let key = |engine: &Engine| {
        let kind: &[u8] = if uses == Uses::One { b"function-3" } else { b"kept-function-3" };
        cache_key(engine, program, kind, Metering::of(limits))
    };
    if let Some(component) = from_cache(&plain, &key(&plain), cache) {
        return Ok(Compiled { engine: plain, component, concurrent: false, fresh: false });
    }
    let concurrent = engine(limits, true)?;
    if let Some(component) = from_cache(&concurrent, &key(&concurrent), cache) {
        return Ok(Compiled { engine: concurrent, component, concurrent: true, fresh: false });
    }
    let bytes = program.bytes()?;
    crate::imports::refuse_threads(bytes)?;
    let once = if uses == Uses::One { crate::once::for_one_use(bytes) } else { None };
    let bytes = once.as_deref().unwrap_or(bytes);
    let (engine, code, concurrent) = match plain.precompile_component(bytes) {
        Ok(code) => (plain, code, false),
        Err(_) => match concurrent.precompile_component(bytes) {
            Ok(code) => (concurrent, code, true),
            Err(error) => return Err(invalid(program, "component with functions", error)),
        },
    };
    let kept = cache.and_then(|cache| cache.keep(&key(&engine), &code));
    let component = match kept.and_then(|path| super::component::load_file(&engine, &path)) {
        Some(component) => component,
        None => super::component::load_bytes(&engine, &code)?,
    };
    Ok(Compiled { engine, component, concurrent, fresh: true })
}

fn from_cache(engine: &Engine, key: &weir_types::Digest, cache: Option<&Cache>) -> Option<Component> {
    let cache = cache?;
    let component = super::component::load_file(engine, &cache.find(key)?);
    if component.is_none() {
        cache.forget(key);
    }
    component
}

/// Every function that the component exports, by itself or in an interface.
fn exported(engine: &Engine, component: &types::Component) -> Vec<Found> {
    let mut all = Vec::new();
    let mut add = |interface: Option<&str>, name: &str, ty: &types::ComponentFunc| {
        all.push(Found {
            interface: interface.map(Into::into),
            name: name.into(),
            params: ty.params().map(|(name, ty)| (name.into(), ty)).collect(),
            results: ty.results().collect(),
        });
    };
    for (name, item) in component.exports(engine) {
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
    let whole = |found: &Found| found.interface.as_ref().map(|interface| format!("{interface}#{}", found.name));
    // By its own name, or with its interface where several have that.
    let named = |found: &Found, name: &str| found.name == name || whole(found).as_deref() == Some(name);
    let fits: Vec<usize> = match name {
        Some(name) => (0..all.len()).filter(|at| named(&all[*at], name)).collect(),
        None => (0..all.len()).collect(),
    };
    if let [at] = fits[..] {
        return Ok(all.swap_remove(at));
    }
    let path = program.path().display();
    if all.is_empty() {
        return Err(Error::new(Kind::Program, format!("{path} has no functions")));
    }
    let several = |found: &Found| all.iter().filter(|other| other.name == found.name).count() > 1;
    let names = all.iter().map(|found| whole(found).filter(|_| several(found)).unwrap_or_else(|| found.name.clone()));
    let names: Vec<String> = names.map(|name| Shown(&name).to_string()).collect();
    let what = match name {
        Some(name) if fits.is_empty() => format!("no function {name:?}"),
        Some(name) => format!("several functions {name:?}"),
        None => "several functions".to_owned(),
    };
    Err(Error::new(Kind::Program, format!("{path} has {what}; it has: {}", names.join(", "))))
}

/// Clock and randomness, and streams where they are asked for.
fn linker(engine: &Engine, component: &Component) -> wasmtime::Result<(Linker<State>, bool)> {
    let io = component.component_type().imports(engine).any(|(name, _)| name.starts_with("wasi:io/"));
    let mut linker = Linker::new(engine);
    if io {
        wasmtime_wasi_io::add_to_linker_async(&mut linker)?;
    }
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
    Ok((linker, io))
}
