//! Sizes and durations as people write them: `64MiB`, `1.5s`.

use alloc::{format, string::String};
use core::time::Duration;

/// Parses a size in bytes: a number with an optional fraction and one of the units `B`, `KiB`,
/// `MiB`, `GiB`, `TiB` (powers of 1024), `kB`, `MB`, `GB`, `TB` (powers of 1000), or the short
/// `k`, `K`, `M`, `G`, `T` (powers of 1024). Without a unit it is bytes.
///
/// # Errors
/// A sentence that says what is wrong and what is taken.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split_unit(text);
    let scale: u64 = match unit {
        "" | "B" => 1,
        "k" | "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1 << 40,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(format!("`{text}` has no known unit of size: write for example 64MiB, 10MB or 4096")),
    };
    scaled(number, scale).ok_or_else(|| format!("`{text}` is not a size: write for example 64MiB, 10MB or 4096"))
}

/// Parses a duration: a number with an optional fraction and one of the units `ns`, `us`, `ms`,
/// `s`, `m`, `h`. Without a unit it is seconds.
///
/// # Errors
/// A sentence that says what is wrong and what is taken.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text);
    let nanoseconds: u64 = match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "" | "s" => 1_000_000_000,
        "m" | "min" => 60 * 1_000_000_000,
        "h" => 3600 * 1_000_000_000,
        _ => return Err(format!("`{text}` has no known unit of time: write for example 500ms, 2s or 5m")),
    };
    scaled(number, nanoseconds)
        .map(Duration::from_nanos)
        .ok_or_else(|| format!("`{text}` is not a duration: write for example 500ms, 2s or 5m"))
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// `number` (digits, `_`, at most one point) times `scale`, exact; `None` if it is no number or too large.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || (number.contains('.') && fraction.is_empty()) {
        return None;
    }
    let digits = |text: &str| {
        text.bytes().filter(|b| *b != b'_').try_fold(0u128, |sum, byte| {
            byte.is_ascii_digit().then_some(())?;
            sum.checked_mul(10)?.checked_add(u128::from(byte - b'0'))
        })
    };
    let tenths = fraction.bytes().filter(|b| *b != b'_').count();
    let divisor = 10u128.checked_pow(u32::try_from(tenths).ok()?)?;
    let value = digits(whole)?.checked_mul(divisor)?.checked_add(digits(fraction)?)?;
    u64::try_from(value.checked_mul(u128::from(scale))? / divisor).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64MiB", 64 << 20),
            ("1.5KiB", 1536),
            ("10MB", 10_000_000),
            ("2 G", 2 << 30),
            ("1_000", 1000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "x", "MiB", "1.", "1.2.3", "-1", "99999999999TiB", "5 parsecs"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in [("2s", 2000), ("500ms", 500), ("1.5", 1500), ("5m", 300_000), ("1h", 3_600_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "2 days", "1e3"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
