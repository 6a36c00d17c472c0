//! Functions: a component's export called by value, a fresh instance for each call.
//!
//! An instance that trapped is lost, and one that was used may hold what was left: so none is used twice, and no call
//! sees another one. Instances come from a pool, so that making one costs microseconds. A function gets clock and
//! randomness if it imports them, and nothing else.
//!
//! Components that keep something from call to call on purpose, or put themselves back, have [`Instance`].

use crate::arm::{Limited, Thread, Watch, arm};
use crate::blocking;
use crate::cache::Cache;
use crate::calling::{Failed, Signature, choose, early_parts, exported};
use crate::deadline::Deadline;
use crate::engines::Room;
use crate::error::{Error, Hint, Kind, Limit};
use crate::explain;
use crate::flow::{self, Arg, Sink, Trouble};
use crate::limiter::Limiter;
use crate::load::{Loaded, load};
use crate::recipe::{Kind as Recipes, Recipe};
use crate::source::Program;
use crate::value::Value;
use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::{
    Accessor, Component, ComponentExportIndex, ComponentType, Func, InstancePre, Linker, Lower, ResourceAny,
    ResourceTable, Type, Val,
};
use wasmtime::{Engine, Store};
use wasmtime_wasi_io::IoView;
use weir_types::Shown;
use weir_types::limits::Limits;

/// A function of a component. Clones are the same function.
#[derive(Clone)]
pub struct Function(Arc<Inner>);

struct Inner {
    room: Arc<Room>,
    pre: InstancePre<State>,
    export: ComponentExportIndex,
    signature: Signature,
    limits: Limits,
    how: How,
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

impl Limited for State {
    fn limiter(&mut self) -> &mut Limiter {
        &mut self.limiter
    }
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

impl Function {
    /// The function `name` of a component, compiled or from the cache; without a name its only one. `prepare` turns the
    /// component's bytes into those for instances that serve one call each.
    ///
    /// # Errors
    /// The program is no component, has no such function, or imports what functions do not get.
    pub fn load(
        program: &Program,
        name: Option<&str>,
        limits: &Limits,
        cache: Option<&Cache>,
        prepare: impl for<'b> FnOnce(&'b [u8]) -> Result<Cow<'b, [u8]>, Error>,
    ) -> Result<Self, Error> {
        Self::load_for(Uses::One, program, name, limits, cache, prepare)
    }

    /// Compiles the functions of a component for calls, if the cache does not have them; says whether it did.
    ///
    /// # Errors
    /// The program is no component.
    pub fn compile(
        program: &Program,
        limits: &Limits,
        cache: &Cache,
        prepare: impl for<'b> FnOnce(&'b [u8]) -> Result<Cow<'b, [u8]>, Error>,
    ) -> Result<bool, Error> {
        component(program, Uses::One, limits, Some(cache), prepare).map(|loaded| !loaded.stats.cache_hit)
    }

