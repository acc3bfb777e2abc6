//! The one place that opens a listening socket, so that nothing here is ever reachable from outside:
//! simulated servers take any key and load generators do not ask, and neither belongs on a network.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Connections waiting to be accepted; load tests open thousands at once.
const BACKLOG: u32 = 4096;

/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Any free port of the loopback interface.
pub const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Passes `address` through when it is a loopback address.
///
/// # Errors
/// `InvalidInput` for every other address.
pub fn only(address: SocketAddr) -> io::Result<SocketAddr> {
    if address.ip().is_loopback() {
        return Ok(address);
    }
    let refused = format!("{address} is not a loopback address; use 127.0.0.1 or [::1]");
    Err(io::Error::new(io::ErrorKind::InvalidInput, refused))
}

/// Listens on `address`; must be called inside a tokio runtime.
///
/// # Errors
/// When the address is not loopback or is taken.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let address = only(address)?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The next connection, without Nagle's delay: streams are measured token by token.
pub(crate) async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // A refusal costs precision, not correctness.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            // Out of descriptors, most likely: they come back as connections close.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_passes() {
        for (address, passes) in [
            ("127.0.0.1:80", true),
            ("127.8.8.8:80", true),
            ("[::1]:80", true),
            ("0.0.0.0:80", false),
            ("192.168.1.7:80", false),
            ("[::]:80", false),
        ] {
            assert_eq!(only(address.parse().unwrap()).is_ok(), passes, "{address}");
        }
    }
}
