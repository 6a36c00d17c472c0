//! What an inspection says, and why there is none.

use super::paths::PathString;
use crate::error::LinkError;
use crate::p1::Reach;
use core::fmt;
use weir_types::Shown;
use weir_types::grants::Tier;

/// What is known about a program without running it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// What it is.
    pub kind: Kind,
    /// The WASI versions it was built for: `0.0`, `0.1`, or those of the interfaces of a component.
    pub wasi: Vec<String>,
    /// The imported functions, ordered by what they reach. Of a component: the functions of the
    /// imported interfaces, or `*` where only the interface is known.
    pub imports: Vec<ImportReport>,
    /// The names of the exports.
    pub exports: Vec<String>,
    /// The interface through which a run of a component begins, if it is a command.
    pub run: Option<String>,
    /// The exports through which a run begins.
    pub entry_points: Vec<String>,
    /// How many core modules there are.
    pub modules: u32,
    /// How many functions are defined.
    pub functions: u32,
    /// How many of those the entry points can get to.
    pub reachable_functions: u32,
    /// Strings in the data that look like paths: absolute ones first, each kind in the order of its
    /// places.
    pub paths: Vec<PathString>,
    /// How many more of those there are at most.
    pub paths_omitted: u64,
    /// Which tier it needs.
    pub verdict: Verdict,
    /// The size of the program.
    pub bytes: u64,
}

/// What a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A core module that runs once from `_start`.
    CoreCommand,
    /// A core module that is set up by `_initialize` and then called.
    CoreReactor,
    /// A core module with other exports, or none.
    CoreLibrary,
    /// A component, and what it is for.
    Component(ComponentKind),
    /// Input for a linker, not a program.
    ObjectFile,
}

/// What a component is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ComponentKind {
    /// It exports `wasi:cli/run`.
    Command,
    /// It exports a handler of HTTP requests.
    HttpHandler,
    /// It exports something else.
    Library,
}

impl Kind {
    /// The words used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::CoreCommand => "core module, command",
            Kind::CoreReactor => "core module, reactor",
            Kind::CoreLibrary => "core module, library",
            Kind::Component(ComponentKind::Command) => "component, command",
            Kind::Component(ComponentKind::HttpHandler) => "component, HTTP handler",
            Kind::Component(ComponentKind::Library) => "component, library",
            Kind::ObjectFile => "object file",
        }
    }
}

/// One imported function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportReport {
    /// The imported module or interface.
    pub module: String,
    /// The function, or `*` for an interface whose functions are not known.
    pub name: String,
    /// What it reaches.
    pub reach: Reach,
    /// Whether the entry points can get to it. `false` is certain.
    pub reachable: bool,
}

/// Which tier a program needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The highest tier that the program itself can call for: [`Tier::Pure`] or [`Tier::Virtual`],
    /// never [`Tier::Host`].
    pub tier: Tier,
    /// The reachable calls that force it.
    pub forced_by: Vec<String>,
    /// Why, in a sentence.
    pub why: &'static str,
}

impl Verdict {
    pub(super) fn new(forced_by: Vec<String>) -> Verdict {
        let (tier, why) = if forced_by.is_empty() {
            (Tier::Pure, "no call that opens or lists files can be reached from the entry points")
        } else {
            (
                Tier::Virtual,
                "calls that open or list files can be reached; whether these are real files of the host is decided by \
                 what is granted, never by the program",
            )
        };
        Verdict { tier, forced_by, why }
    }
}

/// Why a program cannot be inspected.
#[derive(Debug)]
pub struct InspectError {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    message: String,
    offset: usize,
}

impl InspectError {
    pub(crate) fn invalid(message: impl Into<String>, offset: usize) -> InspectError {
        InspectError { inner: Box::new(Inner { message: message.into(), offset }) }
    }

    pub(crate) fn of_link(error: LinkError, base: usize) -> InspectError {
        InspectError::invalid(error.kind().to_string(), base + error.offset().unwrap_or(0))
    }

    pub(crate) fn parse(error: wasmparser::Error) -> InspectError {
        InspectError::of_link(LinkError::parse(error), 0)
    }

    /// The byte of the program where it was found.
    pub fn offset(&self) -> usize {
        self.inner.offset
    }
}

impl fmt::Display for InspectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {:#x})", Shown(&self.inner.message), self.inner.offset)
    }
}

impl std::error::Error for InspectError {}