    fn load_for(
        uses: Uses,
        program: &Program,
        name: Option<&str>,
        limits: &Limits,
        cache: Option<&Cache>,
        prepare: impl for<'b> FnOnce(&'b [u8]) -> Result<Cow<'b, [u8]>, Error>,
    ) -> Result<Self, Error> {
        let Loaded { room, code: component, .. } = component(program, uses, limits, cache, prepare)?;
        let engine = &room.engine;
        let internal = |error| Error::caused(Kind::Internal, "cannot link", error);
        let (linker, io) = linker(engine, &component).map_err(internal)?;
        let pre =
            linker.instantiate_pre(&component).map_err(|error| explain_imports(program, engine, &component, error))?;
        // With the host's own types in the place of those that are imported.
        let ty = linker.substituted_component_type(&component).map_err(internal)?;
        let found = choose(exported(engine, &ty), name, &program.path().display().to_string())?;
        let interface = match &found.interface {
            Some(interface) => component.get_export_index(None, interface),
            None => None,
        };
        let export = component.get_export_index(interface.as_ref(), &found.name);
        let export = export.ok_or_else(|| Error::new(Kind::Internal, "an export that was listed is not there"))?;
        let how = match (room.recipe.concurrent, io) {
            (true, _) => How::Concurrent,
            (false, true) => How::Io,
            (false, false) => How::Plain,
        };
        let signature = found.signature(how == How::Plain);
        Ok(Self(Arc::new(Inner { room, pre, export, signature, limits: limits.clone(), how })))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.signature.name
    }

    /// Names and types of its parameters.
    pub fn params(&self) -> &[(String, Type)] {
        &self.0.signature.params
    }

    /// The type of its result, if it has one.
    pub fn result(&self) -> Option<&Type> {
        self.0.signature.results.first()
    }

    /// Calls it in an instance of its own, on a stack of its own. May be called from several threads at the same time;
    /// while all instances that there may be are in use, it waits.
    ///
    /// # Errors
    /// The arguments have other types, or the function traps or meets a limit. A failure that the function's type
    /// speaks of is a result.
    pub fn call(&self, args: impl Into<Arc<[Value]>>) -> Result<Option<Value>, Error> {
        let args = args.into();
        if self.0.how != How::Plain {
            let args = args.iter().cloned().map(Arg::Value).collect();
            return self.call_with_streams(args, &mut |_| Box::new(std::io::sink()));
        }
        let place = blocking::park(self.0.place());
        let mut running = blocking::to_the_end(self.0.instantiate(Thread::Own, place))?;
        blocking::to_the_end(running.call(args))
    }

    /// The same beside others on this thread.
    ///
    /// # Errors
    /// As for [`call`](Self::call), and where the function takes or gives streams.
    pub async fn call_async(&self, args: impl Into<Arc<[Value]>>) -> Result<Option<Value>, Error> {
        let args = args.into();
        if self.0.how != How::Plain {
            let what = format!("{} takes or gives streams: call it with them", self.name());
            return Err(Error::new(Kind::Program, what));
        }
        let place = self.0.place().await;
        let mut running = self.0.instantiate(Thread::Shared, place).await?;
        running.call(args).await
    }

    /// Names of the streams of the result: fields of a record, or numbers in a tuple. They are given to the sinks of
    /// [`call_with_streams`](Self::call_with_streams), and the result is what the future beside them gives.
    pub fn result_streams(&self) -> Vec<String> {
        let parts = self.0.signature.results.first().map(early_parts).unwrap_or_default();
        parts.into_iter().filter(|(_, ty)| matches!(ty, Type::Stream(_))).map(|(name, _)| name).collect()
    }

    /// Whether it takes or gives streams.
    pub fn has_streams(&self) -> bool {
        let is_stream = |ty: &Type| match ty {
            Type::Option(inside) => flow::is_input(&inside.ty()) || flow::is_output(&inside.ty()),
            ty => flow::is_input(ty) || flow::is_output(ty),
        };
        self.0.signature.params.iter().any(|(_, ty)| is_stream(ty)) || !self.result_streams().is_empty()
    }

    /// Calls it in an instance of its own. What is read and written meanwhile is done by the thread of this call: it
    /// waits for the function, and the function for it. `sink` gives what each stream of the result is written to.
    ///
    /// # Errors
    /// As for [`call`](Self::call), and where a stream cannot be read or written.
    pub fn call_with_streams(
        &self,
        args: Vec<Arg>,
        sink: &mut (dyn FnMut(&str) -> Sink + Send),
    ) -> Result<Option<Value>, Error> {
        if self.0.how == How::Plain {
            return self.call(values(self.name(), args)?);
        }
        blocking::wait(async {
            let place = self.0.place().await;
            let mut running = self.0.instantiate(Thread::Own, place).await?;
            running.call_with_streams(args, sink).await
        })?
    }
}

/// A place in a pool, for as long as an instance is there.
type Place = Option<OwnedSemaphorePermit>;

