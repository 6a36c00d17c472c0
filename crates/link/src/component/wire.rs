//! Which imports of a program go to the shim, under which versions, and making one component of both.

use super::cut::{Cut, cut, interface_of};
use super::parts::{BRIDGE, BRIDGE_SECTION, ComponentFiles, Names, SHIM_SECTION, append_custom, refused};
use crate::error::LinkError;
use std::collections::{BTreeMap, BTreeSet};
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, NodeId};
use weir_vfs::pack::Codec;
use wit_component::{ComponentEncoder, DecodedWasm, StringEncoding};

/// Interfaces without resources of their own in the shim: who shares them shares numbers only.
const NUMBERS: [&str; 1] = ["wasi:clocks/monotonic-clock"];
/// Interfaces of which the shim only forwards calls, so that functions which the program does not call go with
/// what they import: not every host has them all.
const FORWARDED: &str = "wasi:sockets/";
const ENVIRONMENT: &str = "wasi:cli/environment";
/// The interface whose streams the bridge gives their type.
pub(super) const FILES_AS_STREAMS: &str = "wasi:filesystem/types@0.3";

/// The name of an interface and its version taken apart: `wasi:io/poll`, `0.2`, and 12 of `0.2.12`.
fn version(name: &str) -> Option<(&str, &str, u64)> {
    let (interface, version) = name.split_once('@')?;
    let dot = version.rfind('.')?;
    Some((interface, version.get(..dot)?, version.get(dot + 1..)?.parse().ok()?))
}

/// What stands for all versions that are alike: `wasi:io/poll@0.2`.
fn track(name: &str) -> String {
    version(name).map_or_else(|| name.into(), |(interface, track, _)| format!("{interface}@{track}"))
}

