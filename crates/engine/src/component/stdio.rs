//! The stream ends of a component: stdin, stdout, stderr and mapped streams, on the host's own
//! descriptors. Waiting is done by the runtime, one system call moves the bytes, nothing is read
//! ahead: what the program does not take stays for whoever reads next. Output is counted here.
//!
//! A write to something that can make a program wait is at most one page, which a pipe that reports
//! room takes without blocking; so neither a slow reader nor a silent writer outlasts a deadline.

use crate::deadline::Deadline;
use crate::error::Stop;
use crate::opening::open;
use crate::places::FIRST_STREAM;
use crate::sys::{Failure, PIPE_BYTES, errno};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::sync::Notify;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};
use weir_vfs::{Errno, StreamId};

/// Bytes moved at once where nothing can block, such as a file.
const FILE_BYTES: usize = 64 << 10;

/// What crosses the stream ends of one run, and why the run must end.
#[derive(Debug, Default)]
struct Meter {
    output_left: Option<u64>,
    bytes_in: u64,
    bytes_out: u64,
    stop: Option<Stop>,
}

/// A stream mapped into the file tree; opened at its first use in each direction.
#[derive(Debug)]
struct Mapped {
    path: Option<PathBuf>,
    reader: Option<OwnedFd>,
    writer: Option<OwnedFd>,
}

/// The stream ends of one run.
#[derive(Debug)]
pub(crate) struct Ends {
    meter: Mutex<Meter>,
    stopped: Notify,
    mapped: Mutex<Vec<Mapped>>,
    /// stdout and stderr go nowhere.
    discard_output: bool,
    deadline: Deadline,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ends {
    /// The standard ends and the `mapped` ones.
    pub fn new(
        mapped: Vec<Option<PathBuf>>,
        output_max: Option<u64>,
        discard_output: bool,
        deadline: Deadline,
    ) -> Arc<Self> {
        let mapped = mapped.into_iter().map(|path| Mapped { path, reader: None, writer: None }).collect();
        let meter = Meter { output_left: output_max, ..Meter::default() };
        let (meter, mapped) = (Mutex::new(meter), Mutex::new(mapped));
        Arc::new(Self { meter, stopped: Notify::new(), mapped, discard_output, deadline })
    }

    /// Bytes read and written so far.
    pub fn bytes(&self) -> (u64, u64) {
        let meter = lock(&self.meter);
        (meter.bytes_in, meter.bytes_out)
    }

    /// Waits until the run must end because of its streams.
    pub async fn stopped(&self) {
        self.stopped.notified().await;
    }

    /// Why the run must end, if it must.
    pub fn take_stop(&self) -> Option<Stop> {
        lock(&self.meter).stop.take()
    }

    fn stop(&self, stop: Stop) {
        lock(&self.meter).stop.get_or_insert(stop);
        self.stopped.notify_one();
    }

    /// The end to read a mapped stream from.
    pub fn reader(self: &Arc<Self>, stream: StreamId) -> Result<Port, Errno> {
        let mut mapped = lock(&self.mapped);
        let end = mapped_end(&mut mapped, stream)?;
        let fd = match (&end.path, &mut end.reader) {
            (None, _) => rustix::io::dup(rustix::stdio::stdin()),
            (Some(_), Some(fd)) => rustix::io::dup(fd),
            (Some(path), reader @ None) => rustix::io::dup(reader.insert(self.open(path, OFlags::RDONLY)?)),
        };
        Ok(Port::new(self, fd.map_err(errno)?, Direction::Read, false))
    }

    /// The end to write a mapped stream to.
    pub fn writer(self: &Arc<Self>, stream: StreamId) -> Result<Port, Errno> {
        let mut mapped = lock(&self.mapped);
        let end = mapped_end(&mut mapped, stream)?;
        let standard = end.path.is_none();
        let fd = match (&end.path, &mut end.writer) {
            (None, _) => self.standard_output(rustix::stdio::stdout()),
            (Some(_), Some(fd)) => rustix::io::dup(fd),
            (Some(path), writer @ None) => {
                let fd = self.open(path, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)?;
                rustix::io::dup(writer.insert(fd))
            }
        };
        Ok(Port::new(self, fd.map_err(errno)?, Direction::Write, standard))
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        open(path, flags, &self.deadline).map_err(|failure| match failure {
            Failure::Errno(errno) => errno,
            // Whoever runs the program sees by itself that the time is over.
            Failure::Stop(_) => Errno::Io,
        })
    }

    fn standard_output(&self, fd: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
        if self.discard_output {
            return rustix::fs::open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, rustix::fs::Mode::empty());
        }
        rustix::io::dup(fd)
    }

