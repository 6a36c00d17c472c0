//! From a program to its code: out of the cache, or prepared, compiled and kept there. One path for modules and
//! components, whatever they are loaded for.

use crate::cache::Cache;
use crate::engines::Room;
use crate::error::{Error, Kind};
use crate::invalid::invalid;
use crate::recipe::Recipe;
use crate::source::Program;
use crate::stats::Stats;
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

/// Bytes as they are, for programs that need no preparation.
///
/// # Errors
/// Never.
pub fn as_it_is(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    Ok(Cow::Borrowed(bytes))
}

/// Compiled code of one kind.
pub(crate) trait Code: Sized {
    /// What messages call a program of this kind.
    const NAME: &'static str;
    /// Compiles bytes.
    fn compile(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Vec<u8>>;
    /// Maps what [`compile`](Self::compile) gave and the cache keeps.
    fn map(engine: &Engine, kept: &Path) -> wasmtime::Result<Self>;
    /// Loads what [`compile`](Self::compile) gave a moment ago.
    fn read(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Self>;
}

/// The code of a program and where it runs.
pub(crate) struct Loaded<T> {
    pub room: Arc<Room>,
    pub code: T,
    pub stats: Stats,
}

/// The code of `program` under the first of `recipes` that it can have. `prepare` turns its bytes into those that are
/// compiled, and `variant` names that: same program, recipe and variant, same code.
///
/// # Errors
/// The program cannot be read or prepared, or is not valid.
pub(crate) fn load<T: Code>(
    program: &Program,
    recipes: &[Recipe],
    variant: &[u8],
    cache: Option<&Cache>,
    prepare: impl for<'b> FnOnce(&'b [u8]) -> Result<Cow<'b, [u8]>, Error>,
) -> Result<Loaded<T>, Error> {
    let mut stats = Stats::default();
    let started = Instant::now();
    // Which of the recipes a program needs is in its bytes; what was compiled before needs no look at them.
    for recipe in recipes {
        let room = Room::of(*recipe)?;
        if let Some(code) = cache.and_then(|cache| kept::<T>(cache, &room, program, variant)) {
            stats.cache_hit = true;
            stats.load_time = program.open_time() + started.elapsed();
            return Ok(Loaded { room, code, stats });
        }
    }
    let bytes = program.bytes()?;
    stats.load_time = program.open_time() + started.elapsed();
    let started = Instant::now();
    let bytes = prepare(bytes)?;
    stats.link_time = started.elapsed();
    let started = Instant::now();
    let (room, compiled) = compile::<T>(program, recipes, &bytes)?;
    let key = room.recipe.key(&room.engine, &program.digest(), variant);
    let path = cache.and_then(|cache| cache.keep(&key, &compiled));
    let code = match path.and_then(|path| T::map(&room.engine, &path).ok()) {
        Some(code) => code,
        None => T::read(&room.engine, &compiled)
            .map_err(|error| Error::caused(Kind::Internal, "compiled code does not load", error))?,
    };
    stats.compile_time = started.elapsed();
    Ok(Loaded { room, code, stats })
}

fn kept<T: Code>(cache: &Cache, room: &Room, program: &Program, variant: &[u8]) -> Option<T> {
    let key = room.recipe.key(&room.engine, &program.digest(), variant);
    let code = T::map(&room.engine, &cache.find(&key)?);
    if code.is_err() {
        cache.forget(&key);
    }
    code.ok()
}

/// Compiles under the first recipe that takes the program. The last error counts: the last recipe takes most.
fn compile<T: Code>(program: &Program, recipes: &[Recipe], bytes: &[u8]) -> Result<(Arc<Room>, Vec<u8>), Error> {
    let mut refused = None;
    for recipe in recipes {
        // The names of WASI 0.3 are the usual sign that a program cannot do without asynchronous functions.
        if !recipe.concurrent && recipes.len() > 1 && names_p3(bytes) {
            continue;
        }
        let room = Room::of(*recipe)?;
        match T::compile(&room.engine, bytes) {
            Ok(code) => return Ok((room, code)),
            Err(error) => refused = Some(error),
        }
    }
    let error = refused.unwrap_or_else(|| wasmtime::Error::msg("no recipe"));
    Err(invalid(program, T::NAME, error))
}

/// Whether the bytes name an interface of WASI 0.3.
fn names_p3(bytes: &[u8]) -> bool {
    bytes.windows(5).any(|window| window == b"@0.3.")
}

#[allow(unsafe_code, reason = "mapping compiled code is wasmtime's only lazy way to load it")]
impl Code for Module {
    const NAME: &'static str = "WebAssembly module";

    fn compile(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Vec<u8>> {
        engine.precompile_module(bytes)
    }

    fn map(engine: &Engine, kept: &Path) -> wasmtime::Result<Self> {
        // SAFETY: `kept` comes from `Cache`: this user alone can write there, and the bytes are those that `compile`
        // gave us, by digest.
        unsafe { Module::deserialize_file(engine, kept) }
    }

    fn read(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: `compiled` was made by `compile` just before.
        unsafe { Module::deserialize(engine, compiled) }
    }
}

#[allow(unsafe_code, reason = "mapping compiled code is wasmtime's only lazy way to load it")]
impl Code for Component {
    const NAME: &'static str = "component";

    fn compile(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Vec<u8>> {
        engine.precompile_component(bytes)
    }

    fn map(engine: &Engine, kept: &Path) -> wasmtime::Result<Self> {
        // SAFETY: as for modules.
        unsafe { Component::deserialize_file(engine, kept) }
    }

    fn read(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: as for modules.
        unsafe { Component::deserialize(engine, compiled) }
    }
}
