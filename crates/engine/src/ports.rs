//! The stream ends of one run, and the ports that its program has on them: stdin, stdout, stderr and mapped streams, on
//! descriptors of the host or on objects. One system call moves the bytes and nothing is read ahead of a descriptor: what
//! the program does not take stays for whoever reads next. Output is counted here.
//!
//! A port of a run that has a thread of its own waits in the system call, as any native program does. On a thread that
//! others use, too, the runtime waits, and a write to something that can make a program wait is at most one page, which a
//! pipe that reports room takes without blocking; so neither a slow reader nor a silent writer outlasts a deadline.

use crate::arm::Thread;
use crate::control::Control;
use crate::deadline::Deadline;
use crate::ends::{Ends, Input, Output};
use crate::error::{Limit, Stop};
use crate::opening::open;
use crate::sys::{Errno, Failure, PIPE_BYTES, errno};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use std::io::{IoSlice, IoSliceMut};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

/// Bytes moved at once where nothing can block, such as a file.
pub(crate) const FILE_BYTES: usize = 64 << 10;
/// Bytes read ahead of an object when somebody asks whether there are any.
const AHEAD_BYTES: usize = 16 << 10;

/// The stream ends of one run: stdin, stdout and stderr as 0, 1 and 2, then the mapped ones.
#[derive(Debug)]
pub(crate) struct Ports {
    ends: Mutex<Vec<End>>,
    output_left: Mutex<Option<u64>>,
    control: Arc<Control>,
    deadline: Deadline,
    thread: Thread,
}

/// One end, in both directions.
#[derive(Debug)]
struct End {
    source: Source,
    sink: Sink,
}

#[derive(Debug)]
enum Source {
    Process,
    Path(PathBuf, Option<OwnedFd>),
    Object(Arc<Mutex<Reader>>),
    /// It ends at once.
    Empty,
    /// It cannot be read.
    None,
}

#[derive(Debug)]
enum Sink {
    Stdout,
    Stderr,
    Path(PathBuf, Option<OwnedFd>),
    Object(Arc<Mutex<Writer>>),
    Discard,
    /// It cannot be written.
    None,
}

impl From<Input> for Source {
    fn from(input: Input) -> Self {
        match input {
            Input::Process => Source::Process,
            Input::Empty => Source::Empty,
            Input::Path(path) => Source::Path(path, None),
            Input::Reader(inner) => {
                Source::Object(Arc::new(Mutex::new(Reader { inner, ahead: Vec::new(), at: 0, end: None })))
            }
        }
    }
}

