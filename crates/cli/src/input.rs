//! Texts that the user names to be read, such as bindings and traces: as much as a text may have, and no more.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use weir_types::limits::TEXT_BYTES_MAX;

/// The text at `path`.
///
/// # Errors
/// It cannot be read, is not UTF-8, or has no end within the limit.
pub fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(TEXT_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > TEXT_BYTES_MAX {
        let what = format!("it has more than {TEXT_BYTES_MAX} bytes, the most that is read of a text");
        return Err(io::Error::new(ErrorKind::FileTooLarge, what));
    }
    Ok(text)
}
