//! Tier `host`: real directories, by explicit grant. Served whole by wasmtime-wasi, whose sandbox
//! keeps every path below the granted directory; weir adds nothing to it and takes nothing away. The
//! descriptors 3, 4, ... of this half are the granted directories in their order; the shim maps the
//! program's descriptors to them.

use crate::arm::Thread;
use crate::error::{Error, Kind};
use crate::state::RunState;
use wasmtime::Linker;
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
pub(crate) fn context(dirs: &[HostDir], thread: Thread) -> Result<Option<WasiP1Ctx>, Error> {
    if dirs.is_empty() {
        return Ok(None);
    }
    let mut builder = WasiCtxBuilder::new();
    builder.allow_blocking_current_thread(thread == Thread::Own);
    grant(&mut builder, dirs)?;
    Ok(Some(builder.build_p1()))
}

/// Opens the granted directories as preopened ones of `builder`, in their order.
pub(crate) fn grant(builder: &mut WasiCtxBuilder, dirs: &[HostDir]) -> Result<(), Error> {
    for dir in dirs {
        let permissions = if dir.read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
        builder.preopened_dir(&dir.host, &dir.guest, permissions).map_err(|error| {
            Error::caused(Kind::Grant, format!("cannot open the host directory {} for {}", dir.host, dir.guest), error)
        })?;
    }
    Ok(())
}

/// Defines the functions of WASI 0.1 on the granted directories, as those of the module `weir_hostdir`. They get the name
/// of WASI 0.1, too: whoever links a program looks whether weir serves what it imports under that name.
pub(crate) fn define(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p1::add_to_linker_async(linker, |state: &mut RunState| {
        // A program that imports them and was granted no directory has ended before.
        state.host_dirs.as_mut().expect("functions on host directories without host directories")
    })?;
    linker.alias_module("wasi_snapshot_preview1", "weir_hostdir")
}
