//! The little of the distribution specification's protocol that weir needs, with an end to everything.
//!
//! The HTTP library is told to follow nothing and to wait for nothing by itself: redirects are followed here (few, never
//! from TLS to plain HTTP, never with credentials), every body has a limit of bytes, of silence and of time, and no
//! answer is used before it has passed its check. Plain HTTP is spoken only with registries that the user named.

use crate::auth::{Challenge, Credentials, challenges};
use crate::error::{Error, Kind, Result};
use crate::limits::{ANSWER_BYTES_MAX, CA_BYTES_MAX, MESSAGE_CHARS_MAX, NetworkLimits, PARALLEL_MAX, REDIRECTS_MAX};
use crate::meter::Meter;
use crate::reference::Reference;
use futures_util::stream;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, Url};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How to talk to registries.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Registries (`HOST` or `HOST:PORT`, as in references) that speak plain HTTP.
    pub insecure: Vec<String>,
    /// Files of certificates (PEM) that are trusted beside those of the system.
    pub ca_files: Vec<PathBuf>,
    /// The folder of Docker's `config.json`; `$DOCKER_CONFIG` or `~/.docker` if none is given.
    pub docker_config: Option<PathBuf>,
    /// Times and sizes.
    pub limits: NetworkLimits,
    /// Counts what moves.
    pub meter: Meter,
}

impl Options {
    /// What the environment says: `$WEIR_INSECURE_REGISTRIES` (divided by commas) and `$WEIR_REGISTRY_CA` (a file).
    pub fn of_user() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let insecure = variable("WEIR_INSECURE_REGISTRIES");
        let insecure = insecure.split(',').map(str::trim).filter(|host| !host.is_empty());
        let ca_file = std::env::var_os("WEIR_REGISTRY_CA").filter(|value| !value.is_empty());
        Self {
            insecure: insecure.map(str::to_ascii_lowercase).collect(),
            ca_files: ca_file.map(PathBuf::from).into_iter().collect(),
            ..Self::default()
        }
    }
}

/// What a client is going to do in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Pull,
    Push,
}

/// A connection to one repository of one registry.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    reference: Reference,
    access: Access,
    options: Options,
    authorization: Mutex<Option<Authorization>>,
}

#[derive(Clone)]
enum Authorization {
    Basic { user: String, password: String },
    Bearer(String),
}

/// What a request sends.
#[derive(Clone)]
pub(crate) enum Body {
    None,
    Bytes(Vec<u8>),
    File(Arc<File>, u64),
}

/// A request before it is sent; it can be sent again.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(reqwest::header::HeaderName, &'a str)>,
    pub(crate) body: Body,
}

impl<'a> Request<'a> {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: Vec::new(), body: Body::None }
    }

    pub(crate) fn accept(mut self, types: &'a str) -> Self {
        self.headers.push((ACCEPT, types));
        self
    }

    pub(crate) fn with_body(mut self, content_type: &'a str, body: Body) -> Self {
        self.headers.push((CONTENT_TYPE, content_type));
        self.body = body;
        self
    }
}

