//! What the host holds for one run of a component.

use super::clocks::{ClocksView, SharedClock};
use super::files::{Files, FilesView};
use super::net::{Hooks, LookupView, Reach};
use super::random::Generators;
use super::stdio::Standard;
use crate::arm::{Limited, Thread};
use crate::control::Control;
use crate::deadline::Deadline;
use crate::error::{Error, Kind};
use crate::host_dirs;
use crate::limiter::Limiter;
use crate::places::Places;
use crate::ports::Ports;
use crate::run::Run;
use http::uri::PathAndQuery;
use std::collections::HashMap;
use std::sync::Arc;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::filesystem::{WasiFilesystemCtxView, WasiFilesystemView as _};
use wasmtime_wasi::sockets::{WasiSocketsCtxView, WasiSocketsView as _};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};
use weir_vfs::image::Preopen;

/// What programs wrote as relative paths, by request, with the path that is sent. A number may be another
/// request's by now: then the path beside it is another one, or was taken away when it was set.
pub(crate) type RelativePaths = HashMap<u32, (String, PathAndQuery)>;

/// The data of a store that runs a component.
pub(crate) struct State {
    wasi: WasiCtx,
    pub table: ResourceTable,
    pub files: Files,
    preopens: Vec<Preopen>,
    pub ports: Arc<Ports>,
    pub control: Arc<Control>,
    pub deadline: Deadline,
    pub clock: SharedClock,
    random: Generators,
    http: WasiHttpCtx,
    /// The relative paths of requests, as they were set.
    pub paths: RelativePaths,
    hooks: Hooks,
    pub limiter: Limiter,
}

impl State {
    /// Everything that `run` grants, laid out by `places`.
    pub fn new(
        run: Run<'_>,
        mut places: Places,
        control: Arc<Control>,
        (thread, deadline): (Thread, Deadline),
    ) -> Result<Self, Error> {
        let (grants, limits) = (run.grants, run.limits);
        let clock = SharedClock::new(grants.clock);
        let mapped = std::mem::take(&mut places.streams);
        // Whatever else a component does goes on while it waits for a stream: its ports never block.
        let ports = Ports::new(run.ends, mapped, limits.output_max, &control, (Thread::Shared, deadline));
        let standard = |index| Standard { ports: ports.clone(), index };
        let reach = Reach::new(grants.net.clone());
        let mut builder = WasiCtxBuilder::new();
        builder.stdin(standard(0)).stdout(standard(1)).stderr(standard(2));
        builder.args(&grants.args).envs(&grants.env);
        builder.allow_blocking_current_thread(thread == Thread::Own);
        reach.apply(&mut builder);
        host_dirs::grant(&mut builder, &places.host_dirs)?;
        let files = Files::boot(&mut places, clock.clone()).map_err(|errno| {
            Error::new(Kind::Grant, format!("the granted files do not make a file system: {errno}"))
        })?;
        let random = Generators::new(grants.random, limits.random_max)
            .map_err(|error| Error::caused(Kind::Internal, "the machine gives no randomness", error))?;
        let mut table = ResourceTable::new();
        table.set_max_capacity(usize::try_from(limits.resources_max).unwrap_or(usize::MAX));
        Ok(Self {
            wasi: builder.build(),
            table,
            files,
            preopens: places.image.preopens,
            ports,
            deadline,
            clock,
            random,
            http: WasiHttpCtx::new(),
            paths: RelativePaths::default(),
            hooks: Hooks(reach),
            limiter: Limiter::new(limits, Some(control.clone())),
            control,
        })
    }

    pub fn files(&mut self) -> FilesView<'_> {
        FilesView {
            files: &self.files,
            preopens: &self.preopens,
            ports: &self.ports,
            table: &mut self.table,
            host: self.wasi.filesystem(),
        }
    }

    pub fn host_files(&mut self) -> WasiFilesystemCtxView<'_> {
        self.filesystem()
    }

    pub fn clocks(&mut self) -> ClocksView<'_> {
        ClocksView { clock: &self.clock, table: &mut self.table }
    }

    pub fn random(&mut self) -> &mut Generators {
        &mut self.random
    }

    pub fn wasi_sockets(&mut self) -> WasiSocketsCtxView<'_> {
        self.sockets()
    }

    pub fn lookup(&mut self) -> LookupView<'_> {
        let sockets = WasiSocketsCtxView { ctx: self.wasi.sockets(), table: &mut self.table };
        LookupView { reach: &self.hooks.0, sockets }
    }

    pub fn resources(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

impl Limited for State {
    fn limiter(&mut self) -> &mut Limiter {
        &mut self.limiter
    }
}
