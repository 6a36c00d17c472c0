//! The functions that a component may import. Each interface is registered once, under the version
//! that wasmtime-wasi generated; a program that asks for another version of the same track (0.2.x,
//! 0.3.x) gets it. wasi:filesystem, clocks, random and name lookup are weir's own implementations of
//! those generated interfaces, so there is no second one that could be picked in their place.

use super::clocks::WeirClocks;
use super::files::WeirFiles;
use super::net::WeirLookup;
use super::random::WeirRandom;
use super::state::State;
use crate::error::{Error, Kind};
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView as _};
use wasmtime_wasi_io::bindings::wasi::io;

/// The packages of WASI that are served.
const PACKAGES: &[&str] =
    &["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:http", "wasi:io", "wasi:random", "wasi:sockets"];

/// Names the resource table to the linker.
struct Resources;

impl HasData for Resources {
    type Data<'a> = &'a mut ResourceTable;
}

/// The tracks of WASI that a component's imports and exports name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tracks {
    pub p2: bool,
    pub p3: bool,
    pub http: bool,
}

impl Tracks {
    pub fn of(component: &Component, engine: &Engine) -> Self {
        let ty = component.component_type();
        let mut tracks = Self::default();
        let imports = ty.imports(engine).map(|(name, _)| name);
        for name in imports.chain(ty.exports(engine).map(|(name, _)| name)) {
            tracks.p2 |= name.contains("@0.2.");
            tracks.p3 |= name.contains("@0.3.");
            tracks.http |= name.starts_with("wasi:http/");
        }
        tracks
    }
}

/// Everything that `component` may import.
pub(super) fn linker(engine: &Engine, component: &Component) -> Result<Linker<State>, Error> {
    let tracks = Tracks::of(component, engine);
    let mut linker = Linker::new(engine);
    add(&mut linker, tracks).map_err(|error| Error::caused(Kind::Internal, "cannot set up WASI", error))?;
    Ok(linker)
}

fn add(linker: &mut Linker<State>, tracks: Tracks) -> wasmtime::Result<()> {
    if tracks.p2 {
        add_p2(linker)?;
        if tracks.http {
            wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
        }
    }
    if tracks.p3 {
        add_p3(linker)?;
        if tracks.http {
            wasmtime_wasi_http::p3::add_to_linker(linker)?;
        }
    }
    Ok(())
}

fn add_p2(l: &mut Linker<State>) -> wasmtime::Result<()> {
    use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random, sockets};
    io::error::add_to_linker::<State, Resources>(l, State::resources)?;
    io::poll::add_to_linker::<State, Resources>(l, State::resources)?;
    io::streams::add_to_linker::<State, Resources>(l, State::resources)?;
    filesystem::types::add_to_linker::<State, WeirFiles>(l, State::files)?;
    filesystem::preopens::add_to_linker::<State, WeirFiles>(l, State::files)?;
    clocks::wall_clock::add_to_linker::<State, WeirClocks>(l, State::clocks)?;
    clocks::monotonic_clock::add_to_linker::<State, WeirClocks>(l, State::clocks)?;
    random::random::add_to_linker::<State, WeirRandom>(l, State::random)?;
    random::insecure::add_to_linker::<State, WeirRandom>(l, State::random)?;
    random::insecure_seed::add_to_linker::<State, WeirRandom>(l, State::random)?;
    cli::exit::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::environment::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    sockets::tcp::add_to_linker::<State, WasiSockets>(l, State::sockets)?;
    sockets::udp::add_to_linker::<State, WasiSockets>(l, State::sockets)?;
    sockets::tcp_create_socket::add_to_linker::<State, WasiSockets>(l, State::sockets)?;
    sockets::udp_create_socket::add_to_linker::<State, WasiSockets>(l, State::sockets)?;
    sockets::instance_network::add_to_linker::<State, WasiSockets>(l, State::sockets)?;
    let mut options = sockets::network::LinkOptions::default();
    options.network_error_code(true);
    sockets::network::add_to_linker::<State, WasiSockets>(l, &options, State::sockets)?;
    sockets::ip_name_lookup::add_to_linker::<State, WeirLookup>(l, State::lookup)
}

fn add_p3(l: &mut Linker<State>) -> wasmtime::Result<()> {
    use wasmtime_wasi::p3::bindings::{clocks, filesystem, random, sockets};
    wasmtime_wasi::p3::cli::add_to_linker(l)?;
    filesystem::types::add_to_linker::<State, WeirFiles>(l, State::files)?;
    filesystem::preopens::add_to_linker::<State, WeirFiles>(l, State::files)?;
    clocks::types::add_to_linker::<State, WeirClocks>(l, State::clocks)?;
    clocks::system_clock::add_to_linker::<State, WeirClocks>(l, State::clocks)?;
    clocks::monotonic_clock::add_to_linker::<State, WeirClocks>(l, State::clocks)?;
    random::random::add_to_linker::<State, WeirRandom>(l, State::random)?;
    random::insecure::add_to_linker::<State, WeirRandom>(l, State::random)?;
    random::insecure_seed::add_to_linker::<State, WeirRandom>(l, State::random)?;
    sockets::types::add_to_linker::<State, WasiSockets>(l, State::sockets)?;
    sockets::ip_name_lookup::add_to_linker::<State, WeirLookup>(l, State::lookup)
}

/// Why `component` does not link, in words: which of its imports nobody grants.
pub(super) fn explain(component: &Component, engine: &Engine, error: &wasmtime::Error) -> Error {
    let ty = component.component_type();
    let missing: Vec<String> = ty
        .imports(engine)
        .filter(|(name, item)| !is_type(&item.ty) && !is_served(name))
        .map(|(name, _)| format!("`{name}`{}", hint(name)))
        .collect();
    let message = if missing.is_empty() {
        format!("the program's imports do not fit what weir grants: {}", error.root_cause())
    } else {
        format!(
            "the program imports {}, which nobody grants: weir grants WASI 0.2 and 0.3 (cli, clocks, filesystem, http, random, sockets); \
             compose the program with a component that provides the rest",
            missing.join(", ")
        )
    };
    Error::new(Kind::Import, message)
}

/// Types alone need no grant.
fn is_type(item: &ComponentItem) -> bool {
    matches!(item, ComponentItem::Type(_) | ComponentItem::CoreFunc(_))
}

fn is_served(name: &str) -> bool {
    let (package, version) = name
        .split_once('/')
        .map_or((name, ""), |(package, rest)| (package, rest.split_once('@').map_or("", |(_, version)| version)));
    let stable = (version.starts_with("0.2.") || version.starts_with("0.3.")) && !version.contains('-');
    PACKAGES.contains(&package) && stable
}

fn hint(name: &str) -> &'static str {
    match name.split_once('@') {
        Some((_, version)) if name.starts_with("wasi:") && version.contains("-") => {
            " (a draft of WASI: rebuild the program for a released version)"
        }
        _ => "",
    }
}