impl Client {
    /// A client for the repository of `reference`. Nothing is sent yet.
    ///
    /// # Errors
    /// A file of certificates cannot be read or holds none.
    pub(crate) fn new(reference: &Reference, access: Access, options: &Options) -> Result<Self> {
        // TLS needs a provider of cryptography; if the process has one already, that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .http1_only()
            .pool_max_idle_per_host(PARALLEL_MAX)
            .connect_timeout(options.limits.connect_timeout);
        for path in &options.ca_files {
            let mut pem = Vec::new();
            let read = File::open(path).and_then(|file| file.take(CA_BYTES_MAX).read_to_end(&mut pem));
            read.map_err(|error| {
                Error::new(Kind::Tls, format!("cannot read certificates {}: {error}", path.display()))
            })?;
            let none = |why: &str| Error::new(Kind::Tls, format!("{} holds no certificate (PEM){why}", path.display()));
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|_| none(": it is damaged"))?;
            if certificates.is_empty() {
                return Err(none(""));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let http = builder
            .build()
            .map_err(|error| Error::new(Kind::Tls, format!("encryption cannot be set up: {}", innermost(&error))))?;
        let host = if reference.host() == "docker.io" { "registry-1.docker.io" } else { reference.host() };
        let scheme = if options.insecure.iter().any(|name| name.eq_ignore_ascii_case(host)) { "http" } else { "https" };
        let bad = |_| Error::new(Kind::Reference, format!("{host} is no address of a registry"));
        let base = Url::parse(&format!("{scheme}://{host}/v2/")).map_err(bad)?;
        let (reference, options, authorization) = (reference.clone(), options.clone(), Mutex::new(None));
        Ok(Self { http, base, reference, access, options, authorization })
    }

    /// The limits of this client.
    pub(crate) fn limits(&self) -> &NetworkLimits {
        &self.options.limits
    }

    /// Counts what moves.
    pub(crate) fn meter(&self) -> &Meter {
        &self.options.meter
    }

    /// The address of a thing in the repository, such as `blobs/sha256:...`. Only well-formed parts come here.
    pub(crate) fn url(&self, path: &str) -> Url {
        let name = self.reference.name();
        let library = if self.reference.host() == "docker.io" && !name.contains('/') { "library/" } else { "" };
        self.base.join(&format!("{library}{name}/{path}")).expect("names and digests are parts of addresses")
    }

    /// Whether an address is the registry's own.
    pub(crate) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// The address that a `Location` header names, seen from `from`.
    ///
    /// # Errors
    /// It is none, or leads from TLS to plain HTTP, or to plain HTTP at a host that the user did not name.
    pub(crate) fn location(&self, from: &Url, response: &reqwest::Response) -> Result<Url> {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let url = location.and_then(|text| from.join(text).ok());
        let url = url.ok_or_else(|| self.error(Kind::Answer, "redirects without saying where"))?;
        self.may_visit(&url)?;
        Ok(url)
    }

    fn may_visit(&self, url: &Url) -> Result<()> {
        let host = url.host_str().unwrap_or_default();
        // An address leaves the usual port out, a reference may say it.
        let port = url.port_or_known_default().unwrap_or_default();
        let named = url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        let names = [named.clone(), format!("{host}:{port}")];
        let listed = |name: &String| names.iter().any(|it| it.eq_ignore_ascii_case(name));
        let insecure = self.is_own(url) || self.options.insecure.iter().any(listed);
        match url.scheme() {
            "https" if !host.is_empty() => Ok(()),
            "http" if insecure => Ok(()),
            scheme => {
                let message = format!(
                    "sends weir on to {scheme}://{named}, which is not encrypted; if that is meant, name it by --insecure {named}"
                );
                Err(self.error(Kind::Tls, &message))
            }
        }
    }

    /// Sends a request to the registry and follows redirects of reading requests. Credentials are sent to the registry
    /// itself only.
    ///
    /// # Errors
    /// The registry cannot be reached, does not answer in time, or does not accept the credentials.
    pub(crate) async fn send(&self, request: &Request<'_>) -> Result<(reqwest::Response, Url)> {
        let (mut url, mut redirects, mut authorized) = (request.url.clone(), 0, false);
        loop {
            let ours = self.is_own(&url);
            let response = self.send_once(request, &url, ours).await?;
            match response.status() {
                StatusCode::UNAUTHORIZED if ours && !authorized => {
                    authorized = true;
                    self.authorize(&response).await?;
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if ours => {
                    let why = self.message(response).await;
                    let message = format!("does not let weir {} {}{why}", self.verb(), self.reference.name());
                    return Err(self.error(
                        Kind::Auth,
                        &format!("{message}; log in with: docker login {}", self.reference.host()),
                    ));
                }
                status if status.is_redirection() && matches!(request.method, Method::GET | Method::HEAD) => {
                    redirects += 1;
                    if redirects > REDIRECTS_MAX {
                        return Err(self.error(Kind::Answer, &format!("redirects more than {REDIRECTS_MAX} times")));
                    }
                    url = self.location(&url, &response)?;
                }
                _ => return Ok((response, url)),
            }
        }
    }

    async fn send_once(&self, request: &Request<'_>, url: &Url, ours: bool) -> Result<reqwest::Response> {
        let mut builder = self.http.request(request.method.clone(), url.clone());
        for (name, value) in &request.headers {
            builder = builder.header(name, *value);
        }
        let authorization = if ours { self.authorization() } else { None };
        builder = match authorization {
            Some(Authorization::Basic { user, password }) => builder.basic_auth(user, Some(password)),
            Some(Authorization::Bearer(token)) => builder.bearer_auth(token),
            None => builder,
        };
        let (builder, time) = match &request.body {
            Body::None => (builder, self.limits().answer_timeout),
            Body::Bytes(bytes) => (builder.body(bytes.clone()), self.limits().transfer_timeout(bytes.len() as u64)),
            Body::File(file, size) => {
                let builder = builder.header(CONTENT_LENGTH, *size).body(stream_of(
                    Arc::clone(file),
                    *size,
                    self.meter().clone(),
                ));
                (builder, self.limits().transfer_timeout(*size))
            }
        };
        match timeout(time, builder.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.network(error)),
            Err(_) => Err(self.error(Kind::Network, &format!("did not answer within {} s", time.as_secs_f32()))),
        }
    }

    fn authorization(&self) -> Option<Authorization> {
        self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes up the challenge of a registry.
    async fn authorize(&self, response: &reqwest::Response) -> Result<()> {
        let lines = response.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|line| line.to_str().ok());
        let offered: Vec<Challenge> = lines.take(8).flat_map(challenges).collect();
        let credentials = Credentials::of(self.reference.host(), self.options.docker_config.as_deref())?;
        let bearer = offered.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
        let authorization = match (bearer, &credentials) {
            (Some(Challenge::Bearer { realm, service, .. }), _) => {
                Authorization::Bearer(self.token(realm, service.as_deref(), &credentials).await?)
            }
            (_, Credentials::Password { user, password }) if offered.contains(&Challenge::Basic) => {
                Authorization::Basic { user: user.clone(), password: password.clone() }
            }
            _ => {
                let host = self.reference.host();
                let message =
                    format!("wants credentials, and there are none that fit: log in with docker login {host}");
                return Err(self.error(Kind::Auth, &message));
            }
        };
        *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(authorization);
        Ok(())
    }

    /// Asks the registry's token server for the right to do what this client is for, and nothing more.
    async fn token(&self, realm: &str, service: Option<&str>, credentials: &Credentials) -> Result<String> {
        let bad = || self.error(Kind::Answer, "names a token server that is no address");
        let mut url = Url::parse(realm).map_err(|_| bad())?;
        self.may_visit(&url)?;
        let actions = if self.access == Access::Push { "pull,push" } else { "pull" };
        let path = self.url("").path().trim_start_matches("/v2/").trim_end_matches('/').to_string();
        let mut fields = vec![("scope", format!("repository:{path}:{actions}"))];
        fields.extend(service.map(|service| ("service", service.to_string())));
        let builder = if let Credentials::Token(token) = credentials {
            let fixed = [("grant_type", "refresh_token"), ("client_id", "weir"), ("refresh_token", token.as_str())];
            fields.extend(fixed.map(|(name, value)| (name, value.to_string())));
            let mut form = Url::parse("http://form.invalid/").expect("a constant address");
            form.query_pairs_mut().extend_pairs(&fields);
            let body = form.query().unwrap_or_default().to_string();
            self.http.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
        } else {
            url.query_pairs_mut().extend_pairs(&fields);
            let builder = self.http.get(url);
            match credentials {
                Credentials::Password { user, password } => builder.basic_auth(user, Some(password)),
                _ => builder,
            }
        };
        let answer = timeout(self.limits().answer_timeout, builder.send()).await;
        let response = answer
            .map_err(|_| self.error(Kind::Network, "has a token server that does not answer"))?
            .map_err(|error| self.network(error))?;
        let status = response.status();
        if !status.is_success() {
            let why = self.message(response).await;
            let message = format!(
                "does not let weir {} {} (its token server says {status}{why}); log in with: docker login {}",
                self.verb(),
                self.reference.name(),
                self.reference.host()
            );
            return Err(self.error(Kind::Auth, &message));
        }
        let bytes = self.read(response, ANSWER_BYTES_MAX).await?;
        let fields: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let token = ["token", "access_token"].iter().find_map(|name| fields[*name].as_str());
        let good = token.filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
        good.map(str::to_string).ok_or_else(|| self.error(Kind::Answer, "has a token server that gives no token"))
    }

    /// Reads a body of at most `bytes_max`.
    ///
    /// # Errors
    /// It is longer, or slower than the limits allow, or cut short.
    pub(crate) async fn read(&self, response: reqwest::Response, bytes_max: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.receive(response, bytes_max, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })
        .await?;
        Ok(bytes)
    }

