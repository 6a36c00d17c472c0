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
use crate::functions::Functions;
use crate::imports::{is_served, not_granted_to_component};
use std::collections::BTreeSet;
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Accessor, Component, HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::p3::bindings::sockets::{ip_name_lookup, types};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView as _};
use wasmtime_wasi_io::bindings::wasi::io;
use weir_types::grants::UnknownImports;

/// Names the resource table to the linker.
struct Resources;

impl HasData for Resources {
    type Data<'a> = &'a mut ResourceTable;
}

/// The interfaces of WASI that a component imports, such as `wasi:cli/stdin`. Only these are set up:
/// setting up everything would take longer than many programs run.
struct Wanted {
    p2: BTreeSet<String>,
    p3: BTreeSet<String>,
}

impl Wanted {
    fn by(component: &Component, engine: &Engine) -> Self {
        let mut wanted = Self { p2: BTreeSet::new(), p3: BTreeSet::new() };
        for (name, _) in component.component_type().imports(engine) {
            if let Some((interface, version)) = name.split_once('@') {
                let track = if version.starts_with("0.3.") { &mut wanted.p3 } else { &mut wanted.p2 };
                track.insert(interface.to_owned());
            }
        }
        wanted
    }

    fn http(track: &BTreeSet<String>) -> bool {
        track.iter().any(|name| name.starts_with("wasi:http/"))
    }
}

/// Everything that `component` may import.
pub(super) fn linker(
    engine: &Engine,
    component: &Component,
    unknown: UnknownImports,
    functions: &Functions,
) -> Result<Linker<State>, Error> {
    let wanted = Wanted::by(component, engine);
    let mut linker = Linker::new(engine);
    add(&mut linker, &wanted).map_err(|error| Error::caused(Kind::Internal, "cannot set up WASI", error))?;
    functions
        .define_all(&mut linker)
        .map_err(|error| Error::caused(Kind::Grant, "a granted function cannot be set up", error))?;
    if unknown == UnknownImports::Trap {
        linker.define_unknown_imports_as_traps(component).map_err(|error| {
            Error::caused(Kind::Import, "an import that nobody grants cannot be made to trap", error)
        })?;
    }
    Ok(linker)
}

fn add(linker: &mut Linker<State>, wanted: &Wanted) -> wasmtime::Result<()> {
    add_p2(linker, &wanted.p2)?;
    add_p3(linker, &wanted.p3)?;
    if Wanted::http(&wanted.p2) {
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
        super::http::amend_p2(linker)?;
    }
    if Wanted::http(&wanted.p3) {
        wasmtime_wasi_http::p3::add_to_linker(linker)?;
        super::http::amend_p3(linker)?;
    }
    Ok(())
}

/// `add!(linker, wanted, NAME => MODULE by VIEW of GETTER; ...)`: adds each interface that is wanted.
macro_rules! add {
    ($linker:ident, $wanted:ident, $($name:literal => $($module:ident)::+ by $view:ty, $getter:expr;)*) => {
        $(if $wanted.contains($name) {
            $($module)::+::add_to_linker::<State, $view>($linker, $getter)?;
        })*
    };
}

fn add_p2(l: &mut Linker<State>, wanted: &BTreeSet<String>) -> wasmtime::Result<()> {
    use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random, sockets};
    add! { l, wanted,
        "wasi:io/error" => io::error by Resources, State::resources;
        "wasi:io/poll" => io::poll by Resources, State::resources;
        "wasi:io/streams" => io::streams by Resources, State::resources;
        "wasi:filesystem/types" => filesystem::types by WeirFiles, State::files;
        "wasi:filesystem/preopens" => filesystem::preopens by WeirFiles, State::files;
        "wasi:clocks/wall-clock" => clocks::wall_clock by WeirClocks, State::clocks;
        "wasi:clocks/monotonic-clock" => clocks::monotonic_clock by WeirClocks, State::clocks;
        "wasi:random/random" => random::random by WeirRandom, State::random;
        "wasi:random/insecure" => random::insecure by WeirRandom, State::random;
        "wasi:random/insecure-seed" => random::insecure_seed by WeirRandom, State::random;
        "wasi:cli/exit" => cli::exit by WasiCli, State::cli;
        "wasi:cli/environment" => cli::environment by WasiCli, State::cli;
        "wasi:cli/stdin" => cli::stdin by WasiCli, State::cli;
        "wasi:cli/stdout" => cli::stdout by WasiCli, State::cli;
        "wasi:cli/stderr" => cli::stderr by WasiCli, State::cli;
        "wasi:cli/terminal-input" => cli::terminal_input by WasiCli, State::cli;
        "wasi:cli/terminal-output" => cli::terminal_output by WasiCli, State::cli;
        "wasi:cli/terminal-stdin" => cli::terminal_stdin by WasiCli, State::cli;
        "wasi:cli/terminal-stdout" => cli::terminal_stdout by WasiCli, State::cli;
        "wasi:cli/terminal-stderr" => cli::terminal_stderr by WasiCli, State::cli;
        "wasi:sockets/tcp" => sockets::tcp by WasiSockets, State::sockets;
        "wasi:sockets/udp" => sockets::udp by WasiSockets, State::sockets;
        "wasi:sockets/tcp-create-socket" => sockets::tcp_create_socket by WasiSockets, State::sockets;
        "wasi:sockets/udp-create-socket" => sockets::udp_create_socket by WasiSockets, State::sockets;
        "wasi:sockets/instance-network" => sockets::instance_network by WasiSockets, State::sockets;
        "wasi:sockets/ip-name-lookup" => sockets::ip_name_lookup by WeirLookup, State::lookup;
    }
    if wanted.contains("wasi:sockets/network") {
        let mut options = sockets::network::LinkOptions::default();
        options.network_error_code(true);
        sockets::network::add_to_linker::<State, WasiSockets>(l, &options, State::sockets)?;
    }
    Ok(())
}

