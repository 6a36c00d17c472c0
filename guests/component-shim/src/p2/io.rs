//! wasi:io: errors, pollables and streams, each the host's or the tree's.

use super::Shim;
use super::bindings::exports::wasi::io::{error, poll, streams};
use super::bindings::wasi::io as host;
use crate::files::{Node, TRANSFER_BYTES_MAX};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use streams::{GuestInputStream as _, GuestOutputStream as _, StreamError};
use weir_vfs::Errno;

/// Bytes that one read of a stream of the host gives at most.
const HOST_READ_BYTES_MAX: u64 = 1 << 20;

/// What went wrong with a stream.
pub enum Error {
    Host(host::error::Error),
    File(Errno),
}

impl error::Guest for Shim {
    type Error = Error;
}

impl error::GuestError for Error {
    fn to_debug_string(&self) -> String {
        match self {
            Error::Host(error) => error.to_debug_string(),
            Error::File(errno) => alloc::format!("{errno}"),
        }
    }
}

/// Something to wait for.
pub enum Pollable {
    /// The tree never makes a program wait.
    Ready,
    Host(host::poll::Pollable),
}

impl Pollable {
    pub fn host(pollable: host::poll::Pollable) -> poll::Pollable {
        poll::Pollable::new(Pollable::Host(pollable))
    }
}

impl poll::GuestPollable for Pollable {
    fn ready(&self) -> bool {
        match self {
            Pollable::Ready => true,
            Pollable::Host(pollable) => pollable.ready(),
        }
    }

    fn block(&self) {
        if let Pollable::Host(pollable) = self {
            pollable.block();
        }
    }
}

impl poll::Guest for Shim {
    type Pollable = Pollable;

    fn poll(all: Vec<poll::PollableBorrow<'_>>) -> Vec<u32> {
        let all: Vec<&Pollable> = all.iter().map(|pollable| pollable.get::<Pollable>()).collect();
        let host = all.iter().filter_map(|pollable| match pollable {
            Pollable::Ready => None,
            Pollable::Host(pollable) => Some(pollable),
        });
        let host: Vec<_> = host.collect();
        if host.len() == all.len() {
            // The numbers are the same. An empty list is the host's to refuse.
            return host::poll::poll(&host);
        }
        // Something is ready at once, so nothing is waited for; what else is ready is said, too.
        let ready = all.iter().zip(0..).filter(|(pollable, _)| poll::GuestPollable::ready(**pollable));
        ready.map(|(_, index)| index).collect()
    }
}

/// Where a program reads from.
pub enum InputStream {
    Host(host::streams::InputStream),
    File(FileInput),
}

/// The bytes of a file from a position on.
pub struct FileInput {
    /// `None` once the stream has ended or failed.
    node: RefCell<Option<Rc<Node>>>,
    position: Cell<u64>,
}

/// Where a program writes to.
pub enum OutputStream {
    Host(host::streams::OutputStream),
    File(FileOutput),
}

/// Writes to a file, from a position on or always at its end.
pub struct FileOutput {
    /// `None` once a write has failed.
    node: RefCell<Option<Rc<Node>>>,
    position: Cell<Option<u64>>,
}

impl streams::Guest for Shim {
    type InputStream = InputStream;
    type OutputStream = OutputStream;
}

type Result<T> = core::result::Result<T, StreamError>;

fn failed(error: Error) -> StreamError {
    StreamError::LastOperationFailed(error::Error::new(error))
}

fn from_host(error: host::streams::StreamError) -> StreamError {
    match error {
        host::streams::StreamError::LastOperationFailed(error) => failed(Error::Host(error)),
        host::streams::StreamError::Closed => StreamError::Closed,
    }
}

impl FileInput {
    fn node(&self) -> Result<Rc<Node>> {
        self.node.borrow().clone().ok_or(StreamError::Closed)
    }

    fn end<T>(&self, error: StreamError) -> Result<T> {
        self.node.replace(None);
        Err(error)
    }