    /// Hands a body of at most `bytes_max` on, piece by piece; returns its length.
    ///
    /// # Errors
    /// As [`Client::read`], or `take` failed.
    pub(crate) async fn receive(
        &self,
        mut response: reqwest::Response,
        bytes_max: u64,
        take: &mut (dyn FnMut(&[u8]) -> Result<()> + Send),
    ) -> Result<u64> {
        let too_long =
            || self.error(Kind::TooLarge, &format!("sends more than the {bytes_max} bytes that were to come"));
        if response.content_length().is_some_and(|length| length > bytes_max) {
            return Err(too_long());
        }
        let (start, whole) = (Instant::now(), self.limits().transfer_timeout(bytes_max));
        let mut received = 0u64;
        loop {
            let left = whole.saturating_sub(start.elapsed());
            let piece = timeout(self.limits().idle_timeout.min(left), response.chunk()).await;
            let piece = match piece {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => return Ok(received),
                Ok(Err(error)) => return Err(self.network(error)),
                Err(_) => {
                    let message = format!("is too slow: {received} bytes came in {} s", start.elapsed().as_secs());
                    return Err(self.error(Kind::Network, &message));
                }
            };
            received += piece.len() as u64;
            if received > bytes_max {
                return Err(too_long());
            }
            take(&piece)?;
        }
    }

