//! wasi:sockets 0.2: the host's sockets, since the streams and pollables that they give out are resources of
//! the wasi:io here.
//!
//! Every call goes to the host as it is, and a resource here owns one of the host's and is dropped with it. So
//! the host sees the same calls in the same order, and what it forbids it forbids here, too: to drop a socket
//! before its streams, say.

/// Forwards what a socket has as an option that can be read and set.
macro_rules! options {
    ($($get:ident, $set:ident: $value:ty;)*) => {$(
        fn $get(&self) -> Result<$value> {
            Ok(self.0.$get()?)
        }

        fn $set(&self, value: $value) -> Result<()> {
            Ok(self.0.$set(value)?)
        }
    )*};
}

mod lookup;
mod tcp;
mod udp;

use super::Shim;
use super::bindings::exports::wasi::io::error;
use super::bindings::exports::wasi::sockets::{instance_network, network};
use super::bindings::wasi::sockets as host;
use super::io::Error;
use network::{ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress};

type Result<T> = core::result::Result<T, ErrorCode>;

/// The right to use a network.
pub struct Network(host::network::Network);

impl network::Guest for Shim {
    type Network = Network;

    fn network_error_code(error: error::ErrorBorrow<'_>) -> Option<ErrorCode> {
        match error.get::<Error>() {
            Error::Host(error) => host::network::network_error_code(error).map(ErrorCode::from),
            // Of a stream that is no socket.
            Error::File(_) => None,
        }
    }
}

impl network::GuestNetwork for Network {}

impl instance_network::Guest for Shim {
    fn instance_network() -> network::Network {
        network::Network::new(Network(host::instance_network::instance_network()))
    }
}

/// The host's network behind a borrowed one.
fn network<'a>(network: &'a network::NetworkBorrow<'_>) -> &'a host::network::Network {
    &network.get::<Network>().0
}

impl From<host::network::ErrorCode> for ErrorCode {
    fn from(code: host::network::ErrorCode) -> Self {
        use host::network::ErrorCode as Host;
        match code {
            Host::Unknown => Self::Unknown,
            Host::AccessDenied => Self::AccessDenied,
            Host::NotSupported => Self::NotSupported,
            Host::InvalidArgument => Self::InvalidArgument,
            Host::OutOfMemory => Self::OutOfMemory,
            Host::Timeout => Self::Timeout,
            Host::ConcurrencyConflict => Self::ConcurrencyConflict,
            Host::NotInProgress => Self::NotInProgress,
            Host::WouldBlock => Self::WouldBlock,
            Host::InvalidState => Self::InvalidState,
            Host::NewSocketLimit => Self::NewSocketLimit,
            Host::AddressNotBindable => Self::AddressNotBindable,
            Host::AddressInUse => Self::AddressInUse,
            Host::RemoteUnreachable => Self::RemoteUnreachable,
            Host::ConnectionRefused => Self::ConnectionRefused,
            Host::ConnectionReset => Self::ConnectionReset,
            Host::ConnectionAborted => Self::ConnectionAborted,
            Host::DatagramTooLarge => Self::DatagramTooLarge,
            Host::NameUnresolvable => Self::NameUnresolvable,
            Host::TemporaryResolverFailure => Self::TemporaryResolverFailure,
            Host::PermanentResolverFailure => Self::PermanentResolverFailure,
        }
    }
}

impl From<host::network::IpAddressFamily> for IpAddressFamily {
    fn from(family: host::network::IpAddressFamily) -> Self {
        match family {
            host::network::IpAddressFamily::Ipv4 => Self::Ipv4,
            host::network::IpAddressFamily::Ipv6 => Self::Ipv6,
        }
    }
}

impl From<IpAddressFamily> for host::network::IpAddressFamily {
    fn from(family: IpAddressFamily) -> Self {
        match family {
            IpAddressFamily::Ipv4 => Self::Ipv4,
            IpAddressFamily::Ipv6 => Self::Ipv6,
        }
    }
}

impl From<host::network::IpAddress> for IpAddress {
    fn from(address: host::network::IpAddress) -> Self {
        match address {
            host::network::IpAddress::Ipv4(address) => Self::Ipv4(address),
            host::network::IpAddress::Ipv6(address) => Self::Ipv6(address),
        }
    }
}

impl From<host::network::IpSocketAddress> for IpSocketAddress {
    fn from(address: host::network::IpSocketAddress) -> Self {
        match address {
            host::network::IpSocketAddress::Ipv4(host::network::Ipv4SocketAddress { port, address }) => {
                Self::Ipv4(Ipv4SocketAddress { port, address })
            }
            host::network::IpSocketAddress::Ipv6(host::network::Ipv6SocketAddress {
                port,
                flow_info,
                address,
                scope_id,
            }) => Self::Ipv6(Ipv6SocketAddress { port, flow_info, address, scope_id }),
        }
    }
}

impl From<IpSocketAddress> for host::network::IpSocketAddress {
    fn from(address: IpSocketAddress) -> Self {
        match address {
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address }) => {
                Self::Ipv4(host::network::Ipv4SocketAddress { port, address })
            }
            IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info, address, scope_id }) => {
                Self::Ipv6(host::network::Ipv6SocketAddress { port, flow_info, address, scope_id })
            }
        }
    }
}