impl From<Output> for Sink {
    fn from(output: Output) -> Self {
        match output {
            Output::Process => Sink::Stdout,
            Output::Discard => Sink::Discard,
            Output::Path(path) => Sink::Path(path, None),
            Output::Writer(inner) => Sink::Object(Arc::new(Mutex::new(Writer { inner }))),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ports {
    /// The standard ends and the `mapped` ones.
    pub fn new(
        ends: Ends,
        mapped: Vec<(Input, Output)>,
        output_max: Option<u64>,
        control: &Arc<Control>,
        (thread, deadline): (Thread, Deadline),
    ) -> Arc<Self> {
        let stderr = match ends.stderr {
            Output::Process => Sink::Stderr,
            other => other.into(),
        };
        let mut all = vec![
            End { source: ends.stdin.into(), sink: Sink::None },
            End { source: Source::None, sink: ends.stdout.into() },
            End { source: Source::None, sink: stderr },
        ];
        all.extend(mapped.into_iter().map(|(input, output)| End { source: input.into(), sink: output.into() }));
        let (ends, output_left, control) = (Mutex::new(all), Mutex::new(output_max), control.clone());
        Arc::new(Self { ends, output_left, control, deadline, thread })
    }

    /// A port to read end `index` from.
    ///
    /// # Errors
    /// `Badf` where there is no such end or it cannot be read; what the host says when it opens a path.
    pub fn reader(self: &Arc<Self>, index: u32) -> Result<Port, Refused> {
        let mut ends = lock(&self.ends);
        let end = ends.get_mut(index as usize).ok_or(Errno::Badf)?;
        let conduit = match &mut end.source {
            Source::Process => self.descriptor(rustix::io::dup(rustix::stdio::stdin()), Direction::Read)?,
            Source::Path(path, fd) => {
                let fd = match fd {
                    Some(fd) => fd,
                    None => fd.insert(self.open(path, OFlags::RDONLY)?),
                };
                self.descriptor(rustix::io::dup(fd), Direction::Read)?
            }
            Source::Object(reader) => Conduit::Reader(reader.clone()),
            Source::Empty => Conduit::Nothing,
            Source::None => return Err(Errno::Badf.into()),
        };
        Ok(Port { ports: self.clone(), conduit, direction: Direction::Read, standard: false })
    }

    /// A port to write to end `index`.
    ///
    /// # Errors
    /// As for [`reader`](Self::reader).
    pub fn writer(self: &Arc<Self>, index: u32) -> Result<Port, Refused> {
        let mut ends = lock(&self.ends);
        let end = ends.get_mut(index as usize).ok_or(Errno::Badf)?;
        let standard = matches!(end.sink, Sink::Stdout | Sink::Stderr);
        let conduit = match &mut end.sink {
            Sink::Stdout => self.descriptor(rustix::io::dup(rustix::stdio::stdout()), Direction::Write)?,
            Sink::Stderr => self.descriptor(rustix::io::dup(rustix::stdio::stderr()), Direction::Write)?,
            Sink::Path(path, fd) => {
                let fd = match fd {
                    Some(fd) => fd,
                    None => fd.insert(self.open(path, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)?),
                };
                self.descriptor(rustix::io::dup(fd), Direction::Write)?
            }
            Sink::Object(writer) => Conduit::Writer(writer.clone()),
            Sink::Discard => Conduit::Nothing,
            Sink::None => return Err(Errno::Badf.into()),
        };
        Ok(Port { ports: self.clone(), conduit, direction: Direction::Write, standard })
    }

    /// What a program may do with this end: (read, write).
    pub fn directions(&self, index: u32) -> Option<(bool, bool)> {
        let ends = lock(&self.ends);
        let end = ends.get(index as usize)?;
        Some((!matches!(end.source, Source::None), !matches!(end.sink, Sink::None)))
    }

    /// Whether a standard end is a terminal.
    pub fn is_terminal(&self, index: u32) -> bool {
        let ends = lock(&self.ends);
        match (index, ends.get(index as usize)) {
            (0, Some(End { source: Source::Process, .. })) => rustix::termios::isatty(rustix::stdio::stdin()),
            (1, Some(End { sink: Sink::Stdout, .. })) => rustix::termios::isatty(rustix::stdio::stdout()),
            (2, Some(End { sink: Sink::Stderr, .. })) => rustix::termios::isatty(rustix::stdio::stderr()),
            _ => false,
        }
    }

    fn descriptor(&self, fd: rustix::io::Result<OwnedFd>, direction: Direction) -> Result<Conduit, Errno> {
        let fd = fd.map_err(errno)?;
        Ok(if self.thread == Thread::Own { Conduit::Blocks(fd) } else { wait_for(fd, direction) })
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Refused> {
        open(path, flags, &self.deadline).map_err(|failure| match failure {
            Failure::Errno(errno) => Refused::Errno(errno),
            Failure::Stop(_) => Refused::Stop(self.deadline.error()),
        })
    }

    /// Ends the run.
    pub fn stop(&self, stop: Stop) {
        self.control.stop(stop);
    }
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// How bytes get from or to an end.
#[derive(Debug)]
enum Conduit {
    /// A descriptor that is waited for in the system call.
    Blocks(OwnedFd),
    /// A file, or a device that cannot be waited for: always ready.
    Never(OwnedFd),
    /// A pipe, socket or terminal.
    For(AsyncFd<OwnedFd>),
    Reader(Arc<Mutex<Reader>>),
    Writer(Arc<Mutex<Writer>>),
    /// Gives nothing, takes everything.
    Nothing,
}

/// One stream on one of the ends. Several may be open on the same end and share what comes from it.
#[derive(Debug)]
pub(crate) struct Port {
    ports: Arc<Ports>,
    conduit: Conduit,
    direction: Direction,
    /// stdout or stderr of this process, also under a mapped name: when their reader goes, the run ends.
    standard: bool,
}

/// Why bytes were not moved.
pub(crate) enum Refused {
    Errno(Errno),
    Stop(Stop),
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        Refused::Errno(errno)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Errno(errno) => Failure::Errno(errno),
            Refused::Stop(stop) => Failure::Stop(stop.into()),
        }
    }
}

impl Port {
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Ends the run.
    pub fn stop(&self, stop: Stop) {
        self.ports.stop(stop);
    }

    /// The descriptor behind it, if it waits in the system call.
    pub fn blocking_fd(&self) -> Option<BorrowedFd<'_>> {
        if let Conduit::Blocks(fd) = &self.conduit { Some(fd.as_fd()) } else { None }
    }

    /// Waits in the runtime from now on, beside other things.
    pub fn wait_in_runtime(&mut self) {
        if let Conduit::Blocks(fd) = &mut self.conduit
            && let Ok(fd) = rustix::io::dup(fd)
        {
            self.conduit = wait_for(fd, self.direction);
        }
    }

    /// Whether a read or write would not block now.
    pub fn is_ready(&self) -> Result<bool, Errno> {
        match &self.conduit {
            Conduit::For(fd) => is_ready(fd.get_ref().as_fd(), self.direction),
            Conduit::Reader(reader) => Ok(lock(reader).poll_filled(&mut noop()).is_ready()),
            _ => Ok(true),
        }
    }

    /// Waits until a read or write would not block.
    pub fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Errno>> {
        let fd = match &self.conduit {
            Conduit::For(fd) => fd,
            Conduit::Reader(reader) => return lock(reader).poll_filled(context).map(Ok),
            _ => return Poll::Ready(Ok(())),
        };
        loop {
            // What the runtime remembers may be old: another process can have emptied the pipe.
            if self.is_ready()? {
                return Poll::Ready(Ok(()));
            }
            let guard = match self.direction {
                Direction::Read => ready!(fd.poll_read_ready(context)),
                Direction::Write => ready!(fd.poll_write_ready(context)),
            };
            let Ok(mut guard) = guard else { return Poll::Ready(Err(Errno::Io)) };
            if self.is_ready()? {
                return Poll::Ready(Ok(()));
            }
            guard.clear_ready();
        }
    }

    /// Reads what there is into `buffers`, as soon as there is something; 0 at the end.
    pub fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<Result<usize, Refused>> {
        let read = match &self.conduit {
            Conduit::Reader(reader) => ready!(lock(reader).poll_read(context, buffers))?,
            Conduit::Writer(_) | Conduit::Nothing => 0,
            Conduit::Blocks(fd) => self.read_blocking(fd.as_fd(), buffers)?,
            Conduit::Never(fd) => retry(|| rustix::io::readv(fd, buffers))?,
            Conduit::For(fd) => loop {
                ready!(self.poll_ready(context))?;
                match retry(|| rustix::io::readv(fd.get_ref(), buffers)) {
                    // Another reader of the same end was faster.
                    Err(Errno::Again) => {}
                    read => break read?,
                }
            },
        };
        self.ports.control.add_in(read);
        Poll::Ready(Ok(read))
    }

    fn read_blocking(&self, fd: BorrowedFd<'_>, buffers: &mut [IoSliceMut<'_>]) -> Result<usize, Refused> {
        loop {
            wait_blocking(&self.ports.deadline, fd, Direction::Read)?;
            match retry(|| rustix::io::readv(fd, buffers)) {
                // The descriptor is in non-blocking mode: another process switched a terminal, for instance.
                Err(Errno::Again) => block_until_ready(fd, Direction::Read)?,
                read => return read.map_err(Refused::Errno),
            }
        }
    }

    /// Bytes that one write takes at most.
    pub fn permit(&self) -> usize {
        match self.conduit {
            Conduit::For(_) => PIPE_BYTES,
            _ => FILE_BYTES,
        }
    }

    /// Writes some bytes of `buffers` as soon as there is room.
    pub fn poll_write(&mut self, context: &mut Context<'_>, buffers: &[&[u8]]) -> Poll<Result<usize, Refused>> {
        let len: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        if len == 0 {
            return Poll::Ready(Ok(0));
        }
        let len = match &self.conduit {
            // A run that nobody hurries waits as long as the reader likes.
            Conduit::Blocks(_) if self.ports.deadline.left().is_none() => len,
            Conduit::Blocks(fd) if !is_file(fd.as_fd()) => len.min(PIPE_BYTES),
            Conduit::Blocks(_) => len,
            _ => len.min(self.permit()),
        };
        self.check_output(len)?;
        let written = match &self.conduit {
            Conduit::Writer(writer) => ready!(lock(writer).poll_write(context, buffers, len)),
            Conduit::Reader(_) | Conduit::Nothing => Ok(len),
            Conduit::Blocks(fd) => self.write_blocking(fd.as_fd(), &cut(buffers, len))?,
            Conduit::Never(fd) => retry(|| rustix::io::writev(fd, &cut(buffers, len))),
            Conduit::For(fd) => loop {
                ready!(self.poll_ready(context))?;
                match retry(|| rustix::io::writev(fd.get_ref(), &cut(buffers, len))) {
                    Err(Errno::Again) => {}
                    written => break written,
                }
            },
        };
        let written = match written {
            Err(Errno::Pipe) if self.standard => return Poll::Ready(Err(Refused::Stop(Stop::BrokenPipe))),
            written => written?,
        };
        self.ports.control.add_out(written);
        if let Some(left) = &mut *lock(&self.ports.output_left) {
            *left = left.saturating_sub(written as u64);
        }
        Poll::Ready(Ok(written))
    }

    fn write_blocking(&self, fd: BorrowedFd<'_>, buffers: &[IoSlice<'_>]) -> Result<Result<usize, Errno>, Refused> {
        loop {
            wait_blocking(&self.ports.deadline, fd, Direction::Write)?;
            match retry(|| rustix::io::writev(fd, buffers)) {
                Err(Errno::Again) => block_until_ready(fd, Direction::Write)?,
                written => return Ok(written),
            }
        }
    }