    /// stdin.
    pub fn stdin(self: &Arc<Self>) -> Standard {
        Standard { ends: self.clone(), which: Which::Stdin }
    }

    /// stdout.
    pub fn stdout(self: &Arc<Self>) -> Standard {
        Standard { ends: self.clone(), which: Which::Stdout }
    }

    /// stderr.
    pub fn stderr(self: &Arc<Self>) -> Standard {
        Standard { ends: self.clone(), which: Which::Stderr }
    }
}

fn mapped_end(mapped: &mut [Mapped], stream: StreamId) -> Result<&mut Mapped, Errno> {
    let index = stream.0.checked_sub(FIRST_STREAM).and_then(|index| usize::try_from(index).ok());
    index.and_then(|index| mapped.get_mut(index)).ok_or(Errno::Io)
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Direction {
    fn flags(self) -> PollFlags {
        match self {
            Direction::Read => PollFlags::IN,
            Direction::Write => PollFlags::OUT,
        }
    }
}

#[derive(Debug)]
enum Waiting {
    /// A file, or a device that cannot be waited for: always ready.
    Never(OwnedFd),
    /// A pipe, socket or terminal.
    For(AsyncFd<OwnedFd>),
}

/// One stream on one of the ends. Several may be open on the same end and share what comes from it.
#[derive(Debug)]
pub(crate) struct Port {
    ends: Arc<Ends>,
    waiting: Waiting,
    direction: Direction,
    /// stdout or stderr, also under a mapped name: when their reader goes, the run ends.
    standard: bool,
    closed: bool,
    /// Bytes that the end, though it had reported room, did not take.
    pending: bytes::Bytes,
}

impl Port {
    fn new(ends: &Arc<Ends>, fd: OwnedFd, direction: Direction, standard: bool) -> Self {
        let interest = if direction == Direction::Read { Interest::READABLE } else { Interest::WRITABLE };
        // epoll refuses files and some devices, which are always ready.
        let waiting = wait_for(fd, interest);
        Self { ends: ends.clone(), waiting, direction, standard, closed: false, pending: bytes::Bytes::new() }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match &self.waiting {
            Waiting::Never(fd) => fd.as_fd(),
            Waiting::For(fd) => fd.get_ref().as_fd(),
        }
    }

    fn is_ready(&self, direction: Direction) -> Result<bool, Errno> {
        if let Waiting::Never(_) = self.waiting {
            return Ok(true);
        }
        let fd = self.fd();
        let mut polled = [PollFd::new(&fd, direction.flags())];
        match rustix::event::poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(count) => Ok(count > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(errno(error)),
        }
    }

    /// Waits until a read or write would not block.
    pub fn poll_ready(&self, context: &mut Context<'_>, direction: Direction) -> Poll<Result<(), Errno>> {
        let Waiting::For(fd) = &self.waiting else { return Poll::Ready(Ok(())) };
        loop {
            // What the runtime remembers may be old: another process can have emptied the pipe.
            if self.is_ready(direction)? {
                return Poll::Ready(Ok(()));
            }
            let guard = match direction {
                Direction::Read => ready!(fd.poll_read_ready(context)),
                Direction::Write => ready!(fd.poll_write_ready(context)),
            };
            let Ok(mut guard) = guard else { return Poll::Ready(Err(Errno::Io)) };
            if self.is_ready(direction)? {
                return Poll::Ready(Ok(()));
            }
            guard.clear_ready();
        }
    }

    /// Reads what there is; 0 at the end, `Again` if there is nothing after all.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        loop {
            match rustix::io::read(self.fd(), &mut *buffer) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(read) => {
                    lock(&self.ends.meter).bytes_in += read as u64;
                    return Ok(read);
                }
                Err(error) => return Err(errno(error)),
            }
        }
    }

    /// Writes some bytes as soon as there is room. A run that must end waits here for its end.
    pub fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Errno>> {
        ready!(self.poll_ready(context, Direction::Write))?;
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        match self.write_some(bytes) {
            Ok(written) => Poll::Ready(Ok(written)),
            Err(Refused::Errno(Errno::Again)) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Err(Refused::Errno(errno)) => Poll::Ready(Err(errno)),
            Err(Refused::Stop(stop)) => {
                self.ends.stop(stop);
                Poll::Pending
            }
        }
    }

    fn permit(&self) -> usize {
        match self.waiting {
            Waiting::Never(_) => FILE_BYTES,
            Waiting::For(_) => PIPE_BYTES,
        }
    }

    fn write_some(&mut self, bytes: &[u8]) -> Result<usize, Refused> {
        let bytes = &bytes[..bytes.len().min(self.permit())];
        self.check_output(bytes.len())?;
        loop {
            match rustix::io::write(self.fd(), bytes) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::PIPE) if self.standard => return Err(Refused::Stop(Stop::BrokenPipe)),
                Err(error) => return Err(Refused::Errno(errno(error))),
                Ok(written) => {
                    let mut meter = lock(&self.ends.meter);
                    meter.bytes_out += written as u64;
                    if let Some(left) = &mut meter.output_left {
                        *left = left.saturating_sub(written as u64);
                    }
                    return Ok(written);
                }
            }
        }
    }

    /// A write that would go past the limit is not begun.
    fn check_output(&self, len: usize) -> Result<(), Refused> {
        match lock(&self.ends.meter).output_left {
            Some(left) if left < len as u64 => Err(Refused::Stop(Stop::Limit(
                "the program wrote more output than it may: raise --output-max to allow it".into(),
            ))),
            _ => Ok(()),
        }
    }

    /// Writes pending bytes as far as there is room.
    fn push_pending(&mut self) -> StreamResult<()> {
        while !self.pending.is_empty() && self.is_ready(Direction::Write).unwrap_or(true) {
            let bytes = self.pending.clone();
            match self.write_some(&bytes) {
                Ok(written) => drop(self.pending.split_to(written)),
                Err(Refused::Errno(Errno::Again)) => return Ok(()),
                Err(Refused::Errno(errno)) => {
                    self.closed = true;
                    self.pending.clear();
                    return Err(StreamError::LastOperationFailed(errno.into()));
                }
                Err(Refused::Stop(stop)) => return Err(StreamError::Trap(stop.into())),
            }
        }
        Ok(())
    }
}

