//! How far a transfer is, for somebody who waits at a terminal. In scripts nothing is said.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};
use weir_store::Meter;

/// Between two looks at the meter. What is over by then needs no line.
const INTERVAL: Duration = Duration::from_millis(250);

/// Moves something, and shows at a terminal how far it is: `verb` is what is done.
pub fn while_moving<T>(verb: &str, meter: &Meter, work: impl FnOnce() -> T) -> T {
    if io::stderr().is_terminal() { showing(&mut io::stderr(), verb, meter, INTERVAL, work) } else { work() }
}

fn showing<T>(
    out: &mut (impl Write + Send),
    verb: &str,
    meter: &Meter,
    interval: Duration,
    work: impl FnOnce() -> T,
) -> T {
    let (done, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let (started, mut width) = (Instant::now(), 0);
            while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                let text = line(verb, meter.moved(), meter.total(), started.elapsed());
                // Blanks cover what a longer line left; they need nothing of the terminal. Who cannot be told can wait.
                let _ = write!(out, "\r{text:<width$}").and_then(|()| out.flush());
                width = text.len();
            }
            if width > 0 {
                let _ = write!(out, "\r{:width$}\r", "").and_then(|()| out.flush());
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// One line: bytes, rate, time left.
fn line(verb: &str, moved: u64, total: u64, elapsed: Duration) -> String {
    if moved == 0 {
        return format!("weir: {verb} ...");
    }
    let rate = moved as f64 / elapsed.as_secs_f64().max(0.001);
    let total = total.max(moved);
    let left = ((total - moved) as f64 / rate).ceil() as u64;
    let left = match left {
        0..60 => format!("{left} s"),
        60..3600 => format!("{}:{:02} min", left / 60, left % 60),
        _ => format!("{}:{:02} h", left / 3600, left / 60 % 60),
    };
    format!("weir: {verb} {} of {}, {}/s, {left} left", size(moved as f64), size(total as f64), size(rate))
}

fn size(bytes: f64) -> String {
    match bytes {
        bytes if bytes < 1e3 => format!("{bytes:.0} B"),
        bytes if bytes < 1e6 => format!("{:.1} kB", bytes / 1e3),
        bytes if bytes < 1e9 => format!("{:.1} MB", bytes / 1e6),
        bytes => format!("{:.2} GB", bytes / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_bytes_rate_and_time_left() {
        let second = Duration::from_secs(1);
        assert_eq!(line("pulling", 0, 9, second), "weir: pulling ...");
        assert_eq!(
            line("pulling", 2_500_000, 10_000_000, second),
            "weir: pulling 2.5 MB of 10.0 MB, 2.5 MB/s, 3 s left"
        );
        assert_eq!(line("pushing", 900, 900, second), "weir: pushing 900 B of 900 B, 900 B/s, 0 s left");
        assert!(line("pulling", 1_000, 1_000_000, second).ends_with("1.0 kB/s, 16:39 min left"));
        assert!(line("pulling", 1_000, 36_000_000, second).ends_with("9:59 h left"));
        // More can move than was known of.
        assert!(line("pulling", 20, 10, second).starts_with("weir: pulling 20 B of 20 B"));
    }

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
    fn the_line_goes_when_it_is_over_and_nothing_is_said_of_what_is_quick() {
        let (sender, receiver) = mpsc::channel();
        showing(&mut Sent(sender), "pulling", &Meter::default(), Duration::from_millis(1), || {
            receiver.recv().unwrap();
        });
        let rest: Vec<u8> = receiver.iter().flatten().collect();
        assert!(rest.ends_with(b" \r"), "{rest:?}");
        let (sender, receiver) = mpsc::channel();
        assert_eq!(showing(&mut Sent(sender), "pulling", &Meter::default(), Duration::from_secs(3600), || 7), 7);
        assert!(receiver.recv().is_err());
    }
}