    /// A write that would go past the limit is not begun.
    fn check_output(&self, len: usize) -> Result<(), Refused> {
        match *lock(&self.ports.output_left) {
            Some(left) if left < len as u64 => Err(Refused::Stop(Stop::Limit(Limit::Output))),
            _ => Ok(()),
        }
    }
}

/// A context for asking whether something is ready, without being told later.
pub(crate) fn noop() -> Context<'static> {
    Context::from_waker(std::task::Waker::noop())
}

/// Waits for a descriptor as long as the run may last.
fn wait_blocking(deadline: &Deadline, fd: BorrowedFd<'_>, direction: Direction) -> Result<(), Refused> {
    let waited = match direction {
        Direction::Read => deadline.wait_readable(fd),
        Direction::Write => deadline.wait_writable(fd),
    };
    waited.map_err(|failure| match failure {
        Failure::Errno(errno) => Refused::Errno(errno),
        Failure::Stop(_) => Refused::Stop(deadline.error()),
    })
}

fn block_until_ready(fd: BorrowedFd<'_>, direction: Direction) -> Result<(), Errno> {
    crate::sys::wait(&[(fd, direction == Direction::Write)], &mut [false], None).map_err(|_| Errno::Io)
}

fn is_ready(fd: BorrowedFd<'_>, direction: Direction) -> Result<bool, Errno> {
    let flags = if direction == Direction::Read { PollFlags::IN } else { PollFlags::OUT };
    let mut polled = [PollFd::new(&fd, flags)];
    match rustix::event::poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(errno(error)),
    }
}

