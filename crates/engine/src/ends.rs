//! What the streams of a program are connected to: this process's own ends, or objects of whoever runs it.

use std::fmt;
use std::io::Cursor;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};

/// What a program reads from.
#[derive(Default)]
pub enum Input {
    /// stdin of this process.
    #[default]
    Process,
    /// Nothing: it ends at once.
    Empty,
    /// What this gives. It is read ahead by some KiB where the program waits for several things at once.
    Reader(Box<dyn AsyncRead + Send + Unpin>),
    /// A path of the host, opened when it is first read.
    Path(PathBuf),
}

/// What a program writes to.
#[derive(Default)]
pub enum Output {
    /// The end of this process: stderr for stderr, stdout for everything else.
    #[default]
    Process,
    /// Nothing: bytes are counted and forgotten.
    Discard,
    /// This. Bytes are flushed after each write.
    Writer(Box<dyn AsyncWrite + Send + Unpin>),
    /// A path of the host, made or emptied when it is first written.
    Path(PathBuf),
}

/// Bytes that can be read at any place, and whose number does not change: a file of a program that lies somewhere else.
pub trait Blob: Send + Sync {
    /// How many there are.
    fn size(&self) -> u64;

    /// Copies some of those from `offset` into `out`, at least one where there is any, and gives how many.
    ///
    /// # Errors
    /// They cannot be had; the program is told so (EIO).
    fn read_at(&self, offset: u64, out: &mut [u8]) -> std::io::Result<usize>;
}

/// A place in the file tree of a program that is an object of whoever runs it.
pub enum Object {
    /// A stream: what is read from it, and where goes what is written.
    Stream(Input, Output),
    /// A file.
    Blob(Arc<dyn Blob>),
}

impl fmt::Debug for Object {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::Stream(input, output) => write!(out, "Stream({input:?}, {output:?})"),
            Object::Blob(blob) => write!(out, "Blob({} bytes)", blob.size()),
        }
    }
}

/// The three standard ends of a run. By default those of this process.
#[derive(Debug, Default)]
pub struct Ends {
    /// What stdin gives.
    pub stdin: Input,
    /// Where stdout goes.
    pub stdout: Output,
    /// Where stderr goes.
    pub stderr: Output,
}

impl Ends {
    /// No input, and output that is thrown away.
    pub fn none() -> Self {
        Self { stdin: Input::Empty, stdout: Output::Discard, stderr: Output::Discard }
    }

    /// This process's stdin, and output that is thrown away.
    pub fn silent() -> Self {
        Self { stdin: Input::Process, ..Self::none() }
    }
}

impl Input {
    /// These bytes.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Reader(Box::new(Cursor::new(bytes.into())))
    }
}

impl Output {
    /// Memory, of `bytes_max` at most: what is written beyond that fails as on a full disk. What has been written can be
    /// had at any time.
    pub fn memory(bytes_max: usize) -> (Self, Written) {
        let written = Written(Arc::default());
        let writer = Memory { bytes: written.0.clone(), bytes_max };
        (Self::Writer(Box::new(writer)), written)
    }
}

/// A pipe in memory that holds `bytes_max` at most: whoever writes waits while it is full, and whoever reads while it is
/// empty. It ends when the other side is dropped.
pub fn pipe(bytes_max: usize) -> (Output, Input) {
    // One direction of it: unlike halves of a simplex, each end tells the other when it goes.
    let (reader, writer) = tokio::io::duplex(bytes_max);
    (Output::Writer(Box::new(writer)), Input::Reader(Box::new(reader)))
}

/// What a program has written to memory.
#[derive(Clone, Debug)]
pub struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    /// What was written since the last time, taken out.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Memory {
    bytes: Arc<Mutex<Vec<u8>>>,
    bytes_max: usize,
}

impl AsyncWrite for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, new: &[u8]) -> Poll<std::io::Result<usize>> {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let room = self.bytes_max.saturating_sub(bytes.len()).min(new.len());
        if room == 0 && !new.is_empty() {
            return Poll::Ready(Err(std::io::ErrorKind::StorageFull.into()));
        }
        bytes.extend_from_slice(&new[..room]);
        Poll::Ready(Ok(room))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Process => out.write_str("Process"),
            Input::Empty => out.write_str("Empty"),
            Input::Reader(_) => out.write_str("Reader(..)"),
            Input::Path(path) => write!(out, "Path({path:?})"),
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Process => out.write_str("Process"),
            Output::Discard => out.write_str("Discard"),
            Output::Writer(_) => out.write_str("Writer(..)"),
            Output::Path(path) => write!(out, "Path({path:?})"),
        }
    }
}
