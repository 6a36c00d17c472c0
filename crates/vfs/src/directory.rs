//! The entries of one directory: found by name through a hash table, listed in the order in which they
//! were added.
//!
//! Each entry has a sequence number that only grows and never comes back. Cookies of `readdir` are these
//! numbers, so that a listing in progress survives additions and removals. Removed entries stay behind as
//! empty places until they are too many; names lie behind one another in one string.

use crate::platform::BlobId;
use crate::{Errno, NodeId};
use alloc::{string::String, vec::Vec};
use hashbrown::HashTable;

/// The first sequence number: cookies 0 and 1 stand before `.` and `..`.
const SEQUENCE_FIRST: u64 = 2;

/// The hash of a name, eight bytes at a time. Mixed so that an attacker who does not know the seed cannot
/// prepare collisions cheaply; far faster than a cryptographic one.
#[derive(Clone, Copy)]
struct NameHash(u64);

impl NameHash {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

    #[inline]
    fn mix(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(Self::FACTOR);
        self.0 ^= self.0 >> 29;
    }

    #[inline]
    fn finish(mut self, len: usize) -> u32 {
        self.mix(len as u64);
        (self.0 ^ (self.0 >> 32)) as u32
    }
}

/// The hash of a name.
pub(crate) fn hash_name(seed: u64, name: &str) -> u32 {
    let mut hash = NameHash(seed);
    let (words, rest) = name.as_bytes().as_chunks::<8>();
    for word in words {
        hash.mix(u64::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        hash.mix(partial_word(rest));
    }
    hash.finish(name.len())
}

/// Fewer than eight bytes as a word, zeros behind them.
#[inline]
fn partial_word(bytes: &[u8]) -> u64 {
    let (mut word, mut shift, mut rest) = (0, 0, bytes);
    if let Some((four, more)) = rest.split_first_chunk::<4>() {
        word = u64::from(u32::from_le_bytes(*four));
        (shift, rest) = (32, more);
    }
    if let Some((two, more)) = rest.split_first_chunk::<2>() {
        word |= u64::from(u16::from_le_bytes(*two)) << shift;
        (shift, rest) = (shift + 16, more);
    }
    if let Some(last) = rest.first() {
        word |= u64::from(*last) << shift;
    }
    word
}

/// The length and the hash of the path component that begins `bytes` and goes on to a slash or the end.
///
/// Finding the slash and hashing are one pass over words: this is most of the work of a lookup.
#[inline]
pub(crate) fn component(seed: u64, bytes: &[u8]) -> (usize, u32) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const SLASHES: u64 = ONES * b'/' as u64;
    let mut hash = NameHash(seed);
    let mut len = 0;
    let mut rest = bytes;
    loop {
        let (word, there) = match rest.first_chunk::<8>() {
            Some(word) => (u64::from_le_bytes(*word), 8),
            None => (partial_word(rest), rest.len()),
        };
        // The lowest high bit is set where the first byte is a slash.
        let differences = word ^ SLASHES;
        let found = differences.wrapping_sub(ONES) & !differences & (ONES << 7);
        let taken = if found == 0 { there } else { (found.trailing_zeros() / 8) as usize };
        if taken > 0 {
            hash.mix(if taken < 8 { word & ((1 << (taken * 8)) - 1) } else { word });
        }
        len += taken;
        if taken < 8 {
            return (len, hash.finish(len));
        }
        rest = rest.get(8..).unwrap_or_default();
    }
}

/// Compares names by words; the comparison of the standard library goes by bytes where it has no help.
#[inline]
fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    let (a_words, a_rest) = a.as_chunks::<8>();
    let (b_words, b_rest) = b.as_chunks::<8>();
    a.len() == b.len()
        && a_words.iter().zip(b_words).all(|(a, b)| u64::from_le_bytes(*a) == u64::from_le_bytes(*b))
        && partial_word(a_rest) == partial_word(b_rest)
}

/// The table takes its index from the low bits and its tag from the high ones.
#[inline]
fn spread(hash: u32) -> u64 {
    (u64::from(hash) << 32) | u64::from(hash)
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    sequence: u64,
    name_at: u32,
    name_len: u32,
    hash: u32,
    /// `None` is the empty place of a removed entry.
    node: Option<NodeId>,
}