    /// The error for an answer that is not what was asked for.
    pub(crate) async fn refused(&self, what: &str, response: reqwest::Response) -> Error {
        let status = response.status();
        let kind = match status {
            StatusCode::NOT_FOUND => Kind::NotFound,
            StatusCode::PAYLOAD_TOO_LARGE => Kind::TooLarge,
            StatusCode::BAD_REQUEST => Kind::Digest,
            _ => Kind::Answer,
        };
        let why = self.message(response).await;
        let busy = matches!(status.as_u16(), 429 | 502..=504);
        let advice = if busy { "; it may be busy: run this again" } else { "" };
        self.error(kind, &format!("answers {status} to {what}{why}{advice}"))
    }

    /// What the registry says about an error, cut to what fits a line. It may be anything.
    async fn message(&self, response: reqwest::Response) -> String {
        let Ok(bytes) = self.read(response, ANSWER_BYTES_MAX).await else { return String::new() };
        let Ok(fields) = serde_json::from_slice::<serde_json::Value>(&bytes) else { return String::new() };
        let first = &fields["errors"][0];
        let (code, text) = (first["code"].as_str().unwrap_or(""), first["message"].as_str().unwrap_or(""));
        let words = [code, text].map(|text| text.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARS_MAX).collect());
        let words: Vec<String> = words.into_iter().filter(|text: &String| !text.is_empty()).collect();
        if words.is_empty() { String::new() } else { format!(": {}", words.join(", ")) }
    }

    /// An error that begins with the registry's name.
    pub(crate) fn error(&self, kind: Kind, message: &str) -> Error {
        Error::new(kind, format!("registry {} {message}", self.reference.host()))
    }

    fn network(&self, error: reqwest::Error) -> Error {
        let error = error.without_url();
        let why = innermost(&error);
        let tls = is_tls(&error);
        let plain = tls && why.contains("InvalidContentType");
        let advice = if plain {
            format!("; if it speaks plain HTTP, say --insecure {}", self.reference.host())
        } else if tls {
            "; if it has a certificate authority of its own, name that by --ca FILE".into()
        } else if error.is_connect() {
            "; is the name right, and the registry up?".into()
        } else {
            "; run this again: what has come is kept".into()
        };
        let (kind, what) = match (tls, error.is_connect()) {
            (true, _) if plain => (Kind::Tls, "does not speak TLS"),
            (true, _) => (Kind::Tls, "cannot be trusted"),
            (_, true) => (Kind::Network, "cannot be reached"),
            _ => (Kind::Network, "broke off"),
        };
        self.error(kind, &format!("{what}: {why}{advice}"))
    }

    fn verb(&self) -> &'static str {
        if self.access == Access::Push { "push to" } else { "pull" }
    }
}

/// Runs what talks to a registry to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(PARALLEL_MAX).build();
    let runtime =
        runtime.map_err(|error| Error::new(Kind::Network, format!("the network cannot be set up: {error}")))?;
    let result = runtime.block_on(work);
    // A helper thread that hangs does not hold up the result.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// A body that reads `size` bytes of a file. Several may read the same file.
fn stream_of(file: Arc<File>, size: u64, meter: Meter) -> reqwest::Body {
    const PIECE_BYTES: u64 = 256 << 10;
    reqwest::Body::wrap_stream(stream::unfold(0u64, move |at| {
        let mut piece = vec![0; PIECE_BYTES.min(size.saturating_sub(at)) as usize];
        let read = if piece.is_empty() { None } else { Some(file.read_exact_at(&mut piece, at)) };
        meter.add(piece.len() as u64);
        async move {
            let next = at + piece.len() as u64;
            read.map(|read| (read.map(|()| piece), next))
        }
    }))
}

/// The error that caused this one. An IO error does not show what it wraps as its source.
fn cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a (dyn std::error::Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref()) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn is_tls(error: &reqwest::Error) -> bool {
    std::iter::successors(cause(error), |error| cause(*error)).any(|error| error.is::<rustls::Error>())
}

/// The innermost cause of an error; the outer ones only say that there was one.
fn innermost(error: &reqwest::Error) -> String {
    std::iter::successors(cause(error), |error| cause(*error))
        .last()
        .map_or_else(|| error.to_string(), |it| it.to_string())
}
