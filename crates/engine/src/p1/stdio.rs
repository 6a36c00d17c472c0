//! The streams of a core program: its numbered ends, each with the ports that it has used so far. A call reads or writes
//! straight between the host and the program's memory.

use super::memory::Guest;
use crate::ports::{Port, Ports};
use crate::sys::{Errno, Outcome};
use std::io::IoSliceMut;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The streams of one run.
#[derive(Debug)]
pub(crate) struct Streams {
    ports: Arc<Ports>,
    ends: Vec<Option<End>>,
}

/// An end that the program has.
#[derive(Debug)]
struct End {
    /// Its number among the ends of the run: the program may give it another one.
    index: u32,
    reader: Option<Port>,
    writer: Option<Port>,
}

impl Streams {
    /// stdin, stdout and stderr as 0, 1, 2, then the `mapped` ones.
    pub fn new(ports: Arc<Ports>, mapped: usize) -> Self {
        let ends = (0..3 + mapped as u32).map(|index| Some(End { index, reader: None, writer: None }));
        Self { ports, ends: ends.collect() }
    }

    fn end(&mut self, index: u32) -> Outcome<&mut End> {
        let end = self.ends.get_mut(index as usize).and_then(Option::as_mut);
        end.ok_or_else(|| Errno::Badf.into())
    }

    /// The end of this number, if the program still has it.
    pub fn check(&self, index: u32) -> Outcome {
        self.ends.get(index as usize).and_then(Option::as_ref).map(|_| ()).ok_or_else(|| Errno::Badf.into())
    }

    pub fn close(&mut self, index: u32) -> Outcome {
        self.end(index)?;
        self.ends[index as usize] = None;
        Ok(())
    }

    pub fn renumber(&mut self, from: u32, to: u32) -> Outcome {
        self.end(from)?;
        self.end(to)?;
        if from != to {
            self.ends[to as usize] = self.ends[from as usize].take();
        }
        Ok(())
    }

    /// Whether this end is a terminal.
    pub fn is_terminal(&mut self, index: u32) -> Outcome<bool> {
        let index = self.end(index)?.index;
        Ok(self.ports.is_terminal(index))
    }

    /// What the program may do with this end: (read, write).
    pub fn directions(&mut self, index: u32) -> Outcome<(bool, bool)> {
        let index = self.end(index)?.index;
        self.ports.directions(index).ok_or_else(|| Errno::Badf.into())
    }

    /// Reads into the buffers of an iovec array; returns the bytes read, 0 at the end.
    pub fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        index: u32,
        guest: &mut Guest,
        (iovs, count): (u32, u32),
    ) -> Poll<Outcome<u32>> {
        let spans = guest.spans(iovs, count)?;
        let port = self.port(index, false)?;
        let mut buffers = disjoint(guest, &spans)?;
        let read = ready!(port.poll_read(context, &mut buffers))?;
        Poll::Ready(Ok(read as u32))
    }

    /// Writes the buffers of an iovec array; returns the bytes written, at least one if any were given.
    pub fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        index: u32,
        guest: &Guest,
        (iovs, count): (u32, u32),
    ) -> Poll<Outcome<u32>> {
        let spans = guest.spans(iovs, count)?;
        let buffers = spans.iter().map(|(at, len)| guest.slice(*at, *len)).collect::<Outcome<Vec<_>>>()?;
        let written = ready!(self.port(index, true)?.poll_write(context, &buffers))?;
        Poll::Ready(Ok(written as u32))
    }

    /// The port of this end for one direction, opened at its first use.
    pub fn port(&mut self, index: u32, write: bool) -> Outcome<&mut Port> {
        let ports = self.ports.clone();
        let end = self.end(index)?;
        let place = if write { &mut end.writer } else { &mut end.reader };
        if place.is_none() {
            *place = Some(if write { ports.writer(end.index)? } else { ports.reader(end.index)? });
        }
        place.as_mut().ok_or_else(|| Errno::Badf.into())
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
