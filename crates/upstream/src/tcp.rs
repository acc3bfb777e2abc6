//! A TCP connection to the first of some addresses that answers (RFC 8305), and set up so that a peer that
//! vanished is noticed.

use crate::UpstreamError;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an address may stay silent before the next is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// Silence after which the kernel asks the peer whether it still has the connection.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(30);
/// Between two such questions.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Questions without reply that end the connection.
const KEEP_ALIVE_TRIES: u32 = 3;
/// Longest time that bytes we sent may stay unacknowledged, or find no room at the peer. As long as the
/// questions above take in all: whichever way the peer fell silent, its connections end within a minute.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// Connects to one of `addresses`, preferring them in the resolver's order but trying IPv6 and IPv4 in turns.
pub(crate) async fn connect(addresses: Vec<SocketAddr>) -> Result<TcpStream, UpstreamError> {
    let mut waiting = in_turns(addresses).into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address may be connected to");
    loop {
        match waiting.next() {
            Some(address) => attempts.push(TcpStream::connect(address)),
            None if attempts.is_empty() => return Err(UpstreamError::Connect(last)),
            None => {}
        }
        // The caller bounds the whole; with nobody left to try there is only waiting.
        let settled = match waiting.len() {
            0 => Ok(attempts.next().await),
            _ => timeout(HEAD_START, attempts.next()).await,
        };
        match settled {
            Ok(Some(Ok(stream))) => {
                set_up(&stream).map_err(UpstreamError::Connect)?;
                return Ok(stream);
            }
            Ok(Some(Err(error))) => last = error,
            Ok(None) | Err(_) => {}
        }
    }
}

/// The families in turns, so that one that leads nowhere costs a head start and not one per address.
fn in_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut turns = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return turns;
        }
        turns.extend(pair.into_iter().flatten());
    }
}

fn set_up(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keep_alive = TcpKeepalive::new()
        .with_time(KEEP_ALIVE_AFTER)
        .with_interval(KEEP_ALIVE_INTERVAL)
        .with_retries(KEEP_ALIVE_TRIES);
    socket.set_tcp_keepalive(&keep_alive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};
    use std::net::TcpListener;

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// A place where nobody answers, neither with yes nor with no: its queue is full.
    fn silent() -> (Socket, Vec<Socket>, SocketAddr) {
        let stream = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let full = stream();
        full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        full.listen(0).unwrap();
        let address = full.local_addr().unwrap();
        let queued = (0..8).map(|_| {
            let client = stream();
            client.set_nonblocking(true).unwrap();
            let _ = client.connect(&address);
            client
        });
        let queued = queued.collect();
        (full, queued, address.as_socket().unwrap())
    }

    #[tokio::test]
    async fn a_dead_address_does_not_hide_a_live_one() {
        let (_full, _queued, silent) = silent();
        assert!(timeout(HEAD_START, connect(vec![silent])).await.is_err(), "it is silent");
        let (refusing, refused) = listener();
        drop(refusing);
        let (_listener, live) = listener();
        for (what, addresses) in
            [("silent", vec![silent, live]), ("refused", vec![refused, live]), ("alone", vec![live])]
        {
            let stream = connect(addresses).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), live, "{what}");
        }
        let error = connect(vec![refused]).await.unwrap_err();
        assert!(matches!(&error, UpstreamError::Connect(e) if e.kind() == io::ErrorKind::ConnectionRefused));
        assert!(matches!(connect(Vec::new()).await, Err(UpstreamError::Connect(_))));
    }

    #[test]
    fn families_take_turns() {
        let address = |text: &&str| text.parse::<SocketAddr>().unwrap();
        for (given, want) in [
            (vec!["[::1]:1", "[::2]:1", "1.1.1.1:1"], vec!["[::1]:1", "1.1.1.1:1", "[::2]:1"]),
            (vec!["1.1.1.1:1", "1.1.1.2:1", "[::1]:1"], vec!["1.1.1.1:1", "[::1]:1", "1.1.1.2:1"]),
            (vec!["1.1.1.2:1", "1.1.1.1:1"], vec!["1.1.1.2:1", "1.1.1.1:1"]),
            (vec![], vec![]),
        ] {
            let turns = in_turns(given.iter().map(address).collect());
            assert_eq!(turns, want.iter().map(address).collect::<Vec<_>>(), "{given:?}");
        }
    }

    #[tokio::test]
    async fn the_kernel_watches_over_a_connection() {
        let (_listener, live) = listener();
        let stream = connect(vec![live]).await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(stream.nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEP_ALIVE_AFTER);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEP_ALIVE_INTERVAL);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEP_ALIVE_TRIES);
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
    }
}
