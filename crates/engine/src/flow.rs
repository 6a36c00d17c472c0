//! Streams of a function: what the caller reads from and writes to while the function runs.
//!
//! Bytes go straight between the caller's reader or writer and the memory of the function, which waits meanwhile:
//! nothing is buffered here. A reader that ends is a stream that ends; a writer that is gone (`BrokenPipe`, or a write of
//! no bytes) is told to the function, which goes on or ends as it likes.

use crate::deadline::Deadline;
use crate::error::{Error, Kind, Limit};
use crate::opening::open;
use crate::sys::{Failure as Failed, PIPE_BYTES};
use crate::value::Value;
use bytes::Bytes;
use rustix::fs::OFlags;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Accessor, ComponentType, Destination, FutureAny, FutureConsumer, FutureReader, Lift, ResourceType, Source,
    StreamAny, StreamConsumer, StreamProducer, StreamReader, StreamResult, Type, Val, VecBuffer,
};

use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, InputStream, OutputStream, StreamError};
use weir_types::limits::Limits;

/// Bytes that are asked for where the reader is no guest.
const PIECE_BYTES: usize = 64 << 10;

/// What a function writes to as a stream. It is written from one thread.
pub type Sink = Box<dyn Write + Send>;

/// An argument of a call.
pub enum Arg {
    /// A value.
    Value(Value),
    /// What a parameter of type `stream<u8>` or `input-stream`, or an option of that, is read from.
    Stream(Box<dyn Read + Send>),
    /// What a parameter of type `output-stream`, or an option of that, is written to.
    Sink(Sink),
}

impl From<Value> for Arg {
    fn from(value: Value) -> Self {
        Arg::Value(value)
    }
}

/// A file, pipe or terminal as a stream that is waited for no longer than a call may take.
pub fn within_time(file: File, limits: &Limits) -> Box<dyn Read + Send> {
    Box::new(WithinTime { file, deadline: Deadline::new(limits.time_max) })
}

/// The same for a file that is opened for reading by its path.
///
/// # Errors
/// It cannot be opened, or the time is over before a named pipe has a writer.
pub fn open_within_time(path: &Path, limits: &Limits) -> std::io::Result<Box<dyn Read + Send>> {
    let deadline = Deadline::new(limits.time_max);
    match open(path, OFlags::RDONLY, &deadline) {
        Ok(fd) => Ok(Box::new(WithinTime { file: fd.into(), deadline })),
        Err(Failed::Stop(stop)) => Err(std::io::Error::new(ErrorKind::TimedOut, stop.to_string())),
        // The system's own error says more than a number of WASI.
        Err(Failed::Errno(_)) => File::open(path).map(|file| Box::new(WithinTime { file, deadline }) as _),
    }
}

/// A file, pipe or terminal that is written to, and waited for no longer than a call may take.
pub fn written_within_time(file: File, limits: &Limits) -> Sink {
    Box::new(WithinTime { file, deadline: Deadline::new(limits.time_max) })
}

struct WithinTime {
    file: File,
    deadline: Deadline,
}

impl WithinTime {
    fn late(&self) -> std::io::Error {
        std::io::Error::new(ErrorKind::TimedOut, self.deadline.error().to_string())
    }
}

impl Write for WithinTime {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.deadline.left().is_none() {
            return self.file.write(bytes);
        }
        self.deadline.wait_writable(self.file.as_fd()).map_err(|_| self.late())?;
        // A pipe that has room for some bytes may still wait for room for more.
        self.file.write(&bytes[..bytes.len().min(PIPE_BYTES)])
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Read for WithinTime {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        match self.deadline.wait_readable(self.file.as_fd()) {
            Ok(()) => self.file.read(out),
            Err(_) => Err(self.late()),
        }
    }
}

/// What becomes of an error of a reader.
fn unreadable(error: &std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::TimedOut => Error::new(Kind::Limit, error.to_string()),
        // Half an input must not be taken for all of it.
        _ => Error::new(Kind::Program, format!("cannot read what a stream is made of: {error}")),
    }
}

/// What went wrong on the caller's side of streams; the first of it.
#[derive(Clone, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<Error>>>);

