//! What a component may reach over the network: nothing, everything, or named peers. Sockets and name
//! lookup are wasmtime-wasi's; this file only says yes or no. A peer is named by host and port, a
//! socket knows addresses: an address is a peer's if the host's name resolves to it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p2::bindings::sockets::{ip_name_lookup as p2, network};
use wasmtime_wasi::p2::{DynPollable, SocketError};
use wasmtime_wasi::p3::bindings::sockets::ip_name_lookup as p3;
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsCtxView};
use wasmtime_wasi_http::{Error as HttpError, RequestOptions, WasiBody, WasiHttpHooks, default_hooks};
use weir_types::grants::Net;

/// What was granted, and what the names of peers resolved to so far.
pub(crate) struct Reach {
    net: Net,
    resolved: Mutex<HashMap<String, Vec<IpAddr>>>,
}

impl Reach {
    pub fn new(net: Net) -> Arc<Self> {
        Arc::new(Self { net, resolved: Mutex::default() })
    }

    /// Tells wasmtime-wasi what is allowed.
    pub fn apply(self: &Arc<Self>, builder: &mut WasiCtxBuilder) {
        // A socket that is neither bound nor connected reaches nothing: programs make one to learn what the
        // system offers, so it needs no grant. Whatever reaches something is asked for below.
        builder.allow_tcp(true).allow_udp(true).allow_ip_name_lookup(self.net != Net::None);
        let reach = self.clone();
        builder.socket_addr_check(move |address, purpose| {
            let reach = reach.clone();
            Box::pin(async move { reach.allows(address, purpose).await })
        });
    }

    async fn allows(&self, address: SocketAddr, purpose: SocketAddrUse) -> bool {
        let Net::Peers(peers) = &self.net else { return self.net == Net::Host };
        match purpose {
            // A socket that only talks to peers still has a local address, chosen by the system.
            SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => address.ip().is_unspecified() && address.port() == 0,
            SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => false,
            SocketAddrUse::TcpConnect | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => {
                let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                for (host, _) in peers.iter().filter(|(_, port)| [0, address.port()].contains(port)) {
                    if self.names(host, address.ip()).await {
                        return true;
                    }
                }
                false
            }
        }
    }

    /// Whether `host` is or resolves to `address`. Names are asked for again when the address is new:
    /// a host may have many.
    async fn names(&self, host: &str, address: IpAddr) -> bool {
        if let Ok(literal) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            return literal.to_canonical() == address;
        }
        let known = |resolved: &HashMap<String, Vec<IpAddr>>| {
            resolved.get(host).is_some_and(|addresses| addresses.contains(&address))
        };
        if known(&self.resolved.lock().unwrap_or_else(PoisonError::into_inner)) {
            return true;
        }
        let Ok(found) = tokio::net::lookup_host((host, 0)).await else { return false };
        let found: Vec<IpAddr> = found.map(|address| address.ip().to_canonical()).collect();
        let mut resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses = resolved.entry(host.to_owned()).or_default();
        addresses.extend(found);
        addresses.sort_unstable();
        addresses.dedup();
        known(&resolved)
    }

    /// Whether the program may ask for the addresses of `name`.
    pub fn allows_lookup(&self, name: &str) -> bool {
        match &self.net {
            Net::None => false,
            Net::Host => true,
            Net::Peers(peers) => {
                peers.iter().any(|(host, _)| host.eq_ignore_ascii_case(name)) || name.parse::<IpAddr>().is_ok()
            }
        }
    }

    /// Whether the program may send HTTP requests to this host and port.
    fn allows_request(&self, host: &str, port: u16) -> bool {
        match &self.net {
            Net::None => false,
            Net::Host => true,
            Net::Peers(peers) => {
                let host = host.trim_matches(['[', ']']);
                peers.iter().any(|(peer, peer_port)| {
                    peer.trim_matches(['[', ']']).eq_ignore_ascii_case(host) && [0, port].contains(peer_port)
                })
            }
        }
    }
}

/// HTTP requests go out only where the grant says.
pub(crate) struct Hooks(pub Arc<Reach>);

