//! Opening what a stream is mapped to, without waiting longer than the run may last: a named pipe opens when somebody
//! opens its other end, which may be never.

use crate::deadline::Deadline;
use crate::sys::{Outcome, errno};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::path::Path;
use std::time::Duration;

/// How often a pipe without a reader is tried again.
const RETRY: Duration = Duration::from_millis(5);

/// Opens `path` with these flags.
///
/// # Errors
/// It cannot be opened, or the time is over first.
pub(crate) fn open(path: &Path, flags: OFlags, deadline: &Deadline) -> Outcome<OwnedFd> {
    let (flags, mode) = (flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o666));
    let is_pipe = || rustix::fs::stat(path).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
    if deadline.left().is_none() || !is_pipe() {
        return rustix::fs::open(path, flags, mode).map_err(|error| errno(error).into());
    }
    loop {
        match rustix::fs::open(path, flags | OFlags::NONBLOCK, mode) {
            // A reader opens at once, and waits for a writer where it waits for bytes.
            Ok(fd) => {
                let flags = rustix::fs::fcntl_getfl(&fd).map_err(errno)?;
                rustix::fs::fcntl_setfl(&fd, flags - OFlags::NONBLOCK).map_err(errno)?;
                return Ok(fd);
            }
            Err(Errno::NXIO) => deadline.sleep(RETRY)?,
            Err(error) => return Err(errno(error).into()),
        }
    }
}
