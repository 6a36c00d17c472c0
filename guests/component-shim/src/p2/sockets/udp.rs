//! wasi:sockets/udp and udp-create-socket.

use super::super::Shim;
use super::super::bindings::exports::wasi::io::poll;
use super::super::bindings::exports::wasi::sockets::{udp, udp_create_socket};
use super::super::io::Pollable;
use super::{Result, host, network};
use alloc::vec::Vec;
use udp::{IncomingDatagram, IpAddressFamily, IpSocketAddress, NetworkBorrow, OutgoingDatagram};

/// A socket for UDP.
pub struct Socket(host::udp::UdpSocket);

/// What a socket receives.
pub struct Incoming(host::udp::IncomingDatagramStream);

/// What a socket sends.
pub struct Outgoing(host::udp::OutgoingDatagramStream);

impl udp_create_socket::Guest for Shim {
    fn create_udp_socket(family: IpAddressFamily) -> Result<udp::UdpSocket> {
        let socket = host::udp_create_socket::create_udp_socket(family.into())?;
        Ok(udp::UdpSocket::new(Socket(socket)))
    }
}

impl udp::Guest for Shim {
    type UdpSocket = Socket;
    type IncomingDatagramStream = Incoming;
    type OutgoingDatagramStream = Outgoing;
}

impl udp::GuestUdpSocket for Socket {
    fn start_bind(&self, within: NetworkBorrow<'_>, local: IpSocketAddress) -> Result<()> {
        Ok(self.0.start_bind(network(&within), local.into())?)
    }

    fn finish_bind(&self) -> Result<()> {
        Ok(self.0.finish_bind()?)
    }

    fn stream(
        &self,
        remote: Option<IpSocketAddress>,
    ) -> Result<(udp::IncomingDatagramStream, udp::OutgoingDatagramStream)> {
        let (incoming, outgoing) = self.0.stream(remote.map(Into::into))?;
        Ok((udp::IncomingDatagramStream::new(Incoming(incoming)), udp::OutgoingDatagramStream::new(Outgoing(outgoing))))
    }

    fn local_address(&self) -> Result<IpSocketAddress> {
        Ok(self.0.local_address()?.into())
    }

    fn remote_address(&self) -> Result<IpSocketAddress> {
        Ok(self.0.remote_address()?.into())
    }

    fn address_family(&self) -> IpAddressFamily {
        self.0.address_family().into()
    }

    options! {
        unicast_hop_limit, set_unicast_hop_limit: u8;
        receive_buffer_size, set_receive_buffer_size: u64;
        send_buffer_size, set_send_buffer_size: u64;
    }

    fn subscribe(&self) -> poll::Pollable {
        Pollable::host(self.0.subscribe())
    }
}

impl udp::GuestIncomingDatagramStream for Incoming {
    fn receive(&self, max: u64) -> Result<Vec<IncomingDatagram>> {
        let received = self
            .0
            .receive(max)?
            .into_iter()
            .map(|datagram| IncomingDatagram { data: datagram.data, remote_address: datagram.remote_address.into() });
        Ok(received.collect())
    }

    fn subscribe(&self) -> poll::Pollable {
        Pollable::host(self.0.subscribe())
    }
}

impl udp::GuestOutgoingDatagramStream for Outgoing {
    fn check_send(&self) -> Result<u64> {
        Ok(self.0.check_send()?)
    }

    fn send(&self, datagrams: Vec<OutgoingDatagram>) -> Result<u64> {
        let datagrams = datagrams.into_iter().map(|datagram| host::udp::OutgoingDatagram {
            data: datagram.data,
            remote_address: datagram.remote_address.map(Into::into),
        });
        Ok(self.0.send(&datagrams.collect::<Vec<_>>())?)
    }

    fn subscribe(&self) -> poll::Pollable {
        Pollable::host(self.0.subscribe())
    }
}