    fn read(&self, len: u64) -> Result<Vec<u8>> {
        let node = self.node()?;
        if len == 0 {
            return Ok(Vec::new());
        }
        let position = self.position.get();
        match node.read(position, usize::try_from(len).unwrap_or(usize::MAX)) {
            Ok(bytes) if bytes.is_empty() => self.end(StreamError::Closed),
            Ok(bytes) => {
                self.position.set(position.saturating_add(bytes.len() as u64));
                Ok(bytes)
            }
            Err(errno) => self.end(failed(Error::File(errno))),
        }
    }

    fn skip(&self, len: u64) -> Result<u64> {
        let node = self.node()?;
        let position = self.position.get();
        let rest = node.size().unwrap_or_default().saturating_sub(position);
        if rest == 0 && len > 0 {
            return self.end(StreamError::Closed);
        }
        let len = rest.min(len);
        self.position.set(position.saturating_add(len));
        Ok(len)
    }
}

impl InputStream {
    pub fn host(stream: host::streams::InputStream) -> streams::InputStream {
        streams::InputStream::new(InputStream::Host(stream))
    }

    pub fn file(node: Rc<Node>, position: u64) -> streams::InputStream {
        let file = FileInput { node: RefCell::new(Some(node)), position: Cell::new(position) };
        streams::InputStream::new(InputStream::File(file))
    }

    fn wait(&self) {
        if let InputStream::Host(stream) = self {
            stream.subscribe().block();
        }
    }
}

impl streams::GuestInputStream for InputStream {
    fn read(&self, len: u64) -> Result<Vec<u8>> {
        match self {
            InputStream::Host(stream) => stream.read(len.min(HOST_READ_BYTES_MAX)).map_err(from_host),
            InputStream::File(file) => file.read(len),
        }
    }

    fn blocking_read(&self, len: u64) -> Result<Vec<u8>> {
        match self {
            InputStream::Host(stream) => stream.blocking_read(len.min(HOST_READ_BYTES_MAX)).map_err(from_host),
            InputStream::File(file) => file.read(len),
        }
    }

    fn skip(&self, len: u64) -> Result<u64> {
        match self {
            InputStream::Host(stream) => stream.skip(len).map_err(from_host),
            InputStream::File(file) => file.skip(len),
        }
    }

    fn blocking_skip(&self, len: u64) -> Result<u64> {
        match self {
            InputStream::Host(stream) => stream.blocking_skip(len).map_err(from_host),
            InputStream::File(file) => file.skip(len),
        }
    }

    fn subscribe(&self) -> poll::Pollable {
        match self {
            InputStream::Host(stream) => Pollable::host(stream.subscribe()),
            InputStream::File(_) => poll::Pollable::new(Pollable::Ready),
        }
    }
}

impl FileOutput {
    fn node(&self) -> Result<Rc<Node>> {
        self.node.borrow().clone().ok_or(StreamError::Closed)
    }

    fn check(&self) -> Result<u64> {
        self.node().map(|_| TRANSFER_BYTES_MAX as u64)
    }

    fn write(&self, bytes: &[u8]) -> Result<()> {
        let node = self.node()?;
        let mut rest = bytes;
        while !rest.is_empty() {
            match node.write(self.position.get(), rest) {
                Ok(written) => {
                    let moved = self.position.get().map(|position| position.saturating_add(written as u64));
                    self.position.set(moved);
                    rest = rest.get(written..).unwrap_or_default();
                }
                Err(errno) => {
                    self.node.replace(None);
                    return Err(failed(Error::File(errno)));
                }
            }
        }
        Ok(())
    }

    fn write_zeroes(&self, len: u64) -> Result<()> {
        const ZEROES: [u8; 4096] = [0; 4096];
        self.node()?;
        let mut left = len;
        while left > 0 {
            let piece = left.min(ZEROES.len() as u64);
            self.write(ZEROES.get(..piece as usize).unwrap_or_default())?;
            left -= piece;
        }
        Ok(())
    }
}

