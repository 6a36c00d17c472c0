//! What host calls have in common: how they fail, and waiting for descriptors.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::BorrowedFd;
use rustix::io;
use wasmtime::Error;

/// Why a host call did not succeed.
pub(crate) enum Failure {
    /// The program gets this errno.
    Errno(Errno),
    /// The run ends.
    Stop(Error),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Failure::Errno(errno)
    }
}

pub(crate) use weir_vfs::Errno;

/// Result of a host call.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Bytes that a pipe which reports room takes without waiting (Linux' PIPE_BUF).
pub(crate) const PIPE_BYTES: usize = 4096;

/// The WASI errno of a host errno.
pub(crate) fn errno(error: io::Errno) -> Errno {
    match error {
        io::Errno::ACCESS => Errno::Acces,
        io::Errno::AGAIN => Errno::Again,
        io::Errno::BADF => Errno::Badf,
        io::Errno::EXIST => Errno::Exist,
        io::Errno::FBIG => Errno::Fbig,
        io::Errno::INVAL => Errno::Inval,
        io::Errno::ISDIR => Errno::Isdir,
        io::Errno::LOOP => Errno::Loop,
        io::Errno::MFILE => Errno::Mfile,
        io::Errno::NAMETOOLONG => Errno::Nametoolong,
        io::Errno::NFILE => Errno::Nfile,
        io::Errno::NODEV => Errno::Nodev,
        io::Errno::NOENT => Errno::Noent,
        io::Errno::NOMEM => Errno::Nomem,
        io::Errno::NOSPC => Errno::Nospc,
        io::Errno::NOTDIR => Errno::Notdir,
        io::Errno::NXIO => Errno::Nxio,
        io::Errno::PERM => Errno::Perm,
        io::Errno::PIPE => Errno::Pipe,
        io::Errno::ROFS => Errno::Rofs,
        io::Errno::SPIPE => Errno::Spipe,
        _ => Errno::Io,
    }
}

/// Waits until one of `fds` is ready or `timeout` has passed; marks in `ready` which are.
pub(crate) fn wait(
    fds: &[(BorrowedFd<'_>, bool)],
    ready: &mut [bool],
    timeout: Option<std::time::Duration>,
) -> Outcome {
    let mut polled: Vec<PollFd> =
        fds.iter().map(|(fd, write)| PollFd::new(fd, if *write { PollFlags::OUT } else { PollFlags::IN })).collect();
    let timeout = timeout.map(|timeout| rustix::event::Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(timeout.subsec_nanos()),
    });
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) | Err(io::Errno::INTR) => {}
        Err(error) => return Err(errno(error).into()),
    }
    for (polled, ready) in polled.iter().zip(ready) {
        *ready = !polled.revents().is_empty();
    }
    Ok(())
}
