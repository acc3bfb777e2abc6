//! The access log: one line per request, as text or JSON.

use super::settle::Outcome;
use serde::Serialize;
use std::time::{Duration, SystemTime};
use trunkline_core::{Utc, WorkerId};

/// What the log calls these lines.
pub(super) const TARGET: &str = "trunkline::access";

/// How loud an answer with `status` is.
pub(super) const fn level(status: u16) -> &'static str {
    match status {
        500.. => "ERROR",
        400..500 => "WARN",
        _ => "INFO",
    }
}

/// One line of the access log.
#[derive(Default, Serialize)]
pub(crate) struct Line<'a> {
    pub(super) timestamp: String,
    pub(super) level: &'static str,
    pub(super) target: &'static str,
    pub(super) request_id: &'a str,
    pub(super) tenant: &'a str,
    pub(super) endpoint: &'static str,
    /// Method and path, where the endpoint's name does not tell.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) request: &'a str,
    pub(super) model: &'a str,
    pub(super) worker: &'a str,
    /// Which variant of an experiment answered.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) variant: &'a str,
    /// Whether it is a copy for a mirror.
    #[serde(rename = "mirror", skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_copy: bool,
    pub(super) attempts: Attempts<'a>,
    pub(super) status: u16,
    pub(super) end: &'static str,
    pub(super) stream: bool,
    /// Class of the error the gateway itself answered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<&'static str>,
    pub(super) finish: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cached_tokens: Option<u64>,
    /// Of text to be spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) characters: Option<u64>,
    /// Pictures made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) images: Option<u64>,
    /// Of sound that was listened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) audio_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) search_units: Option<u64>,
    /// What providers took for it, in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cost_usd: Option<String>,
    /// Whether the tokens are the gateway's own estimate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) estimated: bool,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) losses: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ttft_us: Option<u64>,
    pub(super) duration_us: u64,
}

/// `worker:outcome` of each attempt, separated by commas.
#[derive(Default)]
pub(super) struct Attempts<'a>(pub(super) &'a [(WorkerId, Outcome)]);

impl<'a> Line<'a> {
    /// The line of a request outside the walk that was refused, which took `took`.
    pub(crate) fn refused(id: &'a str, request: &'a str, status: u16, took: Duration) -> Self {
        Self {
            timestamp: Utc::from(SystemTime::now()).rfc3339(),
            level: level(status),
            target: TARGET,
            request_id: id,
            tenant: "anonymous",
            endpoint: "admin",
            request,
            status,
            end: "done",
            duration_us: micros(took),
            ..Self::default()
        }
    }

    /// One line, as JSON or text.
    pub(crate) fn write(&self, out: &mut Vec<u8>, json: bool) {
        if json {
            // Writing into memory cannot fail, and the line holds nothing that is not JSON.
            let _ = serde_json::to_writer(&mut *out, self);
            out.push(b'\n');
        } else {
            self.write_text(out);
        }
    }

    /// `key=value` pairs; what others named (model, request id) holds no spaces or is quoted.
    fn write_text(&self, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(self.timestamp.as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.level.as_bytes());
        out.extend_from_slice(b" access");
        text(out, "request_id", self.request_id);
        text(out, "tenant", self.tenant);
        word(out, "endpoint", self.endpoint);
        if !self.request.is_empty() {
            text(out, "request", self.request);
        }
        text(out, "model", self.model);
        text(out, "worker", self.worker);
        if !self.variant.is_empty() {
            text(out, "variant", self.variant);
        }
        if self.is_copy {
            out.extend_from_slice(b" mirror=true");
        }
        out.extend_from_slice(b" attempts=");
        self.attempts.write(out);
        word(out, "status", digits.format(self.status));
        word(out, "end", self.end);
        word(out, "stream", if self.stream { "true" } else { "false" });
        if let Some(error) = self.error {
            word(out, "error", error);
        }
        if !self.finish.is_empty() {
            text(out, "finish", self.finish);
        }
        for (key, value) in [
            ("input_tokens", self.input_tokens),
            ("output_tokens", self.output_tokens),
            ("cached_tokens", self.cached_tokens),
            ("characters", self.characters),
            ("images", self.images),
            ("audio_ms", self.audio_ms),
            ("search_units", self.search_units),
            ("bytes_in", Some(self.bytes_in)),
            ("bytes_out", Some(self.bytes_out)),
            ("losses", (self.losses > 0).then_some(u64::from(self.losses))),
            ("ttft_us", self.ttft_us),
            ("duration_us", Some(self.duration_us)),
        ] {
            if let Some(value) = value {
                word(out, key, digits.format(value));
            }
        }
        if let Some(cost) = &self.cost_usd {
            word(out, "cost_usd", cost);
        }
        if self.estimated {
            word(out, "estimated", "true");
        }
        out.push(b'\n');
    }
}

/// ` key=value`, where the value may be anything.
fn text(out: &mut Vec<u8>, key: &str, value: &str) {
    // Without a way out of the loop, it compiles to vector code.
    let odd = value.bytes().fold(false, |odd, byte| odd | !byte.is_ascii_graphic() | (byte == b'"'));
    if odd {
        word(out, key, "");
        trunkline_dialect::json::escape(out, value);
    } else {
        word(out, key, value);
    }
}

/// ` key=value`, where the value is known to be one word.
fn word(out: &mut Vec<u8>, key: &str, value: &str) {
    out.reserve(key.len() + value.len() + 2);
    out.push(b' ');
    out.extend_from_slice(key.as_bytes());
    out.push(b'=');
    out.extend_from_slice(value.as_bytes());
}

impl Attempts<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        for (n, (worker, outcome)) in self.0.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            out.extend_from_slice(worker.as_str().as_bytes());
            out.push(b':');
            match outcome {
                Outcome::Open => out.extend_from_slice(b"open"),
                Outcome::Status(status) => out.extend_from_slice(digits.format(*status).as_bytes()),
                Outcome::Failed(class) => out.extend_from_slice(class.as_bytes()),
            }
        }
    }
}

impl Serialize for Attempts<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = Vec::new();
        self.write(&mut text);
        serializer.serialize_str(&String::from_utf8_lossy(&text))
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
