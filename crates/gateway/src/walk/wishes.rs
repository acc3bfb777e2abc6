//! What a client asks of the way in which its request is tried, in headers: it knows better than the configuration
//! how long it can wait.

use http::{HeaderMap, HeaderName};
use std::time::Duration;
use trunkline_core::{Fault, FaultKind};

/// How often it is tried again at most; under `LiteLLM`'s name as well, as the others are.
const RETRIES: [&str; 2] = ["x-trunkline-num-retries", "x-litellm-num-retries"];
/// Seconds until an answer begins.
const TIMEOUT: [&str; 2] = ["x-trunkline-timeout", "x-litellm-timeout"];
/// The same where a stream is asked for.
const STREAM_TIMEOUT: [&str; 2] = ["x-trunkline-stream-timeout", "x-litellm-stream-timeout"];

/// Most often that a client can have a request tried again.
const MOST_RETRIES: u32 = 10;
/// Longest that it can have an attempt waited for, in seconds: a day.
const LONGEST: f64 = 86_400.0;

/// What the client asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// Most attempts in all, where the configuration allows no fewer.
    pub(super) attempts: Option<u32>,
    /// How long each may take to begin its answer.
    pub(super) timeout: Option<Duration>,
}

impl Wishes {
    /// One attempt, however many the configuration allows.
    pub(super) fn once() -> Self {
        Self { attempts: Some(1), ..Self::default() }
    }

    /// Reads them.
    ///
    /// # Errors
    /// 400 naming the header.
    pub(super) fn read(headers: &HeaderMap, stream: bool) -> Result<Self, Fault> {
        // Few ask for anything, and looking each name up costs more than everything else here.
        let is_wish = |name: &str| name.starts_with("x-trunkline-") || name.starts_with("x-litellm-");
        if !headers.keys().any(|name| is_wish(name.as_str())) {
            return Ok(Self::default());
        }
        let retries =
            wish(headers, RETRIES, |text| text.parse().ok().filter(|many: &u32| *many <= MOST_RETRIES))?;
        let seconds = |text: &str| {
            let seconds = text.parse().ok().filter(|seconds: &f64| *seconds > 0.0 && *seconds <= LONGEST)?;
            Some(Duration::from_secs_f64(seconds))
        };
        let whole = wish(headers, TIMEOUT, seconds)?;
        let streamed = wish(headers, STREAM_TIMEOUT, seconds)?.filter(|_| stream);
        Ok(Self { attempts: retries.map(|retries| retries + 1), timeout: streamed.or(whole) })
    }
}

/// Whom a client wants to be answered by, of those who may answer it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Steer<'h> {
    /// This backend alone.
    pub(super) backend: Option<&'h str>,
    /// The worker at this place alone, of those that may answer.
    pub(super) target: Option<usize>,
    /// Whoever this route leads to, whether or not it would have been taken.
    pub(super) route: Option<&'h str>,
    /// Nobody else when the one that is chosen fails.
    pub(super) is_alone: bool,
}

/// Names a backend.
pub(super) const BACKEND: &str = "x-trunkline-backend";
/// Names a worker by its place.
pub(super) const TARGET: &str = "x-smg-target-worker";
/// Names a route.
pub(super) const ROUTE: &str = "x-trunkline-route";
/// Whether others may answer when the one that is chosen fails.
const FALLBACKS: &str = "x-trunkline-fallbacks";

impl<'h> Steer<'h> {
    /// Reads it.
    ///
    /// # Errors
    /// 400 naming the header.
    pub(super) fn read(headers: &'h HeaderMap) -> Result<Self, Fault> {
        // As with wishes: few ask for anything.
        let is_meant = |name: &HeaderName| name.as_str().starts_with("x-trunkline-") || name == TARGET;
        if !headers.keys().any(is_meant) {
            return Ok(Self::default());
        }
        let refused = |name: &str, must: &str| {
            Fault::new(FaultKind::InvalidRequest, format!("`{name}` must be {must}")).at(name)
        };
        let text = |name: &str| match headers.get(name).map(|value| value.to_str().map(str::trim)) {
            None | Some(Ok("")) => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(refused(name, "plain text")),
        };
        let is_alone = match text(FALLBACKS)? {
            None | Some("on" | "true") => false,
            Some("off" | "false") => true,
            Some(_) => return Err(refused(FALLBACKS, "`on` or `off`")),
        };
        let place = |text: &str| text.parse().map_err(|_| refused(TARGET, "a number, 0 for the first"));
        let target = text(TARGET)?.map(place).transpose()?;
        Ok(Self { backend: text(BACKEND)?, target, route: text(ROUTE)?, is_alone })
    }
}

/// The first of `names` that is there.
fn wish<T>(
    headers: &HeaderMap,
    names: [&'static str; 2],
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Fault> {
    let Some((name, value)) = names.iter().find_map(|name| Some((name, headers.get(*name)?))) else {
        return Ok(None);
    };
    let said = value.to_str().ok().and_then(|text| read(text.trim()));
    said.map(Some).ok_or_else(|| {
        let may = if names == RETRIES {
            format!("a whole number up to {MOST_RETRIES}")
        } else {
            "a number of seconds above 0, a day at most".to_owned()
        };
        Fault::new(FaultKind::InvalidRequest, format!("`{name}` must be {may}")).at(*name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_client_wants_is_read_or_refused() {
        let none = Steer::default();
        for (said, want) in [
            (&[][..], Some(none)),
            (&[(BACKEND, " a "), (ROUTE, "r")], Some(Steer { backend: Some("a"), route: Some("r"), ..none })),
            (&[(FALLBACKS, "off")], Some(Steer { is_alone: true, ..none })),
            (&[(FALLBACKS, "true"), (BACKEND, "")], Some(none)),
            (&[(FALLBACKS, "maybe")], None),
            (&[(BACKEND, "\u{e9}")], None),
        ] {
            let headers: HeaderMap =
                said.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            assert_eq!(Steer::read(&headers).ok(), want, "{said:?}");
        }
    }

    #[test]
    fn wishes_are_read_or_refused() {
        let ms = |ms| Some(Duration::from_millis(ms));
        for (said, stream, want) in [
            (&[][..], true, Some((None, None))),
            (&[("x-trunkline-num-retries", "0")], false, Some((Some(1), None))),
            (&[("x-litellm-num-retries", " 10 ")], false, Some((Some(11), None))),
            (&[("x-trunkline-num-retries", "11")], false, None),
            (&[("x-trunkline-num-retries", "-1")], false, None),
            (&[("x-trunkline-timeout", "1.5")], true, Some((None, ms(1500)))),
            (
                &[("x-trunkline-timeout", "1.5"), ("x-trunkline-stream-timeout", "2")],
                true,
                Some((None, ms(2000))),
            ),
            (
                &[("x-trunkline-timeout", "1.5"), ("x-litellm-stream-timeout", "2")],
                false,
                Some((None, ms(1500))),
            ),
            (&[("x-trunkline-timeout", "0")], false, None),
            (&[("x-trunkline-timeout", "NaN")], false, None),
            (&[("x-trunkline-timeout", "1e9")], false, None),
            (&[("x-trunkline-stream-timeout", "soon")], false, None),
        ] {
            let headers =
                said.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            let read = Wishes::read(&headers, stream).ok();
            assert_eq!(read.map(|wishes| (wishes.attempts, wishes.timeout)), want, "{said:?} {stream}");
        }
    }
}