fn add_p3(l: &mut Linker<State>, wanted: &BTreeSet<String>) -> wasmtime::Result<()> {
    use wasmtime_wasi::p3::bindings::{cli, clocks, filesystem, random, sockets};
    add! { l, wanted,
        "wasi:filesystem/types" => filesystem::types by WeirFiles, State::files;
        "wasi:filesystem/preopens" => filesystem::preopens by WeirFiles, State::files;
        "wasi:clocks/types" => clocks::types by WeirClocks, State::clocks;
        "wasi:clocks/system-clock" => clocks::system_clock by WeirClocks, State::clocks;
        "wasi:clocks/monotonic-clock" => clocks::monotonic_clock by WeirClocks, State::clocks;
        "wasi:random/random" => random::random by WeirRandom, State::random;
        "wasi:random/insecure" => random::insecure by WeirRandom, State::random;
        "wasi:random/insecure-seed" => random::insecure_seed by WeirRandom, State::random;
        "wasi:cli/exit" => cli::exit by WasiCli, State::cli;
        "wasi:cli/environment" => cli::environment by WasiCli, State::cli;
        "wasi:cli/stdin" => cli::stdin by WasiCli, State::cli;
        "wasi:cli/stdout" => cli::stdout by WasiCli, State::cli;
        "wasi:cli/stderr" => cli::stderr by WasiCli, State::cli;
        "wasi:cli/terminal-input" => cli::terminal_input by WasiCli, State::cli;
        "wasi:cli/terminal-output" => cli::terminal_output by WasiCli, State::cli;
        "wasi:cli/terminal-stdin" => cli::terminal_stdin by WasiCli, State::cli;
        "wasi:cli/terminal-stdout" => cli::terminal_stdout by WasiCli, State::cli;
        "wasi:cli/terminal-stderr" => cli::terminal_stderr by WasiCli, State::cli;
        "wasi:sockets/types" => sockets::types by WasiSockets, State::sockets;
        "wasi:sockets/ip-name-lookup" => sockets::ip_name_lookup by WeirLookup, State::lookup;
    }
    Ok(())
}

/// Here, because it names what the store holds.
impl ip_name_lookup::HostWithStore<State> for WeirLookup {
    async fn resolve_addresses(
        store: &Accessor<State, Self>,
        name: String,
    ) -> wasmtime::Result<Result<Vec<types::IpAddress>, ip_name_lookup::ErrorCode>> {
        if !store.with(|mut access| access.get().reach.allows_lookup(&name)) {
            return Ok(Err(ip_name_lookup::ErrorCode::AccessDenied));
        }
        let sockets = store.with_getter::<WasiSockets>(State::wasi_sockets);
        <WasiSockets as ip_name_lookup::HostWithStore<State>>::resolve_addresses(&sockets, name).await
    }
}

/// Why `component` does not link, in words: which of its imports nobody grants.
pub(super) fn explain(component: &Component, engine: &Engine, error: &wasmtime::Error) -> Error {
    let ty = component.component_type();
    let imports = ty.imports(engine).filter(|(name, item)| !is_type(&item.ty) && !is_served(name));
    let missing: Vec<&str> = imports.map(|(name, _)| name).collect();
    if !missing.is_empty() {
        return not_granted_to_component(&missing);
    }
    // The engine's sentences quote the interface, then what of it does not fit.
    let sentences: Vec<String> = error.chain().map(ToString::to_string).collect();
    let quoted = sentences.iter().filter_map(|sentence| sentence.split('`').nth(1));
    let path: Vec<String> = quoted.map(|name| format!("`{}`", name.escape_debug())).collect();
    let what = format!("the program's import {} does not fit what weir grants", path.join(" "));
    Error::new(Kind::Import, format!("{what}: {}", error.root_cause()))
}

/// Types alone need no grant.
fn is_type(item: &ComponentItem) -> bool {
    matches!(item, ComponentItem::Type(_) | ComponentItem::CoreFunc(_))
}