impl OutputStream {
    pub fn host(stream: host::streams::OutputStream) -> streams::OutputStream {
        streams::OutputStream::new(OutputStream::Host(stream))
    }

    /// A stream that writes from `position` on, or at the end.
    pub fn file(node: Rc<Node>, position: Option<u64>) -> streams::OutputStream {
        let file = FileOutput { node: RefCell::new(Some(node)), position: Cell::new(position) };
        streams::OutputStream::new(OutputStream::File(file))
    }

    fn wait(&self) {
        if let OutputStream::Host(stream) = self {
            stream.subscribe().block();
        }
    }
}

impl streams::GuestOutputStream for OutputStream {
    fn check_write(&self) -> Result<u64> {
        match self {
            OutputStream::Host(stream) => stream.check_write().map_err(from_host),
            OutputStream::File(file) => file.check(),
        }
    }

    fn write(&self, bytes: Vec<u8>) -> Result<()> {
        match self {
            OutputStream::Host(stream) => stream.write(&bytes).map_err(from_host),
            OutputStream::File(file) => file.write(&bytes),
        }
    }

    fn blocking_write_and_flush(&self, bytes: Vec<u8>) -> Result<()> {
        match self {
            OutputStream::Host(stream) => stream.blocking_write_and_flush(&bytes).map_err(from_host),
            OutputStream::File(file) => file.write(&bytes),
        }
    }

    fn flush(&self) -> Result<()> {
        match self {
            OutputStream::Host(stream) => stream.flush().map_err(from_host),
            OutputStream::File(file) => file.check().map(|_| ()),
        }
    }

    fn blocking_flush(&self) -> Result<()> {
        match self {
            OutputStream::Host(stream) => stream.blocking_flush().map_err(from_host),
            OutputStream::File(file) => file.check().map(|_| ()),
        }
    }

    fn subscribe(&self) -> poll::Pollable {
        match self {
            OutputStream::Host(stream) => Pollable::host(stream.subscribe()),
            OutputStream::File(_) => poll::Pollable::new(Pollable::Ready),
        }
    }

    fn write_zeroes(&self, len: u64) -> Result<()> {
        match self {
            OutputStream::Host(stream) => stream.write_zeroes(len).map_err(from_host),
            OutputStream::File(file) => file.write_zeroes(len),
        }
    }

    fn blocking_write_zeroes_and_flush(&self, len: u64) -> Result<()> {
        match self {
            OutputStream::Host(stream) => stream.blocking_write_zeroes_and_flush(len).map_err(from_host),
            OutputStream::File(file) => file.write_zeroes(len),
        }
    }

    fn splice(&self, source: streams::InputStreamBorrow<'_>, len: u64) -> Result<u64> {
        let source = source.get::<InputStream>();
        if let (OutputStream::Host(to), InputStream::Host(from)) = (self, source) {
            return to.splice(from, len).map_err(from_host);
        }
        self.move_bytes(source, len)
    }

    fn blocking_splice(&self, source: streams::InputStreamBorrow<'_>, len: u64) -> Result<u64> {
        let source = source.get::<InputStream>();
        if let (OutputStream::Host(to), InputStream::Host(from)) = (self, source) {
            return to.blocking_splice(from, len).map_err(from_host);
        }
        self.wait();
        source.wait();
        self.move_bytes(source, len)
    }
}

impl OutputStream {
    /// As much as there is and as there is room for, without waiting.
    fn move_bytes(&self, source: &InputStream, len: u64) -> Result<u64> {
        let len = len.min(self.check_write()?);
        if len == 0 {
            return Ok(0);
        }
        let bytes = source.read(len)?;
        let moved = bytes.len() as u64;
        if moved > 0 {
            self.write(bytes)?;
        }
        Ok(moved)
    }
}