impl Trouble {
    fn note(&self, error: Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    pub fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The stream of an argument.
pub(crate) fn stream_of<D: Send + 'static>(
    reader: Box<dyn Read + Send>,
    optional: bool,
    access: &Accessor<D>,
    trouble: &Trouble,
) -> wasmtime::Result<Val> {
    let from = Reading { reader, trouble: trouble.clone() };
    access.with(|mut store| {
        let stream = StreamReader::new(&mut store, from)?.try_into_stream_any(&mut store)?;
        let value = Val::Stream(stream);
        Ok(if optional { Val::Option(Some(Box::new(value))) } else { value })
    })
}

struct Reading {
    reader: Box<dyn Read + Send>,
    trouble: Trouble,
}

impl<D: 'static> StreamProducer<D> for Reading {
    type Item = u8;
    type Buffer = VecBuffer<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        destination: Destination<'a, u8, VecBuffer<u8>>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let mut destination = destination.as_direct(store, PIECE_BYTES);
        loop {
            match self.reader.read(destination.remaining()) {
                Ok(0) => return Poll::Ready(Ok(StreamResult::Dropped)),
                Ok(read) => {
                    destination.mark_written(read);
                    return Poll::Ready(Ok(StreamResult::Completed));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.trouble.note(unreadable(&error));
                    return Poll::Ready(Err(wasmtime::Error::msg("a stream cannot be read")));
                }
            }
        }
    }
}

/// Lets a stream of the result flow into a sink.
pub(crate) fn pour<D: Send + 'static>(
    stream: &StreamAny,
    sink: Sink,
    left: &Arc<Mutex<u64>>,
    access: &Accessor<D>,
    trouble: &Trouble,
) -> wasmtime::Result<()> {
    let into = Writing { sink, left: left.clone(), trouble: trouble.clone() };
    access.with(|store| StreamReader::<u8>::try_from_stream_any(stream.clone())?.pipe(store, into))
}

struct Writing {
    sink: Sink,
    /// Bytes that all sinks together still may be given.
    left: Arc<Mutex<u64>>,
    trouble: Trouble,
}

impl Writing {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Option<Error>> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let len = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        if len == 0 {
            return Err(Some(Error::met(Limit::Output)));
        }
        loop {
            match self.sink.write(&bytes[..len]) {
                Ok(0) => return Err(None),
                Ok(written) => {
                    *left -= written as u64;
                    return Ok(written);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Err(None),
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    return Err(Some(Error::new(Kind::Limit, error.to_string())));
                }
                Err(error) => {
                    return Err(Some(Error::new(Kind::Save, format!("cannot write what a stream gives: {error}"))));
                }
            }
        }
    }
}

