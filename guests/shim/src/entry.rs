//! Entry arguments and variables of a pack. Arguments come between the program's name and what the
//! host gives further; variables come behind the host's, whose values win, as the first of a name does
//! everywhere. The host writes into the program's memory, behind room that is left for what is added.

use crate::host::wasi;
use crate::packed;
use crate::program::Program;
use weir_vfs::Errno;
use weir_vfs::pack::Entry;

type Answer = u32;

/// What the program is called where the host gives no name.
const NAME: &str = "program";

fn with_entry(act: impl FnOnce(Entry) -> Answer) -> Answer {
    packed::entry().map_or(u32::from(Errno::Io.number()), act)
}

/// Bytes of strings with the NUL at the end of each.
fn bytes<'a>(texts: impl Iterator<Item = &'a str>) -> u32 {
    texts.map(|text| text.len() as u32 + 1).sum()
}

fn add(at: u32, more: u32) {
    Program.store32(at, Program.load32(at).wrapping_add(more));
}

/// Writes a pointer into an array and the string it points to; gives where the next string goes.
fn put(array: u32, index: u32, at: u32, parts: &[&str]) -> u32 {
    Program.store32(array.wrapping_add(index.wrapping_mul(4)), at);
    let mut end = at;
    for part in parts {
        Program.copy_out(end, part.as_bytes());
        end = end.wrapping_add(part.len() as u32);
    }
    Program.copy_out(end, &[0]);
    end.wrapping_add(1)
}

#[unsafe(export_name = "entry:args_sizes_get")]
extern "C" fn args_sizes_get(count: u32, size: u32) -> Answer {
    with_entry(|entry| {
        let errno = wasi::args_sizes_get(count, size);
        if errno != 0 {
            return errno;
        }
        if Program.load32(count) == 0 {
            add(count, 1);
            add(size, NAME.len() as u32 + 1);
        }
        add(count, entry.args.len() as u32);
        add(size, bytes(entry.args.iter().map(|arg| arg.as_str())));
        0
    })
}

#[unsafe(export_name = "entry:args_get")]
extern "C" fn args_get(array: u32, buffer: u32) -> Answer {
    with_entry(|entry| {
        let added = entry.args.len() as u32;
        let texts = bytes(entry.args.iter().map(|arg| arg.as_str()));
        // The array and the buffer have room for everything: the program asked for the sizes. The count is
        // left in the array for a moment.
        let errno = wasi::args_sizes_get(array, buffer);
        if errno != 0 {
            return errno;
        }
        let given = Program.load32(array);
        let rest = array.wrapping_add(added.wrapping_mul(4));
        let mut at = buffer;
        if given == 0 {
            at = put(array, 0, at, &[NAME]);
        } else {
            let errno = wasi::args_get(rest, buffer.wrapping_add(texts));
            if errno != 0 {
                return errno;
            }
            Program.store32(array, Program.load32(rest));
        }
        for (index, arg) in entry.args.iter().enumerate() {
            at = put(array, index as u32 + 1, at, &[arg]);
        }
        0
    })
}

fn variables(entry: &Entry) -> impl Iterator<Item = [&str; 3]> {
    entry.env.iter().map(|(name, value)| [name.as_str(), "=", value.as_str()])
}

#[unsafe(export_name = "entry:environ_sizes_get")]
extern "C" fn environ_sizes_get(count: u32, size: u32) -> Answer {
    with_entry(|entry| {
        let errno = wasi::environ_sizes_get(count, size);
        if errno == 0 {
            add(count, entry.env.len() as u32);
            add(size, variables(&entry).map(|[name, _, value]| (name.len() + value.len() + 2) as u32).sum());
        }
        errno
    })
}

#[unsafe(export_name = "entry:environ_get")]
extern "C" fn environ_get(array: u32, buffer: u32) -> Answer {
    with_entry(|entry| {
        let errno = wasi::environ_sizes_get(array, buffer);
        if errno != 0 {
            return errno;
        }
        let (given, used) = (Program.load32(array), Program.load32(buffer));
        let errno = wasi::environ_get(array, buffer);
        if errno != 0 {
            return errno;
        }
        let mut at = buffer.wrapping_add(used);
        for (index, parts) in variables(&entry).enumerate() {
            at = put(array, given.wrapping_add(index as u32), at, &parts);
        }
        0
    })
}
