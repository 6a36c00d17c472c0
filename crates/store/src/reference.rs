//! Names of artifacts: `HOST[:PORT]/NAME[:TAG][@sha256:DIGEST]`.
//!
//! The registry is always written out: no name means some company's registry by default, so a word on the command
//! line never reaches a network by surprise. What is accepted is the grammar of the distribution specification;
//! everything else (`..`, upper case, other digests, control characters) is refused here, before it can become part
//! of an address or a file name.

use crate::error::{Error, Kind, Result};
use crate::limits::{NAME_BYTES_MAX, REFERENCE_BYTES_MAX, TAG_BYTES_MAX};
use std::fmt;
use std::str::FromStr;
use weir_types::Digest;

/// The name of an artifact in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    host: String,
    name: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Whether `text` names an artifact of a registry. A host has a `.` or a `:`, or is `localhost`; whether there is a
/// file of that name is the caller's question, and comes first.
pub fn is_reference(text: &str) -> bool {
    text.parse::<Reference>().is_ok()
}

impl Reference {
    /// The registry: `HOST` or `HOST:PORT`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The repository.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tag; `latest` where neither a tag nor a digest was given.
    pub fn tag(&self) -> Option<&str> {
        match (&self.tag, self.digest) {
            (Some(tag), _) => Some(tag),
            (None, None) => Some("latest"),
            (None, Some(_)) => None,
        }
    }

    /// The SHA-256 of the manifest, where the reference says it.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.host, self.name)?;
        if let Some(tag) = self.tag() {
            write!(out, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(out, "@sha256:{digest}"))
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).map_err(|why| {
            let shown: String = text.chars().take(200).collect();
            let message =
                format!("{shown:?} names no artifact: {why}; write REGISTRY/NAME:TAG, for example ghcr.io/me/tool:1.2");
            Error::new(Kind::Reference, message)
        })
    }
}

fn parse(text: &str) -> std::result::Result<Reference, &'static str> {
    if text.len() > REFERENCE_BYTES_MAX {
        return Err("it is too long");
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(sha256_of(digest).ok_or("after @ only sha256:<64 digits> is taken")?)),
        None => (text, None),
    };
    let (host, path) = rest.split_once('/').ok_or("it has no registry")?;
    if !is_host(host) {
        return Err("what is before the first / is no registry (a host with a dot or a port, or localhost)");
    }
    let (name, tag) = match path.split_once(':') {
        Some((name, tag)) => (name, Some(tag)),
        None => (path, None),
    };
    if name.len() > NAME_BYTES_MAX || !name.split('/').all(is_component) {
        return Err("a repository is lower-case words of letters, digits, . _ and -, divided by /");
    }
    if !tag.is_none_or(is_tag) {
        return Err("a tag is at most 128 letters, digits, . _ and -");
    }
    let host = host.to_ascii_lowercase();
    Ok(Reference { host, name: name.into(), tag: tag.map(Into::into), digest })
}

/// The digest in `sha256:<64 lower-case digits>`; nothing else is a digest.
pub(crate) fn sha256_of(text: &str) -> Option<Digest> {
    let hex = text.strip_prefix("sha256:")?;
    let plain = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    Digest::from_hex(hex).filter(|_| plain)
}