impl Inner {
    /// A place in the pool, as soon as there is one.
    async fn place(&self) -> Place {
        if self.room.recipe.kind != Recipes::Function {
            return None;
        }
        // Nobody closes it.
        self.room.places.clone().acquire_owned().await.ok()
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
        for (arg, (_, ty)) in args.into_iter().zip(&self.signature.params) {
            let resource = match arg {
                Arg::Value(value) => {
                    values.push(value.into_val());
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
        let mut results = vec![Val::Bool(false); self.signature.results.len()];
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
            for (arg, (_, ty)) in args.into_iter().zip(&self.signature.params) {
                values.push(match arg {
                    Arg::Value(value) => value.into_val(),
                    Arg::Sink(_) => return Err(wasmtime::Error::msg("an asynchronous function gives its streams")),
                    Arg::Stream(reader) => flow::stream_of(reader, matches!(ty, Type::Option(_)), access, trouble)?,
                });
            }
            let mut results = vec![Val::Bool(false); self.signature.results.len()];
            function.call_concurrent(access, &values, &mut results).await?;
            let Some(result) = results.pop() else { return Ok(None) };
            let parts = self.signature.results.first().map(early_parts).unwrap_or_default();
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

    fn explain(&self, store: &Store<State>, deadline: &Deadline, error: wasmtime::Error) -> Error {
        // The engine has no type for it that could be asked for.
        if error.root_cause().to_string().contains("fuel allocated for hostcalls") {
            return Error::met(Limit::Result { most: self.limits.result_bytes_max });
        }
        explain::run(deadline, &store.data().limiter, error)
    }

    async fn instantiate(self: &Arc<Self>, thread: Thread, place: Place) -> Result<Running, Error> {
        let state =
            State { limiter: Limiter::new(&self.limits, None), started: Instant::now(), table: ResourceTable::new() };
        let mut store = Store::new(&self.room.engine, state);
        let resources = usize::try_from(self.limits.resources_max).unwrap_or(usize::MAX);
        store.data_mut().table.set_max_capacity(resources);
        let (deadline, watch) = self.allow(&mut store, thread)?;
        let instance = self.pre.instantiate_async(&mut store).await;
        let instance = instance.map_err(|error| explain::setup(&deadline, &store.data().limiter, error))?;
        let function = instance.get_func(&mut store, self.export);
        let function = function.ok_or_else(|| Error::new(Kind::Internal, "the function is not there"))?;
        Ok(Running { of: self.clone(), thread, store, function, deadline, watch: Some(watch), _place: place })
    }

    /// Gives a call what it may use up.
    fn allow(&self, store: &mut Store<State>, thread: Thread) -> Result<(Deadline, Watch), Error> {
        // What streams of wasi:io are written by are calls of the host; other functions bring values by their result only.
        let bytes_max = if self.how == How::Io { self.limits.call_bytes_max } else { self.limits.result_bytes_max };
        let deadline = Deadline::new(self.limits.time_max);
        Ok((deadline, arm(store, &self.room, &self.limits, bytes_max, (thread, deadline))?))
    }
}

/// How many calls an instance serves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Uses {
    One,
    Many,
}

/// An instance, and the time that its call has.
struct Running {
    of: Arc<Inner>,
    thread: Thread,
    store: Store<State>,
    function: Func,
    deadline: Deadline,
    watch: Option<Watch>,
    // The last field: the pool has the instance back before another one may take its place.
    _place: Place,
}

impl Running {
    async fn call_with_streams(
        &mut self,
        args: Vec<Arg>,
        sink: &mut (dyn FnMut(&str) -> Sink + Send),
    ) -> Result<Option<Value>, Error> {
        let _watch = self.watch.take();
        let trouble = Trouble::default();
        let ended = if self.of.how == How::Io {
            self.of.run_io(&mut self.store, self.function, args, &trouble).await
        } else {
            self.of.run_concurrent(&mut self.store, self.function, args, sink, &trouble).await
        };
        match ended {
            Ok(result) => self.of.signature.value(result),
            Err(error) => Err(trouble.take().unwrap_or_else(|| self.of.explain(&self.store, &self.deadline, error))),
        }
    }

    async fn call(&mut self, args: Arc<[Value]>) -> Result<Option<Value>, Error> {
        let _watch = self.watch.take();
        let called = self.of.signature.call(&mut self.store, self.function, args).await;
        called.map_err(|failed| match failed {
            Failed::Ours(error) => error,
            Failed::Engine(error) => self.of.explain(&self.store, &self.deadline, error),
        })
    }
}

/// An instance of a component that serves many calls of a function, one after another. It may keep what it likes from
/// one to the next; a component that `weir lift` made keeps nothing.
pub struct Instance {
    running: Running,
    used: bool,
}

impl Instance {
    /// Calls the function. After a trap the instance is lost, and every further call is an error.
    ///
    /// # Errors
    /// As [`Function::call`].
    pub fn call(&mut self, args: impl Into<Arc<[Value]>>) -> Result<Option<Value>, Error> {
        let args = args.into();
        if self.running.of.how != How::Plain {
            let args = args.iter().cloned().map(Arg::Value).collect();
            return self.call_with_streams(args, &mut |_| Box::new(std::io::sink()));
        }
        blocking::to_the_end(self.renew()?.call(args))
    }

    /// As [`Function::call_with_streams`].
    ///
    /// # Errors
    /// As there.
    pub fn call_with_streams(
        &mut self,
        args: Vec<Arg>,
        sink: &mut (dyn FnMut(&str) -> Sink + Send),
    ) -> Result<Option<Value>, Error> {
        if self.running.of.how == How::Plain {
            return self.call(values(&self.running.of.signature.name, args)?);
        }
        blocking::wait(self.renew()?.call_with_streams(args, sink))?
    }

    /// Gives every call but the first what it may use up.
    fn renew(&mut self) -> Result<&mut Running, Error> {
        let running = &mut self.running;
        if std::mem::replace(&mut self.used, true) {
            let (deadline, watch) = running.of.allow(&mut running.store, running.thread)?;
            (running.deadline, running.watch) = (deadline, Some(watch));
        }
        Ok(running)
    }
}

/// A function whose instances serve many calls. They come from no pool: there may be as many as there is memory for.
#[derive(Clone)]
pub struct KeptFunction(Function);

impl KeptFunction {
    /// As [`Function::load`], with the component as it is.
    ///
    /// # Errors
    /// As there.
    pub fn load(
        program: &Program,
        name: Option<&str>,
        limits: &Limits,
        cache: Option<&Cache>,
        prepare: impl for<'b> FnOnce(&'b [u8]) -> Result<Cow<'b, [u8]>, Error>,
    ) -> Result<Self, Error> {
        Function::load_for(Uses::Many, program, name, limits, cache, prepare).map(Self)
    }

    /// A new instance.
    ///
    /// # Errors
    /// It cannot be made within the limits, or its start traps.
    pub fn instance(&self) -> Result<Instance, Error> {
        let running = match self.0.0.how {
            How::Plain => blocking::to_the_end(self.0.0.instantiate(Thread::Own, None))?,
            How::Io | How::Concurrent => blocking::wait(self.0.0.instantiate(Thread::Own, None))??,
        };
        Ok(Instance { running, used: false })
    }
}

/// Arguments of a function without streams.
fn values(name: &str, args: Vec<Arg>) -> Result<Vec<Value>, Error> {
    let values = args.into_iter().map(|arg| match arg {
        Arg::Value(value) => Ok(value),
        Arg::Stream(_) | Arg::Sink(_) => Err(Error::new(Kind::Program, format!("{name} takes no stream"))),
    });
    values.collect()
}

/// The code of a component whose functions are called. Those that serve one call each come from a pool.
fn component(
    program: &Program,
    uses: Uses,
    limits: &Limits,
    cache: Option<&Cache>,
    prepare: impl for<'b> FnOnce(&'b [u8]) -> Result<Cow<'b, [u8]>, Error>,
) -> Result<Loaded<Component>, Error> {
    let (kind, variant): (_, &[u8]) = match uses {
        Uses::One => (Recipes::Function, b"function-4"),
        Uses::Many => (Recipes::Component, b"kept-function-4"),
    };
    let recipe = Recipe::new(kind, limits);
    load(program, &[recipe, recipe.concurrent()], variant, cache, prepare)
}

/// Why a component does not link: it imports what functions do not get.
fn explain_imports(program: &Program, engine: &Engine, component: &Component, error: wasmtime::Error) -> Error {
    let given = ["wasi:clocks/", "wasi:random/", "wasi:io/"];
    let ty = component.component_type();
    let names = ty.imports(engine).map(|(name, _)| name).filter(|name| !given.iter().any(|own| name.starts_with(own)));
    let names: Vec<String> = names.map(|name| format!("`{}`", Shown(name))).collect();
    let what = format!("{} imports what functions do not get", program.path().display());
    if names.is_empty() {
        return Error::caused(Kind::Import, format!("{what}; clock and randomness are all there is"), error);
    }
    let what = format!("{what}, {}: clock and randomness are all there is", names.join(", "));
    Error::new(Kind::Import, what).with_hint(Hint::Lift)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::as_it_is;
    use crate::value::any::{any, numbers};

    /// Types of every kind that goes the short way.
    const TYPES: [&str; 22] = [
        "bool",
        "s8",
        "u8",
        "s16",
        "u16",
        "s32",
        "u32",
        "s64",
        "u64",
        "f32",
        "f64",
        "char",
        "string",
        "(list u8)",
        "(list f64)",
        "(option (option u16))",
        "(result u64 (error string))",
        "(tuple u8 f64 string)",
        "$variant",
        "$enum",
        "$record",
        "$flags",
    ];

    /// A component with a function `same` that gives a list of `ty` back, and `flat`, which gives the core values of one
    /// `ty` as bytes.
    fn component(ty: &str, flat: usize) -> String {
        let named = r#"
          (type $enum' (enum "a" "b" "c")) (export $enum "e" (type $enum'))
          (type $flags' (flags "a" "b" "c" "d" "e" "f" "g" "h" "i")) (export $flags "g" (type $flags'))
          (type $variant' (variant (case "a") (case "b" f32) (case "c" string) (case "d" u64)))
          (export $variant "v" (type $variant'))
          (type $record' (record (field "x" u8) (field "y" $variant) (field "z" (list string))))
          (export $record "r" (type $record'))"#;
        let params: String = (0..flat).map(|at| format!("(param $p{at} TYPE{at}) ")).collect();
        let stores: String =
            (0..flat).map(|at| format!("(STORE{at} (i32.const {}) (local.get $p{at}))", 16 + at * 8)).collect();
        format!(
            r#"(component {named}
              (core module $m
                (memory (export "memory") 2)
                (global $next (mut i32) (i32.const 1024))
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
                  (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                  (global.set $next (i32.add (local.get $at) (local.get 3)))
                  (local.get $at))
                (func (export "same") (param i32 i32) (result i32)
                  (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (local.get 1)) (i32.const 0))
                (func (export "flat") {params} (result i32)
                  {stores} (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const {})) (i32.const 0)))
              (core instance $i (instantiate $m))
              (func (export "same") (param "all" (list {ty})) (result (list {ty}))
                (canon lift (core func $i "same") (memory $i "memory") (realloc (func $i "realloc"))))
              (func (export "flat") (param "one" {ty}) (result (list u8))
                (canon lift (core func $i "flat") (memory $i "memory") (realloc (func $i "realloc")))))"#,
            flat * 8
        )
    }

    /// The core types of the flattened `ty`, and how each is stored.
    fn flat(ty: &str) -> &'static [&'static str] {
        match ty {
            "s64" | "u64" => &["i64"],
            "f32" => &["f32"],
            "f64" => &["f64"],
            "string" | "(list u8)" | "(list f64)" => &["i32", "i32"],
            "(option (option u16))" => &["i32", "i32", "i32"],
            "(result u64 (error string))" => &["i32", "i64", "i32"],
            "(tuple u8 f64 string)" => &["i32", "f64", "i32", "i32"],
            "$variant" => &["i32", "i64", "i32"],
            "$record" => &["i32", "i32", "i64", "i32", "i32", "i32"],
            _ => &["i32"],
        }
    }

    fn load(text: &str, name: &str) -> (Function, Function) {
        let program = Program::from_bytes("t.wat", text.as_bytes().to_vec()).unwrap();
        let direct = Function::load(&program, Some(name), &Limits::default(), None, as_it_is).unwrap();
        let mut own = Function::load(&program, Some(name), &Limits::default(), None, as_it_is).unwrap();
        assert!(direct.0.signature.is_direct(), "{text}");
        Arc::get_mut(&mut own.0).unwrap().signature.go_own_way();
        (direct, own)
    }

    #[test]
    fn both_ways_hand_over_the_same_values() {
        let mut next = numbers();
        for ty in TYPES {
            let core = flat(ty);
            let mut text = component(ty, core.len());
            for (at, core) in core.iter().enumerate().rev() {
                text =
                    text.replace(&format!("TYPE{at}"), core).replace(&format!("STORE{at}"), &format!("{core}.store"));
            }
            let (direct, own) = load(&text, "same");
            let list = direct.params()[0].1.clone();
            let Type::List(item) = &list else { panic!("a list is taken") };
            let (direct_flat, own_flat) = load(&text, "flat");
            for _ in 0..40 {
                let values = any(&list, &mut next);
                let back = direct.call([values.clone()]).unwrap().unwrap();
                // NaN is not equal to itself.
                assert_eq!(format!("{back:?}"), format!("{values:?}"), "{ty}");
                let back = own.call([values.clone()]).unwrap().unwrap();
                assert_eq!(format!("{back:?}"), format!("{values:?}"), "{ty}");
                let one = any(&item.ty(), &mut next);
                let (direct, own) = (direct_flat.call([one.clone()]).unwrap(), own_flat.call([one.clone()]).unwrap());
                assert_eq!(direct, own, "{ty}: {one:?}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let text = component("u8", 1).replace("TYPE0", "i32").replace("STORE0", "i32.store");
        let (function, _) = load(&text, "same");
        for wrong in [Value::U8(1), Value::List(vec![Value::String("x".into())]), Value::bytes([1])] {
            let fits = wrong.as_bytes().is_some();
            let called = function.call([wrong]);
            assert_eq!(called.is_ok(), fits);
            if let Err(error) = called {
                assert!(error.kind() == Kind::Grant && error.to_string().contains("same: "), "{error}");
            }
        }
        assert_eq!(function.call([]).unwrap_err().kind(), Kind::Grant);
    }

    /// A result that is small in the component and large in the host counts as what it is there.
    #[test]
    fn records_in_a_list_count_with_their_names() {
        let mut text = component("$record", 6);
        for (at, core) in flat("$record").iter().enumerate().rev() {
            text = text.replace(&format!("TYPE{at}"), core).replace(&format!("STORE{at}"), &format!("{core}.store"));
        }
        let program = Program::from_bytes("t.wat", text.into_bytes()).unwrap();
        let record = Value::Record(vec![
            ("x".into(), Value::U8(1)),
            ("y".into(), Value::Variant("a".into(), None)),
            ("z".into(), Value::List(Vec::new())),
        ]);
        let list = Value::List(vec![record; 100]);
        for (bytes, fits) in [(100 * size_of::<Value>() as u64 + 1000, false), (100_000, true)] {
            let limits = Limits { result_bytes_max: bytes, ..Limits::default() };
            let same = Function::load(&program, Some("same"), &limits, None, as_it_is).unwrap();
            let called = same.call([list.clone()]);
            assert_eq!(called.is_ok(), fits, "{bytes}");
            assert!(called.is_ok() || called.unwrap_err().limit() == Some(&Limit::Result { most: bytes }));
        }
    }
}
