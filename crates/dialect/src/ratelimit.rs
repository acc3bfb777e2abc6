//! What providers say in the headers of their answers of how much is left of an account's limits.
//!
//! Three numbers each: the whole, what is left, and when all of it is there again. What that last one is written as
//! differs most: `6m0s`, `12ms`, `1.5` for seconds, or a date.

use std::time::{Duration, SystemTime};
use trunkline_core::{Remaining, Told, read_rfc3339};

/// Names of the whole, of what is left and of when it is whole again, for requests.
const REQUESTS: [[&str; 3]; 4] = [
    // OpenAI, Azure, Groq, xAI.
    ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
    [
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
    ],
    // Mistral, whose windows are whole minutes.
    ["x-ratelimit-limit-req-minute", "x-ratelimit-remaining-req-minute", ""],
    // Together, Fireworks.
    ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"],
];
/// The same for tokens.
const TOKENS: [[&str; 3]; 6] = [
    ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"],
    [
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ],
    [
        "anthropic-ratelimit-input-tokens-limit",
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-input-tokens-reset",
    ],
    [
        "anthropic-ratelimit-output-tokens-limit",
        "anthropic-ratelimit-output-tokens-remaining",
        "anthropic-ratelimit-output-tokens-reset",
    ],
    ["x-ratelimit-limit-tokens-minute", "x-ratelimit-remaining-tokens-minute", ""],
    ["x-tokenlimit-limit", "x-tokenlimit-remaining", "x-tokenlimit-reset"],
];
/// Longest wait that is believed; a larger number is no wait, but a date.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What an answer says whose headers `header` gives.
#[must_use]
pub fn read<'h>(header: impl Fn(&str) -> Option<&'h str>, now: SystemTime) -> Told {
    let number = |name: &str| header(name)?.trim().parse::<u64>().ok();
    let remaining = |[limit, left, reset]: &[&str; 3]| {
        let left = number(left)?;
        Some(Remaining { limit: number(limit), left, reset: header(reset).and_then(|text| wait(text, now)) })
    };
    Told {
        requests: REQUESTS.iter().filter_map(remaining).min_by(scarcer),
        tokens: TOKENS.iter().filter_map(remaining).min_by(scarcer),
    }
}

/// By the share that is left.
fn scarcer(a: &Remaining, b: &Remaining) -> std::cmp::Ordering {
    let part = |of: &Remaining, other: &Remaining| {
        u128::from(of.left).saturating_mul(other.limit.unwrap_or(u64::MAX).into())
    };
    part(a, b).cmp(&part(b, a))
}

fn wait(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => match read_rfc3339(text) {
            Some(then) => then.duration_since(now).unwrap_or_default(),
            None => go_duration(text)?,
        },
    };
    (wait <= LONGEST).then_some(wait)
}

/// Numbers with units, largest first, as `1h2m3.5s` or `12ms`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(rest.find(|c: char| c.is_ascii_alphabetic())?);
        let end = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, next) = behind.split_at(end);
        let factor = match unit {
            "d" => 86_400.0,
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * factor;
        rest = next;
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn limits_of_providers() {
        let left = |limit, left, reset: Option<u64>| {
            Some(Remaining { limit, left, reset: reset.map(Duration::from_millis) })
        };
        for (what, headers, requests, tokens) in [
            ("nothing", &[][..], None, None),
            (
                "OpenAI",
                &[
                    ("x-ratelimit-limit-requests", "60"),
                    ("x-ratelimit-remaining-requests", "59"),
                    ("x-ratelimit-reset-requests", "1s"),
                    ("x-ratelimit-limit-tokens", "150000"),
                    ("x-ratelimit-remaining-tokens", "149984"),
                    ("x-ratelimit-reset-tokens", "6m0s"),
                ],
                left(Some(60), 59, Some(1000)),
                left(Some(150_000), 149_984, Some(360_000)),
            ),
            (
                "Azure, which may leave out the whole",
                &[("x-ratelimit-remaining-requests", "9"), ("x-ratelimit-remaining-tokens", "90")],
                left(None, 9, None),
                left(None, 90, None),
            ),
            (
                "Anthropic, whose scarcest kind of token counts",
                &[
                    ("anthropic-ratelimit-requests-limit", "50"),
                    ("anthropic-ratelimit-requests-remaining", "49"),
                    ("anthropic-ratelimit-requests-reset", "1970-01-01T00:01:40Z"),
                    ("anthropic-ratelimit-tokens-limit", "100"),
                    ("anthropic-ratelimit-tokens-remaining", "90"),
                    ("anthropic-ratelimit-input-tokens-limit", "80"),
                    ("anthropic-ratelimit-input-tokens-remaining", "75"),
                    ("anthropic-ratelimit-output-tokens-limit", "20"),
                    ("anthropic-ratelimit-output-tokens-remaining", "15"),
                ],
                left(Some(50), 49, Some(40_000)),
                left(Some(20), 15, None),
            ),
            (
                "what is past, and what is no wait",
                &[
                    ("x-ratelimit-limit", "10"),
                    ("x-ratelimit-remaining", "0"),
                    ("x-ratelimit-reset", "1970-01-01T00:00:01Z"),
                    ("x-tokenlimit-remaining", "5"),
                    ("x-tokenlimit-reset", "1790000000000"),
                ],
                left(Some(10), 0, Some(0)),
                left(None, 5, None),
            ),
            (
                "no number",
                &[("x-ratelimit-remaining-requests", "many"), ("x-ratelimit-remaining-tokens", "-1")],
                None,
                None,
            ),
        ] {
            let header =
                |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            let told = read(header, UNIX_EPOCH + Duration::from_secs(60));
            assert_eq!(told, Told { requests, tokens }, "{what}");
        }
    }

    #[test]
    fn waits_in_all_spellings() {
        for (text, ms) in [
            ("12ms", Some(12)),
            ("6m0s", Some(360_000)),
            ("1h2m3.5s", Some(3_723_500)),
            ("2m59.56s", Some(179_560)),
            ("1.5", Some(1500)),
            ("", None),
            ("s", None),
            ("5 years", None),
            ("-1s", None),
            ("9d", None),
        ] {
            assert_eq!(wait(text, UNIX_EPOCH), ms.map(Duration::from_millis), "{text}");
        }
    }
}
