//! The descriptor table: numbers to what they stand for. A new descriptor gets the lowest free number,
//! as POSIX demands.

use super::Target;
use crate::{Errno, NodeId, StreamId};
use alloc::vec::Vec;

/// What a descriptor stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Free,
    Tree { node: NodeId, position: u64 },
    Stream(StreamId),
    Host(u32),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor {
    pub(super) slot: Slot,
    /// All rights fit 32 bits, and small descriptors are quick to move.
    pub(super) rights: u32,
    pub(super) inheriting: u32,
    pub(super) flags: u16,
    /// Which of the names of preopened directories it has.
    pub(super) preopen: Option<u16>,
}

const FREE: Descriptor = Descriptor { slot: Slot::Free, rights: 0, inheriting: 0, flags: 0, preopen: None };

impl Descriptor {
    pub(super) fn new(slot: Slot, rights: u64, inheriting: u64) -> Self {
        Self { slot, rights: rights as u32, inheriting: inheriting as u32, ..FREE }
    }

    #[inline]
    pub(super) fn rights(&self) -> u64 {
        u64::from(self.rights)
    }

    #[inline]
    pub(super) fn inheriting(&self) -> u64 {
        u64::from(self.inheriting)
    }

    /// The caller has checked that these are no more.
    pub(super) fn set_rights(&mut self, rights: u64, inheriting: u64) {
        self.rights = rights as u32;
        self.inheriting = inheriting as u32;
    }

    #[inline]
    pub(super) fn target(&self) -> Result<Target, Errno> {
        match self.slot {
            Slot::Tree { node, .. } => Ok(Target::Tree(node)),
            Slot::Stream(stream) => Ok(Target::Stream(stream)),
            Slot::Host(fd) => Ok(Target::Host(fd)),
            Slot::Free => Err(Errno::Badf),
        }
    }
}

#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Descriptor>,
    /// One bit per number, set where it is taken.
    taken: Vec<u64>,
    /// No word before this one has a free bit.
    first_free: usize,
    open: u32,
    open_max: u32,
}

impl Table {
    pub(super) fn new(open_max: u32) -> Self {
        Self { slots: Vec::new(), taken: Vec::new(), first_free: 0, open: 0, open_max }
    }

    #[inline]
    pub(super) fn get(&self, fd: u32) -> Result<&Descriptor, Errno> {
        self.slots.get(fd as usize).filter(|known| known.slot != Slot::Free).ok_or(Errno::Badf)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        self.slots.get_mut(fd as usize).filter(|known| known.slot != Slot::Free).ok_or(Errno::Badf)
    }

    /// Refuses if no descriptor can be added.
    #[inline]
    pub(super) fn check_room(&self) -> Result<(), Errno> {
        if self.open < self.open_max { Ok(()) } else { Err(Errno::Mfile) }
    }

    /// Adds a descriptor under the lowest free number.
    pub(super) fn add(&mut self, descriptor: Descriptor) -> Result<u32, Errno> {
        self.check_room()?;
        while self.taken.get(self.first_free).is_some_and(|word| *word == u64::MAX) {
            self.first_free += 1;
        }
        if self.first_free == self.taken.len() {
            self.taken.try_reserve(1).map_err(|_| Errno::Nfile)?;
            self.taken.push(0);
        }
        let word = self.taken.get_mut(self.first_free).ok_or(Errno::Nfile)?;
        let bit = word.trailing_ones();
        let fd = self.first_free * 64 + bit as usize;
        if fd >= self.slots.len() {
            self.slots.try_reserve(1).map_err(|_| Errno::Nfile)?;
            self.slots.resize_with(fd + 1, || FREE);
        }
        *word |= 1 << bit;
        *self.slots.get_mut(fd).ok_or(Errno::Nfile)? = descriptor;
        self.open += 1;
        u32::try_from(fd).map_err(|_| Errno::Nfile)
    }

    /// Takes a descriptor out; its number is free.
    pub(super) fn remove(&mut self, fd: u32) -> Result<Descriptor, Errno> {
        let descriptor = core::mem::replace(self.get_mut(fd)?, FREE);
        let index = fd as usize / 64;
        if let Some(word) = self.taken.get_mut(index) {
            *word &= !(1 << (fd % 64));
        }
        self.first_free = self.first_free.min(index);
        self.open = self.open.saturating_sub(1);
        Ok(descriptor)
    }

    /// Moves a descriptor to a number that is taken; returns what was there.
    pub(super) fn renumber(&mut self, from: u32, to: u32) -> Result<Descriptor, Errno> {
        self.get(to)?;
        let moved = self.remove(from)?;
        Ok(core::mem::replace(self.get_mut(to)?, moved))
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Descriptor> {
        self.slots.iter_mut()
    }

    pub(super) fn open_fds(&self) -> impl Iterator<Item = u32> {
        (0u32..).zip(&self.slots).filter(|(_, known)| known.slot != Slot::Free).map(|(fd, _)| fd)
    }
}
