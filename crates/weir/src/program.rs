//! From a program to what runs: which kind it is, and what it is handed, decide whether it is linked with the shim, run as
//! it is, or run as a component.

use crate::error::{Error, Kind};
use crate::grants::Grants;
use crate::packed;
use crate::running::Running;
use crate::weir::Weir;
use std::borrow::Cow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use weir_engine::{
    Cache, Carried, ComponentCode, ComponentProgram, CoreCode, CoreProgram, Format, Object, Outcome, Run, Stats,
    check_component, check_functions, check_module, is_served,
};
use weir_link::pack::Manifest;
use weir_link::{Exit, Inspection, LinkOptions, component_head, module_head};
use weir_types::Digest;
use weir_types::grants::{Source, Tier, UnknownImports};
use weir_types::limits::Limits;

/// A program that was opened. Cheap to clone: clones share what is compiled.
#[derive(Clone)]
pub struct Program(Arc<Inner>);

struct Inner {
    weir: Weir,
    program: weir_engine::Program,
    /// What was compiled in this process, by what it was compiled for.
    ready: Mutex<Vec<(Needs, Code)>>,
    /// What was linked in this process without functions of the embedder, beside what it was linked for.
    linked: Mutex<Vec<(Needs, UnknownImports, Linked)>>,
}

/// What code is compiled for. Everything else of grants and limits is the run's own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Needs {
    variant: Vec<u8>,
    fuel: bool,
    epoch: bool,
    stack_max: u64,
}

/// Compiled code. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Code {
    /// A core module with the shim; with what it carries, if it is a pack that was linked anew.
    Core(CoreCode, Option<Arc<Carried>>),
    Component(ComponentCode),
}

impl Program {
    pub(crate) fn new(weir: Weir, program: weir_engine::Program) -> Self {
        Self(Arc::new(Inner { weir, program, ready: Mutex::default(), linked: Mutex::default() }))
    }

    /// The path it was opened by, or the name it was given.
    pub fn path(&self) -> &Path {
        self.0.program.path()
    }

    /// Module or component.
    pub fn format(&self) -> Format {
        self.0.program.format()
    }

    /// The BLAKE3 digest of its bytes.
    pub fn digest(&self) -> Digest {
        self.0.program.digest()
    }

    /// Its bytes.
    ///
    /// # Errors
    /// The file is gone or has changed since it was opened.
    pub fn bytes(&self) -> Result<&[u8], Error> {
        Ok(self.0.program.bytes()?)
    }

