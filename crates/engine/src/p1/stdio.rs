//! The stream ends of a program: stdin, stdout, stderr and mapped streams, straight on the host's
//! descriptors. One system call per call of the program; no buffering of our own, so nothing is
//! lost when a run is cut short. Output is counted against its limit here.

use super::memory::Guest;
use crate::deadline::Deadline;
use crate::error::Stop;
use crate::opening::open;
use crate::sys::{Errno, Failure, Outcome, PIPE_BYTES, errno};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{self, IoSlice, IoSliceMut};
use std::path::PathBuf;

/// One end to read from or write to.
#[derive(Debug)]
pub(crate) enum End {
    Stdin,
    Stdout,
    Stderr,
    /// A host path, opened at its first use in each direction.
    Path {
        path: PathBuf,
        reader: Option<OwnedFd>,
        writer: Option<OwnedFd>,
    },
    /// stdin when read, stdout when written.
    Both,
    /// Takes what is written and forgets it.
    Discard,
    /// Closed by the program, or never there.
    Closed,
}

/// The stream ends of one run and what they cost so far.
#[derive(Debug)]
pub(crate) struct Streams {
    ends: Vec<End>,
    output_left: Option<u64>,
    deadline: Deadline,
    /// Bytes read and written, for statistics.
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl Streams {
    /// stdin, stdout and stderr as 0, 1, 2, then `mapped`.
    pub fn new(
        mapped: Vec<Option<PathBuf>>,
        output_max: Option<u64>,
        discard_output: bool,
        deadline: Deadline,
    ) -> Self {
        let mut ends = if discard_output {
            vec![End::Stdin, End::Discard, End::Discard]
        } else {
            vec![End::Stdin, End::Stdout, End::Stderr]
        };
        ends.extend(mapped.into_iter().map(|path| match path {
            Some(path) => End::Path { path, reader: None, writer: None },
            None => End::Both,
        }));
        Self { ends, output_left: output_max, deadline, bytes_in: 0, bytes_out: 0 }
    }

    /// The end of this number, if the program still has it.
    pub fn end(&self, index: u32) -> Outcome<&End> {
        match self.ends.get(index as usize) {
            None | Some(End::Closed) => Err(Errno::Badf.into()),
            Some(end) => Ok(end),
        }
    }

    pub fn close(&mut self, index: u32) -> Outcome {
        self.end(index)?;
        self.ends[index as usize] = End::Closed;
        Ok(())
    }

    pub fn renumber(&mut self, from: u32, to: u32) -> Outcome {
        self.end(from)?;
        self.end(to)?;
        if from != to {
            self.ends[to as usize] = std::mem::replace(&mut self.ends[from as usize], End::Closed);
        }
        Ok(())
    }

    /// Whether this end is a terminal.
    pub fn is_terminal(&self, index: u32) -> Outcome<bool> {
        Ok(match self.end(index)? {
            End::Stdin => rustix::termios::isatty(rustix::stdio::stdin()),
            End::Stdout => rustix::termios::isatty(rustix::stdio::stdout()),
            End::Stderr => rustix::termios::isatty(rustix::stdio::stderr()),
            _ => false,
        })
    }

    /// What the program may do with this end: (read, write).
    pub fn directions(&self, index: u32) -> Outcome<(bool, bool)> {
        Ok(match self.end(index)? {
            End::Stdin => (true, false),
            End::Stdout | End::Stderr | End::Discard => (false, true),
            _ => (true, true),
        })
    }

    /// Reads into the buffers of an iovec array; returns the bytes read, 0 at the end.
    pub fn read(&mut self, index: u32, guest: &mut Guest, iovs: u32, count: u32) -> Outcome<u32> {
        let spans = guest.spans(iovs, count)?;
        let deadline = self.deadline;
        let fd = self.reader(index)?;
        deadline.wait_readable(fd)?;
        let mut buffers = disjoint(guest, &spans)?;
        let read = retry(|| io::readv(fd, &mut buffers))?;
        self.bytes_in += read as u64;
        Ok(read as u32)
    }

    /// Writes the buffers of an iovec array; returns the bytes written, at least one if any were given.
    pub fn write(&mut self, index: u32, guest: &Guest, iovs: u32, count: u32) -> Outcome<u32> {
        let spans = guest.spans(iovs, count)?;
        let total: u64 = spans.iter().map(|(_, len)| u64::from(*len)).sum();
        let mut buffers = spans.iter().map(|(at, len)| guest.slice(*at, *len)).collect::<Outcome<Vec<_>>>()?;
        self.charge(total)?;
        if matches!(self.end(index)?, End::Discard) {
            return Ok(u32::try_from(total).unwrap_or(u32::MAX));
        }
        let standard = matches!(self.end(index)?, End::Stdout | End::Stderr | End::Both);
        let deadline = self.deadline;
        let fd = self.writer(index)?;
        if deadline.left().is_some() {
            deadline.wait_writable(fd)?;
            if !is_file(fd) {
                cut(&mut buffers, PIPE_BYTES);
            }
        }
        let buffers: Vec<IoSlice<'_>> = buffers.into_iter().map(IoSlice::new).collect();
        match retry(|| io::writev(fd, &buffers)) {
            Ok(written) => {
                self.bytes_out += written as u64;
                Ok(written as u32)
            }
            Err(Errno::Pipe) if standard => Err(Failure::Stop(Stop::BrokenPipe.into())),
            Err(errno) => Err(errno.into()),
        }
    }

    fn charge(&mut self, bytes: u64) -> Outcome {
        let Some(left) = &mut self.output_left else { return Ok(()) };
        *left = left.checked_sub(bytes).ok_or_else(|| {
            Failure::Stop(
                Stop::Limit("the program wrote more output than it may: raise --output-max to allow it".into()).into(),
            )
        })?;
        Ok(())
    }

    fn reader(&mut self, index: u32) -> Outcome<BorrowedFd<'_>> {
        self.end(index)?;
        let deadline = self.deadline;
        match &mut self.ends[index as usize] {
            End::Stdin | End::Both => Ok(rustix::stdio::stdin()),
            End::Path { path, reader, .. } => {
                if reader.is_none() {
                    *reader = Some(open(path, rustix::fs::OFlags::RDONLY, &deadline)?);
                }
                reader.as_ref().map(|fd| fd.as_fd()).ok_or(Failure::Errno(Errno::Io))
            }
            _ => Err(Errno::Badf.into()),
        }
    }

