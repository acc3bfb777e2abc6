//! `data:` URLs (RFC 2397) to and from inline base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use trunkline_core::MediaSource;

/// Reads an address: a `data:` URL becomes standard-alphabet base64, anything else stays an address.
/// `None` when a `data:` URL is malformed.
pub(crate) fn read_url(url: &str) -> Option<MediaSource> {
    let Some(rest) = strip_scheme(url) else { return Some(MediaSource::Url(url.to_owned())) };
    let (meta, payload) = rest.split_once(',')?;
    let (mime, is_base64) = match meta.rsplit_once(';') {
        Some((mime, last)) if last.trim().eq_ignore_ascii_case("base64") => (mime, true),
        Some(_) | None if meta.trim().eq_ignore_ascii_case("base64") => ("", true),
        Some(_) | None => (meta, false),
    };
    // Parameters such as a charset say nothing to a model.
    let mime = mime.split(';').next().unwrap_or_default().trim();
    let mime = if mime.is_empty() { "text/plain" } else { mime }.to_ascii_lowercase();
    let data = if is_base64 { standard_base64(payload)? } else { STANDARD.encode(percent_decoded(payload)) };
    Some(MediaSource::Base64 { mime, data })
}

/// The address for inline media.
pub(crate) fn data_url(mime: &str, data: &str) -> String {
    format!("data:{mime};base64,{data}")
}

/// Standard-alphabet, padded base64 from whatever alphabet and padding a client used.
pub(crate) fn standard_base64(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len() + 2);
    for c in text.chars() {
        match c {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '+' | '/' => out.push(c),
            '-' => out.push('+'),
            '_' => out.push('/'),
            '=' | ' ' | '\t' | '\r' | '\n' => {}
            _ => return None,
        }
    }
    match out.len() % 4 {
        0 => {}
        2 => out.push_str("=="),
        3 => out.push('='),
        _ => return None,
    }
    Some(out)
}

fn strip_scheme(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_at_checked(5)?;
    scheme.eq_ignore_ascii_case("data:").then_some(rest)
}

fn percent_decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_urls() {
        for (url, want) in [
            ("data:image/png;base64,aGk=", Some(("image/png", "aGk="))),
            ("DATA:Image/PNG;charset=x;BASE64,aGk", Some(("image/png", "aGk="))),
            ("data:image/png;base64,-_-_", Some(("image/png", "+/+/"))),
            ("data:,a%20b%zz", Some(("text/plain", "YSBiJXp6"))),
            ("data:;base64,aGk=", Some(("text/plain", "aGk="))),
            ("data:base64,aGk=", Some(("text/plain", "aGk="))),
            ("data:image/png;base64,a*b=", None),
            ("data:image/png;base64,a", None),
            ("data:image/png", None),
        ] {
            let got = read_url(url);
            let want = want.map(|(mime, data)| MediaSource::Base64 { mime: mime.into(), data: data.into() });
            assert_eq!(got, want, "{url}");
        }
        assert_eq!(read_url("https://x/y.png"), Some(MediaSource::Url("https://x/y.png".into())));
        assert_eq!(read_url("datä"), Some(MediaSource::Url("datä".into())));
    }
}
