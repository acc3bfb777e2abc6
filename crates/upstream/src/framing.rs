//! The bodies of HTTP/1.1 answers without sockets: which bytes behind a head belong to it (RFC 9112, sections
//! 6 and 7).
//!
//! Sans-IO, so that one property stands for every network: however the bytes are cut, the same body and
//! errors come out.

/// Longest chunk-size line or trailer section; real ones have a few bytes.
const LONGEST_LINE: usize = 16 << 10;

/// What came is not an HTTP answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotHttp(pub(crate) &'static str);

/// Where in a body we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// This many bytes are left.
    Length { left: u64 },
    /// Everything up to the end of the connection.
    UntilClose,
    /// In a chunk-size line.
    Size { value: u64, digits: u8, line: usize },
    /// In its extensions, or at its CR.
    SizeEnd { value: u64, line: usize },
    /// In a chunk's data.
    Data { left: u64 },
    /// In the CR LF behind it.
    DataEnd { seen_cr: bool },
    /// In the trailers: bytes seen of this line, and of all of them.
    Trailer { in_line: usize, all: usize },
    /// Complete.
    Over,
}

impl Body {
    /// Takes `input` and hands its payload to `out`, slice by slice; how much of it belongs to this body.
    pub(crate) fn read<'i>(
        &mut self,
        input: &'i [u8],
        mut out: impl FnMut(&'i [u8]),
    ) -> Result<usize, NotHttp> {
        let mut at = 0;
        while let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) {
            match self {
                Self::Over => break,
                Self::UntilClose => {
                    out(rest);
                    at = input.len();
                }
                Self::Length { left } | Self::Data { left } => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    out(rest.get(..take).unwrap_or_default());
                    at += take;
                    *left -= take as u64;
                    if *left == 0 {
                        *self = if matches!(self, Self::Data { .. }) {
                            Self::DataEnd { seen_cr: false }
                        } else {
                            Self::Over
                        };
                    }
                }
                Self::Size { .. } | Self::SizeEnd { .. } | Self::DataEnd { .. } | Self::Trailer { .. } => {
                    let Some(byte) = rest.first() else { break };
                    *self = self.step(*byte)?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }

    /// The connection ended here. `true` when that is a proper end.
    pub(crate) fn may_end(self) -> bool {
        matches!(self, Self::UntilClose | Self::Over)
    }

    fn step(self, byte: u8) -> Result<Self, NotHttp> {
        Ok(match (self, byte) {
            (Self::Size { line, .. } | Self::SizeEnd { line, .. }, _) if line >= LONGEST_LINE => {
                return Err(NotHttp("a chunk-size line is too long"));
            }
            (Self::Size { value, digits, line }, _) if byte.is_ascii_hexdigit() => {
                if digits >= 16 {
                    return Err(NotHttp("a chunk is too large"));
                }
                let digit = match byte {
                    b'0'..=b'9' => byte - b'0',
                    _ => (byte | 0x20) - b'a' + 10,
                };
                Self::Size { value: value << 4 | u64::from(digit), digits: digits + 1, line: line + 1 }
            }
            (Self::Size { digits: 0, .. }, _) => return Err(NotHttp("a chunk has no size")),
            (Self::Size { value, .. } | Self::SizeEnd { value, .. }, b'\n') => match value {
                0 => Self::Trailer { in_line: 0, all: 0 },
                left => Self::Data { left },
            },
            (Self::Size { value, line, .. }, b';' | b'\r' | b' ' | b'\t') => {
                Self::SizeEnd { value, line: line + 1 }
            }
            (Self::Size { .. }, _) => return Err(NotHttp("a chunk's size is malformed")),
            (Self::SizeEnd { value, line }, _) => Self::SizeEnd { value, line: line + 1 },
            (Self::DataEnd { seen_cr: false }, b'\r') => Self::DataEnd { seen_cr: true },
            (Self::DataEnd { .. }, b'\n') => Self::Size { value: 0, digits: 0, line: 0 },
            (Self::DataEnd { .. }, _) => return Err(NotHttp("a chunk is longer than its size")),
            (Self::Trailer { all, .. }, _) if all >= LONGEST_LINE => {
                return Err(NotHttp("the trailers are too long"));
            }
            (Self::Trailer { in_line: 0, .. }, b'\n') => Self::Over,
            (Self::Trailer { all, .. }, b'\n') => Self::Trailer { in_line: 0, all: all + 1 },
            // A bare CR before the LF does not make a line non-empty.
            (Self::Trailer { in_line, all }, b'\r') => Self::Trailer { in_line, all: all + 1 },
            (Self::Trailer { in_line, all }, _) => Self::Trailer { in_line: in_line + 1, all: all + 1 },
            (same @ (Self::Length { .. } | Self::UntilClose | Self::Data { .. } | Self::Over), _) => same,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: Body = Body::Size { value: 0, digits: 0, line: 0 };

    fn read(mut body: Body, chunks: &[&[u8]]) -> (String, Result<(), NotHttp>, Body) {
        let mut out = Vec::new();
        let result = chunks
            .iter()
            .try_for_each(|chunk| body.read(chunk, |data| out.extend_from_slice(data)).map(drop));
        (String::from_utf8_lossy(&out).into_owned(), result, body)
    }

    #[test]
    fn bodies() {
        for (what, body, bytes, want, ends) in [
            ("length", Body::Length { left: 3 }, "abcdef", Ok("abc"), true),
            ("short", Body::Length { left: 9 }, "abc", Ok("abc"), false),
            ("until close", Body::UntilClose, "abc", Ok("abc"), true),
            ("chunks", CHUNKED, "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", Ok("abcde"), true),
            ("bare line feeds", CHUNKED, "3\nabc\n0\n\n", Ok("abc"), true),
            ("trailers", CHUNKED, "1\r\na\r\n0\r\nx: y\r\nz: w\r\n\r\nrest", Ok("a"), true),
            ("upper case size", CHUNKED, "A\r\n0123456789\r\n0\r\n\r\n", Ok("0123456789"), true),
            ("cut in a chunk", CHUNKED, "5\r\nabc", Ok("abc"), false),
            ("cut before the end", CHUNKED, "3\r\nabc\r\n", Ok("abc"), false),
            ("no size", CHUNKED, "\r\nabc", Err("a chunk has no size"), false),
            ("garbage size", CHUNKED, "3x\r\nabc", Err("a chunk's size is malformed"), false),
            ("too long a chunk", CHUNKED, "3\r\nabcd\r\n", Err("a chunk is longer than its size"), false),
            ("absurd size", CHUNKED, "11111111111111111\r\n", Err("a chunk is too large"), false),
        ] {
            let whole = read(body, &[bytes.as_bytes()]);
            match want {
                Ok(text) => {
                    assert_eq!((whole.0.as_str(), whole.1, whole.2.may_end()), (text, Ok(()), ends), "{what}")
                }
                Err(error) => assert_eq!(whole.1, Err(NotHttp(error)), "{what}"),
            }
            for cut in 0..bytes.len() {
                let (a, b) = bytes.as_bytes().split_at(cut);
                assert_eq!(read(body, &[a, b]), whole, "{what}, cut at {cut}");
            }
        }
    }
}
