//! wasi:sockets/tcp and tcp-create-socket.

use super::super::Shim;
use super::super::bindings::exports::wasi::io::{poll, streams};
use super::super::bindings::exports::wasi::sockets::{tcp, tcp_create_socket};
use super::super::io::{InputStream, OutputStream, Pollable};
use super::{Result, host, network};
use tcp::{IpAddressFamily, IpSocketAddress, NetworkBorrow, ShutdownType};

/// A socket for TCP.
pub struct Socket(host::tcp::TcpSocket);

impl tcp_create_socket::Guest for Shim {
    fn create_tcp_socket(family: IpAddressFamily) -> Result<tcp::TcpSocket> {
        let socket = host::tcp_create_socket::create_tcp_socket(family.into())?;
        Ok(tcp::TcpSocket::new(Socket(socket)))
    }
}

impl tcp::Guest for Shim {
    type TcpSocket = Socket;
}

impl tcp::GuestTcpSocket for Socket {
    fn start_bind(&self, within: NetworkBorrow<'_>, local: IpSocketAddress) -> Result<()> {
        Ok(self.0.start_bind(network(&within), local.into())?)
    }

    fn finish_bind(&self) -> Result<()> {
        Ok(self.0.finish_bind()?)
    }

    fn start_connect(&self, within: NetworkBorrow<'_>, remote: IpSocketAddress) -> Result<()> {
        Ok(self.0.start_connect(network(&within), remote.into())?)
    }

    fn finish_connect(&self) -> Result<(streams::InputStream, streams::OutputStream)> {
        let (input, output) = self.0.finish_connect()?;
        Ok((InputStream::host(input), OutputStream::host(output)))
    }

    fn start_listen(&self) -> Result<()> {
        Ok(self.0.start_listen()?)
    }

    fn finish_listen(&self) -> Result<()> {
        Ok(self.0.finish_listen()?)
    }

    fn accept(&self) -> Result<(tcp::TcpSocket, streams::InputStream, streams::OutputStream)> {
        let (socket, input, output) = self.0.accept()?;
        Ok((tcp::TcpSocket::new(Socket(socket)), InputStream::host(input), OutputStream::host(output)))
    }

    fn local_address(&self) -> Result<IpSocketAddress> {
        Ok(self.0.local_address()?.into())
    }

    fn remote_address(&self) -> Result<IpSocketAddress> {
        Ok(self.0.remote_address()?.into())
    }

    fn is_listening(&self) -> bool {
        self.0.is_listening()
    }

    fn address_family(&self) -> IpAddressFamily {
        self.0.address_family().into()
    }

    fn set_listen_backlog_size(&self, value: u64) -> Result<()> {
        Ok(self.0.set_listen_backlog_size(value)?)
    }

    options! {
        keep_alive_enabled, set_keep_alive_enabled: bool;
        keep_alive_idle_time, set_keep_alive_idle_time: tcp::Duration;
        keep_alive_interval, set_keep_alive_interval: tcp::Duration;
        keep_alive_count, set_keep_alive_count: u32;
        hop_limit, set_hop_limit: u8;
        receive_buffer_size, set_receive_buffer_size: u64;
        send_buffer_size, set_send_buffer_size: u64;
    }

    fn subscribe(&self) -> poll::Pollable {
        Pollable::host(self.0.subscribe())
    }

    fn shutdown(&self, what: ShutdownType) -> Result<()> {
        let what = match what {
            ShutdownType::Receive => host::tcp::ShutdownType::Receive,
            ShutdownType::Send => host::tcp::ShutdownType::Send,
            ShutdownType::Both => host::tcp::ShutdownType::Both,
        };
        Ok(self.0.shutdown(what)?)
    }
}