fn is_file(fd: BorrowedFd<'_>) -> bool {
    use rustix::fs::FileType;
    rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

/// The first `len` bytes of the buffers.
fn cut<'b>(buffers: &[&'b [u8]], len: usize) -> Vec<IoSlice<'b>> {
    let mut left = len;
    let pieces = buffers.iter().map(|buffer| {
        let piece = &buffer[..buffer.len().min(left)];
        left -= piece.len();
        IoSlice::new(piece)
    });
    pieces.collect()
}

/// Runs a system call again when a signal cut it short.
fn retry(mut call: impl FnMut() -> rustix::io::Result<usize>) -> Result<usize, Errno> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map_err(errno),
        }
    }
}

#[allow(unsafe_code, reason = "the runtime asks for a promise about the descriptor")]
fn wait_for(fd: OwnedFd, direction: Direction) -> Conduit {
    let interest = if direction == Direction::Read { Interest::READABLE } else { Interest::WRITABLE };
    // epoll refuses files and some devices, which are always ready.
    // SAFETY: an `OwnedFd` names one open descriptor for as long as it lives, and nothing here
    // exchanges the one inside the `AsyncFd` for another.
    match unsafe { AsyncFd::register_with_interest(fd, interest) } {
        Ok(fd) => Conduit::For(fd),
        Err(refused) => Conduit::Never(refused.into_parts().0),
    }
}