    /// The contents of its last custom section of this name.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn custom_section(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.program.custom_section(name)?)
    }

    /// What its bytes say: imports, entry, and what it can reach at most.
    ///
    /// # Errors
    /// It is no valid WebAssembly.
    pub fn inspect(&self) -> Result<Inspection, Error> {
        weir_link::inspect(self.bytes()?).map_err(|error| Error::of_program(&self.0.program, error))
    }

    /// Refuses a program that can reach more than `tier`.
    ///
    /// # Errors
    /// It does, and by which calls.
    pub fn check_tier(&self, tier: Tier) -> Result<(), Error> {
        if tier != Tier::Pure {
            return Ok(());
        }
        let verdict = self.inspect()?.verdict;
        if verdict.tier <= tier {
            return Ok(());
        }
        let (calls, path) = (verdict.forced_by.join(", "), self.path().display());
        let what =
            format!("{path} needs tier {}, and tier pure was asked for: it can call {calls}", verdict.tier.name());
        Err(Error::new(Kind::Grant, what))
    }

    /// Everything for one run: code that is compiled, now or before, and what it is handed.
    ///
    /// # Errors
    /// It cannot be linked or compiled, or imports what nobody grants.
    pub fn prepare(&self, grants: impl Into<Grants>, limits: Limits) -> Result<Prepared, Error> {
        let grants = grants.into();
        let (needs, code) = self.code(&grants, &limits, Entry::Command)?;
        Ok(Prepared { program: self.clone(), needs, code, grants, limits })
    }

    /// The same for a program whose functions are called, and which need not be a command.
    ///
    /// # Errors
    /// As for [`prepare`](Self::prepare).
    pub fn prepare_library(&self, grants: impl Into<Grants>, limits: Limits) -> Result<Prepared, Error> {
        let grants = grants.into();
        let (needs, code) = self.code(&grants, &limits, Entry::Library)?;
        Ok(Prepared { program: self.clone(), needs, code, grants, limits })
    }

    /// Runs it to its end: [`prepare`](Self::prepare) and [`Prepared::run`].
    ///
    /// # Errors
    /// As both.
    pub fn run(&self, grants: impl Into<Grants>, limits: Limits) -> Result<Outcome, Error> {
        self.prepare(grants, limits)?.run()
    }

    /// Starts it beside others: [`prepare`](Self::prepare) and [`Prepared::spawn`]. It can be interrupted.
    ///
    /// # Errors
    /// As both.
    pub fn spawn(&self, grants: impl Into<Grants>, limits: Limits) -> Result<Running, Error> {
        self.prepare(grants, Limits { interruptible: true, ..limits })?.spawn()
    }

    /// The code for these grants and limits, from this process or from the cache, or compiled now.
    fn code(&self, grants: &Grants, limits: &Limits, entry: Entry) -> Result<(Needs, Code), Error> {
        let manifest = packed::manifest(&self.0.program)?;
        let anew = manifest.as_ref().filter(|manifest| packed::needs_more(manifest, grants, limits));
        let given = anew.map(|manifest| packed::given(manifest, grants)).unwrap_or_default();
        let options = link_options(grants);
        let mut variant = variant(&options);
        if anew.is_some() {
            variant.extend_from_slice(format!(" pack {}", given.join(" ")).as_bytes());
        }
        let needs = Needs {
            variant,
            fuel: limits.fuel_max.is_some(),
            epoch: limits.time_max.is_some() || limits.interruptible,
            stack_max: limits.stack_max,
        };
        let ready = || self.0.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, code)) = ready().iter().find(|(known, _)| *known == needs) {
            return Ok((needs, code.clone()));
        }
        let code = match self.format() {
            Format::Module => self.core(anew, &options, &given, &needs, (grants, limits))?,
            Format::Component => {
                if manifest.is_some() {
                    packed::refuse_grants(&self.0.program, grants)?;
                }
                self.component(grants, limits, entry)?
            }
        };
        ready().push((needs.clone(), code.clone()));
        Ok((needs, code))
    }

    fn core(
        &self,
        anew: Option<&Manifest>,
        options: &LinkOptions,
        given: &[&str],
        needs: &Needs,
        (grants, limits): (&Grants, &Limits),
    ) -> Result<Code, Error> {
        let carried = anew.map(packed::carried).transpose()?.map(Arc::new);
        let failed = |error: &dyn std::fmt::Display| {
            weir_engine::Error::new(weir_engine::Kind::Program, format!("{}: {error}", self.path().display()))
        };
        let link = |bytes: &[u8]| {
            if anew.is_some() {
                return packed::link(bytes, options, given).map_err(|error| failed(&error));
            }
            check_module(&module_head(bytes), grants.data.unknown_imports, &grants.functions)?;
            weir_link::link(bytes, options).map(|linked| linked.bytes).map_err(|error| failed(&error))
        };
        let link = prepared(|bytes| link(bytes).map(Cow::Owned));
        let core = CoreCode::load(&self.0.program, &needs.variant, limits, self.cache(), link)?;
        Ok(Code::Core(core, carried))
    }

    fn component(&self, grants: &Grants, limits: &Limits, entry: Entry) -> Result<Code, Error> {
        let granted = |name: &str| is_served(name) || grants.functions.has(name);
        let check = |bytes: &[u8]| match component_head(bytes, granted) {
            Some(head) if entry == Entry::Command => check_component(&head, grants.data.unknown_imports),
            Some(head) => check_functions(head.shared_memory),
            None => Ok(()),
        };
        Ok(Code::Component(ComponentCode::load(&self.0.program, limits, self.cache(), checked(check))?))
    }

    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.0.weir.cache.as_deref()
    }

    pub(crate) fn engine_program(&self) -> &weir_engine::Program {
        &self.0.program
    }
}

/// Says of a closure that it takes bytes of any lifetime, which inference does not find.
fn prepared<F>(prepare: F) -> F
where
    F: for<'b> FnOnce(&'b [u8]) -> Result<Cow<'b, [u8]>, weir_engine::Error>,
{
    prepare
}

/// Bytes as they are, after a look at them.
pub(crate) fn checked(
    check: impl FnOnce(&[u8]) -> Result<(), weir_engine::Error>,
) -> impl for<'b> FnOnce(&'b [u8]) -> Result<Cow<'b, [u8]>, weir_engine::Error> {
    |bytes| check(bytes).map(|()| Cow::Borrowed(bytes))
}

/// Code that is linked with what it imports. Cheap to clone.
#[derive(Clone)]
enum Linked {
    Core(Arc<CoreProgram>, Option<Arc<Carried>>),
    Component(Arc<ComponentProgram>),
}

