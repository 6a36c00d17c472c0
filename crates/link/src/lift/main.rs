//! The program in a component: the one core module that is a command or a library, as compilers for WASI 0.2 and 0.3 make it, by
//! itself or together with an adapter from WASI 0.1. The adapter is not needed where everything is answered inside.

use super::error::LiftError;
use crate::link::run_of;
use wasmparser::{Parser, Payload};
use weir_types::entry::{self, NoEntry, START, Series};
use wit_component::{DecodedWasm, StringEncoding};
use wit_parser::{Resolve, WorldId, WorldItem};

/// The module of a command.
pub(super) fn of_command(component: &[u8]) -> Result<&[u8], LiftError> {
    let parts = Parts::of(component)?;
    let series = match entry::of_component(parts.exports.iter().copied()) {
        Ok(found) => Some(found.series),
        // Its module may be a command all the same.
        Err(NoEntry::Library) if parts.exports.is_empty() => None,
        Err(none) => {
            let what =
                format!("the program is a component without an entry ({none}; leave out `export` for a library)");
            return Err(LiftError::new(format!("{what}: {OTHERWISE}")));
        }
    };
    let of_series = |other: Series| series.is_none_or(|series| series == other);
    let of_interface = |name: &str| entry::of_component([name]).is_ok_and(|entry| of_series(entry.series));
    let runs = |name: &str| run_of(name).is_some_and(|(interface, _)| of_interface(interface));
    // An adapter starts the program that it is for, which has `_start`.
    let begins = |name: &str| of_series(Series::P2) && name == START;
    for start in [&begins, &runs as &dyn Fn(&str) -> bool] {
        if let Some(command) = parts.only(start) {
            return Ok(command);
        }
    }
    Err(parts.unlike("command"))
}

/// The module of a library, with the types of its functions.
pub(super) fn of_library(component: &[u8]) -> Result<Vec<u8>, LiftError> {
    let unreadable =
        |error: &dyn std::fmt::Display| LiftError::new(format!("its interfaces cannot be read: {error:#}"));
    let DecodedWasm::Component(resolve, world) =
        wit_component::decode(component).map_err(|error| unreadable(&error))?
    else {
        return Err(LiftError::new("the program is the WIT of a library, and has no code"));
    };
    let parts = Parts::of(component)?;
    if let Ok(entry) = entry::of_component(parts.exports.iter().copied()) {
        let what =
            format!("the program is a command ({}): give `export`, the function that it becomes", entry.interface);
        return Err(LiftError::new(what));
    }
    let names = core_names(&resolve, world);
    let library =
        parts.only(&|name| names.iter().any(|own| name == own || name.strip_prefix("[async-lift]") == Some(own)));
    let mut module = library.ok_or_else(|| parts.unlike("library"))?.to_vec();
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .map_err(|error| unreadable(&error))?;
    Ok(module)
}

/// What to do with a component that cannot be lifted.
const OTHERWISE: &str = "of components those can be lifted that are one command or library for WASI 0.2 or 0.3, with or without an \
                         adapter, as wasm32-wasip2 and `wasm-tools component new` make them; build it for WASI 0.1 (wasm32-wasip1)";

/// The modules of a component, and what it exports.
struct Parts<'c> {
    modules: Vec<&'c [u8]>,
    exports: Vec<&'c str>,
    nested: bool,
}

impl<'c> Parts<'c> {
    fn of(component: &'c [u8]) -> Result<Self, LiftError> {
        let (mut depth, mut parts) = (0, Self { modules: Vec::new(), exports: Vec::new(), nested: false });
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload.map_err(|error| LiftError::new(format!("the component is damaged: {error}")))?;
            match payload {
                Payload::ModuleSection { unchecked_range, .. } => {
                    if depth == 0 {
                        parts.modules.push(component.get(unchecked_range).unwrap_or_default());
                    }
                    depth += 1;
                }
                Payload::ComponentSection { .. } => {
                    parts.nested = true;
                    depth += 1;
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    parts.exports.extend(section.into_iter().flatten().map(|export| export.name.name));
                }
                Payload::End(_) => depth -= 1,
                _ => {}
            }
        }
        Ok(parts)
    }

    /// The only module that has such an export.
    fn only(&self, wanted: &dyn Fn(&str) -> bool) -> Option<&'c [u8]> {
        let mut found = self.modules.iter().filter(|module| exports(module, wanted));
        match (found.next(), found.next()) {
            (Some(module), None) => Some(module),
            _ => None,
        }
    }

    fn unlike(&self, kind: &str) -> LiftError {
        let what = format!("no module in it that is a {kind} for WASI 0.1, 0.2 or 0.3");
        let why = if self.nested { "components in it" } else { &what };
        LiftError::new(format!("the program is a component with {why}: {OTHERWISE}"))
    }
}

/// The names of the functions of a world in the module that is made for it.
fn core_names(resolve: &Resolve, world: WorldId) -> Vec<String> {
    let mut names = Vec::new();
    for (key, item) in &resolve.worlds[world].exports {
        match item {
            WorldItem::Function(function) => names.push(function.name.clone()),
            WorldItem::Interface { id, .. } => {
                let interface = resolve.name_world_key(key);
                let functions = resolve.interfaces[*id].functions.values();
                names.extend(functions.map(|function| format!("{interface}#{}", function.name)));
            }
            WorldItem::Type { .. } => {}
        }
    }
    names
}

fn exports(module: &[u8], wanted: &dyn Fn(&str) -> bool) -> bool {
    let payloads = Parser::new(0).parse_all(module).map_while(Result::ok);
    payloads.into_iter().any(|payload| match payload {
        Payload::ExportSection(section) => section.into_iter().flatten().any(|export| wanted(export.name)),
        _ => false,
    })
}