/// An object that is read from, and what was read of it to know that there is something.
struct Reader {
    inner: Box<dyn AsyncRead + Send + Unpin>,
    ahead: Vec<u8>,
    at: usize,
    /// How it ended: at its end, or by an error that the next read gives.
    end: Option<Result<(), Errno>>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Reader({} bytes ahead)", self.ahead.len() - self.at)
    }
}

impl Reader {
    /// Waits until a read would not. An error is as ready as the end is.
    fn poll_filled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.at < self.ahead.len() || self.end.is_some() {
            return Poll::Ready(());
        }
        self.ahead.resize(AHEAD_BYTES, 0);
        let mut buffer = ReadBuf::new(&mut self.ahead);
        let polled = Pin::new(&mut self.inner).poll_read(context, &mut buffer);
        let filled = buffer.filled().len();
        self.at = 0;
        self.ahead.truncate(filled);
        let polled = ready!(polled);
        if filled == 0 {
            self.end = Some(polled.map_err(|error| io_errno(&error)));
        }
        Poll::Ready(())
    }

    fn poll_read(&mut self, context: &mut Context<'_>, buffers: &mut [IoSliceMut<'_>]) -> Poll<Result<usize, Errno>> {
        if self.at == self.ahead.len()
            && let Some(end) = &mut self.end
        {
            return Poll::Ready(std::mem::replace(end, Ok(())).map(|()| 0));
        }
        let mut read = 0;
        for buffer in buffers.iter_mut().filter(|buffer| !buffer.is_empty()) {
            let ahead = &self.ahead[self.at..];
            if ahead.is_empty() {
                let mut into = ReadBuf::new(buffer);
                match Pin::new(&mut self.inner).poll_read(context, &mut into) {
                    Poll::Pending if read == 0 => return Poll::Pending,
                    Poll::Ready(Err(error)) if read == 0 => return Poll::Ready(Err(io_errno(&error))),
                    _ => {}
                }
                let (filled, all) = (into.filled().len(), into.remaining() == 0);
                read += filled;
                if !all {
                    return Poll::Ready(Ok(read));
                }
                continue;
            }
            let copied = ahead.len().min(buffer.len());
            buffer[..copied].copy_from_slice(&ahead[..copied]);
            (self.at, read) = (self.at + copied, read + copied);
            if copied < buffer.len() {
                break;
            }
        }
        Poll::Ready(Ok(read))
    }
}

/// An object that is written to.
struct Writer {
    inner: Box<dyn AsyncWrite + Send + Unpin>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Writer")
    }
}

impl Writer {
    fn poll_write(&mut self, context: &mut Context<'_>, buffers: &[&[u8]], len: usize) -> Poll<Result<usize, Errno>> {
        let Some(first) = buffers.iter().find(|buffer| !buffer.is_empty()) else { return Poll::Ready(Ok(0)) };
        let bytes = &first[..first.len().min(len)];
        let written = match ready!(Pin::new(&mut self.inner).poll_write(context, bytes)) {
            Ok(0) => Err(Errno::Pipe),
            written => written.map_err(|error| io_errno(&error)),
        };
        // What is buffered is somebody else's business; whoever reads the other end sees every write.
        let _ = Pin::new(&mut self.inner).poll_flush(context);
        Poll::Ready(written)
    }
}

fn io_errno(error: &std::io::Error) -> Errno {
    use std::io::ErrorKind;
    match (error.raw_os_error(), error.kind()) {
        (Some(number), _) => errno(rustix::io::Errno::from_raw_os_error(number)),
        (None, ErrorKind::BrokenPipe) => Errno::Pipe,
        (None, ErrorKind::StorageFull) => Errno::Nospc,
        (None, _) => Errno::Io,
    }
}