type Sending = dyn Future<Output = Result<(http::Response<WasiBody>, Box<Transfer>), HttpError>> + Send;
type Transfer = dyn Future<Output = Result<(), HttpError>> + Send;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        finished: Box<Transfer>,
    ) -> Box<Sending> {
        let uri = request.uri();
        let default_port = if uri.scheme_str() == Some("http") { 80 } else { 443 };
        let allowed =
            uri.authority().is_some_and(|to| self.0.allows_request(to.host(), to.port_u16().unwrap_or(default_port)));
        if !allowed {
            return Box::new(std::future::ready(Err(HttpError::HttpRequestDenied)));
        }
        default_hooks().send_request(request, options, finished)
    }
}

/// What name lookup works on.
pub(crate) struct LookupView<'a> {
    pub reach: &'a Reach,
    pub sockets: WasiSocketsCtxView<'a>,
}

/// Names [`LookupView`] to the linker.
pub(crate) struct WeirLookup;

impl HasData for WeirLookup {
    type Data<'a> = LookupView<'a>;
}

impl network::Host for LookupView<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<network::ErrorCode> {
        error.downcast()
    }

    fn network_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<network::ErrorCode>> {
        self.sockets.network_error_code(error)
    }
}

impl network::HostNetwork for LookupView<'_> {
    fn drop(&mut self, network: Resource<network::Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.sockets, network)
    }
}

impl p2::Host for LookupView<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<network::Network>,
        name: String,
    ) -> Result<Resource<p2::ResolveAddressStream>, SocketError> {
        if !self.reach.allows_lookup(&name) {
            return Err(network::ErrorCode::AccessDenied.into());
        }
        p2::Host::resolve_addresses(&mut self.sockets, network, name)
    }
}

impl p2::HostResolveAddressStream for LookupView<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<p2::ResolveAddressStream>,
    ) -> Result<Option<network::IpAddress>, SocketError> {
        self.sockets.resolve_next_address(stream)
    }

    fn subscribe(&mut self, stream: Resource<p2::ResolveAddressStream>) -> wasmtime::Result<Resource<DynPollable>> {
        p2::HostResolveAddressStream::subscribe(&mut self.sockets, stream)
    }

    fn drop(&mut self, stream: Resource<p2::ResolveAddressStream>) -> wasmtime::Result<()> {
        p2::HostResolveAddressStream::drop(&mut self.sockets, stream)
    }
}

impl p3::Host for LookupView<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(net: Net, address: &str, purpose: SocketAddrUse) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Reach::new(net).allows(address.parse().unwrap(), purpose))
    }

    #[test]
    fn peers_are_reached_and_nobody_else() {
        let peers = || Net::Peers(vec![("localhost".into(), 80), ("10.0.0.1".into(), 0), ("[::1]".into(), 5)]);
        for (address, allowed) in [
            ("127.0.0.1:80", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("127.0.0.1:81", false),
            ("127.0.0.2:80", false),
            ("10.0.0.1:1234", true),
            ("[::1]:5", true),
            ("[::1]:6", false),
        ] {
            for purpose in [SocketAddrUse::TcpConnect, SocketAddrUse::UdpSend, SocketAddrUse::UdpReceive] {
                assert_eq!(allows(peers(), address, purpose), allowed, "{address} {purpose:?}");
            }
        }
        assert!(allows(peers(), "0.0.0.0:0", SocketAddrUse::TcpBind));
        assert!(!allows(peers(), "127.0.0.1:80", SocketAddrUse::TcpBind));
        assert!(!allows(peers(), "127.0.0.1:80", SocketAddrUse::TcpListen));
        assert!(!allows(Net::None, "127.0.0.1:80", SocketAddrUse::TcpConnect));
        assert!(allows(Net::Host, "127.0.0.1:80", SocketAddrUse::TcpListen));
    }

    #[test]
    fn requests_and_lookups_go_to_named_hosts() {
        let reach = Reach::new(Net::Peers(vec![("Example.org".into(), 443), ("::1".into(), 0)]));
        assert!(reach.allows_request("example.org", 443));
        assert!(!reach.allows_request("example.org", 80));
        assert!(reach.allows_request("[::1]", 8080));
        assert!(!reach.allows_request("example.org.evil", 443));
        assert!(reach.allows_lookup("EXAMPLE.ORG"));
        assert!(!reach.allows_lookup("evil"));
        assert!(!Reach::new(Net::None).allows_request("example.org", 443));
    }
}
