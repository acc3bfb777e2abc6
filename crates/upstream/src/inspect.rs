//! How an upstream is reached: its address and what was agreed on, for people who ask why it is not.

use crate::connect::Socket;
use crate::{Connector, Endpoint, UpstreamError};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A connection that stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Who answered.
    pub address: Option<SocketAddr>,
    /// What TLS agreed on, where it was spoken.
    pub tls: Option<Agreed>,
}

/// What TLS agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// The version, such as `TLSv1_3`.
    pub version: Option<String>,
    /// When the first of the certificates shown ends.
    pub until: Option<SystemTime>,
}

impl Connector {
    /// Connects to `to` as calls do, and lets it go again.
    ///
    /// # Errors
    /// By its variant: no address, nobody there, no trust.
    pub async fn inspect(&self, to: &Endpoint) -> Result<Reached, UpstreamError> {
        let dialled = self.dial(to).await?;
        Ok(match dialled.socket {
            Socket::Plain(stream) => Reached { address: stream.peer_addr().ok(), tls: None },
            Socket::Tls(stream) => {
                let (tcp, session) = stream.get_ref();
                let shown = session.peer_certificates().unwrap_or_default();
                let agreed = Agreed {
                    version: session.protocol_version().map(|version| format!("{version:?}")),
                    until: shown.iter().filter_map(|certificate| end_of(certificate)).min(),
                };
                Reached { address: tcp.peer_addr().ok(), tls: Some(agreed) }
            }
        })
    }
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When an X.509 certificate in DER ends (RFC 5280, section 4.1). The chain was verified by others; only this one
/// field is wanted.
fn end_of(certificate: &[u8]) -> Option<SystemTime> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut rest, _) = element(certificate)?;
    let (tag, _, after) = element(rest)?;
    if tag == VERSION {
        rest = after;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        (_, _, rest) = element(rest)?;
    }
    let (SEQUENCE, validity, _) = element(rest)? else { return None };
    let (_, _, rest) = element(validity)?;
    let (tag, until, _) = element(rest)?;
    time(tag, std::str::from_utf8(until).ok()?)
}

/// The tag and the content of the first element of `der`, and what is behind it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        short @ 0..0x80 => (usize::from(short), rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            // Four bytes say more than any certificate is long.
            let bytes = Some(bytes).filter(|bytes| (1..=4).contains(&bytes.len()))?;
            (bytes.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)), rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, text: &str) -> Option<SystemTime> {
    let digits = text.strip_suffix('Z')?;
    let (century, digits) = match (tag, digits.len()) {
        (UTC_TIME, 12) => (None, digits),
        (GENERALIZED_TIME, 14) => {
            let (century, digits) = digits.split_at_checked(2)?;
            (Some(century.parse::<u64>().ok()?), digits)
        }
        _ => return None,
    };
    let at = |start: usize| digits.get(start..start + 2)?.parse::<u64>().ok();
    let (short, month, day) = (at(0)?, at(2)?, at(4)?);
    // Two digits are of the years 1950 to 2049.
    let year = century.unwrap_or(if short < 50 { 20 } else { 19 }) * 100 + short;
    // Years begin in March, so that the day that may be missing is the last.
    let (shifted_year, shifted_month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let day_of_year = (153 * shifted_month + 2) / 5 + day.checked_sub(1)?;
    let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    let seconds = days * 86_400 + at(6)? * 3600 + at(8)? * 60 + at(10)?;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_certificates() {
        for (tag, text, seconds) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "240229120000Z", Some(1_709_208_000)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "40960101000000Z", Some(67_090_118_400)),
            (UTC_TIME, "240229120000", None),
            (UTC_TIME, "2402291200é0Z", None),
            (GENERALIZED_TIME, "240229120000Z", None),
        ] {
            let want = seconds.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(time(tag, text), want, "{text}");
        }
    }

    #[test]
    fn the_end_of_a_certificate_is_found() {
        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(2031, 5, 6);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let der = certificate.der();
        let want = time(UTC_TIME, "310506000000Z");
        assert_eq!(end_of(der), want);
        for cut in 0..der.len() {
            // Whether or not the field is still whole, nothing panics.
            let found = end_of(der.get(..cut).unwrap_or_default());
            assert!(found.is_none() || found == want, "{cut}");
        }
    }
}
