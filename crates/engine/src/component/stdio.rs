//! The stream ends of a component, as the interfaces of WASI want them: wasi:io's streams, which are asked whether they are
//! ready and then do not wait, and those of 0.3, which wait.

use crate::places::FIRST_STREAM;
use crate::ports::{Direction, FILE_BYTES, Port, Ports, Refused, noop};
use std::io::IoSliceMut;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};
use weir_vfs::{Errno, StreamId};

/// The end to read a mapped stream from.
pub(crate) fn reader(ports: &Arc<Ports>, stream: StreamId) -> Result<Stream, Errno> {
    ports.reader(mapped(stream)?).map(Stream::new).map_err(|refused| or_stop(ports, refused))
}

/// The end to write a mapped stream to.
pub(crate) fn writer(ports: &Arc<Ports>, stream: StreamId) -> Result<Stream, Errno> {
    ports.writer(mapped(stream)?).map(Stream::new).map_err(|refused| or_stop(ports, refused))
}

/// The program is told of a failure, and ended beside it where that is why.
fn or_stop(ports: &Ports, refused: Refused) -> Errno {
    match refused {
        Refused::Errno(errno) => errno,
        Refused::Stop(stop) => {
            ports.stop(stop);
            Errno::Io
        }
    }
}

/// A tree names mapped streams alone.
fn mapped(stream: StreamId) -> Result<u32, Errno> {
    if stream.0 < FIRST_STREAM { Err(Errno::Io) } else { Ok(stream.0) }
}

/// A port, and what wasi:io remembers of it.
#[derive(Debug)]
pub(crate) struct Stream {
    port: Port,
    closed: bool,
    /// Bytes that the end, though it had reported room, did not take.
    pending: bytes::Bytes,
}

impl Stream {
    fn new(port: Port) -> Self {
        Self { port, closed: false, pending: bytes::Bytes::new() }
    }

    /// Reads some bytes as soon as there are any; none at the end.
    pub fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize, Errno>> {
        let read = ready!(self.port.poll_read(context, &mut [IoSliceMut::new(buffer)]));
        self.or_stop(read)
    }

    /// Writes some bytes as soon as there is room. A run that must end waits here for its end.
    pub fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Errno>> {
        let written = ready!(self.port.poll_write(context, &[bytes]));
        self.or_stop(written)
    }

    /// Waits until the end is ready.
    pub fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Errno>> {
        self.port.poll_ready(context)
    }

    fn or_stop(&self, moved: Result<usize, Refused>) -> Poll<Result<usize, Errno>> {
        match moved {
            Ok(count) => Poll::Ready(Ok(count)),
            Err(Refused::Errno(errno)) => Poll::Ready(Err(errno)),
            Err(Refused::Stop(stop)) => {
                self.port.stop(stop);
                Poll::Pending
            }
        }
    }

    /// Writes pending bytes as far as there is room.
    fn poll_pending(&mut self, context: &mut Context<'_>) -> Poll<StreamResult<()>> {
        while !self.pending.is_empty() {
            let bytes = self.pending.clone();
            match ready!(self.port.poll_write(context, &[&bytes])) {
                Ok(written) => drop(self.pending.split_to(written)),
                Err(Refused::Errno(errno)) => {
                    self.closed = true;
                    self.pending.clear();
                    return Poll::Ready(Err(StreamError::LastOperationFailed(errno.into())));
                }
                Err(Refused::Stop(stop)) => return Poll::Ready(Err(StreamError::Trap(stop.into()))),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn push_pending(&mut self) -> StreamResult<()> {
        match self.poll_pending(&mut noop()) {
            Poll::Ready(pushed) => pushed,
            Poll::Pending => Ok(()),
        }
    }

    fn is_ready(&self) -> Result<bool, Errno> {
        self.port.is_ready()
    }
}

#[async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {
        // An error is ready, too: the next read or write reports it.
        if self.port.direction() == Direction::Write && !self.pending.is_empty() {
            let pushed = std::future::poll_fn(|context| self.poll_pending(context)).await;
            if let Err(StreamError::LastOperationFailed(_)) = pushed {
                self.closed = true;
            }
            return;
        }
        let _ = std::future::poll_fn(|context| self.port.poll_ready(context)).await;
    }
}

#[async_trait]
impl InputStream for Stream {
    fn read(&mut self, size: usize) -> StreamResult<bytes::Bytes> {
        if self.closed {
            return Err(StreamError::Closed);
        }
        let fail = |errno: Errno| StreamError::LastOperationFailed(errno.into());
        if size == 0 || !self.is_ready().map_err(fail)? {
            return Ok(bytes::Bytes::new());
        }
        let mut buffer = vec![0; size.min(FILE_BYTES)];
        match self.poll_read(&mut noop(), &mut buffer) {
            Poll::Ready(Ok(0)) => {
                self.closed = true;
                Err(StreamError::Closed)
            }
            Poll::Ready(Ok(read)) => {
                buffer.truncate(read);
                Ok(buffer.into())
            }
            Poll::Pending => Ok(bytes::Bytes::new()),
            Poll::Ready(Err(errno)) => {
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
impl OutputStream for Stream {
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
        let ready = self.pending.is_empty() && self.is_ready().unwrap_or(true);
        Ok(if ready { self.port.permit() } else { 0 })
    }

    async fn blocking_write_and_flush(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        OutputStream::cancel(self).await;
        OutputStream::write(self, bytes)?;
        std::future::poll_fn(|context| self.poll_pending(context)).await
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
        if !self.closed {
            let _ = std::future::poll_fn(|context| self.poll_pending(context)).await;
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let len = buffer.remaining().min(FILE_BYTES);
        let read = Stream::poll_read(&mut self, context, buffer.initialize_unfilled_to(len));
        let read = ready!(read).map_err(std::io::Error::other)?;
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Stream::poll_write(&mut self, context, bytes).map_err(|errno| match errno {
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

/// One of the three standard ends; makes a stream on it whenever the program asks for one.
#[derive(Clone, Debug)]
pub(crate) struct Standard {
    pub ports: Arc<Ports>,
    /// 0, 1 or 2.
    pub index: u32,
}

impl Standard {
    /// A stream on this end; `None` when the host has closed it.
    fn stream(&self) -> Option<Stream> {
        let port = if self.index == 0 { self.ports.reader(0) } else { self.ports.writer(self.index) };
        port.ok().map(Stream::new)
    }
}

impl IsTerminal for Standard {
    fn is_terminal(&self) -> bool {
        self.ports.is_terminal(self.index)
    }
}

impl StdinStream for Standard {
    fn p2_stream(&self) -> Box<dyn InputStream> {
        match self.stream() {
            Some(stream) => Box::new(stream),
            None => Box::new(wasmtime_wasi::p2::pipe::ClosedInputStream),
        }
    }

    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        match self.stream() {
            Some(stream) => Box::new(stream),
            None => Box::new(tokio::io::empty()),
        }
    }
}

impl StdoutStream for Standard {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        match self.stream() {
            Some(stream) => Box::new(stream),
            None => Box::new(wasmtime_wasi::p2::pipe::ClosedOutputStream),
        }
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        match self.stream() {
            Some(stream) => Box::new(stream),
            None => Box::new(tokio::io::sink()),
        }
    }
}
