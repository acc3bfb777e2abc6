//! Reads HTTP/1.1 requests off a plain TCP stream. Takes no limits: the peer is a test.

use crate::serve::Received;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use std::io;
use std::time::Instant;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Reads one request; `None` when the peer closes between two.
pub(super) async fn read(from: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<Option<Received>> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let end = loop {
        if let Some(end) = memchr::memmem::find(unread, b"\r\n\r\n") {
            break end + 4;
        }
        if from.read_buf(unread).await? == 0 {
            return if unread.is_empty() { Ok(None) } else { Err(bad("cut in the head")) };
        }
    };
    let rest = unread.split_off(end);
    let head = String::from_utf8(std::mem::replace(unread, rest)).map_err(|_| bad("head is not UTF-8"))?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let method: Method = first.next().and_then(|m| m.parse().ok()).ok_or_else(|| bad("method"))?;
    let uri: Uri = first.next().and_then(|target| target.parse().ok()).ok_or_else(|| bad("target"))?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let name: HeaderName = name.parse().map_err(|_| bad("header name"))?;
        headers.append(name, HeaderValue::from_str(value.trim()).map_err(|_| bad("header value"))?);
    }
    let text = |name: &str| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let body = if text("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        chunks(from, unread).await?
    } else {
        let length = text("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        take(from, unread, length).await?
    };
    Ok(Some(Received { method, uri, headers, body: body.into(), at: Instant::now() }))
}

/// The next `count` bytes.
async fn take(from: &mut TcpStream, unread: &mut Vec<u8>, count: usize) -> io::Result<Vec<u8>> {
    while unread.len() < count {
        if from.read_buf(unread).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let rest = unread.split_off(count);
    Ok(std::mem::replace(unread, rest))
}

/// A chunked body (RFC 9112, section 7.1), trailers discarded.
async fn chunks(from: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(from, unread).await?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("chunk size `{digits}`")))?;
        if size == 0 {
            while !line(from, unread).await?.is_empty() {}
            return Ok(body);
        }
        body.append(&mut take(from, unread, size).await?);
        line(from, unread).await?;
    }
}

async fn line(from: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<String> {
    loop {
        if let Some(end) = memchr::memmem::find(unread, b"\r\n") {
            let line = take(from, unread, end + 2).await?;
            return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        if from.read_buf(unread).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
