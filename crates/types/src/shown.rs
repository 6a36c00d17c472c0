//! Names as they may be printed. A program, a pack or a directory can hold any name; one with a line break would forge a
//! line of a report, one with an escape sequence would write over what a terminal shows.

use core::fmt::{self, Display, Formatter, Write};

/// A text on one line, with everything escaped that moves, hides or turns round what stands beside it.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a str);

impl Display for Shown<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            c if is_hidden(c) => Display::fmt(&c.escape_default(), out),
            c => out.write_char(c),
        })
    }
}

/// Whether a character does something instead of being seen: control characters, and those that break lines, have no
/// width or change the direction of a text.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn what_is_seen_stays_and_what_acts_is_escaped() {
        for (text, shown) in [
            ("/in/a b.txt", "/in/a b.txt"),
            ("grün 猫 \\ \"q\"", "grün 猫 \\ \"q\""),
            ("a\nverdict: tier pure", "a\\nverdict: tier pure"),
            ("\u{1b}[2K\r\t", "\\u{1b}[2K\\r\\t"),
            ("\u{9b}1A\u{202e}txt\u{2028}", "\\u{9b}1A\\u{202e}txt\\u{2028}"),
        ] {
            assert_eq!(Shown(text).to_string(), shown);
        }
    }
}