/// How a program is entered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    Command,
    Library,
}

/// A program whose code is there, and what its next run is handed.
pub struct Prepared {
    pub(crate) program: Program,
    needs: Needs,
    pub(crate) code: Code,
    pub(crate) grants: Grants,
    pub(crate) limits: Limits,
}

impl Prepared {
    /// What it took to load it.
    pub fn stats(&self) -> &Stats {
        match &self.code {
            Code::Core(program, _) => program.stats(),
            Code::Component(program) => program.stats(),
        }
    }

    /// Runs it to its end, on this thread. A program that exits by itself, with any code, is a success here.
    ///
    /// # Errors
    /// A grant cannot be honoured, the program traps or meets a limit, or its results cannot be saved.
    pub fn run(mut self) -> Result<Outcome, Error> {
        let linked = self.link()?;
        let (ends, objects) = (std::mem::take(&mut self.grants.ends), std::mem::take(&mut self.grants.objects));
        let mut run = Run { ends, objects, ..run_of(&self.grants, &self.limits) };
        match &linked {
            Linked::Component(component) => Ok(component.run(run)?),
            Linked::Core(core, carried) => {
                run.carried = carried.as_deref();
                core.run(run).map_err(|error| match (error.kind(), carried) {
                    (weir_engine::Kind::Trap, Some(_)) => {
                        let why = packed::contradiction(self.program.engine_program(), &self.grants);
                        why.unwrap_or_else(|| error.into())
                    }
                    _ => error.into(),
                })
            }
        }
    }

    /// Starts it on the threads that programs share: those of the runtime (tokio) that the caller is in, or weir's own. A
    /// program that waits holds none of them, one that computes gives way from time to time.
    ///
    /// # Errors
    /// A grant cannot be honoured, or the limits did not ask for code that can be interrupted.
    pub fn spawn(mut self) -> Result<Running, Error> {
        let linked = self.link()?;
        let (ends, objects) = (std::mem::take(&mut self.grants.ends), std::mem::take(&mut self.grants.objects));
        let mut run = Run { ends, objects, ..run_of(&self.grants, &self.limits) };
        match &linked {
            Linked::Component(component) => Ok(Running::new(component.start(run)?)),
            Linked::Core(core, carried) => {
                run.carried = carried.as_deref();
                Ok(Running::new(core.start(run)?))
            }
        }
    }

    /// The program with what it imports, linked once for all runs that grant the same functions: none.
    fn link(&self) -> Result<Linked, Error> {
        let (unknown, functions) = (self.grants.data.unknown_imports, &self.grants.functions);
        let known = || self.program.0.linked.lock().unwrap_or_else(PoisonError::into_inner);
        if functions.is_empty()
            && let Some((.., linked)) = known().iter().find(|known| (&known.0, known.1) == (&self.needs, unknown))
        {
            return Ok(linked.clone());
        }
        let linked = match &self.code {
            Code::Core(core, carried) => Linked::Core(Arc::new(core.link(unknown, functions)?), carried.clone()),
            Code::Component(component) => Linked::Component(Arc::new(component.link(unknown, functions)?)),
        };
        if functions.is_empty() {
            known().push((self.needs.clone(), unknown, linked.clone()));
        }
        Ok(linked)
    }
}

pub(crate) fn run_of<'a>(grants: &'a Grants, limits: &'a Limits) -> Run<'a> {
    Run { saves: &grants.saves, trace: grants.trace, ..Run::new(&grants.data, limits) }
}

/// What of the shim a run with these grants needs.
fn link_options(grants: &Grants) -> LinkOptions {
    let has = |wanted: fn(&Source) -> bool| grants.data.places.iter().any(|place| wanted(&place.source));
    LinkOptions {
        host_dirs: has(|source| matches!(source, Source::HostDir { .. })),
        mounts: true,
        streams: grants.objects.iter().any(|(_, object)| matches!(object, Object::Stream(..)))
            || has(|source| matches!(source, Source::Stream(_))),
        // The host copies mounted data into the shim's memory, which comes with these exports.
        control: true,
        trace: grants.trace,
        exit: Exit::Host,
    }
}

/// The options and the shim by name, for the cache of compiled code.
fn variant(options: &LinkOptions) -> Vec<u8> {
    static SHIM: std::sync::OnceLock<Digest> = std::sync::OnceLock::new();
    format!("{options:?} {}", SHIM.get_or_init(|| weir_engine::digest(weir_link::SHIM))).into_bytes()
}
