//! A program and the segment that goes with it, for another use than a pack: lifting.

use super::error::PackError;
use super::options::{Contents, PackOptions};
use super::segment;
use weir_types::Digest;
use weir_types::tree::Tree;
use weir_vfs::pack::{Codec, Entry, HEADER_BYTES, Header, Span};

/// A program and what it carries.
pub(crate) struct Carried {
    pub program: Vec<u8>,
    pub segment: Vec<u8>,
    pub codec: Codec,
    /// Arguments and variables of the pack.
    pub entry: Entry,
}

/// There is no file to ask for.
struct NoFiles;

impl Contents for NoFiles {
    fn read(&mut self, _: usize) -> Result<Vec<u8>, String> {
        Err("there is no file".into())
    }

    fn reference(&mut self, _: usize) -> Result<Digest, String> {
        Err("there is no file".into())
    }
}

impl Carried {
    /// A program that carries no files.
    pub fn nothing(program: &[u8]) -> Result<Self, PackError> {
        let tree = Tree { mounts: Vec::new(), entries: Vec::new() };
        let entry = Entry::default();
        let options = PackOptions { codec: Codec::None, prune: None, by_reference: false, entry: entry.clone() };
        let segment = segment::segment(&tree, &mut NoFiles, &options)?;
        Ok(Self { program: program.to_vec(), segment: segment.bytes, codec: segment.codec, entry })
    }

    /// The segment with a record in the place of entry arguments.
    pub fn with_record(&self, record: &[u8]) -> Vec<u8> {
        with_record(&self.segment, record)
    }
}

/// A segment with a record in the place of entry arguments.
pub(super) fn with_record(segment: &[u8], record: &[u8]) -> Vec<u8> {
    let mut segment = segment.to_vec();
    let span = Span { offset: segment.len() as u32, len: record.len() as u32 };
    segment.extend_from_slice(record);
    if let Some(head) = segment.first_chunk_mut::<HEADER_BYTES>()
        && let Some(header) = Header::decode(head)
    {
        *head = Header { entry: span, ..header }.encode();
    }
    segment
}