#[allow(unsafe_code, reason = "the runtime asks for a promise about the descriptor")]
fn wait_for(fd: OwnedFd, interest: Interest) -> Waiting {
    // SAFETY: an `OwnedFd` names one open descriptor for as long as it lives, and nothing here
    // exchanges the one inside the `AsyncFd` for another.
    match unsafe { AsyncFd::register_with_interest(fd, interest) } {
        Ok(fd) => Waiting::For(fd),
        Err(refused) => Waiting::Never(refused.into_parts().0),
    }
}

/// Why bytes were not written.
enum Refused {
    Errno(Errno),
    Stop(Stop),
}

#[async_trait]
impl Pollable for Port {
    async fn ready(&mut self) {
        // An error is ready, too: the next read or write reports it.
        let _ = std::future::poll_fn(|context| self.poll_ready(context, self.direction)).await;
    }
}

#[async_trait]
impl InputStream for Port {
    fn read(&mut self, size: usize) -> StreamResult<bytes::Bytes> {
        if self.closed {
            return Err(StreamError::Closed);
        }
        let fail = |errno: Errno| StreamError::LastOperationFailed(errno.into());
        if size == 0 || !self.is_ready(Direction::Read).map_err(fail)? {
            return Ok(bytes::Bytes::new());
        }
        let mut buffer = vec![0; size.min(FILE_BYTES)];
        match Port::read(self, &mut buffer) {
            Ok(0) => {
                self.closed = true;
                Err(StreamError::Closed)
            }
            Ok(read) => {
                buffer.truncate(read);
                Ok(buffer.into())
            }
            Err(Errno::Again) => Ok(bytes::Bytes::new()),
            Err(errno) => {
                self.closed = true;
                Err(fail(errno))
            }
        }
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<bytes::Bytes> {
        loop {
            self.ready().await;
            let bytes = InputStream::read(self, size)?;
            if size == 0 || !bytes.is_empty() {
                return Ok(bytes);
            }
            // Another reader of the same end was faster.
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl OutputStream for Port {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        if self.closed {
            return Err(StreamError::Closed);
        }
        if !self.pending.is_empty() {
            return Err(StreamError::trap("write not permitted: check-write gave no room"));
        }
        self.pending = bytes;
        self.push_pending()
    }

    fn flush(&mut self) -> StreamResult<()> {
        if self.closed { Err(StreamError::Closed) } else { self.push_pending() }
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.flush()?;
        let ready = self.pending.is_empty() && self.is_ready(Direction::Write).unwrap_or(true);
        Ok(if ready { self.permit() } else { 0 })
    }

    async fn blocking_write_and_flush(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        OutputStream::cancel(self).await;
        OutputStream::write(self, bytes)?;
        while !self.pending.is_empty() {
            self.ready().await;
            self.push_pending()?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn write_ready(&mut self) -> StreamResult<usize> {
        loop {
            self.ready().await;
            match self.check_write()? {
                0 => tokio::task::yield_now().await,
                permit => return Ok(permit),
            }
        }
    }

    /// Before the stream goes: what was accepted is written.
    async fn cancel(&mut self) {
        while !self.pending.is_empty() && !self.closed {
            self.ready().await;
            if self.push_pending().is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

impl AsyncRead for Port {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        ready!(self.poll_ready(context, Direction::Read)).map_err(std::io::Error::other)?;
        let len = buffer.remaining().min(FILE_BYTES);
        match Port::read(&mut self, buffer.initialize_unfilled_to(len)) {
            Ok(read) => {
                buffer.advance(read);
                Poll::Ready(Ok(()))
            }
            Err(Errno::Again) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Err(errno) => Poll::Ready(Err(std::io::Error::other(errno))),
        }
    }
}

impl AsyncWrite for Port {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Port::poll_write(&mut self, context, bytes).map_err(|errno| match errno {
            Errno::Pipe => std::io::ErrorKind::BrokenPipe.into(),
            errno => std::io::Error::other(errno),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[derive(Clone, Copy, Debug)]
enum Which {
    Stdin,
    Stdout,
    Stderr,
}

/// One of the three standard ends; makes a stream on it whenever the program asks for one.
#[derive(Clone, Debug)]
pub(crate) struct Standard {
    ends: Arc<Ends>,
    which: Which,
}

impl Standard {
    fn fd(&self) -> BorrowedFd<'static> {
        match self.which {
            Which::Stdin => rustix::stdio::stdin(),
            Which::Stdout => rustix::stdio::stdout(),
            Which::Stderr => rustix::stdio::stderr(),
        }
    }

    /// A stream on this end; `None` when the host has closed it.
    fn port(&self) -> Option<Port> {
        let (fd, direction) = match self.which {
            Which::Stdin => (rustix::io::dup(self.fd()), Direction::Read),
            Which::Stdout | Which::Stderr => (self.ends.standard_output(self.fd()), Direction::Write),
        };
        Some(Port::new(&self.ends, fd.ok()?, direction, true))
    }
}

impl IsTerminal for Standard {
    fn is_terminal(&self) -> bool {
        rustix::termios::isatty(self.fd())
    }
}

impl StdinStream for Standard {
    fn p2_stream(&self) -> Box<dyn InputStream> {
        match self.port() {
            Some(port) => Box::new(port),
            None => Box::new(wasmtime_wasi::p2::pipe::ClosedInputStream),
        }
    }

    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        match self.port() {
            Some(port) => Box::new(port),
            None => Box::new(tokio::io::empty()),
        }
    }
}

impl StdoutStream for Standard {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        match self.port() {
            Some(port) => Box::new(port),
            None => Box::new(wasmtime_wasi::p2::pipe::ClosedOutputStream),
        }
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        match self.port() {
            Some(port) => Box::new(port),
            None => Box::new(tokio::io::sink()),
        }
    }
}
