//! One thread for all clocks of the process: it advances the epoch of an engine when the time of one of its programs is
//! over, and at short intervals where programs share a thread, so that one that computes gives way.

use crate::error::{Error, Kind};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use wasmtime::{Engine, EngineWeak};

/// How long a program computes before others on its thread have their turn.
const TURN: Duration = Duration::from_millis(5);

/// What is to be done, by when; the second number tells entries of the same time apart.
type Entries = BTreeMap<(Instant, u64), Entry>;

struct Entry {
    engine: EngineWeak,
    /// Done again after each [`TURN`], for as long as this is held.
    again: Option<Weak<Turn>>,
}

#[derive(Default)]
struct Book {
    entries: Entries,
    next: u64,
    has_thread: bool,
    /// When the thread looks again by itself; `None` where only being told wakes it.
    looks_at: Option<Instant>,
}

impl Book {
    fn add(&mut self, at: Instant, entry: Entry) -> (Instant, u64) {
        self.next += 1;
        self.entries.insert((at, self.next), entry);
        (at, self.next)
    }
}

static BOOK: LazyLock<(Mutex<Book>, Condvar)> = LazyLock::new(Default::default);

fn lock() -> MutexGuard<'static, Book> {
    // A panic cannot leave an entry in part.
    BOOK.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes an entry, and a thread to look after it.
fn add(at: Instant, entry: Entry) -> Result<(Instant, u64), Error> {
    let mut book = lock();
    if !book.has_thread {
        let thread = std::thread::Builder::new().name("weir-ticker".into()).spawn(tick);
        let failed =
            |error| Error::new(Kind::Internal, format!("cannot start the thread that watches the time: {error}"));
        thread.map_err(failed)?;
        book.has_thread = true;
    }
    let key = book.add(at, entry);
    // It looks again before that anyway, where the entry that it waits for is gone by now: calls with a limit that follow one
    // another do not wake it each time.
    if book.looks_at.is_none_or(|looks_at| at < looks_at) {
        BOOK.1.notify_one();
    }
    Ok(key)
}

fn tick() {
    let mut book = lock();
    loop {
        let now = Instant::now();
        while let Some(entry) = book.entries.first_entry().filter(|entry| entry.key().0 <= now) {
            let entry = entry.remove();
            if let Some(engine) = entry.engine.upgrade() {
                engine.increment_epoch();
            }
            if entry.again.as_ref().is_some_and(|turn| turn.strong_count() > 0) {
                book.add(now + TURN, entry);
            }
        }
        let changed = &BOOK.1;
        book.looks_at = book.entries.first_key_value().map(|((at, _), _)| *at);
        book = match book.looks_at.map(|at| at.saturating_duration_since(Instant::now())) {
            Some(left) => changed.wait_timeout(book, left).map_or_else(|error| error.into_inner().0, |(book, _)| book),
            None => changed.wait(book).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

/// Advances the epoch of an engine once, at a time. Dropped before, it does not.
pub(crate) struct Alarm((Instant, u64));

impl Alarm {
    /// At `at`.
    ///
    /// # Errors
    /// The machine has no thread to spare.
    pub fn set(engine: &Engine, at: Instant) -> Result<Self, Error> {
        add(at, Entry { engine: engine.weak(), again: None }).map(Self)
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        lock().entries.remove(&self.0);
    }
}

/// Advances the epoch of an engine again and again, until it is dropped.
pub(crate) struct Turn(());

impl Turn {
    /// From now on.
    ///
    /// # Errors
    /// The machine has no thread to spare.
    pub fn begin(engine: &Engine) -> Result<Arc<Self>, Error> {
        let turn = Arc::new(Self(()));
        let again = Some(Arc::downgrade(&turn));
        add(Instant::now() + TURN, Entry { engine: engine.weak(), again })?;
        Ok(turn)
    }
}