fn package(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

/// What a program imports and exports, and on which other interfaces those depend.
pub(super) struct Uses {
    imports: BTreeMap<String, Names>,
    exports: BTreeMap<String, Names>,
    /// Imported functions: `wasi:io/poll@0.2#poll`.
    functions: Names,
}

impl Uses {
    /// Reads a valid component.
    pub fn of(program: &[u8]) -> Result<Self, LinkError> {
        let unreadable = |error: &dyn std::fmt::Display| {
            refused(format!("the interfaces of the program cannot be read: {error:#}; was it made by a newer tool?"))
        };
        let DecodedWasm::Component(resolve, world) = wit_component::decode(program).map_err(|e| unreadable(&e))? else {
            return Err(refused("this is a package of interfaces, not a program".into()));
        };
        let world = &resolve.worlds[world];
        let named = |items: &mut dyn Iterator<Item = (String, Option<_>)>| {
            let mut all = BTreeMap::new();
            for (name, interface) in items {
                let mut used = Names::new();
                let mut work: Vec<_> = interface.into_iter().collect();
                while let Some(interface) = work.pop() {
                    for other in resolve.interface_direct_deps(interface) {
                        if resolve.id_of(other).is_some_and(|name| used.insert(name)) {
                            work.push(other);
                        }
                    }
                }
                all.insert(name, used);
            }
            all
        };
        let interface = |item: &_| match item {
            wit_parser::WorldItem::Interface { id, .. } => Some(*id),
            _ => None,
        };
        let interfaces =
            world.imports.iter().filter_map(|(key, item)| Some((resolve.name_world_key(key), interface(item)?)));
        let functions = interfaces.flat_map(|(name, id)| {
            resolve.interfaces[id].functions.keys().map(move |function| format!("{}#{function}", track(&name)))
        });
        let functions = functions.collect();
        let imports = world.imports.iter().map(|(key, item)| (resolve.name_world_key(key), interface(item)));
        let exports = world.exports.iter().map(|(key, item)| (resolve.name_world_key(key), interface(item)));
        Ok(Self { imports: named(&mut imports.into_iter()), exports: named(&mut exports.into_iter()), functions })
    }

    /// Whether the program imports an interface in any version that is alike.
    pub fn imports_track(&self, name: &str) -> bool {
        self.imports.keys().any(|import| track(import) == name)
    }

    /// Whether the program calls a function of the shim, as far as that matters.
    fn calls(&self, interface: &str, function: &str) -> bool {
        !interface.starts_with(FORWARDED)
            || function.starts_with("[dtor]")
            || self.functions.contains(&format!("{}#{function}", track(interface)))
    }

    /// The last number of the version that the program uses of a package, or of any of the same version.
    fn patch(&self, interface: &str) -> Option<u64> {
        let (_, wanted, _) = version(interface)?;
        let of = |same: &dyn Fn(&str) -> bool| {
            let names = self.imports.keys().filter(|name| name.starts_with("wasi:") && same(name));
            names
                .filter_map(|name| version(name))
                .filter(|(_, track, _)| *track == wanted)
                .map(|(_, _, last)| last)
                .max()
        };
        of(&|name| package(name) == package(interface)).or_else(|| of(&|_| true))
    }

    /// The name that an interface of the shim gets.
    fn rename(&self, name: &str) -> String {
        let Some(interface) = interface_of(name) else { return name.into() };
        match (version(interface), self.patch(interface)) {
            (Some((base, track, _)), Some(last)) => name.replacen(interface, &format!("{base}@{track}.{last}"), 1),
            _ => name.into(),
        }
    }

    /// Refuses what would see both the host's streams and those of the files inside.
    pub fn check(&self, kept: &BTreeSet<String>) -> Result<(), LinkError> {
        let shared = |used: &Names| {
            let mut shared = used
                .iter()
                .filter(|name| kept.contains(&track(name)) && !NUMBERS.contains(&name.split('@').next().unwrap_or("")));
            shared.next().cloned()
        };
        for (name, used) in &self.imports {
            if let Some(other) = shared(used).filter(|_| !kept.contains(&track(name))) {
                return Err(refused(format!(
                    "the program imports `{name}`, which works on resources of `{other}`; those are inside a packed \
                     component, and weir has no `{name}` to put beside them. Run it with its files mounted instead"
                )));
            }
        }
        for (name, used) in &self.exports {
            if let Some(other) = shared(used).filter(|other| !self.exports.contains_key(other)) {
                return Err(refused(format!(
                    "the program exports `{name}`, whose callers hand over resources of `{other}`; those are inside a \
                     packed component. Run it with its files mounted instead"
                )));
            }
        }
        Ok(())
    }
}

/// The shim as a component, cut down to what the program uses, and what it exports.
pub(super) fn shim_component(
    shim: &[u8],
    uses: &Uses,
    options: &ComponentFiles<'_>,
) -> Result<(Vec<u8>, BTreeSet<String>), LinkError> {
    let broken = |error: &dyn std::fmt::Display| LinkError::shim(format!("{error:#}"));
    let (_, mut bound) = wit_component::metadata::decode(shim).map_err(|error| broken(&error))?;
    let exports: Vec<_> = bound.resolve.worlds[bound.world].exports.keys().cloned().collect();
    let names: Vec<String> = exports.iter().map(|key| bound.resolve.name_world_key(key)).collect();
    let kept = kept(&names, uses, options.entry);
    let kept = with_dependencies(kept, &names, |name| {
        let position = names.iter().position(|other| other == name);
        let Some(wit_parser::WorldKey::Interface(id)) = position.and_then(|at| exports.get(at)) else { return vec![] };
        bound.resolve.interface_direct_deps(*id).filter_map(|other| bound.resolve.id_of(other)).collect()
    });
    let keep = |name: &str| {
        let function = name.split('#').nth(1).unwrap_or_default();
        interface_of(name).is_some_and(|name| kept.contains(&track(name)) && uses.calls(name, function))
    };
    let is_kept = |name: &String| kept.contains(&track(name));
    let dropped: Vec<_> = exports.iter().zip(&names).filter(|(_, name)| !is_kept(name)).map(|(key, _)| key).collect();
    bound.resolve.worlds[bound.world].exports.retain(|key, _| !dropped.contains(&key));
    for (key, name) in exports.iter().zip(&names) {
        if let wit_parser::WorldKey::Interface(id) = key {
            bound.resolve.interfaces[*id].functions.retain(|function, _| uses.calls(name, function));
        }
    }
    for (_, package) in bound.resolve.packages.iter_mut() {
        let name = format!("{}:{}/any@", package.name.namespace, package.name.name);
        if let Some(version) = &mut package.name.version
            && let Some(patch) = uses.patch(&format!("{name}{version}"))
        {
            version.patch = patch;
        }
    }
    bound.resolve.package_names =
        bound.resolve.packages.iter().map(|(id, package)| (package.name.clone(), id)).collect();
    let component_type = wit_component::metadata::encode(&bound.resolve, bound.world, StringEncoding::UTF8, None)
        .map_err(|e| broken(&e))?;
    let old = kept.contains("wasi:filesystem/types@0.2") || !kept.contains(FILES_AS_STREAMS);
    let (complain, name) = if options.pruned { complaint(uses, old) } else { ("complain:none", "name:none") };
    let module = cut(
        shim,
        &Cut {
            segment: options.segment,
            codec: match options.codec {
                Codec::None => None,
                Codec::Lz4 => Some("codec:lz4"),
                Codec::Zstd => Some("codec:zstd"),
            },
            now: if old { "now:p2" } else { "now:p3" },
            complain,
            name,
            keep: &keep,
            rename: &|name| uses.rename(name),
            component_type: &component_type,
        },
    )?;
    let encoder = ComponentEncoder::default().module(&module).map_err(|error| broken(&error))?;
    let mut component = encoder.validate(false).encode().map_err(|error| broken(&error))?;
    append_custom(SHIM_SECTION, &[], &mut component);
    Ok((component, kept))
}

/// The shim's functions that tell of a pruned file, and that know what the program is called. They need what
/// the program itself imports, so that telling adds no import.
fn complaint(uses: &Uses, old: bool) -> (&'static str, &'static str) {
    let complain = match uses.imports_track("wasi:cli/stderr@0.2") {
        true => "complain:p2",
        false if old => "complain:none",
        false => "complain:p3",
    };
    let name = match uses.imports_track("wasi:cli/environment@0.2") {
        true => "name:p2",
        false if uses.imports_track("wasi:cli/environment@0.3") => "name:p3",
        false => "name:none",
    };
    (complain, name)
}

/// The interfaces that the program is wired to.
fn kept(exports: &[String], uses: &Uses, entry: bool) -> BTreeSet<String> {
    let used = exports.iter().filter(|name| {
        let (Some((interface, number, _)), name) = (version(name), track(name)) else { return false };
        let files = uses.imports_track(&format!("wasi:filesystem/types@{number}"));
        uses.imports_track(&name) && if interface == ENVIRONMENT { entry } else { files }
    });
    used.map(|name| track(name)).collect()
}

/// With them, what they share types with, as far as the shim has that.
fn with_dependencies(
    mut kept: BTreeSet<String>,
    exports: &[String],
    dependencies: impl Fn(&str) -> Vec<String>,
) -> BTreeSet<String> {
    let mut work: Vec<&String> = exports.iter().filter(|name| kept.contains(&track(name))).collect();
    while let Some(name) = work.pop() {
        for other in dependencies(name) {
            if let Some(export) = exports.iter().find(|export| **export == other)
                && kept.insert(track(&other))
            {
                work.push(export);
            }
        }
    }
    kept
}

fn unwired(error: impl std::fmt::Display) -> LinkError {
    refused(format!("the program cannot be wired to its files: {error:#}"))
}

/// Adds the bridge in front of the files, whose export is `name`. Gives the instance and its export.
fn add_bridge(graph: &mut CompositionGraph, files: NodeId, name: &str) -> Result<(NodeId, String), LinkError> {
    let mut bytes = BRIDGE.to_vec();
    append_custom(BRIDGE_SECTION, &[], &mut bytes);
    let package = Package::from_bytes("weir:bridge", None, bytes, graph.types_mut()).map_err(unwired)?;
    let only = |names: &mut dyn Iterator<Item = &String>| names.next().cloned().unwrap_or_default();
    let import = only(&mut graph.types()[package.ty()].imports.keys());
    let export = only(&mut graph.types()[package.ty()].exports.keys());
    let package = graph.register_package(package).map_err(unwired)?;
    let bridge = graph.instantiate(package);
    let types = graph.alias_instance_export(files, name).map_err(unwired)?;
    graph.set_instantiation_argument(bridge, &import, types).map_err(unwired)?;
    Ok((bridge, export))
}

/// One component of program and shim, and what it imports.
pub(super) fn compose(
    program: &[u8],
    shim: Vec<u8>,
    kept: &BTreeSet<String>,
) -> Result<(Vec<u8>, Vec<String>), LinkError> {
    let mut graph = CompositionGraph::new();
    let files = Package::from_bytes("weir:files", None, shim, graph.types_mut()).map_err(unwired)?;
    let program = Package::from_bytes("weir:program", None, program, graph.types_mut()).map_err(unwired)?;
    let provided: BTreeMap<String, String> =
        graph.types()[files.ty()].exports.keys().map(|name| (track(name), name.clone())).collect();
    let wanted: Vec<String> = graph.types()[program.ty()].imports.keys().cloned().collect();
    let offered: Vec<String> = graph.types()[program.ty()].exports.keys().cloned().collect();
    let files = graph.register_package(files).map_err(unwired)?;
    let program = graph.register_package(program).map_err(unwired)?;
    let (files, program) = (graph.instantiate(files), graph.instantiate(program));
    let mut bridge = None;
    if let Some(name) = provided.get(FILES_AS_STREAMS).filter(|_| kept.contains(FILES_AS_STREAMS)) {
        bridge = Some(add_bridge(&mut graph, files, name)?);
    }
    for name in wanted {
        let Some(export) = provided.get(&track(&name)).filter(|_| kept.contains(&track(&name))) else { continue };
        let alias = match &bridge {
            Some((front, theirs)) if track(&name) == FILES_AS_STREAMS => graph.alias_instance_export(*front, theirs),
            _ => graph.alias_instance_export(files, export),
        };
        let alias = alias.map_err(unwired)?;
        graph.set_instantiation_argument(program, &name, alias).map_err(unwired)?;
    }
    for name in offered {
        let alias = graph.alias_instance_export(program, &name).map_err(unwired)?;
        graph.export(alias, name).map_err(unwired)?;
    }
    let mut imports: Vec<String> = graph.imports().map(|(name, _, _)| name.to_owned()).collect();
    imports.sort();
    imports.dedup();
    let options = EncodeOptions { define_components: true, validate: true, processor: None };
    let bytes = graph.encode(options).map_err(unwired)?;
    Ok((bytes, imports))
}
