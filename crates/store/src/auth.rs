//! Who the user is to a registry: credentials from Docker's configuration, and what a registry asks for.
//!
//! Credentials go to the registry that they are for and to the token server that this registry names, never along a
//! redirect. They are not kept, and never part of a message.

use crate::error::{Error, Kind, Result};
use crate::limits::{DOCKER_CONFIG_BYTES_MAX, HELPER_TIMEOUT};
use docker_credential::{CredentialRetrievalError as Failure, DockerCredential};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What a registry accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

/// Credentials for one registry.
#[derive(Clone)]
pub(crate) enum Credentials {
    None,
    Password { user: String, password: String },
    Token(String),
}

impl Credentials {
    /// What Docker's configuration has for `host`. `folder` replaces `$DOCKER_CONFIG` and `~/.docker`.
    ///
    /// # Errors
    /// The configuration is damaged, or its credential helper fails.
    pub(crate) fn of(host: &str, folder: Option<&Path>) -> Result<Self> {
        let Some(path) = config_path(folder) else { return Ok(Self::None) };
        let mut text = Vec::new();
        match File::open(&path) {
            Ok(file) => {
                let read = file.take(DOCKER_CONFIG_BYTES_MAX).read_to_end(&mut text);
                read.map_err(|error| Error::io("cannot read", &path, &error))?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::None),
            Err(error) => return Err(Error::io("cannot read", &path, &error)),
        }
        let server = if host == "docker.io" { "https://index.docker.io/v1/".into() } else { host.to_string() };
        // A helper is another program and may hang; the thread is left behind then.
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _ = sender.send(docker_credential::get_credential_from_reader(text.as_slice(), &server));
        });
        let failed = |why: String| Error::new(Kind::Auth, format!("{}: {why}", path.display()));
        let found = receiver.recv_timeout(HELPER_TIMEOUT).map_err(|_| {
            failed(format!("the credential helper for {host} did not answer in {} s", HELPER_TIMEOUT.as_secs()))
        })?;
        match found {
            Ok(DockerCredential::UsernamePassword(user, password)) if user == "<token>" => Ok(Self::Token(password)),
            Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Self::Password { user, password }),
            Ok(DockerCredential::IdentityToken(token)) => Ok(Self::Token(token)),
            Err(Failure::NoCredentialConfigured | Failure::ConfigNotFound) => Ok(Self::None),
            // What every helper says when it has nothing for a host.
            Err(Failure::HelperFailure { stdout, .. }) if stdout.contains("credentials not found") => Ok(Self::None),
            Err(Failure::HelperFailure { helper, .. }) => Err(failed(format!("{helper} failed for {host}"))),
            Err(Failure::HelperCommunicationError) => {
                let what = "its credential helper cannot be run: is the program docker-credential-NAME on the PATH?";
                Err(failed(what.into()))
            }
            Err(error) => Err(failed(format!("no credentials for {host}: {error}"))),
        }
    }
}

fn config_path(folder: Option<&Path>) -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = folder.map(Path::to_path_buf).or_else(|| variable("DOCKER_CONFIG"));
    folder.or_else(|| variable("HOME").map(|home| home.join(".docker"))).map(|folder| folder.join("config.json"))
}

/// The challenges in one `WWW-Authenticate` line; what is not understood is left out.
pub(crate) fn challenges(line: &str) -> Vec<Challenge> {
    let (mut found, mut rest) = (Vec::new(), line.trim_start());
    while let Some((scheme, after)) = token(rest) {
        let (mut realm, mut service, mut scope) = (None, None, None);
        rest = after.trim_start();
        while let Some((name, value, after)) = parameter(rest) {
            match name.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => service = Some(value),
                "scope" => scope = Some(value),
                _ => {}
            }
            rest = after.trim_start().trim_start_matches(',').trim_start();
        }
        match (scheme.to_ascii_lowercase().as_str(), realm) {
            ("basic", _) => found.push(Challenge::Basic),
            ("bearer", Some(realm)) => found.push(Challenge::Bearer { realm, service, scope }),
            _ => {}
        }
        rest = rest.trim_start_matches([',', ' ']);
    }
    found
}

fn token(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-._~+/".contains(c))).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// `name=value` or `name="value"` at the beginning of `text`, and what is behind it.
fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let (name, after) = token(text)?;
    let after = after.strip_prefix('=')?;
    let Some(quoted) = after.strip_prefix('"') else {
        let (value, after) = token(after)?;
        return Some((name, value.into(), after));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((name, value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn challenges_are_read() {
        let bearer = |service: Option<&str>, scope: Option<&str>| Challenge::Bearer {
            realm: "https://a.example/token".into(),
            service: service.map(Into::into),
            scope: scope.map(Into::into),
        };
        for (line, found) in [
            (r#"Basic realm="Registry""#, vec![Challenge::Basic]),
            ("basic", vec![Challenge::Basic]),
            (r#"Bearer realm="https://a.example/token""#, vec![bearer(None, None)]),
            (
                r#"Bearer realm="https://a.example/token",service="r \"x\"",scope="repository:a/b:pull,push""#,
                vec![bearer(Some("r \"x\""), Some("repository:a/b:pull,push"))],
            ),
            (
                r#"Negotiate, Bearer realm="https://a.example/token", service=r, Basic realm="x""#,
                vec![bearer(Some("r"), None), Challenge::Basic],
            ),
            ("", vec![]),
            ("Bearer", vec![]),
            (r#"Bearer realm="unclosed"#, vec![]),
        ] {
            assert_eq!(challenges(line), found, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_challenge_is_answered(line in "[A-Za-z=\", \\\\ä]{0,200}") {
            let _ = challenges(&line);
        }
    }

    #[test]
    fn credentials_of_docker() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Credentials::of("r.example", Some(folder.path())).unwrap(), Credentials::None));
        let config = folder.path().join("config.json");
        std::fs::write(&config, r#"{"auths":{"r.example":{"auth":"bWU6c2VjcmV0OjE="}}}"#).unwrap();
        let found = Credentials::of("r.example", Some(folder.path())).unwrap();
        assert!(matches!(found, Credentials::Password { user, password } if user == "me" && password == "secret:1"));
        assert!(matches!(Credentials::of("other.example", Some(folder.path())).unwrap(), Credentials::None));
        for damaged in ["{", r#"{"auths":{"r.example":{"auth":"%"}}}"#, r#"{"credHelpers":{"r.example":"not-there"}}"#]
        {
            std::fs::write(&config, damaged).unwrap();
            let error = Credentials::of("r.example", Some(folder.path())).err().expect(damaged);
            assert_eq!(error.kind(), Kind::Auth, "{error}");
        }
    }
}