/// One directory.
#[derive(Debug)]
pub(crate) struct Directory {
    /// Where `..` leads; itself for the root and for removed directories.
    pub(crate) parent: NodeId,
    /// The listing that still has to be read.
    pub(crate) listing: Option<BlobId>,
    /// It was made at boot only because something below it was; it takes over a listing's directory
    /// of the same name.
    pub(crate) implied: bool,
    entries: Vec<Entry>,
    names: String,
    index: HashTable<u32>,
    live: usize,
    sequence_next: u64,
}

impl Directory {
    pub(crate) fn new(parent: NodeId) -> Self {
        Self {
            parent,
            listing: None,
            implied: false,
            entries: Vec::new(),
            names: String::new(),
            index: HashTable::new(),
            live: 0,
            sequence_next: SEQUENCE_FIRST,
        }
    }

    /// Entries without `.` and `..`.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    #[inline]
    fn name_of(&self, entry: &Entry) -> &str {
        let start = entry.name_at as usize;
        self.names.get(start..start.wrapping_add(entry.name_len as usize)).unwrap_or_default()
    }

    #[inline]
    fn find(&self, name: &str, hash: u32) -> Option<u32> {
        let names = self.names.as_bytes();
        let same = |number: &u32| {
            self.entries.get(*number as usize).is_some_and(|entry| {
                let start = entry.name_at as usize;
                let known = names.get(start..start.wrapping_add(entry.name_len as usize));
                entry.hash == hash && known.is_some_and(|known| same_bytes(known, name.as_bytes()))
            })
        };
        self.index.find(spread(hash), same).copied()
    }

    /// The node with this name.
    #[inline]
    pub(crate) fn get(&self, name: &str, hash: u32) -> Option<NodeId> {
        self.entries.get(self.find(name, hash)? as usize)?.node
    }

    /// Makes room, so that as many insertions of names of so many bytes cannot fail.
    pub(crate) fn reserve(&mut self, entries: usize, name_bytes: usize) -> Result<(), Errno> {
        let full = |_| Errno::Nospc;
        let numbers_end = self.entries.len().saturating_add(entries);
        let names_end = self.names.len().saturating_add(name_bytes);
        if u32::try_from(numbers_end).is_err() || u32::try_from(names_end).is_err() {
            return Err(Errno::Nospc);
        }
        self.entries.try_reserve(entries).map_err(full)?;
        self.names.try_reserve(name_bytes).map_err(full)?;
        let known = &self.entries;
        let rehash = |number: &u32| known.get(*number as usize).map_or(0, |entry| spread(entry.hash));
        self.index.try_reserve(entries, rehash).map_err(|_| Errno::Nospc)
    }

    /// Adds a name that is not there.
    pub(crate) fn insert(&mut self, name: &str, hash: u32, node: NodeId) -> Result<(), Errno> {
        self.reserve(1, name.len())?;
        let number = self.entries.len() as u32;
        let entry = Entry {
            sequence: self.sequence_next,
            name_at: self.names.len() as u32,
            name_len: name.len() as u32,
            hash,
            node: Some(node),
        };
        self.sequence_next = self.sequence_next.saturating_add(1);
        self.names.push_str(name);
        self.entries.push(entry);
        let known = &self.entries;
        let rehash = |number: &u32| known.get(*number as usize).map_or(0, |entry| spread(entry.hash));
        self.index.insert_unique(spread(hash), number, rehash);
        self.live = self.live.saturating_add(1);
        Ok(())
    }

    /// Lets a name that is there name another node.
    pub(crate) fn replace(&mut self, name: &str, hash: u32, node: NodeId) {
        if let Some(entry) = self.find(name, hash).and_then(|number| self.entries.get_mut(number as usize)) {
            entry.node = Some(node);
        }
    }

    /// Removes a name; returns the node it named.
    pub(crate) fn remove(&mut self, name: &str, hash: u32) -> Option<NodeId> {
        let number = self.find(name, hash)?;
        if let Ok(place) = self.index.find_entry(spread(hash), |known| *known == number) {
            place.remove();
        }
        let node = self.entries.get_mut(number as usize)?.node.take();
        self.live = self.live.saturating_sub(1);
        if self.live == 0 {
            // What many entries took is given back, else a program could hold it once per directory.
            self.entries = Vec::new();
            self.names = String::new();
            self.index = HashTable::new();
        } else if self.entries.len() - self.live > self.live / 2 + 16 {
            self.compact();
        }
        node
    }

