//! The edge to threads: the one place that makes threads and runtimes for programs. Inside, everything is asynchronous.

use crate::error::Error;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};

/// Does `work` to its end. Where this thread belongs to a runtime already, another one does it.
///
/// # Errors
/// The machine gives no runtime or no thread.
pub fn wait<T: Send>(work: impl Future<Output = T> + Send) -> Result<T, Error> {
    if Handle::try_current().is_err() {
        return here(work);
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("program".into()).spawn_scoped(scope, || here(work));
        let thread = thread.map_err(|error| Error::machine("cannot start a thread for the program", error.into()))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn here<T>(work: impl Future<Output = T>) -> Result<T, Error> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(no_runtime)?;
    let done = runtime.block_on(work);
    // A thread that looks up a name may hang for long; nobody waits for it.
    runtime.shutdown_timeout(Duration::ZERO);
    Ok(done)
}

fn no_runtime(error: std::io::Error) -> Error {
    Error::machine("cannot start a runtime for the program", error.into())
}

/// Does `work`, which waits for nothing: it is asynchronous for the stack that comes with it. The caller's may be small,
/// and how deep a program recurses is the program's choice.
pub(crate) fn at_once<T>(work: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(wasmtime::Error::msg("a function that is called at once waits for something")),
    }
}

/// Waits for `work`, which needs no runtime, on this thread.
pub(crate) fn park<T>(work: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut work = pin!(work);
    loop {
        match work.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => std::thread::park(),
        }
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Does `work`, which waits for nothing but its turn among others on this thread, and does not give it up.
pub(crate) fn to_the_end<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
}

/// The runtime for programs that share threads: the caller's, or one of weir's own with a thread for each core.
///
/// # Errors
/// The machine gives none.
pub(crate) fn shared() -> Result<Handle, Error> {
    static OWN: OnceLock<Runtime> = OnceLock::new();
    if let Ok(handle) = Handle::try_current() {
        return Ok(handle);
    }
    if let Some(runtime) = OWN.get() {
        return Ok(runtime.handle().clone());
    }
    let runtime = Builder::new_multi_thread().thread_name("weir").enable_all().build().map_err(no_runtime)?;
    // Another thread may have been faster; its runtime counts.
    Ok(OWN.get_or_init(|| runtime).handle().clone())
}
