//! Tier `host`: real directories, by explicit grant. Served whole by wasmtime-wasi, whose sandbox
//! keeps every path below the granted directory; weir adds nothing to it and takes nothing away. The
//! descriptors 3, 4, ... of this half are the granted directories in their order; the shim maps the
//! program's descriptors to them.

use crate::error::{Error, Kind};
use crate::state::RunState;
use wasmtime::{Extern, Func, Linker, Store};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

/// One granted directory.
#[derive(Clone, Debug)]
pub(crate) struct HostDir {
    pub guest: String,
    pub host: String,
    pub read_only: bool,
}

/// The first descriptor of a granted directory on the host's side.
pub(crate) const FIRST_FD: u32 = 3;

/// Opens the granted directories; `None` if there are none.
pub(crate) fn context(dirs: &[HostDir]) -> Result<Option<WasiP1Ctx>, Error> {
    if dirs.is_empty() {
        return Ok(None);
    }
    let mut builder = WasiCtxBuilder::new();
    builder.allow_blocking_current_thread(true);
    grant(&mut builder, dirs)?;
    Ok(Some(builder.build_p1()))
}

/// Opens the granted directories as preopened ones of `builder`, in their order.
pub(crate) fn grant(builder: &mut WasiCtxBuilder, dirs: &[HostDir]) -> Result<(), Error> {
    for dir in dirs {
        let permissions = if dir.read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
        builder.preopened_dir(&dir.host, &dir.guest, permissions).map_err(|error| {
            Error::caused(
                Kind::Grant,
                format!("cannot open the directory {} for --host-dir {}", dir.host, dir.guest),
                error,
            )
        })?;
    }
    Ok(())
}

/// The functions of WASI 0.1 on the granted directories.
pub(crate) struct Functions(Linker<RunState>);

impl Functions {
    /// The function of this name, if WASI 0.1 has it.
    pub fn get(&self, store: &mut Store<RunState>, name: &str) -> Option<Func> {
        self.0.get(&mut *store, "wasi_snapshot_preview1", name).ok().and_then(Extern::into_func)
    }
}

/// The functions, if directories were granted.
pub(crate) fn functions(store: &Store<RunState>) -> Result<Option<Functions>, Error> {
    if store.data().host_dirs.is_none() {
        return Ok(None);
    }
    let mut linker = Linker::new(store.engine());
    wasmtime_wasi::p1::add_to_linker_sync(&mut linker, |state: &mut RunState| {
        // These functions are only handed out when the directories were opened.
        state.host_dirs.as_mut().expect("functions on host directories without host directories")
    })
    .map_err(|error| Error::caused(Kind::Internal, "cannot serve host directories", error))?;
    Ok(Some(Functions(linker)))
}