impl<D: 'static> StreamConsumer<D> for Writing {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let mut source = source.as_direct(store);
        let bytes = source.remaining();
        if bytes.is_empty() {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        match self.write(bytes) {
            Ok(written) => {
                source.mark_read(written);
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Err(None) => Poll::Ready(Ok(StreamResult::Dropped)),
            Err(Some(error)) => {
                self.trouble.note(error);
                Poll::Ready(Err(wasmtime::Error::msg("a stream cannot be written")))
            }
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // What a sink still holds; whoever needs to know of errors does not buffer.
        let _ = self.sink.flush();
    }
}

/// Whether a parameter of this type is read from a stream.
pub(crate) fn is_input(ty: &Type) -> bool {
    match ty {
        Type::Stream(_) => true,
        Type::Own(resource) | Type::Borrow(resource) => *resource == ResourceType::host::<DynInputStream>(),
        _ => false,
    }
}

/// Whether a parameter of this type is written to as a stream.
pub(crate) fn is_output(ty: &Type) -> bool {
    match ty {
        Type::Own(resource) | Type::Borrow(resource) => *resource == ResourceType::host::<DynOutputStream>(),
        _ => false,
    }
}

/// An `input-stream` of wasi:io for a reader.
pub(crate) fn input(reader: Box<dyn Read + Send>, trouble: &Trouble) -> DynInputStream {
    Box::new(Reading { reader, trouble: trouble.clone() })
}

/// An `output-stream` of wasi:io for a sink.
pub(crate) fn output(sink: Sink, left: &Arc<Mutex<u64>>, trouble: &Trouble) -> DynOutputStream {
    Box::new(Writing { sink, left: left.clone(), trouble: trouble.clone() })
}

/// Reading and writing wait by themselves.
#[wasmtime_wasi::async_trait]
impl Pollable for Reading {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl InputStream for Reading {
    fn read(&mut self, size: usize) -> Result<Bytes, StreamError> {
        let mut bytes = vec![0; size.min(PIECE_BYTES)];
        loop {
            match self.reader.read(&mut bytes) {
                Ok(0) => return Err(StreamError::Closed),
                Ok(read) => {
                    bytes.truncate(read);
                    return Ok(bytes.into());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.trouble.note(unreadable(&error));
                    return Err(StreamError::trap("a stream cannot be read"));
                }
            }
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Writing {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Writing {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match Writing::write(self, rest) {
                Ok(written) => rest = &rest[written..],
                Err(None) => return Err(StreamError::Closed),
                Err(Some(error)) => {
                    self.trouble.note(error);
                    return Err(StreamError::trap("a stream cannot be written"));
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        self.sink.flush().map_err(|_| StreamError::Closed)
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(PIECE_BYTES)
    }
}

/// The failure of a lifted program.
#[derive(ComponentType, Lift, Clone)]
#[component(record)]
struct Failure {
    #[component(name = "exit-code")]
    exit_code: u32,
    message: String,
    stderr: String,
}

impl Failure {
    fn value(self) -> Val {
        Val::Record(vec![
            ("exit-code".into(), Val::U32(self.exit_code)),
            ("message".into(), Val::String(self.message)),
            ("stderr".into(), Val::String(self.stderr)),
        ])
    }
}

/// Waits for the result that comes with streams.
///
/// # Errors
/// It is of a type that cannot be received: `result<_, failure>`, and for `_` a string, bytes or a u32 can be.
pub(crate) fn receive<D: Send + 'static>(
    future: &FutureAny,
    ty: &Type,
    access: &Accessor<D>,
) -> wasmtime::Result<oneshot::Receiver<Val>> {
    let Type::Future(future_ty) = ty else { return Err(unknown()) };
    let Some(Type::Result(result)) = future_ty.ty() else { return Err(unknown()) };
    match result.ok() {
        None => await_as::<(), D>(future, access, |()| None),
        Some(Type::String) => await_as::<String, D>(future, access, |text| Some(Val::String(text))),
        Some(Type::U32) => await_as::<u32, D>(future, access, |number| Some(Val::U32(number))),
        Some(Type::List(list)) if list.ty() == Type::U8 => {
            await_as::<Vec<u8>, D>(future, access, |bytes| Some(Val::List(bytes.into_iter().map(Val::U8).collect())))
        }
        Some(_) => Err(unknown()),
    }
}

fn unknown() -> wasmtime::Error {
    wasmtime::Error::msg(
        "the result that comes with streams has to be future<result<_, failure>>, or a string, u32 or list<u8> for _",
    )
}

fn await_as<T: Lift + ComponentType + Send + Sync + 'static, D: Send + 'static>(
    future: &FutureAny,
    access: &Accessor<D>,
    value: fn(T) -> Option<Val>,
) -> wasmtime::Result<oneshot::Receiver<Val>> {
    let (sender, receiver) = oneshot::channel();
    let reader = FutureReader::<Result<T, Failure>>::try_from_future_any(future.clone())?;
    access.with(|store| reader.pipe(store, Await { sender: Some(sender), value }))?;
    Ok(receiver)
}

struct Await<T> {
    sender: Option<oneshot::Sender<Val>>,
    value: fn(T) -> Option<Val>,
}

impl<T: Lift + Send + Sync + 'static, D: 'static> FutureConsumer<D> for Await<T> {
    type Item = Result<T, Failure>;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        mut source: Source<'_, Self::Item>,
        _: bool,
    ) -> Poll<wasmtime::Result<()>> {
        let mut item = None;
        source.read(store, &mut item)?;
        let value = self.value;
        if let (Some(item), Some(sender)) = (item, self.sender.take()) {
            let result = match item {
                Ok(inside) => Ok(value(inside).map(Box::new)),
                Err(failure) => Err(Some(Box::new(failure.value()))),
            };
            // Whoever waited may be gone.
            let _ = sender.send(Val::Result(result));
        }
        Poll::Ready(Ok(()))
    }
}
