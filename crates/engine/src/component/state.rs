//! What the host holds for one run of a component.

use super::clocks::{ClocksView, SharedClock};
use super::files::{Files, FilesView};
use super::net::{Hooks, LookupView, Reach};
use super::random::Generators;
use super::stdio::Ends;
use crate::deadline::Deadline;
use crate::error::{Error, Kind};
use crate::host_dirs;
use crate::limiter::Limiter;
use crate::places::Places;
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
    pub ends: Arc<Ends>,
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
    pub fn new(run: &Run<'_>, mut places: Places) -> Result<Self, Error> {
        let (grants, limits) = (run.grants, run.limits);
        let clock = SharedClock::new(grants.clock);
        let ends = Ends::new(
            std::mem::take(&mut places.streams),
            limits.output_max,
            run.discard_output,
            Deadline::new(limits.time_max),
        );
        let reach = Reach::new(grants.net.clone());
        let mut builder = WasiCtxBuilder::new();
        builder.stdin(ends.stdin()).stdout(ends.stdout()).stderr(ends.stderr());
        builder.args(&grants.args).envs(&grants.env);
        builder.allow_blocking_current_thread(true);
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
            ends,
            clock,
            random,
            http: WasiHttpCtx::new(),
            paths: RelativePaths::default(),
            hooks: Hooks(reach),
            limiter: Limiter::new(limits),
        })
    }

    pub fn files(&mut self) -> FilesView<'_> {
        FilesView {
            files: &self.files,
            preopens: &self.preopens,
            ends: &self.ends,
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