fn is_host(text: &str) -> bool {
    let (host, port) = if let Some(inside) = text.strip_prefix('[') {
        // An IPv6 address.
        let Some((address, after)) = inside.split_once(']') else { return false };
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return false;
        }
        match after.strip_prefix(':') {
            Some(port) => return is_port(port),
            None => return after.is_empty(),
        }
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let label = |label: &str| {
        let edges = !label.starts_with('-') && !label.ends_with('-');
        !label.is_empty() && edges && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let named = host.len() <= 253 && host.split('.').all(label);
    named && port.is_none_or(is_port) && (host.contains('.') || port.is_some() || host == "localhost")
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// `[a-z0-9]+` parts, joined by one `.`, one or two `_`, or any number of `-`.
fn is_component(text: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    let mut joints = text.split(|c: char| c.is_ascii() && part(c as u8)).filter(|joint| !joint.is_empty());
    part(*first)
        && part(*last)
        && joints.all(|joint| matches!(joint, "." | "_" | "__") || joint.bytes().all(|byte| byte == b'-'))
}

fn is_tag(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let rest = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    first && rest && text.len() <= TAG_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn well_formed_references() {
        let hex = "ab".repeat(32);
        for (text, shown) in [
            ("localhost/a", "localhost/a:latest".to_string()),
            ("127.0.0.1:5000/a/b-c__d.e:v1.0_x", "127.0.0.1:5000/a/b-c__d.e:v1.0_x".to_string()),
            ("GHCR.io/me/tool", "ghcr.io/me/tool:latest".to_string()),
            ("[::1]:5000/tool:1", "[::1]:5000/tool:1".to_string()),
            (&format!("r.example/t@sha256:{hex}"), format!("r.example/t@sha256:{hex}")),
            (&format!("r.example/t:1@sha256:{hex}"), format!("r.example/t:1@sha256:{hex}")),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), shown);
            assert_eq!(shown.parse::<Reference>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn hostile_names_are_refused() {
        let upper = format!("r.example/t@sha256:{}", "AB".repeat(32));
        let long = format!("r.example/{}", "a".repeat(256));
        for text in [
            "",
            "a",
            "a/b",
            "tool:1",
            "./x.wasm",
            "../x",
            "/etc/passwd",
            "r.example",
            "r.example/",
            "r.example//a",
            "r.example/../x",
            "r.example/a/../b",
            "r.example/a/..",
            "r.example/.a",
            "r.example/a.",
            "r.example/a..b",
            "r.example/A",
            "r.example/a b",
            "r.example/a?x",
            "r.example/a#x",
            "r.example/a%2e",
            "r.example/a___b",
            "r.example/a:",
            "r.example/a:.x",
            "r.example/a:b/c",
            "r.example/a:b:c",
            "r.example/a@md5:ab",
            "r.example/a@sha256:ab",
            "r.example:0/a",
            "r.example:99999/a",
            "r.example:+5/a",
            "u@r.example/a",
            "-r.example/a",
            "r..example/a",
            "http://r.example/a",
            "[::1/a",
            "[x]:5/a",
            "r.example/a\n",
            "r.example/ä",
            "localhost:/a",
            &upper,
            &long,
        ] {
            let error = text.parse::<Reference>().expect_err(text);
            assert_eq!(error.kind(), Kind::Reference);
            assert!(!is_reference(text));
        }
        assert!(!is_reference(&"r.example/a".repeat(1000)));
    }

    /// What stands between the slashes of a name.
    const COMPONENT: &str = "[a-z0-9]{1,8}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,3}";

    proptest! {
        #[test]
        fn well_formed_parts_are_found_again(
            host in "localhost|[a-z0-9]{1,6}(-[a-z0-9]{1,3})?(\\.[a-z0-9]{1,5}){1,3}|\\[::[0-9a-f]{1,4}\\]",
            port in proptest::option::of(1u16..),
            name in proptest::collection::vec(COMPONENT, 1..4),
            tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"),
            digest in proptest::option::of(any::<[u8; 32]>()),
        ) {
            let host = port.map_or(host.clone(), |port| format!("{host}:{port}"));
            let (name, digest) = (name.join("/"), digest.map(Digest));
            let mut text = format!("{host}/{name}");
            tag.iter().for_each(|tag| text.push_str(&format!(":{tag}")));
            digest.iter().for_each(|digest| text.push_str(&format!("@sha256:{digest}")));
            let reference: Reference = text.parse().unwrap();
            prop_assert_eq!((reference.host(), reference.name(), reference.digest()), (&*host, &*name, digest));
            let latest = if digest.is_none() { Some("latest") } else { None };
            prop_assert_eq!(reference.tag(), tag.as_deref().or(latest));
            prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap().to_string(), reference.to_string());
            // What is between the parts is no part.
            for wrong in [format!("{text}:"), format!("{text}@"), format!("/{text}"), text.replacen('/', "//", 1), format!("{text} ")] {
                prop_assert!(wrong.parse::<Reference>().is_err(), "{}", wrong);
            }
        }

        #[test]
        fn any_text_is_answered(text in ".{0,80}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference.to_string().parse().unwrap());
                prop_assert!(!reference.name().contains(".."));
            }
        }
    }
}