    /// Drops the empty places. Numbers in the index change, sequence numbers do not.
    fn compact(&mut self) {
        let live_bytes = self.entries.iter().filter(|entry| entry.node.is_some()).map(|entry| entry.name_len as usize);
        let mut names = String::new();
        if names.try_reserve_exact(live_bytes.sum()).is_err() {
            return;
        }
        let mut kept = 0;
        for number in 0..self.entries.len() {
            let Some(mut entry) = self.entries.get(number).copied() else { break };
            if entry.node.is_none() {
                continue;
            }
            let start = names.len() as u32;
            names.push_str(self.name_of(&entry));
            entry.name_at = start;
            if let Ok(mut place) = self.index.find_entry(spread(entry.hash), |known| *known == number as u32) {
                *place.get_mut() = kept as u32;
            }
            if let Some(place) = self.entries.get_mut(kept) {
                *place = entry;
            }
            kept += 1;
        }
        self.entries.truncate(kept);
        self.entries.shrink_to(kept.saturating_mul(2));
        self.names = names;
        let known = &self.entries;
        let rehash = |number: &u32| known.get(*number as usize).map_or(0, |entry| spread(entry.hash));
        self.index.shrink_to(kept.saturating_mul(2), rehash);
    }

    /// The entries with a sequence number of `cookie` or more: name, node, cookie of the next.
    #[inline]
    pub(crate) fn iter_from(&self, cookie: u64) -> impl Iterator<Item = (&str, NodeId, u64)> {
        let start = self.entries.partition_point(|entry| entry.sequence < cookie);
        let rest = self.entries.get(start..).unwrap_or_default();
        rest.iter().filter_map(|entry| Some((self.name_of(entry), entry.node?, entry.sequence.saturating_add(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, vec::Vec};

    fn add(directory: &mut Directory, name: &str, node: u32) {
        directory.insert(name, hash_name(7, name), NodeId(node)).unwrap();
    }

    fn get(directory: &Directory, name: &str) -> Option<NodeId> {
        directory.get(name, hash_name(7, name))
    }

    #[test]
    fn names_are_found_through_growth_removal_and_compaction() {
        let mut directory = Directory::new(NodeId(0));
        for round in 0..3u32 {
            for number in 0..1000 {
                add(&mut directory, &format!("name-{round}-{number}"), number);
            }
            for number in (0..1000).filter(|number| number % 3 != 0) {
                let name = format!("name-{round}-{number}");
                assert_eq!(directory.remove(&name, hash_name(7, &name)), Some(NodeId(number)));
                assert_eq!(directory.remove(&name, hash_name(7, &name)), None);
            }
        }
        assert_eq!(directory.len(), 3 * 334);
        for round in 0..3u32 {
            for number in 0..1000 {
                let expected = (number % 3 == 0).then_some(NodeId(number));
                assert_eq!(get(&directory, &format!("name-{round}-{number}")), expected);
            }
        }
        assert!(directory.entries.len() < 2 * directory.len());
    }

    #[test]
    fn components_are_found_and_hashed_like_names() {
        let names =
            ["", "a", "ab", "1234567", "12345678", "123456789", "sixteen bytes 16", "a much longer name, with ünïcode"];
        for name in names {
            for tail in ["", "/", "//x", "/yyyyyyyyyyyyyy", "/\0"] {
                let path = format!("{name}{tail}");
                assert_eq!(component(7, path.as_bytes()), (name.len(), hash_name(7, name)), "{path:?}");
            }
        }
        for (a, b) in names.iter().zip(names.iter().skip(1)) {
            assert_ne!(hash_name(7, a), hash_name(7, b));
            assert!(same_bytes(a.as_bytes(), a.as_bytes()) && !same_bytes(a.as_bytes(), b.as_bytes()));
        }
    }

    #[test]
    fn cookies_survive_changes() {
        let mut directory = Directory::new(NodeId(0));
        for number in 0..100 {
            add(&mut directory, &format!("{number}"), number);
        }
        let mut seen: Vec<u32> = Vec::new();
        let mut cookie = 0;
        loop {
            let first = directory.iter_from(cookie).next().map(|(_, node, next)| (node, next));
            let Some((node, next)) = first else { break };
            cookie = next;
            seen.push(node.0);
            let name = format!("{}", node.0);
            directory.remove(&name, hash_name(7, &name));
            if node.0 == 50 {
                add(&mut directory, "late", 1000);
            }
        }
        let mut expected: Vec<u32> = (0..100).collect();
        expected.push(1000);
        assert_eq!(seen, expected);
        assert_eq!(directory.len(), 1, "the late one was listed, not removed");
    }
}