    fn writer(&mut self, index: u32) -> Outcome<BorrowedFd<'_>> {
        self.end(index)?;
        let deadline = self.deadline;
        match &mut self.ends[index as usize] {
            End::Stdout | End::Both => Ok(rustix::stdio::stdout()),
            End::Stderr => Ok(rustix::stdio::stderr()),
            End::Path { path, writer, .. } => {
                if writer.is_none() {
                    use rustix::fs::OFlags;
                    *writer = Some(open(path, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC, &deadline)?);
                }
                writer.as_ref().map(|fd| fd.as_fd()).ok_or(Failure::Errno(Errno::Io))
            }
            _ => Err(Errno::Badf.into()),
        }
    }

    /// Whether a read would not block now; ends that cannot be polled are always ready.
    pub fn poll_fd(&mut self, index: u32, write: bool) -> Outcome<BorrowedFd<'_>> {
        if write { self.writer(index) } else { self.reader(index) }
    }
}

fn is_file(fd: BorrowedFd<'_>) -> bool {
    use rustix::fs::FileType;
    rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

/// Leaves at most `max` bytes of the buffers.
fn cut(buffers: &mut [&[u8]], max: usize) {
    let mut left = max;
    for buffer in buffers {
        *buffer = &buffer[..buffer.len().min(left)];
        left -= buffer.len();
    }
}

/// Runs a system call again when a signal cut it short, and waits when the descriptor is in
/// non-blocking mode (a terminal that another process switched, for instance).
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> Result<usize, Errno> {
    loop {
        match call() {
            Err(io::Errno::INTR) => {}
            Err(io::Errno::AGAIN) => std::thread::sleep(std::time::Duration::from_millis(1)),
            result => return result.map_err(errno),
        }
    }
}

/// The guest's spans as disjoint mutable slices, in order. Overlapping buffers make no sense in
/// a read; the first of them wins and the call ends short there.
fn disjoint<'a>(guest: &'a mut Guest<'_>, spans: &[(u32, u32)]) -> Outcome<Vec<IoSliceMut<'a>>> {
    for (at, len) in spans {
        guest.slice(*at, *len)?;
    }
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|index| spans[*index].0);
    let mut slices: Vec<Option<IoSliceMut<'a>>> = spans.iter().map(|_| None).collect();
    let mut rest: &'a mut [u8] = guest.0;
    let mut position = 0usize;
    for index in order {
        let (at, len) = (spans[index].0 as usize, spans[index].1 as usize);
        if len == 0 || at < position {
            continue;
        }
        let (_, tail) = std::mem::take(&mut rest).split_at_mut(at - position);
        let (slice, tail) = tail.split_at_mut(len);
        slices[index] = Some(IoSliceMut::new(slice));
        rest = tail;
        position = at + len;
    }
    let whole = slices.iter().zip(spans).take_while(|(slice, span)| slice.is_some() || span.1 == 0).count();
    slices.truncate(whole);
    Ok(slices.into_iter().flatten().collect())
}
