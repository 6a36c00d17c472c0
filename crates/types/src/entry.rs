//! Which entry a program has: the one function through which a run begins. Whatever runs, inspects, packs, lifts or
//! describes a program asks here, so that all of them speak of the same one.
//!
//! A program may have several: current toolchains export `wasi:cli/run` of WASI 0.2 and of 0.3 from one component. The
//! highest released version is the program. Drafts (`0.3.0-rc-...`) are never taken for a release: what they mean has
//! changed since.

use core::fmt;

/// The interface that a command of WASI 0.2 or later exports.
const RUN: &str = "wasi:cli/run@";
/// The entry of a command of WASI 0.1.
pub const START: &str = "_start";
/// What sets a library up, before anything else of it is called.
pub const INITIALIZE: &str = "_initialize";
/// The function without a name: the command of a module that is kept between calls, as ITK-Wasm makes them.
pub const DEFAULT: &str = "";

/// The entry of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComponentEntry<'a> {
    /// The exported interface, with its version.
    pub interface: &'a str,
    /// How its function is called.
    pub series: Series,
}

/// A series of WASI releases: within one, entries are called in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Series {
    /// WASI 0.2.
    P2,
    /// WASI 0.3.
    P3,
}

/// The entry of a core module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleEntry {
    /// [`START`].
    Start,
    /// [`INITIALIZE`] if there is one, then [`DEFAULT`].
    Default,
}

/// Why a program has no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoEntry<'a> {
    /// It exports an entry of a draft of WASI.
    Draft(&'a str),
    /// It exports an entry of a version that is not known.
    Unknown(&'a str),
    /// It answers HTTP requests.
    Http(&'a str),
    /// It has functions to be called, or nothing at all.
    Library,
}

impl fmt::Display for NoEntry<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoEntry::Draft(name) => {
                write!(out, "it exports {name}, a draft of WASI: rebuild it for a released version")
            }
            NoEntry::Unknown(name) => write!(out, "it exports {name}, a version of WASI that is not known here"),
            NoEntry::Http(name) => write!(out, "it is an HTTP service ({name})"),
            NoEntry::Library => out.write_str("it is no command"),
        }
    }
}

/// The entry of a component with these exports.
///
/// # Errors
/// It has none that can be run.
pub fn of_component<'a>(exports: impl IntoIterator<Item = &'a str> + Clone) -> Result<ComponentEntry<'a>, NoEntry<'a>> {
    let runs = || exports.clone().into_iter().filter(|name| name.starts_with(RUN));
    let released = runs().filter_map(|name| Some((version(name)?, name)));
    let best = released.filter_map(|((series, patch), name)| Some((series?, patch, name))).max();
    if let Some((series, _, interface)) = best {
        return Ok(ComponentEntry { interface, series });
    }
    let http = |name: &&str| name.starts_with("wasi:http/handler@") || name.starts_with("wasi:http/incoming-handler@");
    Err(match (runs().next(), exports.clone().into_iter().find(http)) {
        (Some(name), _) if name.contains('-') => NoEntry::Draft(name),
        (Some(name), _) => NoEntry::Unknown(name),
        (None, Some(name)) => NoEntry::Http(name),
        (None, None) => NoEntry::Library,
    })
}

/// The entry of a core module that exports these functions.
///
/// # Errors
/// It has none.
pub fn of_module<'a>(functions: impl IntoIterator<Item = &'a str>) -> Result<ModuleEntry, NoEntry<'a>> {
    let mut found = Err(NoEntry::Library);
    for name in functions {
        match name {
            START => return Ok(ModuleEntry::Start),
            DEFAULT => found = Ok(ModuleEntry::Default),
            _ => {}
        }
    }
    found
}

/// Series and patch of a released version; no series where it is not known. Nothing of a draft.
fn version(interface: &str) -> Option<(Option<Series>, u32)> {
    let mut parts = interface.strip_prefix(RUN)?.split('.').map(|part| part.parse::<u32>());
    let (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let series = match (major, minor) {
        (0, 2) => Some(Series::P2),
        (0, 3) => Some(Series::P3),
        _ => None,
    };
    Some((series, patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component<'a>(exports: &[&'a str]) -> Result<(&'a str, Series), NoEntry<'a>> {
        of_component(exports.iter().copied()).map(|entry| (entry.interface, entry.series))
    }

    #[test]
    fn the_highest_released_version_is_the_program() {
        let (p2, p3) = ("wasi:cli/run@0.2.6", "wasi:cli/run@0.3.0");
        assert_eq!(component(&[p2, p3]), Ok((p3, Series::P3)));
        assert_eq!(component(&[p3, p2]), Ok((p3, Series::P3)));
        assert_eq!(component(&["wasi:cli/run@0.2.10", "wasi:cli/run@0.2.9"]), Ok(("wasi:cli/run@0.2.10", Series::P2)));
        assert_eq!(component(&["wasi:cli/run@0.3.0-rc-2026-01-01", p2]), Ok((p2, Series::P2)));
        assert_eq!(component(&["wasi:cli/run@0.4.0", p2]), Ok((p2, Series::P2)));
    }

    #[test]
    fn what_cannot_be_run_is_told_apart() {
        let draft = "wasi:cli/run@0.3.0-rc-2026-01-01";
        assert_eq!(component(&["other", draft]), Err(NoEntry::Draft(draft)));
        assert_eq!(component(&["wasi:cli/run@0.4.0"]), Err(NoEntry::Unknown("wasi:cli/run@0.4.0")));
        assert_eq!(component(&["wasi:cli/run@"]), Err(NoEntry::Unknown("wasi:cli/run@")));
        let http = "wasi:http/handler@0.3.0";
        assert_eq!(component(&[http]), Err(NoEntry::Http(http)));
        assert_eq!(component(&["wasi:cli/runner@0.2.0"]), Err(NoEntry::Library));
    }

    #[test]
    fn modules_start_by_name_or_by_none() {
        assert_eq!(of_module(["", "_initialize", "_start"]), Ok(ModuleEntry::Start));
        assert_eq!(of_module(["_initialize", ""]), Ok(ModuleEntry::Default));
        assert_eq!(of_module(["_initialize", "add"]), Err(NoEntry::Library));
    }
}
