//! A word to somebody who waits at a terminal while a program is compiled. In scripts nothing is said.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// What takes no longer than this needs no explanation.
const PATIENCE: Duration = Duration::from_secs(1);

/// Loads a program, and says what takes so long.
pub fn while_compiling<T>(program: &Path, load: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return load();
    }
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy();
    let words = format!("weir: compiling {name}, which is done once\n");
    telling(&mut io::stderr(), &words, PATIENCE, load)
}

fn telling<T>(out: &mut (impl Write + Send), words: &str, patience: Duration, load: impl FnOnce() -> T) -> T {
    let (done, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                // Who cannot be told can wait all the same.
                let _ = out.write_all(words.as_bytes());
            }
        });
        let loaded = load();
        drop(done);
        loaded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes on what is written.
    struct Sent(mpsc::Sender<Vec<u8>>);

    impl Write for Sent {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn it_is_said_while_loading_goes_on_and_not_when_it_is_over() {
        let (sender, receiver) = mpsc::channel();
        let said = telling(&mut Sent(sender), "slow", Duration::ZERO, || receiver.recv().unwrap());
        assert_eq!(said, b"slow");
        let (sender, receiver) = mpsc::channel();
        assert_eq!(telling(&mut Sent(sender), "slow", Duration::from_secs(3600), || 7), 7);
        assert!(receiver.recv().is_err());
    }
}
